//! The records of a policy after validation.

use chrono::{DateTime, Utc};
use mailwarden_address::{Address, Domain};
use serde::{Deserialize, Serialize};

/// The organisation a policy file belongs to.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Who answers for it.
    pub owner: Address,
    /// Who approves emergency actions.
    pub emergency_approver: Address,
    /// Whom to call next, in order.
    pub escalation_contacts: Vec<Address>,
}

/// What a person may be in the control model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersonRole {
    /// Business authority.
    ClientOwner,
    /// Provisions and enforces policy.
    AgencyAdmin,
    /// Uses a mailbox.
    MailboxUser,
    /// Reads inventory, grants and logs; changes nothing.
    Auditor,
}

/// A human being.
#[derive(Debug, Clone)]
pub struct Person {
    /// The client whose file names them.
    pub client: usize,
    /// Name.
    pub name: String,
    /// Addresses in the organisation.
    pub addresses: Vec<Address>,
    /// Private or other outside addresses known to be theirs.
    pub external_addresses: Vec<Address>,
    /// Roles.
    pub roles: Vec<PersonRole>,
    /// May change admin and postmaster-class mailboxes.
    pub senior: bool,
    /// The channel registered beforehand for verifying that it is really them.
    pub out_of_band: Option<String>,
    /// OpenSSH public keys that sign their approvals.
    pub ssh_keys: Vec<String>,
    /// Their login on the mail host.
    pub unix_user: Option<String>,
    /// From this moment on they have left.
    pub left: Option<DateTime<Utc>>,
    /// Who takes over their mail.
    pub successor: Option<Address>,
}

/// What a domain does with mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Sends and receives.
    Sending,
    /// Receives and never sends.
    ReceiveOnly,
    /// Neither sends nor receives.
    Parked,
}

/// A domain and its day-zero facts.
#[derive(Debug, Clone)]
pub struct DomainRecord {
    /// The client it belongs to.
    pub client: usize,
    /// The domain.
    pub name: Domain,
    /// What it does with mail.
    pub profile: Profile,
    /// The watched mailbox for postmaster@ and abuse@ (RFC 2142 §4 and §5).
    pub admin_queue: Option<Address>,
    /// Outside domains to which forwarding is approved.
    pub approved_external_domains: Vec<Domain>,
    /// Registrar.
    pub registrar: Option<String>,
    /// Address that administers the registration.
    pub registrar_admin: Option<Address>,
    /// Whether the registrar account has a second factor.
    pub registrar_mfa: Option<bool>,
    /// DNS provider.
    pub dns_provider: Option<String>,
    /// Address that administers the zone.
    pub dns_admin: Option<Address>,
    /// Whether the DNS account has a second factor.
    pub dns_mfa: Option<bool>,
}

/// Which local parts a scope takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accept {
    /// Any.
    #[default]
    Any,
    /// Those of registered vendors only.
    Registered,
}

/// A receive-only catch-all subdomain and its one mailbox.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The client it belongs to.
    pub client: usize,
    /// The subdomain.
    pub domain: Domain,
    /// Its one mailbox.
    pub deliver_to: Address,
    /// Which local parts it takes.
    pub accept: Accept,
}

/// Whether mail to a vendor address is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VendorState {
    /// Mail is delivered.
    #[default]
    Active,
    /// Mail is refused for now; the vendor may try again.
    Paused,
    /// The address leaked or the relation ended: mail is refused for good.
    Burned,
}

/// One vendor's address inside a scope.
#[derive(Debug, Clone)]
pub struct Vendor {
    /// The client it belongs to.
    pub client: usize,
    /// The address the vendor was given.
    pub address: Address,
    /// The organisation.
    pub organisation: String,
    /// Whether its mail is taken.
    pub state: VendorState,
    /// The text of a refusal, one line; a standard text when absent.
    pub reply: Option<String>,
    /// A route of its own, instead of the scope's mailbox.
    pub deliver_to: Option<Address>,
    /// Domains the vendor is expected to write from.
    pub sender_domains: Vec<Domain>,
}

/// What a mailbox is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailboxKind {
    /// One person's.
    Human,
    /// A role such as billing@.
    Role,
    /// Read by several people.
    Shared,
    /// An administrator identity, or postmaster-class.
    Admin,
    /// Holds password resets and second factors.
    Credential,
    /// A calendar.
    Calendar,
}

impl MailboxKind {
    /// The word used in the policy and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Role => "role",
            Self::Shared => "shared",
            Self::Admin => "admin",
            Self::Credential => "credential",
            Self::Calendar => "calendar",
        }
    }
}

/// A mailbox and who controls it.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// The client it belongs to.
    pub client: usize,
    /// Its address, which is also its login.
    pub address: Address,
    /// What it is for.
    pub kind: MailboxKind,
    /// Other addresses for the same people doing the same work.
    pub aliases: Vec<Address>,
    /// The workflow it serves.
    pub workflow: Option<String>,
    /// Who approves membership and resets.
    pub business_owner: Option<Address>,
    /// Who executes changes.
    pub operator_team: Option<String>,
    /// Who may read it.
    pub authorised_users: Vec<Address>,
    /// Whether several people may share its login.
    pub shared_login_allowed: bool,
    /// Receives and never sends.
    pub receive_only: bool,
    /// How it may be reset, in the owner's words.
    pub reset_policy: Option<String>,
    /// Who must approve a reset; empty means the default for its kind.
    pub reset_approvers: Vec<Address>,
    /// Where its recovery mail goes.
    pub recovery_contact: Option<Address>,
    /// Whom to call when that fails.
    pub escalation_contact: Option<Address>,
    /// Last review.
    pub last_reviewed: Option<DateTime<Utc>>,
}

/// An accepted finding.
#[derive(Debug, Clone)]
pub struct Exception {
    /// The client whose file holds it.
    pub client: usize,
    /// Fingerprint of the finding.
    pub fingerprint: String,
    /// Content hash of the finding when it was accepted; any other content opens it again.
    pub content_hash: String,
    /// Why it is accepted.
    pub reason: String,
    /// Where that was decided.
    pub ticket: Option<String>,
    /// Who accepted it.
    pub approver: Address,
    /// Until when.
    pub expires: DateTime<Utc>,
}
