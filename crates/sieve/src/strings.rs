//! From the bytes of a string token to its text and the variables in it.
//!
//! RFC 5229 §3.1 and the engines agree on the order: backslash quoting, then encoded characters, then
//! variables, each once. What a variable expands to is never looked at again.

use crate::Dialect;
use crate::lexer::{is_identifier, is_identifier_start};
use std::borrow::Cow;

/// Which expansions are on where a string stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expansion {
    pub(crate) encoded_character: bool,
    pub(crate) variables: bool,
}

/// A stretch of a string: text, or the name inside `${...}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a [u8]),
    Variable(&'a [u8]),
}

/// The text of a quoted or multi-line token, encoded characters decoded when they are on.
pub(crate) fn text_of(token: &[u8], dialect: Dialect, encoded_character: bool) -> Cow<'_, [u8]> {
    let text = if token.first() == Some(&b'"') { unquote(token, dialect) } else { undot(token, dialect) };
    let text = before_nul(text, dialect);
    if !encoded_character || !contains(&text, b"${") {
        return text;
    }
    before_nul(Cow::Owned(decode_characters(&text, dialect)), dialect)
}

fn before_nul(text: Cow<'_, [u8]>, dialect: Dialect) -> Cow<'_, [u8]> {
    match text.iter().position(|byte| *byte == 0).filter(|_| dialect.nul_ends_strings()) {
        Some(nul) => Cow::Owned(text[..nul].to_vec()),
        None => text,
    }
}

fn contains(text: &[u8], what: &[u8; 2]) -> bool {
    text.windows(2).any(|window| window == what)
}

fn unquote(token: &[u8], dialect: Dialect) -> Cow<'_, [u8]> {
    let inner = token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    Cow::Owned(if dialect.loose_escapes() { unescape_loosely(inner) } else { unescape(inner) })
}

/// RFC 5228 §2.4.2: a backslash stands for the byte after it.
fn unescape(inner: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        text.extend(if *byte == b'\\' { bytes.next() } else { Some(byte) });
    }
    text
}

/// Stalwart keeps only the previous byte in mind: after `\\` the next byte counts as escaped once more.
fn unescape_loosely(inner: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(inner.len());
    let mut previous = 0;
    for byte in inner.iter().copied() {
        if previous == b'\\' {
            text.push(match byte {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                other => other,
            });
        } else if byte != b'\\' {
            text.push(byte);
        }
        previous = byte;
    }
    text
}

/// RFC 5228 §2.4.2: the lines after `text:`, one dot taken from lines that begin with two. Pigeonhole ends each line
/// with CRLF, however the script ends it (measured with `:length`).
fn undot(token: &[u8], dialect: Dialect) -> Cow<'_, [u8]> {
    let first = token.iter().position(|byte| *byte == b'\n').map_or(token.len(), |at| at + 1);
    let body = &token[first..];
    let last = body.len() - body.strip_suffix(b".\r\n").or(body.strip_suffix(b".\n")).map_or(0, <[u8]>::len);
    let lines = &body[..body.len() - last];
    let is_stuffed = lines.starts_with(b"..") || lines.windows(3).any(|window| window == b"\n..");
    let ends_lines = dialect.ends_lines_with_crlf();
    if !(is_stuffed || ends_lines && has_bare_line_feed(lines)) {
        return Cow::Borrowed(lines);
    }
    let mut text = Vec::with_capacity(lines.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let line = if line.starts_with(b"..") { &line[1..] } else { line };
        match line.strip_suffix(b"\n").filter(|line| ends_lines && !line.ends_with(b"\r")) {
            Some(line) => {
                text.extend_from_slice(line);
                text.extend_from_slice(b"\r\n");
            }
            None => text.extend_from_slice(line),
        }
    }
    Cow::Owned(text)
}

fn has_bare_line_feed(lines: &[u8]) -> bool {
    lines.iter().enumerate().any(|(at, byte)| *byte == b'\n' && (at == 0 || lines[at - 1] != b'\r'))
}

/// RFC 5228 §2.4.2.4: `${hex: 40 41}` and `${unicode: 40}`; anything else stays as it is.
fn decode_characters(text: &[u8], dialect: Dialect) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if let Some((characters, end)) =
            text[at..].starts_with(b"${").then(|| sequence(text, at, dialect)).flatten()
        {
            decoded.extend(characters);
            at = end;
        } else {
            decoded.push(text[at]);
            at += 1;
        }
    }
    decoded
}

/// Reads one encoded sequence that begins at `at`: its bytes and where it ends. Only bytes that can
/// belong to a sequence are read, so text full of `${` costs no more than its length.
fn sequence(text: &[u8], at: usize, dialect: Dialect) -> Option<(Vec<u8>, usize)> {
    let name_end = at + 2 + text[at + 2..].iter().take(8).position(|byte| *byte == b':')?;
    let encoding = encoding(&text[at + 2..name_end], dialect)?;
    let body = &text[name_end + 1..];
    let length = body.iter().position(|byte| !byte.is_ascii_hexdigit() && !is_blank(*byte))?;
    if body[length] != b'}' {
        return None;
    }
    let numbers = body[..length].split(|byte| is_blank(*byte)).filter(|digits| !digits.is_empty());
    let mut bytes = Vec::new();
    let mut any = false;
    for digits in numbers {
        any = true;
        encoding.push(digits, dialect, &mut bytes)?;
    }
    any.then_some((bytes, name_end + 1 + length + 1))
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[derive(Clone, Copy)]
enum Encoding {
    Hex,
    Unicode,
}

/// Pigeonhole takes any prefix of the two names, and the empty one for hex; the others the whole name.
fn encoding(name: &[u8], dialect: Dialect) -> Option<Encoding> {
    let names = |full: &[u8]| {
        let whole = name.eq_ignore_ascii_case(full);
        let prefix = || full.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        whole || (dialect.abbreviates_encodings() && prefix())
    };
    if names(b"hex") {
        Some(Encoding::Hex)
    } else if names(b"unicode") {
        Some(Encoding::Unicode)
    } else {
        None
    }
}

impl Encoding {
    fn push(self, digits: &[u8], dialect: Dialect, bytes: &mut Vec<u8>) -> Option<()> {
        if matches!(self, Self::Hex) && digits.len() > dialect.hex_digits() {
            return None;
        }
        let significant = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len() - 1);
        let digits = std::str::from_utf8(&digits[significant..]).ok()?;
        let number = u32::from_str_radix(digits, 16).ok()?;
        match self {
            Self::Hex => bytes.push(u8::try_from(number).ok()?),
            Self::Unicode => {
                let mut buffer = [0; 4];
                bytes.extend_from_slice(char::from_u32(number)?.encode_utf8(&mut buffer).as_bytes());
            }
        }
        Some(())
    }
}

/// Whether a `${unicode:...}` names what is no character. Pigeonhole refuses the script then (measured).
pub(crate) fn names_no_character(text: &[u8], dialect: Dialect) -> bool {
    let openings = text.windows(2).enumerate().filter(|(_, window)| *window == b"${");
    openings.map(|(at, _)| &text[at + 2..]).any(|rest| {
        let Some(colon) = rest.iter().take(8).position(|byte| *byte == b':') else { return false };
        if !matches!(encoding(&rest[..colon], dialect), Some(Encoding::Unicode)) {
            return false;
        }
        let body = &rest[colon + 1..];
        let length =
            body.iter().position(|byte| !byte.is_ascii_hexdigit() && !is_blank(*byte)).unwrap_or(body.len());
        let numbers = body[..length].split(|byte| is_blank(*byte)).filter(|digits| !digits.is_empty());
        body.get(length) == Some(&b'}')
            && numbers.into_iter().any(|digits| {
                let number =
                    std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
                number.and_then(|number| char::from_u32(u32::try_from(number).ok()?)).is_none()
            })
    })
}

/// RFC 5229 §3: cuts a text at its variable references. Names that are not legal stay text.
pub(crate) fn pieces(text: &[u8], dialect: Dialect) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(dollar) = text[at..].windows(2).position(|window| window == b"${").map(|found| at + found)
    {
        match reference(text, dollar + 2, dialect) {
            Some(end) => {
                if from < dollar {
                    pieces.push(Piece::Text(&text[from..dollar]));
                }
                pieces.push(Piece::Variable(&text[dollar + 2..end]));
                (from, at) = (end + 1, end + 1);
            }
            None => at = dollar + 2,
        }
    }
    if from < text.len() {
        pieces.push(Piece::Text(&text[from..]));
    }
    pieces
}

/// The offset of the `}` if a legal variable name begins at `from`: an identifier, a number, or
/// identifiers and numbers joined by dots.
fn reference(text: &[u8], from: usize, dialect: Dialect) -> Option<usize> {
    let length = text[from..].iter().position(|byte| !is_identifier(*byte) && *byte != b'.')?;
    let end = from + length;
    (text[end] == b'}' && is_variable_name(&text[from..end], dialect)).then_some(end)
}

pub(crate) fn is_variable_name(name: &[u8], dialect: Dialect) -> bool {
    let is_word = |part: &[u8]| {
        part.first().copied().is_some_and(is_identifier_start)
            && part.len() <= dialect.variable_name_limit()
            && part.iter().copied().all(is_identifier)
    };
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    name.split(|byte| *byte == b'.').all(|part| is_word(part) || is_number(part))
}

/// The number of a match variable, if the name is one. Pigeonhole counts in 32 bits: `${4294967297}` is
/// `${1}` (measured).
pub(crate) fn match_number(name: &[u8], dialect: Dialect) -> Option<usize> {
    if name.is_empty() || !name.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if dialect == Dialect::Pigeonhole {
        let digit = |number: u32, digit: &u8| number.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'));
        return Some(name.iter().fold(0, digit) as usize);
    }
    Some(std::str::from_utf8(name).ok()?.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dialect::{Cyrus, Pigeonhole, Stalwart};

    fn decoded(token: &str, dialect: Dialect) -> String {
        String::from_utf8_lossy(&text_of(token.as_bytes(), dialect, true)).into_owned()
    }

    #[test]
    fn backslashes_stand_for_the_next_byte() {
        assert_eq!(decoded(r#""a\"b\\c\nd""#, Pigeonhole), "a\"b\\cnd");
        assert_eq!(decoded(r#""a\nb""#, Cyrus), "anb");
        assert_eq!(decoded(r#""a\nb\tc""#, Stalwart), "a\nb\tc");
    }

    #[test]
    fn encoded_characters_are_decoded_in_every_dialect() {
        for dialect in Dialect::ALL {
            assert_eq!(decoded("\"a${hex:40}b\"", dialect), "a@b");
            assert_eq!(decoded("\"${HEX: 41\t42 }\"", dialect), "AB");
            assert_eq!(decoded("\"${hex:4}\"", dialect), "\u{4}");
            assert_eq!(decoded("\"${unicode:000040 e9}\"", dialect), "@\u{e9}");
            assert_eq!(decoded("\"${hex:24}{v}\"", dialect), "${v}");
            assert_eq!(decoded("\"${${hex:76}}\"", dialect), "${v}");
            assert_eq!(decoded("\"$${hex:7b}v}\"", dialect), "${v}");
            assert_eq!(decoded("\"${hex:}${hex:100}${hex 40}\"", dialect), "${hex:}${hex:100}${hex 40}");
        }
    }

    #[test]
    fn pigeonhole_takes_prefixes_of_the_encoding_names() {
        for name in ["", "h", "he", "u", "uni"] {
            let token = format!("\"a${{{name}:40}}x\"");
            assert_eq!(decoded(&token, Pigeonhole), "a@x", "{name}");
            assert_eq!(decoded(&token, Cyrus), token.trim_matches('"'), "{name}");
            assert_eq!(decoded(&token, Stalwart), token.trim_matches('"'), "{name}");
        }
    }

    #[test]
    fn pigeonhole_reads_two_digits_a_byte() {
        assert_eq!(decoded("\"a${hex:040}\"", Pigeonhole), "a${hex:040}");
        assert_eq!(decoded("\"a${hex:40}\"", Pigeonhole), "a@");
        assert_eq!(decoded("\"a${unicode:00000040}\"", Pigeonhole), "a@");
        assert!(names_no_character(b"x${unicode:41 d800}", Pigeonhole));
        assert!(names_no_character(b"${u:110000}", Pigeonhole));
        assert!(!names_no_character(b"${unicode:41 zz}${hex:d8}", Pigeonhole));
    }

    #[test]
    fn a_nul_ends_a_cyrus_string() {
        assert_eq!(decoded("\"evil@x\0@corp\"", Cyrus), "evil@x");
        assert_eq!(decoded("\"evil@x\0@corp\"", Stalwart), "evil@x\0@corp");
    }

    #[test]
    fn multi_line_text_keeps_its_last_line_end_and_loses_stuffed_dots() {
        assert_eq!(
            decoded("text: # c\r\na\r\n..b\r\n...\r\n.c\r\n.\r\n", Pigeonhole),
            "a\r\n.b\r\n..\r\n.c\r\n"
        );
        assert_eq!(decoded("text:\n.\n", Pigeonhole), "");
    }

    #[test]
    fn only_legal_names_are_references() {
        use Piece::{Text, Variable};
        assert_eq!(
            pieces(b"x${a}y${1}", Pigeonhole),
            [Text(b"x"), Variable(b"a"), Text(b"y"), Variable(b"1")]
        );
        assert_eq!(pieces(b"${a.b}", Pigeonhole), [Variable(b"a.b")]);
        for literal in ["${a-b}", "${ a }", "${", "${}", "${a", "$a", "${1a}", "${a.}"] {
            assert_eq!(pieces(literal.as_bytes(), Pigeonhole), [Text(literal.as_bytes())]);
        }
        assert_eq!(pieces(b"${${a}}", Pigeonhole), [Text(b"${"), Variable(b"a"), Text(b"}")]);
    }

    #[test]
    fn match_numbers_ignore_leading_zeros() {
        assert_eq!(match_number(b"01", Pigeonhole), Some(1));
        assert_eq!(match_number(b"a1", Pigeonhole), None);
        assert_eq!(match_number(b"4294967297", Pigeonhole), Some(1));
    }
}
