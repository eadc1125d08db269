//! Every text that some reader might take a header value for, before it looks for addresses in it.
//!
//! Readers differ in the order and completeness of a few steps: unfolding, charset, encoded words, dropping
//! or stopping at control characters, comments, quotes, and white space around the marks of an address. All
//! combinations are visited, each distinct text once.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::characters::{is_dot, is_unprintable, narrowed};
use crate::encoded_word::{decode_leniently, latin_1};
use crate::readings::Readings;
use crate::tokens;

/// How often encoded words inside decoded encoded words are decoded again.
const DECODING_ROUNDS: usize = 2;
/// Begins what a terminal obeys.
const ESCAPE: char = '\u{1b}';

/// Adds every address that any view of the value shows.
pub(crate) fn collect(value: &[u8], readings: &mut Readings) {
    let mut views = Views { seen: HashSet::new(), hasher: RandomState::new(), readings };
    for text in charsets(value) {
        views.unfolded(&text);
    }
}

/// The value without its folds: a line break before white space disappears (RFC 5322 §2.2.3), and so does
/// the one that ends the field. Any other line break stays and is a control character.
pub(crate) fn unfold(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    let mut unfolded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\n') {
        let fold = rest[at + 1..].starts_with([' ', '\t']);
        let line = &rest[..at];
        unfolded.push_str(if fold { line.strip_suffix('\r').unwrap_or(line) } else { &rest[..=at] });
        rest = &rest[at + 1..];
    }
    unfolded.push_str(rest);
    unfolded
}

/// RFC 6532 says UTF-8; old mail says whatever it likes, and readers guess.
fn charsets(value: &[u8]) -> Vec<String> {
    match std::str::from_utf8(value) {
        Ok(text) => vec![text.to_owned()],
        Err(_) => vec![String::from_utf8_lossy(value).into_owned(), latin_1(value)],
    }
}

struct Views<'r> {
    seen: HashSet<u64>,
    hasher: RandomState,
    readings: &'r mut Readings,
}

impl Views<'_> {
    fn unfolded(&mut self, text: &str) {
        self.narrow(&unfold(text));
        if text.contains('\n') {
            self.narrow(&without_folds(text));
        }
    }

    fn narrow(&mut self, text: &str) {
        self.decoded(text);
        if text.chars().any(|c| narrowed(c) != c) {
            self.decoded(&text.chars().map(narrowed).collect::<String>());
        }
    }

    fn decoded(&mut self, text: &str) {
        self.stripped(text);
        let mut current = text.to_owned();
        for _ in 0..DECODING_ROUNDS {
            let Some(decoded) = decode_leniently(&current) else { return };
            self.stripped(&decoded);
            current = decoded;
        }
    }

    fn stripped(&mut self, text: &str) {
        self.commented(text);
        if text.chars().any(is_unprintable) {
            self.commented(&text.chars().filter(|&c| !is_unprintable(c)).collect::<String>());
        }
        if text.contains(ESCAPE) {
            self.commented(&without_terminal_sequences(text));
        }
    }

    /// Comments kept and removed, quotes kept and opened, and quotes opened before or after comments end,
    /// because a parenthesis in quotes is a comment only to who ignores the quotes.
    fn commented(&mut self, text: &str) {
        if !self.is_new(text, 0) {
            return;
        }
        self.spaced(text);
        let opened = open_quotes(text);
        let bare = remove_comments(text);
        self.spaced(&open_quotes(&bare));
        self.spaced(&bare);
        self.spaced(&remove_comments(&opened));
        self.spaced(&opened);
    }

    fn spaced(&mut self, text: &str) {
        if self.is_new(text, 1) {
            tokens::collect(text, self.readings);
            let tight = tighten(text);
            if tight.len() != text.len() && self.is_new(&tight, 1) {
                tokens::collect(&tight, self.readings);
            }
        }
    }

    /// Whether this text was not seen at this step yet and there is budget to look at it.
    fn is_new(&mut self, text: &str, step: u8) -> bool {
        self.seen.insert(self.hasher.hash_one((step, text))) && self.readings.spend(text.len())
    }
}

/// What a terminal shows: ECMA-48 §5.4 control sequences, `ESC [` up to a letter, are obeyed and not shown.
fn without_terminal_sequences(text: &str) -> String {
    let mut pieces = text.split(ESCAPE);
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.strip_prefix('[').and_then(|rest| rest.find(|c| matches!(c, '@'..='~')));
        shown.push_str(end.map_or(piece, |end| &piece[end + 2..]));
    }
    shown.chars().filter(|&c| !is_unprintable(c)).collect()
}

/// A reader that drops line breaks together with the white space they were folded with.
fn without_folds(text: &str) -> String {
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |joined, line| joined + line.trim_start_matches([' ', '\t']))
}

fn open_quotes(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '"' | '\\')).collect()
}

/// RFC 5322 §3.2.2: comments nest, and a parenthesis in a quoted string is none. What is never closed runs
/// to the end.
fn remove_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for c in text.chars() {
        let plain = !escaped;
        escaped = plain && c == '\\';
        match c {
            '"' if plain && depth == 0 => quoted = !quoted,
            '(' if plain && !quoted => depth += 1,
            ')' if plain && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            kept.push(c);
        }
    }
    kept
}

/// RFC 5322 §4.4 lets white space stand around the `@` and the dots of an address.
fn tighten(text: &str) -> String {
    let joins = |c: char| c == '@' || is_dot(c);
    let mut tight = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(gap) = rest.find(char::is_whitespace) {
        tight.push_str(&rest[..gap]);
        let after = rest[gap..].trim_start();
        if !tight.ends_with(joins) && !after.starts_with(joins) {
            tight.push(' ');
        }
        rest = after;
    }
    tight.push_str(rest);
    tight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_undone_and_other_line_breaks_stay() {
        assert_eq!(unfold("a\n b\r\n\tc\r\n"), "a b\tc");
        assert_eq!(unfold("a\nb\rc"), "a\nb\rc");
        assert_eq!(without_folds("a\n \t b\r\nc"), "abc");
    }

    #[test]
    fn a_terminal_does_not_show_what_it_obeys() {
        assert_eq!(without_terminal_sequences("\u{1b}[1;31mops\u{1b}[0m@a\u{1b}b"), "ops@ab");
        assert_eq!(without_terminal_sequences("\u{1b}[12"), "[12");
    }

    #[test]
    fn comments_nest_and_respect_quotes() {
        assert_eq!(remove_comments(r#"a(b(c)\))d"(e)"(f"#), r#"ad"(e)""#);
        assert_eq!(remove_comments("a)b"), "a)b");
    }

    #[test]
    fn white_space_around_marks_disappears() {
        assert_eq!(tighten("bob @ a . example  x"), "bob@a.example x");
    }
}
