//! Regular expressions on constants, where every engine must agree: a part of POSIX extended expressions (IEEE
//! 1003.1 §9.4) in which nothing depends on a locale or on which of several matches is the longest.

use regex::bytes::{Regex, RegexBuilder};

/// Longer expressions and values are left undecided.
const MAX_PATTERN: usize = 200;
const MAX_VALUE: usize = 1_000;
/// How much memory one compiled expression may take.
const MAX_COMPILED: usize = 1 << 16;

/// Whether the value matches; none where that is not sure.
pub(crate) fn is_match(value: &[u8], pattern: &[u8], fold_case: bool) -> Option<bool> {
    let plain = |text: &[u8]| text.iter().all(|byte| (b' '..=b'~').contains(byte));
    if value.len() > MAX_VALUE || !plain(value) {
        return None;
    }
    Some(compiled(pattern, fold_case)?.is_match(value))
}

fn compiled(pattern: &[u8], fold_case: bool) -> Option<Regex> {
    let text = std::str::from_utf8(pattern).ok().filter(|text| text.len() <= MAX_PATTERN)?;
    let mut reader = Reader { rest: text.as_bytes(), depth: 0 };
    let sure = reader.alternatives() && reader.rest.is_empty();
    let mut builder = RegexBuilder::new(text);
    builder.unicode(false).case_insensitive(fold_case).size_limit(MAX_COMPILED);
    if sure { builder.build().ok() } else { None }
}

/// Reads the part of the grammar that is sure.
struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
}

/// How deep groups may nest.
const MAX_GROUPS: usize = 8;

impl Reader<'_> {
    fn take(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn alternatives(&mut self) -> bool {
        loop {
            if !self.branch() {
                return false;
            }
            if !self.take(b'|') {
                return true;
            }
        }
    }

    /// `^` stands at the beginning of a branch and `$` at its end, or they are not sure.
    fn branch(&mut self) -> bool {
        self.take(b'^');
        let mut pieces = 0;
        while self.piece() {
            pieces += 1;
        }
        self.take(b'$');
        pieces > 0
    }

    fn piece(&mut self) -> bool {
        let before = self.rest;
        if !self.atom() {
            self.rest = before;
            return false;
        }
        let _ = self.take(b'*') || self.take(b'+') || self.take(b'?');
        true
    }

    fn atom(&mut self) -> bool {
        let Some((first, rest)) = self.rest.split_first() else { return false };
        self.rest = rest;
        match first {
            b'(' => self.group(),
            b'[' => self.bracket(),
            b'\\' => self.escaped(),
            b'.' => true,
            // With `x` off, blanks and these mean themselves in both grammars.
            byte => byte.is_ascii_alphanumeric() || b" @_,:;!%'\"/<>=-".contains(byte),
        }
    }

    fn group(&mut self) -> bool {
        self.depth += 1;
        let sound = self.depth <= MAX_GROUPS && !self.rest.starts_with(b"?") && self.alternatives();
        self.depth -= 1;
        sound && self.take(b')')
    }

    /// Letters, digits and ranges of like ones.
    fn bracket(&mut self) -> bool {
        self.take(b'^');
        let Some(end) = self.rest.iter().position(|byte| *byte == b']') else { return false };
        let (inside, rest) = (&self.rest[..end], &self.rest[end + 1..]);
        self.rest = rest;
        !inside.is_empty() && are_members(inside)
    }

    fn escaped(&mut self) -> bool {
        let Some((first, rest)) = self.rest.split_first() else { return false };
        self.rest = rest;
        b".^$*+?()[]{}|\\".contains(first)
    }
}

fn are_members(mut inside: &[u8]) -> bool {
    let kind = |byte: u8| match byte {
        b'0'..=b'9' => 1,
        b'a'..=b'z' => 2,
        b'A'..=b'Z' => 3,
        b' ' | b'@' | b'_' | b'.' => 4,
        _ => 0,
    };
    while let Some((first, rest)) = inside.split_first() {
        inside = match rest {
            [b'-', last, after @ ..] if kind(*first) < 4 && kind(*first) == kind(*last) && first <= last => {
                after
            }
            [b'-', ..] => return false,
            rest => rest,
        };
        if kind(*first) == 0 {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sure_is_decided_and_nothing_else() {
        let decided: [(&str, &str, bool); 12] = [
            ("abc", "b", true),
            ("abc", "^b", false),
            ("abc", "^a.c$", true),
            ("abc", "(x|bc)$", true),
            ("abc", "a[b-d]+c*$", true),
            ("abc", "[^a-c]", false),
            ("a.c", r"a\.c", true),
            ("abc", r"a\.c", false),
            ("aXc", "x", false),
            ("a@x.example", "@[a-z]+[.]example$", true),
            ("", "a?", true),
            ("ab", "^(a)?b$", true),
        ];
        for (value, pattern, holds) in decided {
            assert_eq!(is_match(value.as_bytes(), pattern.as_bytes(), false), Some(holds), "{pattern}");
        }
        assert_eq!(is_match(b"aXc", b"x", true), Some(true));
        let open = [
            "",
            "(",
            "a)",
            "a{2}",
            "[[:alpha:]]",
            "[a-]",
            "[]a]",
            r"\d",
            r"\<a",
            "a**",
            "^*",
            "a|",
            "()",
            "(?i)a",
            "a^b",
            "a$b",
            "[z-a]",
            "a#b",
            "\u{e9}",
            "[a-Z]",
            r"(a)\1",
            "a??",
            "$",
        ];
        for pattern in open {
            assert_eq!(is_match(b"abc", pattern.as_bytes(), false), None, "{pattern}");
        }
        assert_eq!(is_match("\u{e9}".as_bytes(), b".", false), None);
        assert_eq!(is_match(b"a\nb", b"a.b", false), None);
    }
}
