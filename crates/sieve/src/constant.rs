//! What tests are known to yield when a script is compiled.
//!
//! Pigeonhole drops code that it thus knows to be dead: it neither looks at its mistakes nor, inside a list
//! of tests, runs the tests beside the one that decides. `anyof (string :matches "a" "*", true)` therefore
//! leaves the match variables alone (measured).

use crate::arguments::Reading;
use crate::strings::text_of;
use crate::tree::Test;
use crate::vocabulary::{self, pigeonhole_knows};

/// What is known without a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fixed {
    True,
    False,
    Open,
}

impl Fixed {
    pub(crate) fn inverted(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Open => Self::Open,
        }
    }
}

/// What Pigeonhole knows of every test of a script, by number. A test stands before the tests inside it, so
/// one pass backwards tells all.
pub(crate) fn fixed_tests(reading: Reading<'_>) -> Vec<Fixed> {
    let tree = reading.tree;
    let mut known = vec![Fixed::Open; tree.tests.len()];
    for number in (0..tree.tests.len()).rev() {
        known[number] = fixed_test(reading, &tree.tests[number], &known);
    }
    known
}

fn fixed_test(reading: Reading<'_>, test: &Test, known: &[Fixed]) -> Fixed {
    let name = test.name.and_then(|name| vocabulary::test(reading.text(name), true));
    let inner = || reading.tree.test_list(test.first).map(|id| known[id as usize]);
    match name.map(|signature| signature.name) {
        Some("true") => Fixed::True,
        Some("false") => Fixed::False,
        Some("not") => inner().next().unwrap_or(Fixed::Open).inverted(),
        Some("anyof") => decided(inner(), Fixed::True),
        Some("allof") => decided(inner(), Fixed::False),
        Some("ihave") => has_capabilities(reading, test),
        _ => Fixed::Open,
    }
}

/// `end` is the result that decides a whole list.
fn decided(inner: impl Iterator<Item = Fixed>, end: Fixed) -> Fixed {
    let (mut any, mut open) = (false, false);
    for fixed in inner {
        if fixed == end {
            return end;
        }
        any = true;
        open |= fixed == Fixed::Open;
    }
    if open || !any { Fixed::Open } else { end.inverted() }
}

/// RFC 5463 §4. Only absence is decided early: code behind a capability that is there is always looked at.
fn has_capabilities(reading: Reading<'_>, test: &Test) -> Fixed {
    let arguments = reading.tree.arguments_of(&test.arguments);
    let tokens = arguments.last().map(|argument| reading.tree.strings_of(argument)).unwrap_or_default();
    let absent = |token: &u32| !ihave_knows(&text_of(reading.text(*token), reading.dialect, false));
    if tokens.iter().any(absent) { Fixed::False } else { Fixed::Open }
}

/// Capabilities that change how the script itself is read cannot be tested for: even where they are
/// required, `ihave` denies them (measured).
fn ihave_knows(capability: &[u8]) -> bool {
    pigeonhole_knows(capability) && !matches!(capability, b"variables" | b"encoded-character")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, parser::parse};

    fn fixed(test: &str) -> Fixed {
        let script = format!("if {test} {{}}");
        let tree = parse(script.as_bytes(), Dialect::Pigeonhole);
        fixed_tests(Reading { script: script.as_bytes(), tree: &tree, dialect: Dialect::Pigeonhole })[0]
    }

    #[test]
    fn constants_decide_lists() {
        assert_eq!(fixed("anyof (exists \"x\", true)"), Fixed::True);
        assert_eq!(fixed("allof (exists \"x\", not true)"), Fixed::False);
        assert_eq!(fixed("not anyof (false, not true)"), Fixed::True);
        assert_eq!(fixed("anyof (exists \"x\", false)"), Fixed::Open);
        assert_eq!(fixed("ihave [\"copy\", \"nonsense\"]"), Fixed::False);
        assert_eq!(fixed("ihave \"variables\""), Fixed::False);
        assert_eq!(fixed("ihave \"copy\""), Fixed::Open);
    }
}
