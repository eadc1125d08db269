//! Rows of `pcre:` and `regexp:` tables, evaluated for one address (pcre_table(5), regexp_table(5)).

use regex::{Captures, RegexBuilder};

/// Largest compiled pattern, in bytes. A row that needs more is not evaluated, and that is said.
const MAX_COMPILED: usize = 1 << 20;

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
    let compiled = RegexBuilder::new(pattern)
        .case_insensitive(flags.matches('i').count() % 2 == 0)
        .size_limit(MAX_COMPILED)
        .build();
    let Ok(compiled) = compiled else { return Match::Unknown };
    match (compiled.captures(key), negated) {
        (Some(captures), false) => Match::Gives(filled_in(result, &captures)),
        (None, true) => Match::Gives(result.to_owned()),
        _ => Match::No,
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
fn filled_in(result: &str, captures: &Captures<'_>) -> String {
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
        let group = digits.parse().ok().and_then(|number: usize| captures.get(number));
        text.push_str(group.map_or("", |group| group.as_str()));
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
