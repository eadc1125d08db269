//! How a value came to be: the commands and tests that made it, as far as they can be named.

use crate::effects::Step;
use crate::evaluator::Run;
use crate::span::Span;
use crate::store::Key;
use crate::strings::{Piece, match_number, pieces, text_of};
use crate::tree::Argument;
use std::collections::{HashMap, HashSet};

/// How many steps are named for one effect.
const MAX_STEPS: usize = 16;
/// How many assignments of one variable are remembered.
const MAX_ASSIGNMENTS: usize = 4;

/// Where a variable got a value.
#[derive(Debug, Clone)]
struct Assignment {
    script: usize,
    span: Span,
    how: &'static str,
    /// The variables in what it was given.
    from: Vec<Key>,
}

/// The assignments seen so far.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    assignments: HashMap<Key, Vec<Assignment>>,
}

impl Origins {
    fn note(&mut self, key: Key, assignment: Assignment) {
        let known = self.assignments.entry(key).or_default();
        let again = known.iter().any(|one| one.script == assignment.script && one.span == assignment.span);
        if !again && known.len() < MAX_ASSIGNMENTS {
            known.push(assignment);
        }
    }
}

/// Match variables share one place: what the last successful test left.
fn match_key() -> Key {
    (0, b"\0match".as_slice().into())
}

impl Run<'_, '_> {
    /// Notes that the command or test at `span` gives the variable a value made of `argument`.
    pub(crate) fn note_origin(
        &mut self,
        key: Key,
        argument: Option<&Argument>,
        place: (usize, usize),
        how: &'static str,
    ) {
        if self.is_rehearsing() {
            return;
        }
        let from = argument.map(|argument| self.variables_in(argument)).unwrap_or_default();
        let script = self.frame().script;
        let span = self.reading().tree.lines.span(place.0, place.1);
        self.origins.note(key, Assignment { script, span, how, from });
    }

    pub(crate) fn note_match(&mut self, argument: Option<&Argument>, place: (usize, usize)) {
        self.note_origin(match_key(), argument, place, "match variables taken from this test");
    }

    fn variables_in(&self, argument: &Argument) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        let reading = self.reading();
        if !self.frame().expansion.variables {
            return keys;
        }
        for token in reading.tree.strings_of(argument) {
            let raw = reading.text(*token);
            if !raw.windows(2).any(|window| window == b"${") {
                continue;
            }
            let text = text_of(raw, self.dialect, self.frame().expansion.encoded_character);
            for piece in pieces(&text, self.dialect) {
                let Piece::Variable(name) = piece else { continue };
                let key =
                    if match_number(name, self.dialect).is_some() { match_key() } else { self.key(name) };
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        keys
    }

    /// The steps that led to the values of these arguments, latest last.
    pub(crate) fn steps(&self, arguments: &[&Argument]) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut seen = HashSet::new();
        let mut wanted: Vec<Key> = Vec::new();
        for argument in arguments {
            self.decoding_steps(argument, &mut steps);
            wanted.extend(self.variables_in(argument));
        }
        while let Some(key) = wanted.pop() {
            if steps.len() >= MAX_STEPS || !seen.insert(key.clone()) {
                continue;
            }
            for assignment in self.origins.assignments.get(&key).into_iter().flatten() {
                let script = &self.world.scripts[assignment.script];
                steps.push(Step {
                    script: script.name.to_owned(),
                    span: assignment.span,
                    what: assignment.how,
                });
                wanted.extend(assignment.from.iter().cloned());
            }
        }
        steps.sort_by(|a, b| (&a.script, a.span).cmp(&(&b.script, b.span)));
        steps.dedup();
        steps.truncate(MAX_STEPS);
        steps
    }

    /// Strings whose bytes are not what they say.
    fn decoding_steps(&self, argument: &Argument, steps: &mut Vec<Step>) {
        let reading = self.reading();
        let script = &self.world.scripts[self.frame().script];
        for token in reading.tree.strings_of(argument).iter().take(MAX_STEPS) {
            let at = reading.tree.tokens[*token as usize];
            let raw = reading.text(*token);
            let what = if self.frame().expansion.encoded_character
                && text_of(raw, self.dialect, true) != text_of(raw, self.dialect, false)
            {
                "encoded characters in this string"
            } else if raw.starts_with(b"\"") && is_needlessly_escaped(raw) {
                "letters behind backslashes in this string"
            } else {
                continue;
            };
            let span = reading.tree.lines.span(at.start, at.end);
            steps.push(Step { script: script.name.to_owned(), span, what });
        }
    }
}

/// A backslash protects quotes and backslashes; before anything else it only hides what is written.
fn is_needlessly_escaped(raw: &[u8]) -> bool {
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'\\' && bytes.next().is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'@') {
            return true;
        }
    }
    false
}
