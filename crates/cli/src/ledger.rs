//! `mailwarden ledger show` and `verify`.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use mailwarden_ledger::{EventFilter, Ledger, RefusalSum, StoredEvent};
use serde::Serialize;

use crate::arguments::{Common, LedgerShow, LedgerVerify};
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

#[derive(Serialize)]
struct Shown {
    schema: &'static str,
    events: Vec<StoredEvent>,
    refusals: Vec<RefusalSum>,
}

async fn open(common: &Common) -> Result<(Ledger, String), Failure> {
    let url = common.settings()?.ledger.url;
    let ledger = Ledger::open_existing(&url)
        .await
        .map_err(|error| Failure::Ledger(format!("cannot open the ledger {url}"), error))?;
    Ok((ledger, url))
}

pub(crate) async fn show(common: &Common, show: &LedgerShow) -> Result<Outcome, Failure> {
    let (ledger, url) = open(common).await?;
    let failed = |error| Failure::Ledger(format!("cannot read the ledger {url}"), error);
    let filter = EventFilter {
        kind_prefix: show.kind.clone(),
        limit: Some(show.limit),
        newest_first: true,
        ..EventFilter::default()
    };
    let mut events = ledger.events(&filter).await.map_err(failed)?;
    events.reverse();
    let wants_sums = show.kind.as_deref().is_none_or(|kind| "gate.refusals".starts_with(kind));
    let refusals = if wants_sums {
        ledger.refusal_sums(DateTime::<Utc>::UNIX_EPOCH).await.map_err(failed)?
    } else {
        Vec::new()
    };
    let shown = Shown { schema: "mailwarden.ledger/1", events, refusals };
    output::answer(show.json, &shown, text)?;
    Ok(Outcome::Clean)
}

fn text(shown_ledger: &Shown) -> String {
    let mut out = String::new();
    for event in &shown_ledger.events {
        let subject = event.detail.as_ref().map_or("(erased)", |detail| detail.subject.as_str());
        let _ = writeln!(
            out,
            "{:>6}  {}  {:<18} {}  by {}{}",
            event.index,
            event.at.format("%Y-%m-%d %H:%M:%S UTC"),
            event.kind.as_str(),
            shown(subject),
            shown(&event.actor),
            event.reason.as_deref().map(|reason| format!("  ({})", shown(reason))).unwrap_or_default()
        );
        if let Some(detail) = event.detail.as_ref().filter(|detail| !detail.payload.is_null()) {
            let _ = writeln!(out, "        {}", shown(&detail.payload.to_string()));
        }
    }
    if !shown_ledger.refusals.is_empty() {
        out.push_str("\nRefusals by hour, rule and policy object\n");
    }
    for sum in &shown_ledger.refusals {
        let hour = sum.hour.format("%Y-%m-%d %H:00 UTC");
        let _ = writeln!(out, "{:>6}  {hour}  {:<18} {}", sum.count, sum.rule, shown(&sum.object));
    }
    if out.is_empty() { "the ledger holds nothing of that kind\n".to_owned() } else { out }
}

pub(crate) async fn verify(common: &Common, verify: &LedgerVerify) -> Result<Outcome, Failure> {
    let (ledger, url) = open(common).await?;
    let failed = |error| Failure::Ledger(format!("cannot read the ledger {url}"), error);
    let problems = mailwarden_ledger::verify(&ledger, &[], &[]).await.map_err(failed)?;
    let head = ledger.head().await.map_err(failed)?;
    let damaged = problems.iter().any(mailwarden_ledger::Problem::is_damage);
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if verify.json {
        output::print_json(&serde_json::json!({
            "schema": "mailwarden.ledger-verification/1", "entries": head.size, "root": head.root,
            "damaged": damaged, "problems": lines,
        }))?;
    } else {
        let verdict = if damaged { "DAMAGED" } else { "intact" };
        let mut out = format!("{verdict}: {} entries in {url}\n", head.size);
        for line in &lines {
            let _ = writeln!(out, "  {}", shown(line));
        }
        output::print(&out)?;
    }
    Ok(if damaged { Outcome::Findings } else { Outcome::Clean })
}
