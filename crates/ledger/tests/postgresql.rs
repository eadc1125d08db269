//! What only a database across a network can do: vanish, crash, refuse a password, be somebody else's.
#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]
#![allow(clippy::print_stdout, reason = "a child tells its parent what it did")]

#[macro_use]
mod common;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{at, fill, held, open_without_clock};
use mailwarden_lab::{PostgreSql, packages};
use mailwarden_ledger::{
    EventFilter, Fault, Journal, JournalBounds, JournalEntry, Ledger, LedgerError, Problem, Reference,
    StoredEvent, verify,
};
use serde_json::json;

fn server() -> Arc<PostgreSql> {
    packages::ensure_installed(&mut |_step| {}).unwrap();
    Arc::new(PostgreSql::start().unwrap())
}

fn refusal(recipient: &str) -> JournalEntry {
    JournalEntry {
        reference: Reference::new(),
        at: chrono::DateTime::from_timestamp_micros(chrono::Utc::now().timestamp_micros()).unwrap(),
        rule: "vendor-state".into(),
        verdict: "reject".into(),
        recipient: Some(recipient.into()),
        envelope_sender: Some(String::new()),
        header_from: None,
        client: Some("mail.vendor.example [192.0.2.1]".into()),
        queue_id: None,
        detail: json!({"trace": ["\u{0}\"\\"]}),
    }
}

/// An event must not be acknowledged, a refusal must not be forgotten, a decision must not wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_an_outage_nothing_is_acknowledged_or_forgotten_and_afterwards_all_goes_on() {
    let server = server();
    let url = server.url(&server.database().unwrap());
    let ledger = open_without_clock(&url).await;
    let journal = Journal::open(&url, JournalBounds::default()).await.unwrap();
    fill(&ledger, 10).await;
    server.stop().unwrap();

    let hour = at("2026-03-01T09:00:00Z");
    ledger.record_refusal("route", "acme", hour);
    let decided = Instant::now();
    journal.record(&refusal("lost@bills.example"));
    assert!(decided.elapsed() < Duration::from_millis(100));
    let begun = Instant::now();
    let (appended, flushed, written, opened) = tokio::join!(
        ledger.append(held(1)),
        ledger.flush_refusals(hour),
        journal.flush(),
        Ledger::open(&url)
    );
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(appended.unwrap_err().fault(), Fault::Unreachable);
    assert_eq!(flushed.unwrap_err().fault(), Fault::Unreachable);
    written.unwrap();
    assert_eq!(journal.dropped(), 1);
    let unopened = opened.unwrap_err();
    assert_eq!(unopened.fault(), Fault::Unreachable, "{unopened}");
    assert!(unopened.to_string().contains("cannot be reached"), "{unopened}");

    server.start_again().unwrap();
    assert_eq!(ledger.append(held(2)).await.unwrap().index, 10);
    ledger.flush_refusals(hour).await.unwrap();
    assert_eq!(ledger.refusal_sums(hour).await.unwrap()[0].count, 1);
    let kept = refusal("kept@bills.example");
    journal.record(&kept);
    journal.flush().await.unwrap();
    assert_eq!(journal.find(kept.reference).await.unwrap(), Some(kept));
    assert!(!verify(&ledger, &[], &[]).await.unwrap().iter().any(Problem::is_damage));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_loses_no_acknowledged_entry() {
    let server = server();
    let url = server.url(&server.database().unwrap());
    let ledger = Ledger::open(&url).await.unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let done = Arc::new(AtomicBool::new(false));
        let (began, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let (ledger, began, done) = (ledger.clone(), began.clone(), Arc::clone(&done));
                let numbers = (round * 1_000_000 + writer * 10_000)..;
                tokio::spawn(async move {
                    let mut receipts = Vec::new();
                    for n in numbers.take_while(|_| !done.load(Ordering::Relaxed)) {
                        // What fails at the crash may be recorded or not; what is acknowledged is.
                        receipts.extend(ledger.append(held(n)).await.ok());
                        began.send(()).unwrap_or_default();
                    }
                    receipts
                })
            })
            .collect();
        for _ in 0..100 {
            begun.recv().await.unwrap();
        }
        let crashing = Arc::clone(&server);
        let back = move || crashing.crash().and_then(|()| crashing.start_again());
        tokio::task::spawn_blocking(back).await.unwrap().unwrap();
        done.store(true, Ordering::Relaxed);
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        let events = ledger.events(&EventFilter::default()).await.unwrap();
        for receipt in &acknowledged {
            let stored = &events[receipt.index as usize];
            assert_eq!(stored.leaf_hash, receipt.leaf_hash, "entry {}", receipt.index);
        }
        assert!(!verify(&ledger, &[], &[]).await.unwrap().iter().any(Problem::is_damage));
    }
}

/// What became of an append whose connection may have been cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    Refused,
    Unknown,
}

async fn append_one(ledger: &Ledger, number: usize) -> (usize, Fate) {
    let fate = match ledger.append(held(number)).await {
        Ok(_) => Fate::Acknowledged,
        Err(error @ LedgerError::Unknown { .. }) => {
            assert!(error.to_string().contains("ledger show"), "{error}");
            Fate::Unknown
        }
        Err(error) => {
            assert_eq!(error.fault(), Fault::Unreachable, "{error}");
            assert!(error.to_string().contains("nothing was written"), "{error}");
            Fate::Refused
        }
    };
    (number, fate)
}

/// Cuts every connection of a database but the one that asks for it, again and again.
fn cut_connections(server: &PostgreSql, database: &str) {
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    server.query(database, cut).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_whose_connection_is_cut_tells_the_truth_about_what_was_recorded() {
    let server = server();
    let database = server.database().unwrap();
    let ledger = open_without_clock(&server.url(&database)).await;
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (ledger, done) = (ledger.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut fates = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    fates.push(append_one(&ledger, writer * 1_000_000 + fates.len()).await);
                }
                fates
            })
        })
        .collect();
    let cutting = Arc::clone(&server);
    let cutter =
        tokio::task::spawn_blocking(move || (0..20).for_each(|_| cut_connections(&cutting, &database)));
    cutter.await.unwrap();
    done.store(true, Ordering::Relaxed);
    let mut fates = Vec::new();
    for writer in writers {
        fates.extend(writer.await.unwrap());
    }
    let cut = fates.iter().filter(|(_, fate)| *fate != Fate::Acknowledged).count();
    assert!(cut > 0, "no append was cut among {}", fates.len());

    let numbers = recorded_numbers(&ledger).await;
    let (expected, doubtful): (Vec<_>, Vec<_>) =
        fates.into_iter().partition(|(_, fate)| *fate != Fate::Unknown);
    for (number, fate) in expected {
        let times = numbers.iter().filter(|recorded| **recorded == number).count();
        assert_eq!(times, usize::from(fate == Fate::Acknowledged), "{number} {fate:?}");
    }
    assert!(doubtful.len() <= cut);
    assert!(!verify(&ledger, &[], &[]).await.unwrap().iter().any(Problem::is_damage));
}

/// The number of every entry that [`held`] made, in order.
async fn recorded_numbers(ledger: &Ledger) -> Vec<usize> {
    let mut numbers = Vec::new();
    let mut filter = EventFilter::default();
    loop {
        let events = ledger.events(&filter).await.unwrap();
        let Some(last) = events.last() else { return numbers };
        filter.after = Some(last.index);
        let number = |event: StoredEvent| event.detail.unwrap().payload["number"].as_u64().unwrap();
        numbers.extend(events.into_iter().map(|event| number(event) as usize));
    }
}

/// What a server is configured for by default must not weaken an append: its commit waits for the disk, and who waited
/// for another writer sees what that one wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_is_durable_and_orderly_whatever_the_servers_defaults_are() {
    let server = server();
    let database = server.database().unwrap();
    let url = server.url(&database);
    let first = open_without_clock(&url).await;
    first.append(held(0)).await.unwrap();
    let changes = format!(
        "ALTER DATABASE {database} SET synchronous_commit TO off;
         ALTER DATABASE {database} SET default_transaction_isolation TO 'serializable';
         ALTER DATABASE {database} SET default_transaction_read_only TO on;
         SET default_transaction_read_only TO off;
         CREATE TABLE seen (setting TEXT);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON ledger_entry DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION see();"
    );
    server.query(&database, &changes).unwrap();
    first.close().await.unwrap();
    let openers = [open_without_clock(&url).await, open_without_clock(&url).await];
    let appends: Vec<_> = (0..60)
        .map(|n| {
            let ledger = openers[n % 2].clone();
            tokio::spawn(async move { ledger.append(held(n)).await.unwrap() })
        })
        .collect();
    for append in appends {
        append.await.unwrap();
    }
    let counted = server.query(&database, "SELECT setting, count(*) FROM seen GROUP BY setting").unwrap();
    assert!(counted.contains("on") && counted.contains("60") && !counted.contains("off"), "{counted}");
    assert!(!verify(&openers[0], &[], &[]).await.unwrap().iter().any(Problem::is_damage));
}

/// The rows of an answer come before its commit, which may still fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_fails_at_its_commit_is_not_acknowledged() {
    let server = server();
    let database = server.database().unwrap();
    let ledger = open_without_clock(&server.url(&database)).await;
    ledger.append(held(0)).await.unwrap();
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                  $$ BEGIN RAISE EXCEPTION 'not at the commit'; END $$;
                  CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON ledger_entry DEFERRABLE INITIALLY DEFERRED
                  FOR EACH ROW EXECUTE FUNCTION refuse();";
    server.query(&database, refuse).unwrap();
    for n in 1..3 {
        let error = ledger.append(held(n)).await.unwrap_err();
        assert!(error.to_string().contains("not at the commit"), "{error}");
    }
    server.query(&database, "DROP TRIGGER at_commit ON ledger_entry").unwrap();
    assert_eq!(ledger.append(held(3)).await.unwrap().index, 1);
    assert_eq!(recorded_numbers(&ledger).await, [0, 3]);
    assert!(!verify(&ledger, &[], &[]).await.unwrap().iter().any(Problem::is_damage));
}

/// "Could not read to the end" must be an error: neither damage, nor intact.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verification_whose_connection_is_cut_accuses_nobody() {
    let server = server();
    let database = server.database().unwrap();
    let ledger = open_without_clock(&server.url(&database)).await;
    fill(&ledger, 3_000).await;
    let done = Arc::new(AtomicBool::new(false));
    let (cutting, until) = (Arc::clone(&server), Arc::clone(&done));
    let cutter = tokio::task::spawn_blocking(move || {
        while !until.load(Ordering::Relaxed) {
            cut_connections(&cutting, &database);
        }
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    let error = loop {
        assert!(Instant::now() < deadline, "no verification was cut");
        match verify(&ledger, &[], &[]).await {
            Ok(problems) => assert!(!problems.iter().any(Problem::is_damage), "{problems:?}"),
            Err(error) => break error,
        }
    };
    done.store(true, Ordering::Relaxed);
    cutter.await.unwrap();
    assert_eq!(error.fault(), Fault::Unreachable, "{error}");
    assert!(error.to_string().contains("try again"), "{error}");
    assert!(!verify(&ledger, &[], &[]).await.unwrap().iter().any(Problem::is_damage));
}

#[tokio::test]
async fn passwords_come_from_files_and_are_never_shown() {
    let server = server();
    let database = server.database().unwrap();
    server
        .query(
            &database,
            &format!("CREATE ROLE gate LOGIN PASSWORD 'hunter2'; ALTER DATABASE {database} OWNER TO gate;"),
        )
        .unwrap();
    server.require_passwords().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    let place = format!("127.0.0.1:{}/{database}", server.port());
    let url = format!("postgres://gate@{place}?password_file={}", path.display());
    let write = |text: &str, mode| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let refused = async |url: &str| {
        let error = Ledger::open(url).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert_eq!(error.fault(), Fault::Configuration, "{shown}");
        assert!(!shown.contains("hunter"), "{shown}");
        error.to_string()
    };
    write("hunter2\n", 0o600);
    let ledger = Ledger::open(&url).await.unwrap();
    assert!(!format!("{ledger:?}").contains("hunter2"));
    ledger.append(held(1)).await.unwrap();
    write("hunter3\n", 0o600);
    assert!(refused(&url).await.contains("password file"));
    write("hunter2\n", 0o644);
    assert!(refused(&url).await.contains("chmod 600"));
    assert!(refused(&format!("postgres://gate:hunter2@{place}")).await.contains("password_file"));
    assert!(refused(&format!("postgres://gate@{place}?password=hunter2")).await.contains("password_file"));

    // libpq's own file, by the variable that names it.
    let passfile = directory.path().join("pgpass");
    std::fs::write(&passfile, format!("127.0.0.1:{}:*:gate:hunter2\n", server.port())).unwrap();
    std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o600)).unwrap();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_opens_a_ledger", "--nocapture"])
        .env("PGPASSFILE", &passfile)
        .env(CHILD, format!("postgres://gate@{place}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains("opened with 1 entries"), "{said} {}", String::from_utf8_lossy(&child.stderr));
}

const CHILD: &str = "MAILWARDEN_LEDGER_OPENING_CHILD";

/// Does nothing unless the test above starts it.
#[tokio::test]
async fn child_that_opens_a_ledger() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let ledger = Ledger::open_existing(&url).await.unwrap();
    println!("opened with {} entries", ledger.head().await.unwrap().size);
}

#[tokio::test]
async fn databases_that_cannot_hold_a_ledger_are_refused_with_what_to_do() {
    let server = server();
    let database = server.database().unwrap();
    server.query("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0").unwrap();
    server.query(&database, "CREATE ROLE guest LOGIN").unwrap();
    let said = async |url: String| {
        let error = Ledger::open(&url).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Configuration, "{error}");
        error.to_string()
    };
    assert!(said(server.url("latin")).await.contains("--encoding=UTF8"));
    assert!(said(server.url("nowhere")).await.contains("createdb"));
    let guest = format!("postgres://guest@127.0.0.1:{}/{database}", server.port());
    assert!(said(guest).await.contains("grant"));
    let missing = Ledger::open_existing(&server.url(&database)).await.unwrap_err();
    assert!(missing.to_string().contains("there is no ledger"), "{missing}");

    let url = server.url(&database);
    let ledger = Ledger::open(&url).await.unwrap();
    ledger.append(held(1)).await.unwrap();
    server.query(&database, "UPDATE mailwarden_schema SET version = 99").unwrap();
    assert!(said(url).await.contains("upgrade Mailwarden"));
}

#[tokio::test]
async fn plain_text_over_a_network_is_refused() {
    for mode in ["disable", "allow", "prefer"] {
        let error = Ledger::open(&format!("postgres://gate@192.0.2.1/x?sslmode={mode}")).await.unwrap_err();
        assert!(
            matches!(&error, LedgerError::Url { .. }) && error.to_string().contains("verify-full"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn several_journals_share_one_database_and_keep_its_bounds() {
    let server = server();
    let url = server.url(&server.database().unwrap());
    let bounds = JournalBounds { max_rows: 100, ..JournalBounds::default() };
    let gates = [Journal::open(&url, bounds).await.unwrap(), Journal::open(&url, bounds).await.unwrap()];
    for n in 0..600 {
        gates[n % 2].record(&refusal(&format!("r{n}@bills.example")));
    }
    let last = refusal("last@bills.example");
    for gate in &gates {
        gate.flush().await.unwrap();
    }
    gates[0].record(&last);
    gates[0].flush().await.unwrap();
    assert_eq!((gates[0].dropped(), gates[1].dropped()), (0, 0));
    assert_eq!(gates[1].find(last.reference).await.unwrap().as_ref(), Some(&last));
    let kept = gates[1].recent(10_000).await.unwrap();
    assert!((1..=100).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept[0], last);
}
