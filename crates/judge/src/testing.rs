//! Small makers of facts for tests.

use mailwarden_evidence::{Coverage, CoverageState, Evidence, Fact, Observation};
use mailwarden_policy::{Policy, Source};

use crate::{Report, Run, judge};

/// A moment after everybody who leaves has left.
pub(crate) const LATER: &str = "2026-11-01T12:00:00Z";

pub(crate) fn example_policy() -> Policy {
    policy_with("")
}

pub(crate) fn policy_with(more: &str) -> Policy {
    let text = format!("{}\n{more}", include_str!("../../../config/policy/example.toml"));
    let source = Source::new("example.toml", text.into_bytes());
    Policy::compile(&[source]).expect("the example policy is valid").0
}

pub(crate) fn run() -> Run {
    let now = LATER.parse().unwrap();
    let tool = "mailwarden test".to_owned();
    Run { run_id: "run-1".to_owned(), tool, started: now, now, surfaces: vec!["imap.acl".to_owned()] }
}

pub(crate) fn observed(mailbox: &str, surface: &str, fact: Fact) -> Observation {
    let evidence = Evidence::of(b"raw", "excerpt", "test", LATER.parse().unwrap());
    Observation { mailbox: mailbox.to_owned(), surface: surface.to_owned(), fact, evidence }
}

pub(crate) fn script(mailbox: &str, name: &str, active: bool, source: &str) -> Observation {
    script_of(mailbox, name, active, source, "Dovecot Pigeonhole")
}

pub(crate) fn script_of(mailbox: &str, name: &str, active: bool, source: &str, engine: &str) -> Observation {
    let fact = Fact::SieveScript {
        name: name.to_owned(),
        active,
        source: source.as_bytes().to_vec(),
        implementation: engine.to_owned(),
    };
    observed(mailbox, "managesieve.scripts", fact)
}

pub(crate) fn covered(rows: &[(&str, &str, CoverageState)]) -> Vec<Coverage> {
    let row = |&(mailbox, surface, state): &(&str, &str, CoverageState)| Coverage {
        mailbox: mailbox.to_owned(),
        surface: surface.to_owned(),
        state,
        reason: if state.is_complete() { String::new() } else { "refused; try again".to_owned() },
        source: "test".to_owned(),
    };
    rows.iter().map(row).collect()
}

pub(crate) fn judged(seen: &[Observation], rows: &[(&str, &str, CoverageState)]) -> Report {
    judge(&run(), &example_policy(), seen, covered(rows))
}

/// Each finding as `check beneficiary severity`.
pub(crate) fn ids(report: &Report) -> Vec<String> {
    let line = |finding: &crate::Finding| {
        let severity = format!("{:?}", finding.severity).to_lowercase();
        format!("{} {} {severity}", finding.check_id, finding.beneficiary.value)
    };
    report.findings.iter().map(line).collect()
}
