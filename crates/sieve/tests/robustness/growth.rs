//! The cost of an analysis grows no faster than its script.

use std::time::Duration;

use mailwarden_lab::processor;
use sieve_analysis::{Dialect, analyse};

use crate::heavy::heavy;

/// Four times the bytes may cost this many times the time. A quadratic step costs sixteen times.
const MOST: u32 = 8;
/// Below this, what is measured is the clock.
const NOISE: Duration = Duration::from_millis(4);
/// The first use of memory, and a busy machine, only ever make a round longer.
const ROUNDS: usize = 5;

fn cost(script: &str, dialect: Dialect) -> Duration {
    processor::spent(|| std::hint::black_box(analyse(script.as_bytes(), dialect, true))).1
}

/// Whether one of some rounds shows that the cost grows with the size.
fn grows_slowly(small: &str, large: &str, dialect: Dialect) -> bool {
    (0..ROUNDS).any(|_| cost(large, dialect) < cost(small, dialect).max(NOISE) * MOST)
}

fn fast_growing(size: usize, dialects: &[Dialect]) -> Vec<String> {
    let (small, large) = (heavy(size / 4), heavy(size));
    let pairs = || small.iter().zip(&large);
    let of = |dialect: Dialect| {
        let fast = move |((_, small), (_, large)): &(&(String, String), &(String, String))| {
            !grows_slowly(small, large, dialect)
        };
        pairs().filter(fast).map(move |((name, _), _)| format!("{dialect}: {name}")).collect::<Vec<_>>()
    };
    dialects.iter().flat_map(|dialect| of(*dialect)).collect()
}

#[test]
fn four_times_the_script_costs_about_four_times_as_much() {
    assert_eq!(fast_growing(1 << 15, &[Dialect::Pigeonhole]), Vec::<String>::new());
}

#[test]
#[ignore = "slow: scripts of 1 MiB in every dialect, minutes in a debug build"]
fn the_largest_scripts_cost_about_four_times_their_quarter() {
    assert_eq!(fast_growing(1 << 20, &Dialect::ALL), Vec::<String>::new());
}
