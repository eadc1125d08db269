//! Measurements: `cargo test -p mailwarden-ledger --test rates -- --ignored --nocapture --test-threads 1`, with
//! `MAILWARDEN_LEDGER_ENTRIES=1000000` for a million entries.
#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]
#![allow(clippy::print_stdout, reason = "numbers are what this is for")]

#[macro_use]
mod common;

use std::time::Instant;

use common::{Databases, Place, fill, held, loaded};
use mailwarden_lab::processor;
use mailwarden_ledger::{
    CheckpointKey, Journal, JournalBounds, JournalEntry, Ledger, Problem, Reference, verify,
};
use serde_json::json;
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};

/// One event a call, by so many callers at the same time: they share commits.
async fn events_of(ledger: &Ledger, appenders: usize) -> f64 {
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
    (appenders * each) as f64 / begun.elapsed().as_secs_f64()
}

/// What the databases do by themselves: rows that are rows and nothing more, and rows of the ledger's own table with its
/// indices. Both without a tree, a commitment or a lock.
struct Bare {
    database: Pool,
    /// How many rows of the ledger's table there are.
    rows: i64,
}

enum Pool {
    Sqlite(sqlx::SqlitePool),
    PostgreSql(sqlx::PgPool),
}

const BARE: &str = "CREATE TABLE bare (leaf TEXT, hash TEXT, kind TEXT, at_us BIGINT, subject TEXT)";
const OURS: &str =
    "INSERT INTO ledger_entry (leaf_index, leaf, leaf_hash, kind, at_us, subject, salt, detail)";

impl Bare {
    async fn open(place: &Place) -> Self {
        place.open().await.close().await.unwrap();
        let database = if let Some(file) = place.file() {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
            let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
            let options = options.pragma("wal_autocheckpoint", "4000");
            // One, whose cache stays warm.
            let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
            let pool = pool.connect_with(options).await.unwrap();
            sqlx::query(BARE).execute(&pool).await.unwrap();
            Pool::Sqlite(pool)
        } else {
            let pool = sqlx::PgPool::connect(&place.url).await.unwrap();
            sqlx::query(BARE).execute(&pool).await.unwrap();
            Pool::PostgreSql(pool)
        };
        Self { database, rows: 0 }
    }

    /// As many rows as there are in one transaction, in the way of each database that takes them fastest: SQLite
    /// reads them out of one text, PostgreSQL takes them as arrays.
    async fn insert(&self, rows: &BareRows) {
        match &self.database {
            Pool::Sqlite(pool) => {
                let sql = "INSERT INTO bare (leaf, hash, kind, at_us, subject)
                     SELECT value ->> 0, value ->> 1, value ->> 2, CAST(value ->> 3 AS BIGINT), value ->> 4
                     FROM json_each($1)";
                let mut transaction = pool.begin().await.unwrap();
                sqlx::query(sql).bind(&rows.text).execute(&mut *transaction).await.unwrap();
                transaction.commit().await.unwrap();
            }
            Pool::PostgreSql(pool) => {
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

    /// The same for the ledger's own table.
    async fn insert_into_ours(&mut self, rows: &BareRows) {
        let [leaf, _, kind, _] = &rows.columns;
        let first = self.rows;
        self.rows += leaf.len() as i64;
        // Others in each call, as those of the events are: where they fall in their index is what they cost.
        let subject: Vec<String> = (first..self.rows).map(|n| format!("mailbox-{n}@acme.example")).collect();
        let (hash, detail) = ([7_u8; 32].as_slice(), &leaf[0][..100]);
        match &self.database {
            Pool::Sqlite(pool) => {
                let mut transaction = pool.begin().await.unwrap();
                let numbers: Vec<usize> = (0..leaf.len()).collect();
                for part in numbers.chunks(128) {
                    let places = vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; part.len()].join(", ");
                    let mut query = sqlx::query(sqlx::AssertSqlSafe(format!("{OURS} VALUES {places}")));
                    for at in part {
                        query = query.bind(first + *at as i64).bind(&leaf[*at]).bind(hash).bind(&kind[*at]);
                        query = query.bind(rows.instants[*at]).bind(&subject[*at]).bind(hash).bind(detail);
                    }
                    query.execute(&mut *transaction).await.unwrap();
                }
                transaction.commit().await.unwrap();
            }
            Pool::PostgreSql(pool) => {
                let sql = format!(
                    "{OURS} SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[], $5::bigint[],
                     $6::text[], $3::bytea[], $7::text[])"
                );
                let indices: Vec<i64> = (first..self.rows).collect();
                let mut transaction = pool.begin().await.unwrap();
                let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(indices).bind(leaf);
                let query = query.bind(vec![hash; leaf.len()]).bind(kind).bind(&rows.instants).bind(subject);
                query.bind(vec![detail; leaf.len()]).execute(&mut *transaction).await.unwrap();
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

/// Rows a second, bare and of the ledger's table, so many in a commit.
async fn rows_a_second(bare: &mut Bare, batch: usize, calls: usize) -> [f64; 2] {
    let rows = BareRows::new(batch);
    let rate = |begun: Instant| (batch * calls) as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    for _ in 0..calls {
        bare.insert(&rows).await;
    }
    let plain = rate(begun);
    let begun = Instant::now();
    for _ in 0..calls {
        bare.insert_into_ours(&rows).await;
    }
    [plain, rate(begun)]
}

async fn events_in_calls_of(ledger: &Ledger, batch: usize, calls: usize) -> f64 {
    let begun = Instant::now();
    for call in 0..calls {
        ledger.append_all((0..batch).map(|n| held(call * batch + n)).collect()).await.unwrap();
    }
    (batch * calls) as f64 / begun.elapsed().as_secs_f64()
}

/// The last rates of all that was measured, and the medians of their ratios.
fn print_rates(what: &str, rounds: &[(f64, [f64; 2])]) {
    let median = |which: usize| {
        let mut ratios: Vec<f64> = rounds.iter().map(|(events, rows)| events / rows[which]).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    };
    let (events, [plain, ours]) = rounds[rounds.len() - 1];
    println!(
        "{what}: {events:>8.0} events/s; {plain:>8.0} bare rows/s, median ratio {:.2}; {ours:>8.0} rows/s of the same \
         table, median ratio {:.2}",
        median(0),
        median(1)
    );
}

/// In turns, so that all have the same machine.
async fn events_beside_bare_rows(on: Databases) {
    let place = on.place();
    let (ledger, other) = (place.open().await, on.place());
    let mut bare = Bare::open(&other).await;
    for (batch, calls) in [(1, 500), (10, 200), (100, 50), (1_000, 20)] {
        if std::env::var("MAILWARDEN_LEDGER_CALLS_OF").is_ok_and(|only| only != batch.to_string()) {
            continue;
        }
        let mut rounds = Vec::new();
        for _ in 0..5 {
            let events = events_in_calls_of(&ledger, batch, calls).await;
            rounds.push((events, rows_a_second(&mut bare, batch, calls).await));
        }
        print_rates(&format!("calls of {batch:>4}"), &rounds);
    }
}

/// Group commit beside rows, as many in each commit as there are callers.
async fn append_rates(on: Databases) {
    let place = on.place();
    let (ledger, other) = (place.open().await, on.place());
    let mut bare = Bare::open(&other).await;
    for appenders in [1, 10, 64, 500] {
        let mut rounds = Vec::new();
        for _ in 0..5 {
            let events = events_of(&ledger, appenders).await;
            let commits = 10_000_usize.div_ceil(appenders).min(2_000);
            rounds.push((events, rows_a_second(&mut bare, appenders, commits).await));
        }
        print_rates(&format!("{appenders:>4} appenders"), &rounds);
    }
}

/// What this process has used of processors, in seconds; SQLite runs inside of it, in threads that may end.
fn processor_seconds() -> f64 {
    processor::with_ended_threads(std::process::id()).unwrap().as_secs_f64()
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
