//! What an entry says, and the bytes that stand for it in the tree.
//!
//! The leaf of an entry is canonical JSON ([`crate::canonical`]) with these members:
//!
//! | member | meaning |
//! |---|---|
//! | `actor` | who |
//! | `at` | when, UTC, `YYYY-MM-DDThh:mm:ss.ffffffZ` |
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

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::canonical::{canonical_json, write_string};
use crate::error::EventError;
use crate::merkle::Hash;
use crate::random::random_32;

/// The longest kind, in bytes.
pub const MAX_KIND_BYTES: usize = 64;
/// The longest actor, in bytes.
pub const MAX_ACTOR_BYTES: usize = 512;
/// The longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 2048;
/// The longest subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 1024;
/// The longest detail, in bytes of canonical JSON; a prior state may hold a whole Sieve script.
pub const MAX_DETAIL_BYTES: usize = 8 << 20;
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
    /// A change is about to be made; the prior state is in this entry.
    ChangePlanned = "change.planned", personal;
    /// The change was made and read back.
    ChangeApplied = "change.applied", personal;
    /// The change was tried and did not take effect.
    ChangeFailed = "change.failed", personal;
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
fn is_dotted_name(name: &str) -> bool {
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

/// Something to be recorded: what, when, who, why, about what, and what was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// When, to the microsecond.
    pub at: DateTime<Utc>,
    /// Who did it: a person of the policy, a Unix user, a program.
    pub actor: String,
    /// Why: the ticket or the approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// About what: a mailbox, scope, vendor, rule, policy.
    pub subject: String,
    /// What was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior_state: Option<Value>,
    /// The rest, as the kind defines it; numbers must be integers.
    #[serde(default)]
    pub payload: Value,
}

impl Event {
    /// An event without reason, prior state and payload.
    pub fn new(
        kind: EventKind,
        at: DateTime<Utc>,
        actor: impl Into<String>,
        subject: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            at,
            actor: actor.into(),
            reason: None,
            subject: subject.into(),
            prior_state: None,
            payload: Value::Null,
        }
    }

    /// The same event with a ticket or approval.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// The same event with the state before it.
    #[must_use]
    pub fn replacing(self, prior_state: Value) -> Self {
        Self { prior_state: Some(prior_state), ..self }
    }

    /// The same event with a payload.
    #[must_use]
    pub fn with(self, payload: Value) -> Self {
        Self { payload, ..self }
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
    /// About what, with the state before; `None` once it was erased.
    pub detail: Option<Detail>,
    /// The RFC 6962 hash of the leaf.
    pub leaf_hash: Hash,
}

/// The detail of an entry, kept outside the tree until it is erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedDetail {
    pub(crate) salt: [u8; 32],
    pub(crate) text: String,
}

/// `SHA-256(salt ‖ detail)`.
pub(crate) fn commitment(salt: &[u8], detail: &str) -> Hash {
    Hash(Sha256::new().chain_update(salt).chain_update(detail).finalize().into())
}

/// A checked event: everything but the index is written already, so that the transaction only numbers it.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) kind: EventKind,
    pub(crate) at_us: i64,
    pub(crate) subject: String,
    pub(crate) committed: Option<CommittedDetail>,
    before_index: String,
    after_index: String,
}

impl Draft {
    /// Checks an event and writes it, with a salt of its own if its kind is personal.
    pub(crate) fn new(event: &Event) -> Result<Self, EventError> {
        Self::with_salt(event, random_32())
    }

    fn with_salt(event: &Event, salt: [u8; 32]) -> Result<Self, EventError> {
        check_texts(event)?;
        let at = checked_instant(event.at)?;
        let detail = detail_text(event)?;
        let personal = event.kind.is_personal();
        let mut before_index = String::from("{\"actor\":");
        write_string(&mut before_index, &event.actor);
        before_index.push_str(&format!(",\"at\":\"{}\"", instant_text(at)));
        before_index.push_str(&match personal {
            true => format!(",\"commitment\":\"{}\"", commitment(&salt, &detail).to_hex()),
            false => format!(",\"detail\":{detail}"),
        });
        before_index.push_str(",\"index\":");
        Ok(Self {
            kind: event.kind.clone(),
            at_us: at.timestamp_micros(),
            subject: event.subject.clone(),
            committed: personal.then_some(CommittedDetail { salt, text: detail }),
            before_index,
            after_index: after_index(event),
        })
    }

    /// The leaf of this event as entry `index`.
    pub(crate) fn leaf(&self, index: u64) -> String {
        format!("{}{index}{}", self.before_index, self.after_index)
    }

    /// About how many bytes the entry takes.
    pub(crate) fn weight(&self) -> usize {
        self.before_index.len() + self.committed.as_ref().map_or(0, |detail| detail.text.len())
    }
}

fn after_index(event: &Event) -> String {
    let mut text = format!(",\"kind\":\"{}\"", event.kind);
    if let Some(reason) = &event.reason {
        text.push_str(",\"reason\":");
        write_string(&mut text, reason);
    }
    text.push_str(&format!(",\"schema\":\"{EVENT_SCHEMA}\"}}"));
    text
}

fn check_texts(event: &Event) -> Result<(), EventError> {
    check_text("actor", &event.actor, MAX_ACTOR_BYTES)?;
    check_text("subject", &event.subject, MAX_SUBJECT_BYTES)?;
    event.reason.as_deref().map_or(Ok(()), |reason| check_text("reason", reason, MAX_REASON_BYTES))
}

fn check_text(field: &'static str, text: &str, limit: usize) -> Result<(), EventError> {
    if text.trim().is_empty() {
        return Err(EventError::Empty(field));
    }
    check_length(field, text, limit)
}

fn check_length(field: &'static str, text: &str, limit: usize) -> Result<(), EventError> {
    let bytes = text.len();
    if bytes > limit { Err(EventError::TooLong { field, bytes, limit }) } else { Ok(()) }
}

/// Microseconds are what both databases keep; four-digit years keep instants sortable as text.
fn checked_instant(at: DateTime<Utc>) -> Result<DateTime<Utc>, EventError> {
    let at = at.trunc_subsecs(6);
    let years = DateTime::UNIX_EPOCH.timestamp()..253_402_300_800;
    if years.contains(&at.timestamp()) { Ok(at) } else { Err(EventError::Instant(at.to_string())) }
}

fn instant_text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn detail_text(event: &Event) -> Result<String, EventError> {
    let mut detail = Map::new();
    detail.insert("payload".to_owned(), event.payload.clone());
    if let Some(prior_state) = &event.prior_state {
        detail.insert("prior_state".to_owned(), prior_state.clone());
    }
    detail.insert("subject".to_owned(), Value::from(event.subject.as_str()));
    let text = canonical_json(&Value::Object(detail))?;
    check_length("payload and prior_state", &text, MAX_DETAIL_BYTES)?;
    Ok(text)
}

/// A leaf as it is read back from its bytes.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Leaf {
    pub(crate) actor: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) commitment: Option<String>,
    pub(crate) detail: Option<Detail>,
    pub(crate) index: u64,
    pub(crate) kind: EventKind,
    pub(crate) reason: Option<String>,
}

impl Leaf {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// The entry that this leaf and its detail make.
    pub(crate) fn into_stored(self, committed: Option<&str>, leaf_hash: Hash) -> Result<StoredEvent, String> {
        let kept = committed.map(serde_json::from_str).transpose().map_err(|error| error.to_string())?;
        Ok(StoredEvent {
            index: self.index,
            kind: self.kind,
            at: self.at,
            actor: self.actor,
            reason: self.reason,
            detail: self.detail.or(kept),
            leaf_hash,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn event(kind: EventKind) -> Event {
        Event::new(kind, at("2026-03-01T09:30:00.1234567Z"), "alice", "billing@acme.example")
    }

    #[test]
    fn a_clear_leaf_is_written_exactly_so() {
        let loaded =
            event(EventKind::PolicyLoaded).because("CHG-7").with(json!({"sha256": "ab", "files": 3}));
        let draft = Draft::new(&loaded).unwrap();
        assert_eq!(
            draft.leaf(12),
            r#"{"actor":"alice","at":"2026-03-01T09:30:00.123456Z","detail":{"#.to_owned()
                + r#""payload":{"files":3,"sha256":"ab"},"subject":"billing@acme.example"},"#
                + r#""index":12,"kind":"policy.loaded","reason":"CHG-7","schema":"mailwarden.event/1"}"#
        );
        assert!(draft.committed.is_none());
    }

    #[test]
    fn a_personal_leaf_holds_a_commitment_and_nothing_of_the_detail() {
        let held = event(EventKind::GateHeld).replacing(json!("old")).with(json!({"queue_id": "4Q"}));
        let draft = Draft::with_salt(&held, [7; 32]).unwrap();
        let leaf = draft.leaf(0);
        assert!(!leaf.contains("billing") && !leaf.contains("4Q") && !leaf.contains("old"), "{leaf}");
        let detail = draft.committed.clone().unwrap().text;
        assert_eq!(
            detail,
            "{\"payload\":{\"queue_id\":\"4Q\"},\"prior_state\":\"old\",\"subject\":\"billing@acme.example\"}"
        );
        let by_hand: [u8; 32] = Sha256::digest([&[7; 32][..], detail.as_bytes()].concat()).into();
        assert!(leaf.contains(&Hash(by_hand).to_hex()));
    }

    #[test]
    fn equal_details_do_not_make_equal_commitments() {
        let held = event(EventKind::GateHeld);
        assert_ne!(Draft::new(&held).unwrap().leaf(0), Draft::new(&held).unwrap().leaf(0));
    }

    #[test]
    fn known_kinds_are_valid_distinct_names_that_read_back() {
        let mut names: Vec<&str> = EventKind::KNOWN.iter().map(EventKind::as_str).collect();
        for (kind, name) in EventKind::KNOWN.iter().zip(&names) {
            assert!(is_dotted_name(name), "{name}");
            assert_eq!(name.parse::<EventKind>().unwrap(), *kind);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EventKind::KNOWN.len());
    }

    #[test]
    fn unknown_kinds_are_kept_if_they_are_dotted_names() {
        let kind: EventKind = "mailbox.invitation-sent".parse().unwrap();
        assert_eq!(kind.as_str(), "mailbox.invitation-sent");
        assert!(kind.is_personal());
        for bad in ["", "gate", "Gate.held", "gate..held", ".held", "gate.he ld", "gate.9", "gate.h\u{e9}"] {
            assert!(matches!(bad.parse::<EventKind>(), Err(EventError::Kind(_))), "{bad:?}");
        }
        assert!(format!("a.{}", "b".repeat(63)).parse::<EventKind>().is_err());
    }

    #[test]
    fn events_that_say_nothing_or_too_much_are_refused() {
        let refused = |event: Event| Draft::new(&event).map(|_| ()).unwrap_err();
        let good = event(EventKind::GateHeld);
        assert_eq!(refused(Event { actor: " ".into(), ..good.clone() }), EventError::Empty("actor"));
        assert_eq!(refused(Event { subject: String::new(), ..good.clone() }), EventError::Empty("subject"));
        assert_eq!(refused(good.clone().because("")), EventError::Empty("reason"));
        let long = "x".repeat(MAX_REASON_BYTES + 1);
        assert!(matches!(refused(good.clone().because(long)), EventError::TooLong { field: "reason", .. }));
        let huge = json!("x".repeat(MAX_DETAIL_BYTES));
        assert!(matches!(refused(good.clone().with(huge)), EventError::TooLong { .. }));
        assert!(matches!(refused(good.clone().with(json!(0.5))), EventError::Number(_)));
        let ancient = Event { at: at("1969-12-31T23:59:59Z"), ..good };
        assert!(matches!(refused(ancient), EventError::Instant(_)));
    }

    proptest! {
        #[test]
        fn the_leaf_is_canonical_and_reads_back(
            personal in any::<bool>(), actor in "\\PC{1,20}x", subject in "\\PC{1,20}x",
            reason in prop::option::of("\\PC{1,20}x"), micros in 0_i64..4_000_000_000_000_000,
            index in 0_u64..(1 << 53), text in any::<String>()
        ) {
            let kind = if personal { EventKind::GateHeld } else { EventKind::PolicyLoaded };
            let at = DateTime::from_timestamp_micros(micros).unwrap();
            let event = Event { reason, ..Event::new(kind, at, actor, subject).with(json!([text])) };
            let draft = Draft::new(&event).unwrap();
            let leaf = draft.leaf(index);
            let value: Value = serde_json::from_str(&leaf).unwrap();
            prop_assert_eq!(&canonical_json(&value).unwrap(), &leaf);

            let committed = draft.committed.as_ref().map(|detail| detail.text.as_str());
            let stored = Leaf::parse(&leaf).unwrap().into_stored(committed, Hash([0; 32])).unwrap();
            let detail = stored.detail.unwrap();
            prop_assert_eq!(stored.index, index);
            prop_assert_eq!(
                Event {
                    kind: stored.kind, at: stored.at, actor: stored.actor, reason: stored.reason,
                    subject: detail.subject, prior_state: detail.prior_state, payload: detail.payload,
                },
                event
            );
        }
    }
}
