//! The handle that programs hold, and the one task behind it that writes.
//!
//! Appends that wait at the same time are committed together: while one transaction is written, the next batch
//! gathers and is made ready. An append is answered only after the commit that holds it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::anchor::{Anchor, AnchorError};
use crate::append::{Batch, Receipt, Written};
use crate::bundle::{BUNDLE_SCHEMA, Bundle};
use crate::checkpoint::{Checkpoint, CheckpointKey, SignedNote};
use crate::error::{EventError, LedgerError};
use crate::event::{Draft, Event, EventKind, StoredEvent};
use crate::export::{self, ExportedEntry};
use crate::filter::EventFilter;
use crate::merkle::{Frontier, Hash};
use crate::proof::{ConsistencyProof, InclusionProof};
use crate::random::Salts;
use crate::refusals::{Accumulator, Hour, RefusalSum, hour_of};
use crate::retention::Retention;
use crate::store::{Access, Store};
use crate::view::View;
use crate::{append, open, sums, tree};

/// The most events of one [`Ledger::append_all`].
pub const MAX_EVENTS_PER_CALL: usize = 1_000;
/// The most entries of one exported case.
pub const MAX_ENTRIES_PER_CASE: u64 = 100_000;
/// How many calls may wait for the writer; further ones wait for a place.
const QUEUE_CALLS: usize = 1_024;
/// How many bytes of events may wait for the writer.
const QUEUE_BYTES: usize = 64 << 20;
/// The most calls that are committed together.
const BATCH_CALLS: usize = 512;
/// How long after the end of an hour its refusals are entered: other processes flush within that time.
const HOUR_GRACE: TimeDelta = TimeDelta::minutes(2);

/// What can be chosen when a ledger is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerOptions {
    /// Whether a missing file is made.
    pub create: bool,
    /// How often counted refusals are written: the most that a crash can forget.
    pub refusal_flush: Duration,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self { create: true, refusal_flush: Duration::from_secs(5) }
    }
}

/// The size of a ledger and the root over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct TreeHead {
    /// How many entries.
    pub size: u64,
    /// The RFC 6962 root over them.
    pub root: Hash,
}

/// An open ledger. Clones are cheap and share one writer; other processes may have the same file open.
#[derive(Clone)]
pub struct Ledger {
    store: Arc<dyn Store>,
    queue: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    refusals: Arc<Mutex<Accumulator>>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

type Reply<T> = oneshot::Sender<Result<T, LedgerError>>;

enum Command {
    Append(Waiting),
    Flush { now: DateTime<Utc>, reply: Reply<()> },
    Close { reply: Reply<()> },
}

struct Waiting {
    drafts: Vec<Draft>,
    reply: Reply<Vec<Receipt>>,
    _room: OwnedSemaphorePermit,
}

impl Ledger {
    /// Opens a ledger, and makes it if there is none. Needs a tokio runtime.
    ///
    /// # Errors
    /// The URL is wrong, the file cannot be opened, or is something else.
    pub async fn open(url: &str) -> Result<Self, LedgerError> {
        Self::open_with(url, LedgerOptions::default()).await
    }

    /// Opens a ledger that must exist.
    ///
    /// # Errors
    /// As [`Self::open`], or there is none.
    pub async fn open_existing(url: &str) -> Result<Self, LedgerError> {
        Self::open_with(url, LedgerOptions { create: false, ..LedgerOptions::default() }).await
    }

    /// Opens a ledger with options.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(url: &str, options: LedgerOptions) -> Result<Self, LedgerError> {
        let store = open::open(url, &open::LEDGER, options.create).await?;
        let refusals = Arc::new(Mutex::new(Accumulator::default()));
        let (queue, commands) = mpsc::channel(QUEUE_CALLS);
        let writer =
            Writer { store: Arc::clone(&store), refusals: Arc::clone(&refusals), entered_before: Hour::MIN };
        tokio::spawn(writer.run(commands, options.refusal_flush));
        Ok(Self { store, queue, room: Arc::new(Semaphore::new(QUEUE_BYTES)), refusals })
    }

    /// Appends one event; returns when it is durable. If the caller stops waiting, it may be recorded all the
    /// same.
    ///
    /// # Errors
    /// The event is not valid, or the database could not record it: then nothing of it is recorded.
    pub async fn append(&self, event: Event) -> Result<Receipt, LedgerError> {
        let receipts = self.append_all(vec![event]).await?;
        receipts.into_iter().next().ok_or(LedgerError::Closed)
    }

    /// Appends several events as neighbouring entries, all or none; returns when they are durable.
    ///
    /// # Errors
    /// As [`Self::append`], or there are more than [`MAX_EVENTS_PER_CALL`].
    pub async fn append_all(&self, events: Vec<Event>) -> Result<Vec<Receipt>, LedgerError> {
        if events.len() > MAX_EVENTS_PER_CALL {
            return Err(EventError::TooMany(events.len(), MAX_EVENTS_PER_CALL).into());
        }
        let mut salts = Salts::new();
        let drafts: Vec<Draft> = events
            .into_iter()
            .map(|event| Draft::with_salt(event, || salts.next_salt()))
            .collect::<Result<_, _>>()?;
        let room = self.room_for(&drafts).await?;
        self.ask(|reply| Command::Append(Waiting { drafts, reply, _room: room })).await
    }

    async fn room_for(&self, drafts: &[Draft]) -> Result<OwnedSemaphorePermit, LedgerError> {
        let bytes = drafts.iter().map(Draft::weight).sum::<usize>().clamp(1, QUEUE_BYTES);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| LedgerError::Closed)
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(command(reply)).await.map_err(|_| LedgerError::Closed)?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    /// Counts a refusal; never waits. `object` is a policy object, never a name that a stranger chose.
    pub fn record_refusal(&self, rule: &str, object: &str, at: DateTime<Utc>) {
        lock(&self.refusals).add(hour_of(at), rule, object, 1);
    }

    /// Writes the counted refusals, and enters the hours that ended before `now` into the ledger.
    ///
    /// # Errors
    /// The database could not be written; the counts are kept for the next flush.
    pub async fn flush_refusals(&self, now: DateTime<Utc>) -> Result<(), LedgerError> {
        self.ask(|reply| Command::Flush { now, reply }).await
    }

    /// The refusals summed per rule, policy object and hour, from the hour of `since` on.
    ///
    /// # Errors
    /// The database could not be read.
    pub async fn refusal_sums(&self, since: DateTime<Utc>) -> Result<Vec<RefusalSum>, LedgerError> {
        sums::since(self.store.as_ref(), hour_of(since)).await
    }

    /// Entries that pass the filter.
    ///
    /// # Errors
    /// The database could not be read, or an entry in it is not what was written.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, LedgerError> {
        self.view().await?.events(filter).await
    }

    /// Erases the detail (subject, payload, prior state) of one entry, and records who did so and why.
    ///
    /// # Errors
    /// There is nothing to erase, or the database could not be written.
    pub async fn erase(
        &self,
        index: u64,
        actor: &str,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<Receipt, LedgerError> {
        let record = |_: &[u64]| {
            let erased = Event::new(EventKind::LedgerErased, at, actor, format!("entry {index}"));
            Ok(Draft::new(&erased.because(reason).with(json!({"index": index})))?)
        };
        append::erase(&self.store, &[index], record).await?.ok_or(LedgerError::NothingToErase(index))
    }

    /// Erases every detail whose time is over, and records it; how many were erased.
    ///
    /// # Errors
    /// The database could not be read or written; what was erased before that is recorded.
    pub async fn erase_expired(
        &self,
        retention: &Retention,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<u64, LedgerError> {
        let Some(newest) = retention.newest_possible(now) else { return Ok(0) };
        let (mut after, mut erased) = (-1, 0);
        loop {
            let old = self.view().await?.details_before(newest, after).await?;
            let Some((last, ..)) = old.last() else { return Ok(erased) };
            after = i64::try_from(*last).unwrap_or(i64::MAX);
            let is_over = |(_, kind, at): &&(u64, String, DateTime<Utc>)| retention.is_over(kind, *at, now);
            let over: Vec<u64> = old.iter().filter(is_over).map(|(index, ..)| *index).collect();
            if !over.is_empty() {
                append::erase(&self.store, &over, |gone| expired(gone, actor, now)).await?;
                erased += over.len() as u64;
            }
        }
    }

    /// Takes a checkpoint to every anchor, and records where it arrived; the errors of the others.
    ///
    /// # Errors
    /// The database could not be read or written, or the ledger does not go on from the last checkpoint.
    pub async fn anchor(
        &self,
        key: &CheckpointKey,
        anchors: &[Anchor],
        actor: &str,
        at: DateTime<Utc>,
    ) -> Result<Anchored, LedgerError> {
        let note = self.checkpoint(key).await?;
        let checkpoint: Checkpoint = note.text().parse()?;
        let (mut reached, mut failed) = (Vec::new(), Vec::new());
        for anchor in anchors {
            match anchor.take(&note).await {
                Ok(()) => reached.push(anchor.to_string()),
                Err(error) => failed.push(error),
            }
        }
        if !reached.is_empty() {
            let event = Event::new(EventKind::LedgerAnchored, at, actor, "ledger");
            let payload = json!({"size": checkpoint.size, "root": checkpoint.root, "anchors": reached});
            self.append(event.with(payload)).await?;
        }
        Ok(Anchored { note, reached, failed })
    }

    /// A case with proofs that lead to a checkpoint of the present state, to be checked without the database.
    ///
    /// # Errors
    /// There is no such case, it is too large, or as [`Self::checkpoint`].
    pub async fn export_case(&self, case: &str, key: &CheckpointKey) -> Result<Bundle, LedgerError> {
        let note = self.checkpoint(key).await?;
        let size = note.text().parse::<Checkpoint>()?.size;
        let mut view = self.view().await?;
        let mut indices = view.case(case, MAX_ENTRIES_PER_CASE + 1).await?;
        indices.retain(|index| *index < size);
        if indices.is_empty() {
            return Err(LedgerError::NoSuchCase(case.to_owned()));
        }
        if indices.len() as u64 > MAX_ENTRIES_PER_CASE {
            return Err(view.contradiction(format!("the case {case:?} has too many entries to export")));
        }
        let mut entries = Vec::with_capacity(indices.len());
        for index in indices {
            entries.push(export::export(&mut view, index, size).await?);
        }
        let (schema, case) = (BUNDLE_SCHEMA.to_owned(), case.to_owned());
        Ok(Bundle { schema, case, checkpoint: note.to_string(), entries })
    }

    /// The size and the root as they are now.
    ///
    /// # Errors
    /// The database could not be read.
    pub async fn head(&self) -> Result<TreeHead, LedgerError> {
        let view = self.view().await?;
        let frontier = view.head();
        Ok(TreeHead { size: frontier.size(), root: frontier.root() })
    }

    /// Proof that an entry is in the ledger of `size` entries.
    ///
    /// # Errors
    /// There is no such entry or size, or hashes are missing.
    pub async fn inclusion_proof(&self, index: u64, size: u64) -> Result<InclusionProof, LedgerError> {
        tree::inclusion_proof(&mut self.view().await?, index, size).await
    }

    /// Proof that the ledger of `old` entries is the beginning of that of `new` entries.
    ///
    /// # Errors
    /// There are no such sizes, or hashes are missing.
    pub async fn consistency_proof(&self, old: u64, new: u64) -> Result<ConsistencyProof, LedgerError> {
        tree::consistency_proof(&mut self.view().await?, old, new).await
    }

    /// Entries with proofs that they are in the ledger of `size` entries, to be checked without the database.
    ///
    /// # Errors
    /// There is no such entry or size, or hashes are missing.
    pub async fn export(&self, indices: &[u64], size: u64) -> Result<Vec<ExportedEntry>, LedgerError> {
        let mut view = self.view().await?;
        let mut exported = Vec::with_capacity(indices.len());
        for index in indices {
            exported.push(export::export(&mut view, *index, size).await?);
        }
        Ok(exported)
    }

    /// Signs the present state and keeps the note, unless the ledger does not go on from the checkpoint
    /// before.
    ///
    /// # Errors
    /// The ledger was altered or truncated since the last checkpoint, or the database could not be read or
    /// written.
    pub async fn checkpoint(&self, key: &CheckpointKey) -> Result<SignedNote, LedgerError> {
        let mut view = self.view().await?;
        let head = view.head().clone();
        if tree::range_root(&mut view, 0..head.size()).await? != head.root() {
            return Err(view.contradiction("the stored right edge is not that of the entries".to_owned()));
        }
        check_goes_on(&mut view, head.size()).await?;
        drop(view);
        let note = key.sign(head.size(), head.root());
        self.keep(head.size(), &note).await?;
        Ok(note)
    }

    async fn keep(&self, size: u64, note: &SignedNote) -> Result<(), LedgerError> {
        let doing = "keeping a checkpoint in";
        let mut transaction = self.store.begin(doing, Access::Writing).await?;
        let sql = "INSERT INTO ledger_checkpoint (size, note) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        transaction.execute(doing, sql, vec![size.into(), note.to_string().into()]).await?;
        transaction.commit(doing).await
    }

    /// The checkpoints kept beside the tree, smallest first; their signatures are not checked.
    ///
    /// # Errors
    /// The database could not be read, or a note in it is malformed.
    pub async fn checkpoints(&self) -> Result<Vec<SignedNote>, LedgerError> {
        let notes = self.view().await?.checkpoints().await?;
        Ok(notes.iter().map(|note| note.parse()).collect::<Result<_, _>>()?)
    }

    pub(crate) async fn view(&self) -> Result<View, LedgerError> {
        View::open(&self.store).await
    }

    /// Finishes what is queued, writes the counted refusals and closes the database, for all clones.
    ///
    /// # Errors
    /// The counted refusals could not be written; the database is closed all the same.
    pub async fn close(&self) -> Result<(), LedgerError> {
        self.ask(|reply| Command::Close { reply }).await
    }
}

/// What became of a checkpoint that was to be anchored.
#[derive(Debug)]
pub struct Anchored {
    /// The checkpoint.
    pub note: SignedNote,
    /// The anchors that have it.
    pub reached: Vec<String>,
    /// The anchors that do not, and why.
    pub failed: Vec<AnchorError>,
}

fn expired(erased: &[u64], actor: &str, at: DateTime<Utc>) -> Result<Draft, LedgerError> {
    let event = Event::new(EventKind::LedgerErased, at, actor, format!("{} entries", erased.len()));
    Ok(Draft::new(&event.because("retention").with(json!({"indices": erased})))?)
}

/// Signing two states of which one is not the beginning of the other would vouch for a forgery.
async fn check_goes_on(view: &mut View, size: u64) -> Result<(), LedgerError> {
    let Some(note) = view.checkpoints().await?.pop() else { return Ok(()) };
    let last: Checkpoint = note.parse::<SignedNote>()?.text().parse()?;
    if last.size > size {
        return Err(view.contradiction(format!("{size} entries, but a checkpoint signed {}", last.size)));
    }
    if tree::range_root(view, 0..last.size).await? != last.root {
        return Err(
            view.contradiction(format!("the first {} entries are not those signed before", last.size))
        );
    }
    Ok(())
}

/// A panic while counting leaves counts that are still counts.
fn lock(refusals: &Mutex<Accumulator>) -> std::sync::MutexGuard<'_, Accumulator> {
    refusals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls that are committed together.
struct Gathered {
    batch: Batch,
    callers: Vec<Caller>,
    /// What is asked for after them, other than an append.
    then: Option<Command>,
}

/// Who waits for so many entries.
struct Caller {
    entries: usize,
    reply: Reply<Vec<Receipt>>,
    _room: OwnedSemaphorePermit,
}

impl Gathered {
    fn on(edge: Option<Frontier>) -> Self {
        Self { batch: Batch::on(edge), callers: Vec::new(), then: None }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Append(Waiting { drafts, reply, _room }) => {
                self.callers.push(Caller { entries: drafts.len(), reply, _room });
                drafts.into_iter().for_each(|draft| self.batch.add(draft));
            }
            other => self.then = Some(other),
        }
    }

    fn is_full(&self) -> bool {
        self.then.is_some() || self.callers.len() >= BATCH_CALLS
    }

    fn is_empty(&self) -> bool {
        self.then.is_none() && self.callers.is_empty()
    }
}

/// Tells all callers of a batch what became of it.
fn answer_all(callers: Vec<Caller>, written: Result<Vec<Receipt>, LedgerError>) {
    match written {
        Ok(receipts) => {
            let mut receipts = receipts.into_iter();
            for Caller { entries, reply, .. } in callers {
                answer(reply, Ok(receipts.by_ref().take(entries).collect()));
            }
        }
        Err(error) => {
            for Caller { reply, .. } in callers {
                answer(reply, Err(error.clone()));
            }
        }
    }
}

/// The one task of a process that writes to the ledger.
struct Writer {
    store: Arc<dyn Store>,
    refusals: Arc<Mutex<Accumulator>>,
    /// Hours before this one have been entered.
    entered_before: Hour,
}

impl Writer {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, period: Duration) {
        let period = period.max(Duration::from_millis(1));
        // The first flush comes after a whole period: a command that only reads never takes the write lock.
        let mut flush_at = Instant::now() + period;
        let mut gathered = Gathered::on(None);
        let closing = loop {
            if Instant::now() >= flush_at {
                self.flush_or_warn().await;
                flush_at = Instant::now() + period;
            }
            if gathered.is_empty() {
                tokio::select! {
                    command = commands.recv() => match command {
                        Some(command) => gathered.take(command),
                        None => break None,
                    },
                    () = tokio::time::sleep_until(flush_at) => continue,
                }
            }
            if let Some(reply) = self.serve(&mut gathered, &mut commands).await {
                break Some(reply);
            }
        };
        commands.close();
        self.finish(closing).await;
    }

    /// Serves what was gathered, in its order, and gathers what comes meanwhile; returns the reply to a `Close`, at which
    /// serving ends.
    async fn serve(
        &mut self,
        gathered: &mut Gathered,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Option<Reply<()>> {
        while !gathered.is_full()
            && let Ok(command) = commands.try_recv()
        {
            gathered.take(command);
        }
        let next = Gathered::on(gathered.batch.edge());
        let Gathered { batch, callers, then } = std::mem::replace(gathered, next);
        let written = self.commit(batch, commands, gathered).await;
        answer_all(callers, written);
        match then {
            Some(Command::Close { reply }) => return Some(reply),
            Some(Command::Flush { now, reply }) => answer(reply, self.flush(now).await),
            Some(Command::Append(_)) | None => {}
        }
        None
    }

    /// One transaction for all of a batch. The next one gathers meanwhile.
    async fn commit(
        &self,
        batch: Batch,
        commands: &mut mpsc::Receiver<Command>,
        next: &mut Gathered,
    ) -> Result<Vec<Receipt>, LedgerError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut writing = tokio::spawn(batch.write(Arc::clone(&self.store)));
        let written = loop {
            tokio::select! {
                biased;
                written = &mut writing => break written,
                Some(command) = commands.recv(), if !next.is_full() => next.take(command),
            }
        };
        // It ends without an answer only with the runtime.
        let Written { receipts, edge } = written.unwrap_or(Err(LedgerError::Closed))?;
        next.batch.go_on_from(&edge);
        Ok(receipts)
    }

    async fn flush_or_warn(&mut self) {
        if let Err(error) = self.flush(Utc::now()).await {
            tracing::warn!(%error, "refusals were not written; they are kept for the next attempt");
        }
    }

    async fn flush(&mut self, now: DateTime<Utc>) -> Result<(), LedgerError> {
        self.write_refusals().await?;
        let open = hour_of(now - HOUR_GRACE);
        if open > self.entered_before {
            sums::close_hours(&self.store, open).await?;
            self.entered_before = open;
        }
        Ok(())
    }

    async fn write_refusals(&self) -> Result<(), LedgerError> {
        let sums = lock(&self.refusals).drain();
        if sums.is_empty() {
            return Ok(());
        }
        let written = sums::add(&self.store, &sums).await;
        if written.is_err() {
            let mut refusals = lock(&self.refusals);
            sums.iter().for_each(|(hour, rule, object, count)| refusals.add(*hour, rule, object, *count));
        }
        written
    }

    async fn finish(&self, closing: Option<Reply<()>>) {
        let written = self.write_refusals().await;
        let closed = self.store.close().await;
        match closing {
            Some(reply) => answer(reply, written.and(closed)),
            None => {
                if let Err(error) = written.and(closed) {
                    tracing::warn!(%error, "the last refusals were not written");
                }
            }
        }
    }
}

/// A caller that no longer waits needs no answer.
fn answer<T>(reply: Reply<T>, result: Result<T, LedgerError>) {
    drop(reply.send(result));
}
