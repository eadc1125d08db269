//! Every schema that was ever released is brought up to date, forward only, and nothing of it is lost.
#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]

#[macro_use]
mod common;

use common::{Databases, at, held};
use mailwarden_ledger::{
    EventFilter, Journal, JournalBounds, JournalEntry, Ledger, LedgerError, Problem, Reference, SignedNote,
    VendorRegister, Verifier, verify,
};
use tempfile::TempDir;

const LEDGER_V1: &str = include_str!("fixtures/ledger-v1.sql");
const REGISTER_V2: &str = include_str!("fixtures/register-v2.sql");
const JOURNAL_V1: &str = include_str!("fixtures/journal-v1.sql");
const POSTGRES_JOURNAL_V1: &str = include_str!("fixtures/postgres-journal-v1.sql");
/// The key that signed the checkpoint in the fixture.
const KEY_V1: &str = "ledger.example+327b92d5+AfBhFAvJATfGesUJFGgAb/zNYc53SmeyJmnYVtG8Ilzr";

const LEDGER_V2: &str = include_str!("fixtures/ledger-v2.sql");
const POSTGRES_LEDGER_V1: &str = include_str!("fixtures/postgres-ledger-v1.sql");
/// The key that signed the checkpoint in both.
const KEY_V2: &str = "ledger.example+b72bfa74+AX1Qy10Kpv0YKkoPSnigcUBLq3Q2fog8cScepFlrnhnX";

/// A file as the SQL text describes it.
async fn restored(text: &'static str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("old.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options.foreign_keys(false)).await.unwrap();
    sqlx::raw_sql(text).execute(&pool).await.unwrap();
    pool.close().await;
    let url = format!("sqlite:{}", path.display());
    (directory, url)
}

#[tokio::test]
async fn a_ledger_of_version_1_goes_on_under_the_present_version() {
    let (_directory, url) = restored(LEDGER_V1).await;
    let ledger = Ledger::open_existing(&url).await.unwrap();
    let head = ledger.head().await.unwrap();
    assert_eq!(head.size, 303);
    assert_eq!(head.root.to_hex(), "4e971db9e94092a3a3b2f209b50dbb042f23a89d00166a03b415827d122d1ec6");
    let verifier: Verifier = KEY_V1.parse().unwrap();
    let anchors: Vec<SignedNote> = ledger.checkpoints().await.unwrap();
    let found = verify(&ledger, &[verifier], &anchors).await.unwrap();
    assert_eq!(found, [Problem::Unanchored { first: 301, last: 302 }]);
    assert_eq!(ledger.refusal_sums(at("2026-03-01T12:00:00Z")).await.unwrap()[0].count, 1);

    let receipt = ledger.append(held(1).in_case("OFF-1")).await.unwrap();
    assert_eq!(receipt.index, 303);
    let entries = ledger.events(&EventFilter { after: Some(300), ..EventFilter::default() }).await.unwrap();
    assert_eq!(
        entries.iter().map(|entry| entry.case.as_deref()).collect::<Vec<_>>(),
        [None, None, Some("OFF-1")]
    );
    assert!(!verify(&ledger, &[], &[]).await.unwrap().iter().any(Problem::is_damage));
}

/// Eleven entries: two of a case, one with a prior state, one erased, and a checkpoint over ten of them.
async fn goes_on_whole(url: &str) {
    let ledger = Ledger::open_existing(url).await.unwrap();
    let anchors = ledger.checkpoints().await.unwrap();
    let found = verify(&ledger, &[KEY_V2.parse().unwrap()], &anchors).await.unwrap();
    assert_eq!(found, [Problem::Unanchored { first: 10, last: 10 }]);
    let entries = ledger.events(&EventFilter::default()).await.unwrap();
    let prior_state = entries[7].detail.as_ref().unwrap().prior_state.clone();
    assert_eq!(prior_state, Some(serde_json::json!({"script": "keep;\n"})));
    assert_eq!((entries[4].detail.as_ref(), entries[5].detail.is_some()), (None, true));
    let erased_before = ledger.erase(4, "alice", "GDPR-18", at("2026-05-01T00:00:00Z")).await.unwrap_err();
    assert!(matches!(erased_before, LedgerError::NothingToErase(4)), "{erased_before}");
    assert_eq!(ledger.erase(5, "alice", "GDPR-18", at("2026-05-01T00:00:00Z")).await.unwrap().index, 11);
    assert_eq!(ledger.append(held(12).in_case("OFF-1")).await.unwrap().index, 12);
    let found = verify(&ledger, &[KEY_V2.parse().unwrap()], &anchors).await.unwrap();
    assert_eq!(found, [Problem::Unanchored { first: 10, last: 12 }]);
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn a_ledger_of_version_2_goes_on_under_the_present_version() {
    let (_directory, url) = restored(LEDGER_V2).await;
    goes_on_whole(&url).await;
}

#[tokio::test]
async fn a_ledger_of_version_1_in_postgresql_goes_on_under_the_present_version() {
    let on = Databases::postgresql();
    let place = on.place();
    place.sql(POSTGRES_LEDGER_V1).await.unwrap();
    goes_on_whole(&place.url).await;
    let gone = place.sql("SELECT 1 / (1 - count(*)) FROM pg_class WHERE relname = 'ledger_detail'").await;
    assert_eq!(gone, Ok(()), "the table of details is gone");
}

#[tokio::test]
async fn a_vendor_register_of_version_2_goes_on_under_the_present_version() {
    let (_directory, url) = restored(REGISTER_V2).await;
    let register = VendorRegister::open(&url).await.unwrap();
    let record = register.vendor("acme@bills.example").unwrap();
    assert_eq!((record.messages, record.registered), (7, true));
    assert_eq!(record.organisations["acme.example"].last_seen, at("2026-03-01T13:00:00Z"));
    let count = |now| register.newcomers(|newcomers| newcomers.count("bills.example", now));
    assert_eq!(count(at("2026-03-01T12:30:00Z")), 2);
    let ended = register.newcomers(|newcomers| newcomers.floods_ended(at("2026-03-01T13:00:00Z")));
    assert_eq!(ended, ["bills.example"]);
}

/// Three decisions, of which a fourth knows nothing.
async fn journal_goes_on(url: &str) {
    let journal = Journal::open(url, JournalBounds::default()).await.unwrap();
    let recipients = async || -> Vec<_> {
        journal.recent(10).await.unwrap().into_iter().filter_map(|decision| decision.recipient).collect()
    };
    assert_eq!(recipients().await, ["r2@bills.example", "r1@bills.example", "r0@bills.example"]);
    let second = journal.find("5D5VSFSD6AVJ".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(second.recipient.as_deref(), Some("r1@bills.example"));
    assert_eq!((second.header_from.as_deref(), second.envelope_sender.as_deref()), (None, Some("")));
    assert_eq!((second.at, &second.detail["trace"]), (at("2036-02-27T09:30:00Z"), &serde_json::json!([])));
    journal.record(&JournalEntry {
        reference: Reference::new(),
        recipient: Some("r3@bills.example".into()),
        ..second
    });
    journal.flush().await.unwrap();
    assert_eq!(journal.dropped(), 0);
    assert_eq!(recipients().await[..2], ["r3@bills.example", "r2@bills.example"]);
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_journal_of_version_1_goes_on_under_the_present_version() {
    let (_directory, url) = restored(JOURNAL_V1).await;
    journal_goes_on(&url).await;
}

#[tokio::test]
async fn a_journal_of_version_1_in_postgresql_goes_on_under_the_present_version() {
    let on = Databases::postgresql();
    let place = on.place();
    place.sql(POSTGRES_JOURNAL_V1).await.unwrap();
    journal_goes_on(&place.url).await;
}

#[tokio::test]
async fn a_ledger_of_a_later_version_is_refused_and_left_alone() {
    let (_directory, url) = restored(LEDGER_V1).await;
    let options: sqlx::sqlite::SqliteConnectOptions = url.parse().unwrap();
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&pool).await.unwrap();
    let error = Ledger::open(&url).await.unwrap_err();
    assert!(matches!(error, LedgerError::Misplaced { .. }), "{error}");
    assert!(error.to_string().contains("upgrade Mailwarden"), "{error}");
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&pool).await.unwrap();
    assert_eq!(version, 99);
}
