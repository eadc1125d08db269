//! Every address of the policy in one table: a million of them in some fifty bytes each, found in about 100
//! ns.
//!
//! The keys stand one after the other in one text; the table holds four bytes for each. Asking allocates
//! nothing.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use mailwarden_address::Address;

/// What an address is in the policy. Positions are those in the policy's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Known {
    record: Position,
    person: Position,
}

/// A position with one bit to tell two kinds apart; nothing is all ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position(u32);

const VENDOR: u32 = 1 << 31;

impl Default for Position {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Position {
    fn of(at: usize) -> Self {
        // More records than 2^31 do not fit into memory; such a one is not indexed.
        Self(u32::try_from(at).ok().filter(|at| *at < VENDOR).unwrap_or(u32::MAX))
    }

    fn plain(self) -> Option<usize> {
        (self.0 & VENDOR == 0).then_some(self.0 as usize)
    }
}

impl Known {
    /// The mailbox that has this address or alias.
    pub(crate) fn mailbox(self) -> Option<usize> {
        self.record.plain()
    }

    /// The vendor that was given this address.
    pub(crate) fn vendor(self) -> Option<usize> {
        (self.record != Position::default()).then(|| Position(self.record.0 ^ VENDOR).plain()).flatten()
    }

    /// The person whose address this is.
    pub(crate) fn person(self) -> Option<usize> {
        self.person.plain()
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where its key ends; it begins where the one before ends.
    end: u32,
    known: Known,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct AddressIndex {
    keys: Vec<u8>,
    entries: Vec<Entry>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl AddressIndex {
    /// What an address is.
    pub(crate) fn get(&self, address: &Address) -> Known {
        address.with_key(|key| {
            let hash = self.hasher.hash_one(key);
            let found = self.table.find(hash, |&at| self.key(at) == key);
            found.map_or(Known::default(), |&at| self.entries[at as usize].known)
        })
    }

    pub(crate) fn add_mailbox(&mut self, address: &Address, at: usize) {
        self.entry(address).record = Position::of(at);
    }

    pub(crate) fn add_vendor(&mut self, address: &Address, at: usize) {
        self.entry(address).record = Position(Position::of(at).0 | VENDOR);
    }

    pub(crate) fn add_person(&mut self, address: &Address, at: usize) {
        self.entry(address).person = Position::of(at);
    }

    /// Gives back the room that growing took.
    pub(crate) fn finish(&mut self) {
        self.keys.shrink_to_fit();
        self.entries.shrink_to_fit();
        let Self { keys, entries, table, hasher } = self;
        table.shrink_to_fit(|&at| hasher.hash_one(key_at(keys, entries, at)));
    }

    /// The bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.capacity() + self.entries.capacity() * size_of::<Entry>() + self.table.allocation_size()
    }

    /// How many addresses it holds.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&mut self, address: &Address) -> &mut Known {
        let at = address.with_key(|key| self.find_or_insert(key));
        &mut self.entries[at].known
    }

    fn find_or_insert(&mut self, key: &[u8]) -> usize {
        let hash = self.hasher.hash_one(key);
        if let Some(&at) = self.table.find(hash, |&at| self.key(at) == key) {
            return at as usize;
        }
        let at = self.entries.len();
        self.keys.extend_from_slice(key);
        // A policy text is bounded far below 4 GiB, and every key stands in it.
        let end = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry { end, known: Known::default() });
        let Self { keys, entries, table, hasher } = self;
        let position = u32::try_from(at).unwrap_or(u32::MAX);
        table.insert_unique(hash, position, |&at| hasher.hash_one(key_at(keys, entries, at)));
        at
    }

    fn key(&self, at: u32) -> &[u8] {
        key_at(&self.keys, &self.entries, at)
    }
}

fn key_at<'k>(keys: &'k [u8], entries: &[Entry], at: u32) -> &'k [u8] {
    let at = at as usize;
    let start = at.checked_sub(1).map_or(0, |before| entries[before].end as usize);
    &keys[start..entries[at].end as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).expect("address")
    }

    #[test]
    fn an_address_is_what_it_was_added_as_in_any_case() {
        let mut index = AddressIndex::default();
        index.add_mailbox(&address("ops@a.example"), 7);
        index.add_person(&address("OPS@a.example"), 3);
        index.add_vendor(&address("shop@s.a.example"), 0);
        index.add_person(&address("jane@a.example"), 0);
        index.finish();
        let known = index.get(&address("Ops@A.example"));
        assert_eq!((known.mailbox(), known.vendor(), known.person()), (Some(7), None, Some(3)));
        let known = index.get(&address("shop@s.a.example"));
        assert_eq!((known.mailbox(), known.vendor(), known.person()), (None, Some(0), None));
        let known = index.get(&address("jane@a.example"));
        assert_eq!((known.mailbox(), known.vendor(), known.person()), (None, None, Some(0)));
        assert_eq!(index.get(&address("jane@b.example")), Known::default());
        assert_eq!(index.len(), 3);
    }

    #[test]
    fn ten_thousand_addresses_are_all_found_and_no_other() {
        let mut index = AddressIndex::default();
        for at in 0..10_000 {
            index.add_vendor(&address(&format!("v{at}@s.example")), at);
        }
        index.finish();
        for at in 0..10_000 {
            assert_eq!(index.get(&address(&format!("V{at}@s.example"))).vendor(), Some(at));
            assert_eq!(index.get(&address(&format!("w{at}@s.example"))), Known::default());
        }
    }
}
