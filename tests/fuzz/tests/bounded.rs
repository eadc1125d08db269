//! Every target on its corpus and on mutants of it, the same ones each time. `MAILWARDEN_FUZZ_SEED` and
//! `MAILWARDEN_FUZZ_MUTANTS` ask for others, and for more.

use mailwarden_fuzz::{corpus, drive, targets};

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

fn bounded(name: &str, target: fn(&[u8]), mutants: u64) {
    let mutants = number("MAILWARDEN_FUZZ_MUTANTS", mutants);
    drive(
        &corpus(name),
        usize::try_from(mutants).unwrap_or(usize::MAX),
        number("MAILWARDEN_FUZZ_SEED", 20_260),
        target,
    );
}

#[test]
fn milter_codec() {
    bounded("milter_codec", targets::milter_codec, 60_000);
}

#[test]
fn milter_session() {
    bounded("milter_session", targets::milter_session, 60_000);
}

#[test]
fn address_header() {
    bounded("address_header", targets::address_header, 4_000);
}

#[test]
fn address_envelope() {
    bounded("address_envelope", targets::address_envelope, 10_000);
}
