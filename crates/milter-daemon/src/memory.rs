//! What earlier mail taught the gate: the vendor register, and the new local parts of this hour.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use mailwarden_address::{Address, Domain};
use mailwarden_gate::{Lesson, Memory, Remembered};
use mailwarden_ledger::{Heard, VendorRecord, VendorRegister};

const SECONDS_PER_HOUR: i64 = 3600;

/// The gate's memory. Shared by all sessions.
#[derive(Debug)]
pub(crate) struct GateMemory {
    register: VendorRegister,
    newcomers: Mutex<HashMap<String, Hour>>,
}

/// The new local parts of one scope in one hour. A limit in the policy bounds how many.
#[derive(Debug, Default)]
struct Hour {
    number: i64,
    addresses: HashSet<Address>,
    is_flood: bool,
}

impl GateMemory {
    pub(crate) fn new(register: VendorRegister) -> Self {
        Self { register, newcomers: Mutex::default() }
    }

    pub(crate) fn register(&self) -> &VendorRegister {
        &self.register
    }

    /// Remembers what a decision taught.
    pub(crate) fn learn(&self, lessons: &[Lesson], now: DateTime<Utc>) {
        for lesson in lessons {
            match lesson {
                Lesson::NewLocalPart { scope, address } => self.meet(scope, address, now),
                Lesson::Heard { address, registered, organisations, is_expected } => {
                    let names: Vec<String> = organisations.iter().map(Domain::to_string).collect();
                    self.register.heard(&Heard {
                        address: &address.key(),
                        registered: *registered,
                        organisations: &names,
                        expected: *is_expected,
                        at: now,
                    });
                }
            }
        }
    }

    fn meet(&self, scope: &str, address: &Address, now: DateTime<Utc>) {
        let mut scopes = self.lock();
        let hour = scopes.entry(scope.to_owned()).or_default();
        if hour.number != hour_of(now) && !hour.is_flood {
            *hour = Hour { number: hour_of(now), ..Hour::default() };
        }
        hour.addresses.insert(address.clone());
    }

    /// Remembers that a scope is flooded. False if that is known already.
    pub(crate) fn flood_begins(&self, scope: &str) -> bool {
        let mut scopes = self.lock();
        scopes.get_mut(scope).is_some_and(|hour| !std::mem::replace(&mut hour.is_flood, true))
    }

    /// The scopes whose flood ended with the hour it came in. Hours that are over are forgotten.
    pub(crate) fn floods_ended(&self, now: DateTime<Utc>) -> Vec<String> {
        let mut ended = Vec::new();
        self.lock().retain(|scope, hour| {
            let is_over = hour.number != hour_of(now);
            if is_over && hour.is_flood {
                ended.push(scope.clone());
            }
            !is_over
        });
        ended
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Hour>> {
        self.newcomers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn this_hour<R>(
        &self,
        scope: &str,
        now: DateTime<Utc>,
        look: impl FnOnce(&HashSet<Address>) -> R,
    ) -> Option<R> {
        let scopes = self.lock();
        scopes.get(scope).filter(|hour| hour.number == hour_of(now)).map(|hour| look(&hour.addresses))
    }
}

fn hour_of(now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(SECONDS_PER_HOUR)
}

impl Memory for GateMemory {
    fn vendor(&self, address: &Address) -> Option<Remembered> {
        self.register.vendor(&address.key()).as_ref().map(remembered)
    }

    fn is_newcomer(&self, scope: &str, address: &Address, now: DateTime<Utc>) -> bool {
        self.this_hour(scope, now, |addresses| addresses.contains(address)).unwrap_or(false)
    }

    fn newcomers(&self, scope: &str, now: DateTime<Utc>) -> u32 {
        let count = self.this_hour(scope, now, HashSet::len).unwrap_or(0);
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// The register's record in the words of the decision.
fn remembered(record: &VendorRecord) -> Remembered {
    let organisations = record.organisations.iter().map(|(name, known)| (name.as_str(), known.expected));
    Remembered::of(organisations, record.has_more())
}
