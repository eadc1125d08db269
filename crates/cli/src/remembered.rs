//! What the ledger knows of a sweep, and what it remembers of it.

use std::collections::BTreeMap;

use mailwarden_casework::Entry;
use mailwarden_casework::access::{self, Grant};
use mailwarden_casework::observed::{Became, Comparison, Difference};
use mailwarden_judge::{AccessRecord, Finding, Report, Status, against_access, compare};
use mailwarden_ledger::{Event, EventFilter, EventKind, Ledger, LedgerError, MAX_EVENTS_PER_CALL, shown_url};
use mailwarden_settings::Settings;
use serde_json::json;

use crate::control::{entries_matching, entries_of, to_event};
use crate::output::complain;

/// Sets a report against the access on record and against the report before it, and puts on record what the
/// sweep saw. A sweep is worth reading where the ledger is away: grants are then findings, recorded or not.
pub(crate) async fn remember(settings: &Settings, report: Report, previous: Option<&Report>) -> Report {
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
    if let Err(error) = append(ledger, &report, previous).await {
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

async fn append(ledger: Ledger, report: &Report, previous: Option<&Report>) -> Result<(), LedgerError> {
    let recorded = recorded_findings(&ledger).await?;
    let mut events = vec![finished(report)];
    let unrecorded = |finding: &&Finding| {
        finding.status != Status::New || recorded.get(&finding.fingerprint) != Some(&finding.content_hash)
    };
    events.extend(report.findings.iter().filter(unrecorded).filter_map(|finding| change(report, finding)));
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
        if entry.kind == EventKind::FindingResolved.as_str() {
            open.remove(&text("fingerprint"));
        } else {
            open.insert(text("fingerprint"), text("content_hash"));
        }
    }
    Ok(open)
}

fn finished(report: &Report) -> Event {
    Event::new(EventKind::SweepFinished, report.finished, actor(), "sweep").with(json!({
        "run_id": report.run_id,
        "verdict": report.verdict,
        "surfaces": report.surfaces,
        "coverage": report.coverage.len(),
        "gaps": report.gaps().count(),
        "findings": report.open_findings().count(),
        "policy_digest": report.policy_digest,
    }))
}

fn change(report: &Report, finding: &Finding) -> Option<Event> {
    let kind = match finding.status {
        Status::New => EventKind::FindingOpened,
        Status::Changed => EventKind::FindingChanged,
        Status::Resolved => EventKind::FindingResolved,
        Status::Unchanged | Status::Accepted => return None,
    };
    let subject: String = finding.mailbox.chars().take(200).collect();
    Some(Event::new(kind, report.finished, actor(), subject).with(json!({
        "run_id": report.run_id,
        "fingerprint": finding.fingerprint,
        "content_hash": finding.content_hash,
        "check_id": finding.check_id,
        "surface": finding.surface.id,
        "severity": finding.severity,
        "title": finding.title,
    })))
}

fn actor() -> String {
    format!("mailwarden uid={}", rustix::process::getuid().as_raw())
}

// --- changes that nobody recorded -----------------------------------------------------------------------------------

async fn unexplained(ledger: &Ledger, report: &Report, previous: &Report) -> Result<Vec<Entry>, LedgerError> {
    // Recorded while the sweep before was under way is recorded since.
    let since = previous.started;
    let filter = EventFilter { since: Some(since), ..EventFilter::default() };
    let recorded = entries_matching(ledger, filter).await?;
    let comparison =
        Comparison { run_id: &report.run_id, at: report.finished, since: Some(since), recorded: &recorded };
    Ok(comparison.observed(&differences(report, previous), &actor()))
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
            mailbox: finding.mailbox.clone(),
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
