//! The rules, one file each, and whether each is enforced.

pub(crate) mod leaver;
pub(crate) mod receive_only;
pub(crate) mod required_address;
pub(crate) mod route;
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
    /// Who has left neither sends nor receives.
    Leaver,
    /// Burned, paused and unregistered vendor addresses are refused.
    VendorState,
    /// Any local part of a scope reaches the scope's one mailbox.
    Route,
}

impl Rule {
    /// Every rule, in the order they run.
    pub const ALL: [Self; 5] =
        [Self::RequiredAddress, Self::ReceiveOnly, Self::Leaver, Self::VendorState, Self::Route];

    /// The name used in replies, logs, configuration and the ledger.
    pub fn id(self) -> &'static str {
        match self {
            Self::RequiredAddress => "required-address",
            Self::ReceiveOnly => "receive-only",
            Self::Leaver => "leaver",
            Self::VendorState => "vendor-state",
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
    /// Mode of `leaver`.
    pub leaver: Mode,
    /// Mode of `vendor-state`.
    pub vendor_state: Mode,
    /// Mode of `route`.
    pub route: Mode,
}
