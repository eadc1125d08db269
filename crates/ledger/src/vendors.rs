//! The vendor register: what each vendor address has heard, from whom, and since when, and who is new this hour.
//!
//! It is asked for every message to a scope, so it lives in memory; one task writes what changed, a second behind.
//! It survives restarts; a crash may cost its last second, after which an organisation is at worst met for the
//! first time once more. What strangers can make grow is bounded: unregistered addresses give way to one another,
//! registered ones never do.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteRow, SqliteSynchronous};
use sqlx::{Row, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::error::LedgerError;
use crate::newcomers::{self, NewcomerHour, Newcomers};
use crate::sqlite::{SqlitePurpose, SqliteStore};

/// The most organisations that one address remembers one by one.
pub const MAX_ORGANISATIONS: usize = 32;
/// The most addresses without a record in the policy; beyond, those heard from least make room.
pub const MAX_UNREGISTERED: usize = 100_000;
/// Which part of the unregistered addresses is forgotten at once when there are too many.
const FORGOTTEN_AT_ONCE: usize = 16;
/// How far the file may be behind.
const WRITE_EVERY: Duration = Duration::from_millis(500);

const REGISTER: SqlitePurpose = SqlitePurpose {
    name: "vendor register",
    application_id: 0x4d57_5652,
    migrations: &[include_str!("vendors.sql"), include_str!("newcomers.sql")],
    // A crash of the machine may cost the last moments, but not the consistency of the file.
    synchronous: SqliteSynchronous::Normal,
};

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
    fn new(heard: &Heard<'_>) -> Self {
        Self {
            address: heard.address.to_owned(),
            registered: heard.registered,
            first_seen: heard.at,
            last_seen: heard.at,
            messages: 0,
            organisations: BTreeMap::new(),
        }
    }

    /// Whether it heard from more organisations than are remembered one by one.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.organisations.len() >= MAX_ORGANISATIONS
    }

    fn hear(&mut self, heard: &Heard<'_>) {
        self.registered = heard.registered;
        self.last_seen = heard.at;
        self.messages = self.messages.saturating_add(1);
        for name in heard.organisations {
            if let Some(known) = self.organisations.get_mut(name) {
                known.last_seen = heard.at;
                known.messages = known.messages.saturating_add(1);
                // Declaring a sender domain makes it expected from then on.
                known.expected |= heard.expected;
            } else if self.organisations.len() < MAX_ORGANISATIONS {
                let (first_seen, last_seen) = (heard.at, heard.at);
                let fresh =
                    OrganisationRecord { expected: heard.expected, first_seen, last_seen, messages: 1 };
                self.organisations.insert(name.clone(), fresh);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Contents {
    vendors: HashMap<String, VendorRecord>,
    unregistered: usize,
    /// Addresses whose row has to be written, or taken away.
    changed: HashSet<String>,
    newcomers: Newcomers,
}

/// What the file has to be told.
#[derive(Debug, Default)]
struct Changes {
    /// The record, or none where it is forgotten.
    vendors: Vec<(String, Option<VendorRecord>)>,
    newcomers: Vec<(String, Option<NewcomerHour>)>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.vendors.is_empty() && self.newcomers.is_empty()
    }
}

impl Contents {
    fn hear(&mut self, heard: &Heard<'_>) {
        if !self.vendors.contains_key(heard.address) {
            self.make_room();
        }
        let record = self.vendors.entry(heard.address.to_owned()).or_insert_with(|| VendorRecord::new(heard));
        record.hear(heard);
        self.changed.insert(heard.address.to_owned());
        self.unregistered += usize::from(record.messages == 1 && !record.registered);
    }

    /// Forgets those that were heard from least, and of them the oldest.
    fn make_room(&mut self) {
        if self.unregistered < MAX_UNREGISTERED {
            return;
        }
        let mut guests: Vec<(u64, DateTime<Utc>, String)> = self
            .vendors
            .values()
            .filter(|record| !record.registered)
            .map(|record| (record.messages, record.last_seen, record.address.clone()))
            .collect();
        let leaving = (guests.len() / FORGOTTEN_AT_ONCE).max(1).min(guests.len());
        if leaving < guests.len() {
            guests.select_nth_unstable(leaving);
        }
        for (_, _, address) in guests.drain(..leaving) {
            self.vendors.remove(&address);
            self.changed.insert(address);
        }
        self.unregistered = guests.len();
    }

    fn take_changes(&mut self) -> Changes {
        let changed = std::mem::take(&mut self.changed);
        let vendors = changed.into_iter().map(|address| (self.vendors.get(&address).cloned(), address));
        Changes {
            vendors: vendors.map(|(record, address)| (address, record)).collect(),
            newcomers: self.newcomers.take_changes(),
        }
    }

    /// What could not be written is to be written again.
    fn put_back(&mut self, changes: Changes) {
        self.changed.extend(changes.vendors.into_iter().map(|(address, _)| address));
        self.newcomers.put_back(changes.newcomers.into_iter().map(|(scope, _)| scope));
    }
}

/// An open register. Clones are cheap and share one writer.
#[derive(Debug, Clone)]
pub struct VendorRegister {
    contents: Arc<Mutex<Contents>>,
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
enum Command {
    Flush(oneshot::Sender<Result<(), LedgerError>>),
    Close(oneshot::Sender<Result<(), LedgerError>>),
}

impl VendorRegister {
    /// Opens the register, and makes it if there is none. Needs a tokio runtime.
    ///
    /// # Errors
    /// The URL is wrong, the file cannot be opened or read, or is something else.
    pub async fn open(url: &str) -> Result<Self, LedgerError> {
        Self::start(SqliteStore::open(url, &REGISTER, true).await?).await
    }

    /// Opens a register that must exist, to look something up.
    ///
    /// # Errors
    /// As [`Self::open`], or there is none.
    pub async fn open_existing(url: &str) -> Result<Self, LedgerError> {
        Self::start(SqliteStore::open(url, &REGISTER, false).await?).await
    }

    async fn start(database: SqliteStore) -> Result<Self, LedgerError> {
        let contents = Arc::new(Mutex::new(read_all(&database).await?));
        let (commands, received) = mpsc::channel(16);
        let writer = Writer { database, contents: Arc::clone(&contents), failing: false };
        tokio::spawn(writer.run(received));
        Ok(Self { contents, commands })
    }

    /// Remembers a message; never waits.
    pub fn heard(&self, heard: &Heard<'_>) {
        lock(&self.contents).hear(heard);
    }

    /// What an address has heard, by its lookup key.
    #[must_use]
    pub fn vendor(&self, address: &str) -> Option<VendorRecord> {
        lock(&self.contents).vendors.get(address).cloned()
    }

    /// Asks or changes who is new this hour.
    pub fn newcomers<R>(&self, look: impl FnOnce(&mut Newcomers) -> R) -> R {
        look(&mut lock(&self.contents).newcomers)
    }

    /// Every address, in order.
    #[must_use]
    pub fn vendors(&self) -> Vec<VendorRecord> {
        let mut all: Vec<VendorRecord> = lock(&self.contents).vendors.values().cloned().collect();
        all.sort_by(|a, b| a.address.cmp(&b.address));
        all
    }

    /// Waits until everything remembered before is in the file.
    ///
    /// # Errors
    /// The file could not be written; what was remembered is kept for the next attempt.
    pub async fn flush(&self) -> Result<(), LedgerError> {
        self.ask(Command::Flush).await
    }

    /// Writes what is not in the file yet and closes it, for all clones.
    ///
    /// # Errors
    /// The file could not be written.
    pub async fn close(&self) -> Result<(), LedgerError> {
        self.ask(Command::Close).await
    }

    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), LedgerError>>) -> Command,
    ) -> Result<(), LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| LedgerError::Closed)?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }
}

/// Nobody panics while holding the lock; if it ever happens, what was learned is still good.
fn lock(contents: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read_all(database: &SqliteStore) -> Result<Contents, LedgerError> {
    let failed = database.failed("reading the vendors from");
    let rows = sqlx::query("SELECT * FROM vendor").fetch_all(database.pool()).await.map_err(&failed)?;
    let mut contents = Contents::default();
    for row in &rows {
        let record = vendor_record(row).map_err(&failed)?;
        contents.unregistered += usize::from(!record.registered);
        contents.vendors.insert(record.address.clone(), record);
    }
    contents.newcomers = newcomers::read(database.pool()).await.map_err(&failed)?;
    Ok(contents)
}

fn vendor_record(row: &SqliteRow) -> Result<VendorRecord, sqlx::Error> {
    let moment = |column: &str| -> Result<DateTime<Utc>, sqlx::Error> {
        Ok(DateTime::from_timestamp_micros(row.try_get(column)?).unwrap_or_default())
    };
    let organisations: String = row.try_get("organisations")?;
    Ok(VendorRecord {
        address: row.try_get("address")?,
        registered: row.try_get::<i64, _>("registered")? != 0,
        first_seen: moment("first_us")?,
        last_seen: moment("last_us")?,
        messages: u64::try_from(row.try_get::<i64, _>("messages")?).unwrap_or_default(),
        organisations: serde_json::from_str(&organisations).map_err(|error| sqlx::Error::ColumnDecode {
            index: "organisations".to_owned(),
            source: Box::new(error),
        })?,
    })
}

/// The one task that writes to the register.
struct Writer {
    database: SqliteStore,
    contents: Arc<Mutex<Contents>>,
    /// Whether the last attempt failed; a failure is told once.
    failing: bool,
}

impl Writer {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            match tokio::time::timeout(WRITE_EVERY, commands.recv()).await {
                Err(_) => self.write_or_warn().await,
                Ok(Some(Command::Flush(reply))) => drop(reply.send(self.write().await)),
                Ok(Some(Command::Close(reply))) => {
                    let written = self.write().await;
                    self.database.pool().close().await;
                    return drop(reply.send(written));
                }
                Ok(None) => return self.write_or_warn().await,
            }
        }
    }

    async fn write_or_warn(&mut self) {
        match self.write().await {
            Ok(()) if std::mem::take(&mut self.failing) => {
                tracing::info!("the vendor register is written again");
            }
            Ok(()) => {}
            Err(error) if !std::mem::replace(&mut self.failing, true) => {
                tracing::warn!(%error, "the vendor register is not written; it is kept in memory meanwhile");
            }
            Err(_) => {}
        }
    }

    async fn write(&self) -> Result<(), LedgerError> {
        let changes = lock(&self.contents).take_changes();
        if changes.is_empty() {
            return Ok(());
        }
        let written = self.write_changes(&changes).await;
        if written.is_err() {
            lock(&self.contents).put_back(changes);
        }
        written
    }

    async fn write_changes(&self, changes: &Changes) -> Result<(), LedgerError> {
        let failed = self.database.failed("writing vendors to");
        let mut transaction = self.database.begin_writing("writing vendors to").await?;
        for (address, record) in &changes.vendors {
            let done = match record {
                Some(record) => write_vendor(&mut transaction, record).await,
                None => forget_vendor(&mut transaction, address).await,
            };
            done.map_err(&failed)?;
        }
        newcomers::write(&mut transaction, &changes.newcomers).await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }
}

async fn write_vendor(connection: &mut SqliteConnection, record: &VendorRecord) -> Result<(), sqlx::Error> {
    let organisations =
        serde_json::to_string(&record.organisations).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    sqlx::query("INSERT OR REPLACE INTO vendor VALUES (?, ?, ?, ?, ?, ?)")
        .bind(&record.address)
        .bind(i64::from(record.registered))
        .bind(record.first_seen.timestamp_micros())
        .bind(record.last_seen.timestamp_micros())
        .bind(i64::try_from(record.messages).unwrap_or(i64::MAX))
        .bind(organisations)
        .execute(connection)
        .await
        .map(drop)
}

async fn forget_vendor(connection: &mut SqliteConnection, address: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM vendor WHERE address = ?").bind(address).execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn hear(register: &VendorRegister, address: &str, organisation: &str, expected: bool, seconds: i64) {
        let organisations = [organisation.to_owned()];
        let (registered, at) = (address.starts_with("acme"), at(seconds));
        register.heard(&Heard { address, registered, organisations: &organisations, expected, at });
    }

    #[tokio::test]
    async fn what_was_heard_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("vendors.db").display());
        let register = VendorRegister::open(&url).await.unwrap();
        hear(&register, "acme@s.example", "acme.example", true, 0);
        hear(&register, "acme@s.example", "acme.example", true, 5);
        hear(&register, "acme@s.example", "spam.example", false, 9);
        register.close().await.unwrap();
        let again = VendorRegister::open_existing(&url).await.unwrap();
        let record = again.vendor("acme@s.example").unwrap();
        assert_eq!((record.messages, record.first_seen, record.last_seen), (3, at(0), at(9)));
        assert_eq!(record.organisations["acme.example"].messages, 2);
        assert!(record.organisations["acme.example"].expected);
        assert!(!record.organisations["spam.example"].expected);
        assert_eq!(again.vendors(), [record]);
    }

    #[tokio::test]
    async fn one_address_remembers_so_many_organisations_and_no_more() {
        let register = VendorRegister::open("sqlite::memory:").await.unwrap();
        for n in 0..MAX_ORGANISATIONS + 10 {
            hear(&register, "acme@s.example", &format!("o{n}.example"), false, 0);
        }
        let record = register.vendor("acme@s.example").unwrap();
        assert_eq!(record.organisations.len(), MAX_ORGANISATIONS);
        assert!(record.has_more());
        assert_eq!(record.messages, (MAX_ORGANISATIONS + 10) as u64);
    }

    #[test]
    fn strangers_give_way_to_one_another_and_never_push_out_a_registered_vendor() {
        let mut contents = Contents::default();
        let mut hear = |address: &str, registered, seconds| {
            let organisations = [];
            contents.hear(&Heard {
                address,
                registered,
                organisations: &organisations,
                expected: true,
                at: at(seconds),
            });
        };
        hear("acme@s.example", true, 0);
        for _ in 0..2 {
            hear("regular@s.example", false, 0);
        }
        for n in 0..MAX_UNREGISTERED + 10 {
            hear(&format!("guess{n}@s.example"), false, 1 + n as i64);
        }
        assert!(contents.vendors.len() <= MAX_UNREGISTERED + 1, "{}", contents.vendors.len());
        for kept in ["acme@s.example", "regular@s.example"] {
            assert!(contents.vendors.contains_key(kept), "{kept}");
        }
        assert!(!contents.vendors.contains_key("guess0@s.example"), "the oldest went first");
        let forgotten = contents.take_changes();
        assert!(
            forgotten
                .vendors
                .iter()
                .any(|(address, record)| address == "guess0@s.example" && record.is_none())
        );
    }
}
