//! The text of a refusal: the one place where an SMTP reply is put together.
//!
//! MTAs pass most of it on as it stands, so what is built here is what an SMTP client reads. Every rule below
//! was taught by one of them:
//! - `%` is doubled: Postfix removes single ones, Sendmail drops the whole text.
//! - Lines are joined by CRLF: a bare LF makes Postfix 3.7 send two replies, and the client loses step.
//! - One NUL at the end: without it Postfix 3.7 sends what its memory held next.
//! - The enhanced code has the class of the reply: otherwise Postfix answers 451 4.3.5 in its place.
//! - ASCII without controls, unless the client asked for SMTPUTF8 (RFC 6531 §3.3).
//! - At most 512 octets per line (RFC 5321 §4.5.3.1.5) and 32 lines, which is what libmilter allows.

use std::fmt;

use thiserror::Error;

/// RFC 5321 §4.5.3.1.5: a reply line with its code and its CRLF.
pub const MAX_LINE_OCTETS: usize = 512;
/// The most lines a reply may have; what is longer is cut.
pub const MAX_LINES: usize = 32;
const CRLF: &str = "\r\n";

/// A reply that refuses: 4yz for now, 5yz for good.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SmtpReply {
    code: u16,
    /// Lines joined by CRLF, `%` doubled, without the final NUL.
    text: Box<str>,
}

/// A reply that cannot be sent. The caller's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SmtpReplyError {
    /// A filter can refuse only; positive replies are the MTA's.
    #[error("SMTP reply code {0} is no refusal: use 400 to 599")]
    NotARefusal(u16),
    /// RFC 3463 §2: subject and detail have at most three digits.
    #[error("enhanced code x.{subject}.{detail} is out of range: use 0 to 999")]
    EnhancedCode {
        /// The second number.
        subject: u16,
        /// The third number.
        detail: u16,
    },
}

/// Which characters the client understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Ascii,
    Utf8,
}

impl SmtpReply {
    /// A refusal in ASCII; anything else in `text` becomes `?`. The class of the enhanced code is that of
    /// `code`; `enhanced` holds its subject and detail, such as `(7, 1)` for 5.7.1. Lines in `text` become
    /// lines of the reply.
    ///
    /// # Errors
    /// The code is not 4yz or 5yz, or the enhanced code is out of range.
    pub fn new(code: u16, enhanced: (u16, u16), text: &str) -> Result<Self, SmtpReplyError> {
        Self::build(code, enhanced, text, Charset::Ascii)
    }

    /// As [`new`](Self::new), for a client that announced SMTPUTF8 with MAIL.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn new_utf8(code: u16, enhanced: (u16, u16), text: &str) -> Result<Self, SmtpReplyError> {
        Self::build(code, enhanced, text, Charset::Utf8)
    }

    /// 550 5.7.1: refused for good, for reasons of policy.
    #[must_use]
    pub fn refused(text: &str) -> Self {
        Self::assemble(550, (7, 1), text, Charset::Ascii)
    }

    /// 451 4.7.1: refused for now, for reasons of policy.
    #[must_use]
    pub fn try_again(text: &str) -> Self {
        Self::assemble(451, (7, 1), text, Charset::Ascii)
    }

    /// 451 4.3.5: something here is not as it should be. Nothing of it is the client's business.
    #[must_use]
    pub fn local_trouble() -> Self {
        Self::assemble(451, (3, 5), "Local trouble, try again later", Charset::Ascii)
    }

    /// The reply code.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// Whether the client is asked to try again.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        self.code < 500
    }

    /// The reply as the client will read it, without the last CRLF.
    #[must_use]
    pub fn as_seen_by_client(&self) -> String {
        self.text.replace("%%", "%")
    }

    /// The reply as it travels to the MTA, without the final NUL.
    #[must_use]
    pub(crate) fn wire(&self) -> &[u8] {
        self.text.as_bytes()
    }

    fn build(
        code: u16,
        (subject, detail): (u16, u16),
        text: &str,
        charset: Charset,
    ) -> Result<Self, SmtpReplyError> {
        if !(400..=599).contains(&code) {
            return Err(SmtpReplyError::NotARefusal(code));
        }
        if subject > 999 || detail > 999 {
            return Err(SmtpReplyError::EnhancedCode { subject, detail });
        }
        Ok(Self::assemble(code, (subject, detail), text, charset))
    }

    fn assemble(code: u16, (subject, detail): (u16, u16), text: &str, charset: Charset) -> Self {
        let enhanced = format!("{}.{subject}.{detail} ", code / 100);
        let room = MAX_LINE_OCTETS - "550-".len() - enhanced.len() - CRLF.len();
        let mut lines: Vec<String> =
            sanitised_lines(text, charset).flat_map(|line| wrapped(&line, room)).take(MAX_LINES).collect();
        if lines.is_empty() {
            lines.push(if code < 500 { "Try again later" } else { "Refused" }.to_owned());
        }
        let last = lines.len() - 1;
        let numbered = lines.iter().enumerate().map(|(number, line)| {
            let separator = if number == last { ' ' } else { '-' };
            format!("{code}{separator}{enhanced}{line}")
        });
        Self { code, text: numbered.collect::<Vec<_>>().join(CRLF).into_boxed_str() }
    }
}

impl fmt::Debug for SmtpReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SmtpReply({:?})", self.text)
    }
}

fn sanitised_lines(text: &str, charset: Charset) -> impl Iterator<Item = String> {
    text.split(['\n', '\r']).map(move |line| sanitised(line.trim(), charset)).filter(|line| !line.is_empty())
}

fn sanitised(line: &str, charset: Charset) -> String {
    let mut clean = String::with_capacity(line.len());
    for character in line.chars() {
        match character {
            '%' => clean.push_str("%%"),
            '\t' => clean.push(' '),
            _ if character.is_control() => clean.push('?'),
            _ if charset == Charset::Ascii && !character.is_ascii() => clean.push('?'),
            _ => clean.push(character),
        }
    }
    clean
}

/// Cuts a line into pieces of at most `room` octets, between words where there are words.
fn wrapped(line: &str, room: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while rest.len() > room && pieces.len() < MAX_LINES {
        let (piece, remaining) = rest.split_at(break_point(rest, room));
        pieces.push(piece.trim_end().to_owned());
        rest = remaining.trim_start();
    }
    if !rest.is_empty() && rest.len() <= room {
        pieces.push(rest.to_owned());
    }
    pieces
}

fn break_point(text: &str, room: usize) -> usize {
    let mut limit = text.floor_char_boundary(room);
    // Percent signs come in pairs here; an odd number before the cut means that it splits a pair.
    if text[..limit].bytes().rev().take_while(|byte| *byte == b'%').count() % 2 == 1 {
        limit -= 1;
    }
    match text[..limit].rfind(' ') {
        Some(space) if space > limit / 2 => space,
        _ => limit,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wire(text: &str) -> String {
        SmtpReply::new(550, (7, 1), text).unwrap().text.into()
    }

    #[test]
    fn one_line() {
        assert_eq!(wire("100% sure"), "550 5.7.1 100%% sure");
        let reply = SmtpReply::new(550, (7, 1), "100% sure").unwrap();
        assert_eq!(reply.as_seen_by_client(), "550 5.7.1 100% sure");
        assert!(!reply.is_temporary() && SmtpReply::try_again("x").is_temporary());
    }

    #[test]
    fn lines_carry_code_and_enhanced_code_each() {
        assert_eq!(wire("one\r\n\r\ntwo\nthree"), "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three");
    }

    #[test]
    fn controls_and_foreign_characters_are_replaced() {
        assert_eq!(wire("a\0b\x1b[1mc\u{85}d b\u{fc}cher"), "550 5.7.1 a?b?[1mc?d b?cher");
        let utf8 = SmtpReply::new_utf8(550, (7, 1), "b\u{fc}cher\u{9b}").unwrap();
        assert_eq!(&*utf8.text, "550 5.7.1 b\u{fc}cher?");
    }

    #[test]
    fn a_reply_without_text_still_says_something() {
        assert_eq!(wire(" \r\n "), "550 5.7.1 Refused");
        assert_eq!(&*SmtpReply::try_again("").text, "451 4.7.1 Try again later");
    }

    #[test]
    fn only_refusals_can_be_built() {
        for code in [0, 55, 250, 354, 399, 600, 5501] {
            assert_eq!(SmtpReply::new(code, (0, 0), ""), Err(SmtpReplyError::NotARefusal(code)));
        }
        assert!(SmtpReply::new(550, (1000, 0), "").is_err());
        assert!(SmtpReply::new(421, (999, 999), "").is_ok());
    }

    #[test]
    fn a_long_word_is_cut_and_long_text_is_broken_between_words() {
        let words = "word ".repeat(300);
        assert!(wire(&words).split("\r\n").all(|line| line.ends_with(" word")));
        let cut = wire(&"x".repeat(1_000));
        assert_eq!(cut.split("\r\n").map(|line| line.len() - 10).sum::<usize>(), 1_000);
    }

    proptest! {
        #[test]
        fn every_reply_obeys_every_rule(
            code in 400u16..600, subject in 0u16..1000, detail in 0u16..1000, utf8: bool,
            text in "([a-z%\u{fc}\u{20ac}]{0,1200}|[ %\\PC\\n\\r\\t\\x00-\\x1f]{0,300}){0,20}",
        ) {
            let make = if utf8 { SmtpReply::new_utf8 } else { SmtpReply::new };
            let reply = make(code, (subject, detail), &text).unwrap();
            let lines: Vec<&str> = reply.text.split("\r\n").collect();
            prop_assert!(lines.len() <= MAX_LINES);
            for (number, line) in lines.iter().enumerate() {
                let separator = if number + 1 == lines.len() { ' ' } else { '-' };
                let start = format!("{code}{separator}{}.{subject}.{detail} ", code / 100);
                prop_assert!(line.starts_with(&start), "{line:?}");
                prop_assert!(line.len() > start.len() && line.len() + 2 <= MAX_LINE_OCTETS);
                prop_assert!(!line.chars().any(char::is_control));
                prop_assert!(utf8 || line.is_ascii());
                prop_assert!(!line.replace("%%", "").contains('%'), "single percent in {line:?}");
            }
        }
    }
}
