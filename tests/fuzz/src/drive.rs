//! A bounded, repeatable fuzzer: seeds and mutations, no feedback.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

/// No mutant is longer.
const LONGEST: usize = 8_192;
/// Values at which lengths and counters break.
const EDGES: [u8; 8] = [0, 1, 0x0d, 0x0a, 0x40, 0x7f, 0x80, 0xff];

/// The committed inputs of a target, by name of file.
///
/// # Panics
/// When there are none: a corpus that was lost would make every run a good one.
#[must_use]
pub fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut inputs: Vec<(String, Vec<u8>)> = files
        .filter_map(|file| Some((file.file_name().into_string().ok()?, fs::read(file.path()).ok()?)))
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "no corpus in {}", folder.display());
    inputs
}

/// Runs a target on its corpus, then on that many mutants of it.
///
/// # Panics
/// When the target does; the input is shown as a Rust byte string, to be put into the corpus.
pub fn drive(corpus: &[(String, Vec<u8>)], mutants: usize, seed: u64, target: fn(&[u8])) {
    for (name, input) in corpus {
        run(target, input, name);
    }
    let mut chance = Chance(seed | 1);
    for number in 0..mutants {
        let input = mutant(corpus, &mut chance);
        run(target, &input, &format!("mutant {number} of seed {seed}"));
    }
}

fn run(target: fn(&[u8]), input: &[u8], name: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    if let Err(panic) = outcome {
        let shown = input.escape_ascii();
        // The test's own panic message comes first; this is what it needs to be repeated.
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), format!("{name}: b\"{shown}\"\n").as_bytes());
        resume_unwind(panic);
    }
}

fn mutant(corpus: &[(String, Vec<u8>)], chance: &mut Chance) -> Vec<u8> {
    let mut input = corpus[chance.below(corpus.len())].1.clone();
    for _ in 0..=chance.below(6) {
        mutate(&mut input, corpus, chance);
    }
    input.truncate(LONGEST);
    input
}

fn mutate(input: &mut Vec<u8>, corpus: &[(String, Vec<u8>)], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    let end = at + chance.below((input.len() - at).min(64) + 1);
    match chance.below(7) {
        0 if at < input.len() => input[at] ^= 1 << chance.below(8),
        1 if at < input.len() => input[at] = EDGES[chance.below(EDGES.len())],
        2 => drop(input.drain(at..end)),
        3 => input.insert(at, EDGES[chance.below(EDGES.len())]),
        4 => {
            let copy = input[at..end].to_vec();
            input.splice(at..at, copy);
        }
        5 => {
            let other = &corpus[chance.below(corpus.len())].1;
            let from = chance.below(other.len() + 1);
            input.splice(at..end, other[from..].iter().copied());
        }
        _ => input.truncate(end),
    }
}

/// xorshift64*: the same numbers each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or(0) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_input_is_found_and_fails_the_run() {
        fn no_double_zero(input: &[u8]) {
            assert!(!input.windows(2).any(|pair| pair == [0, 0]), "found");
        }
        let corpus = [("seed".to_owned(), b"abc\0def".to_vec())];
        assert!(catch_unwind(|| drive(&corpus, 5_000, 1, no_double_zero)).is_err());
        drive(&corpus, 0, 1, no_double_zero);
    }
}
