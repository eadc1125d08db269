//! One look at an instance: what is brought home, how each surface fares, and how much more may be taken.

use std::collections::BTreeSet;

use mailwarden_evidence::{CoverageState, Fact, SYSTEM};

use super::config::Config;
use super::{PostfixPlan, SURFACES};
use crate::harvest::{Place, named};
use crate::{CollectError, Harvest};

/// Everything that readers share.
pub(super) struct Look<'p> {
    pub(super) plan: &'p PostfixPlan,
    pub(super) config: Config,
    pub(super) harvest: Harvest,
    states: Vec<SurfaceState>,
    /// Rows that may still be taken, over all tables.
    pub(super) left: usize,
    /// Lists that aliases include, each read once.
    pub(super) included: BTreeSet<String>,
    source: String,
}

/// How one surface fares while its parameters are read.
struct SurfaceState {
    surface: &'static str,
    gaps: Vec<String>,
    failure: Option<String>,
    denied: bool,
    unsupported: Option<String>,
}

/// One row of a table, ready to be written down.
pub(super) struct Row<'a> {
    pub(super) surface: &'a str,
    pub(super) parameter: &'a str,
    pub(super) table: &'a str,
    pub(super) key: &'a str,
    pub(super) result: &'a str,
    pub(super) line: Option<u32>,
    pub(super) pending: bool,
    /// What the digest is over.
    pub(super) raw: &'a [u8],
    pub(super) note: &'a str,
}

impl<'p> Look<'p> {
    pub(super) fn new(plan: &'p PostfixPlan, config: Config) -> Self {
        let state = |surface: &&'static str| SurfaceState {
            surface,
            gaps: Vec::new(),
            failure: None,
            denied: false,
            unsupported: None,
        };
        Self {
            plan,
            config,
            harvest: Harvest::default(),
            states: SURFACES.iter().map(state).collect(),
            left: plan.most_entries,
            included: BTreeSet::new(),
            source: plan.source(),
        }
    }

    fn state(&mut self, surface: &str) -> &mut SurfaceState {
        let at = self.states.iter().position(|state| state.surface == surface).unwrap_or_default();
        &mut self.states[at]
    }

    /// Something on a surface was not seen.
    pub(super) fn gap(&mut self, surface: &str, what: impl Into<String>) {
        self.state(surface).gaps.push(what.into());
    }

    pub(super) fn failed(&mut self, surface: &str, why: &CollectError) {
        let state = self.state(surface);
        state.denied = why.coverage_state() == CoverageState::Denied;
        state.failure.get_or_insert_with(|| why.to_string());
    }

    /// The surface cannot have anything on it, or not in an export.
    pub(super) fn unsupported(&mut self, surface: &str, why: &str) {
        self.state(surface).unsupported = Some(why.to_owned());
    }

    pub(super) fn note(&mut self, note: String) {
        self.harvest.notes.push(note);
    }

    pub(super) fn observe(&mut self, surface: &str, fact: Fact, raw: &[u8], excerpt: &str) {
        let place = Place { mailbox: SYSTEM, surface, source: &self.source };
        self.harvest.observe(&place, fact, raw, excerpt);
    }

    pub(super) fn row(&mut self, row: &Row<'_>) {
        self.left = self.left.saturating_sub(1);
        let excerpt = format!("{}: {} -> {}{}", row.table, row.key, row.result, row.note);
        let fact = Fact::MapEntry {
            parameter: row.parameter.to_owned(),
            table: row.table.to_owned(),
            key: row.key.to_owned(),
            result: row.result.to_owned(),
            line: row.line,
            pending: row.pending,
        };
        self.observe(row.surface, fact, row.raw, &excerpt);
    }

    /// What was brought home, with one coverage row for each surface.
    pub(super) fn finish(mut self) -> Harvest {
        for state in std::mem::take(&mut self.states) {
            let place = Place { mailbox: SYSTEM, surface: state.surface, source: &self.source };
            let (seen, reason) = state.verdict();
            self.harvest.cover(&place, seen, reason);
        }
        self.harvest
    }
}

impl SurfaceState {
    fn verdict(self) -> (CoverageState, String) {
        match (self.failure, self.unsupported) {
            (Some(failure), _) if self.denied => (CoverageState::Denied, failure),
            (Some(failure), _) => (CoverageState::Error, failure),
            (None, _) if !self.gaps.is_empty() => {
                (CoverageState::Partial, format!("not or not wholly read: {}", named(&self.gaps)))
            }
            (None, Some(why)) => (CoverageState::Unsupported, why),
            (None, None) => (CoverageState::Collected, String::new()),
        }
    }
}
