//! Findings that somebody answers for.

use chrono::{DateTime, Utc};
use mailwarden_policy::{Exception, Policy};

use crate::wording::{day, joined};
use crate::{Finding, Status, Suppression};

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
    fn a_changed_rule_is_open_again() {
        let narrow = format!("if header :is \"subject\" \"report\" {{ {FORWARD} }}");
        let (finding, verdict) = judged_under(&narrow, "2026-12-01T00:00:00Z", FORWARD);
        assert_eq!((finding.status, verdict), (Status::New, Verdict::Findings));
        assert!(finding.conditions.contains("open again"), "{}", finding.conditions);
    }
}
