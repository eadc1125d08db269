//! A ledger in a temporary directory, and a way past it into its tables.
#![allow(dead_code, reason = "every test binary uses its own part of this")]

use chrono::{DateTime, Utc};
use mailwarden_ledger::{Event, EventKind, Ledger, Receipt};
use serde_json::json;
use tempfile::TempDir;

pub(crate) struct Place {
    _directory: TempDir,
    pub(crate) url: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("ledger.db").display());
        Self { _directory: directory, url }
    }

    pub(crate) async fn open(&self) -> Ledger {
        Ledger::open(&self.url).await.unwrap()
    }

    /// Does what somebody with a SQLite shell would do.
    pub(crate) async fn tamper(&self, statements: &str) {
        let options: sqlx::sqlite::SqliteConnectOptions = self.url.parse().unwrap();
        let pool = sqlx::SqlitePool::connect_with(options.foreign_keys(false)).await.unwrap();
        let lift = "DROP TRIGGER IF EXISTS ledger_entry_is_not_deleted;
                    DROP TRIGGER IF EXISTS ledger_entry_is_not_changed;";
        let all = format!("{lift}{statements}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(all)).execute(&pool).await.unwrap();
        pool.close().await;
    }
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn held(number: usize) -> Event {
    Event::new(
        EventKind::GateHeld,
        at("2026-03-01T09:30:00Z"),
        "gate",
        format!("mailbox-{number}@acme.example"),
    )
    .because(format!("CHG-{number}"))
    .with(json!({"number": number}))
}

pub(crate) fn loaded(number: usize) -> Event {
    Event::new(EventKind::PolicyLoaded, at("2026-03-01T09:30:00Z"), "alice", format!("policy-{number}"))
}

/// Appends `count` events, every third one without personal detail, in large calls.
pub(crate) async fn fill(ledger: &Ledger, count: usize) -> Vec<Receipt> {
    let events: Vec<Event> = (0..count).map(|n| if n % 3 == 0 { loaded(n) } else { held(n) }).collect();
    let mut receipts = Vec::new();
    for chunk in events.chunks(1_000) {
        receipts.extend(ledger.append_all(chunk.to_vec()).await.unwrap());
    }
    receipts
}
