//! What tests are known to yield.

use crate::Dialect;
use crate::arguments::Bound;
use crate::constant::Fixed;
use crate::evaluator::Run;
use crate::matching::{Comparator, MatchType, matches, wildcard_count};
use crate::regular::is_match;
use crate::relation::{compare, holds};
use crate::store::MatchState;
use crate::tree::{Argument, TestId};
use crate::value::Value;
use crate::vocabulary::{self, pigeonhole_enables, pigeonhole_knows};
use std::rc::Rc;

/// How many regular expressions one analysis compiles.
const MAX_EXPRESSIONS: usize = 128;

/// The result of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    True,
    False,
    /// It depends on the message; with the match variables it leaves when it holds, if it sets them.
    Maybe(Option<MatchState>),
}

impl Outcome {
    fn inverted(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Maybe(_) => Self::Maybe(None),
        }
    }
}

impl Run<'_, '_> {
    /// Runs a test. Its effects, match variables included, are those of all messages together.
    pub(crate) fn outcome(&mut self, id: TestId) -> Outcome {
        let reading = self.reading();
        let test = &reading.tree.tests[id as usize];
        let Some(name) = test.name else { return self.bare_list(test.first.unwrap_or(id)) };
        let Some(signature) = vocabulary::test(reading.text(name), self.dialect.folds_keywords()) else {
            self.unknown(test.start, test.end);
            return Outcome::Maybe(None);
        };
        let bound = reading.bind(signature, &test.arguments);
        if bound.has("matches") || bound.has("regex") {
            let last = bound.at(bound.positional.len().saturating_sub(2));
            self.note_match(last, (test.start, test.end));
        }
        if let Some(known) = self.known_before(id) {
            return known;
        }
        if let Some(answer) = self.known_answer(id, signature.name, &bound) {
            return answer;
        }
        match signature.name {
            "true" => Outcome::True,
            "false" => Outcome::False,
            "not" => test.first.map_or(Outcome::Maybe(None), |first| self.outcome(first).inverted()),
            "anyof" if test.first.is_some() => self.any_of(test.first),
            "allof" if test.first.is_some() => self.all_of(test.first),
            "ihave" => self.has_capabilities(&bound),
            "string" => self.compare_strings(&bound),
            "hasflag" => self.has_flag(&bound),
            "environment" => {
                let decided = self.event_environment(&bound);
                decided.unwrap_or_else(|| self.message_test(signature.name, &bound))
            }
            "size" => self.size(&bound),
            "execute" | "filter" => self.program_test(id, signature, &bound),
            name => {
                self.fail_at_test(name, &bound, id);
                self.message_test(name, &bound)
            }
        }
    }

    /// A test the engine decides when it compiles is never run; what is inside is named as dead.
    fn known_before(&mut self, id: TestId) -> Option<Outcome> {
        let known = match self.fixed(id) {
            Fixed::True => Outcome::True,
            Fixed::False => Outcome::False,
            Fixed::Open => return None,
        };
        let inner: Vec<TestId> = {
            let tree = self.reading().tree;
            tree.test_list(tree.tests[id as usize].first).collect()
        };
        self.as_dead(|run| inner.into_iter().for_each(|inner| drop(run.outcome(inner))));
        Some(known)
    }

    /// RFC 5228 §5.9: no message is smaller than nothing.
    fn size(&self, bound: &Bound<'_>) -> Outcome {
        let zero = bound.last().is_some_and(|argument| match argument {
            Argument::Number(token) => {
                self.reading().text(*token).iter().all(|digit| !(b'1'..=b'9').contains(digit))
            }
            _ => false,
        });
        if zero && bound.has("under") { Outcome::False } else { Outcome::Maybe(None) }
    }

    /// Tests in parentheses without a name: only Stalwart compiles them, and what they mean there is
    /// not known.
    pub(crate) fn bare_list(&mut self, first: TestId) -> Outcome {
        let tests: Vec<TestId> = self.reading().tree.test_list(Some(first)).collect();
        match tests.as_slice() {
            [only] if self.reading().tree.tests[*only as usize].name.is_some() => self.outcome(*only),
            _ => Outcome::Maybe(None),
        }
    }

    /// RFC 5228 §5.3: left to right, until one holds.
    fn any_of(&mut self, first: Option<TestId>) -> Outcome {
        self.until(first, &Outcome::True)
    }

    /// RFC 5228 §5.2: left to right, until one fails.
    fn all_of(&mut self, first: Option<TestId>) -> Outcome {
        self.until(first, &Outcome::False)
    }

    fn until(&mut self, first: Option<TestId>, end: &Outcome) -> Outcome {
        let (conditional, doubts) = (self.conditional, self.doubts);
        let tests: Vec<TestId> = self.reading().tree.test_list(first).collect();
        let mut undecided = false;
        let mut matched = None;
        let mut ended = false;
        let answers = self.answers.len();
        for id in &tests {
            let before = self.state.matches.clone();
            let outcome = self.outcome(*id);
            if outcome == Outcome::True && self.state.matches != before {
                matched = Some(self.state.matches.clone());
            }
            // Behind an undecided test this one may not have run.
            if undecided {
                self.state.matches = before.or(&self.state.matches);
            }
            match outcome {
                Outcome::Maybe(matches) => {
                    // The next one is asked only where this one did not decide.
                    self.learn(self.frame().script, *id, *end == Outcome::False);
                    undecided = true;
                    matched = matches.or(matched);
                    self.conditional = conditional + 1;
                    self.doubts = doubts + 1;
                }
                outcome if outcome == *end => {
                    ended = true;
                    break;
                }
                _ => {}
            }
        }
        (self.conditional, self.doubts) = (conditional, doubts);
        self.answers.truncate(answers);
        // With `anyof`, whichever test held may have set the match variables.
        let sure = *end == Outcome::False || tests.len() == 1;
        match (ended, undecided) {
            (true, false) => end.clone(),
            (true, true) if *end == Outcome::True => Outcome::True,
            (true, true) => Outcome::False,
            (false, true) => Outcome::Maybe(matched.filter(|_| sure)),
            (false, false) => end.clone().inverted(),
        }
    }

    /// RFC 5463 §4: what is there may be used from here on.
    fn has_capabilities(&mut self, bound: &Bound<'_>) -> Outcome {
        let Some(argument) = bound.last() else { return Outcome::Maybe(None) };
        let names = self.names(argument);
        let all_known = names.len() == self.reading().tree.strings_of(argument).len();
        let mut outcome = if all_known { Outcome::True } else { Outcome::Maybe(None) };
        for name in names {
            let one = capability(&name, self.dialect);
            if one != Outcome::False {
                self.enable(&name);
            }
            outcome = match (outcome, one) {
                (Outcome::False, _) | (_, Outcome::False) => Outcome::False,
                (Outcome::True, Outcome::True) => Outcome::True,
                _ => Outcome::Maybe(None),
            };
        }
        outcome
    }

    /// RFC 5229 §5: decided when everything in it is constant.
    fn compare_strings(&mut self, bound: &Bound<'_>) -> Outcome {
        let (Some(sources), Some(keys)) = (bound.at(0), bound.at(1)) else { return Outcome::Maybe(None) };
        let (values, keys) = (self.members(sources), self.members(keys));
        if let Some(holds) = self.related(&values, &keys, bound) {
            return if holds { Outcome::True } else { Outcome::False };
        }
        let decided = self.decide(&values, &keys, bound, self.string_comparator());
        match decided {
            Some(Some(captured)) => {
                match match_type(bound) {
                    MatchType::Matches => self.state.matches = MatchState::Known(Rc::from(captured)),
                    // Of several matches engines take different ones.
                    MatchType::Regex => self.state.matches = MatchState::UNSURE,
                    _ => {}
                }
                Outcome::True
            }
            Some(None) => Outcome::False,
            None => self.undecided_match(bound, &keys, values.iter().any(Value::sender_controlled)),
        }
    }

    /// None when undecided, else the captures of the first pair that matches.
    pub(crate) fn decide(
        &self,
        values: &[Value],
        keys: &[Value],
        bound: &Bound<'_>,
        usual: Comparator,
    ) -> Option<Option<Vec<Vec<u8>>>> {
        let (kind, comparator) = (match_type(bound), self.comparator(bound, usual));
        for value in values {
            for key in keys {
                let (value, key) = (value.as_constant()?, key.as_constant()?);
                if !self.affords(cost(value, key, kind)) {
                    return None;
                }
                let found = match kind {
                    _ if self.is_empty_value(value, kind) => key.is_empty().then(Vec::new),
                    MatchType::Regex => self.expression_matches(value, key, comparator)?.then(Vec::new),
                    _ => matches(value, key, kind, comparator)?,
                };
                if found.is_some() {
                    return Some(found);
                }
            }
        }
        Some(None)
    }

    /// RFC 5228 extended by draft-ietf-sieve-regex, for so many expressions as may be compiled.
    fn expression_matches(&self, value: &[u8], key: &[u8], comparator: Comparator) -> Option<bool> {
        if self.expressions.replace(self.expressions.get() + 1) >= MAX_EXPRESSIONS {
            return None;
        }
        match comparator {
            Comparator::Octet => is_match(value, key, false),
            Comparator::AsciiCasemap => is_match(value, key, true),
            Comparator::Unsure => {
                let folded = is_match(value, key, true);
                folded.filter(|folded| is_match(value, key, false) == Some(*folded))
            }
            Comparator::AsciiNumeric | Comparator::Other => None,
        }
    }

    /// Pigeonhole asks no comparator whether nothing is a key (measured).
    fn is_empty_value(&self, value: &[u8], kind: MatchType) -> bool {
        self.dialect == Dialect::Pigeonhole && kind == MatchType::Is && value.is_empty()
    }

    /// RFC 5231, where everything in it is constant.
    fn related(&self, values: &[Value], keys: &[Value], bound: &Bound<'_>) -> Option<bool> {
        let counts = bound.value("count");
        let relation = self.argument(counts.or(bound.value("value"))?);
        let (relation, comparator) =
            (relation.as_constant()?, self.comparator(bound, self.string_comparator()));
        let constant = |values: &[Value]| -> Option<Vec<Vec<u8>>> {
            values.iter().map(|value| value.as_constant().map(<[u8]>::to_vec)).collect()
        };
        let (mut values, keys) = (constant(values)?, constant(keys)?);
        if counts.is_some() {
            // RFC 5229 §5: the empty string counts for nothing.
            values = vec![values.iter().filter(|value| !value.is_empty()).count().to_string().into_bytes()];
        }
        let mut any = false;
        for value in &values {
            for key in &keys {
                if !self.affords(1 + value.len().min(key.len())) {
                    return None;
                }
                any |= holds(relation, compare(value, key, comparator)?)?;
            }
        }
        Some(any)
    }

    /// RFC 5229 §5 wants i;ascii-casemap; Pigeonhole's `string` test uses i;octet (measured).
    fn string_comparator(&self) -> Comparator {
        if self.dialect == Dialect::Pigeonhole { Comparator::Octet } else { Comparator::Unsure }
    }

    /// The one that is named, else the usual one.
    fn comparator(&self, bound: &Bound<'_>, usual: Comparator) -> Comparator {
        let Some(argument) = bound.value("comparator") else { return usual };
        match self.argument(argument).as_constant() {
            Some(b"i;ascii-casemap") => Comparator::AsciiCasemap,
            Some(b"i;octet") => Comparator::Octet,
            Some(b"i;ascii-numeric") => Comparator::AsciiNumeric,
            _ => Comparator::Other,
        }
    }

    /// A test whose result only a message decides.
    fn message_test(&mut self, name: &str, bound: &Bound<'_>) -> Outcome {
        let keys = bound.last().map(|argument| self.members(argument)).unwrap_or_default();
        let of_server = matches!(
            name,
            "environment"
                | "currentdate"
                | "metadata"
                | "servermetadata"
                | "spamtest"
                | "virustest"
                | "hasflag"
        );
        self.undecided_match(bound, &keys, !of_server)
    }

    /// Match variables change only when the test holds, so behind it they are the old or the new ones.
    pub(crate) fn undecided_match(
        &mut self,
        bound: &Bound<'_>,
        keys: &[Value],
        sender_controlled: bool,
    ) -> Outcome {
        let count = match match_type(bound) {
            MatchType::Matches => keys.iter().map(wildcards).max().unwrap_or(0),
            MatchType::Regex => usize::MAX,
            _ => return Outcome::Maybe(None),
        };
        let whole = count != usize::MAX && keys.iter().all(keeps_characters_whole);
        let new = MatchState::Opaque { count, sender_controlled, whole };
        self.state.matches = self.state.matches.or(&new);
        Outcome::Maybe(Some(new))
    }

    fn program_test(
        &mut self,
        id: TestId,
        signature: &'static vocabulary::Signature,
        bound: &Bound<'_>,
    ) -> Outcome {
        let test = &self.reading().tree.tests[id as usize];
        self.act(signature, bound, (test.start, test.end), true);
        Outcome::Maybe(None)
    }
}

/// How many bytes a comparison may look at.
pub(crate) fn cost(value: &[u8], key: &[u8], kind: MatchType) -> usize {
    match kind {
        MatchType::Is => 1 + value.len().min(key.len()),
        _ => 1 + value.len().saturating_mul(key.len()),
    }
}

/// A `?` takes one byte (measured); `*` takes what lies between characters if those around it are whole.
fn keeps_characters_whole(key: &Value) -> bool {
    key.verdict(|key| !key.contains(&b'?') && std::str::from_utf8(key).is_ok()) == Some(true)
}

fn wildcards(key: &Value) -> usize {
    key.as_constant().map_or(usize::MAX, wildcard_count)
}

fn capability(name: &[u8], dialect: Dialect) -> Outcome {
    match dialect {
        Dialect::Pigeonhole if pigeonhole_enables(name) => Outcome::True,
        Dialect::Pigeonhole if pigeonhole_knows(name) => Outcome::Maybe(None),
        Dialect::Pigeonhole => Outcome::False,
        Dialect::Cyrus | Dialect::Stalwart => Outcome::Maybe(None),
    }
}

pub(crate) fn match_type(bound: &Bound<'_>) -> MatchType {
    const TYPES: [(&str, MatchType); 7] = [
        ("is", MatchType::Is),
        ("contains", MatchType::Contains),
        ("matches", MatchType::Matches),
        ("regex", MatchType::Regex),
        ("count", MatchType::Other),
        ("value", MatchType::Other),
        ("list", MatchType::Other),
    ];
    TYPES.iter().find(|(tag, _)| bound.has(tag)).map_or(MatchType::Is, |(_, kind)| *kind)
}
