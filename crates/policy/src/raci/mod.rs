//! Who may do what, and who must approve: the responsibility table as data, and its enforcement.

mod action;
mod class;
mod duty;
mod written;

pub use action::{Action, Party, Rule};
pub use class::MailboxClass;
pub use duty::{Authorised, Duty, Forbidden, GivenApproval, Seat};
pub use written::Raci;
pub(crate) use written::{RawRaci, effective};
