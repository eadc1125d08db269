//! Collectors: mail server surfaces to [`Observation`](mailwarden_evidence::Observation)s and
//! [`Coverage`](mailwarden_evidence::Coverage).
//!
//! A collector asks, writes down what it was told, and says plainly what it could not see. It judges
//! nothing and changes nothing. The two stores, [`ScriptStore`](managesieve::ScriptStore) and
//! [`FolderStore`](imap::FolderStore), do single operations on behalf of `mailwarden revoke` and `restore`. Everything a server can send is bounded by a named constant, and no answer
//! of a server may end the process: a bad answer ends one connection and becomes a coverage row with a
//! reason.

pub mod accounts;
mod apart;
pub mod clients;
mod command;
mod disk;
pub mod dns;
pub mod dovecot;
pub mod error;
pub mod harvest;
mod http;
pub mod imap;
mod lines;
pub mod mailman;
pub mod managesieve;
pub mod postfix;
pub mod probe;
pub mod pulls;
pub mod replace;
pub mod rounds;
pub mod server;
mod standing;
mod turns;

pub use error::CollectError;
pub use harvest::Harvest;
pub use rounds::{Plan, Progress, Rounds, run, run_into};
pub use server::{Credentials, Dialer, LoginStyle, Server, TlsMode};
