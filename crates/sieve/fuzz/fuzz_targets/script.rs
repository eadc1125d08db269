//! Any bytes: the promises of `tests/robustness/promises.rs`. `cargo +nightly fuzz run script` in this
//! folder's parent; `cargo test -p sieve-analysis --test robustness` does the same without a fuzzer.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/robustness/promises.rs"]
mod promises;

fuzz_target!(|script: &[u8]| promises::holds(script));
