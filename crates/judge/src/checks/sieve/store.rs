//! The scripts that can reach one another.

use std::collections::BTreeMap;

use mailwarden_evidence::{Fact, Observation};
use sieve_analysis::{Dialect, LineIndex};

use crate::brief::Brief;
use crate::checks::metadata::StoreTrigger;

/// Most bytes of a line shown before and after what a finding is about.
const MAX_BESIDE: usize = 200;

/// The scripts of one mailbox on one surface, ordered by name.
pub(crate) struct Store<'a> {
    pub(crate) mailbox: &'a str,
    pub(crate) surface: &'a str,
    /// The engines that may run them: one, or all where the server does not say which it is.
    pub(crate) dialects: Vec<Dialect>,
    pub(crate) scripts: Vec<StoredScript<'a>>,
}

/// One script.
pub(crate) struct StoredScript<'a> {
    pub(crate) name: &'a str,
    /// Whether it runs at delivery.
    pub(crate) active: bool,
    /// Folders whose annotation makes it run when mail is stored; the empty name stands for all.
    pub(crate) folders: Vec<&'a str>,
    pub(crate) source: &'a [u8],
    pub(crate) seen: &'a Observation,
}

impl StoredScript<'_> {
    /// Whether anything makes it run.
    pub(crate) fn runs(&self) -> bool {
        self.active || !self.folders.is_empty()
    }

    /// The lines that hold a range of bytes, as evidence; of endless lines only what is near the range.
    pub(crate) fn lines(&self, start: usize, end: usize) -> String {
        let length = self.source.len();
        let start = start.min(length);
        let end = end.clamp(start, length);
        let (before, after) = (start.saturating_sub(MAX_BESIDE), (end + MAX_BESIDE).min(length));
        let line_start = self.source[before..start].iter().rposition(|byte| *byte == b'\n');
        let line_end = self.source[end..after].iter().position(|byte| *byte == b'\n');
        let from = line_start.map_or(before, |at| before + at + 1);
        let to = line_end.map_or(after, |at| end + at);
        String::from_utf8_lossy(&self.source[from..to]).trim().to_owned()
    }

    /// The exact bytes of a range.
    pub(crate) fn bytes(&self, start: usize, end: usize) -> &[u8] {
        self.source.get(start..end).unwrap_or_default()
    }

    pub(crate) fn last_line(&self) -> usize {
        LineIndex::new(self.source).position(self.source.len()).0
    }
}

/// All stores, each with its scripts in an order that does not depend on how they were listed.
pub(crate) fn stores<'a>(brief: &Brief<'a>, triggers: &[StoreTrigger<'a>]) -> Vec<Store<'a>> {
    let mut stores: BTreeMap<(String, &str, &str), Store<'a>> = BTreeMap::new();
    for seen in brief.observations {
        let Fact::SieveScript { name, active, source, implementation } = &seen.fact else { continue };
        let key = (seen.mailbox.to_lowercase(), seen.surface.as_str(), implementation.as_str());
        let store = stores.entry(key).or_insert_with(|| Store {
            mailbox: &seen.mailbox,
            surface: &seen.surface,
            dialects: dialects(implementation),
            scripts: Vec::new(),
        });
        let folders = folders_of(triggers, &seen.mailbox, name);
        store.scripts.push(StoredScript { name, active: *active, folders, source, seen });
    }
    for store in stores.values_mut() {
        store.scripts.sort_by(|a, b| (a.name, a.source).cmp(&(b.name, b.source)));
    }
    stores.into_values().collect()
}

fn folders_of<'a>(triggers: &[StoreTrigger<'a>], mailbox: &str, script: &str) -> Vec<&'a str> {
    let mine = triggers
        .iter()
        .filter(|trigger| trigger.script == script && trigger.seen.mailbox.eq_ignore_ascii_case(mailbox));
    let mut folders: Vec<&str> = mine.map(|trigger| trigger.folder).collect();
    folders.sort_unstable();
    folders
}

/// RFC 5804 §1.7: IMPLEMENTATION names the server. Where it names none that is known, every reading counts.
fn dialects(implementation: &str) -> Vec<Dialect> {
    let name = implementation.to_lowercase();
    let known =
        [("pigeonhole", Dialect::Pigeonhole), ("cyrus", Dialect::Cyrus), ("stalwart", Dialect::Stalwart)];
    match known.iter().find(|(server, _)| name.contains(server)) {
        Some((_, dialect)) => vec![*dialect],
        None => Dialect::ALL.to_vec(),
    }
}
