//! How much hangs on a mailbox.

use mailwarden_address::Address;
use serde::{Deserialize, Serialize};

use crate::model::{Mailbox, MailboxKind, Person};
use crate::policy::Policy;
use crate::raci::Action;

/// Local parts that administer a domain (RFC 2142, and what registrars and certification authorities write
/// to).
const POSTMASTER_CLASS: [&str; 8] =
    ["postmaster", "abuse", "hostmaster", "webmaster", "admin", "administrator", "root", "security"];

/// How much hangs on a mailbox; the greater, the more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailboxClass {
    /// One person's.
    Personal,
    /// Several people's.
    Role,
    /// An executive's.
    Executive,
    /// Administers a domain, or holds credentials: whoever can reset it can reset everything behind it.
    Privileged,
}

impl MailboxClass {
    /// The reset that it takes when nothing is wrong but a forgotten password that its user cannot renew.
    pub fn reset(self) -> Action {
        match self {
            Self::Personal => Action::ResetRoutine,
            Self::Role => Action::ResetRole,
            Self::Executive | Self::Privileged => Action::ResetPrivileged,
        }
    }

    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Role => "role",
            Self::Executive => "executive",
            Self::Privileged => "admin or postmaster-class",
        }
    }
}

impl Policy {
    /// How much hangs on a mailbox. Whoever controls the destination of a reset controls the account, so a
    /// mailbox that administers a registration or a zone is privileged, whatever it is called.
    pub fn class_of(&self, mailbox: &Mailbox) -> MailboxClass {
        let privileged_kind = matches!(mailbox.kind, MailboxKind::Admin | MailboxKind::Credential);
        if privileged_kind || self.names_of(mailbox).any(|address| self.administers(mailbox.client, address))
        {
            MailboxClass::Privileged
        } else if mailbox.executive {
            MailboxClass::Executive
        } else if matches!(mailbox.kind, MailboxKind::Human | MailboxKind::Calendar) {
            MailboxClass::Personal
        } else {
            MailboxClass::Role
        }
    }

    fn names_of<'p>(&self, mailbox: &'p Mailbox) -> impl Iterator<Item = &'p Address> + use<'p> {
        std::iter::once(&mailbox.address).chain(&mailbox.aliases)
    }

    fn administers(&self, client: usize, address: &Address) -> bool {
        let local = address.local().to_ascii_lowercase();
        let by_name = POSTMASTER_CLASS.contains(&local.as_str()) || local.starts_with("admin-");
        by_name
            || self.domains_of(client).any(|domain| {
                let factsheet = &domain.factsheet;
                domain.admin_queue.as_ref() == Some(address)
                    || factsheet.registrar_admins.contains(address)
                    || factsheet.dns_admins.contains(address)
            })
    }

    /// The first address of the person behind an address, or the address itself: one name for one human
    /// being.
    pub fn person_address<'p>(&'p self, address: &'p Address) -> &'p Address {
        self.person(address).and_then(|person| person.addresses.first()).unwrap_or(address)
    }

    /// The people of a client and those of an agency, which serve all clients.
    pub fn staff_of(&self, client: usize) -> impl Iterator<Item = &Person> {
        let serves = move |person: &&Person| {
            person.client == client || self.clients.get(person.client).is_some_and(|of| of.agency)
        };
        self.people.iter().filter(serves)
    }
}
