//! What the ledger knows of a sweep, and what it remembers of it.

use std::collections::{BTreeMap, BTreeSet};

use mailwarden_casework::Entry;
use mailwarden_casework::access::{self, Grant};
use mailwarden_casework::observed::{Became, Comparison, Difference};
use mailwarden_judge::{AccessRecord, Finding, Report, Status, against_access, compare};
use mailwarden_ledger::{Event, EventFilter, EventKind, Ledger, LedgerError, MAX_EVENTS_PER_CALL, shown_url};
use mailwarden_policy::Policy;
use mailwarden_settings::Settings;
use serde_json::json;

use crate::control::{by_uid, entries_matching, entries_of, to_event};
use crate::output::complain;

/// Longest subject of a finding's event.
const MAX_SUBJECT_CHARACTERS: usize = 200;

/// Sets a report against the access on record and against the report before it, and puts on record what the
/// sweep saw. A sweep is worth reading where the ledger is away: grants are then findings, recorded or not.
pub(crate) async fn remember(
    settings: &Settings,
    policy: &Policy,
    report: Report,
    previous: Option<&Report>,
) -> Report {
    let url = shown_url(&settings.ledger.url);
    let ledger = match Ledger::open(&settings.ledger.url).await {
        Ok(ledger) => ledger,
        Err(error) => {
            complain(&format!(
                "warning: this sweep is not recorded in the ledger {url}: {error}\n  \
                 access that is on record there is reported as if it were not"
            ));
            return compared(report, previous);
        }
    };
    let report = match access_records(&ledger).await {
        Ok(records) => against_access(report, &records),
        Err(error) => {
            complain(&format!("warning: access on record could not be read from the ledger {url}: {error}"));
            report
        }
    };
    let report = compared(report, previous);
    if let Err(error) = append(ledger, policy, &report, previous).await {
        complain(&format!("warning: this sweep is not recorded in the ledger {url}: {error}"));
    }
    report
}

fn compared(report: Report, previous: Option<&Report>) -> Report {
    match previous {
        Some(previous) => compare(report, previous),
        None => report,
    }
}

async fn access_records(ledger: &Ledger) -> Result<Vec<AccessRecord>, LedgerError> {
    let entries = entries_of(ledger, "access.", None).await?;
    Ok(access::grants(&entries).into_iter().map(access_record).collect())
}

fn access_record(grant: Grant) -> AccessRecord {
    let granted = grant.granted;
    AccessRecord {
        number: granted.case,
        mailbox: granted.mailbox,
        grantee: granted.grantee,
        rights: granted.rights,
        reason: granted.reason,
        approver: granted.approval.approver.to_string(),
        expires: granted.expires,
        ended: grant.ended.is_some(),
    }
}

async fn append(
    ledger: Ledger,
    policy: &Policy,
    report: &Report,
    previous: Option<&Report>,
) -> Result<(), LedgerError> {
    let recorded = recorded_findings(&ledger).await?;
    let mut events = vec![finished(policy, report)];
    let changes = report.findings.iter().filter_map(|finding| {
        Some(change(report, finding, became(finding, recorded.get(&finding.fingerprint))?))
    });
    events.extend(changes);
    if let Some(previous) = previous {
        events.extend(unexplained(&ledger, report, previous).await?.into_iter().filter_map(to_event));
    }
    // A call appends a bounded number of events as one; a sweep may find more than that.
    for events in events.chunks(MAX_EVENTS_PER_CALL) {
        ledger.append_all(events.to_vec()).await?;
    }
    ledger.close().await
}

/// Fingerprint to content hash of every finding the ledger holds as open. Without a baseline every finding is new
/// to the run; the ledger has it once all the same.
async fn recorded_findings(ledger: &Ledger) -> Result<BTreeMap<String, String>, LedgerError> {
    let mut open = BTreeMap::new();
    for entry in entries_of(ledger, "finding.", None).await? {
        let text = |key: &str| entry.payload[key].as_str().unwrap_or_default().to_owned();
        let is_over = [EventKind::FindingResolved, EventKind::FindingAccepted]
            .iter()
            .any(|kind| kind.as_str() == entry.kind);
        if is_over {
            open.remove(&text("fingerprint"));
        } else {
            open.insert(text("fingerprint"), text("content_hash"));
        }
    }
    Ok(open)
}

/// What is recorded of a finding, by what the ledger holds as open. It is not taken from the run's own baseline, of
/// which the ledger knows nothing: what an exception accepted is closed once, and open again once it has ended.
fn became(finding: &Finding, recorded: Option<&String>) -> Option<EventKind> {
    match (finding.status, recorded) {
        (Status::Resolved, _) => Some(EventKind::FindingResolved),
        (Status::Accepted, recorded) => recorded.map(|_| EventKind::FindingAccepted),
        (_, None) => Some(EventKind::FindingOpened),
        (_, Some(hash)) => (*hash != finding.content_hash).then_some(EventKind::FindingChanged),
    }
}

/// Whether the run looked at all mailboxes of the policy: a look at one of them, or at domains, says nothing of
/// the others.
fn saw_every_mailbox(policy: &Policy, report: &Report) -> bool {
    let seen: BTreeSet<String> = report.coverage.iter().map(|row| row.mailbox.to_lowercase()).collect();
    let mut mailboxes = policy.mailboxes().iter().map(|mailbox| mailbox.address.to_string().to_lowercase());
    mailboxes.all(|mailbox| seen.contains(&mailbox))
}

fn finished(policy: &Policy, report: &Report) -> Event {
    Event::new(EventKind::SweepFinished, report.finished, by_uid(), "sweep").with(json!({
        "run_id": report.run_id,
        "verdict": report.verdict,
        "surfaces": report.surfaces,
        "every_mailbox": saw_every_mailbox(policy, report),
        "coverage": report.coverage.len(),
        "gaps": report.gaps().count(),
        "findings": report.open_findings().count(),
        "policy_digest": report.policy_digest,
    }))
}

/// A server may list an account whose name is longer than the ledger takes a subject.
fn subject(finding: &Finding) -> String {
    finding.mailbox.chars().take(MAX_SUBJECT_CHARACTERS).collect()
}

fn change(report: &Report, finding: &Finding, kind: EventKind) -> Event {
    Event::new(kind, report.finished, by_uid(), subject(finding)).with(json!({
        "run_id": report.run_id,
        "fingerprint": finding.fingerprint,
        "content_hash": finding.content_hash,
        "check_id": finding.check_id,
        "surface": finding.surface.id,
        "severity": finding.severity,
        "title": finding.title,
    }))
}

// --- changes that nobody recorded -----------------------------------------------------------------------------------

async fn unexplained(ledger: &Ledger, report: &Report, previous: &Report) -> Result<Vec<Entry>, LedgerError> {
    // Recorded while the sweep before was under way is recorded since.
    let since = previous.started;
    let filter = EventFilter { since: Some(since), ..EventFilter::default() };
    let recorded = entries_matching(ledger, filter).await?;
    let comparison =
        Comparison { run_id: &report.run_id, at: report.finished, since: Some(since), recorded: &recorded };
    Ok(comparison.observed(&differences(report, previous), &by_uid()))
}

/// A key of a table that stands for every local part of its domain.
fn is_catch_all(finding: &Finding) -> bool {
    finding.locator.key.as_ref().is_some_and(|key| key.starts_with('@'))
}

fn differences(report: &Report, previous: &Report) -> Vec<Difference> {
    let before: BTreeMap<&str, &Finding> =
        previous.findings.iter().map(|finding| (finding.fingerprint.as_str(), finding)).collect();
    let difference = |finding: &Finding| {
        let became = match finding.status {
            // What the sweep before could not look at may have been there for years.
            Status::New if !previous.is_complete(&finding.mailbox, &finding.surface.id) => return None,
            Status::New => Became::Present,
            Status::Changed => Became::Different,
            Status::Resolved => Became::Absent,
            Status::Unchanged | Status::Accepted => return None,
        };
        let before = before.get(finding.fingerprint.as_str()).filter(|_| became != Became::Present);
        Some(Difference {
            check_id: finding.check_id.clone(),
            fingerprint: finding.fingerprint.clone(),
            mailbox: subject(finding),
            is_catch_all: is_catch_all(finding),
            beneficiary: finding.beneficiary.value.clone(),
            title: finding.title.clone(),
            became,
            before: before.map(|finding| {
                json!({
                    "run_id": finding.run_id,
                    "content_hash": finding.content_hash,
                    "title": finding.title,
                    "path": finding.path,
                    "conditions": finding.conditions,
                    "evidence": finding.evidence,
                })
            }),
        })
    };
    report.findings.iter().filter_map(difference).collect()
}
