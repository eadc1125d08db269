//! Records of control: what a domain hangs on, how a vendor's account is held, what a mailbox costs, what is
//! accepted and until when.

use chrono::{DateTime, Utc};
use mailwarden_address::{Address, Domain};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::DomainRecord;
use crate::policy::Policy;

/// What is collected about a domain on day zero.
#[derive(Debug, Clone, Default)]
pub struct Factsheet {
    /// The company where the name is registered.
    pub registrar: Option<String>,
    /// Addresses that administer the registration.
    pub registrar_admins: Vec<Address>,
    /// Whether the registrar account has a second factor.
    pub registrar_mfa: Option<bool>,
    /// When the registration runs out.
    pub registration_expires: Option<DateTime<Utc>>,
    /// The company that serves the zone.
    pub dns_provider: Option<String>,
    /// Addresses that administer the zone.
    pub dns_admins: Vec<Address>,
    /// Whether the DNS account has a second factor.
    pub dns_mfa: Option<bool>,
    /// Hosts that take its mail.
    pub mx: Vec<Domain>,
    /// Who sends its mail out.
    pub outbound: Option<String>,
    /// The SPF record that is meant.
    pub spf: Option<String>,
    /// DKIM selectors in use.
    pub dkim_selectors: Vec<String>,
    /// The DMARC record that is meant.
    pub dmarc: Option<String>,
    /// Whether every local part of the domain is taken.
    pub catch_all: Option<bool>,
    /// What else is to be published.
    pub published: Published,
}

/// What a domain publishes beside its hosts and senders.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// Where DMARC reports go.
    pub dmarc_reports: Vec<Address>,
    /// Where reports on TLS go.
    pub tls_reports: Vec<Address>,
    /// The mode of the MTA-STS policy; none is published when absent.
    pub mta_sts: Option<MtaStsMode>,
    /// Authorities that may issue certificates, as CAA writes them.
    pub caa_issuers: Vec<String>,
}

/// What senders do when the mail hosts of a domain cannot be verified (RFC 8461 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MtaStsMode {
    /// They hold the mail back.
    Enforce,
    /// They deliver and report.
    Testing,
}

impl MtaStsMode {
    /// As the policy file of RFC 8461 writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
        }
    }
}

/// What a mailbox costs. Most addresses are shared; credentials and calendars need a seat of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Seat {
    /// No licence of its own.
    Shared,
    /// A licence of its own.
    Licensed,
}

/// Why a login is shared. There is no fourth reason: to save a seat is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SharedReason {
    /// (a) A legacy or single-tenant system that knows one user only.
    Legacy,
    /// (b) An account that cannot be split: its owner is one human being.
    SingleOwner,
    /// (c) Named users are a paid upsell that was declined.
    PaidUpsell,
}

/// How people log in at a vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VendorLogin {
    /// Everybody by a name of their own.
    Named,
    /// Several people by one.
    Shared,
}

/// How bills reach whoever pays, in the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BillingRoute {
    /// The vendor's support added a billing address.
    SupportAdded,
    /// The paying address is a billing recipient.
    ApRecipient,
    /// The paying address owns the account.
    ApOwner,
    /// A forwarding rule on the owner's mailbox: brittle and invisible, so its rule is written down.
    ForwardRule,
}

/// An account at a vendor.
#[derive(Debug, Clone, Default)]
pub struct VendorAccount {
    /// How people log in.
    pub login: Option<VendorLogin>,
    /// Why the login is shared.
    pub shared_reason: Option<SharedReason>,
    /// Who has a login, or knows the shared one.
    pub login_holders: Vec<Address>,
    /// The person who owns the account.
    pub account_owner: Option<Address>,
    /// How bills reach whoever pays.
    pub billing_route: Option<BillingRoute>,
    /// The forwarding rule that routes them.
    pub billing_rule: Option<String>,
}

/// An access that is not a finding, until a date.
#[derive(Debug, Clone)]
pub struct AcceptedGrant {
    /// The client whose file holds it.
    pub client: usize,
    /// The mailbox.
    pub mailbox: Address,
    /// Who has access.
    pub grantee: Address,
    /// Why.
    pub reason: String,
    /// Where that was decided.
    pub ticket: Option<String>,
    /// Who answers for it.
    pub approver: Address,
    /// Until when.
    pub expires: DateTime<Utc>,
}

/// A lint that is accepted, until a date.
#[derive(Debug, Clone)]
pub struct AcceptedLint {
    /// The client whose file holds it.
    pub client: usize,
    /// Which lint.
    pub lint: String,
    /// What it speaks of.
    pub subject: String,
    /// Until when.
    pub expires: DateTime<Utc>,
}

impl Policy {
    /// The domains of a client.
    pub fn domains_of(&self, client: usize) -> impl Iterator<Item = &DomainRecord> {
        self.domains.iter().filter(move |record| record.client == client)
    }

    /// Grants that the policy accepts.
    pub fn accepted_grants(&self) -> &[AcceptedGrant] {
        &self.accepted_grants
    }

    /// Lints that the policy accepts.
    pub fn accepted_lints(&self) -> &[AcceptedLint] {
        &self.accepted_lints
    }

    /// Whether forwarding to this outside address is approved for a client.
    pub fn is_approved_destination(&self, client: usize, address: &Address) -> bool {
        self.is_approved_external(client, address.domain())
            || self.domains_of(client).any(|record| record.approved_external_addresses.contains(address))
    }
}
