//! The local parts that a scope heard of for the first time this hour, so that a limit holds across restarts.
//!
//! The limit in the policy bounds how many there are: what comes after is refused and not remembered.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row, SqliteConnection};

use crate::refusals::hour_of;

/// One scope's hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NewcomerHour {
    number: i64,
    addresses: BTreeSet<String>,
    is_flood: bool,
}

/// The present hour of every scope that has a limit.
#[derive(Debug, Default)]
pub struct Newcomers {
    scopes: HashMap<String, NewcomerHour>,
    /// Scopes whose row has to be written, or taken away.
    changed: HashSet<String>,
}

impl Newcomers {
    /// Remembers an address, by its lookup key.
    pub fn meet(&mut self, scope: &str, address: &str, now: DateTime<Utc>) {
        let hour = self.scopes.entry(scope.to_owned()).or_default();
        if hour.number != hour_of(now) && !hour.is_flood {
            *hour = NewcomerHour { number: hour_of(now), ..NewcomerHour::default() };
        }
        if hour.addresses.insert(address.to_owned()) {
            self.changed.insert(scope.to_owned());
        }
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

    /// Remembers that a scope is flooded. False if that is known already.
    pub fn flood_begins(&mut self, scope: &str) -> bool {
        let Some(hour) = self.scopes.get_mut(scope) else { return false };
        let is_news = !std::mem::replace(&mut hour.is_flood, true);
        if is_news {
            self.changed.insert(scope.to_owned());
        }
        is_news
    }

    /// The scopes whose flood ended with the hour it came in. Hours that are over are forgotten.
    pub fn floods_ended(&mut self, now: DateTime<Utc>) -> Vec<String> {
        let over = |hour: &NewcomerHour| hour.number != hour_of(now);
        let ended: BTreeMap<String, bool> = self
            .scopes
            .extract_if(|_, hour| over(hour))
            .map(|(scope, hour)| (scope, hour.is_flood))
            .collect();
        self.changed.extend(ended.keys().cloned());
        ended.into_iter().filter(|(_, was_flood)| *was_flood).map(|(scope, _)| scope).collect()
    }

    /// What the file has to be told: the hour, or none where it is forgotten.
    pub(crate) fn take_changes(&mut self) -> Vec<(String, Option<NewcomerHour>)> {
        let changed = std::mem::take(&mut self.changed);
        let hours = changed.into_iter().map(|scope| (self.scopes.get(&scope).cloned(), scope));
        hours.map(|(hour, scope)| (scope, hour)).collect()
    }

    /// What could not be written is to be written again.
    pub(crate) fn put_back(&mut self, scopes: impl Iterator<Item = String>) {
        self.changed.extend(scopes);
    }
}

pub(crate) async fn read(pool: &SqlitePool) -> Result<Newcomers, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM newcomer_hour").fetch_all(pool).await?;
    let scopes = rows.iter().map(hour).collect::<Result<_, _>>()?;
    Ok(Newcomers { scopes, changed: HashSet::new() })
}

fn hour(row: &SqliteRow) -> Result<(String, NewcomerHour), sqlx::Error> {
    let addresses: String = row.try_get("addresses")?;
    let hour = NewcomerHour {
        number: row.try_get("hour")?,
        is_flood: row.try_get::<i64, _>("is_flood")? != 0,
        addresses: serde_json::from_str(&addresses).map_err(|error| sqlx::Error::ColumnDecode {
            index: "addresses".to_owned(),
            source: Box::new(error),
        })?,
    };
    Ok((row.try_get("scope")?, hour))
}

pub(crate) async fn write(
    connection: &mut SqliteConnection,
    changes: &[(String, Option<NewcomerHour>)],
) -> Result<(), sqlx::Error> {
    for (scope, hour) in changes {
        let Some(hour) = hour else {
            let forgotten = sqlx::query("DELETE FROM newcomer_hour WHERE scope = ?").bind(scope);
            forgotten.execute(&mut *connection).await?;
            continue;
        };
        let addresses =
            serde_json::to_string(&hour.addresses).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        sqlx::query("INSERT OR REPLACE INTO newcomer_hour VALUES (?, ?, ?, ?)")
            .bind(scope)
            .bind(hour.number)
            .bind(i64::from(hour.is_flood))
            .bind(addresses)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
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
        let told = newcomers.take_changes();
        assert_eq!(told, [(SCOPE.to_owned(), None)]);
    }
}
