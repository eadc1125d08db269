//! The modifiers of `set` (RFC 5229 §4.1, RFC 5435 §7, draft-ietf-sieve-regex).

use crate::value::{Part, Source, Template, Value};
use std::rc::Rc;

/// A modifier, named as its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modifier {
    Lower,
    Upper,
    LowerFirst,
    UpperFirst,
    QuoteWildcard,
    QuoteRegex,
    EncodeUrl,
    Length,
}

impl Modifier {
    /// The modifier with that tag, `:` not included.
    pub(crate) fn from_tag(tag: &[u8]) -> Option<Self> {
        const NAMES: [(&[u8], Modifier); 8] = [
            (b"lower", Modifier::Lower),
            (b"upper", Modifier::Upper),
            (b"lowerfirst", Modifier::LowerFirst),
            (b"upperfirst", Modifier::UpperFirst),
            (b"quotewildcard", Modifier::QuoteWildcard),
            (b"quoteregex", Modifier::QuoteRegex),
            (b"encodeurl", Modifier::EncodeUrl),
            (b"length", Modifier::Length),
        ];
        NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(tag)).map(|(_, modifier)| *modifier)
    }

    /// RFC 5229 §4.1: higher precedence is applied first, whatever the order in the script.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Lower | Self::Upper => 40,
            Self::LowerFirst | Self::UpperFirst => 30,
            Self::QuoteWildcard | Self::QuoteRegex => 20,
            Self::EncodeUrl => 15,
            Self::Length => 10,
        }
    }

    fn apply(self, template: &Template) -> Template {
        match self {
            Self::LowerFirst => first(template, u8::to_ascii_lowercase),
            Self::UpperFirst => first(template, u8::to_ascii_uppercase),
            Self::Length => length(template),
            _ => each(template, |text| self.rewrite(text)),
        }
    }

    /// The modifiers that work on any stretch of text by itself.
    fn rewrite(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Lower => text.to_ascii_lowercase(),
            Self::Upper => text.to_ascii_uppercase(),
            Self::QuoteWildcard => quote(text, b"*?\\"),
            Self::QuoteRegex => quote(text, br".^$*+?()[{\|"),
            Self::EncodeUrl => encode_url(text),
            Self::LowerFirst | Self::UpperFirst | Self::Length => text.to_vec(),
        }
    }
}

/// Applies modifiers in their order of precedence.
pub(crate) fn apply_all(modifiers: &mut [Modifier], value: &Value) -> Value {
    modifiers.sort_by_key(|modifier| std::cmp::Reverse(modifier.precedence()));
    modifiers.iter().fold(value.clone(), |value, modifier| value.map(|template| modifier.apply(template)))
}

fn each(template: &Template, rewrite: impl Fn(&[u8]) -> Vec<u8>) -> Template {
    let parts = template.0.iter().map(|part| match part {
        Part::Literal(text) => Part::Literal(rewrite(text).into()),
        Part::Source(_) => part.clone(),
    });
    Template(parts.collect())
}

fn first(template: &Template, change: fn(&u8) -> u8) -> Template {
    let mut changed = template.clone();
    if let Some(Part::Literal(text)) = changed.0.first_mut() {
        let mut bytes = text.to_vec();
        if let Some(byte) = bytes.first_mut() {
            *byte = change(byte);
        }
        *text = bytes.into();
    }
    changed
}

/// The number of characters, not bytes (RFC 5229 §4.1.6).
fn length(template: &Template) -> Template {
    match template.as_constant() {
        Some(text) => Template::constant(characters(text).to_string().as_bytes()),
        None => {
            let sender_controlled = template.sender_controlled();
            let source = Source { name: "length".to_owned(), sender_controlled, whole: true };
            Template(vec![Part::Source(Rc::new(source))])
        }
    }
}

/// As Pigeonhole counts what is no UTF-8: a first byte tells the length, and one that is cut off ends the count
/// (measured).
fn characters(text: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while let Some(first) = text.get(at) {
        at += match first {
            0..0xc0 => 1,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0..0xf8 => 4,
            0xf8..0xfc => 5,
            0xfc.. => 6,
        };
        if at > text.len() {
            break;
        }
        count += 1;
    }
    count
}

fn quote(text: &[u8], special: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len());
    for byte in text {
        if special.contains(byte) {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted
}

/// RFC 3986 §2.3: everything but the unreserved characters.
fn encode_url(text: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            encoded.push(*byte);
        } else {
            encoded.extend(format!("%{byte:02X}").bytes());
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modified(tags: &[&str], text: &str) -> String {
        let mut modifiers: Vec<_> =
            tags.iter().map(|tag| Modifier::from_tag(tag.as_bytes()).unwrap()).collect();
        let value = apply_all(&mut modifiers, &Value::constant(text.as_bytes()));
        String::from_utf8_lossy(value.as_constant().unwrap()).into_owned()
    }

    #[test]
    fn lengths_are_counted_as_the_engine_counts() {
        let rows: [(&[u8], usize); 7] = [
            (b"ab", 2),
            ("\u{e9}".as_bytes(), 1),
            (b"\xe9", 0),
            (b"a\x80b", 3),
            (b"a\xc3b", 2),
            (b"abc\xe9def", 5),
            (b"\xc3\xa9\xe9", 1),
        ];
        for (text, count) in rows {
            assert_eq!(characters(text), count, "{text:?}");
        }
    }

    #[test]
    fn precedence_not_order_decides() {
        assert_eq!(modified(&["upperfirst", "lower"], "eVIL"), "Evil");
        assert_eq!(modified(&["lower", "upperfirst"], "eVIL"), "Evil");
        assert_eq!(modified(&["length", "quotewildcard"], "a*b"), "4");
        assert_eq!(modified(&["encodeurl"], "a@b c"), "a%40b%20c");
        assert_eq!(modified(&["length"], "h\u{e9}"), "2");
    }
}
