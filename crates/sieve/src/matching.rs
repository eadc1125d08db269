//! Comparing constants: RFC 5228 §2.7, with the match variables of RFC 5229 §3.2.

use crate::relation::number;

/// How two strings are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MatchType {
    Is,
    Contains,
    Matches,
    Regex,
    /// `:count`, `:value`, `:list`: not decided here.
    Other,
}

/// The comparators whose result is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparator {
    Octet,
    AsciiCasemap,
    /// One of the two above; decided only where both agree.
    Unsure,
    /// RFC 4790 §9.1.
    AsciiNumeric,
    Other,
}

/// Comparing more byte pairs than this is left undecided, so that no script makes analysis slow.
const MAX_COMPARISONS: usize = 1 << 18;

/// Whether `value` matches `key`, with what its wildcards took; none when that is not decided.
pub(crate) fn matches(
    value: &[u8],
    key: &[u8],
    match_type: MatchType,
    comparator: Comparator,
) -> Option<Option<Vec<Vec<u8>>>> {
    if comparator == Comparator::Other || value.len().saturating_mul(key.len().max(1)) > MAX_COMPARISONS {
        return None;
    }
    if comparator == Comparator::Unsure {
        let folded = matches(value, key, match_type, Comparator::AsciiCasemap);
        let exact = matches(value, key, match_type, Comparator::Octet);
        // Whether `?` takes a byte or a character is another thing not known of such an engine.
        let plain = value.is_ascii() || !key.contains(&b'?');
        return folded.filter(|folded| plain && exact.as_ref() == Some(folded));
    }
    if comparator == Comparator::AsciiNumeric {
        let equal = number(value) == number(key);
        return (match_type == MatchType::Is).then(|| equal.then(Vec::new));
    }
    let same = |a: &u8, b: &u8| match comparator {
        Comparator::AsciiCasemap => a.eq_ignore_ascii_case(b),
        _ => a == b,
    };
    let equal = |a: &[u8], b: &[u8]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
    match match_type {
        MatchType::Is => Some(equal(value, key).then(Vec::new)),
        MatchType::Contains => {
            let found = key.is_empty() || value.windows(key.len()).any(|window| equal(window, key));
            Some(found.then(Vec::new))
        }
        MatchType::Matches => Some(wildcards(value, &pattern(key), same)),
        MatchType::Regex | MatchType::Other => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Byte(u8),
    AnyOne,
    AnyRun,
}

fn pattern(key: &[u8]) -> Vec<Symbol> {
    let mut symbols = Vec::with_capacity(key.len());
    let mut bytes = key.iter().copied();
    while let Some(byte) = bytes.next() {
        symbols.push(match byte {
            b'*' => Symbol::AnyRun,
            b'?' => Symbol::AnyOne,
            b'\\' => Symbol::Byte(bytes.next().unwrap_or(b'\\')),
            other => Symbol::Byte(other),
        });
    }
    symbols
}

/// How many match variables a `:matches` key sets, `${0}` not counted.
pub(crate) fn wildcard_count(key: &[u8]) -> usize {
    pattern(key).iter().filter(|symbol| !matches!(symbol, Symbol::Byte(_))).count()
}

/// RFC 5229 §3.2: wildcards take as little as they can; `${0}` is the whole. Going back only to the
/// latest `*` gives exactly that, in at most length times length steps.
fn wildcards(value: &[u8], symbols: &[Symbol], same: impl Fn(&u8, &u8) -> bool) -> Option<Vec<Vec<u8>>> {
    let mut ends: Vec<usize> = Vec::with_capacity(symbols.len());
    let (mut at, mut star) = (0, None::<usize>);
    loop {
        let symbol = symbols.get(ends.len());
        let step = match symbol {
            Some(Symbol::AnyRun) => {
                star = Some(ends.len());
                Some(0)
            }
            Some(Symbol::AnyOne) => value.get(at).map(|_| 1),
            Some(Symbol::Byte(byte)) => value.get(at).filter(|have| same(have, byte)).map(|_| 1),
            None if at == value.len() => break,
            None => None,
        };
        if let Some(step) = step {
            at += step;
            ends.push(at);
            continue;
        }
        let star = star?;
        ends.truncate(star + 1);
        if ends[star] == value.len() {
            return None;
        }
        ends[star] += 1;
        at = ends[star];
    }
    Some(captures(value, symbols, &ends))
}

fn captures(value: &[u8], symbols: &[Symbol], ends: &[usize]) -> Vec<Vec<u8>> {
    let mut captured = vec![value.to_vec()];
    for (number, symbol) in symbols.iter().enumerate() {
        if !matches!(symbol, Symbol::Byte(_)) {
            let start = number.checked_sub(1).map_or(0, |before| ends[before]);
            captured.push(value[start..ends[number]].to_vec());
        }
    }
    captured
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(value: &str, key: &str) -> Option<Vec<String>> {
        let found = matches(value.as_bytes(), key.as_bytes(), MatchType::Matches, Comparator::AsciiCasemap)?;
        found.map(|all| all.iter().map(|one| String::from_utf8_lossy(one).into_owned()).collect())
    }

    #[test]
    fn wildcards_take_as_little_as_they_can() {
        assert_eq!(captured("a-b-c", "*-*").unwrap(), ["a-b-c", "a", "b-c"]);
        assert_eq!(captured("abcabd", "*ab?").unwrap(), ["abcabd", "abc", "d"]);
        assert_eq!(captured("x", "*").unwrap(), ["x", "x"]);
        assert_eq!(captured("", "*").unwrap(), ["", ""]);
        assert_eq!(captured("ABC", "a*c").unwrap(), ["ABC", "B"]);
        assert_eq!(captured("a*c", r"a\*c").unwrap(), ["a*c"]);
        // Pigeonhole's `?` takes one byte, as the comparators it works with do (measured).
        assert_eq!(captured("\u{e9}x", "?x"), None);
        assert_eq!(captured("abc", "a?"), None);
        assert_eq!(captured("abc", "b*"), None);
    }

    #[test]
    fn comparators_fold_ascii_only_when_asked() {
        let is = |comparator| matches(b"A", b"a", MatchType::Is, comparator);
        assert_eq!(is(Comparator::AsciiCasemap), Some(Some(vec![])));
        assert_eq!(is(Comparator::Octet), Some(None));
        assert_eq!(is(Comparator::Other), None);
        assert_eq!(is(Comparator::Unsure), None);
        assert_eq!(matches(b"a", b"a", MatchType::Is, Comparator::Unsure), Some(Some(vec![])));
        assert_eq!(matches(b"xay", b"A", MatchType::Contains, Comparator::AsciiCasemap), Some(Some(vec![])));
    }
}
