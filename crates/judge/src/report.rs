//! One run of the rounds, as every writer renders it.

use chrono::{DateTime, Utc};
use mailwarden_evidence::{Coverage, CoverageState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::coverage::is_complete;
use crate::{Finding, Severity, Status};

/// The schema name of a report.
pub const REPORT_SCHEMA: &str = "mailwarden.report/1";

/// One run: what was looked at, what was found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Always [`REPORT_SCHEMA`].
    pub schema: String,
    /// The run.
    pub run_id: String,
    /// Program name and version.
    pub tool: String,
    /// When it began, UTC.
    pub started: DateTime<Utc>,
    /// When it ended, UTC.
    pub finished: DateTime<Utc>,
    /// The policy's digest.
    pub policy_digest: String,
    /// The surfaces asked for.
    pub surfaces: Vec<String>,
    /// What can be said of the whole.
    pub verdict: Verdict,
    /// Mailbox by surface.
    pub coverage: Vec<Coverage>,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
}

/// What can be said of a run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything asked for was looked at, and nothing was found.
    Clean,
    /// Something was found.
    Findings,
    /// Nothing was found, but not everything could be looked at.
    Incomplete,
}

impl Report {
    /// Puts the worst findings first and derives the verdict; nothing else decides it.
    pub fn seal(mut self) -> Self {
        self.coverage.sort();
        self.findings.sort_by(|a, b| {
            b.severity
                .cmp(&a.severity)
                .then_with(|| a.mailbox.cmp(&b.mailbox))
                .then_with(|| a.fingerprint.cmp(&b.fingerprint))
        });
        self.verdict = self.derive_verdict();
        self
    }

    fn derive_verdict(&self) -> Verdict {
        if self.open_findings().next().is_some() {
            Verdict::Findings
        } else if self.coverage.is_empty() || self.gaps().next().is_some() {
            Verdict::Incomplete
        } else {
            Verdict::Clean
        }
    }

    /// Findings that nobody accepted and that are still there.
    pub fn open_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| !matches!(finding.status, Status::Accepted | Status::Resolved))
    }

    /// What could not be looked at completely.
    pub fn gaps(&self) -> impl Iterator<Item = &Coverage> {
        self.coverage.iter().filter(|coverage| !coverage.state.is_complete())
    }

    /// Whether nothing on a surface of a mailbox can have been missed.
    pub fn is_complete(&self, mailbox: &str, surface: &str) -> bool {
        is_complete(&self.coverage, mailbox, surface)
    }

    /// The worst open finding.
    pub fn worst(&self) -> Option<Severity> {
        self.open_findings().map(|finding| finding.severity).max()
    }

    /// Whether nothing at all could be looked at: every coverage is an error or a refusal.
    pub fn nothing_seen(&self) -> bool {
        !self.coverage.iter().any(|coverage| {
            matches!(
                coverage.state,
                CoverageState::Collected | CoverageState::Unsupported | CoverageState::Partial
            )
        })
    }
}
