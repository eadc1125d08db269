//! Questions about the message whose answer is known on the way to a place, because the same question was
//! asked there: `allof (A, not A)` never holds, and nothing under `if A` is reached where A failed before.
//!
//! Only what surely gets the same answer each time counts: no variables, no clock, no list kept elsewhere, and
//! no more once anything has changed the message.

use crate::arguments::{Bound, Reading};
use crate::effects::EffectKind;
use crate::evaluator::Run;
use crate::lexer::TokenKind;
use crate::outcomes::Outcome;
use crate::tree::{Argument, Test, TestId};
use crate::vocabulary;

/// How many answers are kept in mind.
const MAX_ANSWERS: usize = 256;
/// How many of the latest are looked at for one question.
const MAX_LOOKED_AT: usize = 8;
/// How many tests inside them.
const MAX_TESTS_LOOKED_AT: usize = 16;

/// A question by its place, and its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    script: usize,
    test: TestId,
    holds: bool,
}

/// What a test asks about the size of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sizes {
    Over(u64),
    Under(u64),
}

impl<'w> Run<'w, '_> {
    /// Notes that a test of a script holds, or does not. What follows from that is looked at when it is asked.
    pub(crate) fn learn(&mut self, script: usize, test: TestId, holds: bool) {
        if !self.message_changed && self.answers.len() < MAX_ANSWERS {
            self.answers.push(Answer { script, test, holds });
        }
    }

    /// The answer to a test that was asked before.
    pub(crate) fn known_answer(&self, id: TestId, name: &str, bound: &Bound<'_>) -> Option<Outcome> {
        let asks_message = matches!(name, "header" | "address" | "envelope" | "exists" | "size" | "body");
        if !asks_message || self.answers.is_empty() || self.message_changed {
            return None;
        }
        let reading = self.reading();
        let holds = match sizes(reading, bound).filter(|_| name == "size") {
            Some(sizes) => self.known_size(sizes),
            None => self.asked_before(reading, &reading.tree.tests[id as usize]),
        };
        match holds? {
            // A match would leave its variables once more.
            true if bound.has("matches") || bound.has("regex") => None,
            true => Some(Outcome::True),
            false => Some(Outcome::False),
        }
    }

    fn asked_before(&self, asked: Reading<'_>, test: &Test) -> Option<bool> {
        let mut found = None;
        self.each_answer(&mut |reading, known, holds| {
            if found.is_none() && is_same(reading, known, asked, test) && is_lasting(reading, known) {
                found = Some(holds);
            }
        });
        found
    }

    /// Every test whose answer follows from what was noted, and the answer.
    fn each_answer(&self, visit: &mut dyn FnMut(Reading<'w>, &'w Test, bool)) {
        let mut left = MAX_TESTS_LOOKED_AT;
        for answer in self.answers.iter().rev().take(MAX_LOOKED_AT) {
            within(self.reading_of(answer.script), answer.test, answer.holds, &mut left, visit);
        }
    }

    /// RFC 5228 §5.9: over and under are strict, so a message can be neither.
    fn known_size(&self, asked: Sizes) -> Option<bool> {
        let (mut least, mut most) = (0, u64::MAX);
        self.each_answer(&mut |reading, test, holds| match (size_test(reading, test), holds) {
            (Some(Sizes::Over(size)), true) => least = least.max(size.saturating_add(1)),
            (Some(Sizes::Over(size)), false) => most = most.min(size),
            (Some(Sizes::Under(size)), true) => most = most.min(size.saturating_sub(1)),
            (Some(Sizes::Under(size)), false) => least = least.max(size),
            (None, _) => {}
        });
        match asked {
            Sizes::Over(size) if least > size => Some(true),
            Sizes::Over(size) if most <= size => Some(false),
            Sizes::Under(size) if most < size => Some(true),
            Sizes::Under(size) if least >= size => Some(false),
            _ => None,
        }
    }

    /// What was asked before an action that changes the message says nothing any more.
    pub(crate) fn note_change(&mut self, kind: EffectKind) {
        use EffectKind::{
            Addheader, Convert, Deleteheader, Enclose, Eval, Execute, Filter, Let, Processcalendar,
            Processimip, Replace, Replaceheader, Unknown,
        };
        self.message_changed |= matches!(
            kind,
            Addheader
                | Convert
                | Deleteheader
                | Enclose
                | Eval
                | Execute
                | Filter
                | Let
                | Processcalendar
                | Processimip
                | Replace
                | Replaceheader
                | Unknown
        );
    }
}

/// `not`, and lists of which every test is known to hold or to fail.
fn within<'t>(
    reading: Reading<'t>,
    id: TestId,
    holds: bool,
    left: &mut usize,
    visit: &mut dyn FnMut(Reading<'t>, &'t Test, bool),
) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    let test = &reading.tree.tests[id as usize];
    let Some(name) = test.name.map(|name| reading.text(name)) else { return };
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    if test.first.is_none() {
        visit(reading, test, holds);
    } else if is("not") || is(if holds { "allof" } else { "anyof" }) {
        let holds = holds != is("not");
        reading.tree.test_list(test.first).for_each(|inner| within(reading, inner, holds, left, visit));
    }
}

/// Whether a test gets the same answer whenever it is asked about the same message.
fn is_lasting(reading: Reading<'_>, test: &Test) -> bool {
    let lasting = |argument: &Argument| match argument {
        Argument::Tag(token) => {
            const PARTS: [&[u8]; 2] = [b":mime", b":list"];
            !PARTS.iter().any(|part| part.eq_ignore_ascii_case(reading.text(*token)))
        }
        Argument::Number(_) => true,
        Argument::String(_) | Argument::List { .. } => {
            let plain = |token: &u32| !reading.text(*token).contains(&b'$');
            reading.tree.strings_of(argument).iter().all(plain)
        }
    };
    reading.tree.arguments_of(&test.arguments).iter().all(lasting)
}

/// Whether two tests are the same words.
fn is_same(reading_a: Reading<'_>, a: &Test, reading_b: Reading<'_>, b: &Test) -> bool {
    let length = |test: &Test| test.arguments.end - test.arguments.start;
    length(a) == length(b) && words(reading_a, a).eq_by_words(words(reading_b, b))
}

struct Words<'t> {
    reading: Reading<'t>,
    next: usize,
    end: usize,
}

fn words<'t>(reading: Reading<'t>, test: &Test) -> Words<'t> {
    Words { reading, next: test.name.unwrap_or(0) as usize, end: test.end }
}

impl<'t> Iterator for Words<'t> {
    type Item = (TokenKind, &'t [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let token = self.reading.tree.tokens.get(self.next).filter(|token| token.start < self.end)?;
            self.next += 1;
            if !token.kind.is_trivia() {
                return Some((token.kind, token.bytes(self.reading.script)));
            }
        }
    }
}

impl Words<'_> {
    /// Keywords and tags are the same in any case of letters, strings only as they stand.
    fn eq_by_words(mut self, mut other: Words<'_>) -> bool {
        loop {
            match (self.next(), other.next()) {
                (None, None) => return true,
                (Some((kind_a, a)), Some((kind_b, b))) => {
                    let folded = matches!(kind_a, TokenKind::Identifier | TokenKind::Tag);
                    let same = if folded { a.eq_ignore_ascii_case(b) } else { a == b };
                    if kind_a != kind_b || !same {
                        return false;
                    }
                }
                _ => return false,
            }
        }
    }
}

fn size_test(reading: Reading<'_>, test: &Test) -> Option<Sizes> {
    let signature = vocabulary::test(reading.text(test.name?), true)?;
    if signature.name != "size" {
        return None;
    }
    sizes(reading, &reading.bind(signature, &test.arguments))
}

fn sizes(reading: Reading<'_>, bound: &Bound<'_>) -> Option<Sizes> {
    let Some(Argument::Number(token)) = bound.last() else { return None };
    let size = vocabulary::number(reading.text(*token))?;
    match (bound.has("over"), bound.has("under")) {
        (true, false) => Some(Sizes::Over(size)),
        (false, true) => Some(Sizes::Under(size)),
        _ => None,
    }
}
