//! What each vendor address has heard, from whom, and since when; and how that stands in a database.
//!
//! Records of the same address add up, in any order: what one gate heard since it last wrote is added to what all
//! of them have written.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::LedgerError;
use crate::store::{Column, Row, Rows, Store, Transaction, read_all};

/// The most organisations that one address remembers one by one.
pub const MAX_ORGANISATIONS: usize = 32;

/// What one vendor address has heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorRecord {
    /// The address, as its lookup key.
    pub address: String,
    /// Whether it had a record in the policy when it last heard from anybody.
    pub registered: bool,
    /// When it first took mail.
    pub first_seen: DateTime<Utc>,
    /// When it last took mail.
    pub last_seen: DateTime<Utc>,
    /// How many messages it took.
    pub messages: u64,
    /// Who wrote, by organisational domain.
    pub organisations: BTreeMap<String, OrganisationRecord>,
}

/// What one organisation wrote to one vendor address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationRecord {
    /// Whether it was taken for the vendor.
    pub expected: bool,
    /// First message.
    pub first_seen: DateTime<Utc>,
    /// Last message.
    pub last_seen: DateTime<Utc>,
    /// How many.
    pub messages: u64,
}

/// A message that a vendor address took.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// The address, as its lookup key.
    pub address: &'a str,
    /// Whether it has a record in the policy.
    pub registered: bool,
    /// The organisations it came from.
    pub organisations: &'a [String],
    /// Whether they are taken for the vendor.
    pub expected: bool,
    /// When.
    pub at: DateTime<Utc>,
}

impl VendorRecord {
    /// What one message says.
    pub(crate) fn of(heard: &Heard<'_>) -> Self {
        let (first_seen, last_seen) = (heard.at, heard.at);
        let organisation =
            OrganisationRecord { expected: heard.expected, first_seen, last_seen, messages: 1 };
        let names = heard.organisations.iter().take(MAX_ORGANISATIONS);
        Self {
            address: heard.address.to_owned(),
            registered: heard.registered,
            first_seen,
            last_seen,
            messages: 1,
            organisations: names.map(|name| (name.clone(), organisation.clone())).collect(),
        }
    }

    /// Whether it heard from more organisations than are remembered one by one.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.organisations.len() >= MAX_ORGANISATIONS
    }

    /// Whether a message tells nothing but that there was one more.
    pub(crate) fn knows(&self, heard: &Heard<'_>) -> bool {
        let known = |name: &String| match self.organisations.get(name) {
            Some(organisation) => organisation.expected || !heard.expected,
            None => self.has_more(),
        };
        self.registered == heard.registered && heard.organisations.iter().all(known)
    }

    /// Counts a message that tells nothing else.
    pub(crate) fn count(&mut self, heard: &Heard<'_>) {
        self.first_seen = self.first_seen.min(heard.at);
        self.last_seen = self.last_seen.max(heard.at);
        self.messages = self.messages.saturating_add(1);
        for (at, name) in heard.organisations.iter().enumerate() {
            if !heard.organisations[..at].contains(name)
                && let Some(known) = self.organisations.get_mut(name)
            {
                known.count(heard.at);
            }
        }
    }

    /// Adds what was heard besides.
    pub(crate) fn add(&mut self, other: Self) {
        if other.last_seen >= self.last_seen {
            self.registered = other.registered;
        }
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.messages = self.messages.saturating_add(other.messages);
        for (name, organisation) in other.organisations {
            if let Some(known) = self.organisations.get_mut(&name) {
                known.add(&organisation);
            } else if self.organisations.len() < MAX_ORGANISATIONS {
                self.organisations.insert(name, organisation);
            }
        }
    }
}

impl OrganisationRecord {
    fn count(&mut self, at: DateTime<Utc>) {
        self.first_seen = self.first_seen.min(at);
        self.last_seen = self.last_seen.max(at);
        self.messages = self.messages.saturating_add(1);
    }

    fn add(&mut self, other: &Self) {
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.messages = self.messages.saturating_add(other.messages);
        // Declaring a sender domain makes it expected from then on.
        self.expected |= other.expected;
    }
}

/// Adds one record to those of a map.
pub(crate) fn add_to(records: &mut HashMap<String, VendorRecord>, record: VendorRecord) {
    match records.get_mut(&record.address) {
        Some(known) => known.add(record),
        None => drop(records.insert(record.address.clone(), record)),
    }
}

const COLUMNS: &str = "SELECT address, registered, first_us, last_us, messages, organisations FROM vendor";

/// The records that were written after a revision.
pub(crate) async fn since(
    store: &dyn Store,
    transaction: &mut dyn Transaction,
    revision: i64,
) -> Result<Vec<VendorRecord>, LedgerError> {
    let sql = format!("{COLUMNS} WHERE revision > $1");
    let rows = transaction.fetch("reading the vendors from", &sql, vec![revision.into()]).await?;
    read_all(store, rows, vendor_record)
}

/// Adds records to those of the database; returns them as they stand there now.
pub(crate) async fn add(
    store: &dyn Store,
    transaction: &mut dyn Transaction,
    records: &HashMap<String, VendorRecord>,
    revision: i64,
) -> Result<Vec<VendorRecord>, LedgerError> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let doing = "writing vendors to";
    let addresses: Value = records.keys().map(String::as_str).collect();
    let elements = store.dialect().elements;
    let sql = format!("{COLUMNS} WHERE address IN (SELECT value{} FROM {elements})", store.dialect().text);
    let rows = transaction.fetch(doing, &sql, vec![addresses.to_string().into()]).await?;
    let mut sums = records.clone();
    read_all(store, rows, vendor_record)?.into_iter().for_each(|record| add_to(&mut sums, record));
    let sums: Vec<VendorRecord> = sums.into_values().collect();
    put(transaction, &sums, revision).await?;
    Ok(sums)
}

/// Writes records as they are to stand there.
pub(crate) async fn put(
    transaction: &mut dyn Transaction,
    records: &[VendorRecord],
    revision: i64,
) -> Result<(), LedgerError> {
    if records.is_empty() {
        return Ok(());
    }
    transaction.insert("writing vendors to", rows(records, revision)).await.map(drop)
}

fn rows(records: &[VendorRecord], revision: i64) -> Rows {
    let integers = |value: fn(&VendorRecord) -> i64| Column::Integers(records.iter().map(value).collect());
    let texts = |value: fn(&VendorRecord) -> String| Column::Texts(records.iter().map(value).collect());
    Rows {
        table: "vendor",
        columns: vec![
            ("address", texts(|record| record.address.clone())),
            ("registered", integers(|record| record.registered.into())),
            ("first_us", integers(|record| record.first_seen.timestamp_micros())),
            ("last_us", integers(|record| record.last_seen.timestamp_micros())),
            ("messages", integers(|record| i64::try_from(record.messages).unwrap_or(i64::MAX))),
            (
                "organisations",
                texts(|record| serde_json::to_string(&record.organisations).unwrap_or_default()),
            ),
            ("revision", Column::Integers(vec![revision; records.len()])),
        ],
        otherwise: "ON CONFLICT (address) DO UPDATE SET registered = excluded.registered,
            first_us = excluded.first_us, last_us = excluded.last_us, messages = excluded.messages,
            organisations = excluded.organisations, revision = excluded.revision",
    }
}

/// Takes addresses away.
pub(crate) async fn forget(
    store: &dyn Store,
    transaction: &mut dyn Transaction,
    addresses: &HashSet<String>,
) -> Result<(), LedgerError> {
    if addresses.is_empty() {
        return Ok(());
    }
    let dialect = store.dialect();
    let sql = format!(
        "DELETE FROM vendor WHERE address IN (SELECT value{} FROM {})",
        dialect.text, dialect.elements
    );
    transaction
        .execute("taking vendors from", &sql, vec![json!(addresses).to_string().into()])
        .await
        .map(drop)
}

fn vendor_record(mut row: Row) -> Option<VendorRecord> {
    Some(VendorRecord {
        address: row.text()?,
        registered: row.integer()? != 0,
        first_seen: DateTime::from_timestamp_micros(row.integer()?)?,
        last_seen: DateTime::from_timestamp_micros(row.integer()?)?,
        messages: row.number()?,
        organisations: serde_json::from_str(&row.text()?).ok()?,
    })
}
