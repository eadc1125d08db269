//! Bytes in a saved run: as text where they are text, so that a reviewer can read them, else in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Saved {
    Text(String),
    Binary { base64: String },
}

/// Writes bytes.
pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Saved::Text(text.to_owned()),
        Err(_) => Saved::Binary { base64: STANDARD.encode(bytes) },
    }
    .serialize(serializer)
}

/// Reads what [`serialize`] wrote, byte for byte.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    match Saved::deserialize(deserializer)? {
        Saved::Text(text) => Ok(text.into_bytes()),
        Saved::Binary { base64 } => STANDARD.decode(base64).map_err(D::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use crate::Fact;

    #[test]
    fn a_saved_script_comes_back_byte_for_byte() {
        for source in [&b"keep;\r\n"[..], b"", b"\xff\xfe keep;", "redirect \"\u{fc}@x\";".as_bytes()] {
            let name = "main".to_owned();
            let implementation = "Dovecot Pigeonhole".to_owned();
            let fact = Fact::SieveScript { name, active: true, source: source.to_vec(), implementation };
            let text = serde_json::to_string(&fact).unwrap();
            assert_eq!(serde_json::from_str::<Fact>(&text).unwrap(), fact, "{text}");
        }
    }
}
