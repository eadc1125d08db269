//! Rows of `pcre:` and `regexp:` tables, evaluated for one address (pcre_table(5), regexp_table(5)).

/// Most steps one row may take for one address. Nested repetition could take for ever.
const MAX_STEPS: usize = 100_000;
/// Most pieces of one pattern.
const MAX_PIECES: usize = 1_000;

/// What a row answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Match {
    /// The result, with `$1` and the like filled in.
    Gives(String),
    /// It does not match.
    No,
    /// The pattern uses something that is not evaluated here.
    Unknown,
}

/// The answer of one row `/pattern/flags result` for a key.
pub(super) fn evaluate(row: &str, result: &str, key: &str) -> Match {
    let (negated, row) = match row.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, row),
    };
    let Some((pattern, flags)) = parts(row) else { return Match::Unknown };
    // Both kinds ignore case unless the flag `i` toggles that; other flags change what is matched.
    if flags.chars().any(|flag| flag != 'i') {
        return Match::Unknown;
    }
    let fold = flags.matches('i').count() % 2 == 0;
    let lower = |text: &str| if fold { text.to_lowercase() } else { text.to_owned() };
    let Some(pieces) = pieces(&lower(pattern)) else { return Match::Unknown };
    let (folded, spelled): (Vec<char>, Vec<char>) = (lower(key).chars().collect(), key.chars().collect());
    // A few characters change their length with their case; then the parts of the match cannot be cut out.
    if folded.len() != spelled.len() {
        return Match::Unknown;
    }
    let mut search = Search { pieces: &pieces, text: &folded, groups: [(0, 0); 10], steps: 0 };
    let starts = if pieces.first() == Some(&Piece::Begin) { 0..1 } else { 0..folded.len() + 1 };
    let mut found = false;
    for start in starts {
        found = search.matches(0, start);
        if search.steps >= MAX_STEPS {
            return Match::Unknown;
        }
        if found {
            break;
        }
    }
    match (found, negated) {
        (true, false) => Match::Gives(filled_in(result, &search.groups, &spelled)),
        (false, true) => Match::Gives(result.to_owned()),
        _ => Match::No,
    }
}

/// One piece of the patterns that are evaluated: what administrators write to rename domains.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Begin,
    End,
    Open(usize),
    Close(usize),
    /// A character, or any, at least and at most so often.
    Some {
        wanted: Option<char>,
        least: usize,
        most: usize,
    },
}

/// The pieces of a pattern; `None` where it uses anything else (alternatives, sets, assertions, repeated groups).
fn pieces(pattern: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut characters = pattern.chars().peekable();
    let (mut groups, mut open) = (0, Vec::new());
    while let Some(character) = characters.next() {
        let wanted = match character {
            '^' if pieces.is_empty() => {
                pieces.push(Piece::Begin);
                continue;
            }
            '$' if characters.peek().is_none() => {
                pieces.push(Piece::End);
                continue;
            }
            '(' if characters.peek() != Some(&'?') && groups < 9 => {
                groups += 1;
                open.push(groups);
                pieces.push(Piece::Open(groups));
                continue;
            }
            ')' if !matches!(characters.clone().next(), Some('*' | '+' | '?' | '{')) => {
                pieces.push(Piece::Close(open.pop()?));
                continue;
            }
            '.' => None,
            '\\' => Some(characters.next().filter(|next| !next.is_alphanumeric())?),
            '^' | '$' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '*' | '+' | '?' => return None,
            _ => Some(character),
        };
        let (least, most) = match characters.peek() {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            Some('{') => return None,
            _ => (1, 1),
        };
        if (least, most) != (1, 1) {
            characters.next();
        }
        pieces.push(Piece::Some { wanted, least, most });
    }
    (open.is_empty() && pieces.len() <= MAX_PIECES).then_some(pieces)
}

struct Search<'a> {
    pieces: &'a [Piece],
    text: &'a [char],
    groups: [(usize, usize); 10],
    steps: usize,
}

impl Search<'_> {
    /// Whether the pieces from one on match the text from a place on; the longest repetition is tried first. One
    /// level of recursion a piece, and pieces are bounded.
    fn matches(&mut self, piece: usize, at: usize) -> bool {
        self.steps += 1;
        if self.steps >= MAX_STEPS {
            return false;
        }
        match self.pieces.get(piece) {
            None => {
                self.groups[0].1 = at;
                true
            }
            Some(Piece::Begin) => at == 0 && self.matches(piece + 1, at),
            Some(Piece::End) => at == self.text.len() && self.matches(piece + 1, at),
            Some(Piece::Open(group)) => {
                self.groups[*group].0 = at;
                self.matches(piece + 1, at)
            }
            Some(Piece::Close(group)) => {
                self.groups[*group].1 = at;
                self.matches(piece + 1, at)
            }
            Some(Piece::Some { wanted, least, most }) => {
                let fits = |have: &&char| wanted.is_none_or(|wanted| wanted == **have);
                let run = self.text[at..].iter().take(*most).take_while(fits).count();
                (*least..=run).rev().any(|count| self.matches(piece + 1, at + count))
            }
        }
    }
}

/// The pattern between its delimiters, and the flags behind them.
fn parts(row: &str) -> Option<(&str, &str)> {
    let delimiter = row.chars().next().filter(|c| !c.is_alphanumeric())?;
    let rest = &row[delimiter.len_utf8()..];
    let end = rest.rfind(delimiter)?;
    Some((&rest[..end], &rest[end + delimiter.len_utf8()..]))
}

/// `$1`, `${1}` and `$(1)` are parts of the match, `$$` is a dollar sign.
fn filled_in(result: &str, groups: &[(usize, usize); 10], key: &[char]) -> String {
    let mut text = String::with_capacity(result.len());
    let mut rest = result;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            text.push('$');
            rest = behind;
            continue;
        }
        let (open, close) = match rest.chars().next() {
            Some('{') => (1, "}"),
            Some('(') => (1, ")"),
            _ => (0, ""),
        };
        let digits: String = rest[open..].chars().take_while(char::is_ascii_digit).collect();
        let group = digits.parse().ok().and_then(|number: usize| groups.get(number));
        text.extend(group.and_then(|(start, end)| key.get(*start..*end)).unwrap_or_default());
        rest = &rest[open + digits.len()..];
        rest = rest.strip_prefix(close).unwrap_or(rest);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_answer_as_postfix_answers() {
        for (row, result, key, expected) in [
            (r"/^(.*)@old\.test$/", "$1@new.test", "Bob@Old.test", Some("Bob@new.test")),
            (r"/^(.*)-(.*)@x$/", "${2}$$(${1})", "a-b@x", Some("b$(a)")),
            (r"/^(.*)@x$/", "$(1)@y", "a@x", Some("a@y")),
            (r"/^bob@/i", "c@d", "BOB@x", None),
            (r"!/^bob@/", "c@d", "al@x", Some("c@d")),
            (r"/^bob@/", "c@d", "al@x", None),
            ("#^a#", "z@y", "a@x", Some("z@y")),
        ] {
            let expected = expected.map_or(Match::No, |text| Match::Gives(text.to_owned()));
            assert_eq!(evaluate(row, result, key), expected, "{row} {key}");
        }
    }

    #[test]
    fn what_is_not_evaluated_is_unknown_and_never_no() {
        for row in [r"/(?=a)b/", r"/(a)\1/", "/a/x", "if /a/", "", "/a"] {
            assert_eq!(evaluate(row, "x@y", "a@x"), Match::Unknown, "{row}");
        }
    }
}
