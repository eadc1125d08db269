//! Address headers that are written so plainly that there is nothing to disagree about, which nearly all are: read in
//! one pass, without the two readers of [`read_address_header`](crate::read_address_header).
//!
//! What is plain is less than what is well-formed. That the long way reads each plain value as the same one mailbox
//! is a property test of this module.

use crate::Address;
use crate::characters::is_ascii_atext;
use crate::header::MAX_TOKENS;

/// The mailbox of `local@domain`, `<local@domain>`, `Words of ASCII <local@domain>` or `"Text, in quotes" <local@domain>`.
pub(crate) fn mailbox(value: &[u8]) -> Option<Address> {
    // Shorter than this, it cannot have too many tokens for the long way.
    let value = Some(value).filter(|value| value.len() <= MAX_TOKENS).map(without_spaces)?;
    let Some(rest) = value.strip_suffix(b">") else { return addr_spec(value) };
    let open = rest.iter().position(|byte| *byte == b'<')?;
    let (name, address) = (without_spaces(&rest[..open]), &rest[open + 1..]);
    if is_name(name) { addr_spec(address) } else { None }
}

/// Postfix shows a value with the space that follows the colon, or without.
fn without_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

/// A quoted local part, a dot at the end, an encoded word and everything beyond ASCII go the long way.
fn addr_spec(text: &[u8]) -> Option<Address> {
    let is_odd = text.starts_with(b"\"") || text.ends_with(b".") || holds_encoded_word(text);
    let is_plain = text.is_ascii() && !is_odd;
    let text = str::from_utf8(text).ok().filter(|_| is_plain)?;
    Address::parse(text).ok()
}

/// No name at all, words, or one quoted string. None of them holds what structures an address, in whatever way a
/// reader may cut it.
fn is_name(name: &[u8]) -> bool {
    let inside = name.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let is_plain = match inside {
        Some(quoted) => quoted.iter().all(|byte| matches!(byte, b' ' | b',' | b'.') || is_ascii_atext(*byte)),
        None => name.split(|byte| *byte == b' ').all(|word| word.iter().all(|byte| is_ascii_atext(*byte))),
    };
    is_plain && !holds_encoded_word(name)
}

/// Or anything that a reader may take for one (RFC 2047 §2).
fn holds_encoded_word(text: &[u8]) -> bool {
    text.windows(2).any(|pair| pair == b"=?")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::header::{HeaderReading, Verdict, read_thoroughly};

    /// Values around the border between plain and not: most are plain.
    fn value() -> impl Strategy<Value = String> {
        let word = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~.-]{0,6}";
        let quoted = "\"[a-zA-Z0-9 ,.!#$%&'*+/=?^_`{|}~-]{0,12}\"";
        let name = prop_oneof![
            3 => prop::collection::vec(word, 0..4).prop_map(|words| words.join(" ")),
            3 => quoted.prop_map(String::from),
            1 => (quoted, word).prop_map(|(quoted, word)| format!("{quoted} {word}")),
            1 => "[a-z \"\\\\<>()@,;:.é=?]{0,10}".prop_map(String::from),
        ];
        let local = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,8}(\\.{1,2}[a-z]{1,4}){0,2}";
        let domain = "[a-zA-Z0-9]([a-z0-9_-]{0,6}[a-z0-9])?(\\.{1,2}[a-z0-9-]{1,6}){0,3}\\.?";
        let space = "[ \t]{0,2}";
        (space, name, space, local, domain, prop::bool::ANY, space).prop_map(
            |(before, name, between, local, domain, angles, after)| match angles {
                true => format!("{before}{name}{between}<{local}@{domain}>{after}"),
                false => format!("{before}{local}@{domain}{after}"),
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_plain_is_read_as_the_long_way_reads_it(value in value()) {
            if let Some(address) = mailbox(value.as_bytes()) {
                let expected = HeaderReading::one(address.clone());
                let read = read_thoroughly("From", value.as_bytes());
                prop_assert_eq!(&read, &expected, "{}", value);
                let Verdict::One(other) = read.verdict else { unreachable!() };
                prop_assert_eq!(other.local(), address.local(), "in its own case");
            }
        }
    }

    #[test]
    fn nearly_all_that_is_written_is_plain() {
        for value in [
            "jane@example.test",
            " <jane@example.test>",
            "Jane <Jane.Doe+x@mail.example.test>",
            "\"Doe, Jane O'Neill Jr.\" <jane@example.test> ",
            "Vendor Invoices <x@y.test>",
        ] {
            assert!(mailbox(value.as_bytes()).is_some(), "{value}");
        }
        for value in [
            "",
            "jane",
            "\"a\"@example.test",
            "\"a@b.test\" <x@y.test>",
            "\"a\" \"b\" <x@y.test>",
            "\"a\\\"\" <x@y.test>",
            "=?utf-8?q?a?= <x@y.test>",
            "<x@y.test> <z@y.test>",
            "a <x@y.test>, b <z@y.test>",
            "(a) x@y.test",
            "x@y.test (a)",
            "J\u{e4}ne <x@y.test>",
            "<@a.test:x@y.test>",
            "<x@y.test.>",
            "Jane\n <x@y.test>",
        ] {
            assert_eq!(mailbox(value.as_bytes()), None, "{value}");
        }
        let endless = format!("{}<x@y.test>", "a ".repeat(MAX_TOKENS));
        assert_eq!(mailbox(endless.as_bytes()), None, "the long way takes no more tokens than that");
    }
}
