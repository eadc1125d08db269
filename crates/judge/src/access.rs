//! Grants that the mail system holds, against the access that is on record.
//!
//! An access for a time is recorded with reason, approver and end. A grant that such a record covers is
//! accepted for as long as the record holds; one that outlived its record, or goes further, stays a finding
//! and says so.

use chrono::{DateTime, Utc};
use mailwarden_address::Address;

use crate::checks::acl_effects;
use crate::wording::{day, joined};
use crate::{Finding, Report, Status, Suppression};

/// An access that is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRecord {
    /// Its number.
    pub number: String,
    /// The mailbox.
    pub mailbox: Address,
    /// Who was let in.
    pub grantee: Address,
    /// With which rights, in the letters of RFC 4314 §2.1.
    pub rights: String,
    /// Why.
    pub reason: String,
    /// Who said yes.
    pub approver: String,
    /// Until when.
    pub expires: DateTime<Utc>,
    /// Whether somebody recorded that it was taken away.
    pub ended: bool,
}

/// Sets the grants of a report against the records of access.
pub fn against_access(mut report: Report, records: &[AccessRecord]) -> Report {
    let now = report.finished;
    for finding in report.findings.iter_mut().filter(|finding| is_grant(finding)) {
        let about: Vec<&AccessRecord> = records.iter().filter(|record| is_about(record, finding)).collect();
        // A live record comes before one that is over, and the latest before the rest.
        let best = about.into_iter().max_by_key(|record| (is_live(record, now), record.expires));
        if let Some(record) = best {
            judge_record(finding, record, now);
        }
    }
    report.seal()
}

/// A leaver has no access that a record could excuse, and a group or "anyone" is nobody that one is given to.
fn is_grant(finding: &Finding) -> bool {
    matches!(finding.check_id.as_str(), "acl.grant-internal" | "acl.grant-unknown" | "acl.grant-global")
        && !matches!(finding.status, Status::Accepted | Status::Resolved)
}

fn is_about(record: &AccessRecord, finding: &Finding) -> bool {
    let is = |text: &str, address: &Address| Address::parse(text).is_ok_and(|parsed| parsed == *address);
    is(&finding.mailbox, &record.mailbox) && is(&finding.beneficiary.value, &record.grantee)
}

fn is_live(record: &AccessRecord, now: DateTime<Utc>) -> bool {
    !record.ended && record.expires > now
}

fn judge_record(finding: &mut Finding, record: &AccessRecord, now: DateTime<Utc>) {
    let allowed = acl_effects(&record.rights);
    let beyond: Vec<&str> =
        finding.effects.iter().filter(|effect| !allowed.contains(effect)).map(String::as_str).collect();
    let (number, until) = (&record.number, day(record.expires));
    if !is_live(record, now) {
        let over = if record.ended { "was taken back".to_owned() } else { format!("ended on {until}") };
        finding.title = format!("{} The access {number} that allowed it {over}.", finding.title);
    } else if beyond.is_empty() {
        finding.status = Status::Accepted;
        finding.suppression = Some(Suppression {
            reason: format!("access {number}: {}", record.reason),
            approver: record.approver.clone(),
            expires: record.expires,
        });
    } else {
        let sentence = format!("the access {number} allows less: not {}", beyond.join(", "));
        finding.conditions = joined(&[std::mem::take(&mut finding.conditions), sentence]);
    }
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::{AclIdentifier, CoverageState, Fact};

    use super::*;
    use crate::Verdict;
    use crate::testing::{judged, observed};

    fn report(grantee: &str, rights: &str) -> Report {
        let identifier = AclIdentifier::new(grantee, false);
        let fact = Fact::AclEntry { folder: "INBOX".to_owned(), identifier, rights: rights.to_owned() };
        let seen = [observed("jane@example.test", "imap.acl", fact)];
        judged(&seen, &[("jane@example.test", "imap.acl", CoverageState::Collected)])
    }

    fn record(grantee: &str, expires: &str) -> AccessRecord {
        AccessRecord {
            number: "A-1".to_owned(),
            mailbox: Address::parse("jane@example.test").unwrap(),
            grantee: Address::parse(grantee).unwrap(),
            rights: "lr".to_owned(),
            reason: "holiday".to_owned(),
            approver: "jane@example.test".to_owned(),
            expires: expires.parse().unwrap(),
            ended: false,
        }
    }

    const OMAR: &str = "omar@example.test";
    const LATER: &str = "2026-12-01T00:00:00Z";
    const EARLIER: &str = "2026-10-01T00:00:00Z";

    #[test]
    fn a_live_record_accepts_the_grant_until_it_ends() {
        let report = against_access(report(OMAR, "lr"), &[record(OMAR, EARLIER), record(OMAR, LATER)]);
        assert_eq!(report.verdict, Verdict::Clean);
        let accepted = report.findings[0].suppression.as_ref().unwrap();
        assert_eq!(accepted.reason, "access A-1: holiday");
        assert_eq!(accepted.expires, LATER.parse::<DateTime<Utc>>().unwrap());
    }

    #[test]
    fn a_grant_that_outlived_its_record_is_a_finding_that_says_so() {
        let lapsed = against_access(report(OMAR, "lr"), &[record(OMAR, EARLIER)]);
        assert_eq!(lapsed.verdict, Verdict::Findings);
        assert!(lapsed.findings[0].title.ends_with("The access A-1 that allowed it ended on 2026-10-01."));
        let ended = AccessRecord { ended: true, ..record(OMAR, LATER) };
        let ended = against_access(report(OMAR, "lr"), &[ended]);
        assert!(ended.findings[0].title.ends_with("was taken back."), "{}", ended.findings[0].title);
    }

    #[test]
    fn a_grant_beyond_its_record_or_to_somebody_else_stays_open() {
        let more = against_access(report(OMAR, "lra"), &[record(OMAR, LATER)]);
        assert!(more.findings[0].conditions.ends_with("the access A-1 allows less: not administer"));
        for (grantee, recorded) in [("olga@example.test", OMAR), ("bob@example.test", "bob@example.test")] {
            let open = against_access(report(grantee, "lr"), &[record(recorded, LATER)]);
            assert_eq!((open.verdict, open.findings[0].suppression.is_none()), (Verdict::Findings, true));
        }
    }
}
