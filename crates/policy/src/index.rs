//! Every address of the policy in one table: a million of them in some forty-five bytes each, found in about
//! 100 ns.
//!
//! Local parts stand one after the other in one text, each domain stands once; the table holds four bytes for
//! each place. Asking allocates nothing, and waits for memory three times: for the place in the table, the entry it
//! leads to, and the local part there. The hash is keyed anew in every process, because strangers choose what is
//! asked for.

use std::hash::{BuildHasher as _, Hasher as _};

use hashbrown::{DefaultHashBuilder, HashMap};
use mailwarden_address::{Address, Domain};

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
    places: Places,
    domains: HashMap<Domain, u32>,
    hasher: DefaultHashBuilder,
}

/// The addresses in the order they came.
#[derive(Debug, Default)]
struct Addresses {
    locals: Vec<u8>,
    entries: Vec<Entry>,
}

impl Addresses {
    /// The local part and the number of the domain.
    fn parts(&self, at: usize) -> (&[u8], u32) {
        let start = at.checked_sub(1).map_or(0, |before| self.entries[before].end as usize);
        let Entry { end, domain, .. } = self.entries[at];
        (&self.locals[start..end as usize], domain)
    }
}

/// Where addresses are, by their hash: a place holds the address's number and, in the bits that the number leaves
/// free, the beginning of its hash, so that other addresses are seldom looked at. What finds its place taken stands
/// in the next free one.
#[derive(Debug)]
struct Places {
    /// As many as a power of two; 0 is free.
    places: Vec<u32>,
    taken: usize,
}

impl Default for Places {
    fn default() -> Self {
        Self { places: vec![0; 16], taken: 0 }
    }
}

impl Places {
    /// The bits of a place that hold a number: there are more places than addresses.
    fn mask(&self) -> usize {
        self.places.len() - 1
    }

    fn tag(&self, hash: u64) -> u32 {
        ((hash >> 32) as u32) & !(self.mask() as u32)
    }

    fn find(&self, hash: u64, is: impl Fn(usize) -> bool) -> Option<usize> {
        let (mask, tag) = (self.mask(), self.tag(hash));
        let mut at = hash as usize & mask;
        loop {
            let place = self.places[at];
            if place == 0 {
                return None;
            }
            let number = (place as usize & mask) - 1;
            if place & !(mask as u32) == tag && is(number) {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
    }

    /// At most three of four places are taken.
    fn is_full(&self) -> bool {
        (self.taken + 1) * 4 > self.places.len() * 3
    }

    fn insert(&mut self, hash: u64, number: usize) {
        let (mask, tag) = (self.mask(), self.tag(hash));
        let mut at = hash as usize & mask;
        while self.places[at] != 0 {
            at = (at + 1) & mask;
        }
        self.places[at] = tag | (number + 1) as u32;
        self.taken += 1;
    }
}

impl AddressIndex {
    /// What an address is.
    pub(crate) fn get(&self, address: &Address) -> Known {
        self.number(address).map_or(Known::default(), |at| self.addresses.entries[at].known)
    }

    /// Which address it is, counted in the order they were added.
    pub(crate) fn number(&self, address: &Address) -> Option<usize> {
        let &domain = self.domains.get(address.domain())?;
        address.with_folded_local(|local| self.find(self.hash(local, domain), local, domain))
    }

    /// Adds an address, unless it is there already; its number.
    pub(crate) fn add(&mut self, address: &Address) -> usize {
        let domain = self.domain_number(address.domain());
        address.with_folded_local(|local| self.find_or_insert(local, domain))
    }

    pub(crate) fn set_mailbox(&mut self, number: usize, at: usize) {
        self.addresses.entries[number].known.record = Position::of(at);
    }

    pub(crate) fn set_vendor(&mut self, number: usize, at: usize) {
        self.addresses.entries[number].known.record = Position(Position::of(at).0 | VENDOR);
    }

    pub(crate) fn set_person(&mut self, number: usize, at: usize) {
        self.addresses.entries[number].known.person = Position::of(at);
    }

    /// Gives back the room that growing took.
    pub(crate) fn finish(&mut self) {
        self.addresses.locals.shrink_to_fit();
        self.addresses.entries.shrink_to_fit();
        self.domains.shrink_to_fit();
    }

    /// The bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        let names: usize = self.domains.keys().map(|name| name.as_str().len()).sum();
        self.addresses.locals.capacity()
            + self.addresses.entries.capacity() * size_of::<Entry>()
            + self.places.places.capacity() * size_of::<u32>()
            + self.domains.allocation_size()
            + names
    }

    /// How many addresses it holds.
    pub(crate) fn len(&self) -> usize {
        self.addresses.entries.len()
    }

    fn hash(&self, local: &[u8], domain: u32) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(domain);
        hasher.write(local);
        hasher.finish()
    }

    fn find(&self, hash: u64, local: &[u8], domain: u32) -> Option<usize> {
        self.places.find(hash, |at| self.addresses.parts(at) == (local, domain))
    }

    fn find_or_insert(&mut self, local: &[u8], domain: u32) -> usize {
        let hash = self.hash(local, domain);
        if let Some(at) = self.find(hash, local, domain) {
            return at;
        }
        if self.places.is_full() {
            self.grow();
        }
        let at = self.addresses.entries.len();
        self.addresses.locals.extend_from_slice(local);
        // A policy text is bounded far below 4 GiB, and every address stands in it.
        let end = u32::try_from(self.addresses.locals.len()).unwrap_or(u32::MAX);
        self.addresses.entries.push(Entry { end, domain, known: Known::default() });
        self.places.insert(hash, at);
        at
    }

    fn grow(&mut self) {
        let mut larger = Places { places: vec![0; self.places.places.len() * 2], taken: 0 };
        for at in 0..self.len() {
            let (local, domain) = self.addresses.parts(at);
            larger.insert(self.hash(local, domain), at);
        }
        self.places = larger;
    }

    fn domain_number(&mut self, domain: &Domain) -> u32 {
        if let Some(&number) = self.domains.get(domain) {
            return number;
        }
        let number = u32::try_from(self.domains.len()).unwrap_or(u32::MAX);
        self.domains.insert(domain.clone(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).expect("address")
    }

    #[test]
    fn an_address_is_what_it_was_added_as_in_any_case() {
        let mut index = AddressIndex::default();
        let (ops, shop) = (index.add(&address("ops@a.example")), index.add(&address("shop@s.a.example")));
        let jane = index.add(&address("jane@a.example"));
        assert_eq!(index.add(&address("OPS@a.example")), ops);
        index.set_mailbox(ops, 7);
        index.set_person(ops, 3);
        index.set_vendor(shop, 0);
        index.set_person(jane, 0);
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
        let (addresses, most) = (98_305, 48);
        let mut index = AddressIndex::default();
        for at in 0..addresses {
            index.add(&address(&format!(
                "vendor-{at:06x}-{:03}@saas.client{:03}.example",
                at % 997,
                at % 991
            )));
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
            let number = index.add(&address(&format!("v{at}@s.example")));
            index.set_vendor(number, at);
        }
        index.finish();
        for at in 0..10_000 {
            assert_eq!(index.get(&address(&format!("V{at}@s.example"))).vendor(), Some(at));
            assert_eq!(index.get(&address(&format!("w{at}@s.example"))), Known::default());
        }
    }

    proptest! {
        #[test]
        fn the_table_answers_as_a_map_does(
            added in prop::collection::vec("[a-dA-D]{1,3}@[a-c]\\.example", 0..200),
            asked in prop::collection::vec("[a-dA-D]{1,3}@[a-d]\\.example", 0..200),
        ) {
            let mut index = AddressIndex::default();
            let mut map = std::collections::HashMap::new();
            for text in &added {
                let next = map.len();
                let number = *map.entry(address(text).key()).or_insert(next);
                prop_assert_eq!(index.add(&address(text)), number);
            }
            index.finish();
            for text in asked.iter().chain(&added) {
                prop_assert_eq!(index.number(&address(text)), map.get(&address(text).key()).copied());
            }
        }
    }
}
