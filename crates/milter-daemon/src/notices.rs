//! From the notices of a decision to events in the ledger, before the MTA hears of the decision.
//!
//! Strangers can cause notices, so each policy object has a number of rows an hour for each kind; what comes after
//! is counted in the hour's sums. Either way it is durable when this returns.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use mailwarden_gate::{Mode, Notice, NoticeKind};
use mailwarden_ledger::{Event, EventKind, Ledger, LedgerError};
use serde_json::json;

/// More objects than this in one hour are counted together.
const MAX_OBJECTS: usize = 10_000;
const SECONDS_PER_HOUR: i64 = 3600;

/// How many events of this hour have a row of their own.
#[derive(Debug, Default)]
pub(crate) struct NoticeBook {
    rows: Mutex<(i64, Rows)>,
}

type Rows = HashMap<(NoticeKind, String), u32>;

/// Rows an hour for one policy object. Holds are looked up one by one when they are released; that a leaver's mail
/// is contained is the same fact all hour long.
fn rows_an_hour(kind: NoticeKind) -> u32 {
    match kind {
        NoticeKind::Held => 100,
        NoticeKind::UnexpectedSender | NoticeKind::LiveRedirect => 20,
        NoticeKind::Contained | NoticeKind::FloodBegan => 1,
    }
}

fn event_kind(kind: NoticeKind) -> EventKind {
    match kind {
        NoticeKind::Held => EventKind::GateHeld,
        NoticeKind::Contained => EventKind::GateContained,
        NoticeKind::UnexpectedSender => EventKind::GateUnexpectedSender,
        NoticeKind::LiveRedirect => EventKind::GateLiveRedirect,
        NoticeKind::FloodBegan => EventKind::GateFloodBegan,
    }
}

/// The name under which events beyond their rows are summed.
fn sum_name(notice: &Notice) -> String {
    let what = match notice.kind {
        NoticeKind::Held => "held",
        NoticeKind::Contained => "contained",
        NoticeKind::UnexpectedSender => "unexpected-sender",
        NoticeKind::LiveRedirect => "recorded",
        NoticeKind::FloodBegan => "flood",
    };
    format!("{}.{what}", notice.rule.id())
}

impl NoticeBook {
    /// Makes notices durable.
    ///
    /// # Errors
    /// The ledger could not record them. What they are about must then not happen.
    pub(crate) async fn record(
        &self,
        ledger: &Ledger,
        notices: &[Notice],
        queue_id: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        let (rows, sums): (Vec<&Notice>, Vec<&Notice>) =
            notices.iter().partition(|notice| self.has_row(notice, now));
        if !sums.is_empty() {
            for notice in &sums {
                ledger.record_refusal(&sum_name(notice), &notice.object, now);
            }
            ledger.flush_refusals(now).await?;
        }
        if rows.is_empty() {
            return Ok(());
        }
        let events = rows.iter().map(|notice| event(notice, queue_id, now)).collect();
        let recorded = ledger.append_all(events).await.map(drop);
        if recorded.is_ok() {
            self.use_rows(&rows, now);
        }
        recorded
    }

    fn has_row(&self, notice: &Notice, now: DateTime<Utc>) -> bool {
        self.with_hour(now, |used| match used.get(&key(notice)) {
            Some(count) => *count < rows_an_hour(notice.kind),
            None => used.len() < MAX_OBJECTS,
        })
    }

    /// Only what is recorded uses its row up: a row that failed is tried again with the next notice.
    fn use_rows(&self, rows: &[&Notice], now: DateTime<Utc>) {
        self.with_hour(now, |used| {
            for notice in rows {
                *used.entry(key(notice)).or_default() += 1;
            }
        });
    }

    fn with_hour<R>(&self, now: DateTime<Utc>, look: impl FnOnce(&mut Rows) -> R) -> R {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = now.timestamp().div_euclid(SECONDS_PER_HOUR);
        if rows.0 != hour {
            *rows = (hour, HashMap::new());
        }
        look(&mut rows.1)
    }
}

fn key(notice: &Notice) -> (NoticeKind, String) {
    (notice.kind, notice.object.clone())
}

fn event(notice: &Notice, queue_id: Option<&str>, now: DateTime<Utc>) -> Event {
    let mode = if notice.mode == Mode::Enforce { "enforce" } else { "observe" };
    Event::new(event_kind(notice.kind), now, "gate", notice.object.clone())
        .because(notice.rule.id())
        .with(json!({ "rule": notice.rule.id(), "mode": mode, "text": notice.text, "queue_id": queue_id }))
}

/// Whether the MTA is told of it, so that it must not happen unrecorded.
pub(crate) fn is_told(notice: &Notice) -> bool {
    matches!(notice.kind, NoticeKind::Held | NoticeKind::Contained)
}

#[cfg(test)]
mod tests {
    use mailwarden_gate::Rule;
    use mailwarden_ledger::EventFilter;

    use super::*;

    fn notice(kind: NoticeKind, object: &str) -> Notice {
        let (rule, mode) = (Rule::Leaver, Mode::Enforce);
        Notice { kind, rule, mode, object: object.to_owned(), text: "why".to_owned() }
    }

    #[tokio::test]
    async fn a_stranger_raises_a_number_and_not_the_number_of_rows() {
        let ledger = Ledger::open("sqlite::memory:").await.expect("ledger");
        let book = NoticeBook::default();
        let now = Utc::now();
        for _ in 0..10 {
            let notices = [notice(NoticeKind::Contained, "bob@a.test")];
            book.record(&ledger, &notices, Some("Q1"), now).await.expect("recorded");
        }
        book.record(&ledger, &[notice(NoticeKind::Held, "bob@a.test")], None, now).await.expect("recorded");
        let events = ledger.events(&EventFilter::default()).await.expect("events");
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["gate.contained", "gate.held"]);
        let sums = ledger.refusal_sums(now).await.expect("sums");
        let found: Vec<_> = sums.iter().map(|s| (s.rule.as_str(), s.object.as_str(), s.count)).collect();
        assert_eq!(found, [("leaver.contained", "bob@a.test", 9)]);
        book.record(
            &ledger,
            &[notice(NoticeKind::Contained, "bob@a.test")],
            None,
            now + chrono::TimeDelta::hours(1),
        )
        .await
        .expect("recorded");
        assert_eq!(ledger.events(&EventFilter::default()).await.expect("events").len(), 3, "the next hour");
    }

    #[tokio::test]
    async fn what_cannot_be_recorded_is_an_error_and_keeps_its_row() {
        let ledger = Ledger::open("sqlite::memory:").await.expect("ledger");
        let book = NoticeBook::default();
        let now = Utc::now();
        ledger.close().await.expect("closed");
        let notices = [notice(NoticeKind::Held, "bob@a.test")];
        assert!(book.record(&ledger, &notices, None, now).await.is_err());
        let again = Ledger::open("sqlite::memory:").await.expect("ledger");
        book.record(&again, &notices, None, now).await.expect("recorded");
        assert_eq!(again.events(&EventFilter::default()).await.expect("events").len(), 1);
    }
}
