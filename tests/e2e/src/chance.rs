//! Chance that can be repeated.

/// A sequence of numbers that a seed decides (xorshift64*).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The sequence of a seed; that of `MAILWARDEN_SEED` where it is set, to repeat a run.
    #[must_use]
    pub fn from_seed(seed: u64) -> Chance {
        let named = std::env::var("MAILWARDEN_SEED").ok().and_then(|seed| seed.parse().ok());
        Chance(named.unwrap_or(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or(0) % bound.max(1)
    }
}
