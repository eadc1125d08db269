//! Temporary secrets: generated, shown once, stored nowhere.

/// The least there may be.
pub const MIN_LENGTH: usize = 16;
/// What is generated.
pub const LENGTH: usize = 20;
/// How many random bytes [`temporary`] wants; more than enough after those that would favour some characters
/// are left out.
pub const RANDOM_BYTES: usize = 128;

/// Characters that are not mistaken for one another when they are read over a telephone.
const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// A secret of [`LENGTH`] characters, each equally likely; `None` where the random bytes do not suffice.
pub fn temporary(random: &[u8; RANDOM_BYTES]) -> Option<String> {
    // A remainder would make the first characters likelier: bytes beyond the last whole multiple are left
    // out.
    let fair = 256 / ALPHABET.len() * ALPHABET.len();
    let characters = random.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
    let secret: String =
        characters.map(|byte| char::from(ALPHABET[byte % ALPHABET.len()])).take(LENGTH).collect();
    (secret.len() == LENGTH).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_and_every_character_as_likely() {
        let mut random = [0; RANDOM_BYTES];
        for (at, byte) in random.iter_mut().enumerate() {
            *byte = u8::try_from((at * 37) % 256).unwrap();
        }
        let secret = temporary(&random).unwrap();
        assert!(secret.len() >= MIN_LENGTH && secret.bytes().all(|byte| ALPHABET.contains(&byte)));
        // Bytes that would favour the first characters are not used: all of them at once are too few.
        assert_eq!(temporary(&[255; RANDOM_BYTES]), None);
        let per_character = 256 / ALPHABET.len();
        let counted = (0..=255_u8).filter(|byte| usize::from(*byte) < per_character * ALPHABET.len());
        assert_eq!(counted.count(), per_character * ALPHABET.len());
    }
}
