//! From the columns of a row to what is observed.

use mailwarden_evidence::{Fact, PanelMeaning};
use serde_json::Value;

use crate::set::{Form, Pick, Query};
use crate::{Engine, by_hand, sogo};

/// Most targets of one row.
const MAX_TARGETS: usize = 1_000;
/// Longest value kept, in characters. A Sieve script is kept whole, as far as it was read.
const MAX_VALUE: usize = 1_000;

/// The columns of a row that count, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) owner: String,
    pub(crate) target: String,
    pub(crate) label: String,
    pub(crate) active: Option<String>,
    pub(crate) row_key: String,
}

impl Columns {
    /// Takes one column by its name; others are passed over.
    pub(crate) fn take(&mut self, name: &str, value: String) {
        match name.to_ascii_lowercase().as_str() {
            "owner" => self.owner = value,
            "target" => self.target = value,
            "label" => self.label = value,
            "active" => self.active = Some(value),
            "row_key" => self.row_key = value,
            _ => {}
        }
    }

    fn is_active(&self) -> bool {
        self.active.as_deref().is_none_or(is_true)
    }
}

/// Databases and panels spell it in many ways.
fn is_true(text: &str) -> bool {
    !["", "0", "f", "false", "n", "no", "off", "inactive"]
        .contains(&text.trim().to_ascii_lowercase().as_str())
}

/// The facts of a row, and whether it holds more than is kept; with the engine and the prefix that statements for its
/// database are written for.
pub(crate) fn facts(
    panel: &str,
    query: &Query,
    row: &Columns,
    database: (Engine, &str),
) -> (Vec<Fact>, bool) {
    if query.means == PanelMeaning::Filter && query.pick.is_empty() {
        return match query.form {
            None => (script(panel, row), false),
            Some(Form::Sogo) => sogo_rules(panel, row),
        };
    }
    let fact = |found: &Found| Fact::PanelRow {
        panel: panel.to_owned(),
        query: query.id.clone(),
        means: found.means,
        owner: cut(&row.owner),
        target: cut(found.target.trim()),
        label: cut(&found.label),
        active: found.active,
        key: cut(if row.row_key.is_empty() { &row.owner } else { &row.row_key }),
        by_hand: (query.by_hand.as_deref())
            .and_then(|template| by_hand::statement(template, database, row, &found.target))
            .unwrap_or_default(),
    };
    let mut found: Vec<Found> = Vec::new();
    if query.pick.is_empty() {
        let targets: Vec<&str> = if query.list { listed(&row.target) } else { vec![row.target.as_str()] };
        let one = |target: &str| Found {
            means: query.means,
            target: target.to_owned(),
            active: row.is_active(),
            label: row.label.clone(),
        };
        found.extend(targets.into_iter().map(one));
    } else {
        // A profile that is no JSON is not known to hold nothing.
        let Ok(document) = serde_json::from_str::<Value>(&row.target) else { return (Vec::new(), true) };
        found.extend(query.pick.iter().flat_map(|pick| picked(pick, &document)));
        if query.list {
            found = found.iter().flat_map(Found::each).collect();
        }
    }
    let is_cut = found.len() > MAX_TARGETS;
    (found.iter().take(MAX_TARGETS).map(fact).collect(), is_cut)
}

/// What a row gives to whom.
struct Found {
    means: PanelMeaning,
    target: String,
    active: bool,
    label: String,
}

impl Found {
    /// One for each address of a list.
    fn each(&self) -> Vec<Self> {
        let one = |target: &str| Self { target: target.to_owned(), label: self.label.clone(), ..*self };
        listed(&self.target).into_iter().map(one).collect()
    }
}

/// A list as PostfixAdmin and its relatives write it.
fn listed(text: &str) -> Vec<&str> {
    text.split([',', ' ', '\n', '\r', '\t']).filter(|target| !target.is_empty()).collect()
}

/// A stored Sieve script is one, wherever it is stored.
fn script(panel: &str, row: &Columns) -> Vec<Fact> {
    if row.target.trim().is_empty() {
        return Vec::new();
    }
    let name = if row.label.is_empty() { &row.row_key } else { &row.label };
    vec![stored(panel, name, row.is_active(), &row.target)]
}

fn stored(panel: &str, name: &str, active: bool, source: &str) -> Fact {
    Fact::SieveScript {
        name: format!("{panel}: {}", cut(name)),
        active,
        source: source.as_bytes().to_vec(),
        implementation: "Dovecot Pigeonhole".to_owned(),
    }
}

/// A profile that is no JSON, or holds a rule that is not understood, is not known to hold nothing.
fn sogo_rules(panel: &str, row: &Columns) -> (Vec<Fact>, bool) {
    let Ok(profile) = serde_json::from_str::<Value>(&row.target) else { return (Vec::new(), true) };
    let rules = sogo::rules(&profile);
    let scripts = [("rules", true, &rules.active), ("rules that are switched off", false, &rules.off)];
    let scripts = scripts.into_iter().filter(|(_, _, source)| !source.is_empty());
    (scripts.map(|(name, active, source)| stored(panel, name, active, source)).collect(), rules.is_partial)
}

fn picked(pick: &Pick, document: &Value) -> Vec<Found> {
    let places = places(document, &pick.at);
    let of = |(value, elements): (&Value, Vec<String>)| {
        let there = |at: &Option<String>| document.pointer(&filled(at.as_ref()?, &elements));
        let active = there(&pick.active).is_none_or(holds);
        let label = there(&pick.label).and_then(Value::as_str).unwrap_or_default().to_owned();
        let found = |target| Found { means: pick.means, target, active, label: label.clone() };
        let texts = elements_of(value).into_iter().filter_map(|value| text(pick, value));
        texts.map(found).collect::<Vec<_>>()
    };
    places.into_iter().flat_map(of).collect()
}

/// Whether a switch of a profile is on.
pub(crate) fn holds(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => is_true(text),
        Value::Null => false,
        _ => true,
    }
}

fn elements_of(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(several) => several.iter().collect(),
        one => vec![one],
    }
}

/// The text of an element, where it is one of those that are asked for.
fn text(pick: &Pick, value: &Value) -> Option<String> {
    let found = match (&pick.field, value) {
        (Some(field), Value::Object(object)) => {
            let is =
                |(name, word): (&String, &String)| object.get(name).and_then(Value::as_str) == Some(word);
            pick.only.iter().all(is).then(|| object.get(field).and_then(Value::as_str)).flatten()
        }
        (_, Value::String(text)) => Some(text.as_str()),
        _ => None,
    };
    found.filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

/// Every value at a place, and the element that each `*` of the place stands for there.
fn places<'v>(document: &'v Value, at: &str) -> Vec<(&'v Value, Vec<String>)> {
    let mut found = vec![(document, Vec::new())];
    for part in at.split('/').skip(1) {
        found = found.into_iter().flat_map(|(value, elements)| below(value, elements, part)).collect();
        found.truncate(MAX_TARGETS + 1);
    }
    found
}

fn below<'v>(value: &'v Value, elements: Vec<String>, part: &str) -> Vec<(&'v Value, Vec<String>)> {
    let and = |element: String| elements.iter().cloned().chain([element]).collect::<Vec<_>>();
    match value {
        Value::Array(several) if part == "*" => {
            several.iter().enumerate().map(|(at, value)| (value, and(at.to_string()))).collect()
        }
        Value::Object(several) if part == "*" => {
            several.iter().map(|(name, value)| (value, and(escaped(name)))).collect()
        }
        _ => value.pointer(&format!("/{part}")).map(|value| (value, elements)).into_iter().collect(),
    }
}

/// A name as a part of a pointer (RFC 6901 §3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A place with each `*` replaced by its element; one that has more of them than there are elements is nowhere.
fn filled(at: &str, elements: &[String]) -> String {
    let mut elements = elements.iter();
    let part = |part| if part == "*" { elements.next().map_or("*", String::as_str) } else { part };
    at.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_VALUE).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::set::built_in;

    fn columns(owner: &str, target: &str, active: &str) -> Columns {
        let mut row = Columns::default();
        for (name, value) in [("OWNER", owner), ("target", target), ("active", active), ("other", "x")] {
            row.take(name, value.to_owned());
        }
        row
    }

    fn query(set: &str, id: &str) -> Query {
        built_in(set).unwrap().queries.into_iter().find(|query| query.id == id).unwrap()
    }

    fn observed(panel: &str, query: &Query, row: &Columns) -> (Vec<Fact>, bool) {
        facts(panel, query, row, (Engine::MySql, ""))
    }

    fn said(facts: &[Fact]) -> Vec<String> {
        let one = |fact: &Fact| match fact {
            Fact::PanelRow { means, target, active, .. } => format!("{means:?} {target} {active}"),
            other => format!("{other:?}"),
        };
        facts.iter().map(one).collect()
    }

    #[test]
    fn lists_are_several_targets() {
        let row = columns("sales@a.test", "jane@a.test,\r\n bob@b.test", "1");
        let (facts, _) = observed("postfixadmin", &query("postfixadmin", "alias"), &row);
        assert_eq!(said(&facts), ["Forward jane@a.test true", "Forward bob@b.test true"]);
    }

    #[test]
    fn a_profile_in_json_gives_what_it_holds() {
        let defaults = r#"{"Forward":{"enabled":1,"forwardAddress":["x@b.test"]},
            "AuxiliaryMailAccounts":[{"serverName":"imap.b.test","password":"secret"}]}"#;
        let (facts, _) = observed("sogo", &query("sogo", "defaults"), &columns("bob", defaults, ""));
        assert_eq!(said(&facts), ["Forward x@b.test true", "External imap.b.test true"]);
        assert!(!format!("{facts:?}").contains("secret"));
        let rules = r#"{"SOGoSieveFilters":[
            {"name":"a/b","active":1,"actions":[{"method":"fileinto","argument":"x"},{"method":"redirect","argument":"r@b.test"}]},
            {"name":"off","active":0,"actions":[{"method":"notify","argument":"n@b.test"}]}],
            "Vacation":{"enabled":true,"autoReplyEmailAddresses":"bob@a.test, v@b.test"}}"#;
        let (facts, cut) = observed("sogo", &query("sogo", "defaults"), &columns("bob", rules, ""));
        assert!(!cut);
        assert_eq!(
            said(&facts),
            [
                "Forward r@b.test true",
                "Push n@b.test false",
                "Answer bob@a.test true",
                "Answer v@b.test true"
            ]
        );
        assert!(matches!(&facts[1], Fact::PanelRow { label, .. } if label == "off"));
        assert!(observed("sogo", &query("sogo", "defaults"), &columns("bob", "{ a = b; }", "")).1);
        let off = r#"{"Forward":{"enabled":0,"forwardAddress":"x@b.test"}}"#;
        let (facts, _) = observed("sogo", &query("sogo", "defaults"), &columns("bob", off, ""));
        assert_eq!(said(&facts), ["Forward x@b.test false"]);
    }

    proptest! {
        #[test]
        fn any_row_is_read_and_bounded(owner in "\\PC{0,30}", target in "(\\PC|,|\n){0,60}", active in "\\PC{0,5}") {
            for set in ["postfixadmin", "sogo", "mailcow"] {
                for query in built_in(set).unwrap().queries {
                    let (facts, _) = observed(set, &query, &columns(&owner, &target, &active));
                    prop_assert!(facts.len() <= MAX_TARGETS);
                }
            }
        }
    }
}
