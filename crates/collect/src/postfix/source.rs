//! The text files behind Postfix tables (postmap(1), aliases(5), pcre_table(5)): logical lines with their
//! numbers.

use std::collections::HashMap;
use std::path::Path;

use crate::disk::Tree;

/// Largest text file read.
const MAX_TEXT: u64 = 256 * 1024 * 1024;

/// How the key is set off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `key value`.
    Table,
    /// `key: value`.
    Aliases,
}

/// A line with its continuations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogicalLine {
    pub(super) number: u32,
    pub(super) text: String,
}

/// Physical lines with their numbers.
type Numbered<'a> = std::iter::Zip<std::ops::RangeFrom<u32>, std::slice::Split<'a, u8, fn(&u8) -> bool>>;

/// Lines that begin with a blank continue the one before; empty lines and comments are left out, also in
/// between. Bytes that are no UTF-8 are shown as U+FFFD; a line longer than Postfix would believe is cut.
pub(super) struct LogicalLines<'a> {
    lines: std::iter::Peekable<Numbered<'a>>,
}

/// Longest logical line kept, in bytes.
const MAX_LINE: usize = 16 * 1024 * 1024;

impl<'a> LogicalLines<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        let is_end: fn(&u8) -> bool = |byte| *byte == b'\n';
        Self { lines: (1_u32..).zip(text.split(is_end)).peekable() }
    }
}

fn is_blank(line: &[u8]) -> bool {
    let content = line.trim_ascii_start();
    content.is_empty() || content[0] == b'#'
}

impl Iterator for LogicalLines<'_> {
    type Item = LogicalLine;

    fn next(&mut self) -> Option<LogicalLine> {
        let (number, first) = self.lines.by_ref().find(|(_, line)| !is_blank(line))?;
        let mut bytes = first.trim_ascii_end().to_vec();
        let goes_on = |line: &[u8]| is_blank(line) || line.starts_with(b" ") || line.starts_with(b"\t");
        while let Some((_, line)) = self.lines.next_if(|(_, line)| goes_on(line)) {
            if !is_blank(line) && bytes.len() + line.len() <= MAX_LINE {
                bytes.extend_from_slice(line.trim_ascii_end());
            }
        }
        bytes.truncate(MAX_LINE);
        Some(LogicalLine { number, text: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

/// Keys of a source text with line and value.
#[derive(Debug)]
pub(super) struct SourceText {
    path: String,
    entries: HashMap<String, (u32, String)>,
    /// Whether the text was longer than what was read of it.
    pub(super) is_cut: bool,
}

impl SourceText {
    /// Reads a source text; `None` where there is none or it cannot be read, which is no gap: what is in
    /// force is in the table.
    pub(super) fn read(files: &Tree, path: &Path, dialect: Dialect, most: usize) -> Option<Self> {
        let (bytes, is_cut) = files.read(path, MAX_TEXT).ok()?;
        let entries = entries(&bytes, dialect, most);
        Some(Self { path: path.display().to_string(), is_cut: is_cut || entries.len() >= most, entries })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The line of a key in force, and a note if the text says something else by now.
    pub(super) fn find(&self, key: &str, result: &str) -> (Option<u32>, &'static str) {
        match self.entries.get(&folded(key)) {
            Some((line, value)) if squeezed(value) == squeezed(result) => (Some(*line), ""),
            Some((line, _)) => (Some(*line), " (in force; the source text has another value)"),
            None => (None, " (in force; the source text has no such key)"),
        }
    }

    /// What the text says and the table does not, ordered by line: it is in force once the table is built again.
    pub(super) fn pending(&self, in_force: &HashMap<String, String>) -> Vec<(u32, &str, &str)> {
        let differs = |(key, (_, value)): &(&String, &(u32, String))| {
            in_force.get(*key).is_none_or(|known| *known != squeezed(value))
        };
        let mut rows: Vec<_> = self
            .entries
            .iter()
            .filter(differs)
            .map(|(key, (line, value))| (*line, key.as_str(), value.as_str()))
            .collect();
        rows.sort_unstable();
        rows
    }
}

/// Rows of a table in force, ready to be compared with a source text.
pub(super) fn comparable(key: &str, result: &str) -> (String, String) {
    (folded(key), squeezed(result))
}

/// Postfix keeps the first of two equal keys and says so only in its log.
fn entries(text: &[u8], dialect: Dialect, most: usize) -> HashMap<String, (u32, String)> {
    let mut entries = HashMap::new();
    for line in LogicalLines::of(text) {
        if let Some((key, value)) = split_entry(&line.text, dialect) {
            entries.entry(folded(key)).or_insert_with(|| (line.number, value.trim().to_owned()));
        }
        if entries.len() >= most {
            break;
        }
    }
    entries
}

pub(super) fn split_entry(text: &str, dialect: Dialect) -> Option<(&str, &str)> {
    match dialect {
        Dialect::Table => text.split_once([' ', '\t']),
        Dialect::Aliases => match text.strip_prefix('"') {
            Some(rest) => {
                let (key, rest) = rest.split_once('"')?;
                Some((key, rest.trim_start().strip_prefix(':')?))
            }
            None => text.split_once(':'),
        },
    }
}

/// Keys are folded to lower case when a table is made.
fn folded(key: &str) -> String {
    key.trim().trim_matches('"').to_lowercase()
}

/// Values compare without blanks: continuation lines and lists are joined differently in text and table.
fn squeezed(value: &str) -> String {
    value.chars().filter(|c| !c.is_whitespace()).collect()
}

/// One rule of a pcre or regexp table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// Line it begins on, where it stands in a file.
    pub(super) line: Option<u32>,
    /// Pattern with delimiters and flags.
    pub(super) pattern: String,
    /// Result, unexpanded.
    pub(super) result: String,
    /// The whole logical line.
    pub(super) text: String,
}

/// A pcre or regexp table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// Its rules in order, those inside conditions too.
    pub(super) rules: Vec<Rule>,
    /// How many conditional blocks there are.
    pub(super) conditionals: usize,
    /// Lines that are no rule.
    pub(super) unreadable: Vec<String>,
    /// Whether there is more than what was read.
    pub(super) is_cut: bool,
}

impl Rules {
    pub(super) fn read(files: &Tree, path: &Path, most: usize) -> Result<Self, String> {
        let (bytes, is_cut) = files.read(path, MAX_TEXT).map_err(|error| error.to_string())?;
        let mut table = Self::of(&bytes, most);
        table.is_cut |= is_cut;
        Ok(table)
    }

    pub(super) fn of(text: &[u8], most: usize) -> Self {
        let mut table = Self::default();
        for line in LogicalLines::of(text) {
            if table.rules.len() + table.unreadable.len() >= most {
                table.is_cut = true;
                break;
            }
            let word = line.text.split([' ', '\t', '/', '!']).next().unwrap_or_default().to_ascii_lowercase();
            match word.as_str() {
                "if" => table.conditionals += 1,
                "endif" => {}
                _ => match rule(&line) {
                    Some(rule) => table.rules.push(rule),
                    None => table.unreadable.push(line.number.to_string()),
                },
            }
        }
        table
    }
}

/// `/pattern/flags result`, the delimiter being any character, `!` before it negating.
fn rule(line: &LogicalLine) -> Option<Rule> {
    let text = line.text.trim_start_matches(['!', ' ', '\t']);
    let mut chars = text.char_indices();
    let (_, delimiter) = chars.next()?;
    if delimiter.is_alphanumeric() {
        return None;
    }
    let mut escaped = false;
    let close = chars.find_map(|(at, c)| {
        let closes = c == delimiter && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(at + c.len_utf8())
    })?;
    let flags = text[close..].find([' ', '\t']).map_or(text.len(), |at| close + at);
    let negation = &line.text[..line.text.len() - text.len()];
    Some(Rule {
        line: Some(line.number),
        pattern: format!("{}{}", negation.trim(), &text[..flags]),
        result: text[flags..].trim().to_owned(),
        text: line.text.clone(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_found_with_their_line_through_comments_and_continuations() {
        let text = "# comment\nAlice@A.test\tbob@b.test,\n   # inside\n  carol@c.test\n\nx y\n";
        let source = SourceText {
            path: String::new(),
            entries: entries(text.as_bytes(), Dialect::Table, 100),
            is_cut: false,
        };
        assert_eq!(source.find("alice@a.test", "bob@b.test, carol@c.test"), (Some(2), ""));
        let (line, note) = source.find("alice@a.test", "mallory@m.test");
        assert!(line == Some(2) && note.contains("another value"));
        let (line, note) = source.find("gone@a.test", "x");
        assert!(line.is_none() && note.contains("no such key"));
    }

    #[test]
    fn alias_keys_end_at_a_colon_and_may_be_quoted() {
        let text = "root: admin\n\"John Doe\": john\npipe:\n  \"|/bin/cat\"\n";
        let source = SourceText {
            path: String::new(),
            entries: entries(text.as_bytes(), Dialect::Aliases, 100),
            is_cut: false,
        };
        assert_eq!(source.find("john doe", "john"), (Some(2), ""));
        assert_eq!(source.find("pipe", "\"|/bin/cat\""), (Some(3), ""));
    }

    #[test]
    fn rules_keep_pattern_flags_result_and_line() {
        let text = "# x\nif /^a/\n/^(a\\/b)@x$/i  c@d.test\nendif\n!|^z|\n   e@f.test\nnonsense\n";
        let rules = Rules::of(text.as_bytes(), 100);
        assert_eq!(rules.conditionals, 1);
        assert_eq!(rules.unreadable, ["7"]);
        assert_eq!((rules.rules[0].pattern.as_str(), rules.rules[0].line), ("/^(a\\/b)@x$/i", Some(3)));
        assert_eq!(rules.rules[0].result, "c@d.test");
        assert_eq!((rules.rules[1].pattern.as_str(), rules.rules[1].result.as_str()), ("!|^z|", "e@f.test"));
    }

    proptest! {
        #[test]
        fn every_line_of_rules_is_accounted_for(text in "[ -~\n\t\u{e9}]{0,200}") {
            let rules = Rules::of(text.as_bytes(), 1000);
            let accounted = rules.rules.len() + rules.unreadable.len() + rules.conditionals;
            prop_assert!(accounted <= LogicalLines::of(text.as_bytes()).count());
        }

        #[test]
        fn a_written_entry_is_found(key in "[a-z]{1,8}@[a-z]{1,8}", value in "[a-z@.,][a-z@., ]{0,20}") {
            let entries = entries(format!("{key} {value}\n").as_bytes(), Dialect::Table, 100);
            let source = SourceText { path: String::new(), entries, is_cut: false };
            prop_assert_eq!(source.find(&key, &value), (Some(1), ""));
        }
    }
}
