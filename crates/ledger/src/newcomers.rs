//! The local parts that a scope heard of for the first time this hour, so that a limit holds across restarts and
//! across the gates that share a register.
//!
//! The limit in the policy bounds how many there are: what comes after is refused and not remembered.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::error::LedgerError;
use crate::refusals::hour_of;
use crate::store::{Row, Store, Transaction, read_all};

/// One scope's hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NewcomerHour {
    number: i64,
    addresses: BTreeSet<String>,
    is_flood: bool,
}

impl NewcomerHour {
    fn of(number: i64) -> Self {
        Self { number, ..Self::default() }
    }

    /// Adds what is known besides; of two hours the later one stays.
    fn add(&mut self, other: Self) {
        if other.number == self.number {
            self.addresses.extend(other.addresses);
            self.is_flood |= other.is_flood;
        } else if other.number > self.number {
            *self = other;
        }
    }
}

/// The present hour of every scope that has a limit.
#[derive(Debug, Default)]
pub struct Newcomers {
    scopes: HashMap<String, NewcomerHour>,
    /// Scopes whose flood was told here: its end is told here too, and nowhere else.
    told_here: HashSet<String>,
    /// Floods that were told here and gave way to a later hour.
    ended: Vec<String>,
    untold: Untold,
}

/// What the database has not been told.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    met: HashMap<String, NewcomerHour>,
    /// Scopes, and the hour of each that is over.
    over: HashMap<String, i64>,
}

impl Untold {
    pub(crate) fn is_empty(&self) -> bool {
        self.met.is_empty() && self.over.is_empty()
    }

    fn add(&mut self, scope: &str, hour: NewcomerHour) {
        add_to(&mut self.met, scope, hour);
    }
}

fn add_to(hours: &mut HashMap<String, NewcomerHour>, scope: &str, hour: NewcomerHour) {
    match hours.get_mut(scope) {
        Some(known) => known.add(hour),
        None => drop(hours.insert(scope.to_owned(), hour)),
    }
}

impl Newcomers {
    /// Remembers an address, by its lookup key.
    pub fn meet(&mut self, scope: &str, address: &str, now: DateTime<Utc>) {
        let mut met = NewcomerHour::of(hour_of(now));
        met.addresses.insert(address.to_owned());
        self.learn(scope.to_owned(), met.clone());
        self.untold.add(scope, met);
    }

    /// Whether an address is among them.
    #[must_use]
    pub fn includes(&self, scope: &str, address: &str, now: DateTime<Utc>) -> bool {
        self.present(scope, now).is_some_and(|hour| hour.addresses.contains(address))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self, scope: &str, now: DateTime<Utc>) -> usize {
        self.present(scope, now).map_or(0, |hour| hour.addresses.len())
    }

    fn present(&self, scope: &str, now: DateTime<Utc>) -> Option<&NewcomerHour> {
        self.scopes.get(scope).filter(|hour| hour.number == hour_of(now))
    }

    /// Remembers that a scope is flooded. False if that is known already, from here or from another gate.
    pub fn flood_begins(&mut self, scope: &str) -> bool {
        let Some(hour) = self.scopes.get_mut(scope) else { return false };
        let is_news = !std::mem::replace(&mut hour.is_flood, true);
        if is_news {
            self.told_here.insert(scope.to_owned());
            let flood = NewcomerHour { is_flood: true, ..NewcomerHour::of(hour.number) };
            self.untold.add(scope, flood);
        }
        is_news
    }

    /// The scopes whose flood was told here and ended with the hour it came in. Hours that are over are forgotten.
    pub fn floods_ended(&mut self, now: DateTime<Utc>) -> Vec<String> {
        let over: Vec<(String, NewcomerHour)> =
            self.scopes.extract_if(|_, hour| hour.number != hour_of(now)).collect();
        for (scope, hour) in over {
            let is_ours = self.told_here.remove(&scope);
            if is_ours {
                self.ended.push(scope.clone());
            }
            // Who told of a flood tells of its end, and may have to find it after a restart.
            if is_ours || !hour.is_flood {
                self.untold.over.insert(scope, hour.number);
            }
        }
        self.ended.sort();
        std::mem::take(&mut self.ended)
    }

    /// Takes over what is known elsewhere.
    pub(crate) fn learn(&mut self, scope: String, hour: NewcomerHour) {
        let known = self.scopes.entry(scope.clone()).or_default();
        if hour.number > known.number && self.told_here.remove(&scope) {
            self.ended.push(scope);
        }
        known.add(hour);
    }

    /// After a restart: the end of a flood is told once too often rather than never.
    pub(crate) fn begin_again(&mut self) {
        let floods = self.scopes.iter().filter(|(_, hour)| hour.is_flood);
        self.told_here = floods.map(|(scope, _)| scope.clone()).collect();
    }

    pub(crate) fn take_untold(&mut self) -> Untold {
        std::mem::take(&mut self.untold)
    }

    /// What could not be written is to be written again.
    pub(crate) fn put_back(&mut self, untold: Untold) {
        untold.met.into_iter().for_each(|(scope, hour)| self.untold.add(&scope, hour));
        for (scope, hour) in untold.over {
            let over = self.untold.over.entry(scope).or_insert(hour);
            *over = hour.max(*over);
        }
    }
}

const COLUMNS: &str = "SELECT scope, hour, is_flood, addresses FROM newcomer_hour";

/// The hours that were written after a revision.
pub(crate) async fn since(
    store: &dyn Store,
    transaction: &mut dyn Transaction,
    revision: i64,
) -> Result<Vec<(String, NewcomerHour)>, LedgerError> {
    let sql = format!("{COLUMNS} WHERE revision > $1");
    let rows = transaction.fetch("reading the newcomers from", &sql, vec![revision.into()]).await?;
    read_all(store, rows, scope_and_hour)
}

/// Adds to the hours of the database; returns them as they stand there now.
pub(crate) async fn add(
    store: &dyn Store,
    transaction: &mut dyn Transaction,
    untold: &Untold,
    revision: i64,
) -> Result<Vec<(String, NewcomerHour)>, LedgerError> {
    for (scope, over) in &untold.over {
        let sql = "DELETE FROM newcomer_hour WHERE scope = $1 AND hour <= $2";
        let arguments = vec![scope.as_str().into(), (*over).into()];
        transaction.execute("taking newcomers from", sql, arguments).await?;
    }
    let mut written = Vec::new();
    for (scope, met) in &untold.met {
        let sql = format!("{COLUMNS} WHERE scope = $1");
        let rows = transaction.fetch("reading the newcomers from", &sql, vec![scope.as_str().into()]).await?;
        let mut sum = met.clone();
        read_all(store, rows, scope_and_hour)?.into_iter().for_each(|(_, hour)| sum.add(hour));
        write(transaction, scope, &sum, revision).await?;
        written.push((scope.clone(), sum));
    }
    Ok(written)
}

async fn write(
    transaction: &mut dyn Transaction,
    scope: &str,
    hour: &NewcomerHour,
    revision: i64,
) -> Result<(), LedgerError> {
    let sql = "INSERT INTO newcomer_hour (scope, hour, is_flood, addresses, revision)
               VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (scope) DO UPDATE SET hour = excluded.hour, is_flood = excluded.is_flood,
               addresses = excluded.addresses, revision = excluded.revision";
    let addresses = json!(hour.addresses).to_string();
    let is_flood = i64::from(hour.is_flood);
    let arguments =
        vec![scope.into(), hour.number.into(), is_flood.into(), addresses.into(), revision.into()];
    transaction.execute("writing newcomers to", sql, arguments).await.map(drop)
}

fn scope_and_hour(mut row: Row) -> Option<(String, NewcomerHour)> {
    let scope = row.text()?;
    let (number, is_flood) = (row.integer()?, row.integer()? != 0);
    let addresses = serde_json::from_str(&row.text()?).ok()?;
    Some((scope, NewcomerHour { number, addresses, is_flood }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VendorRegister;

    const SCOPE: &str = "s.example";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_002_800 + seconds, 0).unwrap()
    }

    #[tokio::test]
    async fn a_limit_that_was_reached_is_reached_after_a_restart_and_the_flood_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("vendors.db").display());
        let register = VendorRegister::open(&url).await.unwrap();
        for name in ["a@s.example", "b@s.example", "a@s.example"] {
            register.newcomers(|newcomers| newcomers.meet(SCOPE, name, at(1)));
        }
        assert!(register.newcomers(|newcomers| newcomers.flood_begins(SCOPE)));
        register.close().await.unwrap();

        let register = VendorRegister::open(&url).await.unwrap();
        register.newcomers(|newcomers| {
            assert_eq!(newcomers.count(SCOPE, at(2)), 2);
            assert!(newcomers.includes(SCOPE, "b@s.example", at(2)));
            assert!(!newcomers.includes(SCOPE, "c@s.example", at(2)));
            assert!(!newcomers.flood_begins(SCOPE), "it began before the restart");
            assert_eq!(newcomers.count(SCOPE, at(3600)), 0, "the next hour");
            assert_eq!(newcomers.floods_ended(at(3600)), [SCOPE]);
        });
        register.close().await.unwrap();
        let register = VendorRegister::open(&url).await.unwrap();
        assert!(register.newcomers(|newcomers| newcomers.floods_ended(at(3600))).is_empty(), "told once");
    }

    #[test]
    fn an_hour_without_a_flood_is_forgotten_in_silence() {
        let mut newcomers = Newcomers::default();
        newcomers.meet(SCOPE, "a@s.example", at(0));
        assert!(newcomers.floods_ended(at(3599)).is_empty());
        assert_eq!(newcomers.count(SCOPE, at(3599)), 1);
        newcomers.meet(SCOPE, "b@s.example", at(3600));
        assert_eq!(newcomers.count(SCOPE, at(3600)), 1);
        assert!(newcomers.floods_ended(at(7200)).is_empty());
        let untold = newcomers.take_untold();
        assert_eq!(untold.over.keys().collect::<Vec<_>>(), [SCOPE]);
    }
}
