//! Dovecot as only its own host shows it: users and how they are locked, homes that several logins share,
//! script files, access control files, sessions, master users and settings.
//!
//! The configuration is asked from `doveconf`, accounts and sessions from `doveadm`; scripts and access
//! control lists are read from the files, which is quicker than a process for each and also shows what
//! doveadm does not.

mod acl;
mod binary;
mod conf;
mod doveadm;
mod mailbox;
mod places;
mod scripts;
mod sessions;
mod system;

pub use doveadm::DovecotPlan;
pub use mailbox::Host;
pub use sessions::SessionStore;

/// The surfaces of every mailbox that this collector covers.
pub const MAILBOX_SURFACES: [&str; 5] =
    ["account", "managesieve.scripts", "imap.acl", "sieve.files", "account.state"];
/// The surfaces of the mail system as a whole.
pub const SYSTEM_SURFACES: [&str; 6] = [
    "account",
    "account.aliasing",
    "dovecot.credentials",
    "dovecot.posture",
    "dovecot.sessions",
    "sieve.global",
];
