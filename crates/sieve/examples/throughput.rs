//! How many scripts a second, then what the largest scripts cost: `cargo run --release -p sieve-analysis
//! --example throughput`. With a word behind it only those largest scripts whose name holds it are tried.
#![allow(clippy::print_stdout, reason = "the numbers are what this program is for")]

#[path = "../tests/robustness/heavy.rs"]
mod heavy;

use std::hint::black_box;
use std::time::{Duration, Instant};

use heavy::heavy;
use mailwarden_lab::processor;
use sieve_analysis::{Dialect, analyse, parser::parse};

/// What the programs that use the library take.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SCRIPT: &[u8] = b"require [\"fileinto\", \"copy\", \"variables\"];\r\n# rule:[Lists]\r\n\
if anyof (header :contains \"list-id\" \"dev.example\", address :is \"to\" \"dev@x.example\")\r\n{\r\n\
\tfileinto \"Lists/dev\";\r\n\tstop;\r\n}\r\n# rule:[Copy]\r\nset \"who\" \"boss\";\r\n\
if header :matches \"subject\" [\"*invoice*\", \"*payment*\"]\r\n{\r\n\
\tredirect :copy \"${who}@x.example\";\r\n}\r\nif size :over 10M\r\n{\r\n\tdiscard;\r\n}\r\n";

fn rate(work: impl Fn()) -> f64 {
    let begun = Instant::now();
    let (rounds, took) = processor::spent(|| {
        let mut rounds = 0_u32;
        while begun.elapsed() < Duration::from_secs(2) {
            (0..100).for_each(|_| work());
            rounds += 100;
        }
        rounds
    });
    f64::from(rounds) / took.as_secs_f64()
}

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted.is_empty() {
        let parsed = rate(|| drop(black_box(parse(black_box(SCRIPT), Dialect::Pigeonhole))));
        let analysed = rate(|| drop(black_box(analyse(black_box(SCRIPT), Dialect::Pigeonhole, true))));
        println!("{} bytes: {parsed:.0} parsed/s, {analysed:.0} analysed/s", SCRIPT.len());
    }
    for (name, script) in heavy(1 << 20).iter().filter(|(name, _)| name.contains(&wanted)) {
        for dialect in Dialect::ALL {
            println!("1 MiB of {name}: {:?} in {dialect}", shortest(script.as_bytes(), dialect));
        }
    }
}

/// The machine may be busy with other things, so the shortest of some rounds tells what the work costs.
fn shortest(script: &[u8], dialect: Dialect) -> Duration {
    let round = |_| processor::spent(|| black_box(analyse(black_box(script), dialect, true))).1;
    (0..3).map(round).min().unwrap_or_default()
}
