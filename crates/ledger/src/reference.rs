//! The reference that a refusal names and that an administrator looks up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many characters a reference has; five random bits each.
pub const REFERENCE_LENGTH: usize = 12;

/// Crockford's alphabet: no I, L, O or U, so that a reference survives the telephone.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Twelve characters of Crockford base 32: 60 bits from the operating system's generator.
///
/// Nothing but chance keeps references apart, which needs no state and survives restarts and several gates:
/// among a million kept decisions two are alike with a probability of one in two million. A stranger learns
/// nothing from one (no time, no count) and cannot guess that of somebody else's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference([u8; REFERENCE_LENGTH]);

impl Reference {
    /// A new reference.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default that differs each time would surprise")]
    pub fn new() -> Self {
        // The low 62 bits of a version 4 UUID are random; the two above them are fixed.
        let (_, mut random) = Uuid::new_v4().as_u64_pair();
        Self(std::array::from_fn(|_| {
            let character = ALPHABET[(random & 31) as usize];
            random >>= 5;
            character
        }))
    }

    /// The reference as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Every byte comes from the ASCII alphabet.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a reference has {REFERENCE_LENGTH} letters and digits, as the refusal shows it after `ref`")]
pub struct NotAReference;

impl FromStr for Reference {
    type Err = NotAReference;

    /// Reads what a person typed: case does not matter, hyphens and spaces are skipped, O is 0, I and L are
    /// 1.
    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let mut read = [0; REFERENCE_LENGTH];
        let mut length = 0;
        for typed in text.bytes().filter(|byte| !matches!(byte, b'-' | b' ')) {
            *read.get_mut(length).ok_or(NotAReference)? = symbol(typed)?;
            length += 1;
        }
        if length == REFERENCE_LENGTH { Ok(Self(read)) } else { Err(NotAReference) }
    }
}

fn symbol(typed: u8) -> Result<u8, NotAReference> {
    let meant = match typed.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    if ALPHABET.contains(&meant) { Ok(meant) } else { Err(NotAReference) }
}

impl Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn references_differ_and_every_position_varies() {
        let made: Vec<Reference> = (0..2000).map(|_| Reference::new()).collect();
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), made.len());
        for position in 0..REFERENCE_LENGTH {
            let seen: HashSet<u8> = made.iter().map(|reference| reference.0[position]).collect();
            assert_eq!(seen.len(), 32, "position {position}");
        }
    }

    #[test]
    fn what_a_person_types_reads_as_what_was_shown() {
        let shown: Reference = "7Q4M01K2XD9R".parse().unwrap();
        assert_eq!(shown.to_string(), "7Q4M01K2XD9R");
        assert_eq!("7q4m-oik2-xd9r".parse(), Ok(shown));
        assert_eq!(" 7Q4M 0LK2 XD9R ".parse(), Ok(shown));
        let made = Reference::new();
        assert_eq!(made.as_str().parse(), Ok(made));
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "7Q4M01K2XD9", "7Q4M01K2XD9RR", "7Q4M01K2XD9U", "7Q4M01K2XD9\u{e9}", "%"] {
            assert_eq!(bad.parse::<Reference>(), Err(NotAReference), "{bad:?}");
        }
    }
}
