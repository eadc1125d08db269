//! How many scripts a second: `cargo run --release -p sieve-analysis --example throughput`.
#![allow(clippy::print_stdout, reason = "the numbers are what this program is for")]

use sieve_analysis::{Dialect, analyse, parser::parse};
use std::hint::black_box;
use std::time::{Duration, Instant};

const SCRIPT: &[u8] = b"require [\"fileinto\", \"copy\", \"variables\"];\r\n# rule:[Lists]\r\n\
if anyof (header :contains \"list-id\" \"dev.example\", address :is \"to\" \"dev@x.example\")\r\n{\r\n\
\tfileinto \"Lists/dev\";\r\n\tstop;\r\n}\r\n# rule:[Copy]\r\nset \"who\" \"boss\";\r\n\
if header :matches \"subject\" [\"*invoice*\", \"*payment*\"]\r\n{\r\n\
\tredirect :copy \"${who}@x.example\";\r\n}\r\nif size :over 10M\r\n{\r\n\tdiscard;\r\n}\r\n";

fn rate(work: impl Fn()) -> f64 {
    let begun = Instant::now();
    let mut rounds = 0_u32;
    while begun.elapsed() < Duration::from_secs(2) {
        (0..100).for_each(|_| work());
        rounds += 100;
    }
    f64::from(rounds) / begun.elapsed().as_secs_f64()
}

fn main() {
    let parsed = rate(|| drop(black_box(parse(black_box(SCRIPT), Dialect::Pigeonhole))));
    let analysed = rate(|| drop(black_box(analyse(black_box(SCRIPT), Dialect::Pigeonhole, true))));
    println!("{} bytes: {parsed:.0} parsed/s, {analysed:.0} analysed/s", SCRIPT.len());
    for piece in ["keep;", "redirect \"a@x\";", "if exists \"a\" { keep; }\n"] {
        let large = piece.repeat((1 << 20) / piece.len());
        println!("1 MiB of {piece:?}: {:?}", shortest(large.as_bytes()));
    }
}

/// The machine may be busy with other things, so the shortest of some rounds tells what the work costs.
fn shortest(script: &[u8]) -> Duration {
    let round = |_| {
        let begun = Instant::now();
        black_box(analyse(black_box(script), Dialect::Pigeonhole, true));
        begun.elapsed()
    };
    (0..15).map(round).min().unwrap_or_default()
}
