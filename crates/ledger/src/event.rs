//! What is to be recorded, and how it becomes a leaf (see [`mailwarden_proof::entry`]).

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
pub use mailwarden_proof::entry::{
    Detail, EVENT_SCHEMA, EventKind, Leaf, MAX_KIND_BYTES, OtherKind, StoredEvent, commitment, is_dotted_name,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::{write_member, write_string};
use crate::error::EventError;
use crate::random::random_32;

/// The longest actor, in bytes.
pub const MAX_ACTOR_BYTES: usize = 512;
/// The longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 2048;
/// The longest subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 1024;
/// The longest case id, in bytes.
pub const MAX_CASE_BYTES: usize = 64;
/// The longest detail, in bytes of canonical JSON; a prior state may hold a whole Sieve script.
pub const MAX_DETAIL_BYTES: usize = 8 << 20;

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
    /// Which case it belongs to: an id such as `OFF-2026-014`, never a name, for it cannot be erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
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
            case: None,
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

    /// The same event as part of a case.
    #[must_use]
    pub fn in_case(self, case: impl Into<String>) -> Self {
        Self { case: Some(case.into()), ..self }
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

/// The detail of an entry, kept outside the tree until it is erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedDetail {
    pub(crate) salt: [u8; 32],
    pub(crate) text: String,
}

/// A checked event: everything but the index is written already, so that the transaction only numbers it.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) kind: EventKind,
    pub(crate) at_us: i64,
    pub(crate) subject: String,
    pub(crate) case: Option<String>,
    pub(crate) committed: Option<CommittedDetail>,
    before_case: String,
    before_index: String,
    after_index: String,
}

impl Draft {
    /// Checks an event and writes it, with a salt of its own if its kind is personal.
    pub(crate) fn new(event: &Event) -> Result<Self, EventError> {
        Self::with_salt(event.clone(), random_32)
    }

    /// The same; the salt is asked for if it is needed.
    pub(crate) fn with_salt(event: Event, salt: impl FnOnce() -> [u8; 32]) -> Result<Self, EventError> {
        check_texts(&event)?;
        let at = checked_instant(event.at)?;
        let detail = detail_text(&event)?;
        let mut before_case = String::from("{\"actor\":");
        write_string(&mut before_case, &event.actor);
        before_case.push_str(&format!(",\"at\":\"{}\"", instant_text(at)));
        let (before_index, committed) = if event.kind.is_personal() {
            let salt = salt();
            let commitment = commitment(&salt, &detail).to_hex();
            let before_index = format!(",\"commitment\":\"{commitment}\",\"index\":");
            (before_index, Some(CommittedDetail { salt, text: detail }))
        } else {
            (format!(",\"detail\":{detail},\"index\":"), None)
        };
        Ok(Self {
            after_index: after_index(&event),
            kind: event.kind,
            at_us: at.timestamp_micros(),
            subject: event.subject,
            case: event.case,
            committed,
            before_case,
            before_index,
        })
    }

    /// The leaf of this event as entry `index`; `previous` is the entry of the same case before it.
    pub(crate) fn leaf(&self, index: u64, previous: Option<u64>) -> String {
        let case = match (&self.case, previous) {
            (Some(case), Some(previous)) => format!(",\"case\":\"{case}\",\"case_previous\":{previous}"),
            (Some(case), None) => format!(",\"case\":\"{case}\""),
            (None, _) => String::new(),
        };
        format!("{}{case}{}{index}{}", self.before_case, self.before_index, self.after_index)
    }

    /// About how many bytes the entry takes.
    pub(crate) fn weight(&self) -> usize {
        self.before_case.len()
            + self.before_index.len()
            + self.committed.as_ref().map_or(0, |detail| detail.text.len())
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
    event.reason.as_deref().map_or(Ok(()), |reason| check_text("reason", reason, MAX_REASON_BYTES))?;
    event.case.as_deref().map_or(Ok(()), check_case)
}

fn check_case(case: &str) -> Result<(), EventError> {
    let refused = || EventError::Case(case.chars().take(MAX_CASE_BYTES).collect());
    is_case_id(case).then_some(()).ok_or_else(refused)
}

/// Whether a text may be the id of a case: it stands in leaves, file names and command lines alike.
#[must_use]
pub fn is_case_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=MAX_CASE_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

/// A text as it stands in the columns that queries use: PostgreSQL's texts cannot hold the character NUL.
pub(crate) fn searchable(text: impl Into<String>) -> String {
    let text = text.into();
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
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

/// Canonical: the names of the members stand in their order.
fn detail_text(event: &Event) -> Result<String, EventError> {
    let mut text = String::from("{\"payload\":");
    write_member(&mut text, &event.payload)?;
    if let Some(prior_state) = &event.prior_state {
        text.push_str(",\"prior_state\":");
        write_member(&mut text, prior_state)?;
    }
    text.push_str(",\"subject\":");
    write_string(&mut text, &event.subject);
    text.push('}');
    check_length("payload and prior_state", &text, MAX_DETAIL_BYTES)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use crate::merkle::Hash;
    use proptest::prelude::*;
    use serde_json::json;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::canonical::canonical_json;

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
            draft.leaf(12, None),
            r#"{"actor":"alice","at":"2026-03-01T09:30:00.123456Z","detail":{"#.to_owned()
                + r#""payload":{"files":3,"sha256":"ab"},"subject":"billing@acme.example"},"#
                + r#""index":12,"kind":"policy.loaded","reason":"CHG-7","schema":"mailwarden.event/1"}"#
        );
        assert!(draft.committed.is_none());
    }

    #[test]
    fn a_personal_leaf_holds_a_commitment_and_nothing_of_the_detail() {
        let held = event(EventKind::GateHeld).replacing(json!("old")).with(json!({"queue_id": "4Q"}));
        let draft = Draft::with_salt(held, || [7; 32]).unwrap();
        let leaf = draft.leaf(0, None);
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
        assert_ne!(Draft::new(&held).unwrap().leaf(0, None), Draft::new(&held).unwrap().leaf(0, None));
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
            case in prop::option::of("[A-Z]{1,3}-[0-9]{1,4}"), previous in prop::option::of(0_u64..(1 << 53)),
            index in 0_u64..(1 << 53), text in any::<String>()
        ) {
            let kind = if personal { EventKind::GateHeld } else { EventKind::PolicyLoaded };
            let at = DateTime::from_timestamp_micros(micros).unwrap();
            let event = Event { reason, case, ..Event::new(kind, at, actor, subject).with(json!([text])) };
            let draft = Draft::new(&event).unwrap();
            let leaf = draft.leaf(index, previous);
            let value: Value = serde_json::from_str(&leaf).unwrap();
            prop_assert_eq!(&canonical_json(&value).unwrap(), &leaf);

            let committed = draft.committed.as_ref().map(|detail| detail.text.as_str());
            let stored = Leaf::parse(&leaf).unwrap().into_stored(committed, Hash([0; 32])).unwrap();
            let detail = stored.detail.unwrap();
            prop_assert_eq!(stored.index, index);
            prop_assert_eq!(
                Event {
                    kind: stored.kind, at: stored.at, actor: stored.actor, reason: stored.reason, case: stored.case,
                    subject: detail.subject, prior_state: detail.prior_state, payload: detail.payload,
                },
                event
            );
        }
    }
}
