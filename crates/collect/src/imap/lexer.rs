//! Framing of IMAP responses (RFC 9051 section 9): lines with their literals, nothing interpreted.

use memchr::memchr;

/// Longest line without its literals. An ACL with a thousand identifiers fits; RFC 9051 expects 8,192.
pub(super) const MAX_LINE: usize = 256 * 1024;
/// Longest literal. The longest wanted one is the value of an annotation that names a script.
pub(super) const MAX_LITERAL: usize = 1024 * 1024;
/// Longest response with all its literals.
pub(super) const MAX_FRAME: usize = 4 * 1024 * 1024;
/// Longest tag that can be one of ours.
const MAX_TAG: usize = 16;

/// What kind of response a frame is, as far as framing and async-imap care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// `+ ...`: the server waits for the rest of a command.
    Continuation,
    /// `A0001 OK ...`: the end of one of our commands.
    Tagged {
        /// The command's tag.
        tag: String,
        /// How it ended.
        status: Status,
    },
    /// `* OK ...` and its sisters, whose rest is free text.
    Untagged(Status),
    /// `* ...`: data.
    Data,
}

/// The status words of RFC 9051 section 7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Success.
    Ok,
    /// Refused.
    No,
    /// Not understood.
    Bad,
    /// The greeting of a connection that is already logged in.
    Preauth,
    /// The server hangs up.
    Bye,
}

impl Status {
    fn of(word: &[u8]) -> Option<Self> {
        let known = [
            (&b"OK"[..], Self::Ok),
            (b"NO", Self::No),
            (b"BAD", Self::Bad),
            (b"PREAUTH", Self::Preauth),
            (b"BYE", Self::Bye),
        ];
        known.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, status)| *status)
    }

    /// The word as sent.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::Preauth => "PREAUTH",
            Self::Bye => "BYE",
        }
    }
}

/// Why a stream cannot be followed any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FramingError {
    /// A line without end.
    #[error("a line longer than {MAX_LINE} bytes")]
    Line,
    /// A literal announced with more bytes than we accept.
    #[error("a literal announced with {0} bytes, at most {MAX_LITERAL} are accepted")]
    Literal(String),
    /// Too many literals in one response.
    #[error("a response longer than {MAX_FRAME} bytes")]
    Frame,
}

/// Cuts a byte stream into responses. Literals are followed, so a response that contains line ends stays
/// whole.
#[derive(Debug, Default)]
pub(super) struct Lexer {
    frame: Vec<u8>,
    line_start: usize,
    literal_left: usize,
}

impl Lexer {
    /// Whether a response has begun and not ended.
    pub(super) fn is_inside(&self) -> bool {
        !self.frame.is_empty()
    }

    /// Takes in bytes and gives out the responses they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], frames: &mut Vec<Vec<u8>>) -> Result<(), FramingError> {
        while !bytes.is_empty() {
            let rest = if self.literal_left > 0 { self.literal(bytes) } else { self.line(bytes, frames)? };
            bytes = rest;
        }
        Ok(())
    }

    fn literal<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (part, rest) = bytes.split_at(self.literal_left.min(bytes.len()));
        self.frame.extend_from_slice(part);
        self.literal_left -= part.len();
        self.line_start = self.frame.len();
        rest
    }

    fn line<'a>(&mut self, bytes: &'a [u8], frames: &mut Vec<Vec<u8>>) -> Result<&'a [u8], FramingError> {
        let end = memchr(b'\n', bytes).map(|at| at + 1);
        let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        if self.frame.len() - self.line_start + part.len() > MAX_LINE {
            return Err(FramingError::Line);
        }
        if self.frame.len() + part.len() > MAX_FRAME {
            return Err(FramingError::Frame);
        }
        self.frame.extend_from_slice(part);
        if end.is_some() {
            self.line_ended(frames)?;
        }
        Ok(rest)
    }

    fn line_ended(&mut self, frames: &mut Vec<Vec<u8>>) -> Result<(), FramingError> {
        match self.announced_literal()? {
            Some(length) if self.frame.len() + length > MAX_FRAME => Err(FramingError::Frame),
            Some(length) => {
                self.literal_left = length;
                self.line_start = self.frame.len();
                Ok(())
            }
            None => {
                self.line_start = 0;
                frames.push(std::mem::take(&mut self.frame));
                Ok(())
            }
        }
    }

    /// The length in a trailing `{n}` of a data line. Status text may end in the same characters and mean
    /// nothing by them (`* OK see {3}`), and so may a quoted string.
    fn announced_literal(&self) -> Result<Option<usize>, FramingError> {
        let line = trimmed(&self.frame[self.line_start..]);
        let Some(digits) = literal_digits(line) else { return Ok(None) };
        if kind(&self.frame) != Some(Kind::Data) {
            return Ok(None);
        }
        let announced = String::from_utf8_lossy(digits).into_owned();
        match announced.parse::<usize>() {
            Ok(length) if length <= MAX_LITERAL => Ok(Some(length)),
            _ => Err(FramingError::Literal(announced.chars().take(MAX_TAG).collect())),
        }
    }
}

/// What kind of response a frame is; `None` for a line that is no IMAP response at all.
pub(super) fn kind(frame: &[u8]) -> Option<Kind> {
    let (first, rest) = first_word(frame);
    let (second, _) = first_word(rest);
    match first {
        b"+" => Some(Kind::Continuation),
        b"*" if second.is_empty() => None,
        b"*" => Some(Status::of(second).map_or(Kind::Data, Kind::Untagged)),
        tag if is_tag(tag) => match Status::of(second)? {
            status @ (Status::Ok | Status::No | Status::Bad) => {
                Some(Kind::Tagged { tag: String::from_utf8_lossy(tag).into_owned(), status })
            }
            Status::Preauth | Status::Bye => None,
        },
        _ => None,
    }
}

/// What stands before the first space of the first line, and what follows it there.
fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| matches!(byte, b' ' | b'\n')) {
        Some(end) if text[end] == b' ' => (&text[..end], &text[end + 1..]),
        Some(end) => (trimmed(&text[..=end]), &[]),
        None => (trimmed(text), &[]),
    }
}

fn is_tag(word: &[u8]) -> bool {
    !word.is_empty() && word.len() <= MAX_TAG && word.iter().all(u8::is_ascii_alphanumeric)
}

/// A line without its line end.
pub(super) fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn literal_digits(line: &[u8]) -> Option<&[u8]> {
    let inner = line.strip_suffix(b"}")?;
    let inner = inner.strip_suffix(b"+").unwrap_or(inner);
    let open = inner.iter().rposition(|byte| *byte == b'{')?;
    let digits = &inner[open + 1..];
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    (is_number && !ends_inside_quotes(&line[..open])).then_some(digits)
}

fn ends_inside_quotes(line: &[u8]) -> bool {
    let mut inside = false;
    let mut escaped = false;
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ => {}
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(chunks: &[&[u8]]) -> Result<Vec<Vec<u8>>, FramingError> {
        let (mut lexer, mut frames) = (Lexer::default(), Vec::new());
        for chunk in chunks {
            lexer.feed(chunk, &mut frames)?;
        }
        Ok(frames)
    }

    #[test]
    fn a_literal_keeps_its_response_whole() {
        let stream = b"* METADATA INBOX (/shared/x {6}\r\na\r\nb)\n)\r\nA1 OK done\r\n";
        let got = frames(&[stream]).unwrap();
        assert_eq!(got, [&stream[..stream.len() - 12], b"A1 OK done\r\n"]);
    }

    #[test]
    fn an_empty_literal_does_not_swallow_the_line() {
        let got = frames(&[b"* LIST () \"/\" {0}\r\n\r\n* X\r\n"]).unwrap();
        assert_eq!(got.len(), 2);
    }

    #[test]
    fn braces_in_status_text_and_in_quotes_announce_nothing() {
        let stream = b"* OK see {999999999}\r\n+ go {5}\r\nA1 NO {7}\r\n* LIST () \"/\" \"a {5}\r\n* X y\r\n";
        assert_eq!(frames(&[stream]).unwrap().len(), 5);
    }

    #[test]
    fn four_gibibytes_announced_are_refused_at_the_announcement() {
        let error = frames(&[b"* LIST () \"/\" {4294967296}\r\n"]).unwrap_err();
        assert_eq!(error, FramingError::Literal("4294967296".to_owned()));
        let error = frames(&[b"* LIST () \"/\" {99999999999999999999999999}\r\n"]).unwrap_err();
        assert!(matches!(error, FramingError::Literal(_)));
    }

    #[test]
    fn an_endless_line_and_endless_literals_are_refused() {
        let line = vec![b'x'; MAX_LINE + 1];
        assert_eq!(frames(&[&line]).unwrap_err(), FramingError::Line);
        let literal = [format!("* X {{{MAX_LITERAL}}}\r\n").into_bytes(), vec![b'y'; MAX_LITERAL]].concat();
        let next = [format!(" {{{MAX_LITERAL}}}\r\n").into_bytes(), vec![b'y'; MAX_LITERAL]].concat();
        let error = frames(&[&literal, &next, &next, &next]).unwrap_err();
        assert_eq!(error, FramingError::Frame);
    }

    #[test]
    fn kinds_are_told_apart() {
        assert_eq!(kind(b"+ \r\n"), Some(Kind::Continuation));
        assert_eq!(kind(b"+\r\n"), Some(Kind::Continuation));
        assert_eq!(kind(b"* bye\r\n"), Some(Kind::Untagged(Status::Bye)));
        assert_eq!(kind(b"* bye"), Some(Kind::Untagged(Status::Bye)), "a line that is not over");
        assert_eq!(kind(b"A1\r\nOK done\r\n"), None, "the second word of another line");
        assert_eq!(kind(b"* 3 EXISTS\r\n"), Some(Kind::Data));
        let tagged = Kind::Tagged { tag: "A0001".to_owned(), status: Status::No };
        assert_eq!(kind(b"A0001 No [NOPERM] x\r\n"), Some(tagged));
        for junk in
            [&b"\r\n"[..], b"* \r\n", b"*\r\n", b"HTTP/1.1 200 OK\r\n", b"A1 PREAUTH x\r\n", b"\xff\xfe\n"]
        {
            assert_eq!(kind(junk), None, "{junk:?}");
        }
    }

    fn response() -> impl Strategy<Value = Vec<u8>> {
        let literal = proptest::collection::vec(any::<u8>(), 0..40).prop_map(|body| {
            [format!("* METADATA INBOX (/x {{{}}}\r\n", body.len()).into_bytes(), body, b")\r\n".to_vec()]
                .concat()
        });
        prop_oneof![
            "[a-z\"(){}0-9 ]{0,30}".prop_map(|text| format!("* OK {text}\r\n").into_bytes()),
            "[a-z(]{1,30}".prop_map(|text| format!("* LIST {text}\r\n").into_bytes()),
            literal,
        ]
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            responses in proptest::collection::vec(response(), 0..12), size in 1_usize..50
        ) {
            let stream = responses.concat();
            let chunks: Vec<&[u8]> = stream.chunks(size).collect();
            prop_assert_eq!(frames(&chunks).unwrap(), responses);
        }

        #[test]
        fn any_bytes_stay_within_bounds(
            bytes in proptest::collection::vec(any::<u8>(), 0..4000), size in 1_usize..100
        ) {
            let (mut lexer, mut got) = (Lexer::default(), Vec::new());
            for chunk in bytes.chunks(size) {
                if lexer.feed(chunk, &mut got).is_err() {
                    return Ok(());
                }
            }
            let seen = got.iter().map(Vec::len).sum::<usize>() + lexer.frame.len();
            prop_assert_eq!(seen, bytes.len());
            for frame in &got {
                kind(frame);
            }
        }
    }
}
