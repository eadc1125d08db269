//! The one place that makes strangers' text safe to show.
//!
//! Whoever names a script, a folder or an address can put terminal commands, text that runs backwards or
//! characters nobody sees into it. Such characters are shown as what they are: `\u{202e}`. A backslash that
//! was there before is left alone, so the shown form is for eyes; exact bytes are in the JSON report.

use std::borrow::Cow;

/// Longest value shown in a report for people, in characters. Longer than any address or folder name that a
/// server accepts, short enough that one value cannot push the others out of sight.
pub const MAX_SHOWN: usize = 2_000;

/// Marks that may sit on one letter before the rest are shown as escapes. No living script needs more than a
/// few; hundreds of them paint over the lines above and below.
const MAX_MARKS: usize = 4;

/// A stretch of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Shows as itself.
    Plain(&'a str),
    /// Would be unseen, or would change how its surroundings are seen.
    Hidden(char),
}

/// Whether a character must not reach a screen: controls (ESC and C1 with them), bidirectional controls,
/// zero-width characters, and blanks that are not the ASCII space.
pub fn is_hidden(c: char) -> bool {
    c.is_control() || (c.is_whitespace() && c != ' ') || is_invisible(c)
}

/// Characters without a shape: Unicode's `Default_Ignorable_Code_Point`, what else browsers and terminals
/// draw as nothing, and the interlinear annotation marks.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The general blocks of marks that stack on the letter before them.
fn is_stacking_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Cuts text into what shows as itself and what must be made visible.
pub fn pieces(text: &str) -> Pieces<'_> {
    Pieces { rest: text, marks: 0 }
}

/// Iterator of [`pieces`].
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    rest: &'a str,
    marks: usize,
}

impl Pieces<'_> {
    fn is_shown(&mut self, c: char) -> bool {
        self.marks = if is_stacking_mark(c) { self.marks + 1 } else { 0 };
        !is_hidden(c) && self.marks <= MAX_MARKS
    }

    /// Length of the plain stretch that the rest begins with.
    fn plain_length(&mut self) -> usize {
        let rest = self.rest;
        let before = |this: &mut Self, c| {
            let marks = this.marks;
            let shown = this.is_shown(c);
            // A hidden character is counted when it is taken, not when it ends a stretch.
            this.marks = if shown { this.marks } else { marks };
            shown
        };
        rest.char_indices().find(|(_, c)| !before(self, *c)).map_or(rest.len(), |(at, _)| at)
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let first = self.rest.chars().next()?;
        let plain = self.plain_length();
        if plain == 0 {
            self.is_shown(first);
            self.rest = &self.rest[first.len_utf8()..];
            return Some(Piece::Hidden(first));
        }
        let (shown, rest) = self.rest.split_at(plain);
        self.rest = rest;
        Some(Piece::Plain(shown))
    }
}

/// The text on one line with everything hidden written out: `\n`, `\t`, `\u{202e}`. Borrowed exactly when
/// nothing had to be written out.
pub fn visible(text: &str) -> Cow<'_, str> {
    match pieces(text).next() {
        None => Cow::Borrowed(text),
        Some(Piece::Plain(shown)) if shown.len() == text.len() => Cow::Borrowed(text),
        Some(_) => Cow::Owned(pieces(text).fold(String::with_capacity(text.len() + 16), write_out)),
    }
}

fn write_out(mut shown: String, piece: Piece<'_>) -> String {
    match piece {
        Piece::Plain(plain) => shown.push_str(plain),
        // A mark too many is no control character, for which `escape_default` would do as well.
        Piece::Hidden(c) if is_stacking_mark(c) => shown.extend(c.escape_unicode()),
        Piece::Hidden(c) => shown.extend(c.escape_default()),
    }
    shown
}

/// The text cut to [`MAX_SHOWN`] characters, saying so.
pub fn clipped(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_SHOWN) {
        None => Cow::Borrowed(text),
        Some((at, _)) => {
            let (shown, rest) = text.split_at(at);
            Cow::Owned(format!("{shown}... ({} more characters in the JSON report)", rest.chars().count()))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_hides_is_written_out() {
        assert_eq!(visible("gnp.\u{202e}exe"), r"gnp.\u{202e}exe");
        assert_eq!(visible("\u{1b}[2J\u{9b}1m\u{7f}"), r"\u{1b}[2J\u{9b}1m\u{7f}");
        assert_eq!(visible("a\tb\r\n"), r"a\tb\r\n");
        assert_eq!(visible("in\u{200b}box\u{a0}\u{e0041}"), r"in\u{200b}box\u{a0}\u{e0041}");
    }

    #[test]
    fn what_does_not_hide_is_left_alone() {
        for text in
            ["", "bob@example.org", "Entw\u{fc}rfe", "\u{53d7}\u{4fe1}\u{7bb1}", "a\\u{202e}", "e\u{301}"]
        {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn marks_beyond_a_few_are_written_out() {
        let shown = visible("e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}x\u{301}").into_owned();
        assert_eq!(shown, "e\u{301}\u{301}\u{301}\u{301}\\u{301}\\u{301}x\u{301}");
    }

    #[test]
    fn a_cut_says_how_much_is_missing() {
        let long = "\u{fc}".repeat(MAX_SHOWN + 7);
        assert!(clipped(&long).ends_with("\u{fc}... (7 more characters in the JSON report)"));
        assert_eq!(clipped(&long[..2 * MAX_SHOWN]), &long[..2 * MAX_SHOWN]);
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_and_nothing_else_is_lost(text in any::<String>()) {
            prop_assert!(!visible(&text).chars().any(is_hidden));
            let back: String = pieces(&text).map(|piece| match piece {
                Piece::Plain(plain) => plain.to_owned(),
                Piece::Hidden(c) => c.to_string(),
            }).collect();
            prop_assert_eq!(back, text);
        }
    }
}
