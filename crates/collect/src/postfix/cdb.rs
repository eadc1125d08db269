//! Constant databases (cdb) in force, which `postmap -s` does not list. The format is D. J. Bernstein's: 256 pairs of
//! little-endian position and length of hash tables, then records of key length, data length, key, data; the first
//! hash table begins where the records end.

/// Size of the pairs at the beginning.
const HEAD: usize = 2048;

/// The rows of a database, at most `most`, and whether there are more.
///
/// # Errors
/// It is no such database.
pub(super) fn rows(bytes: &[u8], most: usize) -> Result<(Vec<(String, String)>, bool), String> {
    let broken = || "it is no constant database".to_owned();
    let end = (0..256).filter_map(|pair| number(bytes, pair * 8)).min().ok_or_else(broken)?;
    if bytes.len() < HEAD || end > bytes.len() || end < HEAD {
        return Err(broken());
    }
    let (mut at, mut rows) = (HEAD, Vec::new());
    while at < end {
        if rows.len() == most {
            return Ok((rows, true));
        }
        let lengths = number(bytes, at).zip(number(bytes, at + 4)).ok_or_else(broken)?;
        let key_at = at + 8;
        let value_at = key_at.checked_add(lengths.0).ok_or_else(broken)?;
        at = value_at.checked_add(lengths.1).filter(|next| *next <= end).ok_or_else(broken)?;
        rows.push((text(&bytes[key_at..value_at]), text(&bytes[value_at..at])));
    }
    Ok((rows, false))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(four)).ok()
}

/// Postfix may end keys and values with a zero byte.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn database(records: &[(&str, &str)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (key, value) in records {
            let length = |text: &str| u32::try_from(text.len()).unwrap().to_le_bytes();
            body.extend([length(key), length(value)].concat());
            body.extend([key.as_bytes(), value.as_bytes()].concat());
        }
        let end = u32::try_from(HEAD + body.len()).unwrap().to_le_bytes();
        let pair = [end, 0_u32.to_le_bytes()].concat();
        [pair.repeat(256), body].concat()
    }

    #[test]
    fn records_are_read_to_the_first_table() {
        let bytes = database(&[("a@x\0", "b@y\0"), ("c", "d")]);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(rows(&bytes, 9).unwrap(), (vec![pair("a@x", "b@y"), pair("c", "d")], false));
        assert_eq!(rows(&bytes, 1).unwrap(), (vec![pair("a@x", "b@y")], true));
        assert!(rows(&bytes[..bytes.len() - 1], 9).is_err());
        assert!(rows(b"text", 9).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(damage in proptest::collection::vec((0_usize..2100, any::<u8>()), 0..6)) {
            let mut bytes = database(&[("key", "value"), ("other", "more")]);
            let length = bytes.len();
            damage.into_iter().for_each(|(at, byte)| bytes[at % length] = byte);
            if let Ok((rows, _)) = rows(&bytes, 1000) {
                prop_assert!(rows.len() <= length / 8);
            }
        }
    }
}
