//! What was acknowledged is there: after reopening, with two writers, and after `kill -9`.
#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]
#![allow(clippy::print_stdout, reason = "a child tells its parent what it did")]

#[macro_use]
mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use chrono::TimeDelta;
use common::{Databases, at, fill, held};
use mailwarden_ledger::{
    EventError, EventFilter, EventKind, Fault, Ledger, LedgerError, LedgerOptions, MAX_OBJECTS_PER_HOUR,
    OTHER, Problem, verify,
};
use serde_json::json;

on_both_databases! {
    what_was_appended_reads_back_after_reopening,
    an_event_that_is_not_valid_leaves_no_trace,
    filters_choose_by_kind_subject_time_and_place,
    two_openers_of_one_file_append_one_sequence,
    kill_9_loses_no_acknowledged_entry,
    two_processes_append_to_one_file_and_neither_loses_anything,
    refusals_are_summed_and_each_past_hour_becomes_one_entry,
    counted_refusals_are_written_on_close_and_by_the_clock,
    counted_refusals_are_written_while_appends_never_cease,
    calls_of_any_size_are_entered_whole_and_in_order,
    entries_of_cases_and_others_are_entered_side_by_side,
    several_processes_together_keep_the_limit_of_objects,
}

async fn what_was_appended_reads_back_after_reopening(on: Databases) {
    let place = on.place();
    let ledger = place.open().await;
    let event = held(7).replacing(json!({"forwarding": "bob@x.example"}));
    let receipt = ledger.append(event.clone()).await.unwrap();
    assert_eq!(receipt.index, 0);
    ledger.close().await.unwrap();
    assert!(matches!(ledger.append(held(8)).await, Err(LedgerError::Closed)));

    let again = Ledger::open_existing(&place.url).await.unwrap();
    let stored = again.events(&EventFilter::default()).await.unwrap();
    assert_eq!(stored.len(), 1);
    let detail = stored[0].detail.clone().unwrap();
    assert_eq!((stored[0].index, stored[0].leaf_hash), (0, receipt.leaf_hash));
    assert_eq!((&stored[0].kind, stored[0].at, &stored[0].actor), (&event.kind, event.at, &event.actor));
    assert_eq!(stored[0].reason, event.reason);
    assert_eq!(detail.subject, event.subject);
    assert_eq!((detail.prior_state, detail.payload), (event.prior_state, event.payload));
}

async fn an_event_that_is_not_valid_leaves_no_trace(on: Databases) {
    let place = on.place();
    let ledger = place.open().await;
    let error = ledger.append_all(vec![held(1), held(2).with(json!(0.5))]).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Ours);
    let many = ledger.append_all(vec![held(1); 1_001]).await.unwrap_err();
    assert!(matches!(many, LedgerError::Event(EventError::TooMany(1_001, 1_000))));
    assert_eq!(ledger.head().await.unwrap().size, 0);
    assert_eq!(ledger.append_all(Vec::new()).await.unwrap(), []);
}

async fn filters_choose_by_kind_subject_time_and_place(on: Databases) {
    let place = on.place();
    let ledger = place.open().await;
    fill(&ledger, 30).await;
    let mut late = held(5);
    late.at += TimeDelta::days(1);
    ledger.append(late).await.unwrap();
    let indices = async |filter: EventFilter| -> Vec<u64> {
        ledger.events(&filter).await.unwrap().iter().map(|event| event.index).collect()
    };
    let all = EventFilter::default;
    let kind = |prefix: &str| Some(prefix.to_owned());
    assert_eq!(indices(EventFilter { kind_prefix: kind("policy."), ..all() }).await.len(), 10);
    assert_eq!(indices(EventFilter { kind_prefix: kind("gate.held"), ..all() }).await.len(), 21);
    assert_eq!(indices(EventFilter { kind_prefix: kind("gat"), limit: Some(2), ..all() }).await, [1, 2]);
    assert_eq!(indices(EventFilter { subject: kind("mailbox-5@acme.example"), ..all() }).await, [5, 30]);
    assert_eq!(indices(EventFilter { since: Some(at("2026-03-02T00:00:00Z")), ..all() }).await, [30]);
    assert_eq!(indices(EventFilter { until: Some(at("2026-03-02T00:00:00Z")), ..all() }).await.len(), 30);
    assert_eq!(indices(EventFilter { after: Some(28), ..all() }).await, [29, 30]);
    let newest = EventFilter { newest_first: true, limit: Some(2), after: Some(30), ..all() };
    assert_eq!(indices(newest).await, [29, 28]);
}

async fn two_openers_of_one_file_append_one_sequence(on: Databases) {
    let place = on.place();
    let openers = [place.open().await, place.open().await];
    let mut tasks = Vec::new();
    for n in 0..400 {
        let ledger = openers[n % 2].clone();
        tasks.push(tokio::spawn(async move { (n, ledger.append(held(n)).await.unwrap()) }));
    }
    let mut places = BTreeMap::new();
    for task in tasks {
        let (n, receipt) = task.await.unwrap();
        places.insert(receipt.index, (n, receipt.leaf_hash));
    }
    assert_eq!(places.keys().copied().collect::<Vec<_>>(), (0..400).collect::<Vec<u64>>());
    for event in openers[0].events(&EventFilter::default()).await.unwrap() {
        let (n, leaf_hash) = places[&event.index];
        assert_eq!((event.detail.unwrap().payload, event.leaf_hash), (json!({"number": n}), leaf_hash));
    }
    let damage: Vec<_> =
        verify(&openers[1], &[], &[]).await.unwrap().into_iter().filter(Problem::is_damage).collect();
    assert_eq!(damage, []);
}

const CHILD: &str = "MAILWARDEN_LEDGER_TEST_CHILD";

/// Does nothing unless the test below starts it; then it appends and tells each durable receipt until it is
/// killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_appends_until_it_is_killed() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let ledger = Ledger::open(&url).await.unwrap();
    let mut writers = Vec::new();
    for writer in 0..8_usize {
        let ledger = ledger.clone();
        writers.push(tokio::spawn(async move {
            for n in 0.. {
                let receipt = ledger.append(held(writer * 1_000_000 + n)).await.unwrap();
                println!("\nreceipt {} {} .", receipt.index, receipt.leaf_hash);
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

fn receipt_in(line: &str) -> Option<(u64, String)> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["receipt", index, hash, "."] => Some((index.parse().ok()?, (*hash).to_owned())),
        _ => None,
    }
}

/// Starts the child, kills it with SIGKILL after `count` receipts, and returns all that it told.
fn receipts_until_killed(url: &str, count: usize) -> BTreeMap<u64, String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_appends_until_it_is_killed", "--nocapture"])
        .env(CHILD, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut told: BTreeMap<_, _> = lines.by_ref().filter_map(|line| receipt_in(&line)).take(count).collect();
    child.kill().unwrap();
    told.extend(lines.filter_map(|line| receipt_in(&line)));
    child.wait().unwrap();
    told
}

async fn kill_9_loses_no_acknowledged_entry(on: Databases) {
    killed_in_a_loop(&on, 4).await;
}

/// The rounds differ in length, so that the kill falls at other moments.
async fn killed_in_a_loop(on: &Databases, rounds: usize) {
    let place = on.place();
    let mut told = BTreeMap::new();
    for round in 1..=rounds {
        let wanted = 50 * (1 + round % 7);
        let more = receipts_until_killed(&place.url, wanted);
        assert!(more.len() >= wanted, "the child told only {} receipts", more.len());
        assert!(more.keys().all(|index| !told.contains_key(index)), "an entry was overwritten");
        told.extend(more);
        let ledger = Ledger::open_existing(&place.url).await.unwrap();
        let stored = stored(&ledger).await;
        let lost: Vec<_> = told.iter().filter(|(index, hash)| stored.get(index) != Some(hash)).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        let problems = verify(&ledger, &[], &[]).await.unwrap();
        assert!(!problems.iter().any(Problem::is_damage), "{problems:?}");
        ledger.close().await.unwrap();
    }
}

/// Index and leaf hash of every entry.
async fn stored(ledger: &Ledger) -> BTreeMap<u64, String> {
    let mut all = BTreeMap::new();
    let mut filter = EventFilter::default();
    loop {
        let events = ledger.events(&filter).await.unwrap();
        let Some(last) = events.last() else { return all };
        filter.after = Some(last.index);
        all.extend(events.iter().map(|event| (event.index, event.leaf_hash.to_hex())));
    }
}

#[tokio::test]
#[ignore = "slow: a hundred kills"]
async fn kill_9_a_hundred_times_loses_no_acknowledged_entry_on_sqlite() {
    killed_in_a_loop(&Databases::Sqlite, 100).await;
}

#[tokio::test]
#[ignore = "slow: a hundred kills"]
async fn kill_9_a_hundred_times_loses_no_acknowledged_entry_on_postgresql() {
    killed_in_a_loop(&Databases::postgresql(), 100).await;
}

async fn two_processes_append_to_one_file_and_neither_loses_anything(on: Databases) {
    let place = on.place();
    place.open().await.close().await.unwrap();
    let url = place.url.as_str();
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| receipts_until_killed(url, 300));
        let other = scope.spawn(|| receipts_until_killed(url, 300));
        (one.join().unwrap(), other.join().unwrap())
    });
    assert!(one.keys().all(|index| !other.contains_key(index)), "one entry was given to both");
    let ledger = place.open().await;
    let stored = ledger.events(&EventFilter::default()).await.unwrap();
    for (index, hash) in one.iter().chain(&other) {
        assert_eq!(stored[*index as usize].leaf_hash.to_hex(), *hash, "entry {index}");
    }
    assert!(!verify(&ledger, &[], &[]).await.unwrap().iter().any(Problem::is_damage));
}

async fn refusals_are_summed_and_each_past_hour_becomes_one_entry(on: Databases) {
    let place = on.place();
    let ledger = place.open().await;
    for minute in 0..60 {
        ledger.record_refusal(
            "vendor-state",
            "acme",
            at("2026-03-01T09:00:00Z") + TimeDelta::minutes(minute),
        );
        ledger.record_refusal("receive-only", "bills.acme.example", at("2026-03-01T10:00:00Z"));
    }
    ledger.flush_refusals(at("2026-03-01T10:30:00Z")).await.unwrap();
    let entries = ledger.events(&EventFilter::default()).await.unwrap();
    assert_eq!(entries.len(), 1, "only the hour that has passed");
    assert_eq!(entries[0].kind, EventKind::GateRefusals);
    let detail = entries[0].detail.clone().unwrap();
    assert_eq!(detail.subject, "2026-03-01T09:00:00Z");
    let sums = json!({"total": 60, "sums": [{"rule": "vendor-state", "object": "acme", "count": 60}]});
    assert_eq!(detail.payload, sums);

    // A straggler of the hour that was entered is not lost: the next pass enters the difference.
    ledger.record_refusal("vendor-state", "acme", at("2026-03-01T09:59:59Z"));
    ledger.flush_refusals(at("2026-03-01T10:31:00Z")).await.unwrap();
    assert_eq!(ledger.head().await.unwrap().size, 1);
    ledger.flush_refusals(at("2026-03-01T11:03:00Z")).await.unwrap();
    let after = ledger.events(&EventFilter { after: Some(0), ..EventFilter::default() }).await.unwrap();
    let totals: Vec<_> = after.iter().map(|e| e.detail.as_ref().unwrap().payload["total"].clone()).collect();
    assert_eq!(totals, [json!(1), json!(60)]);

    ledger.flush_refusals(at("2026-03-01T12:03:00Z")).await.unwrap();
    assert_eq!(ledger.head().await.unwrap().size, 3, "an hour is entered once");
    let sums = ledger.refusal_sums(at("2026-03-01T10:59:00Z")).await.unwrap();
    assert_eq!(sums.len(), 1);
    assert_eq!((sums[0].object.as_str(), sums[0].count), ("bills.acme.example", 60));
    assert_eq!(ledger.refusal_sums(at("2026-03-01T09:00:00Z")).await.unwrap()[0].count, 61);
}

async fn counted_refusals_are_written_on_close_and_by_the_clock(on: Databases) {
    // The present hour: one that has passed is moved into the ledger, and its sums go.
    let now = chrono::Utc::now();
    let place = on.place();
    let closing = place.open().await;
    closing.record_refusal("route", "acme", now);
    closing.close().await.unwrap();

    let often =
        LedgerOptions { refusal_flush: std::time::Duration::from_millis(1), ..LedgerOptions::default() };
    let ticking = Ledger::open_with(&place.url, often).await.unwrap();
    ticking.record_refusal("route", "acme", now);
    let written = async || ticking.refusal_sums(now).await.unwrap()[0].count;
    while written().await < 2 {
        tokio::task::yield_now().await;
    }
}

async fn counted_refusals_are_written_while_appends_never_cease(on: Databases) {
    let now = chrono::Utc::now();
    let place = on.place();
    let often =
        LedgerOptions { refusal_flush: std::time::Duration::from_millis(20), ..LedgerOptions::default() };
    let ledger = Ledger::open_with(&place.url, often).await.unwrap();
    let ceaseless: Vec<_> = (0..16)
        .map(|_| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    ledger.append(held(n)).await.unwrap();
                }
            })
        })
        .collect();
    ledger.record_refusal("route", "acme", now);
    let other = place.open().await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while other.refusal_sums(now).await.unwrap().is_empty() {
        assert!(std::time::Instant::now() < deadline, "the refusal was not written");
    }
    ceaseless.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Small calls are one text for the database, large ones several; 256 entries complete a stored subtree.
async fn calls_of_any_size_are_entered_whole_and_in_order(on: Databases) {
    let place = on.place();
    let ledger = place.open().await;
    let (sizes, mut next) = ([1, 2, 3, 16, 17, 31, 33, 64, 90, 127, 128, 129, 255, 256, 257, 1_000], 0);
    for size in sizes {
        let receipts = ledger.append_all((next..next + size).map(held).collect()).await.unwrap();
        let indices: Vec<u64> = receipts.iter().map(|receipt| receipt.index).collect();
        assert_eq!(indices, (next as u64..(next + size) as u64).collect::<Vec<_>>());
        next += size;
    }
    // These wait for each other and are committed together.
    let together: Vec<_> = (0..4)
        .map(|_| {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.append_all((0..1_000).map(held).collect()).await.unwrap() })
        })
        .collect();
    for call in together {
        let receipts = call.await.unwrap();
        assert!(receipts.windows(2).all(|pair| pair[0].index + 1 == pair[1].index));
        next += receipts.len();
    }
    assert_eq!(ledger.head().await.unwrap().size, next as u64);
    assert!(!verify(&ledger, &[], &[]).await.unwrap().iter().any(Problem::is_damage));
}

async fn entries_of_cases_and_others_are_entered_side_by_side(on: Databases) {
    let place = on.place();
    let openers = [place.open().await, place.open().await];
    let tasks: Vec<_> = (0..200_usize)
        .map(|n| {
            let ledger = openers[n % 2].clone();
            let event = if n % 5 == 0 { held(n).in_case(format!("CASE-{}", n % 3)) } else { held(n) };
            tokio::spawn(async move { ledger.append(event).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(openers[0].head().await.unwrap().size, 200);
    let problems = verify(&openers[1], &[], &[]).await.unwrap();
    assert!(!problems.iter().any(Problem::is_damage), "{problems:?}");
}

async fn several_processes_together_keep_the_limit_of_objects(on: Databases) {
    let place = on.place();
    let hour = at("2026-03-01T09:00:00Z");
    for process in 0..2 {
        let ledger = place.open().await;
        for n in 0..MAX_OBJECTS_PER_HOUR / 2 + 100 {
            ledger.record_refusal("route", &format!("scope-{process}-{n}"), hour);
        }
        ledger.close().await.unwrap();
    }
    let sums = place.open().await.refusal_sums(hour).await.unwrap();
    assert_eq!(sums.len(), MAX_OBJECTS_PER_HOUR + 1);
    let other = sums.iter().find(|sum| sum.object == OTHER).unwrap();
    assert_eq!(other.count, 200);
}
