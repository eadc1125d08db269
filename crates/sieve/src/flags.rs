//! The flag variables of RFC 5232: lists of words in ordinary variables, or in the one that the next
//! delivery uses.

use crate::arguments::Bound;
use crate::effects::EffectKind;
use crate::evaluator::{Run, flags_key};
use crate::matching::{Comparator, MatchType, matches};
use crate::outcomes::{Outcome, cost, match_type};
use crate::value::Value;

impl Run<'_, '_> {
    /// RFC 5232 §3: `setflag`, `addflag` and `removeflag`, with or without a variable.
    pub(crate) fn change_flags(&mut self, kind: EffectKind, bound: &Bound<'_>, given: &[Value]) {
        let key = match bound.positional.as_slice() {
            [name, _] => self.names(name).first().map(|name| self.key(name)),
            [_] => Some(flags_key()),
            _ => None,
        };
        let (Some(key), Some(flags)) = (key, bound.last()) else { return };
        let held = self.stored(&key);
        // Each flag is looked for among the others.
        let bytes = held.len() + given.iter().map(Value::len).sum::<usize>();
        let cost = bytes.saturating_mul(bytes) / 16;
        // Pigeonhole reads what it is changing (measured).
        let tangled = kind != EffectKind::Addflag && self.mentions(flags, &key);
        let known = if !tangled && self.affords(cost) { changed(kind, &held, given) } else { None };
        let changed = known.unwrap_or_else(|| {
            let sender = given.iter().any(Value::sender_controlled) || held.sender_controlled();
            Value::Unbounded { sender_controlled: sender }
        });
        self.assign_key(key, &changed);
    }

    /// RFC 5232 §4: decided where flags and keys are constant.
    pub(crate) fn has_flag(&mut self, bound: &Bound<'_>) -> Outcome {
        let keys = bound.last().map(|argument| self.members(argument)).unwrap_or_default();
        let held: Vec<Value> = match bound.positional.as_slice() {
            [names, _] => self.names(names).iter().map(|name| self.variable(name)).collect(),
            [_, _, ..] => return self.undecided_match(bound, &keys, false),
            _ => vec![self.stored(&flags_key())],
        };
        match self.flags_decide(&held, &keys, bound) {
            Some(true) => Outcome::True,
            Some(false) => Outcome::False,
            None => self.undecided_match(bound, &keys, held.iter().any(Value::sender_controlled)),
        }
    }

    /// Only where no match variable can come of it.
    fn flags_decide(&self, held: &[Value], keys: &[Value], bound: &Bound<'_>) -> Option<bool> {
        let kind = match_type(bound);
        if !matches!(kind, MatchType::Is | MatchType::Contains) || bound.has("comparator") {
            return None;
        }
        let held: Vec<&[u8]> = held.iter().map(Value::as_constant).collect::<Option<_>>()?;
        let keys: Vec<&[u8]> = keys.iter().map(Value::as_constant).collect::<Option<_>>()?;
        let found = |word: &[u8], key: &[u8]| matches(word, key, kind, Comparator::AsciiCasemap);
        let keys: Vec<&[u8]> = keys.iter().flat_map(|text| flags(text)).collect();
        let mut any = false;
        for word in held.iter().flat_map(|text| flags(text)) {
            for key in &keys {
                if !self.affords(cost(word, key, kind)) {
                    return None;
                }
                any |= found(word, key)?.is_some();
            }
        }
        Some(any)
    }
}

/// Spaces alone part flags (measured).
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// The words that are flags; the engine sees no others (measured).
fn flags(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    words(text).filter(|word| is_settable(word))
}

/// The variable afterwards; none when that is not sure.
fn changed(kind: EffectKind, held: &Value, given: &[Value]) -> Option<Value> {
    let given: Vec<&[u8]> = given.iter().map(Value::as_constant).collect::<Option<_>>()?;
    let named = given.iter().flat_map(|text| flags(text));
    let mut list: Vec<&[u8]> = Vec::new();
    if kind != EffectKind::Setflag {
        let text = held.as_constant()?;
        list.extend(words(text));
        // What blanks between words become is not known, so only texts that are already plain count.
        if list.join(&b' ') != text {
            return None;
        }
    }
    for flag in named {
        let there = list.iter().position(|known| known.eq_ignore_ascii_case(flag));
        match (kind, there) {
            (EffectKind::Removeflag, Some(_)) => list.retain(|known| !known.eq_ignore_ascii_case(flag)),
            (EffectKind::Removeflag, None) | (_, Some(_)) => {}
            (_, None) => list.push(flag),
        }
    }
    Some(Value::constant(&list.join(&b' ')))
}

/// RFC 3501 §2.3.2: keywords, and those system flags that a client may set; others are dropped. Which
/// characters a keyword has was asked of the engine one by one.
fn is_settable(flag: &[u8]) -> bool {
    const SYSTEM: [&[u8]; 5] = [b"answered", b"flagged", b"deleted", b"seen", b"draft"];
    match flag.strip_prefix(b"\\") {
        Some(name) => SYSTEM.iter().any(|known| known.eq_ignore_ascii_case(name)),
        None => is_keyword(flag),
    }
}

/// RFC 3501 §9, an atom without `]`.
pub(crate) fn is_keyword(word: &[u8]) -> bool {
    word.iter().all(|byte| (33..=126).contains(byte) && !b"\"%()*\\]{".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(kind: EffectKind, held: &str, given: &[&str]) -> Option<String> {
        let given: Vec<Value> = given.iter().map(|text| Value::constant(text.as_bytes())).collect();
        let value = changed(kind, &Value::constant(held.as_bytes()), &given)?;
        value.as_constant().map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// Every row was put to `sieve-test` of Pigeonhole 0.5.19.
    #[test]
    fn flags_are_lists_of_words() {
        use EffectKind::{Addflag, Removeflag, Setflag};
        assert_eq!(after(Setflag, "x", &["b a", "a", "\\Seen"]).as_deref(), Some("b a \\Seen"));
        assert_eq!(after(Addflag, "AB", &["ab"]).as_deref(), Some("AB"));
        assert_eq!(after(Addflag, "", &["\\Bogus", "x  y"]).as_deref(), Some("x y"));
        assert_eq!(after(Removeflag, "a b c", &["b", "A"]).as_deref(), Some("c"));
        assert_eq!(after(Addflag, "x", &["${a-b}", "a\u{e9}", "\\", "a+b"]).as_deref(), Some("x a+b"));
        assert_eq!(after(Addflag, "a  b", &["c"]), None);
        assert_eq!(after(Setflag, "", &["c\rd", "x\ty", "e\r\n f"]).as_deref(), Some("f"));
        assert_eq!(after(Addflag, "c\r\nd", &["e"]).as_deref(), Some("c\r\nd e"));
    }
}
