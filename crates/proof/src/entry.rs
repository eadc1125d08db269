//! What an entry says, and the bytes that stand for it in the tree.
//!
//! The leaf of an entry is canonical JSON (RFC 8785) with these members:
//!
//! | member | meaning |
//! |---|---|
//! | `actor` | who |
//! | `at` | when, UTC, `YYYY-MM-DDThh:mm:ss.ffffffZ` |
//! | `case` | which case it belongs to; left out when it belongs to none |
//! | `case_previous` | the entry of the same case before this one; left out in the first |
//! | `commitment` | `hex(SHA-256(salt ‖ detail))`, for kinds that hold personal data |
//! | `detail` | the detail itself, for kinds that do not |
//! | `index` | which entry this is, so that entries cannot change places |
//! | `kind` | what |
//! | `reason` | why: ticket or approval; left out when there is none |
//! | `schema` | `mailwarden.event/1` |
//!
//! The *detail* is canonical JSON with `subject`, `payload` and, where there is one, `prior_state`. Of a
//! committed detail the salt (32 random bytes) and the text are kept outside the tree; erasing both leaves a
//! leaf, a proof and a checkpoint that still verify and that tell nothing about whom they concern, because
//! nobody can guess the salt.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::merkle::Hash;

/// The longest kind, in bytes.
pub const MAX_KIND_BYTES: usize = 64;
/// The version of the leaf format.
pub const EVENT_SCHEMA: &str = "mailwarden.event/1";

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $privacy:ident;)*) => {
        /// What happened: a stable dotted name. The set is open; names that are not listed here are
        /// [`EventKind::Other`] and are treated as holding personal data.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[$doc])* $variant,)*
            /// A kind this version does not know by name.
            Other(OtherKind),
        }

        impl EventKind {
            /// Every kind this version knows by name.
            pub const KNOWN: &'static [EventKind] = &[$(EventKind::$variant,)*];

            /// The stable dotted name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(OtherKind(name)) => name,
                }
            }

            /// Whether the detail may concern a person and is therefore committed to, not written into the
            /// leaf.
            #[must_use]
            pub fn is_personal(&self) -> bool {
                match self {
                    $(Self::$variant => event_kinds!(@$privacy),)*
                    Self::Other(_) => true,
                }
            }

            fn known(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
    (@personal) => { true };
    (@clear) => { false };
}

event_kinds! {
    /// A policy was put into force.
    PolicyLoaded = "policy.loaded", clear;
    /// A policy was refused; the one before stays in force.
    PolicyRejected = "policy.rejected", clear;
    /// A sweep began.
    SweepStarted = "sweep.started", clear;
    /// A sweep ended.
    SweepFinished = "sweep.finished", clear;
    /// The gate began to serve.
    GateStarted = "gate.started", clear;
    /// The gate stopped serving.
    GateStopped = "gate.stopped", clear;
    /// The refusals of one hour, summed per rule and policy object.
    GateRefusals = "gate.refusals", personal;
    /// A message was held.
    GateHeld = "gate.held", personal;
    /// Mail of a leaver was led elsewhere or refused.
    GateContained = "gate.contained", personal;
    /// A vendor address heard from an organisation it never dealt with.
    GateUnexpectedSender = "gate.unexpected-sender", personal;
    /// A scope began to receive a flood of new local parts.
    GateFloodBegan = "gate.flood-began", personal;
    /// That flood ended.
    GateFloodEnded = "gate.flood-ended", personal;
    /// A message that one of our own mailboxes redirected to the outside passed the gate.
    GateLiveRedirect = "gate.live-redirect", personal;
    /// A finding was seen for the first time.
    FindingOpened = "finding.opened", personal;
    /// A known finding has another content.
    FindingChanged = "finding.changed", personal;
    /// A finding is no longer there.
    FindingResolved = "finding.resolved", personal;
    /// A finding is covered by an exception.
    FindingAccepted = "finding.accepted", personal;
    /// A change that nobody recorded was seen by a sweep.
    ChangeObserved = "change.observed", personal;
    /// A domain was looked at for the first time; what it publishes is in this entry.
    DnsObserved = "dns.observed", personal;
    /// A domain publishes something else than before.
    DnsChanged = "dns.changed", personal;
    /// A change is about to be made; the prior state is in this entry.
    ChangePlanned = "change.planned", personal;
    /// The change was made and read back.
    ChangeApplied = "change.applied", personal;
    /// The change was tried and did not take effect.
    ChangeFailed = "change.failed", personal;
    /// The change was agreed to and not tried, because one before it did not succeed.
    ChangeNotTried = "change.not-tried", personal;
    /// The prior state was put back.
    ChangeReverted = "change.reverted", personal;
    /// A time-bound access was granted.
    AccessGranted = "access.granted", personal;
    /// An access was revoked.
    AccessRevoked = "access.revoked", personal;
    /// An access reached its expiry.
    AccessExpired = "access.expired", personal;
    /// A vendor was set active.
    VendorActivated = "vendor.activated", personal;
    /// A vendor was paused.
    VendorPaused = "vendor.paused", personal;
    /// A vendor was burned.
    VendorBurned = "vendor.burned", personal;
    /// A password reset was requested.
    ResetRequested = "reset.requested", personal;
    /// The identity of the requester was verified.
    ResetVerified = "reset.verified", personal;
    /// The reset was approved.
    ResetApproved = "reset.approved", personal;
    /// The reset was executed.
    ResetExecuted = "reset.executed", personal;
    /// The owner confirmed the reset.
    ResetConfirmed = "reset.confirmed", personal;
    /// The reset was closed.
    ResetClosed = "reset.closed", personal;
    /// An offboarding was opened.
    OffboardOpened = "offboard.opened", personal;
    /// The gate contains the leaver from now on.
    OffboardContained = "offboard.contained", personal;
    /// An item of the checklist was passed by evidence.
    OffboardPassed = "offboard.passed", personal;
    /// An item was attested by a named person.
    OffboardAttested = "offboard.attested", personal;
    /// An item was waived.
    OffboardWaived = "offboard.waived", personal;
    /// The offboarding was approved.
    OffboardApproved = "offboard.approved", personal;
    /// The offboarding was closed.
    OffboardClosed = "offboard.closed", personal;
    /// The detail of an earlier entry was erased.
    LedgerErased = "ledger.erased", clear;
    /// A checkpoint was taken off the machine.
    LedgerAnchored = "ledger.anchored", clear;
}

/// The name of a kind this version does not know; only [`EventKind::from_str`] makes one, so it is always
/// valid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OtherKind(Box<str>);

impl FromStr for EventKind {
    type Err = EventError;

    fn from_str(name: &str) -> Result<Self, EventError> {
        match Self::known(name) {
            Some(kind) => Ok(kind),
            None if is_dotted_name(name) => Ok(Self::Other(OtherKind(name.into()))),
            None => Err(EventError::Kind(name.chars().take(MAX_KIND_BYTES).collect())),
        }
    }
}

/// Two or more words joined by dots; a word begins with a letter and goes on with letters, digits and
/// hyphens.
#[must_use]
pub fn is_dotted_name(name: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= MAX_KIND_BYTES && name.contains('.') && name.split('.').all(is_word)
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for EventKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The part of an event that may concern a person and can be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// About what.
    pub subject: String,
    /// What was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior_state: Option<Value>,
    /// The rest.
    #[serde(default)]
    pub payload: Value,
}

/// An entry as it was read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredEvent {
    /// Which entry, counted from 0.
    pub index: u64,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: DateTime<Utc>,
    /// Who did it.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// Which case it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The entry of the same case before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_previous: Option<u64>,
    /// About what, with the state before; `None` once it was erased.
    pub detail: Option<Detail>,
    /// The RFC 6962 hash of the leaf.
    pub leaf_hash: Hash,
}

/// `SHA-256(salt ‖ detail)`.
#[must_use]
pub fn commitment(salt: &[u8], detail: &str) -> Hash {
    Hash(Sha256::new().chain_update(salt).chain_update(detail).finalize().into())
}

/// A leaf as it is read back from its bytes.
#[derive(Debug, Clone, Deserialize)]
pub struct Leaf {
    /// Who.
    pub actor: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Which case it belongs to.
    pub case: Option<String>,
    /// The entry of the same case before it.
    pub case_previous: Option<u64>,
    /// What it commits to, in hexadecimal.
    pub commitment: Option<String>,
    /// The detail, where it stands in the leaf itself.
    pub detail: Option<Detail>,
    /// Which entry it is.
    pub index: u64,
    /// What.
    pub kind: EventKind,
    /// Why.
    pub reason: Option<String>,
}

impl Leaf {
    /// Reads a leaf.
    ///
    /// # Errors
    /// It is not a leaf of this version.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// The entry that this leaf and its detail make.
    ///
    /// # Errors
    /// The detail is none.
    pub fn into_stored(self, committed: Option<&str>, leaf_hash: Hash) -> Result<StoredEvent, String> {
        let kept = committed.map(serde_json::from_str).transpose().map_err(|error| error.to_string())?;
        Ok(StoredEvent {
            index: self.index,
            kind: self.kind,
            at: self.at,
            actor: self.actor,
            reason: self.reason,
            case: self.case,
            case_previous: self.case_previous,
            detail: self.detail.or(kept),
            leaf_hash,
        })
    }
}

/// Why an event cannot be an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The kind is not a dotted name.
    #[error("the kind {0:?} is not a dotted name such as `gate.held` (a-z, 0-9, `-`, at most 64 bytes)")]
    Kind(String),
    /// A field that must be filled is empty.
    #[error("`{0}` is empty: every event says who did what to which object")]
    Empty(&'static str),
    /// A text field is too long.
    #[error("`{field}` has {bytes} bytes, at most {limit} are allowed")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// A number that would be written differently by different JSON libraries.
    #[error("the number {0} is not an integer within ±(2^53-1); write it as a string")]
    Number(String),
    /// A case id that is not one word.
    #[error("the case {0:?} is not an id such as `OFF-2026-014` (letters, digits, `-_.:`, at most 64 bytes)")]
    Case(String),
    /// Values are nested too deeply.
    #[error("the payload is nested more than {0} levels deep")]
    TooDeep(usize),
    /// The instant lies outside the years 1970 to 9999.
    #[error("the instant {0} lies outside the years 1970 to 9999")]
    Instant(String),
    /// More events in one call than fit into one transaction.
    #[error("{0} events in one call, at most {1} are allowed")]
    TooMany(usize, usize),
}
