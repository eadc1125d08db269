//! The variables of a run, and a journal that lets branches be tried and joined at the price of what
//! they change.

use crate::value::Value;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// The scope of global variables (RFC 6609 §3.4).
pub(crate) const GLOBAL: u32 = 0;

/// A variable: the scope it lives in and its name in lower case.
pub(crate) type Key = (u32, Rc<[u8]>);

/// What a branch changed; mostly little.
pub(crate) type Changes = BTreeMap<Key, Value>;

/// What a variable is after something unknown ran.
const FORGOTTEN: Value = Value::Unbounded { sender_controlled: true };

#[derive(Debug, Default)]
pub(crate) struct Store {
    values: HashMap<Key, Value>,
    journal: Vec<(Key, Option<Value>)>,
    /// How many global and how many other variables are not forgotten.
    known: [usize; 2],
}

fn is_local(key: &Key) -> usize {
    usize::from(key.0 != GLOBAL)
}

impl Store {
    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.values.get(key)
    }

    pub(crate) fn set(&mut self, key: Key, value: Value) {
        let before = self.put(key.clone(), Some(value));
        self.journal.push((key, before));
    }

    /// Exchanges a value and keeps count.
    fn put(&mut self, key: Key, value: Option<Value>) -> Option<Value> {
        let place = is_local(&key);
        let known = |value: &Option<Value>| usize::from(value.as_ref().is_some_and(|one| *one != FORGOTTEN));
        self.known[place] += known(&value);
        let before = match value {
            Some(value) => self.values.insert(key, value),
            None => self.values.remove(&key),
        };
        self.known[place] -= known(&before);
        before
    }

    /// Where a branch begins.
    pub(crate) fn mark(&self) -> usize {
        self.journal.len()
    }

    /// Takes back everything since the mark and returns it.
    pub(crate) fn take_back(&mut self, mark: usize) -> Changes {
        let mut changes = Changes::new();
        for (key, before) in self.journal.split_off(mark).into_iter().rev() {
            if let Some(now) = self.put(key.clone(), before) {
                changes.entry(key).or_insert(now);
            }
        }
        changes
    }

    /// Gives every variable that one of the branches changed all the values it may have afterwards;
    /// `unset` is what a variable without a value stands for.
    pub(crate) fn join(&mut self, branches: &[Changes], unset: impl Fn(&Key) -> Value) {
        let changed: Vec<Key> = branches.iter().flat_map(|changes| changes.keys().cloned()).collect();
        for key in changed {
            let base = self.get(&key).cloned().unwrap_or_else(|| unset(&key));
            let values = branches.iter().map(|changes| changes.get(&key).unwrap_or(&base));
            let joined = values.cloned().reduce(|all, value| all.or(&value));
            if let Some(joined) = joined {
                self.set(key, joined);
            }
        }
    }

    /// Forgets every variable of a scope, or of all; tells how many were looked at.
    pub(crate) fn forget(&mut self, scope: Option<u32>) -> usize {
        let known = if scope == Some(GLOBAL) { self.known[0] } else { self.known[0] + self.known[1] };
        if known == 0 {
            return 0;
        }
        let concerned =
            |(key, value): &(&Key, &Value)| scope.is_none_or(|scope| key.0 == scope) && **value != FORGOTTEN;
        let keys: Vec<Key> = self.values.iter().filter(concerned).map(|(key, _)| key.clone()).collect();
        keys.into_iter().for_each(|key| self.set(key, FORGOTTEN));
        self.values.len()
    }
}

/// The match variables `${0}`, `${1}`, ...
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MatchState {
    /// No test has matched.
    Empty,
    /// A test on constants has matched.
    Known(Rc<[Vec<u8>]>),
    /// What they hold comes from a message or is not known; those above `count` are empty.
    /// `whole` says that each is whole characters.
    Opaque { count: usize, sender_controlled: bool, whole: bool },
}

impl MatchState {
    pub(crate) const ANYTHING: Self =
        Self::Opaque { count: usize::MAX, sender_controlled: true, whole: false };

    /// What a test left that is sure to have matched.
    pub(crate) const UNSURE: Self =
        Self::Opaque { count: usize::MAX, sender_controlled: false, whole: false };

    fn extent(&self) -> (usize, bool, bool) {
        match self {
            Self::Empty => (0, false, true),
            Self::Known(values) => {
                let whole = values.iter().all(|value| std::str::from_utf8(value).is_ok());
                (values.len().saturating_sub(1), false, whole)
            }
            Self::Opaque { count, sender_controlled, whole } => (*count, *sender_controlled, *whole),
        }
    }

    pub(crate) fn or(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        let ((count_a, sender_a, whole_a), (count_b, sender_b, whole_b)) = (self.extent(), other.extent());
        Self::Opaque {
            count: count_a.max(count_b),
            sender_controlled: sender_a || sender_b,
            whole: whole_a && whole_b,
        }
    }

    pub(crate) fn value(&self, number: usize) -> Value {
        match self {
            Self::Empty => Value::constant(b""),
            Self::Known(values) => Value::constant(values.get(number).map_or(b"".as_slice(), Vec::as_slice)),
            Self::Opaque { count, .. } if number > *count => Value::constant(b""),
            Self::Opaque { sender_controlled, whole, .. } => {
                Value::text_source(&number.to_string(), *sender_controlled, *whole)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_taken_back_and_joined() {
        let mut store = Store::default();
        let key: Key = (1, b"a".as_slice().into());
        store.set(key.clone(), Value::constant(b"x"));
        let mark = store.mark();
        store.set(key.clone(), Value::constant(b"y"));
        store.set(key.clone(), Value::constant(b"z"));
        let changes = store.take_back(mark);
        assert_eq!(store.get(&key).unwrap().as_constant(), Some(b"x".as_slice()));
        store.join(&[changes, Changes::new()], |_| Value::constant(b""));
        assert_eq!(store.get(&key).unwrap().constants(), Some(vec![b"z".as_slice(), b"x"]));
    }
}
