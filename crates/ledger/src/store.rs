//! What the ledger asks of a database; SQLite answers in [`crate::sqlite`].

use std::pin::Pin;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::error::LedgerError;
use crate::event::{CommittedDetail, Draft, StoredEvent};
use crate::merkle::{Frontier, Hash};
use crate::refusals::{Hour, RefusalSum};

/// Perfect subtrees are stored at every multiple of this height, so that a proof reads a few hundred hashes
/// however large the ledger is, at the cost of one more hash per 255 entries.
pub(crate) const STORED_HEIGHT: u32 = 8;

/// The answer of a database, later.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Where an event ended up: proof for its writer that it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Which entry, counted from 0.
    pub index: u64,
    /// The RFC 6962 hash of its leaf.
    pub leaf_hash: Hash,
}

/// Which entries to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only kinds that begin with this, such as `gate.`.
    pub kind_prefix: Option<String>,
    /// Only this subject; entries whose detail was erased have none.
    pub subject: Option<String>,
    /// Only from this instant on.
    pub since: Option<DateTime<Utc>>,
    /// Only before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Only entries after this one (before it, with `newest_first`).
    pub after: Option<u64>,
    /// At most so many; never more than [`MAX_EVENTS_PER_QUERY`].
    pub limit: Option<u64>,
    /// Latest entries first.
    pub newest_first: bool,
}

/// The most entries that one query returns; ask again with `after` for more.
pub const MAX_EVENTS_PER_QUERY: u64 = 10_000;

/// An entry as the database holds it, unchecked.
#[derive(Debug, Clone)]
pub(crate) struct EntryRow {
    pub(crate) index: u64,
    pub(crate) leaf: String,
    pub(crate) leaf_hash: Vec<u8>,
    pub(crate) kind: String,
    pub(crate) at_us: i64,
    pub(crate) subject: Option<String>,
    pub(crate) detail: Option<CommittedDetail>,
}

/// A database that keeps a ledger. Every writing call is one durable transaction that reads the tree's right
/// edge under the write lock, so that several processes can write to one ledger.
pub(crate) trait Store: Send + Sync + 'static {
    /// Appends all drafts or none.
    fn append<'a>(&'a self, drafts: &'a [Draft]) -> Pending<'a, Vec<Receipt>>;
    /// Erases the detail of an entry and appends the record of it.
    fn erase<'a>(&'a self, index: u64, record: &'a Draft) -> Pending<'a, Receipt>;
    /// Adds to the sums of refusals.
    fn add_refusals<'a>(&'a self, sums: &'a [(Hour, String, String, u64)]) -> Pending<'a, ()>;
    /// Appends one event for each hour before `open` with refusals not yet in the ledger.
    fn close_hours(&self, open: Hour) -> Pending<'_, Vec<Receipt>>;
    /// The sums of refusals from an hour on.
    fn refusal_sums(&self, since: Hour) -> Pending<'_, Vec<RefusalSum>>;
    /// Entries that pass the filter.
    fn events<'a>(&'a self, filter: &'a EventFilter) -> Pending<'a, Vec<StoredEvent>>;
    /// Keeps a signed checkpoint.
    fn save_checkpoint<'a>(&'a self, size: u64, note: &'a str) -> Pending<'a, ()>;
    /// A view that does not change while others write.
    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>>;
    /// Ends all connections.
    fn close(&self) -> Pending<'_, ()>;
}

/// One unchanging view of a ledger.
pub(crate) trait Snapshot: Send {
    /// The right edge as stored.
    fn head(&mut self) -> Pending<'_, Frontier>;
    /// At most `limit` entries from `from` on, in order.
    fn rows(&mut self, from: u64, limit: u64) -> Pending<'_, Vec<EntryRow>>;
    /// The highest entry there is.
    fn last_index(&mut self) -> Pending<'_, Option<u64>>;
    /// Stored hashes of `count` neighbouring subtrees (height 0: leaves); fewer if some are missing.
    fn hashes(&mut self, height: u32, from: u64, count: u64) -> Pending<'_, Vec<Hash>>;
    /// The checkpoints kept beside the tree, smallest first.
    fn checkpoints(&mut self) -> Pending<'_, Vec<String>>;
    /// The error for parts that do not fit together.
    fn contradiction(&self, found: String) -> LedgerError;
}
