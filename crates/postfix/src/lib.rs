//! What Postfix needs so that the gate can do its work: [`render`] writes it from the policy, [`check`]
//! compares a live instance with it.
//!
//! Nothing here runs a program or opens a file. Whoever checks a live instance first asks [`questions`] what
//! has to be looked up in tables and in the file system, answers them, and hands everything to [`check`].

mod answers;
mod check;
mod domains;
mod instance;
mod items;
mod lists;
mod milters;
pub mod render;
mod socket;

pub use answers::{Answer, Answers, Question};
pub use check::{Item, Report, Verdict, check, questions};
pub use instance::{Instance, Service, Texts};
pub use socket::{Account, PathStep};
