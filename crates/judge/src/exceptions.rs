//! Findings that somebody answers for.

use chrono::{DateTime, Utc};
use mailwarden_policy::{Exception, Policy};

use mailwarden_evidence::{Profile, SYSTEM, Surface};

use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::wording::{day, joined, shown};
use crate::{
    Beneficiary, BeneficiaryKind, Confidence, Finding, Locator, Severity, State, Status, Suppression,
};

/// Binds the policy's exceptions to findings. Fingerprint and content must both match: a rule that was
/// changed after it was accepted is open again, and so is one whose acceptance has run out.
pub(crate) fn apply(policy: &Policy, now: DateTime<Utc>, finding: &mut Finding) {
    let same_place =
        policy.exceptions().iter().filter(|exception| exception.fingerprint == finding.fingerprint);
    let (bound, changed): (Vec<&Exception>, Vec<&Exception>) =
        same_place.partition(|exception| exception.content_hash == finding.content_hash);
    let latest = bound.into_iter().max_by_key(|exception| exception.expires);
    match (latest, changed.first()) {
        (Some(exception), _) if exception.expires > now => accept(finding, exception),
        (Some(exception), _) => note_expired(finding, exception),
        (None, Some(exception)) => note_changed(finding, exception),
        (None, None) => {}
    }
}

/// Exceptions that need somebody's hand: run out, bound to another content, or covering nothing.
pub(crate) fn upkeep(brief: &Brief<'_>, findings: &[Finding]) -> Vec<Draft> {
    brief.policy.exceptions().iter().filter_map(|exception| need(brief, exception, findings)).collect()
}

fn need(brief: &Brief<'_>, exception: &Exception, findings: &[Finding]) -> Option<Draft> {
    let mut same_place =
        findings.iter().filter(|finding| finding.fingerprint == exception.fingerprint).peekable();
    let is_there = same_place.peek().is_some();
    let is_bound = same_place.any(|finding| finding.content_hash == exception.content_hash);
    let until = day(exception.expires);
    let short: String = exception.fingerprint.chars().take(16).collect();
    let saw_all = saw_everything(brief);
    let (check_id, severity, title) = match (exception.expires <= brief.run.now, is_there, is_bound) {
        (true, ..) => (
            "exception.expired",
            Severity::Medium,
            format!("The acceptance of finding {short} expired on {until}."),
        ),
        (false, true, false) => {
            let title = format!("The acceptance of finding {short} is for another content than it has now.");
            ("exception.stale", Severity::Medium, title)
        }
        (false, false, _) if saw_all => {
            ("exception.unused", Severity::Low, format!("The acceptance of finding {short} covers nothing."))
        }
        _ => return None,
    };
    Some(Draft { check_id, severity, title, ..draft(exception) })
}

/// Only a run that looked at everything can say that something is not there: an exception does not say on which
/// surface its finding lies, and a run of fewer surfaces is complete without them.
fn saw_everything(brief: &Brief<'_>) -> bool {
    let looked_at = |surface: &Surface| brief.coverage.iter().any(|row| row.surface == surface.id);
    brief.has_seen_all(SYSTEM, "account")
        && brief.coverage.iter().all(|row| row.state.is_complete())
        && Profile::Full.surfaces().all(looked_at)
}

fn draft(exception: &Exception) -> Draft {
    let approver = exception.approver.to_string();
    Draft {
        check_id: "",
        title: String::new(),
        severity: Severity::Low,
        confidence: Confidence::High,
        state: State::Active,
        mailbox: SYSTEM.to_owned(),
        surface: "policy".to_owned(),
        locator: Locator { key: Some(exception.fingerprint.clone()), ..Locator::default() },
        identity: vec![exception.fingerprint.clone(), exception.content_hash.clone()],
        content: vec![exception.content_hash.clone().into_bytes()],
        effects: vec!["accept".to_owned()],
        beneficiary: Beneficiary { kind: BeneficiaryKind::Internal, value: approver.clone(), person: None },
        path: vec![format!("[[exception]] of {approver}")],
        conditions: format!("accepted because: {}", shown(&exception.reason)),
        evidence: Vec::new(),
        remediation: on_surface(
            "policy",
            "look at the finding again, then renew the [[exception]] with a new approval or delete it"
                .to_owned(),
            "put the [[exception]] back from the policy's history".to_owned(),
            None,
        ),
    }
}

fn accept(finding: &mut Finding, exception: &Exception) {
    finding.status = Status::Accepted;
    finding.suppression = Some(Suppression {
        reason: exception.reason.clone(),
        approver: exception.approver.to_string(),
        expires: exception.expires,
    });
}

fn note_expired(finding: &mut Finding, exception: &Exception) {
    let until = day(exception.expires);
    finding.title = format!("{} Its acceptance expired on {until}.", finding.title);
    note(finding, format!("accepted by {} until {until}: {}", exception.approver, exception.reason));
}

fn note_changed(finding: &mut Finding, exception: &Exception) {
    note(finding, format!("{} accepted it with other content, so it is open again", exception.approver));
}

fn note(finding: &mut Finding, sentence: String) {
    finding.conditions = joined(&[std::mem::take(&mut finding.conditions), sentence]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{covered, policy_with, run, script};
    use crate::{Verdict, judge};
    use mailwarden_evidence::{CoverageState, Observation};

    const ROWS: [(&str, &str, CoverageState); 1] =
        [("sales@example.test", "managesieve.scripts", CoverageState::Collected)];

    fn seen(source: &str) -> Vec<Observation> {
        vec![script("sales@example.test", "main", true, source)]
    }

    /// The finding on a redirect, under an exception for the redirect of `accepted`.
    fn judged_under(accepted: &str, expires: &str, source: &str) -> (Finding, Verdict) {
        let before = judge(&run(), &policy_with(""), &seen(accepted), covered(&ROWS)).findings.remove(0);
        let exception = format!(
            "[[exception]]\nfingerprint = \"{}\"\ncontent_hash = \"{}\"\nreason = \"the boss said so\"\n\
             approver = \"jane@example.test\"\nexpires = {expires}\n",
            before.fingerprint, before.content_hash
        );
        let mut report = judge(&run(), &policy_with(&exception), &seen(source), covered(&ROWS));
        (report.findings.remove(0), report.verdict)
    }

    const FORWARD: &str = "redirect \"x@evil.example\";";

    #[test]
    fn an_exception_in_force_accepts_and_stays_visible() {
        let (finding, verdict) = judged_under(FORWARD, "2026-12-01T00:00:00Z", FORWARD);
        assert_eq!(finding.status, Status::Accepted);
        assert_eq!(finding.suppression.unwrap().reason, "the boss said so");
        assert_eq!(verdict, Verdict::Clean);
    }

    #[test]
    fn an_expired_exception_leaves_it_open_and_says_so() {
        let (finding, verdict) = judged_under(FORWARD, "2026-10-01T00:00:00Z", FORWARD);
        assert_eq!((finding.status, verdict), (Status::New, Verdict::Findings));
        assert!(finding.title.ends_with("Its acceptance expired on 2026-10-01."), "{}", finding.title);
    }

    #[test]
    fn exceptions_that_need_a_hand_are_findings() {
        let of = |expires: &str, covered_by: &str, rows: &[(&str, &str, CoverageState)]| {
            let before = judge(&run(), &policy_with(""), &seen(FORWARD), covered(&ROWS)).findings.remove(0);
            let exception = format!(
                "[[exception]]\nfingerprint = \"{}\"\ncontent_hash = \"{}\"\nreason = \"said so\"\n\
                 approver = \"jane@example.test\"\nexpires = {expires}\n",
                before.fingerprint, before.content_hash
            );
            let report = judge(&run(), &policy_with(&exception), &seen(covered_by), covered(rows));
            let ids = report.findings.iter().map(|finding| finding.check_id.clone());
            ids.filter(|id| id.starts_with("exception.")).collect::<Vec<_>>().join(",")
        };
        let mut all: Vec<_> = Profile::Full
            .surfaces()
            .map(|surface| ("(system)", surface.id.as_str(), CoverageState::Collected))
            .collect();
        let few = [ROWS[0], ("(system)", "account", CoverageState::Collected)];
        all.push(ROWS[0]);
        let (later, past) = ("2026-12-01T00:00:00Z", "2026-10-01T00:00:00Z");
        assert_eq!(of(later, FORWARD, &all), "");
        assert_eq!(of(past, FORWARD, &all), "exception.expired");
        let narrow = format!("if header :is \"x\" \"y\" {{ {FORWARD} }}");
        assert_eq!(of(later, &narrow, &all), "exception.stale");
        assert_eq!(of(later, "keep;", &all), "exception.unused");
        assert_eq!(of(later, "keep;", &ROWS), "", "this run did not look at everything");
        assert_eq!(of(later, "keep;", &few), "", "nor did a complete run of fewer surfaces");
    }

    #[test]
    fn a_changed_rule_is_open_again() {
        let narrow = format!("if header :is \"subject\" \"report\" {{ {FORWARD} }}");
        let (finding, verdict) = judged_under(&narrow, "2026-12-01T00:00:00Z", FORWARD);
        assert_eq!((finding.status, verdict), (Status::New, Verdict::Findings));
        assert!(finding.conditions.contains("open again"), "{}", finding.conditions);
    }
}
