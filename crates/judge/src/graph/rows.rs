//! Postfix tables, ready to be asked for an address.

use std::collections::HashMap;

use crate::brief::Brief;
use crate::checks::postfix::entry::{Entry, Use};

/// The rows that move or copy mail.
#[derive(Default)]
pub(super) struct Rows<'a> {
    entries: Vec<Entry<'a>>,
    exact: HashMap<(Table, String), Vec<usize>>,
    patterns: Vec<usize>,
    everything: Vec<usize>,
}

/// Which question a table answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Table {
    Virtual,
    Local,
    CopyTo,
    CopyFrom,
    Rewritten,
}

impl Table {
    /// The step in a path.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Virtual => "virtual alias",
            Self::Local => "local alias",
            Self::CopyTo => "recipient bcc",
            Self::CopyFrom => "sender bcc",
            Self::Rewritten => "canonical",
        }
    }

    pub(super) fn of(entry: &Entry<'_>) -> Self {
        match entry.purpose {
            Use::CopyTo => Self::CopyTo,
            Use::Forward if entry.name == "virtual_alias_maps" => Self::Virtual,
            Use::Forward => Self::Local,
            Use::Rewrite => Self::Rewritten,
            _ => Self::CopyFrom,
        }
    }
}

impl<'a> Rows<'a> {
    pub(super) fn of(brief: &Brief<'a>) -> Self {
        let mut rows = Self::default();
        let entries = brief.observations.iter().filter_map(Entry::of);
        for entry in entries.filter(|entry| entry.purpose.moves_mail()) {
            let at = rows.entries.len();
            match entry.key {
                _ if entry.is_pattern() => rows.patterns.push(at),
                Some(key) if key != "*" => {
                    rows.exact.entry((Table::of(&entry), key.to_lowercase())).or_default().push(at);
                }
                _ => rows.everything.push(at),
            }
            rows.entries.push(entry);
        }
        rows
    }

    pub(super) fn entry(&self, at: usize) -> &Entry<'a> {
        &self.entries[at]
    }

    pub(super) fn patterns(&self) -> &[usize] {
        &self.patterns
    }

    /// Rows that act on all mail.
    pub(super) fn everything(&self) -> &[usize] {
        &self.everything
    }

    /// The rows for the first of some keys that a table holds, and that key's place among them.
    pub(super) fn first(&self, table: Table, keys: &[String]) -> Option<(usize, &[usize])> {
        let rows = |(at, key): (usize, &String)| {
            self.exact.get(&(table, key.clone())).map(|rows| (at, rows.as_slice()))
        };
        keys.iter().enumerate().find_map(rows)
    }

    /// Every exact key of a table.
    pub(super) fn keys(&self, table: Table) -> Vec<String> {
        let mut keys: Vec<String> =
            self.exact.keys().filter(|(of, _)| *of == table).map(|(_, key)| key.clone()).collect();
        keys.sort_unstable();
        keys
    }
}
