//! Breaking lines at a width.

/// Breaks text at spaces into lines of at most `width` columns, the first one of at most `first`. A word
/// that is longer than a line is broken where the line ends. An empty text is one empty line.
pub(crate) fn wrap(text: &str, first: usize, width: usize) -> Vec<String> {
    let mut lines = Lines { done: Vec::new(), line: String::new(), used: 0, limit: first.max(2), width };
    for (number, word) in text.split(' ').enumerate() {
        lines.place(word, number > 0);
    }
    lines.done.push(lines.line);
    lines.done
}

struct Lines {
    done: Vec<String>,
    line: String,
    used: usize,
    limit: usize,
    width: usize,
}

impl Lines {
    /// Blanks are kept as they are, since a folder may differ from another by one; only the blank at which
    /// a line breaks is left out.
    fn place(&mut self, word: &str, after_blank: bool) {
        let needed = columns(word) + usize::from(after_blank);
        if self.starts_better_below(needed) || (self.used > 0 && self.used + needed > self.limit) {
            self.end_line();
        } else if after_blank {
            self.push(' ');
        }
        word.chars().for_each(|c| self.push(c));
    }

    /// Whether a first word must be broken on a short first line and need not be on the next.
    fn starts_better_below(&self, needed: usize) -> bool {
        self.done.is_empty() && self.used == 0 && needed > self.limit && needed <= self.width
    }

    fn push(&mut self, c: char) {
        if self.used + width_of(c) > self.limit {
            self.end_line();
        }
        self.line.push(c);
        self.used += width_of(c);
    }

    fn end_line(&mut self) {
        self.done.push(std::mem::take(&mut self.line));
        self.used = 0;
        self.limit = self.width.max(2);
    }
}

/// Columns a text takes on a terminal, never too few.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// East Asian wide characters and pictographs take two columns. The blocks are taken whole, and marks count
/// as one: where the estimate errs, a line is shorter than it might be.
fn width_of(c: char) -> usize {
    match c {
        '\u{1100}'..='\u{115f}'
        | '\u{231a}'..='\u{231b}'
        | '\u{23e9}'..='\u{23f3}'
        | '\u{25fd}'..='\u{27bf}'
        | '\u{2b1b}'..='\u{2b55}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe10}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{16fe0}'..='\u{1b2ff}'
        | '\u{1f000}'..='\u{3ffff}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_stay_whole_where_they_fit() {
        assert_eq!(wrap("one two three", 7, 7), ["one two", "three"]);
        assert_eq!(wrap("one two", 3, 20), ["one", "two"]);
        assert_eq!(wrap("  a   b c", 7, 7), ["  a   b", "c"]);
        assert_eq!(wrap("three", 3, 20), ["", "three"]);
        assert_eq!(wrap("abcdefgh i", 4, 4), ["abcd", "efgh", "i"]);
        assert_eq!(wrap("\u{53d7}\u{4fe1}\u{7bb1}", 5, 5), ["\u{53d7}\u{4fe1}", "\u{7bb1}"]);
        assert_eq!(wrap("", 9, 9), [""]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_long_and_no_letter_is_lost(
            text in "[ a-z\u{4e00}-\u{4e20}]{0,200}",
            width in 2_usize..90,
        ) {
            let lines = wrap(&text, width, width);
            prop_assert!(lines.iter().all(|line| columns(line) <= width), "{lines:?}");
            prop_assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        }
    }
}
