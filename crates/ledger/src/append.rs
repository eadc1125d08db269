//! Writing a ledger. Every call is one durable transaction that holds the right edge of the tree from its
//! first read to its commit, so that any number of processes can write to one ledger and none forks it.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::LedgerError;
use crate::event::{Draft, searchable};
use crate::merkle::{Frontier, Hash, Subtree, leaf_hash};
use crate::store::{Access, Store, Transaction};
use crate::view::read_head;
use mailwarden_proof::hex::to_hex;

/// Perfect subtrees are stored at every multiple of this height, so that a proof reads a few hundred hashes
/// however large the ledger is, at the cost of one more hash per 255 entries.
pub(crate) const STORED_HEIGHT: u32 = 8;

/// Where an event ended up: proof for its writer that it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Which entry, counted from 0.
    pub index: u64,
    /// The RFC 6962 hash of its leaf.
    pub leaf_hash: Hash,
}

/// A transaction that holds the right edge of the tree.
pub(crate) struct Appending {
    store: Arc<dyn Store>,
    pub(crate) transaction: Box<dyn Transaction>,
    frontier: Frontier,
}

impl Appending {
    /// Waits until no other process writes, and holds all others off until the commit.
    pub(crate) async fn begin(store: &Arc<dyn Store>, doing: &'static str) -> Result<Self, LedgerError> {
        let mut transaction = store.begin(doing, Access::Writing).await?;
        let for_update = store.dialect().for_update;
        let frontier = read_head(store.as_ref(), transaction.as_mut(), for_update).await?;
        Ok(Self { store: Arc::clone(store), transaction, frontier })
    }

    pub(crate) async fn commit(self, doing: &'static str) -> Result<(), LedgerError> {
        self.transaction.commit(doing).await
    }

    /// Writes the drafts as the next entries.
    pub(crate) async fn append(&mut self, drafts: &[Draft]) -> Result<Vec<Receipt>, LedgerError> {
        let mut previous = self.ends_of_cases(drafts).await?;
        let mut rows = Rows::default();
        for draft in drafts {
            rows.add(&mut self.frontier, &mut previous, draft);
        }
        self.write(&rows).await?;
        Ok(rows.receipts)
    }

    /// The last entry of every case that the drafts belong to.
    async fn ends_of_cases(&mut self, drafts: &[Draft]) -> Result<HashMap<String, u64>, LedgerError> {
        let mut ends = HashMap::new();
        for case in drafts.iter().filter_map(|draft| draft.case.as_deref()) {
            if !ends.contains_key(case)
                && let Some(last) = self.end_of_case(case).await?
            {
                ends.insert(case.to_owned(), last);
            }
        }
        Ok(ends)
    }

    async fn end_of_case(&mut self, case: &str) -> Result<Option<u64>, LedgerError> {
        let sql = "SELECT max(leaf_index) FROM ledger_entry WHERE case_id = $1";
        let rows = self.transaction.fetch("looking up a case in", sql, vec![case.into()]).await?;
        let last = crate::store::read_all(self.store.as_ref(), rows, |mut row| row.nullable_integer())?;
        Ok(last.into_iter().flatten().next().map(i64::unsigned_abs))
    }

    async fn write(&mut self, rows: &Rows) -> Result<(), LedgerError> {
        let dialect = self.store.dialect();
        let (index, elements) = (dialect.integer_at(0), dialect.elements);
        let entries = format!(
            "INSERT INTO ledger_entry (leaf_index, leaf, leaf_hash, kind, at_us, subject, case_id)
             SELECT {index}, value ->> 1, {}, value ->> 3, {}, value ->> 5, value ->> 6 FROM {elements}",
            dialect.bytes_at(2),
            dialect.integer_at(4),
        );
        let details = format!(
            "INSERT INTO ledger_detail (leaf_index, salt, detail)
             SELECT {index}, {}, value ->> 2 FROM {elements}",
            dialect.bytes_at(1),
        );
        let subtrees = format!(
            "INSERT INTO ledger_subtree (height, position, hash)
             SELECT {index}, {}, {} FROM {elements}",
            dialect.integer_at(1),
            dialect.bytes_at(2),
        );
        self.insert("appending entries to", &entries, &rows.entries).await?;
        self.insert("appending details to", &details, &rows.details).await?;
        self.insert("appending subtrees to", &subtrees, &rows.subtrees).await?;
        self.write_head().await
    }

    /// One statement for all rows: on PostgreSQL every statement is a journey over the network.
    async fn insert(&mut self, doing: &'static str, sql: &str, rows: &[Value]) -> Result<(), LedgerError> {
        if rows.is_empty() {
            return Ok(());
        }
        let elements = serde_json::to_string(rows).unwrap_or_default();
        self.transaction.execute(doing, sql, vec![elements.into()]).await.map(drop)
    }

    async fn write_head(&mut self) -> Result<(), LedgerError> {
        let sql = "UPDATE ledger_head SET size = $1, frontier = $2 WHERE id = 0";
        let arguments = vec![self.frontier.size().into(), self.frontier.to_bytes().into()];
        self.transaction.execute("writing the right edge of", sql, arguments).await.map(drop)
    }
}

/// The rows that a batch of drafts becomes.
#[derive(Default)]
struct Rows {
    receipts: Vec<Receipt>,
    entries: Vec<Value>,
    details: Vec<Value>,
    subtrees: Vec<Value>,
}

impl Rows {
    fn add(&mut self, frontier: &mut Frontier, previous: &mut HashMap<String, u64>, draft: &Draft) {
        let index = frontier.size();
        let before = draft.case.as_ref().and_then(|case| previous.insert(case.clone(), index));
        let leaf = draft.leaf(index, before);
        let hash = leaf_hash(leaf.as_bytes());
        frontier.append(hash, |subtree, hash| self.add_subtree(subtree, hash));
        if let Some(detail) = &draft.committed {
            self.details.push(json!([index, to_hex(&detail.salt), detail.text]));
        }
        let (kind, subject) = (draft.kind.as_str(), searchable(&draft.subject));
        self.entries.push(json!([index, leaf, hash.to_hex(), kind, draft.at_us, subject, draft.case]));
        self.receipts.push(Receipt { index, leaf_hash: hash });
    }

    fn add_subtree(&mut self, subtree: Subtree, hash: Hash) {
        if subtree.height > 0 && subtree.height.is_multiple_of(STORED_HEIGHT) {
            self.subtrees.push(json!([subtree.height, subtree.position, hash.to_hex()]));
        }
    }
}

/// Appends all drafts or none.
pub(crate) async fn append(store: &Arc<dyn Store>, drafts: &[Draft]) -> Result<Vec<Receipt>, LedgerError> {
    let doing = "appending to";
    let mut appending = Appending::begin(store, doing).await?;
    let receipts = appending.append(drafts).await?;
    appending.commit(doing).await?;
    Ok(receipts)
}

/// Erases the details of entries and appends the record of it, which is made from what was there to erase.
pub(crate) async fn erase(
    store: &Arc<dyn Store>,
    indices: &[u64],
    record: impl Fn(&[u64]) -> Result<Draft, LedgerError>,
) -> Result<Option<Receipt>, LedgerError> {
    let doing = "erasing a detail from";
    let mut appending = Appending::begin(store, doing).await?;
    let mut erased = Vec::new();
    for index in indices {
        if erase_one(appending.transaction.as_mut(), doing, *index).await? {
            erased.push(*index);
        }
    }
    if erased.is_empty() {
        return Ok(None);
    }
    let receipts = appending.append(&[record(&erased)?]).await?;
    appending.commit(doing).await?;
    store.forget_deleted().await?;
    Ok(receipts.first().copied())
}

async fn erase_one(
    transaction: &mut dyn Transaction,
    doing: &'static str,
    index: u64,
) -> Result<bool, LedgerError> {
    let delete = "DELETE FROM ledger_detail WHERE leaf_index = $1";
    if transaction.execute(doing, delete, vec![index.into()]).await? == 0 {
        return Ok(false);
    }
    let unname = "UPDATE ledger_entry SET subject = NULL WHERE leaf_index = $1";
    transaction.execute(doing, unname, vec![index.into()]).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use sqlx::Connection;

    use super::*;
    use crate::error::Fault;
    use crate::event::{Event, EventKind};
    use crate::sqlite::SqliteStore;

    fn draft(bytes: usize) -> Draft {
        let event = Event::new(EventKind::GateHeld, DateTime::UNIX_EPOCH, "gate", "a@acme.example");
        Draft::new(&event.with(json!("x".repeat(bytes)))).unwrap()
    }

    /// Holds all connections of the pool, so that none is left out, and asks each for a transaction of sqlx too.
    async fn on_every_connection(store: &SqliteStore, statements: &'static str) {
        let pool = store.pool();
        let mut held = Vec::new();
        for _ in 0..pool.options().get_max_connections() {
            let mut connection = pool.acquire().await.unwrap();
            sqlx::raw_sql(statements).execute(&mut *connection).await.unwrap();
            connection.begin_with("BEGIN IMMEDIATE").await.unwrap().rollback().await.unwrap();
            held.push(connection);
        }
    }

    #[tokio::test]
    async fn a_full_disk_records_nothing_of_a_batch_and_writing_goes_on_when_there_is_room() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("ledger.db").display());
        let store = SqliteStore::open(&url, crate::open::LEDGER.sqlite(), true).await.unwrap();
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        on_every_connection(&store, "PRAGMA max_page_count = 40").await;
        let error = append(&shared, &[draft(10), draft(1 << 20)]).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Unreachable);
        assert!(error.to_string().contains("disk is full"), "{error}");

        // SQLite has rolled back by itself; every connection must be able to begin anew.
        on_every_connection(&store, "PRAGMA max_page_count = 1000000; BEGIN IMMEDIATE; ROLLBACK").await;
        let receipts = append(&shared, &[draft(10), draft(1 << 20)]).await.unwrap();
        assert_eq!(receipts.iter().map(|receipt| receipt.index).collect::<Vec<_>>(), [0, 1]);
    }

    #[tokio::test]
    async fn a_right_edge_that_does_not_fit_its_size_stops_writing() {
        let store = SqliteStore::open("sqlite::memory:", crate::open::LEDGER.sqlite(), true).await.unwrap();
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        sqlx::raw_sql("UPDATE ledger_head SET size = 3").execute(store.pool()).await.unwrap();
        let error = append(&shared, &[draft(1)]).await.unwrap_err();
        assert!(matches!(error, LedgerError::Corrupted { .. }), "{error}");
        assert_eq!(error.fault(), Fault::Ours);
    }
}
