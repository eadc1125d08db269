//! The way to an effect, as text.

use crate::classes::Classes;
use crate::tree::{TestId, Tree};

/// How long the text of the conditions of one effect may become.
const MAX_CONDITION_BYTES: usize = 300;

/// A command or a test, by its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The script, by number.
    pub(crate) script: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A step on the way: a test that held or failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// The script, by number.
    pub(crate) script: usize,
    /// The test, by number.
    pub(crate) test: TestId,
    /// The bytes of the test.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) negated: bool,
    /// What it asks about.
    pub(crate) classes: Classes,
    /// What it and all steps before it ask about.
    pub(crate) so_far: Classes,
    /// How many answers were known before it.
    pub(crate) answers: usize,
}

/// A test as one line: comments dropped, blanks joined, control characters shown as `?`, shortened.
pub(crate) fn test_text(script: &[u8], tree: &Tree, start: usize, end: usize) -> String {
    let from = tree.tokens.partition_point(|token| token.start < start);
    let mut text = String::new();
    for token in tree.tokens[from..].iter().take_while(|token| token.end <= end) {
        if token.kind.is_trivia() {
            if !text.ends_with(' ') {
                text.push(' ');
            }
            continue;
        }
        push_visible(&mut text, &String::from_utf8_lossy(token.bytes(script)));
        if text.len() >= MAX_CONDITION_BYTES {
            break;
        }
    }
    text.trim_end().to_owned()
}

fn push_visible(text: &mut String, addition: &str) {
    for character in addition.chars() {
        if text.len() >= MAX_CONDITION_BYTES {
            text.push('\u{2026}');
            return;
        }
        text.push(if character.is_control() { '?' } else { character });
    }
}

/// The conditions of an effect that a failure of the run at a place would undo.
pub(crate) fn unless_failing(conditions: &mut String, place: &str) {
    const SAYS: &str = "unless the run fails at ";
    if conditions.contains(SAYS) {
        return;
    }
    except(conditions, SAYS);
    push_visible(conditions, place);
}

/// The conditions of a notification that a later command may take back.
pub(crate) fn unless_withdrawn(conditions: &mut String) {
    except(conditions, "unless a later denotify takes it back");
}

fn except(conditions: &mut String, exception: &str) {
    if !conditions.is_empty() {
        conditions.push_str(", ");
    }
    conditions.push_str(exception);
}

/// Joins the steps that `text_of` renders, until the text is long enough.
pub(crate) fn path_text(path: &[Step], text_of: impl Fn(&Step) -> String) -> String {
    let mut text = String::new();
    for step in path {
        if !text.is_empty() {
            text.push_str(" and ");
        }
        if text.len() >= MAX_CONDITION_BYTES {
            text.push('\u{2026}');
            break;
        }
        match step.negated {
            true => {
                text.push_str("not (");
                text.push_str(&text_of(step));
                text.push(')');
            }
            false => text.push_str(&text_of(step)),
        }
    }
    text
}
