//! One run of `mailwarden sweep`, read back from the JSON that scripts rely on.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::persistence::{PLANTED, Planted};
use super::stage::Stage;
use crate::talk::{count, note, seconds};

/// Findings at or above the threshold.
const EXIT_FINDINGS: i32 = 1;
const EXIT_CLEAN: i32 = 0;

/// The part of `mailwarden.report/1` that is told here.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) verdict: String,
    pub(super) coverage: Vec<Coverage>,
    pub(super) findings: Vec<Finding>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Coverage {
    pub(super) mailbox: String,
    pub(super) surface: String,
    pub(super) state: String,
    pub(super) reason: String,
}

impl Coverage {
    /// Whether something stays unknown. What a server does not have needs no look.
    pub(super) fn is_gap(&self) -> bool {
        !["collected", "unsupported"].contains(&self.state.as_str())
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Finding {
    pub(super) title: String,
    pub(super) severity: String,
    pub(super) state: String,
    pub(super) mailbox: String,
    pub(super) surface: Surface,
    pub(super) locator: Locator,
    pub(super) beneficiary: Beneficiary,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Surface {
    pub(super) id: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Locator {
    pub(super) script: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) folder: Option<String>,
    pub(super) file: Option<String>,
    pub(super) key: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Beneficiary {
    pub(super) value: String,
}

/// A report, how the command ended, and how long it took.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) report: Report,
    pub(super) code: i32,
    pub(super) took: Duration,
}

/// Makes the rounds; `reports` is where report.json and report.html go.
pub(super) fn sweep(stage: &Stage, reports: Option<&Path>) -> anyhow::Result<Rounds> {
    let directory = reports.map(|path| path.to_string_lossy().into_owned());
    let mut arguments = vec!["sweep", "--all", "--format", "json"];
    arguments.extend(directory.iter().flat_map(|directory| ["--output", directory]));
    let begin = Instant::now();
    let said = stage.mailwarden(&arguments)?;
    let took = begin.elapsed();
    let Some(code @ (EXIT_CLEAN | EXIT_FINDINGS)) = said.code else {
        let why = unlooked(&said.stdout).unwrap_or_default();
        bail!("mailwarden sweep ended with {:?}:\n{}{why}", said.code, said.stderr);
    };
    let report: Report = serde_json::from_str(&said.stdout).context("reading the report of the sweep")?;
    let places = count(report.coverage.len(), "place");
    note(&format!(
        "{places} looked at in {}, {}, exit code {code}",
        seconds(took),
        count(report.findings.len(), "finding")
    ));
    Ok(Rounds { report, code, took })
}

/// What could not be looked at, for the error about it.
fn unlooked(json: &str) -> Option<String> {
    let report: Report = serde_json::from_str(json).ok()?;
    let gaps = report.coverage.iter().filter(|row| row.is_gap());
    Some(
        gaps.map(|row| format!("\n{} {}: {}, {}", row.mailbox, row.surface, row.state, row.reason)).collect(),
    )
}

impl Rounds {
    /// What was planted and not found.
    pub(super) fn missed(&self) -> impl Iterator<Item = &'static Planted> {
        PLANTED.iter().filter(|planted| !self.report.findings.iter().any(planted.found_as))
    }

    /// Findings about nothing that was planted.
    pub(super) fn surplus(&self) -> impl Iterator<Item = &Finding> {
        let is_planted = |finding: &Finding| PLANTED.iter().any(|planted| (planted.found_as)(finding));
        self.report.findings.iter().filter(move |finding| !is_planted(finding))
    }

    pub(super) fn found_something(&self) -> bool {
        self.code == EXIT_FINDINGS && self.report.verdict == "findings"
    }

    pub(super) fn is_clean(&self) -> bool {
        self.code == EXIT_CLEAN && self.report.verdict == "clean" && self.report.findings.is_empty()
    }
}

impl Finding {
    /// Where exactly, in plain words.
    pub(super) fn place(&self) -> String {
        let Locator { script, line, folder, file, key } = &self.locator;
        let line = line.map(|line| format!("line {line}"));
        let parts = [
            script.as_ref().map(|script| format!("Sieve script \"{script}\"")),
            line,
            folder.as_ref().map(|folder| format!("folder {folder}")),
            file.as_ref().map(|file| format!("table {file}")),
            key.as_ref().map(|key| format!("entry {key}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
pub(super) fn finding(mailbox: &str, beneficiary: &str, surface: &str, locator: Locator) -> Finding {
    Finding {
        title: "Something".to_owned(),
        severity: "high".to_owned(),
        state: "active".to_owned(),
        mailbox: mailbox.to_owned(),
        surface: Surface { id: surface.to_owned() },
        locator,
        beneficiary: Beneficiary { value: beneficiary.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(findings: Vec<Finding>, code: i32, verdict: &str) -> Rounds {
        let report = Report { verdict: verdict.to_owned(), coverage: Vec::new(), findings };
        Rounds { report, code, took: Duration::ZERO }
    }

    fn grant(mailbox: &str, folder: &str, to: &str) -> Finding {
        let locator = Locator { folder: Some(folder.to_owned()), ..Locator::default() };
        finding(mailbox, to, "imap.acl", locator)
    }

    #[test]
    fn what_was_planted_and_not_found_is_missed_and_the_rest_is_surplus() {
        let found = rounds(
            vec![
                grant("ops@example.test", "Archive", "bob@example.test"),
                grant("ops@example.test", "Drafts", "bob@example.test"),
            ],
            1,
            "findings",
        );
        let missed: Vec<&str> = found.missed().map(|planted| planted.what).collect();
        assert_eq!(missed.len(), PLANTED.len() - 1);
        assert!(!missed.iter().any(|what| what.contains("Archive")), "{missed:?}");
        let surplus: Vec<String> = found.surplus().map(Finding::place).collect();
        assert_eq!(surplus, ["folder Drafts"]);
    }

    #[test]
    fn clean_needs_exit_verdict_and_emptiness_together() {
        assert!(rounds(Vec::new(), 0, "clean").is_clean());
        assert!(!rounds(Vec::new(), 0, "incomplete").is_clean());
        assert!(!rounds(Vec::new(), 1, "clean").is_clean());
        assert!(!rounds(vec![grant("a", "b", "c")], 0, "clean").is_clean());
    }
}
