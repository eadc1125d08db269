//! Dovecot as only its own host shows it: users and how they are locked, homes that several logins share,
//! script files, access control files, sessions, master users and settings.
//!
//! Asked on the host itself, or, as far as that goes, through doveadm's HTTP API ([`Api`]).
//!
//! The configuration is asked from `doveconf`, accounts and sessions from `doveadm`; scripts and access
//! control lists are read from the files, which is quicker than a process for each and also shows what
//! doveadm does not.

mod acl;
mod api;
mod binary;
mod conf;
mod doveadm;
mod logins;
mod mailbox;
mod places;
mod remote;
mod scripts;
mod sessions;
mod system;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::{CollectError, Harvest};

pub use api::{Api, ApiSecret};
pub use doveadm::DovecotPlan;
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

/// A Dovecot, as far as it can be seen from here.
#[derive(Debug)]
pub enum Host {
    /// On this very host: its programs and files.
    Here(Box<mailbox::Local>),
    /// Through doveadm's HTTP API.
    Away(Box<remote::Remote>),
}

impl Host {
    /// Looks at the mail system as a whole. `listed` are the accounts that the server iterates, `mailboxes`
    /// all that will be visited.
    pub async fn prepare(
        plan: &DovecotPlan,
        listed: &BTreeSet<String>,
        mailboxes: &[String],
    ) -> (Harvest, Result<Self, CollectError>) {
        if let Some(api) = &plan.api {
            let (harvest, host) = remote::Remote::prepare(api, listed, mailboxes).await;
            return (harvest, host.map(|host| Self::Away(Box::new(host))));
        }
        let (harvest, host) = mailbox::Local::prepare(plan, listed, mailboxes).await;
        (harvest, host.map(|host| Self::Here(Box::new(host))))
    }

    /// The homes of the users, where they are directories of this host.
    pub fn homes(&self) -> Vec<PathBuf> {
        match self {
            Self::Here(host) => host.homes(),
            Self::Away(_) => Vec::new(),
        }
    }

    /// Accounts that the lookups find locked for every service.
    pub fn locked(&self) -> Vec<String> {
        match self {
            Self::Here(host) => host.locked(),
            Self::Away(_) => Vec::new(),
        }
    }

    /// Looks at one mailbox.
    pub async fn visit(&self, mailbox: &str) -> Harvest {
        match self {
            Self::Here(host) => host.visit(mailbox).await,
            Self::Away(host) => host.visit(mailbox).await,
        }
    }
}
