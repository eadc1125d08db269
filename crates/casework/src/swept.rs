//! What a sweep saw, as far as a case needs it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One mailbox and surface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The mailbox, or the mail system.
    pub mailbox: String,
    /// The surface.
    pub surface: String,
    /// Whether all of it could be looked at.
    pub complete: bool,
}

/// A finding that nobody accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFinding {
    /// Its identity.
    pub fingerprint: String,
    /// The mailbox.
    pub mailbox: String,
    /// The surface.
    pub surface: String,
    /// Who gains by it.
    pub beneficiary: String,
    /// One sentence.
    pub title: String,
    /// How it is removed.
    pub command: String,
}

/// One sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// The run.
    pub run_id: String,
    /// When it began: what was changed later, it did not see.
    pub started: DateTime<Utc>,
    /// What was looked at.
    pub rows: Vec<Row>,
    /// What was found.
    pub findings: Vec<OpenFinding>,
}

impl Swept {
    /// What speaks against calling a mailbox clean: nothing was looked at, something could not be, or
    /// something was found. `None` is clean.
    pub fn against(&self, mailbox: &str) -> Option<String> {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| same(&row.mailbox, mailbox)).collect();
        if rows.is_empty() {
            return Some(format!("the sweep {} did not look at {mailbox}", self.run_id));
        }
        if let Some(gap) = rows.iter().find(|row| !row.complete) {
            return Some(format!("{} of {mailbox} could not be looked at completely", gap.surface));
        }
        let found: Vec<&OpenFinding> =
            self.findings.iter().filter(|finding| same(&finding.mailbox, mailbox)).collect();
        found.first().map(|first| format!("{} finding(s) on {mailbox}, first: {}", found.len(), first.title))
    }
}

pub(crate) fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}
