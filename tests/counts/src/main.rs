//! `mailwarden-counts WORK TIMES` does one piece of work so many times and says nothing: `cargo xtask counts` runs it
//! under callgrind, with two numbers, and takes the difference, so that making ready does not count.

mod gate;
mod milter;
mod sieve;

use std::process::ExitCode;

/// A piece of work, made ready.
type Work = Box<dyn FnMut()>;

fn work(name: &str) -> Option<Work> {
    Some(match name {
        "gate-recipient" => gate::recipient(),
        "gate-message" => gate::message(),
        "policy-vendor" => gate::vendor(),
        "policy-compile" => gate::compile(),
        "milter-session" => milter::session(),
        "sieve-parse" => sieve::parsed(),
        "sieve-analyse" => sieve::analysed(),
        _ => return None,
    })
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let times = arguments.next().and_then(|times| times.parse::<u32>().ok());
    let (Some(mut work), Some(times)) = (work(&name), times) else { return ExitCode::from(2) };
    (0..times).for_each(|_| work());
    ExitCode::SUCCESS
}
