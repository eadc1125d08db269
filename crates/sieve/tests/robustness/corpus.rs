//! The fuzzer's corpus, replayed and changed at random for a bounded time.

use crate::promises::holds;
use std::path::Path;
use std::time::{Duration, Instant};

const DEFAULT_SECONDS: u64 = 3;

/// `SplitMix64`: the same seed makes the same changes on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/script");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// A stretch taken out, doubled, put elsewhere, taken from another script, or a byte changed.
fn changed(script: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut new = script.to_vec();
    let at = chance.below(new.len());
    let end = (at + chance.below(24)).min(new.len());
    let place = chance.below(new.len() + 1);
    match chance.below(5) {
        0 => drop(new.drain(at..end)),
        1 => {
            let piece = new[at..end].to_vec();
            new.splice(place..place, piece);
        }
        2 => {
            let from = chance.below(other.len());
            let to = (from + chance.below(40)).min(other.len());
            new.splice(place..place, other[from..to].iter().copied());
        }
        3 if !new.is_empty() => new[at] = chance.below(256) as u8,
        _ => {
            const MARKS: &[u8] = b"\"\\{}[]();:,#/*\r\n\0\xff$";
            new.insert(place, MARKS[chance.below(MARKS.len())]);
        }
    }
    new
}

/// `SIEVE_FUZZ_SECONDS=3600 cargo test -p sieve-analysis --test robustness corpus` goes on for an hour and
/// begins where the clock says.
#[test]
fn the_corpus_and_its_changes_hold() {
    let corpus = corpus();
    assert!(corpus.len() >= 20, "only {} scripts", corpus.len());
    corpus.iter().for_each(|script| holds(script));
    let asked: Option<u64> = std::env::var("SIEVE_FUZZ_SECONDS").ok().map(|text| text.parse().unwrap());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut chance = Chance(asked.map_or(1, |_| now.as_secs()));
    let (begun, time) = (Instant::now(), Duration::from_secs(asked.unwrap_or(DEFAULT_SECONDS)));
    let mut script = corpus[0].clone();
    while begun.elapsed() < time {
        let from = &corpus[chance.below(corpus.len())];
        if script.len() > 4096 || chance.below(8) == 0 {
            script.clone_from(from);
        }
        script = changed(&script, from, &mut chance);
        holds(&script);
    }
}
