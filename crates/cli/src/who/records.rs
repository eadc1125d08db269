//! What the ledger knows of a mailbox: access, the last sweep, open findings and cases.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mailwarden_casework::{Entry, access, reset};
use mailwarden_ledger::{EventFilter, Ledger, LedgerError};
use serde::Serialize;

use crate::control::entries_of;

/// Runs among which the last one that looked at every mailbox is searched.
const MAX_RUNS: u64 = 1000;

/// What is on record about one mailbox.
#[derive(Debug, Serialize)]
pub(super) struct Records {
    pub(super) access: Vec<String>,
    pub(super) last_sweep: Option<LastSweep>,
    pub(super) findings: Vec<String>,
    pub(super) cases: Vec<String>,
}

/// The last run of the rounds over every mailbox.
#[derive(Debug, Serialize)]
pub(super) struct LastSweep {
    pub(super) at: DateTime<Utc>,
    pub(super) verdict: String,
    pub(super) run_id: String,
}

/// `None` where there is no ledger, or it cannot be read: what it holds is then unknown, not none.
pub(super) async fn read(url: &str, mailbox: &str, now: DateTime<Utc>) -> Option<Records> {
    let ledger = Ledger::open_existing(url).await.ok()?;
    let records = records(&ledger, mailbox, now).await.ok();
    let _ = ledger.close().await;
    records
}

async fn records(ledger: &Ledger, mailbox: &str, now: DateTime<Utc>) -> Result<Records, LedgerError> {
    let of = |kinds: &'static str| entries_of(ledger, kinds, Some(mailbox));
    let mut cases: Vec<String> = reset::cases(&of("reset.").await?)
        .iter()
        .filter(|case| case.is_open())
        .map(|case| format!("reset {} ({:?})", case.id(), case.stage()).to_lowercase())
        .collect();
    let offboardings = mailwarden_casework::offboard::cases(&of("offboard.").await?);
    let open = offboardings.iter().filter(|case| case.is_open());
    cases.extend(open.map(|case| format!("offboarding {} of {}", case.id(), case.opened.name)));
    Ok(Records {
        access: grants(&of("access.").await?, now),
        last_sweep: last_sweep(ledger).await?,
        findings: findings(&of("finding.").await?),
        cases,
    })
}

fn grants(entries: &[Entry], now: DateTime<Utc>) -> Vec<String> {
    let grants = access::grants(entries);
    let open = grants.iter().filter(|grant| grant.ended.is_none());
    open.map(|grant| {
        let state = if grant.has_lapsed(now) { "LAPSED" } else { "until" };
        format!("{} {state} {}", grant.granted.grantee, grant.granted.expires.format("%Y-%m-%d"))
    })
    .collect()
}

/// Those that were opened or changed, and not resolved or accepted since.
fn findings(entries: &[Entry]) -> Vec<String> {
    let mut open: BTreeMap<&str, String> = BTreeMap::new();
    for entry in entries {
        let text = |key: &str| entry.payload[key].as_str().unwrap_or_default();
        match entry.kind.as_str() {
            "finding.resolved" | "finding.accepted" => drop(open.remove(text("fingerprint"))),
            _ => {
                let line = format!("{} {}", text("severity"), text("title"));
                open.insert(text("fingerprint"), line);
            }
        }
    }
    open.into_values().collect()
}

/// The last run that looked at every mailbox. One that looked at some, or at domains, says nothing of this one.
async fn last_sweep(ledger: &Ledger) -> Result<Option<LastSweep>, LedgerError> {
    let filter = EventFilter {
        kind_prefix: Some("sweep.finished".to_owned()),
        limit: Some(MAX_RUNS),
        newest_first: true,
        ..EventFilter::default()
    };
    let runs = ledger.events(&filter).await?.into_iter();
    Ok(runs.into_iter().find_map(|event| {
        let payload = event.detail?.payload;
        (payload["every_mailbox"] == true).then_some(())?;
        let text = |key: &str| payload[key].as_str().unwrap_or_default().to_owned();
        Some(LastSweep { at: event.at, verdict: text("verdict"), run_id: text("run_id") })
    }))
}
