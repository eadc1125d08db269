//! What earlier mail taught the gate: the vendor register, and the new local parts of this hour.

use chrono::{DateTime, Utc};
use mailwarden_address::{Address, Domain};
use mailwarden_gate::{Lesson, Memory, Remembered};
use mailwarden_ledger::{Heard, VendorRecord, VendorRegister};

/// The gate's memory. Shared by all sessions.
#[derive(Debug)]
pub(crate) struct GateMemory {
    register: VendorRegister,
}

impl GateMemory {
    pub(crate) fn new(register: VendorRegister) -> Self {
        Self { register }
    }

    pub(crate) fn register(&self) -> &VendorRegister {
        &self.register
    }

    /// Remembers what a decision taught.
    pub(crate) fn learn(&self, lessons: &[Lesson], now: DateTime<Utc>) {
        for lesson in lessons {
            match lesson {
                Lesson::NewLocalPart { scope, address } => {
                    self.register.newcomers(|newcomers| newcomers.meet(scope, &address.key(), now));
                }
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

    /// Remembers that a scope is flooded. False if that is known already.
    pub(crate) fn flood_begins(&self, scope: &str) -> bool {
        self.register.newcomers(|newcomers| newcomers.flood_begins(scope))
    }

    /// The scopes whose flood ended with the hour it came in.
    pub(crate) fn floods_ended(&self, now: DateTime<Utc>) -> Vec<String> {
        self.register.newcomers(|newcomers| newcomers.floods_ended(now))
    }
}

impl Memory for GateMemory {
    fn vendor(&self, address: &Address) -> Option<Remembered> {
        self.register.look(&address.key(), remembered)
    }

    fn is_newcomer(&self, scope: &str, address: &Address, now: DateTime<Utc>) -> bool {
        self.register.newcomers(|newcomers| newcomers.includes(scope, &address.key(), now))
    }

    fn newcomers(&self, scope: &str, now: DateTime<Utc>) -> u32 {
        let count = self.register.newcomers(|newcomers| newcomers.count(scope, now));
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// The register's record in the words of the decision.
fn remembered(record: &VendorRecord) -> Remembered {
    let organisations = record.organisations.iter().map(|(name, known)| (name.as_str(), known.expected));
    Remembered::of(organisations, record.has_more())
}
