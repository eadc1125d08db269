//! What is told of a run to people who did not ask: what is new or changed, briefly.

use mailwarden_judge::{Finding, Report, Severity, Status};
use serde::Serialize;

use crate::phrases::{count, mailbox, path_line, severity_word, status_word, worst_first};
use crate::sanitise::{clipped, visible};
use crate::tally::summary_line;

/// Names the shape of the JSON.
pub const NOTICE_SCHEMA: &str = "mailwarden.notice/1";

/// A notice, as a webhook gets it.
#[derive(Debug, Serialize)]
pub struct Notice {
    /// Always [`NOTICE_SCHEMA`].
    pub schema: &'static str,
    /// The run.
    pub run_id: String,
    /// When it ended.
    pub finished: String,
    /// The report in one line.
    pub summary: String,
    /// Mailboxes by surfaces that could not be looked at.
    pub gaps: usize,
    /// New and changed findings, worst first.
    pub findings: Vec<Told>,
    /// Further ones that are only counted.
    pub more: usize,
}

/// One finding of a notice.
#[derive(Debug, Serialize)]
pub struct Told {
    /// `new` or `changed`.
    pub status: &'static str,
    /// The severity.
    pub severity: &'static str,
    /// The sentence about it.
    pub title: String,
    /// Whose mail.
    pub mailbox: String,
    /// How mail gets there.
    pub path: String,
    /// What `mailwarden revoke` takes.
    pub fingerprint: String,
    /// Which check found it.
    pub check: String,
}

impl Notice {
    /// What is new or changed at or above a severity; `None` where that is nothing.
    #[must_use]
    pub fn of(report: &Report, severity: Severity, most: usize) -> Option<Notice> {
        let is_told = |finding: &&Finding| {
            finding.severity >= severity && matches!(finding.status, Status::New | Status::Changed)
        };
        let told = worst_first(report.open_findings().filter(is_told));
        (!told.is_empty()).then(|| Notice {
            schema: NOTICE_SCHEMA,
            run_id: shown(&report.run_id),
            finished: crate::phrases::rfc3339(report.finished),
            summary: summary_line(report),
            gaps: report.gaps().count(),
            more: told.len().saturating_sub(most),
            findings: told.into_iter().take(most).map(Told::of).collect(),
        })
    }

    /// A line about it, for a subject.
    #[must_use]
    pub fn headline(&self) -> String {
        let total = self.findings.len() + self.more;
        let worst = self.findings.first().map_or("", |worst| worst.severity);
        format!("Mailwarden: {} new or changed, the worst {worst}", count(total, "finding"))
    }

    /// The body of a letter: plain ASCII-safe lines, nothing of a stranger's obeyed.
    #[must_use]
    pub fn letter(&self) -> String {
        let mut text = format!("{}\n", self.summary);
        for told in &self.findings {
            text.push_str(&format!(
                "\n{} ({})  {}\n    {}\n    {}\n    mailwarden revoke {}\n",
                told.severity.to_uppercase(),
                told.status,
                told.title,
                told.mailbox,
                told.path,
                told.fingerprint
            ));
        }
        if self.more > 0 {
            text.push_str(&format!("\nand {}, which the report has.\n", count(self.more, "further finding")));
        }
        text
    }
}

impl Told {
    fn of(finding: &Finding) -> Told {
        Told {
            status: status_word(finding.status),
            severity: severity_word(finding.severity),
            title: shown(&finding.title),
            mailbox: shown(&mailbox(&finding.mailbox)),
            path: shown(&path_line(&finding.path)),
            fingerprint: shown(&finding.fingerprint),
            check: shown(&finding.check_id),
        }
    }
}

/// A stranger's text on one line, clipped, what is hidden written out.
fn shown(text: &str) -> String {
    visible(&clipped(text)).into_owned()
}
