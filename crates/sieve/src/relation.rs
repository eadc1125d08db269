//! RFC 5231 on constants: `:count` and `:value`, and numbers as RFC 4790 §9.1 reads them.

use crate::matching::Comparator;
use std::cmp::Ordering;

/// Whether the relation named by `relation` holds for an ordering; none for an unknown name.
pub(crate) fn holds(relation: &[u8], ordering: Ordering) -> Option<bool> {
    Some(match relation {
        b"gt" => ordering.is_gt(),
        b"ge" => ordering.is_ge(),
        b"lt" => ordering.is_lt(),
        b"le" => ordering.is_le(),
        b"eq" => ordering.is_eq(),
        b"ne" => ordering.is_ne(),
        _ => return None,
    })
}

/// How two texts compare; none where that is not known.
pub(crate) fn compare(a: &[u8], b: &[u8], comparator: Comparator) -> Option<Ordering> {
    match comparator {
        Comparator::Octet => Some(a.cmp(b)),
        Comparator::AsciiNumeric => Some(number(a).cmp(&number(b))),
        Comparator::AsciiCasemap => {
            // Between `Z` and `a` it matters which case letters are folded to.
            let plain = |text: &[u8]| text.iter().all(|byte| !(b'['..=b'`').contains(byte));
            (plain(a) && plain(b)).then(|| a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()))
        }
        Comparator::Unsure | Comparator::Other => None,
    }
}

/// A text that begins with no digit is larger than all numbers, and equal to its like.
pub(crate) fn number(text: &[u8]) -> (bool, usize, &[u8]) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return (true, 0, b"");
    }
    let zeros = text[..length].iter().take_while(|byte| **byte == b'0').count();
    (false, length - zeros, &text[zeros..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let order = |a: &str, b: &str| compare(a.as_bytes(), b.as_bytes(), Comparator::AsciiNumeric).unwrap();
        assert_eq!(order("01x", "1"), Ordering::Equal);
        assert_eq!(order("9", "10"), Ordering::Less);
        assert_eq!(order("", "99999999999999999999999"), Ordering::Greater);
        assert_eq!(order("x", "y"), Ordering::Equal);
        assert_eq!(compare(b"a", b"B", Comparator::AsciiCasemap), Some(Ordering::Less));
        assert_eq!(compare(b"a_", b"B", Comparator::AsciiCasemap), None);
        assert_eq!(holds(b"ge", Ordering::Equal), Some(true));
        assert_eq!(holds(b"zz", Ordering::Equal), None);
    }
}
