//! The two databases that every sentence about the ledger is tested on, a ledger in one of them, and a way past
//! it into its tables.
#![allow(dead_code, reason = "every test binary uses its own part of this")]
#![allow(unused_macros, reason = "every test binary uses its own part of this")]

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mailwarden_lab::{PostgreSql, packages};
use mailwarden_ledger::{Event, EventKind, Ledger, LedgerOptions, Receipt};
use serde_json::json;
use tempfile::TempDir;

/// Where ledgers are made.
#[derive(Clone)]
pub(crate) enum Databases {
    Sqlite,
    PostgreSql(Arc<PostgreSql>),
}

impl Databases {
    pub(crate) fn postgresql() -> Self {
        packages::ensure_installed(&mut |_step| {}).unwrap();
        Self::PostgreSql(Arc::new(PostgreSql::start().unwrap()))
    }

    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Sqlite => {
                let directory = tempfile::tempdir().unwrap();
                let url = format!("sqlite:{}", directory.path().join("ledger.db").display());
                Place { url, kept: Kept::Sqlite(directory) }
            }
            Self::PostgreSql(server) => {
                let database = server.database().unwrap();
                Place { url: server.url(&database), kept: Kept::PostgreSql(Arc::clone(server), database) }
            }
        }
    }
}

enum Kept {
    Sqlite(TempDir),
    PostgreSql(Arc<PostgreSql>, String),
}

/// One database, empty at first.
pub(crate) struct Place {
    kept: Kept,
    pub(crate) url: String,
}

impl Place {
    pub(crate) async fn open(&self) -> Ledger {
        open_without_clock(&self.url).await
    }

    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&str> {
        self.url.strip_prefix("sqlite:")
    }

    /// Runs SQL as somebody would who has a shell of the database.
    pub(crate) async fn sql(&self, statements: &str) -> Result<(), String> {
        match &self.kept {
            Kept::Sqlite(_) => {
                let options: sqlx::sqlite::SqliteConnectOptions = self.url.parse().unwrap();
                let pool = sqlx::SqlitePool::connect_with(options.foreign_keys(false)).await.unwrap();
                let text = sqlx::AssertSqlSafe(statements.to_owned());
                let done = sqlx::raw_sql(text).execute(&pool).await;
                pool.close().await;
                done.map(drop).map_err(|error| error.to_string())
            }
            Kept::PostgreSql(server, database) => {
                server.query(database, statements).map(drop).map_err(|error| error.to_string())
            }
        }
    }

    /// The same past every trigger; the statements are written in SQLite's words.
    pub(crate) async fn tamper(&self, statements: &str) {
        let all = match &self.kept {
            Kept::Sqlite(_) => format!(
                "DROP TRIGGER IF EXISTS ledger_entry_is_not_deleted;
                 DROP TRIGGER IF EXISTS ledger_entry_is_not_changed;{statements}"
            ),
            Kept::PostgreSql(..) => {
                format!("SET session_replication_role = replica;\n{}", for_postgresql(statements))
            }
        };
        self.sql(&all).await.unwrap();
    }
}

/// A ledger that enters the refusals of past hours only when it is told to: on a busy machine its clock would
/// strike in the middle of a test.
pub(crate) async fn open_without_clock(url: &str) -> Ledger {
    let options = LedgerOptions { refusal_flush: Duration::from_secs(3_600), ..LedgerOptions::default() };
    Ledger::open_with(url, options).await.unwrap()
}

/// `x'00'` and `zeroblob(32)` as PostgreSQL writes them.
fn for_postgresql(statements: &str) -> String {
    let zeroes = |count: usize| format!("decode('{}', 'hex')", "00".repeat(count));
    statements
        .replace("zeroblob(32)", &zeroes(32))
        .replace("zeroblob(64)", &zeroes(64))
        .replace(" x'", " '\\x")
}

/// Every sentence is a test of its own on SQLite. PostgreSQL takes most of a second to make, so that one test
/// runs all sentences side by side against one server and names those that do not hold.
macro_rules! on_both_databases {
    ($($sentence:ident,)*) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $sentence() {
                    super::$sentence(crate::common::Databases::Sqlite).await;
                }
            )*
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn every_sentence_holds_on_postgresql() {
            let server = Databases::postgresql();
            let sentences = [$((stringify!($sentence), tokio::spawn($sentence(server.clone()))),)*];
            let mut broken = Vec::new();
            for (sentence, holds) in sentences {
                if holds.await.is_err() {
                    broken.push(sentence);
                }
            }
            assert!(broken.is_empty(), "not on PostgreSQL: {broken:?}");
        }
    };
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
