//! The bounded set of addresses that one hostile text can be read as.

use std::collections::HashSet;

use crate::Address;

/// The most readings one header or envelope argument can have.
///
/// An honest From has one; a header with more addresses than this is refused by whoever sees that the set is
/// truncated, so the bound costs no protection.
pub const MAX_READINGS: usize = 256;

/// What one text may cost, in bytes looked at. A stranger chooses the text, so the time that is spent on
/// finding its readings must not depend on how cleverly it nests quotes, comments and encoded words.
const WORK_BUDGET: usize = 4_000_000;

/// So many are compared one by one: nearly every text has one reading, which wants no table.
const FEW: usize = 16;

/// Addresses in the order they were found, each once.
#[derive(Debug)]
pub(crate) struct Readings {
    found: Vec<Address>,
    /// The same, once there are more than [`FEW`].
    seen: HashSet<Address>,
    work_left: usize,
    truncated: bool,
}

impl Readings {
    pub(crate) fn new() -> Self {
        Self { found: Vec::new(), seen: HashSet::new(), work_left: WORK_BUDGET, truncated: false }
    }

    pub(crate) fn add(&mut self, address: Address) {
        if self.contains(&address) {
            return;
        }
        if self.found.len() == MAX_READINGS {
            self.truncated = true;
            return;
        }
        self.found.push(address);
        if self.found.len() > FEW {
            let untold = self.found[self.seen.len()..].iter().cloned();
            self.seen.extend(untold);
        }
    }

    fn contains(&self, address: &Address) -> bool {
        if self.seen.is_empty() { self.found.contains(address) } else { self.seen.contains(address) }
    }

    /// Pays for looking at `bytes`; false when the budget is spent or nothing more can be added.
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        match self.work_left.checked_sub(bytes) {
            Some(left) if !self.truncated => self.work_left = left,
            _ => self.truncated = true,
        }
        !self.truncated
    }

    /// Something was left unread: the set may lack any address.
    pub(crate) fn mark_truncated(&mut self) {
        self.truncated = true;
    }

    pub(crate) fn finish(self) -> (Vec<Address>, bool) {
        (self.found, self.truncated)
    }
}
