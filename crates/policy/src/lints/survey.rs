//! The policy beside the text it was written in, so that a lint can judge the one and point at the other.

use chrono::{DateTime, TimeDelta, Utc};
use mailwarden_address::{Address, Domain};

use super::Note;
use crate::diagnostic::Source;
use crate::model::{DomainRecord, Mailbox, Person, Vendor};
use crate::policy::Policy;
use crate::raw::{RawDomain, RawFile, RawMailbox, RawPerson, RawVendor};

/// A review is due every quarter.
const REVIEW_EVERY: TimeDelta = TimeDelta::days(92);

pub(super) struct Survey<'s> {
    pub(super) policy: &'s Policy,
    pub(super) now: DateTime<Utc>,
    /// In the order of the clients of the policy.
    pub(super) files: Vec<RawFile>,
}

impl<'s> Survey<'s> {
    /// A policy that compiled reads back without a mistake; a file that does not is left out.
    pub(super) fn new(policy: &'s Policy, sources: &[Source], now: DateTime<Utc>) -> Self {
        let read = |source: &Source| toml::from_str(source.utf8().ok()?).ok();
        Self { policy, now, files: sources.iter().filter_map(read).collect() }
    }

    pub(super) fn accepts(&self, lint: &str, note: &Note) -> bool {
        self.policy.accepted_lints.iter().any(|accepted| {
            accepted.lint == lint && accepted.subject == note.subject && accepted.expires > self.now
        })
    }

    /// Each mailbox as written and as meant, with the number of its file.
    pub(super) fn mailboxes(&self) -> impl Iterator<Item = (usize, &RawMailbox, &Mailbox)> {
        self.records(|file| file.mailbox.as_slice(), &self.policy.mailboxes)
    }

    pub(super) fn domains(&self) -> impl Iterator<Item = (usize, &RawDomain, &DomainRecord)> {
        self.records(|file| file.domain.as_slice(), &self.policy.domains)
    }

    pub(super) fn vendors(&self) -> impl Iterator<Item = (usize, &RawVendor, &Vendor)> {
        let written = self
            .files
            .iter()
            .enumerate()
            .flat_map(|(at, file)| file.vendor.iter().map(move |raw| (at, raw.get_ref())));
        written.zip(&self.policy.vendors).map(|((at, raw), vendor)| (at, raw, vendor))
    }

    pub(super) fn people(&self) -> impl Iterator<Item = (usize, &RawPerson, &Person)> {
        let written = self
            .files
            .iter()
            .enumerate()
            .flat_map(|(at, file)| file.person.iter().map(move |raw| (at, raw.get_ref())));
        written.zip(&self.policy.people).map(|((at, raw), person)| (at, raw, person))
    }

    /// Records stand in the policy in the order they are written in.
    fn records<'a, R: 'a, M: 'a>(
        &'a self,
        of: impl Fn(&'a RawFile) -> &'a [R] + 'a,
        meant: &'a [M],
    ) -> impl Iterator<Item = (usize, &'a R, &'a M)> {
        let written = self.files.iter().enumerate().flat_map(move |(at, file)| {
            let records = of(file);
            records.iter().map(move |raw| (at, raw))
        });
        written.zip(meant).map(|((at, raw), record)| (at, raw, record))
    }

    /// Whether the person behind an address has left.
    pub(super) fn has_left(&self, address: &Address) -> bool {
        self.policy.person(address).is_some_and(|person| person.has_left(self.now))
    }

    pub(super) fn is_stale(&self, reviewed: DateTime<Utc>) -> bool {
        reviewed + REVIEW_EVERY < self.now
    }

    /// Whether no name above this one is in the policy.
    pub(super) fn is_bare(&self, domain: &Domain) -> bool {
        domain.parent().is_none_or(|above| !self.policy.is_under_ours(&above))
    }
}
