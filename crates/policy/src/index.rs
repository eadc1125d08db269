//! Every address of the policy in one table: a million of them in some forty-five bytes each, found in about
//! 100 ns.
//!
//! Local parts stand one after the other in one text, each domain stands once; the table holds four bytes for
//! each address. Asking allocates nothing.

use std::collections::HashMap;
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
    /// Where its local part ends; it begins where the one before ends.
    end: u32,
    domain: u32,
    known: Known,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct AddressIndex {
    addresses: Addresses,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Where each domain stands; needed only until everything is added.
    domain_numbers: HashMap<Box<[u8]>, u32>,
}

/// The addresses in the order they came.
#[derive(Debug, Default)]
struct Addresses {
    locals: Vec<u8>,
    domains: Vec<Box<[u8]>>,
    entries: Vec<Entry>,
}

impl Addresses {
    /// The two parts of a key.
    fn parts(&self, at: u32) -> (&[u8], &[u8]) {
        let at = at as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.entries[before].end as usize);
        let Entry { end, domain, .. } = self.entries[at];
        (&self.locals[start..end as usize], &self.domains[domain as usize])
    }

    fn is(&self, at: u32, key: &[u8]) -> bool {
        let (local, domain) = self.parts(at);
        let domain_of = || key.strip_prefix(local)?.strip_prefix(b"@");
        domain_of() == Some(domain)
    }

    fn key(&self, at: u32) -> Vec<u8> {
        let (local, domain) = self.parts(at);
        [local, b"@", domain].concat()
    }
}

impl AddressIndex {
    /// What an address is.
    pub(crate) fn get(&self, address: &Address) -> Known {
        address.with_key(|key| {
            let found = self.table.find(self.hasher.hash_one(key), |&at| self.addresses.is(at, key));
            found.map_or(Known::default(), |&at| self.addresses.entries[at as usize].known)
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
        let Self { addresses, table, hasher, domain_numbers } = self;
        *domain_numbers = HashMap::new();
        addresses.locals.shrink_to_fit();
        addresses.domains.shrink_to_fit();
        addresses.entries.shrink_to_fit();
        table.shrink_to_fit(|&at| hasher.hash_one(addresses.key(at).as_slice()));
    }

    /// The bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        let Addresses { locals, domains, entries } = &self.addresses;
        let names: usize = domains.iter().map(|name| name.len()).sum();
        locals.capacity()
            + names
            + domains.capacity() * size_of::<Box<[u8]>>()
            + entries.capacity() * size_of::<Entry>()
            + self.table.allocation_size()
    }

    /// How many addresses it holds.
    pub(crate) fn len(&self) -> usize {
        self.addresses.entries.len()
    }

    fn entry(&mut self, address: &Address) -> &mut Known {
        let at = address.with_key(|key| self.find_or_insert(key, address.domain().as_str().as_bytes()));
        &mut self.addresses.entries[at].known
    }

    fn find_or_insert(&mut self, key: &[u8], domain: &[u8]) -> usize {
        let hash = self.hasher.hash_one(key);
        if let Some(&at) = self.table.find(hash, |&at| self.addresses.is(at, key)) {
            return at as usize;
        }
        let at = self.addresses.entries.len();
        let domain_number = self.domain_number(domain);
        let Self { addresses, table, hasher, .. } = self;
        addresses.locals.extend_from_slice(&key[..key.len() - domain.len() - 1]);
        // A policy text is bounded far below 4 GiB, and every address stands in it.
        let end = u32::try_from(addresses.locals.len()).unwrap_or(u32::MAX);
        addresses.entries.push(Entry { end, domain: domain_number, known: Known::default() });
        let position = u32::try_from(at).unwrap_or(u32::MAX);
        table.insert_unique(hash, position, |&at| hasher.hash_one(addresses.key(at).as_slice()));
        at
    }

    fn domain_number(&mut self, domain: &[u8]) -> u32 {
        if let Some(&number) = self.domain_numbers.get(domain) {
            return number;
        }
        let number = u32::try_from(self.addresses.domains.len()).unwrap_or(u32::MAX);
        self.addresses.domains.push(domain.into());
        self.domain_numbers.insert(domain.into(), number);
        number
    }
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
    fn an_address_costs_no_more_than_forty_eight_bytes() {
        // As many as fill their table least: a table that is full costs five bytes less for each.
        let (addresses, most) = (114_689, 48);
        let mut index = AddressIndex::default();
        for at in 0..addresses {
            index.add_vendor(
                &address(&format!("vendor-{at:06x}-{:03}@saas.client{:03}.example", at % 997, at % 991)),
                at,
            );
        }
        index.finish();
        assert_eq!(index.len(), addresses);
        let each = index.bytes() as f64 / addresses as f64;
        assert!(each <= f64::from(most), "{each} bytes an address");
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
