//! RFC 2047 encoded words, read both as the standard says and as forgiving mail readers do.

use mail_parser::decoders::charsets::map::charset_decoder;

/// Longest charset name that is looked at; the registered ones have at most 45 characters.
const MAX_CHARSET: usize = 60;

/// One encoded word cut into its parts, not yet decoded.
struct EncodedWord<'t> {
    charset: &'t str,
    encoding: u8,
    text: &'t str,
    end: usize,
}

/// The whole chunk is one well-formed encoded word of a known charset: its text.
pub(crate) fn decode_well_formed(chunk: &str) -> Option<String> {
    let (charset, encoding, start) = head(chunk, 0)?;
    let text = chunk.get(start..)?.strip_suffix("?=")?;
    let bytes = match encoding {
        b'b' if is_base64(text) => base64(text),
        b'q' if is_quoted_printable(text) => quoted_printable(text),
        _ => return None,
    };
    decode_known_charset(charset, &bytes)
}

/// Every encoded word in the text decoded in place, malformed ones included; None when there is none.
///
/// White space between two encoded words disappears (RFC 2047 §6.2). A word without its `?=` ends at white
/// space, as the most forgiving readers have it.
pub(crate) fn decode_leniently(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut any = false;
    let mut from = 0;
    let mut after_word = false;
    let mut terminators = Terminators::default();
    while let Some(offset) = text[from..].find("=?") {
        let start = from + offset;
        let Some(word) = word_at(text, start, &mut terminators) else {
            decoded.push_str(&text[from..start + 2]);
            from = start + 2;
            after_word = false;
            continue;
        };
        let between = &text[from..start];
        if !(after_word && between.chars().all(char::is_whitespace)) {
            decoded.push_str(between);
        }
        decoded.push_str(&decode(&word));
        from = word.end;
        after_word = true;
        any = true;
    }
    decoded.push_str(&text[from..]);
    any.then_some(decoded)
}

/// Remembers that no `?=` follows, so that a text full of unterminated words is searched only once.
#[derive(Default)]
struct Terminators {
    exhausted: bool,
}

impl Terminators {
    fn next(&mut self, text: &str, from: usize) -> Option<usize> {
        if self.exhausted {
            return None;
        }
        let found = text[from..].find("?=").map(|offset| from + offset);
        self.exhausted = found.is_none();
        found
    }
}

fn word_at<'t>(text: &'t str, start: usize, terminators: &mut Terminators) -> Option<EncodedWord<'t>> {
    let (charset, encoding, body) = head(text, start)?;
    let (stop, end) = match terminators.next(text, body) {
        Some(stop) => (stop, stop + 2),
        None => {
            let stop = text[body..].find(char::is_whitespace).map_or(text.len(), |offset| body + offset);
            (stop, stop)
        }
    };
    Some(EncodedWord { charset, encoding, text: &text[body..stop], end })
}

/// `=?charset?encoding?` at `start`: the charset without its RFC 2231 language, the encoding in lower case,
/// and where the encoded text begins.
fn head(text: &str, start: usize) -> Option<(&str, u8, usize)> {
    let rest = text.get(start..)?.strip_prefix("=?")?;
    let window = rest.as_bytes().get(..MAX_CHARSET.min(rest.len()))?;
    let mark = window.iter().position(|&b| b == b'?')?;
    let charset = &rest[..mark];
    let (encoding, second) = (rest.as_bytes().get(mark + 1)?, rest.as_bytes().get(mark + 2)?);
    if *second != b'?' || !matches!(encoding, b'b' | b'B' | b'q' | b'Q') {
        return None;
    }
    let charset = charset.split('*').next().unwrap_or(charset);
    Some((charset, encoding.to_ascii_lowercase(), start + 2 + mark + 3))
}

fn decode(word: &EncodedWord<'_>) -> String {
    let bytes = if word.encoding == b'b' { base64(word.text) } else { quoted_printable(word.text) };
    decode_known_charset(word.charset, &bytes)
        .unwrap_or_else(|| String::from_utf8(bytes).unwrap_or_else(|e| latin_1(e.as_bytes())))
}

fn decode_known_charset(charset: &str, bytes: &[u8]) -> Option<String> {
    if ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name)) {
        return Some(String::from_utf8_lossy(bytes).into_owned());
    }
    charset_decoder(charset.as_bytes()).map(|decode| decode(bytes))
}

/// Bytes taken as ISO 8859-1, which gives every byte a character.
pub(crate) fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn is_base64(text: &str) -> bool {
    let content = text.trim_end_matches('=');
    text.len().is_multiple_of(4) && text.len() - content.len() <= 2 && content.bytes().all(is_base64_digit)
}

fn is_base64_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

fn is_quoted_printable(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && b != b'?')
        && text
            .split('=')
            .skip(1)
            .all(|after| after.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)))
}

/// Base64 that skips what is not base64 and starts afresh after padding, as forgiving decoders do.
fn base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text.bytes() {
        let Some(digit) = base64_digit(byte) else {
            if byte == b'=' {
                (bits, held) = (0, 0);
            }
            continue;
        };
        bits = (bits << 6 | digit) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    bytes
}

fn base64_digit(byte: u8) -> Option<u32> {
    let digit = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(digit))
}

/// RFC 2047 §4.2: `_` is a space, `=XX` a byte; a broken escape stands for itself.
fn quoted_printable(text: &str) -> Vec<u8> {
    let encoded = text.as_bytes();
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut at = 0;
    while let Some(&byte) = encoded.get(at) {
        let escaped = (byte == b'=').then(|| hex_pair(encoded.get(at + 1..at + 3)?)).flatten();
        bytes.push(escaped.unwrap_or(if byte == b'_' { b' ' } else { byte }));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    bytes
}

fn hex_pair(digits: &[u8]) -> Option<u8> {
    let value = |b: &u8| char::from(*b).to_digit(16);
    u8::try_from(value(digits.first()?)? * 16 + value(digits.get(1)?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_words_are_decoded() {
        for (word, text) in [
            ("=?utf-8?q?B=C3=B6b_M?=", "Böb M"),
            ("=?UTF-8?B?QsO2Yg==?=", "Böb"),
            ("=?iso-8859-1*de?Q?B=F6b?=", "Böb"),
            ("=?utf-8?q?=6Fps?=", "ops"),
        ] {
            assert_eq!(decode_well_formed(word).as_deref(), Some(text), "{word}");
        }
    }

    #[test]
    fn a_word_with_any_fault_is_not_well_formed() {
        for word in [
            "=?utf-8?q?a b?=",
            "=?utf-8?q?a=4?=",
            "=?utf-8?b?QsO2Y?=",
            "=?utf-8?x?a?=",
            "=?utf-8?q?a",
            "=?no-such-charset?q?a?=",
            "=?utf-8?q?a?=?=",
            "a=?utf-8?q?a?=",
        ] {
            assert_eq!(decode_well_formed(word), None, "{word}");
        }
    }

    #[test]
    fn malformed_words_are_decoded_as_far_as_they_go() {
        for (text, decoded) in [
            ("=?utf-8?q?ops=40corp.example", "ops@corp.example"),
            ("=?utf-8?q?ops@corp.example x?=", "ops@corp.example x"),
            ("=?utf-8?b?b3BzQGNvcnAuZXhhbXBsZQ?= x", "ops@corp.example x"),
            ("=?utf-8?q?ops?= \t =?utf-8?q?=40a?=", "ops@a"),
            ("=?utf-8?q?ops?= and =?utf-8?q?b?=", "ops and b"),
            ("=?nothing?q?ops=40a?=", "ops@a"),
            ("x =?? =?utf-8?q?a=?=", "x =?? a="),
        ] {
            assert_eq!(decode_leniently(text).as_deref(), Some(decoded), "{text}");
        }
        assert_eq!(decode_leniently("=? no word ?="), None);
    }
}
