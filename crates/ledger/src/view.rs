//! Reading a ledger: one view that does not change while others write.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::error::LedgerError;
use crate::event::{CommittedDetail, Leaf, StoredEvent};
use crate::filter::EventFilter;
use crate::merkle::{Frontier, Hash};
use crate::store::{Access, Row, Store, Transaction, read_all};

/// How many details are erased in one transaction.
const DETAILS_AT_ONCE: u64 = 1_000;

/// An entry as the database holds it, unchecked.
#[derive(Debug, Clone)]
pub(crate) struct EntryRow {
    pub(crate) index: u64,
    pub(crate) leaf: String,
    pub(crate) leaf_hash: Vec<u8>,
    pub(crate) kind: String,
    pub(crate) at_us: i64,
    pub(crate) subject: Option<String>,
    pub(crate) case: Option<String>,
    pub(crate) detail: Option<CommittedDetail>,
}

/// An entry with the columns that are read of it.
pub(crate) const ENTRY_COLUMNS: &str = "SELECT e.leaf_index, e.leaf, e.leaf_hash, e.kind, e.at_us, e.subject,
            e.case_id, e.salt, e.detail
     FROM ledger_entry e";

/// Reads a row of [`ENTRY_COLUMNS`].
pub(crate) fn entry_row(mut row: Row) -> Option<EntryRow> {
    // A negative index is what somebody wrote who is not us; verification finds it beyond the end.
    let index = row.integer()?.unsigned_abs();
    let (leaf, leaf_hash, kind) = (row.text()?, row.bytes()?, row.text()?);
    let (at_us, subject, case) = (row.integer()?, row.nullable_text()?, row.nullable_text()?);
    let (salt, text) = (row.nullable_bytes()?, row.nullable_text()?);
    let salt = salt.and_then(|salt| salt.try_into().ok());
    let detail = salt.zip(text).map(|(salt, text)| CommittedDetail { salt, text });
    Some(EntryRow { index, leaf, leaf_hash, kind, at_us, subject, case, detail })
}

/// The right edge of the tree. With `for_update` nobody else writes before this transaction ends.
pub(crate) async fn read_head(
    store: &dyn Store,
    transaction: &mut dyn Transaction,
    for_update: &str,
) -> Result<Frontier, LedgerError> {
    let sql = format!("SELECT size, frontier FROM ledger_head WHERE id = 0{for_update}");
    let rows = transaction.fetch("reading the size of", &sql, Vec::new()).await?;
    let mut parts = read_all(store, rows, |mut row| Some((row.number()?, row.bytes()?)))?;
    parts
        .pop()
        .and_then(|(size, frontier)| Frontier::from_bytes(size, &frontier))
        .ok_or_else(|| store.contradiction("the stored right edge does not fit the stored size"))
}

/// One unchanging view of a ledger.
pub(crate) struct View {
    store: Arc<dyn Store>,
    transaction: Box<dyn Transaction>,
    head: Frontier,
}

impl View {
    pub(crate) async fn open(store: &Arc<dyn Store>) -> Result<Self, LedgerError> {
        let mut transaction = store.begin("reading", Access::Reading).await?;
        // Both databases fix the view at the first read: that is now.
        let head = read_head(store.as_ref(), transaction.as_mut(), "").await?;
        Ok(Self { store: Arc::clone(store), transaction, head })
    }

    /// The right edge as stored.
    pub(crate) fn head(&self) -> &Frontier {
        &self.head
    }

    /// The error for parts that do not fit together.
    pub(crate) fn contradiction(&self, found: impl Into<String>) -> LedgerError {
        self.store.contradiction(found)
    }

    /// At most `limit` entries from `from` on, in order.
    pub(crate) async fn rows(&mut self, from: u64, limit: u64) -> Result<Vec<EntryRow>, LedgerError> {
        let sql = format!("{ENTRY_COLUMNS} WHERE e.leaf_index >= $1 ORDER BY e.leaf_index LIMIT $2");
        let arguments = vec![from.into(), limit.into()];
        let rows = self.transaction.fetch("reading entries from", &sql, arguments).await?;
        read_all(self.store.as_ref(), rows, entry_row)
    }

    /// The highest entry there is.
    pub(crate) async fn last_index(&mut self) -> Result<Option<u64>, LedgerError> {
        let sql = "SELECT max(leaf_index) FROM ledger_entry";
        let rows = self.transaction.fetch("reading the last entry of", sql, Vec::new()).await?;
        let last = read_all(self.store.as_ref(), rows, |mut row| row.nullable_integer())?;
        Ok(last.into_iter().flatten().next().map(i64::unsigned_abs))
    }

    /// Stored hashes of `count` neighbouring subtrees (height 0: leaves); fewer if some are missing.
    pub(crate) async fn hashes(
        &mut self,
        height: u32,
        from: u64,
        count: u64,
    ) -> Result<Vec<Hash>, LedgerError> {
        let sql = match height {
            0 => {
                "SELECT leaf_hash FROM ledger_entry WHERE leaf_index >= $1 AND leaf_index < $2 AND $3 = 0
                 ORDER BY leaf_index"
            }
            _ => {
                "SELECT hash FROM ledger_subtree WHERE position >= $1 AND position < $2 AND height = $3
                 ORDER BY position"
            }
        };
        let arguments = vec![from.into(), (from + count).into(), i64::from(height).into()];
        let rows = self.transaction.fetch("reading hashes from", sql, arguments).await?;
        let hashes = read_all(self.store.as_ref(), rows, |mut row| row.bytes())?;
        Ok(hashes.iter().filter_map(|hash| Hash::from_slice(hash)).collect())
    }

    /// The checkpoints kept beside the tree, smallest first.
    pub(crate) async fn checkpoints(&mut self) -> Result<Vec<String>, LedgerError> {
        let sql = "SELECT note FROM ledger_checkpoint ORDER BY size, note";
        let rows = self.transaction.fetch("reading the checkpoints of", sql, Vec::new()).await?;
        read_all(self.store.as_ref(), rows, |mut row| row.text())
    }

    /// The indices of the entries of a case, in order.
    pub(crate) async fn case(&mut self, case: &str, limit: u64) -> Result<Vec<u64>, LedgerError> {
        let sql = "SELECT leaf_index FROM ledger_entry WHERE case_id = $1 ORDER BY leaf_index LIMIT $2";
        let arguments = vec![case.into(), limit.into()];
        let rows = self.transaction.fetch("reading a case from", sql, arguments).await?;
        read_all(self.store.as_ref(), rows, |mut row| row.number())
    }

    /// Entries that pass the filter.
    pub(crate) async fn events(&mut self, filter: &EventFilter) -> Result<Vec<StoredEvent>, LedgerError> {
        let (sql, arguments) = filter.query();
        let rows = self.transaction.fetch("reading entries from", &sql, arguments).await?;
        let rows = read_all(self.store.as_ref(), rows, entry_row)?;
        rows.into_iter().map(|row| stored_event(self.store.as_ref(), row)).collect()
    }

    /// Entries after one of them and before an instant whose detail is still there: index, kind and time, at
    /// most [`DETAILS_AT_ONCE`].
    pub(crate) async fn details_before(
        &mut self,
        before: DateTime<Utc>,
        after: i64,
    ) -> Result<Vec<(u64, String, DateTime<Utc>)>, LedgerError> {
        let sql = "SELECT leaf_index, kind, at_us FROM ledger_entry
                   WHERE salt IS NOT NULL AND at_us <= $1 AND leaf_index > $2 ORDER BY leaf_index LIMIT $3";
        let arguments = vec![before.timestamp_micros().into(), after.into(), DETAILS_AT_ONCE.into()];
        let rows = self.transaction.fetch("reading old details from", sql, arguments).await?;
        read_all(self.store.as_ref(), rows, |mut row| {
            Some((row.number()?, row.text()?, DateTime::from_timestamp_micros(row.integer()?)?))
        })
    }
}

fn stored_event(store: &dyn Store, row: EntryRow) -> Result<StoredEvent, LedgerError> {
    let broken = |found: String| store.contradiction(format!("entry {}: {found}", row.index));
    let hash = Hash::from_slice(&row.leaf_hash).ok_or_else(|| broken("its hash is cut".to_owned()))?;
    let detail = row.detail.as_ref().map(|detail| detail.text.as_str());
    Leaf::parse(&row.leaf).and_then(|leaf| leaf.into_stored(detail, hash)).map_err(broken)
}
