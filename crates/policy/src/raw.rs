//! The tables as they are written. Every value that can be wrong keeps its place in the text.

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use crate::control::{BillingRoute, MtaStsMode, Seat, SharedReason, VendorLogin};
use crate::model::{
    Accept, LiveRedirect, MailboxKind, PersonRole, Profile, ShownAddress, UnexpectedSender, Unknown,
    VendorState,
};
use crate::raci::RawRaci;
use crate::written::Spanned;

pub(crate) type Text = Spanned<String>;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFile {
    pub client: Spanned<RawClient>,
    #[serde(default)]
    pub person: Vec<Spanned<RawPerson>>,
    #[serde(default)]
    pub domain: Vec<RawDomain>,
    #[serde(default)]
    pub scope: Vec<Spanned<RawScope>>,
    #[serde(default)]
    pub vendor: Vec<Spanned<RawVendor>>,
    #[serde(default)]
    pub mailbox: Vec<RawMailbox>,
    /// Findings, grants and lints that somebody answers for, until a date.
    #[serde(default)]
    pub exception: Vec<Spanned<RawException>>,
    /// Who may do what, and who must approve.
    pub raci: Option<RawRaci>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawClient {
    pub name: Text,
    pub owner: Text,
    pub emergency_approver: Text,
    #[serde(default)]
    pub escalation_contacts: Vec<Text>,
    /// An agency: its people serve every client of the policy.
    #[serde(default)]
    pub agency: bool,
    #[serde(default)]
    pub live_redirect: LiveRedirect,
    #[serde(default)]
    pub shown_address: ShownAddress,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPerson {
    pub name: Text,
    pub addresses: Vec<Text>,
    #[serde(default)]
    pub external_addresses: Vec<Text>,
    #[serde(default)]
    pub roles: Vec<PersonRole>,
    #[serde(default)]
    pub senior: bool,
    pub out_of_band: Option<String>,
    #[serde(default)]
    pub ssh_keys: Vec<Text>,
    pub unix_user: Option<String>,
    pub left: Option<Spanned<Timestamp>>,
    pub successor: Option<Text>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDomain {
    pub name: Text,
    pub profile: Profile,
    pub admin_queue: Option<Text>,
    #[serde(default)]
    pub approved_external_domains: Vec<Text>,
    /// Outside addresses to which forwarding is approved.
    #[serde(default)]
    pub approved_external_addresses: Vec<Text>,
    /// The company where the name is registered.
    pub registrar: Option<String>,
    /// Addresses that administer the registration; none of them may lie in the system they recover.
    #[serde(default)]
    pub registrar_admins: Vec<Text>,
    /// Whether the registrar account has a second factor.
    pub registrar_mfa: Option<bool>,
    /// When the registration runs out.
    pub registration_expires: Option<Spanned<Timestamp>>,
    /// The company that serves the zone.
    pub dns_provider: Option<String>,
    /// Addresses that administer the zone.
    #[serde(default)]
    pub dns_admins: Vec<Text>,
    /// Whether the DNS account has a second factor.
    pub dns_mfa: Option<bool>,
    /// Hosts that take its mail.
    #[serde(default)]
    pub mx: Vec<Text>,
    /// Who sends its mail out: a provider or a host.
    pub outbound: Option<String>,
    /// The SPF record that is meant, e.g. "v=spf1 mx -all".
    pub spf: Option<String>,
    /// DKIM selectors in use.
    #[serde(default)]
    pub dkim_selectors: Vec<String>,
    /// The DMARC record that is meant, e.g. "v=DMARC1; p=reject; sp=reject".
    pub dmarc: Option<Text>,
    /// Whether every local part of the domain is taken.
    pub catch_all: Option<Spanned<bool>>,
    /// Addresses that DMARC reports go to.
    #[serde(default)]
    pub dmarc_reports: Vec<Text>,
    /// Addresses that reports on TLS go to (RFC 8460).
    #[serde(default)]
    pub tls_reports: Vec<Text>,
    /// The mode of MTA-STS (RFC 8461); without it no policy is published.
    pub mta_sts: Option<MtaStsMode>,
    /// Authorities that may issue certificates, as CAA writes them, e.g. "letsencrypt.org".
    #[serde(default)]
    pub caa_issuers: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawScope {
    pub domain: Text,
    pub deliver_to: Text,
    #[serde(default)]
    pub accept: Accept,
    #[serde(default)]
    pub patterns: Vec<Text>,
    #[serde(default)]
    pub unknown: Unknown,
    pub unknown_reply: Option<Text>,
    pub new_per_hour: Option<Spanned<i64>>,
    pub flood_reply: Option<Text>,
    #[serde(default)]
    pub unexpected_sender: UnexpectedSender,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawVendor {
    pub address: Text,
    pub organisation: String,
    #[serde(default)]
    pub state: VendorState,
    pub reply: Option<Text>,
    pub deliver_to: Option<Text>,
    #[serde(default)]
    pub sender_domains: Vec<Text>,
    pub unexpected_sender: Option<UnexpectedSender>,
    /// How people log in there.
    pub login: Option<Spanned<VendorLogin>>,
    /// Why the login is shared.
    pub shared_reason: Option<SharedReason>,
    /// Who has a login there, or knows the shared one.
    #[serde(default)]
    pub login_holders: Vec<Text>,
    /// The person who owns the account.
    pub account_owner: Option<Text>,
    /// How bills reach whoever pays.
    pub billing_route: Option<Spanned<BillingRoute>>,
    /// The forwarding rule that routes the bills: where it is and what it matches.
    pub billing_rule: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMailbox {
    pub address: Text,
    pub kind: MailboxKind,
    #[serde(default)]
    pub aliases: Vec<Text>,
    pub workflow: Option<String>,
    pub business_owner: Option<Text>,
    pub operator_team: Option<String>,
    #[serde(default)]
    pub authorised_users: Vec<Text>,
    #[serde(default)]
    pub shared_login_allowed: bool,
    /// Why they may share it.
    pub shared_login_reason: Option<SharedReason>,
    /// An executive's: a reset takes two approvals and a senior operator.
    #[serde(default)]
    pub executive: bool,
    /// Advertised to customers.
    pub customer_facing: Option<bool>,
    /// Shared, or a licensed seat.
    pub seat: Option<Spanned<Seat>>,
    /// Names of credentials that services use with this mailbox (invoices, CRM, ticketing); never the secret.
    #[serde(default)]
    pub service_credentials: Vec<String>,
    #[serde(default)]
    pub receive_only: bool,
    pub live_redirect: Option<LiveRedirect>,
    pub reset_policy: Option<String>,
    #[serde(default)]
    pub reset_approvers: Vec<Text>,
    pub recovery_contact: Option<Text>,
    pub escalation_contact: Option<Text>,
    pub last_reviewed: Option<Spanned<Timestamp>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawException {
    /// A finding: its fingerprint.
    pub fingerprint: Option<Text>,
    /// A finding: its content hash when it was accepted.
    pub content_hash: Option<Text>,
    /// A grant: the mailbox.
    pub mailbox: Option<Text>,
    /// A grant: who has access.
    pub grantee: Option<Text>,
    /// A lint of `mailwarden check`, by its id.
    pub lint: Option<Text>,
    /// A lint: what it speaks of, as it names it.
    pub subject: Option<Text>,
    /// Why it is accepted.
    pub reason: Text,
    /// Where that was decided.
    pub ticket: Option<String>,
    /// Who answers for it.
    pub approver: Text,
    /// When it was approved.
    pub approved: Option<Spanned<Timestamp>>,
    /// Until when; 90 days after `approved` where it is left out, and at most 365.
    pub expires: Option<Spanned<Timestamp>>,
}

/// A TOML date-time with an offset, or a date alone, which means midnight UTC. A time without an offset is
/// refused: two administrators in two countries would read two different moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timestamp(pub DateTime<Utc>);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = toml::value::Datetime::deserialize(deserializer)?;
        let text = match (written.date, written.time, written.offset) {
            (Some(_), Some(_), Some(_)) => written.to_string(),
            (Some(date), None, None) => format!("{date}T00:00:00Z"),
            _ => {
                return Err(serde::de::Error::custom(
                    "a time needs a date and an offset, e.g. 2026-01-28T00:00:00Z",
                ));
            }
        };
        DateTime::parse_from_rfc3339(&text)
            .map(|moment| Self(moment.with_timezone(&Utc)))
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A date, or a time with its offset, e.g. 2026-01-28T00:00:00Z (TOML date-time)."
        })
    }
}
