//! The vendor register: what earlier mail taught, in memory, where it is asked for every message to a scope.
//!
//! One task exchanges it with the database, a moment behind: what was heard here is added to what stands there,
//! and what others wrote since the last time comes back. So it survives restarts, and several gates that share a
//! database know what each of them heard. A crash may cost the last moment, after which an organisation is at
//! worst met for the first time once more. That somebody known wrote once more waits for a minute and is added up
//! meanwhile: a crash costs the last minute of the counts. What strangers can make grow is bounded: unregistered addresses give
//! way to one another, registered ones never do.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};

use crate::error::LedgerError;
use crate::newcomers::{self, NewcomerHour, Newcomers};
use crate::open::{self, REGISTER};
use crate::store::{Access, Store, Transaction};
use crate::vendors::{self, Heard, VendorRecord, add_to};

/// The most addresses without a record in the policy; beyond, those heard from least make room.
pub const MAX_UNREGISTERED: usize = 100_000;
/// Which part of the unregistered addresses is forgotten at once when there are too many.
const FORGOTTEN_AT_ONCE: usize = 16;
/// How far the database may be behind, and this register behind what others wrote.
const EXCHANGE_EVERY: Duration = Duration::from_millis(500);
/// How far counts in the database may be behind, where nothing is new but one more message.
const COUNTS_EVERY: Duration = Duration::from_secs(60);
/// Of how many addresses the counts are written in one exchange, so that none keeps mail waiting; the rest follows in
/// the next.
const COUNTS_AT_ONCE: usize = 4_000;
/// Before the first row.
const NOTHING_READ: i64 = -1;

#[derive(Debug, Default)]
struct Contents {
    vendors: HashMap<String, VendorRecord>,
    unregistered: usize,
    newcomers: Newcomers,
    untold: Untold,
    /// What was heard since of those of whom nothing else is new.
    counts: HashMap<String, VendorRecord>,
    /// As much of it as is to be written now.
    due: HashMap<String, VendorRecord>,
}

/// What the database has not been told.
#[derive(Debug, Default)]
struct Untold {
    /// What was heard since.
    heard: HashMap<String, VendorRecord>,
    /// Addresses that made room.
    forgotten: HashSet<String>,
    newcomers: newcomers::Untold,
}

/// What is written at once, and how those records are to stand if nobody else wrote since the last time.
struct Telling {
    untold: Untold,
    standing: Vec<VendorRecord>,
}

impl Untold {
    fn is_empty(&self) -> bool {
        self.heard.is_empty() && self.forgotten.is_empty() && self.newcomers.is_empty()
    }
}

/// What the database said: rows as they stand there now.
struct Exchanged {
    revision: i64,
    vendors: Vec<VendorRecord>,
    hours: Vec<(String, NewcomerHour)>,
}

impl Contents {
    fn hear(&mut self, heard: &Heard<'_>) {
        match self.vendors.get_mut(heard.address) {
            Some(known) if known.knows(heard) => {
                known.count(heard);
                self.count(heard);
            }
            _ => self.hear_news(heard),
        }
    }

    fn count(&mut self, heard: &Heard<'_>) {
        // What is news is told in a moment; a count that comes with it goes with it.
        let untold = self.untold.heard.get_mut(heard.address);
        match untold.or_else(|| self.counts.get_mut(heard.address)) {
            Some(record) if record.knows(heard) => record.count(heard),
            Some(record) => record.add(VendorRecord::of(heard)),
            None => drop(self.counts.insert(heard.address.to_owned(), VendorRecord::of(heard))),
        }
    }

    fn hear_news(&mut self, heard: &Heard<'_>) {
        if !self.vendors.contains_key(heard.address) {
            self.make_room();
        }
        let record = VendorRecord::of(heard);
        add_to(&mut self.untold.heard, record.clone());
        let was_guest = self.is_guest(heard.address);
        add_to(&mut self.vendors, record);
        self.count_guest(was_guest, heard.address);
    }

    /// Takes over what the database has, and adds what it has not been told.
    fn learn(&mut self, mut record: VendorRecord) {
        if self.untold.forgotten.contains(&record.address) {
            return;
        }
        for untold in [&self.untold.heard, &self.counts, &self.due] {
            if let Some(untold) = untold.get(&record.address) {
                record.add(untold.clone());
            }
        }
        let address = record.address.clone();
        let was_guest = self.is_guest(&address);
        self.vendors.insert(address.clone(), record);
        self.count_guest(was_guest, &address);
    }

    fn is_guest(&self, address: &str) -> bool {
        self.vendors.get(address).is_some_and(|record| !record.registered)
    }

    fn count_guest(&mut self, was_guest: bool, address: &str) {
        let is_guest = self.is_guest(address);
        self.unregistered = self.unregistered.saturating_sub(was_guest.into()) + usize::from(is_guest);
    }

    /// Forgets those that were heard from least, and of them the oldest.
    fn make_room(&mut self) {
        while self.unregistered >= MAX_UNREGISTERED {
            self.forget_a_part();
        }
    }

    fn forget_a_part(&mut self) {
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
            self.untold.heard.remove(&address);
            self.counts.remove(&address);
            self.due.remove(&address);
            self.untold.forgotten.insert(address);
        }
        self.unregistered = guests.len();
    }

    /// The time of all counts has come.
    fn counts_are_due(&mut self) {
        let counts = std::mem::take(&mut self.counts);
        if self.due.is_empty() {
            self.due = counts;
        } else {
            counts.into_values().for_each(|record| add_to(&mut self.due, record));
        }
    }

    /// What is to be written: all that is new, and the counts of its addresses with it; and so many of the counts
    /// that are due.
    fn take_untold(&mut self, counts: usize) -> Telling {
        let mut untold =
            Untold { newcomers: self.newcomers.take_untold(), ..std::mem::take(&mut self.untold) };
        let counted = self.due.extract_if(|_, _| true).take(counts);
        counted.for_each(|(_, record)| add_to(&mut untold.heard, record));
        for (address, record) in &mut untold.heard {
            let counted = [&mut self.counts, &mut self.due].map(|counts| counts.remove(address));
            counted.into_iter().flatten().for_each(|counted| record.add(counted));
        }
        let known = untold.heard.keys().filter_map(|address| self.vendors.get(address).cloned());
        let mut standing: Vec<VendorRecord> = known.collect();
        // In the order of the table: addresses of one scope stand on the same pages.
        standing.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        Telling { untold, standing }
    }

    /// What could not be written is to be written again.
    fn put_back(&mut self, untold: Untold) {
        let still_known = |address: &String| !self.untold.forgotten.contains(address);
        let heard: Vec<VendorRecord> = untold
            .heard
            .into_iter()
            .filter(|(address, _)| still_known(address))
            .map(|(_, heard)| heard)
            .collect();
        heard.into_iter().for_each(|record| add_to(&mut self.untold.heard, record));
        self.untold.forgotten.extend(untold.forgotten);
        self.newcomers.put_back(untold.newcomers);
    }

    fn take_over(&mut self, exchanged: Exchanged) {
        exchanged.vendors.into_iter().for_each(|record| self.learn(record));
        self.make_room();
        exchanged.hours.into_iter().for_each(|(scope, hour)| self.newcomers.learn(scope, hour));
    }
}

/// An open register. Clones are cheap and share one task.
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
    /// The URL is wrong, the database cannot be opened or read, or is something else.
    pub async fn open(url: &str) -> Result<Self, LedgerError> {
        Self::start(open::open(url, &REGISTER, true).await?).await
    }

    /// Opens a register that must exist, to look something up.
    ///
    /// # Errors
    /// As [`Self::open`], or there is none.
    pub async fn open_existing(url: &str) -> Result<Self, LedgerError> {
        Self::start(open::open(url, &REGISTER, false).await?).await
    }

    async fn start(store: Arc<dyn Store>) -> Result<Self, LedgerError> {
        let contents = Arc::new(Mutex::new(Contents::default()));
        let mut exchange =
            Exchange { store, contents: Arc::clone(&contents), read: NOTHING_READ, is_failing: false };
        exchange.exchange(0).await?;
        lock(&contents).newcomers.begin_again();
        let (commands, received) = mpsc::channel(16);
        tokio::spawn(exchange.run(received));
        Ok(Self { contents, commands })
    }

    /// Remembers a message; never waits.
    pub fn heard(&self, heard: &Heard<'_>) {
        lock(&self.contents).hear(heard);
    }

    /// What an address has heard, by its lookup key.
    #[must_use]
    pub fn vendor(&self, address: &str) -> Option<VendorRecord> {
        self.look(address, VendorRecord::clone)
    }

    /// Looks at what an address has heard, if anything, where it stands; by its lookup key.
    pub fn look<R>(&self, address: &str, look: impl FnOnce(&VendorRecord) -> R) -> Option<R> {
        lock(&self.contents).vendors.get(address).map(look)
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

    /// Waits until everything remembered before is in the database, and what others wrote before is here.
    ///
    /// # Errors
    /// The database could not be written; what was remembered is kept for the next attempt.
    pub async fn flush(&self) -> Result<(), LedgerError> {
        self.ask(Command::Flush).await
    }

    /// Writes what is not in the database yet and closes it, for all clones.
    ///
    /// # Errors
    /// The database could not be written.
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

/// The one task that talks to the database.
struct Exchange {
    store: Arc<dyn Store>,
    contents: Arc<Mutex<Contents>>,
    /// The revision up to which rows were read.
    read: i64,
    /// Whether the last attempt failed; a failure is told once.
    is_failing: bool,
}

impl Exchange {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut counted = Instant::now();
        loop {
            match tokio::time::timeout(EXCHANGE_EVERY, commands.recv()).await {
                Err(_) => {
                    if counted.elapsed() >= COUNTS_EVERY {
                        lock(&self.contents).counts_are_due();
                        counted = Instant::now();
                    }
                    self.exchange_or_warn(COUNTS_AT_ONCE).await;
                }
                Ok(Some(Command::Flush(reply))) => drop(reply.send(self.exchange_all().await)),
                Ok(Some(Command::Close(reply))) => {
                    let written = self.exchange_all().await;
                    let closed = self.store.close().await;
                    return drop(reply.send(written.and(closed)));
                }
                Ok(None) => {
                    lock(&self.contents).counts_are_due();
                    return self.exchange_or_warn(usize::MAX).await;
                }
            }
        }
    }

    async fn exchange_all(&mut self) -> Result<(), LedgerError> {
        lock(&self.contents).counts_are_due();
        self.exchange(usize::MAX).await
    }

    async fn exchange_or_warn(&mut self, counts: usize) {
        match self.exchange(counts).await {
            Ok(()) if std::mem::take(&mut self.is_failing) => {
                tracing::info!("the vendor register is written again");
            }
            Ok(()) => {}
            Err(error) if !std::mem::replace(&mut self.is_failing, true) => {
                tracing::warn!(%error, "the vendor register is not written; it is kept in memory meanwhile");
            }
            Err(_) => {}
        }
    }

    async fn exchange(&mut self, counts: usize) -> Result<(), LedgerError> {
        let telling = lock(&self.contents).take_untold(counts);
        let exchanged =
            if telling.untold.is_empty() { self.read().await } else { self.write(&telling).await };
        match exchanged {
            Ok(exchanged) => {
                self.read = exchanged.revision;
                lock(&self.contents).take_over(exchanged);
                Ok(())
            }
            Err(error) => {
                lock(&self.contents).put_back(telling.untold);
                Err(error)
            }
        }
    }

    async fn read(&self) -> Result<Exchanged, LedgerError> {
        let mut transaction = self.store.begin("reading", Access::Reading).await?;
        let revision = self.revision(transaction.as_mut(), "").await?;
        if revision == self.read {
            return Ok(Exchanged { revision, vendors: Vec::new(), hours: Vec::new() });
        }
        self.written_by_others(transaction.as_mut(), revision).await
    }

    /// Who writes holds the row of the revision, so that its order is that of the commits.
    async fn write(&self, telling: &Telling) -> Result<Exchanged, LedgerError> {
        let doing = "writing vendors to";
        let mut transaction = self.store.begin(doing, Access::WritingInHaste).await?;
        let for_update = self.store.dialect().for_update;
        let before = self.revision(transaction.as_mut(), for_update).await?;
        let revision = before + 1;
        let Telling { untold, standing } = telling;
        let store = self.store.as_ref();
        let mut exchanged = if before == self.read {
            // Nobody else wrote: how the records stand there is known here.
            vendors::forget(store, transaction.as_mut(), &untold.forgotten).await?;
            vendors::put(transaction.as_mut(), standing, revision).await?;
            Exchanged { revision, vendors: Vec::new(), hours: Vec::new() }
        } else {
            self.add_to_others(transaction.as_mut(), untold, revision).await?
        };
        let written = newcomers::add(store, transaction.as_mut(), &untold.newcomers, revision).await?;
        exchanged.hours.extend(written);
        let sql = "UPDATE register_revision SET revision = $1 WHERE id = 1";
        transaction.execute(doing, sql, vec![revision.into()]).await?;
        transaction.commit(doing).await?;
        Ok(exchanged)
    }

    /// Adds what was heard here to what others wrote since, and learns that.
    async fn add_to_others(
        &self,
        transaction: &mut dyn Transaction,
        untold: &Untold,
        revision: i64,
    ) -> Result<Exchanged, LedgerError> {
        let mut exchanged = self.written_by_others(transaction, revision).await?;
        let store = self.store.as_ref();
        vendors::forget(store, transaction, &untold.forgotten).await?;
        let written = vendors::add(store, transaction, &untold.heard, revision).await?;
        exchanged.vendors.retain(|record| !untold.heard.contains_key(&record.address));
        exchanged.vendors.extend(written);
        Ok(exchanged)
    }

    async fn revision(
        &self,
        transaction: &mut dyn Transaction,
        for_update: &str,
    ) -> Result<i64, LedgerError> {
        let sql = format!("SELECT revision FROM register_revision WHERE id = 1{for_update}");
        let rows = transaction.fetch("reading the revision of", &sql, Vec::new()).await?;
        rows.into_iter()
            .find_map(|mut row| row.integer())
            .ok_or_else(|| self.store.contradiction("the row of the revision is missing"))
    }

    async fn written_by_others(
        &self,
        transaction: &mut dyn Transaction,
        revision: i64,
    ) -> Result<Exchanged, LedgerError> {
        let vendors = vendors::since(self.store.as_ref(), transaction, self.read).await?;
        let hours = newcomers::since(self.store.as_ref(), transaction, self.read).await?;
        Ok(Exchanged { revision, vendors, hours })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::MAX_ORGANISATIONS;

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
    fn what_is_new_is_told_at_once_and_one_more_message_waits() {
        let mut contents = Contents::default();
        let hear = |contents: &mut Contents, organisation: &str, expected, seconds| {
            let organisations = [organisation.to_owned()];
            let (address, registered) = ("acme@s.example", true);
            let heard =
                Heard { address, registered, organisations: &organisations, expected, at: at(seconds) };
            contents.hear(&heard);
        };
        let told = |telling: Telling| {
            let heard = telling.untold.heard.into_values().next();
            heard.zip(telling.standing.into_iter().next()).map(|(heard, all)| (heard.messages, all.messages))
        };
        hear(&mut contents, "acme.example", false, 0);
        hear(&mut contents, "acme.example", false, 1);
        assert_eq!(told(contents.take_untold(0)), Some((2, 2)), "a new address");
        hear(&mut contents, "acme.example", false, 2);
        assert_eq!(told(contents.take_untold(9)), None, "nothing but counts");
        contents.counts_are_due();
        hear(&mut contents, "acme.example", false, 3);
        assert_eq!(told(contents.take_untold(0)), None, "due, and not at once");
        hear(&mut contents, "spam.example", false, 4);
        assert_eq!(told(contents.take_untold(0)), Some((3, 5)), "a new organisation, and the counts with it");
        hear(&mut contents, "acme.example", true, 5);
        assert_eq!(told(contents.take_untold(0)), Some((1, 6)), "the vendor is known as itself");
        hear(&mut contents, "acme.example", false, 6);
        assert_eq!(told(contents.take_untold(0)), None, "that does not change");
        contents.counts_are_due();
        assert_eq!(told(contents.take_untold(1)), Some((1, 7)), "its time has come");
        let record = &contents.vendors["acme@s.example"];
        assert_eq!((record.first_seen, record.last_seen, record.messages), (at(0), at(6), 7));
        assert_eq!(record.organisations["acme.example"].messages, 6);
    }

    #[test]
    fn counts_are_written_part_by_part_and_none_is_left() {
        const ADDRESSES: usize = 10;
        let mut contents = Contents::default();
        for round in 0..2 {
            for n in 0..ADDRESSES {
                let address = format!("vendor{n}@s.example");
                let (organisations, expected) = (&[][..], true);
                let heard =
                    Heard { address: &address, registered: true, organisations, expected, at: at(round) };
                contents.hear(&heard);
            }
            if round == 0 {
                assert_eq!(contents.take_untold(0).untold.heard.len(), ADDRESSES, "all are new");
            }
        }
        contents.counts_are_due();
        let mut part = || contents.take_untold(4).untold.heard.into_keys().collect::<Vec<_>>();
        let parts = [part(), part(), part(), part()];
        assert_eq!(parts.each_ref().map(Vec::len), [4, 4, 2, 0]);
        assert_eq!(parts.concat().into_iter().collect::<HashSet<_>>().len(), ADDRESSES);
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
        let untold = contents.take_untold(usize::MAX).untold;
        assert!(untold.forgotten.contains("guess0@s.example"));
        assert!(!untold.heard.contains_key("guess0@s.example"), "what is forgotten is not written");
    }
}
