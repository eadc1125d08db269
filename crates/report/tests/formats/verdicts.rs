use mailwarden_evidence::CoverageState;
use mailwarden_judge::{Finding, Severity, Status, Verdict};
use mailwarden_report::summary_line;

use crate::fixture::{finding, report, sealed, seen};

fn redirect(status: Status) -> Finding {
    Finding { status, ..finding("aa", Severity::Critical, "Mail is forwarded outside") }
}

#[test]
fn clean_is_said_where_everything_was_looked_at() {
    let all = vec![seen("a@example.org", "imap.acl", CoverageState::Collected, "")];
    assert_eq!(
        summary_line(&sealed(vec![], all.clone())),
        "CLEAN: everything asked for was looked at; nothing found."
    );
    assert_eq!(
        summary_line(&sealed(vec![redirect(Status::Accepted)], all)),
        "CLEAN: everything asked for was looked at; nothing found beyond 1 accepted finding."
    );
}

#[test]
fn findings_are_counted_and_gaps_kept_in_sight() {
    assert_eq!(
        summary_line(&report()),
        "NOT CLEAN: 3 findings (1 critical, 1 high, 1 medium); \
         3 of 6 checks could not look, so there may be more."
    );
    assert_eq!(
        summary_line(&sealed(vec![redirect(Status::New)], vec![])),
        "NOT CLEAN: 1 finding (1 critical); it is not recorded what was looked at, so there may be more."
    );
}

#[test]
fn what_was_not_seen_is_unknown() {
    let gap = |state| seen("a@example.org", "imap.acl", state, "no answer");
    let line = |coverage| summary_line(&sealed(vec![], coverage));
    assert_eq!(line(vec![]), "UNKNOWN: nothing was looked at, so nothing is proved.");
    assert_eq!(
        line(vec![gap(CoverageState::Error), gap(CoverageState::Denied)]),
        "UNKNOWN: nothing found, but none of the 2 checks could look, so nothing is proved."
    );
    assert_eq!(
        line(vec![gap(CoverageState::Collected), gap(CoverageState::Partial)]),
        "UNKNOWN: nothing found, but 1 of 2 checks could not look in full, so nothing is proved."
    );
}

#[test]
fn an_edited_verdict_is_not_believed() {
    let mut edited = report();
    edited.verdict = Verdict::Clean;
    assert!(summary_line(&edited).starts_with("NOT CLEAN: "));
    edited.findings.clear();
    assert!(summary_line(&edited).starts_with("UNKNOWN: "));
    edited.coverage.retain(|coverage| coverage.state.is_complete());
    assert!(summary_line(&edited).starts_with("CLEAN: "));
    edited.verdict = Verdict::Incomplete;
    assert!(summary_line(&edited).starts_with("UNKNOWN: "));
}
