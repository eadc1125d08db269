//! The addresses that Pigeonhole takes where it wants exactly one, character by character as measured:
//! RFC 5322 §3.4 without groups and routes, no dots to count in local parts, letters beyond ASCII in
//! domains and display names only.

/// Whether the text is one such address.
pub(crate) fn is_pigeonhole_address(raw: &[u8]) -> bool {
    let Ok(raw) = std::str::from_utf8(raw) else { return false };
    Scanner::new(raw).bare() || Scanner::new(raw).named()
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn new(raw: &'a str) -> Self {
        Self { bytes: raw.as_bytes(), at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn takes(&mut self, wanted: u8) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += usize::from(there);
        there
    }

    /// How many bytes of a kind follow, all of them consumed.
    fn run(&mut self, belongs: fn(u8) -> bool) -> usize {
        let length = self.bytes[self.at..].iter().take_while(|byte| belongs(**byte)).count();
        self.at += length;
        length
    }

    /// RFC 5322 §3.2.2: blanks and comments, which nest; false when a comment is not closed.
    fn blanks(&mut self) -> bool {
        loop {
            self.run(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
            if self.peek() != Some(b'(') {
                return true;
            }
            if !self.comment() {
                return false;
            }
        }
    }

    fn comment(&mut self) -> bool {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            match byte {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return true;
            }
        }
        false
    }

    fn bare(&mut self) -> bool {
        self.address() && self.at == self.bytes.len()
    }

    fn named(&mut self) -> bool {
        self.phrase()
            && self.takes(b'<')
            && self.address()
            && self.takes(b'>')
            && self.blanks()
            && self.at == self.bytes.len()
    }

    /// A display name: words, quoted words and dots, or nothing.
    fn phrase(&mut self) -> bool {
        loop {
            if !self.blanks() {
                return false;
            }
            let word = match self.peek() {
                Some(b'"') => self.quoted().is_some(),
                Some(byte) if is_word(byte) => self.run(is_word) > 0,
                _ => return true,
            };
            if !word {
                return false;
            }
        }
    }

    fn address(&mut self) -> bool {
        self.blanks() && self.local() && self.blanks() && self.takes(b'@') && self.blanks() && self.domain()
    }

    fn local(&mut self) -> bool {
        match self.peek() {
            Some(b'"') => self.quoted().is_some_and(|length| length > 0),
            _ => self.atoms(),
        }
    }

    /// Blanks may stand before a dot, not behind one, not even at the end.
    fn atoms(&mut self) -> bool {
        loop {
            if self.run(|byte| is_word(byte) && byte.is_ascii()) == 0 {
                return false;
            }
            let (dotted, end) = (self.bytes[self.at - 1] == b'.', self.at);
            if !self.blanks() || (dotted && self.at > end) {
                return false;
            }
            if self.peek() != Some(b'.') {
                return true;
            }
        }
    }

    /// How many characters stand between the quotes; none when they are not closed or not ASCII.
    fn quoted(&mut self) -> Option<usize> {
        self.at += 1;
        let mut length = 0;
        while let Some(byte) = self.peek().filter(u8::is_ascii) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return Some(length);
            }
            length += 1;
        }
        None
    }

    fn domain(&mut self) -> bool {
        if self.takes(b'[') {
            self.run(|byte| !matches!(byte, b'[' | b']' | b'\\'));
            return self.takes(b']') && self.blanks();
        }
        loop {
            if self.run(|byte| is_word(byte) && byte != b'.') == 0 || !self.blanks() {
                return false;
            }
            if !self.takes(b'.') {
                return true;
            }
            if !self.blanks() {
                return false;
            }
        }
    }
}

/// RFC 5322 §3.2.3 atext, a dot, or part of a letter beyond ASCII.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-./=?^_`{|}~".contains(&byte) || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::is_pigeonhole_address;

    /// Every row was put to `sievec` of Pigeonhole 0.5.19.
    #[test]
    fn the_engines_answers_are_ours() {
        for taken in [
            "a@x",
            ".a@x",
            "a..b@x",
            "\"a b\"@x",
            "\"a\\\"b\"@x",
            "a@[1.2.3.4]",
            "a@[]",
            "B <a@x>",
            "B. C <a@x>",
            "B. (x) <a@x>",
            "(c) a@x",
            "a@x (c)",
            "a (c) @ (d) x",
            "a@(c)x",
            "\"a@b\"@c",
            "a@\u{e9}.x",
            "\u{e9} <a@x>",
            "a\r\n @x",
            "a@x\n",
            "\na@x",
            "< a @ x >",
            "B<a@x>",
            "a@-x",
            "a@x_y",
            "\"a\" @x",
            "a@[::1]",
            "a@[a b]",
            "\" \"@x",
            "a@x . y",
            "a@ [1.2]",
            "<\"a b\"@x>",
            "=?utf-8?q?a?= <a@x>",
            "<a@x>(c)",
            "\"q\"<a@x>",
            "a!%&'*+-/=?^_`{|}~@x",
            "a .b@x",
            "a .@x",
            "a (c) .b@x",
            "a\r\n.@x",
            "B <a..b .c@x>",
        ] {
            assert!(is_pigeonhole_address(taken.as_bytes()), "{taken}");
        }
        for refused in [
            "a. b@x",
            "a. @x",
            "a.(c)@x",
            "<a .b. @x>",
            "a b@x",
            ". a@x",
            "\"q\" .b@x",
            "a.(c)b@x",
            "a@x.",
            "a@.x",
            "a@x..y",
            "\"a\"b@x",
            "a@[x",
            "<a@x",
            "a@x>",
            "\"B <a@x>",
            "<@r:a@x>",
            "g: a@x;",
            "<<a@x>>",
            "<a@x> b",
            "a@x,",
            "a@x;",
            "",
            "<>",
            "@x",
            "a@",
            "a@b@c",
            "\u{e9}@x",
            "\"\u{e9}\"@x",
            "B @ <a@x>",
            "a@x <b@y>",
            "a b@x",
            "B, C <a@x>",
            "B; <a@x>",
            ": <a@x>",
            "a@x\"",
            "\\<a@x>",
            "\"a\".\"b\"@x",
            "a.\"b\"@x",
            "a@x (",
            "a@x )",
            "\"\"@x",
            "a@x y",
            "a . b@x",
            "B [x] <a@x>",
            "B: <a@x>",
            "<a@x>\"q\"",
            "\u{7f}a@x",
            "a\\b@x",
        ] {
            assert!(!is_pigeonhole_address(refused.as_bytes()), "{refused}");
        }
    }
}
