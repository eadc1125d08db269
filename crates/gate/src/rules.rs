//! The rules, one file each, and whether each is enforced.

pub(crate) mod backscatter;
pub(crate) mod leaver;
pub(crate) mod live_redirect;
pub(crate) mod receive_only;
pub(crate) mod required_address;
pub(crate) mod route;
pub(crate) mod sender_identity;
pub(crate) mod vendor_binding;
pub(crate) mod vendor_state;

use serde::{Deserialize, Serialize};

/// A rule's stable name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// postmaster@ and abuse@ always reach the watched mailbox.
    RequiredAddress,
    /// What only receives never sends.
    ReceiveOnly,
    /// Who sends through us writes in their own name.
    SenderIdentity,
    /// Who has left neither sends nor receives.
    Leaver,
    /// Burned, paused and unregistered vendor addresses, and floods of new ones, are refused.
    VendorState,
    /// Nothing bounces to who never sends.
    Backscatter,
    /// A vendor address hears from its vendor only.
    VendorBinding,
    /// What a mailbox redirects to the outside is seen.
    LiveRedirect,
    /// Any local part of a scope reaches the scope's one mailbox.
    Route,
}

impl Rule {
    /// Every rule, in the order they run.
    pub const ALL: [Self; 9] = [
        Self::RequiredAddress,
        Self::ReceiveOnly,
        Self::SenderIdentity,
        Self::Leaver,
        Self::VendorState,
        Self::Backscatter,
        Self::VendorBinding,
        Self::LiveRedirect,
        Self::Route,
    ];

    /// The name used in replies, logs, configuration and the ledger.
    pub fn id(self) -> &'static str {
        match self {
            Self::RequiredAddress => "required-address",
            Self::ReceiveOnly => "receive-only",
            Self::SenderIdentity => "sender-identity",
            Self::Leaver => "leaver",
            Self::VendorState => "vendor-state",
            Self::Backscatter => "backscatter",
            Self::VendorBinding => "vendor-binding",
            Self::LiveRedirect => "live-redirect",
            Self::Route => "route",
        }
    }
}

/// How far a rule goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It decides.
    #[default]
    Enforce,
    /// It records what it would have decided.
    Observe,
    /// It is not asked.
    Off,
}

/// The mode of every rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Modes {
    /// Mode of `required-address`.
    pub required_address: Mode,
    /// Mode of `receive-only`.
    pub receive_only: Mode,
    /// Mode of `sender-identity`.
    pub sender_identity: Mode,
    /// Mode of `leaver`.
    pub leaver: Mode,
    /// Mode of `vendor-state`.
    pub vendor_state: Mode,
    /// Mode of `backscatter`.
    pub backscatter: Mode,
    /// Mode of `vendor-binding`.
    pub vendor_binding: Mode,
    /// Mode of `live-redirect`.
    pub live_redirect: Mode,
    /// Mode of `route`.
    pub route: Mode,
}

impl Modes {
    /// The mode of a rule.
    pub fn of(&self, rule: Rule) -> Mode {
        match rule {
            Rule::RequiredAddress => self.required_address,
            Rule::ReceiveOnly => self.receive_only,
            Rule::SenderIdentity => self.sender_identity,
            Rule::Leaver => self.leaver,
            Rule::VendorState => self.vendor_state,
            Rule::Backscatter => self.backscatter,
            Rule::VendorBinding => self.vendor_binding,
            Rule::LiveRedirect => self.live_redirect,
            Rule::Route => self.route,
        }
    }

    /// The mode of a rule that is asked at all.
    pub(crate) fn active(&self, rule: Rule) -> Option<Mode> {
        Some(self.of(rule)).filter(|mode| *mode != Mode::Off)
    }
}
