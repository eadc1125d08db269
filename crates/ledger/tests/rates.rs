//! Measurements: `cargo test -p mailwarden-ledger --test rates -- --ignored --nocapture --test-threads 1`, with
//! `MAILWARDEN_LEDGER_ENTRIES=1000000` for a million entries.
#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]
#![allow(clippy::print_stdout, reason = "numbers are what this is for")]

#[macro_use]
mod common;

use std::time::Instant;

use common::{Databases, Place, fill, held, loaded};
use mailwarden_ledger::{
    CheckpointKey, Journal, JournalBounds, JournalEntry, Ledger, Problem, Reference, verify,
};
use serde_json::json;
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};

async fn append_rates(on: Databases) {
    for appenders in [1, 10, 64, 500] {
        let place = on.place();
        let ledger = place.open().await;
        let each = (20_000 / appenders).min(2_000);
        let begun = Instant::now();
        let tasks: Vec<_> = (0..appenders)
            .map(|_| {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    for n in 0..each {
                        ledger.append(if n % 3 == 0 { loaded(n) } else { held(n) }).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let size = ledger.head().await.unwrap().size;
        assert_eq!(size, (appenders * each) as u64);
        println!("{appenders:>4} appenders: {:>8.0} events/s", size as f64 / begun.elapsed().as_secs_f64());
    }
}

/// A table of rows that are rows and nothing more: no tree, no commitment, no index.
enum Bare {
    Sqlite(sqlx::SqlitePool),
    PostgreSql(sqlx::PgPool),
}

const BARE: &str = "CREATE TABLE bare (leaf TEXT, hash TEXT, kind TEXT, at_us BIGINT, subject TEXT)";

impl Bare {
    async fn open(place: &Place) -> Self {
        if let Some(file) = place.file() {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).create_if_missing(true);
            let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            sqlx::query(BARE).execute(&pool).await.unwrap();
            return Self::Sqlite(pool);
        }
        let pool = sqlx::PgPool::connect(&place.url).await.unwrap();
        sqlx::query(BARE).execute(&pool).await.unwrap();
        Self::PostgreSql(pool)
    }

    /// As many rows as there are in one transaction of SQLite, one statement each.
    async fn insert_one_by_one(&self, rows: &BareRows) {
        let Self::Sqlite(pool) = self else { return };
        let mut transaction = pool.begin().await.unwrap();
        let [leaves, hashes, kinds, subjects] = &rows.columns;
        for (at, leaf) in leaves.iter().enumerate() {
            let query =
                sqlx::query("INSERT INTO bare (leaf, hash, kind, at_us, subject) VALUES (?, ?, ?, ?, ?)")
                    .bind(leaf)
                    .bind(&hashes[at])
                    .bind(&kinds[at])
                    .bind(rows.instants[at])
                    .bind(&subjects[at]);
            query.execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }

    /// As many rows as there are in one transaction, in the way of each database that takes them fastest: SQLite
    /// reads them out of one text, PostgreSQL takes them as arrays.
    async fn insert(&self, rows: &BareRows) {
        match self {
            Self::Sqlite(pool) => {
                let sql = "INSERT INTO bare (leaf, hash, kind, at_us, subject)
                     SELECT value ->> 0, value ->> 1, value ->> 2, CAST(value ->> 3 AS BIGINT), value ->> 4
                     FROM json_each($1)";
                let mut transaction = pool.begin().await.unwrap();
                sqlx::query(sql).bind(&rows.text).execute(&mut *transaction).await.unwrap();
                transaction.commit().await.unwrap();
            }
            Self::PostgreSql(pool) => {
                let sql = "INSERT INTO bare (leaf, hash, kind, at_us, subject)
                     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])";
                let mut transaction = pool.begin().await.unwrap();
                let [leaf, hash, kind, subject] = &rows.columns;
                let query =
                    sqlx::query(sql).bind(leaf).bind(hash).bind(kind).bind(&rows.instants).bind(subject);
                query.execute(&mut *transaction).await.unwrap();
                transaction.commit().await.unwrap();
            }
        }
    }
}

/// Rows as each database wants them, made before the clock runs.
struct BareRows {
    text: String,
    columns: [Vec<String>; 4],
    instants: Vec<i64>,
}

impl BareRows {
    fn new(count: usize) -> Self {
        let texts = ["x".repeat(250), "0".repeat(64), "gate.held".into(), "mailbox@acme.example".into()];
        let [leaf, hash, kind, subject] = &texts;
        let row = json!([leaf, hash, kind, 1_700_000_000, subject]);
        Self {
            text: serde_json::Value::from(vec![row; count]).to_string(),
            instants: vec![1_700_000_000; count],
            columns: texts.map(|text| vec![text; count]),
        }
    }
}

async fn bare_rows(bare: &Bare, batch: usize, calls: usize) -> f64 {
    let rows = BareRows::new(batch);
    let begun = Instant::now();
    for _ in 0..calls {
        bare.insert(&rows).await;
    }
    (batch * calls) as f64 / begun.elapsed().as_secs_f64()
}

async fn bare_rows_one_by_one(bare: &Bare, batch: usize, calls: usize) -> f64 {
    let rows = BareRows::new(batch);
    let begun = Instant::now();
    for _ in 0..calls {
        bare.insert_one_by_one(&rows).await;
    }
    (batch * calls) as f64 / begun.elapsed().as_secs_f64()
}

async fn events_in_calls_of(ledger: &Ledger, batch: usize, calls: usize) -> f64 {
    let begun = Instant::now();
    for call in 0..calls {
        ledger.append_all((0..batch).map(|n| held(call * batch + n)).collect()).await.unwrap();
    }
    (batch * calls) as f64 / begun.elapsed().as_secs_f64()
}

/// In turns, so that both have the same machine.
async fn events_beside_bare_rows(on: Databases) {
    let place = on.place();
    let (ledger, other) = (place.open().await, on.place());
    let bare = Bare::open(&other).await;
    for (batch, calls) in [(1, 500), (10, 200), (100, 50), (1_000, 20)] {
        if std::env::var("MAILWARDEN_LEDGER_CALLS_OF").is_ok_and(|only| only != batch.to_string()) {
            continue;
        }
        let (mut to_rows, mut to_single) = (Vec::new(), Vec::new());
        let (mut events, mut rows, mut single) = (0.0, 0.0, 0.0);
        for _ in 0..5 {
            events = events_in_calls_of(&ledger, batch, calls).await;
            rows = bare_rows(&bare, batch, calls).await;
            single = bare_rows_one_by_one(&bare, batch, calls).await;
            to_rows.push(events / rows);
            to_single.push(events / single);
        }
        to_rows.sort_by(f64::total_cmp);
        to_single.sort_by(f64::total_cmp);
        print!(
            "calls of {batch:>4}: {events:>8.0} events/s, {rows:>8.0} bare rows/s, median ratio {:.2}",
            to_rows[2]
        );
        match bare {
            Bare::Sqlite(_) => {
                println!(", {single:>8.0} rows/s one by one, median ratio {:.2}", to_single[2]);
            }
            Bare::PostgreSql(_) => println!(),
        }
    }
}

/// What this process has used of processors; SQLite runs inside of it.
fn processor_seconds() -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: f64 =
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / TICKS_A_SECOND
}

fn decision(number: usize) -> JournalEntry {
    JournalEntry {
        reference: Reference::new(),
        at: chrono::Utc::now(),
        rule: "route".into(),
        verdict: "reroute".into(),
        recipient: Some(format!("vendor-{number}@saas.client.example")),
        envelope_sender: Some("billing@vendor.example".into()),
        header_from: Some("Vendor \"Billing\" <billing@vendor.example>".into()),
        client: Some("mail.vendor.example [192.0.2.1]".into()),
        queue_id: Some("4QXyZ1abcdef".into()),
        detail: json!({"trace": ["route", "vendor-state", "vendor-binding"], "edits": ["Mailwarden-Route: x"]}),
    }
}

/// Decisions as the gate records them, in batches as they gather.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: a measurement"]
async fn journal_rates() {
    const BATCHES: usize = 100;
    let place = Databases::Sqlite.place();
    let bounds = JournalBounds { max_rows: 100_000, ..JournalBounds::default() };
    let journal = Journal::open(&place.url, bounds).await.unwrap();
    // Before the last one the journal is full: as many decisions go as come.
    for batch in [10, 100, 1_000, 1_000] {
        let decisions: Vec<JournalEntry> = (0..batch * BATCHES).map(decision).collect();
        let (used, begun) = (processor_seconds(), Instant::now());
        let mut recording = std::time::Duration::ZERO;
        for gathered in decisions.chunks(batch) {
            let begun = Instant::now();
            gathered.iter().for_each(|decision| journal.record(decision));
            recording += begun.elapsed();
            journal.flush().await.unwrap();
        }
        let all = (batch * BATCHES) as f64;
        println!(
            "batches of {batch:>4}: {:>8.0} decisions/s, processor {:.1} us each, of which recording {:.1} us",
            all / begun.elapsed().as_secs_f64(),
            (processor_seconds() - used) * 1e6 / all,
            recording.as_secs_f64() * 1e6 / all
        );
    }
    assert_eq!(journal.dropped(), 0);
}

/// How large the measured ledger is; the slow tier is content with a tenth of what the documentation states.
fn entries() -> usize {
    std::env::var("MAILWARDEN_LEDGER_ENTRIES").ok().map_or(100_000, |count| count.parse().unwrap())
}

async fn a_large_ledger(on: Databases) {
    let size = entries();
    let place = on.place();
    let ledger = place.open().await;
    let begun = Instant::now();
    fill(&ledger, size).await;
    let filled = begun.elapsed();
    let begun = Instant::now();
    assert!(!verify(&ledger, &[], &[]).await.unwrap().iter().any(Problem::is_damage));
    let verified = begun.elapsed();
    let begun = Instant::now();
    for step in 0..100 {
        ledger.inclusion_proof(step * (size as u64 / 101), size as u64).await.unwrap();
    }
    let included = begun.elapsed() / 100;
    let begun = Instant::now();
    for step in 1..=100 {
        ledger.consistency_proof(step * (size as u64 / 101), size as u64).await.unwrap();
    }
    let consistent = begun.elapsed() / 100;
    let begun = Instant::now();
    ledger.checkpoint(&CheckpointKey::generate("ledger.example").unwrap()).await.unwrap();
    println!(
        "{size} entries: appended in {filled:.1?}, verified in {verified:.1?}, inclusion proof {included:.1?}, \
         consistency proof {consistent:.1?}, checkpoint {:.1?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: a measurement"]
async fn append_rates_on_sqlite() {
    append_rates(Databases::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: a measurement"]
async fn append_rates_on_postgresql() {
    append_rates(Databases::postgresql()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: a measurement"]
async fn a_large_ledger_on_sqlite() {
    a_large_ledger(Databases::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: a measurement"]
async fn a_large_ledger_on_postgresql() {
    a_large_ledger(Databases::postgresql()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: a measurement"]
async fn events_beside_bare_rows_on_sqlite() {
    events_beside_bare_rows(Databases::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: a measurement"]
async fn events_beside_bare_rows_on_postgresql() {
    events_beside_bare_rows(Databases::postgresql()).await;
}
