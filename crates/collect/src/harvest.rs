//! What a collector brings home.

use std::collections::HashSet;

use chrono::Utc;
use mailwarden_evidence::{AclIdentifier, Coverage, CoverageState, Evidence, Fact, Observation};

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

    /// Drops what two collectors saw alike: the earlier one stays.
    pub(crate) fn drop_repetitions(&mut self) {
        let mut known = HashSet::with_capacity(self.observations.len());
        let seen = self.observations.iter();
        let news = seen.map(|seen| known.insert((&seen.mailbox, &seen.surface, Essence::of(&seen.fact))));
        let mut news = news.collect::<Vec<_>>().into_iter();
        self.observations.retain(|_| news.next().unwrap_or(true));
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
        self.observations
            .sort_by_cached_key(|seen| (seen.mailbox.clone(), seen.surface.clone(), order_of(&seen.fact)));
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

/// What makes two facts the same fact, however they were learned: IMAP adds the obsolete rights c and d
/// (RFC 4314 section 2.1.1), and a file does not say which program would read it.
#[derive(PartialEq, Eq, Hash)]
enum Essence<'a> {
    Grant { folder: &'a str, identifier: &'a AclIdentifier, rights: Vec<char> },
    Script { name: &'a str, active: bool, source: &'a [u8] },
    Other(String),
}

impl<'a> Essence<'a> {
    fn of(fact: &'a Fact) -> Self {
        match fact {
            Fact::AclEntry { folder, identifier, rights } => {
                let mut rights: Vec<char> = rights.chars().filter(|right| !"cd".contains(*right)).collect();
                rights.sort_unstable();
                rights.dedup();
                Self::Grant { folder, identifier, rights }
            }
            Fact::SieveScript { name, active, source, .. } => Self::Script { name, active: *active, source },
            other => Self::Other(format!("{other:?}")),
        }
    }
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
        Fact::PanelCells { panel, key, place, .. } => {
            [panel.clone(), place.query.clone(), key.clone(), String::new()]
        }
        Fact::TableText { path, .. } => [path.clone(), String::new(), String::new(), String::new()],
        Fact::Queued { queue, recipient, .. } => {
            [queue.clone(), recipient.clone(), String::new(), String::new()]
        }
        Fact::PanelRow { panel, query, owner, key, .. } => {
            [panel.clone(), query.clone(), owner.clone(), key.clone()]
        }
        Fact::PullJob { program, file, line, mailbox, .. } => {
            [file.clone(), format!("{line:010}"), program.clone(), mailbox.clone()]
        }
        Fact::Parameter { name, value } => [name.clone(), value.clone(), String::new(), String::new()],
        Fact::Dns { question, .. } => [question.to_string(), String::new(), String::new(), String::new()],
        Fact::DnsBefore { .. } => [String::new(), String::new(), String::new(), String::new()],
        Fact::Account { login } => [login.clone(), String::new(), String::new(), String::new()],
        Fact::SharedFolder { folder, rights } => {
            [folder.clone(), rights.clone(), String::new(), String::new()]
        }
        Fact::SieveFile { path, detail, .. } => [path.clone(), detail.clone(), String::new(), String::new()],
        Fact::Setting { name, value } => [name.clone(), value.clone(), String::new(), String::new()],
        Fact::MasterUser { login, database, .. } => {
            [login.clone(), database.clone(), String::new(), String::new()]
        }
        Fact::SaslUser { login, database } => [login.clone(), database.clone(), String::new(), String::new()],
        Fact::Membership { login, groups } => [login.clone(), groups.join(" "), String::new(), String::new()],
        Fact::LoginServices { login, open, .. } => {
            [login.clone(), open.join(" "), String::new(), String::new()]
        }
        Fact::LoginTried { login, service, credential, .. } => {
            [login.clone(), service.clone(), credential.words().to_owned(), String::new()]
        }
        Fact::ClientLogins(seen) => {
            [seen.login.clone(), seen.service.clone(), seen.address.clone(), String::new()]
        }
        Fact::ListMember(seen) => {
            [seen.list.clone(), seen.address.clone(), seen.role.word().to_owned(), String::new()]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_collectors_saw_counts_once() {
        let mut harvest = Harvest::default();
        let place = Place { mailbox: "a", surface: "imap.acl", source: "imap" };
        let grant = |name: &str, rights: &str| Fact::AclEntry {
            folder: "Plans".to_owned(),
            identifier: AclIdentifier::new(name, false),
            rights: rights.to_owned(),
        };
        for fact in [grant("bob", "lrtd"), grant("bob", "trl"), grant("bob", "lr"), grant("eve", "lrt")] {
            harvest.observe(&place, fact, b"", "");
        }
        let script = |implementation: &str| Fact::SieveScript {
            name: "main".to_owned(),
            active: true,
            source: b"keep;".to_vec(),
            implementation: implementation.to_owned(),
        };
        harvest.observe(&place, script("Dovecot Pigeonhole"), b"", "");
        harvest.observe(&place, script("other"), b"", "");
        harvest.drop_repetitions();
        assert_eq!(harvest.observations.len(), 4);
        assert_eq!(harvest.observations[0].fact, grant("bob", "lrtd"), "the first one stays");
    }
}
