//! Changes are told with their prior state and their latest outcome, also when they were cut off.

#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]

#[macro_use]
mod common;

use common::{Databases, at};
use mailwarden_ledger::{ChangeOutcome, Event, EventKind};
use serde_json::json;

fn event(kind: EventKind, id: &str) -> Event {
    let event = Event::new(kind.clone(), at("2026-03-01T09:30:00Z"), "omar", "bob@example.test");
    let event = event.because("OFF-12").with(json!({ "change": id, "object": { "object": "script" } }));
    if kind == EventKind::ChangePlanned { event.replacing(json!({ "source": "keep;" })) } else { event }
}

on_both_databases! {
    a_change_without_outcome_is_unfinished_and_keeps_its_prior_state,
}

async fn a_change_without_outcome_is_unfinished_and_keeps_its_prior_state(databases: Databases) {
    let place = databases.place();
    let ledger = place.open().await;
    for (kind, id) in [
        (EventKind::ChangePlanned, "a"),
        (EventKind::ChangePlanned, "b"),
        (EventKind::ChangeApplied, "a"),
        (EventKind::ChangePlanned, "c"),
        (EventKind::ChangeFailed, "c"),
        (EventKind::ChangeReverted, "a"),
    ] {
        ledger.append_all(vec![event(kind, id)]).await.unwrap();
    }
    let changes = ledger.changes().await.unwrap();
    let told: Vec<(&str, ChangeOutcome)> =
        changes.iter().map(|change| (change.id.as_str(), change.outcome)).collect();
    assert_eq!(
        told,
        [("a", ChangeOutcome::Reverted), ("b", ChangeOutcome::Unfinished), ("c", ChangeOutcome::Failed)]
    );
    let cut_off = ledger.change("b").await.unwrap().unwrap();
    assert_eq!(cut_off.prior_state, Some(json!({ "source": "keep;" })));
    assert_eq!(cut_off.reason.as_deref(), Some("OFF-12"));
    assert!(ledger.change("d").await.unwrap().is_none());
}
