//! The gate journal: recent decisions, looked up by the reference that a refusal names.
//!
//! Recording never waits and never fails: a bounded queue takes the entry or drops and counts it. One task
//! writes what gathered as one page, and deletes the oldest pages beyond the bounds in the same transaction. A
//! crash may cost what gathered last; mail is never kept waiting for the journal.
//!
//! References are random, so that an index of them would touch another page of the file for every decision, once
//! when it comes and once when it goes: ten times the work of all else in a journal that is full. Instead the
//! references of each page stand in one text, and a question reads all of these texts.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::error::LedgerError;
use crate::open::{self, JOURNAL};
use crate::reference::Reference;
use crate::store::{Access, Argument, Row, Store, Transaction, read_all};

/// How many decisions may wait to be written.
const QUEUE_ENTRIES: usize = 8_192;
/// The most decisions of one page.
const PAGE_ENTRIES: usize = 1_000;
/// How long a page gathers: the most that a crash costs, with the moment that writing takes.
const GATHER: Duration = Duration::from_millis(250);
/// The most decisions that one question returns.
const MAX_RECENT: u64 = 10_000;
/// The longest text of one field; what strangers send is cut here.
pub const MAX_FIELD_BYTES: usize = 1_024;
/// The longest detail; a longer one is replaced by a note of its length.
pub const MAX_DETAIL_BYTES: usize = 8 * 1_024;

/// One decision of the gate. `D` is the type of the rest: what the gate writes, it writes as its own types; what
/// is read back is JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalEntry<D = Value> {
    /// What the refusal names, and what an administrator looks up.
    pub reference: Reference,
    /// When it was decided, to the microsecond.
    pub at: DateTime<Utc>,
    /// The rule that decided.
    pub rule: String,
    /// What it decided: accept, reject, hold, reroute, tag.
    pub verdict: String,
    /// The recipient it was about, if one.
    pub recipient: Option<String>,
    /// The envelope sender; an empty text is the null sender.
    pub envelope_sender: Option<String>,
    /// The From header, as far as it was seen.
    pub header_from: Option<String>,
    /// The client, as the MTA names it.
    pub client: Option<String>,
    /// The queue id of the MTA.
    pub queue_id: Option<String>,
    /// The rest: trace, edits, what an observing rule would have done.
    pub detail: D,
}

/// How much the journal keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalBounds {
    /// Older decisions are deleted, with those written together with them.
    pub max_age: Duration,
    /// There are never more decisions: the oldest are deleted, with those written together with them.
    pub max_rows: u64,
}

impl Default for JournalBounds {
    /// Two weeks, one million decisions.
    fn default() -> Self {
        Self { max_age: Duration::from_secs(14 * 86_400), max_rows: 1_000_000 }
    }
}

impl JournalBounds {
    fn oldest_kept(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let age = TimeDelta::from_std(self.max_age).unwrap_or(TimeDelta::MAX);
        now.checked_sub_signed(age).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The most decisions of one page: all that may be kept have room in it.
    fn page_entries(&self) -> usize {
        usize::try_from(self.max_rows).unwrap_or(PAGE_ENTRIES).clamp(1, PAGE_ENTRIES)
    }
}

/// An open journal. Clones are cheap and share one writer.
#[derive(Debug, Clone)]
pub struct Journal {
    store: Arc<dyn Store>,
    queue: mpsc::Sender<Command>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Command {
    Record(Recorded),
    Flush(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

impl Journal {
    /// Opens the journal, and makes it if there is none. Needs a tokio runtime.
    ///
    /// # Errors
    /// The URL is wrong, the file cannot be opened, or is something else.
    pub async fn open(url: &str, bounds: JournalBounds) -> Result<Self, LedgerError> {
        Ok(Self::start(open::open(url, &JOURNAL, true).await?, bounds))
    }

    /// Opens a journal that must exist, to look something up.
    ///
    /// # Errors
    /// As [`Self::open`], or there is none.
    pub async fn open_existing(url: &str) -> Result<Self, LedgerError> {
        Ok(Self::start(open::open(url, &JOURNAL, false).await?, JournalBounds::default()))
    }

    fn start(store: Arc<dyn Store>, bounds: JournalBounds) -> Self {
        let (queue, commands) = mpsc::channel(QUEUE_ENTRIES);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer =
            Writer { store: Arc::clone(&store), bounds, dropped: Arc::clone(&dropped), failing: false };
        tokio::spawn(writer.run(commands));
        Self { store, queue, dropped }
    }

    /// Records a decision; never waits. If the queue is full the decision is dropped and counted.
    pub fn record<D: Serialize>(&self, entry: &JournalEntry<D>) {
        let recorded = Recorded::new(entry);
        if recorded.is_none_or(|recorded| self.queue.try_send(Command::Record(recorded)).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many decisions were not written since the journal was opened, because the queue was full or
    /// the database failed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything recorded before is written or counted as dropped.
    ///
    /// # Errors
    /// The journal is closed.
    pub async fn flush(&self) -> Result<(), LedgerError> {
        self.ask(Command::Flush).await
    }

    /// Writes what is queued and closes the database, for all clones.
    ///
    /// # Errors
    /// The journal is closed already.
    pub async fn close(&self) -> Result<(), LedgerError> {
        self.ask(Command::Close).await
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) -> Result<(), LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(command(reply)).await.map_err(|_| LedgerError::Closed)?;
        answer.await.map_err(|_| LedgerError::Closed)
    }

    /// The decision with this reference; the latest, if chance gave it twice.
    ///
    /// # Errors
    /// The database could not be read.
    pub async fn find(&self, reference: Reference) -> Result<Option<JournalEntry>, LedgerError> {
        let sql = "SELECT page.lines FROM decision_page AS page
                   JOIN decision_page_references AS held ON held.first = page.first
                   WHERE held.refs LIKE '%' || $1 || '%' ORDER BY page.first DESC";
        let found = self.read("looking up a reference in", sql, reference.as_str().into()).await?;
        Ok(found.into_iter().find(|entry| entry.reference == reference))
    }

    /// The latest decisions, newest first; at most 10,000.
    ///
    /// # Errors
    /// The database could not be read.
    pub async fn recent(&self, count: u64) -> Result<Vec<JournalEntry>, LedgerError> {
        let count = count.min(MAX_RECENT);
        // The page in which the first of them stands began at most one page before it.
        let sql = "SELECT lines FROM decision_page
                   WHERE first > (SELECT total FROM decision_total) - $1 ORDER BY first DESC";
        let mut found =
            self.read("reading the latest decisions from", sql, (count + PAGE_ENTRIES as u64).into()).await?;
        found.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// The decisions of the pages that a query finds, the newest of each page first.
    async fn read(
        &self,
        doing: &'static str,
        sql: &str,
        argument: Argument,
    ) -> Result<Vec<JournalEntry>, LedgerError> {
        let mut transaction = self.store.begin(doing, Access::Reading).await?;
        let rows = transaction.fetch(doing, sql, vec![argument]).await?;
        let page = |mut row: Row| row.text()?.lines().rev().map(journal_entry).collect::<Option<Vec<_>>>();
        Ok(read_all(self.store.as_ref(), rows, page)?.into_iter().flatten().collect())
    }
}

/// A decision as it is written: encoded once, before it takes room in the queue.
#[derive(Debug)]
struct Recorded {
    reference: Reference,
    at_us: i64,
    line: String,
}

/// A line of a page.
#[derive(Serialize, Deserialize)]
struct Line<'a, D> {
    reference: Reference,
    at_us: i64,
    rule: Cow<'a, str>,
    verdict: Cow<'a, str>,
    recipient: Option<Cow<'a, str>>,
    envelope_sender: Option<Cow<'a, str>>,
    header_from: Option<Cow<'a, str>>,
    client: Option<Cow<'a, str>>,
    queue_id: Option<Cow<'a, str>>,
    detail: D,
}

impl Recorded {
    /// What strangers can make long is cut. None if the detail cannot be written as JSON.
    fn new<D: Serialize>(entry: &JournalEntry<D>) -> Option<Self> {
        let mut line = line(entry, &entry.detail)?;
        // Only then may the detail be too long.
        if line.len() > MAX_DETAIL_BYTES {
            let length = serde_json::to_string(&entry.detail).ok()?.len();
            if length > MAX_DETAIL_BYTES {
                line = self::line(entry, &json!({"left_out_bytes": length}))?;
            }
        }
        Some(Self { reference: entry.reference, at_us: entry.at.timestamp_micros(), line })
    }
}

fn line<D>(entry: &JournalEntry<D>, detail: &impl Serialize) -> Option<String> {
    let line = Line {
        reference: entry.reference,
        at_us: entry.at.timestamp_micros(),
        rule: cut(&entry.rule),
        verdict: cut(&entry.verdict),
        recipient: entry.recipient.as_deref().map(cut),
        envelope_sender: entry.envelope_sender.as_deref().map(cut),
        header_from: entry.header_from.as_deref().map(cut),
        client: entry.client.as_deref().map(cut),
        queue_id: entry.queue_id.as_deref().map(cut),
        detail,
    };
    serde_json::to_string(&line).ok()
}

/// As much as is kept, counted as JSON writes it: a control character, which a stranger may send, takes six bytes there.
fn cut(text: &str) -> Cow<'_, str> {
    let mut written = 0;
    let is_beyond = |(_, letter): &(usize, char)| {
        written += match letter {
            '"' | '\\' => 2,
            '\0'..='\x1f' => 6,
            _ => letter.len_utf8(),
        };
        written > MAX_FIELD_BYTES
    };
    let is_surely_short = text.len() <= MAX_FIELD_BYTES / 6;
    let end = if is_surely_short { None } else { text.char_indices().find(is_beyond) };
    Cow::Borrowed(&text[..end.map_or(text.len(), |(at, _)| at)])
}

fn journal_entry(line: &str) -> Option<JournalEntry> {
    let line: Line<'_, Value> = serde_json::from_str(line).ok()?;
    Some(JournalEntry {
        reference: line.reference,
        at: DateTime::from_timestamp_micros(line.at_us)?,
        rule: line.rule.into_owned(),
        verdict: line.verdict.into_owned(),
        recipient: line.recipient.map(Cow::into_owned),
        envelope_sender: line.envelope_sender.map(Cow::into_owned),
        header_from: line.header_from.map(Cow::into_owned),
        client: line.client.map(Cow::into_owned),
        queue_id: line.queue_id.map(Cow::into_owned),
        detail: line.detail,
    })
}

/// Decisions that are written together.
#[derive(Debug, Default)]
struct Page {
    entries: u64,
    oldest_us: i64,
    /// One reference after the other.
    references: String,
    lines: String,
}

impl Page {
    fn add(&mut self, recorded: &Recorded) {
        let is_first = self.entries == 0;
        self.oldest_us = if is_first { recorded.at_us } else { self.oldest_us.min(recorded.at_us) };
        self.entries += 1;
        self.references.push_str(recorded.reference.as_str());
        self.lines.push_str(&recorded.line);
        self.lines.push('\n');
    }
}

/// The one task that writes to the journal.
struct Writer {
    store: Arc<dyn Store>,
    bounds: JournalBounds,
    dropped: Arc<AtomicU64>,
    /// Whether the last page failed; a failure is told once, not four times a second.
    failing: bool,
}

/// Why a page is written now.
enum Wake {
    Gathered,
    Flush(oneshot::Sender<()>),
    Close(Option<oneshot::Sender<()>>),
}

impl Writer {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let (page, wake) = gather(&mut commands, self.bounds.page_entries()).await;
            self.write(page).await;
            match wake {
                Wake::Gathered => {}
                Wake::Flush(reply) => tell(reply),
                Wake::Close(reply) => {
                    commands.close();
                    if let Err(error) = self.store.close().await {
                        tracing::warn!(%error, "the gate journal did not close");
                    }
                    return reply.into_iter().for_each(tell);
                }
            }
        }
    }

    async fn write(&mut self, page: Page) {
        let entries = page.entries;
        if entries == 0 {
            return;
        }
        match self.write_and_prune(page).await {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the gate journal is written again");
                }
            }
            Err(error) => {
                self.dropped.fetch_add(entries, Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "decisions are missing from the gate journal; mail goes on");
                }
            }
        }
    }

    async fn write_and_prune(&self, page: Page) -> Result<(), LedgerError> {
        let doing = "writing decisions to";
        let mut transaction = self.store.begin(doing, Access::WritingInHaste).await?;
        let total = self.count(transaction.as_mut(), page.entries).await?;
        let first = total.saturating_sub(page.entries) + 1;
        let sql = "INSERT INTO decision_page (first, oldest_us, lines) VALUES ($1, $2, $3)";
        transaction.execute(doing, sql, vec![first.into(), page.oldest_us.into(), page.lines.into()]).await?;
        let sql = "INSERT INTO decision_page_references (first, refs) VALUES ($1, $2)";
        transaction.execute(doing, sql, vec![first.into(), page.references.into()]).await?;
        self.prune(transaction.as_mut(), total).await?;
        transaction.commit(doing).await
    }

    /// How many decisions there have ever been, with so many more; until the commit no other gate counts.
    async fn count(&self, transaction: &mut dyn Transaction, more: u64) -> Result<u64, LedgerError> {
        let sql = "UPDATE decision_total SET total = total + $1 RETURNING total";
        let rows = transaction.fetch("counting decisions in", sql, vec![more.into()]).await?;
        let totals = read_all(self.store.as_ref(), rows, |mut row| row.number())?;
        totals.first().copied().ok_or_else(|| self.store.contradiction("the count of all decisions is gone"))
    }

    /// Both bounds lead to deletions from the old end of a table: nothing to delete costs next to nothing.
    async fn prune(&self, transaction: &mut dyn Transaction, total: u64) -> Result<(), LedgerError> {
        let doing = "deleting old decisions from";
        let oldest = self.bounds.oldest_kept(Utc::now()).timestamp_micros();
        let sql = "SELECT max(first) FROM decision_page WHERE oldest_us < $1";
        let rows = transaction.fetch(doing, sql, vec![oldest.into()]).await?;
        let too_old = read_all(self.store.as_ref(), rows, |mut row| row.nullable_integer())?;
        let too_many = i64::try_from(total.saturating_sub(self.bounds.max_rows)).unwrap_or(i64::MAX);
        let last = too_old.into_iter().flatten().fold(too_many, i64::max);
        for sql in [
            "DELETE FROM decision_page_references WHERE first <= $1",
            "DELETE FROM decision_page WHERE first <= $1",
        ] {
            transaction.execute(doing, sql, vec![last.into()]).await?;
        }
        Ok(())
    }
}

/// A caller that no longer waits needs no answer.
fn tell(reply: oneshot::Sender<()>) {
    let _ = reply.send(());
}

/// Collects entries for a moment, or until there are enough, or somebody waits.
async fn gather(commands: &mut mpsc::Receiver<Command>, enough: usize) -> (Page, Wake) {
    let mut page = Page::default();
    let mut deadline = None;
    loop {
        let received = match deadline {
            None => commands.recv().await,
            Some(deadline) => match tokio::time::timeout_at(deadline, commands.recv()).await {
                Ok(received) => received,
                Err(_) => return (page, Wake::Gathered),
            },
        };
        match received {
            Some(Command::Record(recorded)) => page.add(&recorded),
            Some(Command::Flush(reply)) => return (page, Wake::Flush(reply)),
            Some(Command::Close(reply)) => return (page, Wake::Close(Some(reply))),
            None => return (page, Wake::Close(None)),
        }
        if page.entries >= enough as u64 {
            return (page, Wake::Gathered);
        }
        deadline.get_or_insert_with(|| tokio::time::Instant::now() + GATHER);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds_ago: i64) -> DateTime<Utc> {
        let now = Utc::now() - TimeDelta::seconds(seconds_ago);
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap()
    }

    fn refusal(recipient: &str, seconds_ago: i64) -> JournalEntry {
        JournalEntry {
            reference: Reference::new(),
            at: at(seconds_ago),
            rule: "vendor-state".into(),
            verdict: "reject".into(),
            recipient: Some(recipient.into()),
            envelope_sender: Some(String::new()),
            header_from: None,
            client: Some("mail.vendor.example [192.0.2.1]".into()),
            queue_id: Some("4QXyZ1".into()),
            detail: json!({"trace": ["route", "vendor-state"], "quoted": "\"'\u{1f4e7}\\\0"}),
        }
    }

    async fn open(bounds: JournalBounds) -> Journal {
        Journal::open("sqlite::memory:", bounds).await.unwrap()
    }

    #[tokio::test]
    async fn a_decision_is_found_by_its_reference_as_it_was_recorded() {
        let journal = open(JournalBounds::default()).await;
        let entries = [refusal("a@bills.example", 1), refusal("b'\n@bills.example", 0)];
        entries.iter().for_each(|entry| journal.record(entry));
        journal.flush().await.unwrap();
        assert_eq!(journal.find(entries[0].reference).await.unwrap().as_ref(), Some(&entries[0]));
        assert_eq!(journal.find(entries[1].reference).await.unwrap().as_ref(), Some(&entries[1]));
        assert_eq!(journal.find(Reference::new()).await.unwrap(), None);
        assert_eq!(journal.recent(1).await.unwrap(), entries[1..]);
        assert_eq!(journal.dropped(), 0);
    }

    #[tokio::test]
    async fn only_the_newest_rows_are_kept() {
        let journal = open(JournalBounds { max_rows: 100, ..JournalBounds::default() }).await;
        let entries: Vec<_> = (0..1_500).map(|n| refusal(&format!("r{n}@bills.example"), 0)).collect();
        entries.iter().for_each(|entry| journal.record(entry));
        journal.flush().await.unwrap();
        let mut kept = journal.recent(10_000).await.unwrap();
        kept.reverse();
        assert_eq!(kept, entries[1_400..]);
    }

    #[tokio::test]
    async fn old_decisions_are_deleted_when_new_ones_come() {
        let journal = open(JournalBounds { max_age: Duration::from_secs(60), max_rows: 100 }).await;
        let (old, new) = (refusal("old@bills.example", 61), refusal("new@bills.example", 0));
        for entry in [&old, &new] {
            journal.record(entry);
            journal.flush().await.unwrap();
        }
        assert_eq!(journal.recent(10).await.unwrap(), [new]);
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts_and_does_not_wait() {
        // The writer cannot run between these calls: this test has one thread and does not await.
        let journal = open(JournalBounds::default()).await;
        for n in 0..QUEUE_ENTRIES + 7 {
            journal.record(&refusal(&format!("r{n}@bills.example"), 0));
        }
        assert_eq!(journal.dropped(), 7);
        journal.flush().await.unwrap();
        assert_eq!(journal.recent(10_000).await.unwrap().len(), QUEUE_ENTRIES);
        assert_eq!(journal.dropped(), 7);
    }

    #[tokio::test]
    async fn what_a_stranger_makes_long_is_cut() {
        let journal = open(JournalBounds::default()).await;
        let long = JournalEntry {
            header_from: Some("\u{e9}".repeat(100_000)),
            envelope_sender: Some("\u{1}".repeat(100_000)),
            queue_id: Some("\\".repeat(100_000)),
            detail: json!({"trace": "x".repeat(100_000)}),
            ..refusal("a@bills.example", 0)
        };
        journal.record(&long);
        journal.flush().await.unwrap();
        let kept = journal.find(long.reference).await.unwrap().unwrap();
        assert_eq!(kept.header_from.unwrap().len(), MAX_FIELD_BYTES);
        assert_eq!(kept.envelope_sender.unwrap().len(), MAX_FIELD_BYTES / 6);
        assert_eq!(kept.queue_id.unwrap().len(), MAX_FIELD_BYTES / 2);
        assert_eq!(kept.detail, json!({"left_out_bytes": 100_012}));
    }

    #[tokio::test]
    async fn of_two_decisions_with_one_reference_the_later_is_found() {
        let journal = open(JournalBounds::default()).await;
        let first = refusal("a@bills.example", 0);
        let second = JournalEntry { reference: first.reference, ..refusal("b@bills.example", 0) };
        for entry in [&first, &second] {
            journal.record(entry);
        }
        journal.flush().await.unwrap();
        assert_eq!(journal.find(first.reference).await.unwrap().as_ref(), Some(&second));
        journal.record(&JournalEntry { reference: Reference::new(), ..first });
        journal.flush().await.unwrap();
        assert_eq!(journal.find(second.reference).await.unwrap(), Some(second));
    }

    #[tokio::test]
    async fn two_references_that_hold_a_third_between_them_are_not_taken_for_it() {
        let journal = open(JournalBounds::default()).await;
        let [left, right]: [Reference; 2] =
            ["AAAAAA000000", "111111BBBBBB"].map(|text| text.parse().unwrap());
        for reference in [left, right] {
            journal.record(&JournalEntry { reference, ..refusal("a@bills.example", 0) });
        }
        journal.flush().await.unwrap();
        assert_eq!(journal.find("000000111111".parse().unwrap()).await.unwrap(), None);
        assert_eq!(journal.find(left).await.unwrap().unwrap().reference, left);
    }

    #[tokio::test]
    async fn what_is_recorded_before_closing_is_there_after_opening() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("journal.db").display());
        let entry = refusal("a@bills.example", 0);
        let journal = Journal::open(&url, JournalBounds::default()).await.unwrap();
        journal.record(&entry);
        journal.close().await.unwrap();
        journal.record(&refusal("late@bills.example", 0));
        assert_eq!(journal.dropped(), 1);
        let again = Journal::open_existing(&url).await.unwrap();
        assert_eq!(again.find(entry.reference).await.unwrap(), Some(entry));
    }
}
