//! What a collector brings home.

use chrono::Utc;
use mailwarden_evidence::{Coverage, CoverageState, Evidence, Fact, Observation};

use crate::CollectError;

/// Observations, and how far each surface was seen.
#[derive(Debug, Default)]
pub struct Harvest {
    /// What was seen.
    pub observations: Vec<Observation>,
    /// How far: one row for each mailbox and surface.
    pub coverage: Vec<Coverage>,
    /// What a reader should know although it changes no coverage, e.g. a source text newer than its table.
    pub notes: Vec<String>,
}

impl Harvest {
    /// Adds everything of another harvest.
    pub fn absorb(&mut self, other: Self) {
        self.observations.extend(other.observations);
        self.coverage.extend(other.coverage);
        self.notes.extend(other.notes);
    }

    /// The coverage row of a mailbox and surface.
    pub fn coverage_of(&self, mailbox: &str, surface: &str) -> Option<&Coverage> {
        self.coverage.iter().find(|row| row.mailbox == mailbox && row.surface == surface)
    }

    pub(crate) fn observe(&mut self, place: &Place<'_>, fact: Fact, raw: &[u8], excerpt: &str) {
        self.observations.push(Observation {
            mailbox: place.mailbox.to_owned(),
            surface: place.surface.to_owned(),
            fact,
            evidence: Evidence::of(raw, excerpt, place.source, Utc::now()),
        });
    }

    pub(crate) fn cover(&mut self, place: &Place<'_>, state: CoverageState, reason: impl Into<String>) {
        self.coverage.push(Coverage {
            mailbox: place.mailbox.to_owned(),
            surface: place.surface.to_owned(),
            state,
            reason: reason.into(),
            source: place.source.to_owned(),
        });
    }

    /// The same failure on several surfaces of one mailbox.
    pub(crate) fn failed(mailbox: &str, surfaces: &[&str], source: &str, error: &CollectError) -> Self {
        let mut harvest = Self::default();
        for surface in surfaces {
            harvest.cover(&Place { mailbox, surface, source }, error.coverage_state(), error.to_string());
        }
        harvest
    }

    /// A fixed order, so that two runs over the same servers print the same.
    pub(crate) fn sort(&mut self) {
        self.observations.sort_by_cached_key(|seen| {
            (seen.mailbox.clone(), seen.surface.clone(), format!("{:?}", order_of(&seen.fact)))
        });
        self.coverage.sort();
        self.notes.sort();
    }
}

/// Where something is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) mailbox: &'a str,
    pub(crate) surface: &'a str,
    pub(crate) source: &'a str,
}

/// What distinguishes facts of one surface, without their bulk.
fn order_of(fact: &Fact) -> [String; 4] {
    match fact {
        Fact::SieveScript { name, .. } => [name.clone(), String::new(), String::new(), String::new()],
        Fact::AclEntry { folder, identifier, rights } => {
            [folder.clone(), identifier.name.clone(), identifier.negative.to_string(), rights.clone()]
        }
        Fact::Metadata { folder, entry, value } => {
            [folder.clone(), entry.clone(), value.clone(), String::new()]
        }
        Fact::MapEntry { parameter, table, key, line, .. } => {
            let line = format!("{:010}", line.unwrap_or(0));
            [parameter.clone(), table.clone(), line, key.clone()]
        }
        Fact::Parameter { name, value } => [name.clone(), value.clone(), String::new(), String::new()],
        Fact::Account { login } => [login.clone(), String::new(), String::new(), String::new()],
        Fact::SharedFolder { folder, rights } => {
            [folder.clone(), rights.clone(), String::new(), String::new()]
        }
        Fact::SieveFile { path, detail, .. } => [path.clone(), detail.clone(), String::new(), String::new()],
        Fact::Setting { name, value } => [name.clone(), value.clone(), String::new(), String::new()],
        Fact::MasterUser { login, database, .. } => {
            [login.clone(), database.clone(), String::new(), String::new()]
        }
        Fact::LockedAccount { login, how } => [login.clone(), how.clone(), String::new(), String::new()],
        Fact::SharedHome { home, logins } => [home.clone(), logins.join(" "), String::new(), String::new()],
        Fact::Session { login, service, addresses, .. } => {
            [login.clone(), service.clone(), addresses.join(" "), String::new()]
        }
    }
}

/// Joins names for a reason; a list longer than a reader wants is cut and counted.
pub(crate) fn named(names: &[String]) -> String {
    const MOST: usize = 20;
    let head = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MOST) {
        Some(more) if more > 0 => format!("{head} and {more} more"),
        _ => head,
    }
}
