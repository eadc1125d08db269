//! The records of a policy after validation.

use chrono::{DateTime, Utc};
use mailwarden_address::{Address, Domain};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::{Factsheet, Seat, SharedReason, VendorAccount};
use crate::raci::Raci;

use crate::pattern::LocalPattern;

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
    /// Its people serve every client of the policy.
    pub agency: bool,
    /// Who may do what here, and who must approve.
    pub raci: Raci,
    /// What becomes of mail that a mailbox of ours redirects to the outside.
    pub live_redirect: LiveRedirect,
    /// What becomes of mail whose display name shows another address of ours.
    pub shown_address: ShownAddress,
}

/// What becomes of mail that a mailbox of ours redirects to the outside while it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LiveRedirect {
    /// It is recorded and goes on.
    #[default]
    Record,
    /// It is recorded and held.
    Hold,
}

/// What becomes of mail whose display name shows another address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShownAddress {
    /// Nothing.
    Ignore,
    /// A header says so.
    #[default]
    Tag,
    /// It is held.
    Hold,
    /// It is refused.
    Refuse,
}

/// What becomes of mail to a vendor address from an organisation it never dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnexpectedSender {
    /// A header says so.
    #[default]
    Tag,
    /// It is held.
    Hold,
    /// It is refused.
    Refuse,
}

/// What an address gets that a scope does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// It is refused.
    #[default]
    Refuse,
    /// The mail is delivered, and a header says so.
    Tag,
    /// The mail is held.
    Hold,
}

/// What a person may be in the control model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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

impl Person {
    /// Whether they have left by this moment.
    pub fn has_left(&self, now: DateTime<Utc>) -> bool {
        self.left.is_some_and(|left| left <= now)
    }
}

/// What a domain does with mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Outside addresses to which forwarding is approved.
    pub approved_external_addresses: Vec<Address>,
    /// What was collected on day zero.
    pub factsheet: Factsheet,
}

/// Which local parts a scope takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Accept {
    /// Any.
    #[default]
    Any,
    /// Those of registered vendors only.
    Registered,
    /// Those of registered vendors, and those that match one of the scope's patterns.
    Pattern,
}

/// A receive-only catch-all subdomain and its one mailbox.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The client it belongs to.
    pub client: usize,
    /// The subdomain. Of a wildcard the part below the star: `clients.example.com` of
    /// `*.clients.example.com`.
    pub domain: Domain,
    /// Whether it was written as `*.domain`: it is then every name below the domain, and not the domain
    /// itself.
    pub is_wildcard: bool,
    /// Its one mailbox.
    pub deliver_to: Address,
    /// Which local parts it takes.
    pub accept: Accept,
    /// The local parts it takes with `accept = "pattern"`.
    pub patterns: Vec<LocalPattern>,
    /// What a local part gets that it does not take.
    pub unknown: Unknown,
    /// The text that goes with refusing an unknown local part; a standard text when absent.
    pub unknown_reply: Option<String>,
    /// The most new local parts in an hour; no limit when absent.
    pub new_per_hour: Option<u32>,
    /// The text that goes with refusing more of them; a standard text when absent.
    pub flood_reply: Option<String>,
    /// What mail gets that comes from an organisation the vendor address never dealt with.
    pub unexpected_sender: UnexpectedSender,
}

impl Scope {
    /// Whether it takes this local part without knowing the vendor.
    #[must_use]
    pub fn takes_unregistered(&self, address: &Address) -> bool {
        match self.accept {
            Accept::Any => true,
            Accept::Registered => false,
            Accept::Pattern => self.patterns.iter().any(|pattern| pattern.matches(address)),
        }
    }

    /// The name as the policy writes it.
    #[must_use]
    pub fn name(&self) -> String {
        if self.is_wildcard { format!("*.{}", self.domain) } else { self.domain.to_string() }
    }
}

/// Whether mail to a vendor address is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
    /// The address the vendor was given. A star in its local part makes it a pattern for several.
    pub address: Address,
    /// The organisation.
    pub organisation: String,
    /// Whether its mail is taken.
    pub state: VendorState,
    /// The text of a refusal, one line; a standard text when absent.
    pub reply: Option<String>,
    /// A route of its own, instead of the scope's mailbox.
    pub deliver_to: Option<Address>,
    /// Domains the vendor is expected to write from. When empty, the first organisation that writes is.
    pub sender_domains: Vec<Domain>,
    /// What mail from any other organisation gets; what the scope says when absent.
    pub unexpected_sender: Option<UnexpectedSender>,
    /// Who holds the account there, and how its bills are routed.
    pub account: Option<Box<VendorAccount>>,
}

impl Vendor {
    /// Whether its address stands for several.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.address.local().contains('*')
    }
}

/// What a mailbox is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Why they may.
    pub shared_login_reason: Option<SharedReason>,
    /// An executive's: a reset takes two approvals and a senior operator.
    pub executive: bool,
    /// Advertised to customers.
    pub customer_facing: Option<bool>,
    /// What it costs: a shared mailbox, or a licensed seat.
    pub seat: Option<Seat>,
    /// Credentials of services that use it (invoices, CRM, ticketing), by name; never the secret.
    pub service_credentials: Vec<String>,
    /// Receives and never sends.
    pub receive_only: bool,
    /// What becomes of mail it redirects to the outside; what the client says when absent.
    pub live_redirect: Option<LiveRedirect>,
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
