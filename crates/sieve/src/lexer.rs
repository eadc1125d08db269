//! Bytes to tokens, losslessly: the tokens of any input, joined, are the input.
//!
//! Every byte belongs to exactly one token; what a dialect cannot read becomes a token that says so.
//! Each byte is looked at a bounded number of times, so lexing is linear whatever the input.

use crate::Dialect;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Spaces, tabs, CR, LF.
    Whitespace,
    /// `#` to the end of the line, LF included.
    LineComment,
    /// `/* ... */`.
    BlockComment,
    /// The name of a command or a test.
    Identifier,
    /// `:` and an identifier.
    Tag,
    /// Digits with an optional K, M or G.
    Number,
    /// A quoted string, quotes included.
    Quoted,
    /// `text:` to the line holding a single dot, both included.
    MultiLine,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `(`
    LeftParenthesis,
    /// `)`
    RightParenthesis,
    /// `{`
    LeftBrace,
    /// `}`
    RightBrace,
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// A string, multi-line string or comment that the input ends before it does.
    Unterminated,
    /// Bytes that begin no token.
    Invalid,
    /// What follows the place where the dialect silently stops reading.
    Beyond,
}

impl TokenKind {
    /// Whether the token only separates others.
    #[must_use]
    pub fn is_trivia(self) -> bool {
        matches!(self, Self::Whitespace | Self::LineComment | Self::BlockComment)
    }

    /// Whether the dialect could not read these bytes.
    #[must_use]
    pub fn is_unreadable(self) -> bool {
        matches!(self, Self::Unterminated | Self::Invalid | Self::Beyond)
    }
}

/// A token and the bytes it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Offset of its first byte.
    pub start: usize,
    /// Offset after its last byte.
    pub end: usize,
}

impl Token {
    /// The bytes of this token in the script it came from.
    #[must_use]
    pub fn bytes<'a>(&self, script: &'a [u8]) -> &'a [u8] {
        &script[self.start..self.end]
    }
}

/// The tokens of `script`, in order and without gaps.
#[must_use]
pub fn tokenize(script: &[u8], dialect: Dialect) -> Vec<Token> {
    let mut lexer = Lexer { script, dialect, at: 0, no_comment_end: false };
    let mut tokens = Vec::with_capacity(script.len() / 4 + 1);
    while lexer.at < script.len() {
        let start = lexer.at;
        let kind = lexer.next_kind();
        tokens.push(Token { kind, start, end: lexer.at });
    }
    tokens
}

struct Lexer<'a> {
    script: &'a [u8],
    dialect: Dialect,
    at: usize,
    no_comment_end: bool,
}

impl Lexer<'_> {
    fn next_kind(&mut self) -> TokenKind {
        let byte = self.script[self.at];
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => self.run(TokenKind::Whitespace, is_space),
            b'#' => self.line_comment(),
            b'/' if self.peek(1) == Some(b'*') => self.block_comment(),
            b'"' => self.quoted(),
            b':' if self.peek(1).is_some_and(is_identifier_start) => self.tag(),
            b'0'..=b'9' => self.number(),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(),
            _ => match punctuation(byte) {
                Some(kind) => self.single(kind),
                None => self.unreadable(byte),
            },
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.script.get(self.at + ahead).copied()
    }

    fn single(&mut self, kind: TokenKind) -> TokenKind {
        self.at += 1;
        kind
    }

    fn run(&mut self, kind: TokenKind, belongs: fn(u8) -> bool) -> TokenKind {
        self.at = end_of_run(self.script, self.at, belongs);
        kind
    }

    fn rest(&mut self, kind: TokenKind) -> TokenKind {
        self.at = self.script.len();
        kind
    }

    /// RFC 5228 §2.3. A CR alone does not end the comment in any of the three engines.
    fn line_comment(&mut self) -> TokenKind {
        self.at = end_of_line(self.script, self.at);
        TokenKind::LineComment
    }

    fn block_comment(&mut self) -> TokenKind {
        let body = self.at + 2;
        let end = if self.no_comment_end {
            None
        } else if self.dialect.longest_comments() {
            longest_comment_end(self.script, body)
        } else {
            find(self.script, body, b"*/").map(|at| at + 2)
        };
        match end {
            Some(end) => {
                self.at = end;
                TokenKind::BlockComment
            }
            None => {
                self.no_comment_end = true;
                self.rest(TokenKind::Unterminated)
            }
        }
    }

    fn quoted(&mut self) -> TokenKind {
        let end = if self.dialect.loose_escapes() {
            loose_quote_end(self.script, self.at + 1)
        } else {
            strict_quote_end(self.script, self.at + 1)
        };
        match end {
            Some(end) => {
                self.at = end;
                TokenKind::Quoted
            }
            None => self.rest(TokenKind::Unterminated),
        }
    }

    fn tag(&mut self) -> TokenKind {
        self.at += 1;
        self.run(TokenKind::Tag, is_identifier)
    }

    fn number(&mut self) -> TokenKind {
        self.run(TokenKind::Number, |byte| byte.is_ascii_digit());
        if self.peek(0).is_some_and(|byte| matches!(byte.to_ascii_lowercase(), b'k' | b'm' | b'g')) {
            self.at += 1;
        }
        TokenKind::Number
    }

    fn word(&mut self) -> TokenKind {
        let start = self.at;
        self.run(TokenKind::Identifier, is_identifier);
        let word = &self.script[start..self.at];
        if self.peek(0) == Some(b':') && self.is_text_keyword(word) {
            self.at += 1;
            return self.multi_line();
        }
        TokenKind::Identifier
    }

    fn is_text_keyword(&self, word: &[u8]) -> bool {
        if self.dialect.folds_keywords() { word.eq_ignore_ascii_case(b"text") } else { word == b"text" }
    }

    /// RFC 5228 §2.4.2: `text:` blanks, an optional hash comment, a line end, the lines, and a line `.`.
    fn multi_line(&mut self) -> TokenKind {
        let after_blanks = end_of_run(self.script, self.at, |byte| matches!(byte, b' ' | b'\t' | b'\r'));
        let junk = !matches!(self.script.get(after_blanks), Some(b'\n' | b'#') | None);
        if junk && !self.dialect.ignores_text_junk() {
            return TokenKind::Invalid;
        }
        let mut line = end_of_line(self.script, after_blanks);
        while line < self.script.len() {
            let next = end_of_line(self.script, line);
            if matches!(&self.script[line..next], b".\n" | b".\r\n") {
                self.at = next;
                return TokenKind::MultiLine;
            }
            line = next;
        }
        self.rest(TokenKind::Unterminated)
    }

    fn unreadable(&mut self, byte: u8) -> TokenKind {
        let ends = !byte.is_ascii() || byte == 0;
        if ends && self.dialect.non_ascii_ends_script() {
            return self.rest(TokenKind::Beyond);
        }
        self.at += 1;
        if byte.is_ascii() {
            TokenKind::Invalid
        } else {
            self.run(TokenKind::Invalid, |byte| !byte.is_ascii())
        }
    }
}

fn punctuation(byte: u8) -> Option<TokenKind> {
    Some(match byte {
        b'[' => TokenKind::LeftBracket,
        b']' => TokenKind::RightBracket,
        b'(' => TokenKind::LeftParenthesis,
        b')' => TokenKind::RightParenthesis,
        b'{' => TokenKind::LeftBrace,
        b'}' => TokenKind::RightBrace,
        b',' => TokenKind::Comma,
        b';' => TokenKind::Semicolon,
        _ => return None,
    })
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

pub(crate) fn is_identifier_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

pub(crate) fn is_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn end_of_run(script: &[u8], from: usize, belongs: fn(u8) -> bool) -> usize {
    script[from..].iter().position(|byte| !belongs(*byte)).map_or(script.len(), |length| from + length)
}

/// The offset after the LF that ends the line, or the end of the script.
fn end_of_line(script: &[u8], from: usize) -> usize {
    script[from..].iter().position(|byte| *byte == b'\n').map_or(script.len(), |length| from + length + 1)
}

fn find(script: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    script.get(from..)?.windows(what.len()).position(|window| window == what).map(|at| from + at)
}

fn strict_quote_end(script: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at < script.len() {
        match script[at] {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Stalwart looks only at the byte before: `"` ends the string unless that byte is a backslash.
fn loose_quote_end(script: &[u8], from: usize) -> Option<usize> {
    (from..script.len())
        .find(|at| script[*at] == b'"' && (*at == from || script[at - 1] != b'\\'))
        .map(|at| at + 1)
}

/// Cyrus matches `([^*]|\*[^/])*\*?` and `*/` by longest match: stars are eaten in pairs, so an even run
/// of stars before a slash may end the comment but does not have to, and the last such place wins.
fn longest_comment_end(script: &[u8], from: usize) -> Option<usize> {
    let mut candidate = None;
    let mut at = from;
    while at < script.len() {
        let stars = script[at..].iter().take_while(|byte| **byte == b'*').count();
        at += stars;
        if stars > 0 && script.get(at) == Some(&b'/') {
            if stars % 2 == 1 {
                return Some(at + 1);
            }
            candidate = Some(at + 1);
        }
        at += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dialect::{Cyrus, Pigeonhole, Stalwart};

    fn significant(script: &[u8], dialect: Dialect) -> Vec<(TokenKind, String)> {
        tokenize(script, dialect)
            .into_iter()
            .filter(|token| !token.kind.is_trivia())
            .map(|token| (token.kind, String::from_utf8_lossy(token.bytes(script)).into_owned()))
            .collect()
    }

    fn words(script: &str, dialect: Dialect) -> Vec<String> {
        significant(script.as_bytes(), dialect).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn every_kind_of_token_is_recognised() {
        let kinds: Vec<_> = significant(b"if not :over 10K [ \"a\\\"b\" , ] ( ) { } ;", Pigeonhole)
            .into_iter()
            .map(|(kind, _)| kind)
            .collect();
        use TokenKind::*;
        assert_eq!(
            kinds,
            [
                Identifier,
                Identifier,
                Tag,
                Number,
                LeftBracket,
                Quoted,
                Comma,
                RightBracket,
                LeftParenthesis,
                RightParenthesis,
                LeftBrace,
                RightBrace,
                Semicolon
            ]
        );
    }

    #[test]
    fn cyrus_comments_swallow_code_after_an_even_run_of_stars() {
        for script in ["/***/ stop; /**/", "/* x **/ stop; /* y */"] {
            assert_eq!(words(script, Pigeonhole), ["stop", ";"], "{script}");
            assert_eq!(words(script, Stalwart), ["stop", ";"], "{script}");
            assert!(words(script, Cyrus).is_empty(), "{script}");
        }
        assert_eq!(words("/**/ stop; /* x */", Cyrus), ["stop", ";"]);
        assert_eq!(words("/* x **/ stop;", Cyrus), ["stop", ";"]);
    }

    #[test]
    fn an_escaped_backslash_closes_the_string_except_in_stalwart() {
        let script = r##"set "a" "\\"; # "; redirect "evil@x";"##;
        assert!(!words(script, Pigeonhole).iter().any(|word| word == "redirect"));
        assert!(!words(script, Cyrus).iter().any(|word| word == "redirect"));
        assert!(words(script, Stalwart).iter().any(|word| word == "redirect"));
    }

    #[test]
    fn a_carriage_return_does_not_end_a_hash_comment() {
        for dialect in Dialect::ALL {
            assert!(words("# x\rredirect \"e@x\";", dialect).is_empty());
        }
    }

    #[test]
    fn non_ascii_ends_a_cyrus_script() {
        let script = "keep; \u{e9} stop;".as_bytes();
        assert_eq!(tokenize(script, Cyrus).last().map(|token| token.kind), Some(TokenKind::Beyond));
        assert_eq!(significant(script, Pigeonhole)[2].0, TokenKind::Invalid);
        assert_eq!(significant(script, Pigeonhole)[3].1, "stop");
    }

    #[test]
    fn multi_line_strings_end_only_at_a_single_dot() {
        let script = "text: # note\r\na\r\n. \r\n..\r\n.\r\n;";
        assert_eq!(words(script, Pigeonhole).len(), 2);
        assert_eq!(significant(b"text:\na\n.", Pigeonhole)[0].0, TokenKind::Unterminated);
        assert_eq!(significant(b"text: junk\na\n.\n", Pigeonhole)[0].0, TokenKind::Invalid);
        assert_eq!(significant(b"text: junk\na\n.\n", Stalwart)[0].0, TokenKind::MultiLine);
        assert_eq!(significant(b"TEXT:\na\n.\n", Stalwart)[0].0, TokenKind::MultiLine);
        assert_eq!(significant(b"TEXT:\na\n.\n", Cyrus)[0].0, TokenKind::Identifier);
    }
}
