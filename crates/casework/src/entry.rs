//! What is recorded, as this crate sees it: one entry of the ledger.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One event, read from the ledger or about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What happened, e.g. `reset.approved`.
    pub kind: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Who wrote it.
    pub actor: String,
    /// About what.
    pub subject: String,
    /// The ticket.
    pub reason: Option<String>,
    /// What was there before.
    pub prior_state: Option<Value>,
    /// The rest.
    pub payload: Value,
}

impl Entry {
    /// The payload as a step, where it is one.
    pub(crate) fn step<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(self.payload.clone()).ok()
    }

    /// The case it belongs to.
    pub fn case(&self) -> Option<&str> {
        self.payload.get("case").and_then(Value::as_str)
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<T> {
    /// To be recorded.
    Record(T),
    /// On record already; nothing is to be done.
    Already,
}

/// A step as the event that stands for it.
pub fn to_entry(
    kind: &str,
    at: DateTime<Utc>,
    actor: &str,
    subject: &str,
    reason: Option<String>,
    step: &impl Serialize,
) -> Entry {
    // The steps of this crate are plain structs with text keys: they always have a JSON form.
    let payload = serde_json::to_value(step).unwrap_or(Value::Null);
    let (kind, actor, subject) = (kind.to_owned(), actor.to_owned(), subject.to_owned());
    Entry { kind, at, actor, subject, reason, prior_state: None, payload }
}
