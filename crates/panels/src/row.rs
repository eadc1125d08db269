//! From the columns of a row to what is observed.

use mailwarden_evidence::{Fact, PanelMeaning};
use serde_json::Value;

use crate::set::{Pick, Query};

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

/// The facts of a row, and whether it holds more than is kept.
pub(crate) fn facts(panel: &str, query: &Query, row: &Columns) -> (Vec<Fact>, bool) {
    if query.means == PanelMeaning::Filter && query.pick.is_empty() {
        return (script(panel, row), false);
    }
    let fact = |means: PanelMeaning, target: &str, active: bool| Fact::PanelRow {
        panel: panel.to_owned(),
        query: query.id.clone(),
        means,
        owner: cut(&row.owner),
        target: cut(target.trim()),
        label: cut(&row.label),
        active,
        key: cut(if row.row_key.is_empty() { &row.owner } else { &row.row_key }),
    };
    let mut found: Vec<(PanelMeaning, String, bool)> = Vec::new();
    if query.pick.is_empty() {
        let targets: Vec<&str> = if query.list { listed(&row.target) } else { vec![row.target.as_str()] };
        found.extend(targets.into_iter().map(|target| (query.means, target.to_owned(), row.is_active())));
    } else if let Ok(document) = serde_json::from_str::<Value>(&row.target) {
        found.extend(query.pick.iter().flat_map(|pick| picked(pick, &document)));
    }
    let is_cut = found.len() > MAX_TARGETS;
    (
        found.iter().take(MAX_TARGETS).map(|(means, target, active)| fact(*means, target, *active)).collect(),
        is_cut,
    )
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
    vec![Fact::SieveScript {
        name: format!("{panel}: {}", cut(if row.label.is_empty() { &row.row_key } else { &row.label })),
        active: row.is_active(),
        source: row.target.clone().into_bytes(),
        implementation: "Dovecot Pigeonhole".to_owned(),
    }]
}

fn picked(pick: &Pick, document: &Value) -> Vec<(PanelMeaning, String, bool)> {
    let Some(found) = document.pointer(&pick.at) else { return Vec::new() };
    let active = pick.active.as_ref().and_then(|at| document.pointer(at)).is_none_or(|value| match value {
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => is_true(text),
        _ => true,
    });
    let several = match found {
        Value::Array(several) => several.iter().collect(),
        one => vec![one],
    };
    let texts = several.into_iter().filter_map(|value| match (&pick.field, value) {
        (Some(field), Value::Object(object)) => object.get(field).and_then(Value::as_str),
        (_, Value::String(text)) => Some(text.as_str()),
        _ => None,
    });
    texts.filter(|text| !text.trim().is_empty()).map(|text| (pick.means, text.to_owned(), active)).collect()
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
        let (facts, _) = facts("postfixadmin", &query("postfixadmin", "alias"), &row);
        assert_eq!(said(&facts), ["Forward jane@a.test true", "Forward bob@b.test true"]);
    }

    #[test]
    fn a_profile_in_json_gives_what_it_holds() {
        let defaults = r#"{"Forward":{"enabled":1,"forwardAddress":["x@b.test"]},
            "AuxiliaryMailAccounts":[{"serverName":"imap.b.test","password":"secret"}]}"#;
        let (facts, _) = facts("sogo", &query("sogo", "defaults"), &columns("bob", defaults, ""));
        assert_eq!(said(&facts), ["Forward x@b.test true", "External imap.b.test true"]);
        assert!(!format!("{facts:?}").contains("secret"));
        let off = r#"{"Forward":{"enabled":0,"forwardAddress":"x@b.test"}}"#;
        let (facts, _) = super::facts("sogo", &query("sogo", "defaults"), &columns("bob", off, ""));
        assert_eq!(said(&facts), ["Forward x@b.test false"]);
    }

    proptest! {
        #[test]
        fn any_row_is_read_and_bounded(owner in "\\PC{0,30}", target in "(\\PC|,|\n){0,60}", active in "\\PC{0,5}") {
            for set in ["postfixadmin", "sogo", "mailcow"] {
                for query in built_in(set).unwrap().queries {
                    let (facts, _) = facts(set, &query, &columns(&owner, &target, &active));
                    prop_assert!(facts.len() <= MAX_TARGETS);
                }
            }
        }
    }
}
