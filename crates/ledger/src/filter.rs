//! Which entries to show, and the query for them.

use chrono::{DateTime, Utc};

use crate::store::Argument;
use crate::view::ENTRY_COLUMNS;

/// Which entries to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only kinds that begin with this, such as `gate.`.
    pub kind_prefix: Option<String>,
    /// Only this subject; entries whose detail was erased have none.
    pub subject: Option<String>,
    /// Only entries of this case.
    pub case: Option<String>,
    /// Only from this instant on.
    pub since: Option<DateTime<Utc>>,
    /// Only before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Only entries after this one (before it, with `newest_first`).
    pub after: Option<u64>,
    /// At most so many; never more than [`MAX_EVENTS_PER_QUERY`].
    pub limit: Option<u64>,
    /// Latest entries first.
    pub newest_first: bool,
}

/// The most entries that one query returns; ask again with `after` for more.
pub const MAX_EVENTS_PER_QUERY: u64 = 10_000;

/// Conditions with their arguments, numbered as they come.
#[derive(Default)]
struct Conditions {
    texts: Vec<String>,
    arguments: Vec<Argument>,
}

impl Conditions {
    fn add(&mut self, comparison: &str, argument: Option<impl Into<Argument>>) {
        let Some(argument) = argument else { return };
        self.arguments.push(argument.into());
        self.texts.push(format!("{comparison} ${}", self.arguments.len()));
    }
}

impl EventFilter {
    pub(crate) fn query(&self) -> (String, Vec<Argument>) {
        let mut conditions = Conditions::default();
        conditions.add("e.kind >=", self.kind_prefix.clone());
        // Kinds are ASCII, so that no kind with the prefix sorts after the prefix and DEL.
        conditions.add("e.kind <", self.kind_prefix.as_ref().map(|prefix| format!("{prefix}\u{7f}")));
        conditions.add("e.subject =", self.subject.as_deref().map(crate::event::searchable));
        conditions.add("e.case_id =", self.case.clone());
        conditions.add("e.at_us >=", self.since.map(|at| at.timestamp_micros()));
        conditions.add("e.at_us <", self.until.map(|at| at.timestamp_micros()));
        conditions.add(if self.newest_first { "e.leaf_index <" } else { "e.leaf_index >" }, self.after);
        let wanted = match conditions.texts.as_slice() {
            [] => String::new(),
            texts => format!(" WHERE {}", texts.join(" AND ")),
        };
        let direction = if self.newest_first { " DESC" } else { "" };
        let limit = self.limit.unwrap_or(MAX_EVENTS_PER_QUERY).min(MAX_EVENTS_PER_QUERY);
        conditions.arguments.push(limit.into());
        let place = conditions.arguments.len();
        let sql = format!("{ENTRY_COLUMNS}{wanted} ORDER BY e.leaf_index{direction} LIMIT ${place}");
        (sql, conditions.arguments)
    }
}
