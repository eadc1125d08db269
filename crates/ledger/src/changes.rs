//! Changes as the ledger tells them: planned with the state before, then applied, failed or reverted.
//!
//! A change that was planned and has no outcome was cut off: nobody knows whether it took effect. It keeps its
//! prior state, so it can be looked at and put back like any other.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::error::LedgerError;
use crate::event::{EventKind, StoredEvent};
use crate::filter::EventFilter;
use crate::ledger::Ledger;

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// Nothing is recorded after the plan: the program or the server died in between.
    Unfinished,
    /// Made, read back and found as planned.
    Applied,
    /// Tried, and not in effect.
    Failed,
    /// The state before is back.
    Reverted,
}

/// One change.
#[derive(Debug, Clone)]
pub struct RecordedChange {
    /// Its identifier.
    pub id: String,
    /// When it was planned.
    pub planned_at: DateTime<Utc>,
    /// Who executed it.
    pub actor: String,
    /// Ticket and approval.
    pub reason: Option<String>,
    /// What was there before; `None` once it was erased.
    pub prior_state: Option<Value>,
    /// What was planned; null once it was erased.
    pub payload: Value,
    /// The latest outcome.
    pub outcome: ChangeOutcome,
}

impl Ledger {
    /// Every change the ledger holds, oldest first.
    ///
    /// # Errors
    /// The database could not be read.
    pub async fn changes(&self) -> Result<Vec<RecordedChange>, LedgerError> {
        let mut changes: BTreeMap<String, RecordedChange> = BTreeMap::new();
        let mut order = Vec::new();
        let mut filter = EventFilter { kind_prefix: Some("change.".to_owned()), ..EventFilter::default() };
        loop {
            let events = self.events(&filter).await?;
            let Some(last) = events.last() else { break };
            filter.after = Some(last.index);
            for event in &events {
                fold(&mut changes, &mut order, event);
            }
        }
        Ok(order.iter().filter_map(|id| changes.remove(id)).collect())
    }

    /// One change by its identifier.
    ///
    /// # Errors
    /// The database could not be read.
    pub async fn change(&self, id: &str) -> Result<Option<RecordedChange>, LedgerError> {
        Ok(self.changes().await?.into_iter().find(|change| change.id == id))
    }
}

fn fold(changes: &mut BTreeMap<String, RecordedChange>, order: &mut Vec<String>, event: &StoredEvent) {
    let Some(detail) = &event.detail else { return };
    let Some(id) = detail.payload["change"].as_str().map(str::to_owned) else { return };
    let outcome = match event.kind {
        EventKind::ChangeApplied => ChangeOutcome::Applied,
        EventKind::ChangeFailed => ChangeOutcome::Failed,
        EventKind::ChangeReverted => ChangeOutcome::Reverted,
        EventKind::ChangePlanned => {
            order.push(id.clone());
            changes.insert(id.clone(), planned(id, event));
            return;
        }
        _ => return,
    };
    if let Some(change) = changes.get_mut(&id) {
        change.outcome = outcome;
    }
}

fn planned(id: String, event: &StoredEvent) -> RecordedChange {
    let detail = event.detail.as_ref();
    RecordedChange {
        id,
        planned_at: event.at,
        actor: event.actor.clone(),
        reason: event.reason.clone(),
        prior_state: detail.and_then(|detail| detail.prior_state.clone()),
        payload: detail.map(|detail| detail.payload.clone()).unwrap_or_default(),
        outcome: ChangeOutcome::Unfinished,
    }
}
