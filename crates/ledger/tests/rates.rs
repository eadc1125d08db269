//! Measurements: `cargo test -p mailwarden-ledger --test rates -- --ignored --nocapture --test-threads 1`, with
//! `MAILWARDEN_LEDGER_ENTRIES=1000000` for a million entries.
#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]
#![allow(clippy::print_stdout, reason = "numbers are what this is for")]

#[macro_use]
mod common;

use std::time::Instant;

use common::{Databases, fill, held, loaded};
use mailwarden_ledger::{CheckpointKey, Problem, verify};

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
    let place = on.place();
    let ledger = place.open().await;
    let begun = Instant::now();
    fill(&ledger, 50_000).await;
    println!("calls of 1,000: {:>8.0} events/s", 50_000.0 / begun.elapsed().as_secs_f64());
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
