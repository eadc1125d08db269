//! What kind of thing a test asks about, so that conditions can be compared without reading them.

use crate::arguments::Reading;
use crate::effects::{ConditionClass, TimeWindow};
use crate::strings::text_of;
use crate::tree::{Argument, TestId};
use crate::vocabulary;

/// Header fields that name who sent a message.
const SENDER_FIELDS: [&str; 8] = [
    "from",
    "sender",
    "reply-to",
    "return-path",
    "resent-from",
    "resent-sender",
    "x-sender",
    "x-original-from",
];
/// Header fields that name who gets it.
const RECIPIENT_FIELDS: [&str; 9] = [
    "to",
    "cc",
    "bcc",
    "resent-to",
    "resent-cc",
    "resent-bcc",
    "delivered-to",
    "x-original-to",
    "apparently-to",
];

/// A set of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Classes(u8);

impl Classes {
    pub(crate) const TIME: Self = Self(1 << ConditionClass::Time as u8);

    fn one(class: ConditionClass) -> Self {
        Self(1 << class as u8)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn list(self) -> Vec<ConditionClass> {
        ConditionClass::ALL.iter().copied().filter(|class| self.0 & (1 << *class as u8) != 0).collect()
    }
}

/// How many tests inside one another are looked through.
const MAX_DEPTH: usize = 40;

pub(crate) fn classes_of(reading: Reading<'_>, test: TestId) -> Classes {
    within(reading, test, 0)
}

fn within(reading: Reading<'_>, id: TestId, depth: usize) -> Classes {
    let test = &reading.tree.tests[id as usize];
    if test.first.is_some() && depth < MAX_DEPTH {
        let inner = reading.tree.test_list(test.first).map(|inner| within(reading, inner, depth + 1));
        return inner.fold(Classes::default(), Classes::or);
    }
    let known = test.name.and_then(|name| vocabulary::test(reading.text(name), true));
    let Some(signature) = known else { return Classes::one(ConditionClass::Other) };
    match signature.name {
        "true" | "false" | "allof" | "anyof" | "not" => Classes::default(),
        "header" | "address" | "exists" => by_field(reading, id, ConditionClass::Keyword),
        "envelope" => by_field(reading, id, ConditionClass::Sender),
        "body" | "string" => Classes::one(ConditionClass::Keyword),
        "size" => Classes::one(ConditionClass::Size),
        "date" | "currentdate" => Classes::one(ConditionClass::Time),
        _ => Classes::one(ConditionClass::Environment),
    }
}

/// The field names are the first positional argument that is a string or a list.
fn by_field(reading: Reading<'_>, id: TestId, otherwise: ConditionClass) -> Classes {
    let mut classes = Classes::default();
    for name in first_strings(reading, id) {
        let any = |fields: &[&str]| fields.iter().any(|field| field.as_bytes().eq_ignore_ascii_case(&name));
        classes = classes.or(Classes::one(if any(&SENDER_FIELDS) {
            ConditionClass::Sender
        } else if any(&RECIPIENT_FIELDS) {
            ConditionClass::Recipient
        } else {
            otherwise
        }));
    }
    classes
}

fn first_strings(reading: Reading<'_>, id: TestId) -> Vec<Vec<u8>> {
    let test = &reading.tree.tests[id as usize];
    let Some(signature) = test.name.and_then(|name| vocabulary::test(reading.text(name), true)) else {
        return Vec::new();
    };
    let bound = reading.bind(signature, &test.arguments);
    bound.at(0).map(|argument| texts(reading, argument)).unwrap_or_default()
}

fn texts(reading: Reading<'_>, argument: &Argument) -> Vec<Vec<u8>> {
    let tokens = reading.tree.strings_of(argument);
    tokens.iter().map(|token| text_of(reading.text(*token), reading.dialect, false).into_owned()).collect()
}

/// RFC 5260 §5: `currentdate :value "ge" "date" "2030-01-01"` sleeps until then. Only whole days and years
/// are read, and only where one test says so alone.
pub(crate) fn window_of(reading: Reading<'_>, id: TestId, negated: bool) -> TimeWindow {
    let nothing = TimeWindow::default();
    let test = &reading.tree.tests[id as usize];
    let known = test.name.and_then(|name| vocabulary::test(reading.text(name), true));
    let Some(signature) = known.filter(|signature| signature.name == "currentdate") else { return nothing };
    let bound = reading.bind(signature, &test.arguments);
    let one = |argument: Option<&Argument>| -> Option<String> {
        let mut all = argument.map(|argument| texts(reading, argument))?;
        (all.len() == 1).then(|| String::from_utf8_lossy(&all.remove(0)).into_owned())
    };
    let (Some(part), Some(day)) = (one(bound.at(0)), one(bound.at(1))) else { return nothing };
    if !matches!(part.as_str(), "date" | "year" | "iso8601") || day.contains('$') {
        return nothing;
    }
    let relation = one(bound.value("value")).unwrap_or_else(|| "eq".to_owned());
    let (not_before, not_after) = match (relation.as_str(), negated) {
        ("ge" | "gt", false) | ("lt" | "le", true) => (Some(day), None),
        ("le" | "lt", false) | ("gt" | "ge", true) => (None, Some(day)),
        ("eq", false) if bound.has("value") || bound.has("is") => (Some(day.clone()), Some(day)),
        _ => (None, None),
    };
    TimeWindow { not_before, not_after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, parser::parse};

    fn look(test: &str) -> (Vec<&'static str>, TimeWindow) {
        let script = format!("if {test} {{}}");
        let tree = parse(script.as_bytes(), Dialect::Pigeonhole);
        let reading = Reading { script: script.as_bytes(), tree: &tree, dialect: Dialect::Pigeonhole };
        let classes = classes_of(reading, 0).list().iter().map(|class| class.name()).collect();
        (classes, window_of(reading, 0, false))
    }

    #[test]
    fn tests_are_put_into_classes() {
        let rows: [(&str, &[&str]); 8] = [
            (r#"header :is "From" "a@x""#, &["sender"]),
            (r#"address ["to", "subject"] "x""#, &["recipient", "keyword"]),
            (r#"envelope "to" "x""#, &["recipient"]),
            (r#"anyof (body :contains "pay", size :over 1M)"#, &["keyword", "size"]),
            (r#"not currentdate "year" "2030""#, &["time"]),
            (r#"environment "name" "x""#, &["environment"]),
            ("frob", &["other"]),
            ("true", &[]),
        ];
        for (test, classes) in rows {
            assert_eq!(look(test).0, classes, "{test}");
        }
    }

    #[test]
    fn a_window_opens_and_closes() {
        let (_, window) = look(r#"currentdate :value "ge" "date" "2030-01-01""#);
        assert_eq!(window.not_before.as_deref(), Some("2030-01-01"));
        let (_, window) = look(r#"currentdate :value "lt" "year" "2030""#);
        assert_eq!(window.not_after.as_deref(), Some("2030"));
        assert_eq!(look(r#"currentdate :value "ge" "hour" "10""#).1, TimeWindow::default());
    }
}
