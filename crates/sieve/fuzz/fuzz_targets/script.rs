//! Any bytes: the promises of `tests/robustness/promises.rs`. `README.md` says how to run it;
//! `cargo test -p sieve-analysis --test robustness` does the same without a fuzzer.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/robustness/promises.rs"]
mod promises;

fuzz_target!(|script: &[u8]| promises::holds(script));
