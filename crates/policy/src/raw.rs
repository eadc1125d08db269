//! The tables as they are written. Every value that can be wrong keeps its place in the text.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::model::{
    Accept, LiveRedirect, MailboxKind, PersonRole, Profile, ShownAddress, UnexpectedSender, Unknown,
    VendorState,
};

pub(crate) type Text = Spanned<String>;

#[derive(Deserialize)]
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
    #[serde(default)]
    pub exception: Vec<Spanned<RawException>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawClient {
    pub name: Text,
    pub owner: Text,
    pub emergency_approver: Text,
    #[serde(default)]
    pub escalation_contacts: Vec<Text>,
    #[serde(default)]
    pub live_redirect: LiveRedirect,
    #[serde(default)]
    pub shown_address: ShownAddress,
}

#[derive(Deserialize)]
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
    pub ssh_keys: Vec<String>,
    pub unix_user: Option<String>,
    pub left: Option<Spanned<Timestamp>>,
    pub successor: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDomain {
    pub name: Text,
    pub profile: Profile,
    pub admin_queue: Option<Text>,
    #[serde(default)]
    pub approved_external_domains: Vec<Text>,
    pub registrar: Option<String>,
    pub registrar_admin: Option<Text>,
    pub registrar_mfa: Option<bool>,
    pub dns_provider: Option<String>,
    pub dns_admin: Option<Text>,
    pub dns_mfa: Option<bool>,
}

#[derive(Deserialize)]
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

#[derive(Deserialize)]
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
}

#[derive(Deserialize)]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawException {
    pub fingerprint: Text,
    pub content_hash: Text,
    pub reason: String,
    pub ticket: Option<String>,
    pub approver: Text,
    pub expires: Spanned<Timestamp>,
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
