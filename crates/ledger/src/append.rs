//! Writing a ledger. Every call is one durable transaction that holds the right edge of the tree from its
//! first read to its commit, so that any number of processes can write to one ledger and none forks it.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use crate::error::LedgerError;
use crate::event::{Draft, searchable};
use crate::merkle::{Frontier, Hash, Subtree, leaf_hash};
use crate::store::{Access, Argument, Column, Rows, Statement, Store, Transaction};
use crate::view::read_head;

/// Perfect subtrees are stored at every multiple of this height, so that a proof reads a few hundred hashes
/// however large the ledger is, at the cost of one more hash per 255 entries.
pub(crate) const STORED_HEIGHT: u32 = 8;

const APPENDING: &str = "appending to";

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

    pub(crate) async fn commit(self, doing: &'static str) -> Result<Frontier, LedgerError> {
        self.transaction.commit(doing).await?;
        Ok(self.frontier)
    }

    /// Writes the drafts as the next entries.
    pub(crate) async fn append(&mut self, drafts: &[Draft]) -> Result<Vec<Receipt>, LedgerError> {
        let mut previous = self.ends_of_cases(drafts).await?;
        let mut growth = Growth::on(self.frontier.clone());
        for draft in drafts {
            growth.add(&mut previous, draft);
        }
        let (expecting, rows, Written { receipts, edge }) = growth.into_parts();
        if !self.transaction.move_on(APPENDING, expecting, rows).await? {
            return Err(self.store.contradiction("the right edge changed while it was held"));
        }
        self.frontier = edge;
        Ok(receipts)
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
}

fn edge(frontier: &Frontier) -> [Argument; 2] {
    [frontier.size().into(), frontier.to_bytes().into()]
}

/// Entries that are in the ledger.
pub(crate) struct Written {
    /// One for each draft, in their order.
    pub(crate) receipts: Vec<Receipt>,
    /// The right edge behind them.
    pub(crate) edge: Frontier,
}

/// What drafts add to the tree.
struct Growth {
    before: Frontier,
    after: Frontier,
    receipts: Vec<Receipt>,
    entries: Entries,
    subtrees: Subtrees,
}

impl Growth {
    fn on(edge: Frontier) -> Self {
        Self {
            after: edge.clone(),
            before: edge,
            receipts: Vec::new(),
            entries: Entries::default(),
            subtrees: Subtrees::default(),
        }
    }

    /// `previous` are the last entries of the cases.
    fn add(&mut self, previous: &mut HashMap<String, u64>, draft: &Draft) {
        let index = self.after.size();
        let before = draft.case.as_ref().and_then(|case| previous.insert(case.clone(), index));
        let leaf = draft.leaf(index, before);
        let hash = leaf_hash(leaf.as_bytes());
        let subtrees = &mut self.subtrees;
        self.after.append(hash, |subtree, hash| subtrees.add(subtree, hash));
        self.entries.add(index, leaf, hash, draft);
        self.receipts.push(Receipt { index, leaf_hash: hash });
    }

    /// How the right edge moves on, what is written with it, and what that gives.
    fn into_parts(self) -> (Statement, Vec<Rows>, Written) {
        let expecting = Statement {
            sql: "UPDATE ledger_head SET size = ?, frontier = ? WHERE id = 0 AND size = ? AND frontier = ?",
            arguments: edge(&self.after).into_iter().chain(edge(&self.before)).collect(),
        };
        let rows = [self.entries.rows(), self.subtrees.rows()];
        let rows = rows.into_iter().filter(|rows| !rows.is_empty()).collect();
        (expecting, rows, Written { receipts: self.receipts, edge: self.after })
    }
}

/// Drafts that become one transaction. What they will add is worked out as they come, while the batch before them is
/// being written, on the right edge that it will leave: as a rule nobody else writes in between.
pub(crate) struct Batch {
    drafts: Vec<Draft>,
    /// None where only the database knows: after an error, and for the last entries of cases.
    growth: Option<Growth>,
}

impl Batch {
    /// An empty one. `edge` is where the batch before it leaves the tree, as far as that is known.
    pub(crate) fn on(edge: Option<Frontier>) -> Self {
        Self { drafts: Vec::new(), growth: edge.map(Growth::on) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    pub(crate) fn add(&mut self, draft: Draft) {
        if draft.case.is_some() {
            self.growth = None;
        }
        if let Some(growth) = &mut self.growth {
            growth.add(&mut HashMap::new(), &draft);
        }
        self.drafts.push(draft);
    }

    /// Says where the batch before it has left the tree. Worked out anew where that is not what was expected.
    pub(crate) fn go_on_from(&mut self, edge: &Frontier) {
        let is_right = self.growth.as_ref().is_some_and(|growth| growth.before == *edge);
        if is_right || self.drafts.iter().any(|draft| draft.case.is_some()) {
            return;
        }
        let mut growth = Growth::on(edge.clone());
        for draft in &self.drafts {
            growth.add(&mut HashMap::new(), draft);
        }
        self.growth = Some(growth);
    }

    /// Where this one will leave the tree, as far as that is known.
    pub(crate) fn edge(&self) -> Option<Frontier> {
        self.growth.as_ref().map(|growth| growth.after.clone())
    }

    /// Appends all drafts or none.
    pub(crate) async fn write(self, store: Arc<dyn Store>) -> Result<Written, LedgerError> {
        if let Some(growth) = self.growth {
            let (expecting, rows, written) = growth.into_parts();
            if store.move_on(APPENDING, expecting, rows).await? {
                return Ok(written);
            }
        }
        let mut appending = Appending::begin(&store, APPENDING).await?;
        let receipts = appending.append(&self.drafts).await?;
        Ok(Written { receipts, edge: appending.commit(APPENDING).await? })
    }
}

/// Rows of `ledger_entry`.
#[derive(Default)]
struct Entries {
    indices: Vec<i64>,
    leaves: Vec<String>,
    hashes: Vec<Vec<u8>>,
    kinds: Vec<String>,
    instants: Vec<i64>,
    subjects: Vec<String>,
    cases: Vec<Option<String>>,
    salts: Vec<Option<Vec<u8>>>,
    details: Vec<Option<String>>,
}

impl Entries {
    fn add(&mut self, index: u64, leaf: String, hash: Hash, draft: &Draft) {
        let committed = draft.committed.as_ref();
        self.indices.push(signed(index));
        self.leaves.push(leaf);
        self.hashes.push(hash.0.to_vec());
        self.kinds.push(draft.kind.as_str().to_owned());
        self.instants.push(draft.at_us);
        self.subjects.push(searchable(draft.subject.as_str()));
        self.cases.push(draft.case.clone());
        self.salts.push(committed.map(|detail| detail.salt.to_vec()));
        self.details.push(committed.map(|detail| detail.text.clone()));
    }

    fn rows(self) -> Rows {
        Rows {
            table: "ledger_entry",
            columns: vec![
                ("leaf_index", Column::Integers(self.indices)),
                ("leaf", Column::Texts(self.leaves)),
                ("leaf_hash", Column::Bytes(self.hashes)),
                ("kind", Column::Texts(self.kinds)),
                ("at_us", Column::Integers(self.instants)),
                ("subject", Column::Texts(self.subjects)),
                ("case_id", Column::NullableTexts(self.cases)),
                ("salt", Column::NullableBytes(self.salts)),
                ("detail", Column::NullableTexts(self.details)),
            ],
            otherwise: "",
        }
    }
}

/// Rows of `ledger_subtree`.
#[derive(Default)]
struct Subtrees {
    heights: Vec<i64>,
    positions: Vec<i64>,
    hashes: Vec<Vec<u8>>,
}

impl Subtrees {
    fn add(&mut self, subtree: Subtree, hash: Hash) {
        if subtree.height > 0 && subtree.height.is_multiple_of(STORED_HEIGHT) {
            self.heights.push(subtree.height.into());
            self.positions.push(signed(subtree.position));
            self.hashes.push(hash.0.to_vec());
        }
    }

    fn rows(self) -> Rows {
        Rows {
            table: "ledger_subtree",
            columns: vec![
                ("height", Column::Integers(self.heights)),
                ("position", Column::Integers(self.positions)),
                ("hash", Column::Bytes(self.hashes)),
            ],
            otherwise: "",
        }
    }
}

/// Both databases have signed integers only; sizes never reach 2^63.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
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
    let erase = "UPDATE ledger_entry SET subject = NULL, salt = NULL, detail = NULL
                 WHERE leaf_index = $1 AND salt IS NOT NULL";
    Ok(transaction.execute(doing, erase, vec![index.into()]).await? > 0)
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

    /// Appends to an empty ledger, made ready before or not.
    async fn append<const N: usize>(
        store: &Arc<dyn Store>,
        drafts: [Draft; N],
        is_ready: bool,
    ) -> Result<Vec<Receipt>, LedgerError> {
        let mut batch = Batch::on(is_ready.then(Frontier::default));
        drafts.into_iter().for_each(|draft| batch.add(draft));
        batch.write(Arc::clone(store)).await.map(|written| written.receipts)
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
        for is_ready in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", directory.path().join("ledger.db").display());
            let store = SqliteStore::open(&url, crate::open::LEDGER.sqlite(), true).await.unwrap();
            let shared: Arc<dyn Store> = Arc::new(store.clone());
            on_every_connection(&store, "PRAGMA max_page_count = 40").await;
            let error = append(&shared, [draft(10), draft(1 << 20)], is_ready).await.unwrap_err();
            assert_eq!(error.fault(), Fault::Unreachable);
            assert!(error.to_string().contains("disk is full"), "{error}");

            // SQLite has rolled back by itself; every connection must be able to begin anew.
            on_every_connection(&store, "PRAGMA max_page_count = 1000000; BEGIN IMMEDIATE; ROLLBACK").await;
            let receipts = append(&shared, [draft(10), draft(1 << 20)], is_ready).await.unwrap();
            assert_eq!(receipts.iter().map(|receipt| receipt.index).collect::<Vec<_>>(), [0, 1]);
        }
    }

    #[tokio::test]
    async fn what_was_made_ready_on_another_edge_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("ledger.db").display());
        let store = SqliteStore::open(&url, crate::open::LEDGER.sqlite(), true).await.unwrap();
        let shared: Arc<dyn Store> = Arc::new(store);
        for expected in 0..3 {
            let receipts = append(&shared, [draft(1)], true).await.unwrap();
            assert_eq!(receipts[0].index, expected);
        }
    }

    #[tokio::test]
    async fn a_right_edge_that_does_not_fit_its_size_stops_writing() {
        let store = SqliteStore::open("sqlite::memory:", crate::open::LEDGER.sqlite(), true).await.unwrap();
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        sqlx::raw_sql("UPDATE ledger_head SET size = 3").execute(store.pool()).await.unwrap();
        let error = append(&shared, [draft(1)], false).await.unwrap_err();
        assert!(matches!(error, LedgerError::Corrupted { .. }), "{error}");
        assert_eq!(error.fault(), Fault::Ours);
    }
}
