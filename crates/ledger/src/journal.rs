//! The gate journal: recent decisions, looked up by the reference that a refusal names.
//!
//! Recording never waits and never fails: a bounded queue takes the entry or drops and counts it. One task
//! writes what gathered, and deletes the oldest rows beyond the bounds in the same transaction. A crash may
//! cost what gathered last; mail is never kept waiting for the journal.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::error::LedgerError;
use crate::event::searchable;
use crate::open::{self, JOURNAL};
use crate::reference::Reference;
use crate::store::{Access, Argument, Column, Row, Rows, Store, Transaction, read_all};

/// How many decisions may wait to be written.
const QUEUE_ENTRIES: usize = 8_192;
/// The most decisions written in one transaction.
const BATCH_ENTRIES: usize = 1_000;
/// How long a batch gathers: the most that a crash costs, with the moment that writing takes.
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
    /// Older decisions are deleted.
    pub max_age: Duration,
    /// Of more decisions the oldest are deleted.
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
    Record(Box<JournalRow>),
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
        let row = journal_row(entry);
        if row.is_none_or(|row| self.queue.try_send(Command::Record(Box::new(row))).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many decisions were not written since the journal was opened, because the queue was full, the
    /// database failed, or their reference was taken.
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

    /// The decision with this reference.
    ///
    /// # Errors
    /// The database could not be read.
    pub async fn find(&self, reference: Reference) -> Result<Option<JournalEntry>, LedgerError> {
        let sql = format!("{DECISION_COLUMNS} WHERE reference = $1");
        let found = self.read("looking up a reference in", &sql, reference.as_str().into()).await?;
        Ok(found.into_iter().next())
    }

    /// The latest decisions, newest first; at most 10,000.
    ///
    /// # Errors
    /// The database could not be read.
    pub async fn recent(&self, count: u64) -> Result<Vec<JournalEntry>, LedgerError> {
        let sql = format!("{DECISION_COLUMNS} ORDER BY seq DESC LIMIT $1");
        self.read("reading the latest decisions from", &sql, count.min(MAX_RECENT).into()).await
    }

    async fn read(
        &self,
        doing: &'static str,
        sql: &str,
        argument: Argument,
    ) -> Result<Vec<JournalEntry>, LedgerError> {
        let mut transaction = self.store.begin(doing, Access::Reading).await?;
        let rows = transaction.fetch(doing, sql, vec![argument]).await?;
        read_all(self.store.as_ref(), rows, journal_entry)
    }
}

/// A decision as it is written: encoded once, before it takes room in the queue.
#[derive(Debug)]
struct JournalRow {
    reference: Reference,
    at_us: i64,
    rule: String,
    verdict: String,
    recipient: Option<String>,
    envelope_sender: Option<String>,
    header_from: Option<String>,
    client: Option<String>,
    queue_id: Option<String>,
    detail: String,
}

/// What strangers can make long is cut. None if the detail cannot be written as JSON.
fn journal_row<D: Serialize>(entry: &JournalEntry<D>) -> Option<JournalRow> {
    let mut detail = serde_json::to_string(&entry.detail).ok()?;
    if detail.len() > MAX_DETAIL_BYTES {
        detail = format!("{{\"left_out_bytes\":{}}}", detail.len());
    }
    let owned = |text: &Option<String>| text.as_deref().map(|text| cut(text).into_owned());
    Some(JournalRow {
        reference: entry.reference,
        at_us: entry.at.timestamp_micros(),
        rule: cut(&entry.rule).into_owned(),
        verdict: cut(&entry.verdict).into_owned(),
        recipient: owned(&entry.recipient),
        envelope_sender: owned(&entry.envelope_sender),
        header_from: owned(&entry.header_from),
        client: owned(&entry.client),
        queue_id: owned(&entry.queue_id),
        detail,
    })
}

fn cut(text: &str) -> Cow<'_, str> {
    let text = if text.contains('\0') { Cow::Owned(searchable(text)) } else { Cow::Borrowed(text) };
    let end = text.floor_char_boundary(MAX_FIELD_BYTES);
    match text {
        whole if end == whole.len() => whole,
        Cow::Borrowed(long) => Cow::Borrowed(&long[..end]),
        Cow::Owned(long) => Cow::Owned(long[..end].to_owned()),
    }
}

const DECISION_COLUMNS: &str = "SELECT reference, at_us, rule, verdict, recipient, envelope_sender,
    header_from, client, queue_id, detail FROM decision";

fn journal_entry(mut row: Row) -> Option<JournalEntry> {
    Some(JournalEntry {
        reference: row.text()?.parse().ok()?,
        at: DateTime::from_timestamp_micros(row.integer()?)?,
        rule: row.text()?,
        verdict: row.text()?,
        recipient: row.nullable_text()?,
        envelope_sender: row.nullable_text()?,
        header_from: row.nullable_text()?,
        client: row.nullable_text()?,
        queue_id: row.nullable_text()?,
        detail: serde_json::from_str(&row.text()?).ok()?,
    })
}

/// The one task that writes to the journal.
struct Writer {
    store: Arc<dyn Store>,
    bounds: JournalBounds,
    dropped: Arc<AtomicU64>,
    /// Whether the last batch failed; a failure is told once, not four times a second.
    failing: bool,
}

/// Why a batch is written now.
enum Wake {
    Gathered,
    Flush(oneshot::Sender<()>),
    Close(Option<oneshot::Sender<()>>),
}

impl Writer {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let (batch, wake) = gather(&mut commands).await;
            self.write(batch).await;
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

    async fn write(&mut self, batch: Vec<JournalRow>) {
        if batch.is_empty() {
            return;
        }
        let all = batch.len() as u64;
        match self.write_and_prune(batch).await {
            Ok(written) => {
                self.count_dropped(all.saturating_sub(written));
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the gate journal is written again");
                }
            }
            Err(error) => {
                self.count_dropped(all);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "decisions are missing from the gate journal; mail goes on");
                }
            }
        }
    }

    fn count_dropped(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    async fn write_and_prune(&self, batch: Vec<JournalRow>) -> Result<u64, LedgerError> {
        let doing = "writing decisions to";
        let mut transaction = self.store.begin(doing, Access::WritingInHaste).await?;
        let written = transaction.insert(doing, rows(batch)).await?;
        self.prune(transaction.as_mut(), Utc::now()).await?;
        transaction.commit(doing).await?;
        Ok(written)
    }

    /// Both are deletions from the old end of an index: nothing to delete costs next to nothing. Of several
    /// gates one deletes at a time; the others leave it to that one.
    async fn prune(&self, transaction: &mut dyn Transaction, now: DateTime<Utc>) -> Result<(), LedgerError> {
        let doing = "deleting old decisions from";
        let turn = transaction.fetch(doing, self.store.dialect().try_turn, Vec::new()).await?;
        if turn.into_iter().find_map(|mut row| row.integer()) != Some(1) {
            return Ok(());
        }
        let oldest = self.bounds.oldest_kept(now).timestamp_micros();
        let sql = "DELETE FROM decision WHERE at_us < $1";
        transaction.execute(doing, sql, vec![oldest.into()]).await?;
        let sql = "DELETE FROM decision WHERE seq <= (SELECT max(seq) FROM decision) - $1";
        transaction.execute(doing, sql, vec![self.bounds.max_rows.into()]).await.map(drop)
    }
}

/// A caller that no longer waits needs no answer.
fn tell(reply: oneshot::Sender<()>) {
    let _ = reply.send(());
}

/// Collects entries for a moment, or until there are enough, or somebody waits.
async fn gather(commands: &mut mpsc::Receiver<Command>) -> (Vec<JournalRow>, Wake) {
    let mut batch = Vec::new();
    let mut deadline = None;
    loop {
        let received = match deadline {
            None => commands.recv().await,
            Some(deadline) => match tokio::time::timeout_at(deadline, commands.recv()).await {
                Ok(received) => received,
                Err(_) => return (batch, Wake::Gathered),
            },
        };
        match received {
            Some(Command::Record(entry)) => batch.push(*entry),
            Some(Command::Flush(reply)) => return (batch, Wake::Flush(reply)),
            Some(Command::Close(reply)) => return (batch, Wake::Close(Some(reply))),
            None => return (batch, Wake::Close(None)),
        }
        if batch.len() >= BATCH_ENTRIES {
            return (batch, Wake::Gathered);
        }
        deadline.get_or_insert_with(|| tokio::time::Instant::now() + GATHER);
    }
}

fn rows(batch: Vec<JournalRow>) -> Rows {
    let mut columns = Columns::default();
    batch.into_iter().for_each(|row| columns.add(row));
    columns.rows()
}

/// Rows of `decision`.
#[derive(Default)]
struct Columns {
    references: Vec<String>,
    instants: Vec<i64>,
    rules: Vec<String>,
    verdicts: Vec<String>,
    recipients: Vec<Option<String>>,
    envelope_senders: Vec<Option<String>>,
    headers_from: Vec<Option<String>>,
    clients: Vec<Option<String>>,
    queue_ids: Vec<Option<String>>,
    details: Vec<String>,
}

impl Columns {
    fn add(&mut self, row: JournalRow) {
        self.references.push(row.reference.as_str().to_owned());
        self.instants.push(row.at_us);
        self.rules.push(row.rule);
        self.verdicts.push(row.verdict);
        self.recipients.push(row.recipient);
        self.envelope_senders.push(row.envelope_sender);
        self.headers_from.push(row.header_from);
        self.clients.push(row.client);
        self.queue_ids.push(row.queue_id);
        self.details.push(row.detail);
    }

    fn rows(self) -> Rows {
        Rows {
            table: "decision",
            columns: vec![
                ("reference", Column::Texts(self.references)),
                ("at_us", Column::Integers(self.instants)),
                ("rule", Column::Texts(self.rules)),
                ("verdict", Column::Texts(self.verdicts)),
                ("recipient", Column::NullableTexts(self.recipients)),
                ("envelope_sender", Column::NullableTexts(self.envelope_senders)),
                ("header_from", Column::NullableTexts(self.headers_from)),
                ("client", Column::NullableTexts(self.clients)),
                ("queue_id", Column::NullableTexts(self.queue_ids)),
                ("detail", Column::Texts(self.details)),
            ],
            otherwise: "ON CONFLICT (reference) DO NOTHING",
        }
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
        journal.record(&old);
        journal.record(&new);
        journal.flush().await.unwrap();
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
            detail: json!({"trace": "x".repeat(100_000)}),
            ..refusal("a@bills.example", 0)
        };
        journal.record(&long);
        journal.flush().await.unwrap();
        let kept = journal.find(long.reference).await.unwrap().unwrap();
        assert_eq!(kept.header_from.unwrap().len(), MAX_FIELD_BYTES);
        assert_eq!(kept.detail, json!({"left_out_bytes": 100_012}));
    }

    #[tokio::test]
    async fn a_reference_that_is_taken_is_counted_and_the_first_stays() {
        let journal = open(JournalBounds::default()).await;
        let first = refusal("a@bills.example", 0);
        journal.record(&first);
        journal.record(&JournalEntry { reference: first.reference, ..refusal("b@bills.example", 0) });
        journal.flush().await.unwrap();
        assert_eq!(journal.find(first.reference).await.unwrap(), Some(first));
        assert_eq!(journal.dropped(), 1);
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
