//! Counting a report, and saying in one sentence what it comes to.

use mailwarden_evidence::CoverageState;
use mailwarden_judge::{Report, Severity, Status, Verdict};

use crate::phrases::{SEVERITIES, count, is_or_are, severity_word};

/// The numbers of a report.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Open findings by severity, worst first.
    pub(crate) severities: [(&'static str, usize); SEVERITIES.len()],
    /// Findings that nobody accepted and that are still there.
    pub(crate) open: usize,
    /// Of the open ones, those of status new, changed and unchanged.
    pub(crate) new: usize,
    pub(crate) changed: usize,
    pub(crate) unchanged: usize,
    /// Findings under an exception.
    pub(crate) accepted: usize,
    /// Findings that are gone.
    pub(crate) resolved: usize,
    /// Surfaces of mailboxes asked for, and those that were not looked at completely.
    pub(crate) checks: usize,
    pub(crate) gaps: usize,
    /// Of the gaps, those that were looked at in part or left out, as opposed to not seen at all.
    in_part: usize,
}

impl Tally {
    pub(crate) fn of(report: &Report) -> Self {
        let status = |wanted| report.findings.iter().filter(|finding| finding.status == wanted).count();
        Self {
            severities: SEVERITIES.map(|severity| (severity_word(severity), open_at(report, severity))),
            open: report.open_findings().count(),
            new: status(Status::New),
            changed: status(Status::Changed),
            unchanged: status(Status::Unchanged),
            accepted: status(Status::Accepted),
            resolved: status(Status::Resolved),
            checks: report.coverage.len(),
            gaps: report.gaps().count(),
            in_part: report.gaps().filter(|gap| is_in_part(gap.state)).count(),
        }
    }

    /// The verdict to show. A saved run may have been edited, so the word "clean" is never taken from the
    /// file alone: what the report holds must bear it out.
    pub(crate) fn verdict(&self, stated: Verdict) -> Verdict {
        if self.open > 0 {
            Verdict::Findings
        } else if self.gaps > 0 || self.checks == 0 || stated != Verdict::Clean {
            Verdict::Incomplete
        } else {
            Verdict::Clean
        }
    }

    /// "3 critical, 1 low", without the severities that do not occur.
    fn by_severity(&self) -> String {
        let occurring = self.severities.iter().filter(|(_, number)| *number > 0);
        occurring.map(|(word, number)| format!("{number} {word}")).collect::<Vec<_>>().join(", ")
    }

    /// "3 of 12 checks could not look".
    fn gaps_clause(&self) -> String {
        let fully = if self.in_part > 0 { " in full" } else { "" };
        if self.gaps == self.checks {
            format!("none of the {} could look{fully}", count(self.checks, "check"))
        } else {
            format!("{} of {} could not look{fully}", self.gaps, count(self.checks, "check"))
        }
    }

    fn nothing_found(&self) -> String {
        match self.accepted {
            0 => "nothing found".to_owned(),
            accepted => format!("nothing found beyond {}", count(accepted, "accepted finding")),
        }
    }

    fn why_incomplete(&self) -> String {
        let found = self.nothing_found();
        if self.checks == 0 {
            "nothing was looked at".to_owned()
        } else if self.gaps == 0 {
            format!("{found}, but the run does not call itself complete")
        } else {
            format!("{found}, but {}", self.gaps_clause())
        }
    }

    fn what_else(&self) -> String {
        if self.checks == 0 {
            "; it is not recorded what was looked at, so there may be more".to_owned()
        } else if self.gaps > 0 {
            format!("; {}, so there may be more", self.gaps_clause())
        } else {
            String::new()
        }
    }
}

fn open_at(report: &Report, severity: Severity) -> usize {
    report.open_findings().filter(|finding| finding.severity == severity).count()
}

fn is_in_part(state: CoverageState) -> bool {
    matches!(state, CoverageState::Partial | CoverageState::Skipped)
}

/// The first word of the verdict sentence.
pub(crate) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "CLEAN",
        Verdict::Findings => "NOT CLEAN",
        Verdict::Incomplete => "UNKNOWN",
    }
}

/// The verdict sentence without its first word.
pub(crate) fn verdict_reason(report: &Report) -> String {
    let tally = Tally::of(report);
    match tally.verdict(report.verdict) {
        Verdict::Clean => format!("everything asked for was looked at; {}.", tally.nothing_found()),
        Verdict::Incomplete => format!("{}, so nothing is proved.", tally.why_incomplete()),
        Verdict::Findings => {
            format!("{} ({}){}.", count(tally.open, "finding"), tally.by_severity(), tally.what_else())
        }
    }
}

/// The report in one line: `CLEAN: …`, `NOT CLEAN: …` or `UNKNOWN: …`.
pub fn summary_line(report: &Report) -> String {
    let verdict = Tally::of(report).verdict(report.verdict);
    format!("{}: {}", verdict_word(verdict), verdict_reason(report))
}

/// What changed since the run before.
pub(crate) fn since_last_time(tally: &Tally) -> String {
    let before = tally.changed + tally.unchanged + tally.resolved;
    match (tally.open + tally.resolved, before) {
        (0, _) => "Nothing is open, and nothing is known to have gone.".to_owned(),
        (_, 0) => {
            "Everything is new: there is no run before this one, or nothing was found in it.".to_owned()
        }
        _ => format!(
            "{} new, {} changed, {} gone; {} as before.",
            tally.new, tally.changed, tally.resolved, tally.unchanged
        ),
    }
}

/// "9 of 12 checks are complete."
pub(crate) fn coverage_line(tally: &Tally) -> String {
    if tally.checks == 0 {
        return "Coverage was not recorded.".to_owned();
    }
    let looked = tally.checks - tally.gaps;
    let verb = is_or_are(looked);
    format!("{looked} of {} {verb} complete.", count(tally.checks, "check"))
}
