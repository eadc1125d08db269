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
