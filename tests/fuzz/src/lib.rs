//! Fuzz targets for what strangers can send, their corpora, and a bounded driver for stable Rust.
//!
//! A target is a function of octets that panics when something does not hold. [`drive`] mutates a committed
//! corpus by a seed and runs as a normal test; `libfuzzer/` hands the same targets to cargo-fuzz, for whoever
//! has a nightly compiler and an evening:
//!
//! ```sh
//! cd tests/fuzz && cargo +nightly fuzz run --fuzz-dir libfuzzer milter_session corpus/milter_session
//! ```
//!
//! An input that failed goes into the corpus, and stays there.

mod drive;
pub mod targets;

pub use drive::{corpus, drive};
