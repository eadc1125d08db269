//! Randomness for salts, keys and references.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// 32 bytes from the operating system's generator.
///
/// A version 4 UUID holds 122 random bits and 6 fixed ones; three of them hashed give 256 bits without bias.
pub(crate) fn random_32() -> [u8; 32] {
    let mut hash = Sha256::new();
    for _ in 0..3 {
        hash.update(Uuid::new_v4().as_bytes());
    }
    hash.finalize().into()
}

/// The salts of the events of one call: one journey to the operating system's generator for all of them. Whoever
/// learns some salts learns nothing of the others, and the seed is kept nowhere.
pub(crate) struct Salts {
    seed: Option<[u8; 32]>,
    given: u64,
}

impl Salts {
    pub(crate) fn new() -> Self {
        Self { seed: None, given: 0 }
    }

    pub(crate) fn next_salt(&mut self) -> [u8; 32] {
        let seed = self.seed.get_or_insert_with(random_32);
        self.given += 1;
        Sha256::new().chain_update(seed).chain_update(self.given.to_be_bytes()).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn salts_differ_within_a_call_and_between_calls() {
        let two_calls = [Salts::new(), Salts::new()];
        let salts = two_calls.into_iter().flat_map(|mut salts| [(); 100].map(|()| salts.next_salt()));
        assert_eq!(salts.collect::<HashSet<_>>().len(), 200);
    }
}
