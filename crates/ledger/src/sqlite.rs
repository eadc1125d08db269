//! The ledger in a SQLite file.
//!
//! Every write is a `BEGIN IMMEDIATE` transaction that reads the right edge of the tree under the write lock,
//! in WAL mode with `synchronous=FULL`: when the commit returns, the entries are on the disk, and a second
//! process that was waiting for the lock goes on from them.

use sqlx::sqlite::{SqliteRow, SqliteSynchronous};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, Transaction};

use crate::database::{Database, Purpose};
use crate::error::LedgerError;
use crate::event::{CommittedDetail, Draft, Leaf, StoredEvent};
use crate::merkle::{Frontier, Hash, Subtree, leaf_hash};
use crate::refusals::{Hour, MAX_OBJECTS_PER_HOUR, OTHER, RefusalSum, hour_event, hour_start};
use crate::store::{
    EntryRow, EventFilter, MAX_EVENTS_PER_QUERY, Pending, Receipt, STORED_HEIGHT, Snapshot, Store,
};

/// How long sums stay in their table after they were entered into the ledger: a quarter.
const REFUSAL_SUMS_KEPT_HOURS: Hour = 92 * 24;
/// The most hours entered in one transaction; the rest follow with the next.
const HOURS_PER_TRANSACTION: i64 = 48;

pub(crate) const LEDGER: Purpose = Purpose {
    name: "ledger",
    application_id: 0x4d57_4c47,
    migrations: &[include_str!("schema.sql")],
    synchronous: SqliteSynchronous::Full,
};

/// A ledger in SQLite.
#[derive(Debug, Clone)]
pub(crate) struct SqliteStore {
    database: Database,
}

/// SQLite's integers are signed; sizes and counts of a ledger never reach 2^63.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl SqliteStore {
    pub(crate) async fn open(url: &str, create: bool) -> Result<Self, LedgerError> {
        Ok(Self { database: Database::open(url, &LEDGER, create).await? })
    }

    async fn head(&self, connection: &mut SqliteConnection) -> Result<Frontier, LedgerError> {
        let (size, frontier): (i64, Vec<u8>) =
            sqlx::query_as("SELECT size, frontier FROM ledger_head WHERE id = 0")
                .fetch_one(connection)
                .await
                .map_err(self.database.failed("reading the size of"))?;
        u64::try_from(size)
            .ok()
            .and_then(|size| Frontier::from_bytes(size, &frontier))
            .ok_or_else(|| self.database.contradiction("the stored right edge does not fit the stored size"))
    }

    /// Writes the drafts as the next entries; the caller holds the write lock and commits.
    async fn append_in(
        &self,
        connection: &mut SqliteConnection,
        drafts: &[Draft],
    ) -> Result<Vec<Receipt>, LedgerError> {
        let mut frontier = self.head(connection).await?;
        let mut receipts = Vec::with_capacity(drafts.len());
        for draft in drafts {
            receipts.push(self.insert(connection, &mut frontier, draft).await?);
        }
        sqlx::query("UPDATE ledger_head SET size = ?, frontier = ? WHERE id = 0")
            .bind(signed(frontier.size()))
            .bind(frontier.to_bytes())
            .execute(connection)
            .await
            .map_err(self.database.failed("writing the right edge of"))?;
        Ok(receipts)
    }

    async fn insert(
        &self,
        connection: &mut SqliteConnection,
        frontier: &mut Frontier,
        draft: &Draft,
    ) -> Result<Receipt, LedgerError> {
        let index = frontier.size();
        let leaf = draft.leaf(index);
        let receipt = Receipt { index, leaf_hash: leaf_hash(leaf.as_bytes()) };
        self.insert_entry(connection, &receipt, leaf, draft).await?;
        if let Some(detail) = &draft.committed {
            self.insert_detail(connection, index, detail).await?;
        }
        let mut completed = Vec::new();
        frontier.append(receipt.leaf_hash, |subtree, hash| completed.push((subtree, hash)));
        completed.retain(|(subtree, _)| is_stored(subtree));
        for (subtree, hash) in completed {
            self.insert_subtree(connection, subtree, hash).await?;
        }
        Ok(receipt)
    }

    async fn insert_entry(
        &self,
        connection: &mut SqliteConnection,
        receipt: &Receipt,
        leaf: String,
        draft: &Draft,
    ) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO ledger_entry (leaf_index, leaf, leaf_hash, kind, at_us, subject)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(receipt.index))
        .bind(leaf)
        .bind(receipt.leaf_hash.0.to_vec())
        .bind(draft.kind.as_str())
        .bind(draft.at_us)
        .bind(draft.subject.as_str())
        .execute(connection)
        .await
        .map(drop)
        .map_err(self.database.failed("appending an entry to"))
    }

    async fn insert_detail(
        &self,
        connection: &mut SqliteConnection,
        index: u64,
        detail: &CommittedDetail,
    ) -> Result<(), LedgerError> {
        sqlx::query("INSERT INTO ledger_detail (leaf_index, salt, detail) VALUES (?, ?, ?)")
            .bind(signed(index))
            .bind(detail.salt.to_vec())
            .bind(detail.text.as_str())
            .execute(connection)
            .await
            .map(drop)
            .map_err(self.database.failed("appending a detail to"))
    }

    async fn insert_subtree(
        &self,
        connection: &mut SqliteConnection,
        subtree: Subtree,
        hash: Hash,
    ) -> Result<(), LedgerError> {
        sqlx::query("INSERT INTO ledger_subtree (height, position, hash) VALUES (?, ?, ?)")
            .bind(i64::from(subtree.height))
            .bind(signed(subtree.position))
            .bind(hash.0.to_vec())
            .execute(connection)
            .await
            .map(drop)
            .map_err(self.database.failed("appending a subtree to"))
    }

    async fn append_all(&self, drafts: &[Draft]) -> Result<Vec<Receipt>, LedgerError> {
        let doing = "appending to";
        let mut transaction = self.database.begin_writing(doing).await?;
        let receipts = self.append_in(&mut transaction, drafts).await?;
        transaction.commit().await.map_err(self.database.failed(doing))?;
        Ok(receipts)
    }

    async fn erase_detail(&self, index: u64, record: &Draft) -> Result<Receipt, LedgerError> {
        let doing = "erasing a detail from";
        let failed = self.database.failed(doing);
        let mut transaction = self.database.begin_writing(doing).await?;
        let erased = sqlx::query("DELETE FROM ledger_detail WHERE leaf_index = ?")
            .bind(signed(index))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        if erased.rows_affected() == 0 {
            return Err(LedgerError::NothingToErase(index));
        }
        sqlx::query("UPDATE ledger_entry SET subject = NULL WHERE leaf_index = ?")
            .bind(signed(index))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        let receipts = self.append_in(&mut transaction, std::slice::from_ref(record)).await?;
        transaction.commit().await.map_err(&failed)?;
        // The write-ahead log still holds the page as it was; emptying it is what erases.
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(self.database.pool())
            .await
            .map_err(&failed)?;
        receipts.first().copied().ok_or_else(|| self.database.contradiction("an append without a receipt"))
    }

    async fn add_sums(&self, sums: &[(Hour, String, String, u64)]) -> Result<(), LedgerError> {
        let doing = "adding refusals to";
        let mut transaction = self.database.begin_writing(doing).await?;
        for (hour, rule, object, count) in sums {
            self.add_sum(&mut transaction, *hour, rule, object, *count).await?;
        }
        transaction.commit().await.map_err(self.database.failed(doing))
    }

    /// The limit of objects is kept here once more, because every process counts only its own.
    async fn add_sum(
        &self,
        connection: &mut SqliteConnection,
        hour: Hour,
        rule: &str,
        object: &str,
        count: u64,
    ) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO refusal_sums (hour, rule, object, refusals)
             SELECT ?1, ?2, CASE WHEN
                 EXISTS (SELECT 1 FROM refusal_sums WHERE hour = ?1 AND rule = ?2 AND object = ?3)
                 OR (SELECT count(*) FROM refusal_sums WHERE hour = ?1) < ?5
                 THEN ?3 ELSE ?6 END, ?4
             WHERE true
             ON CONFLICT (hour, rule, object) DO UPDATE SET refusals = refusals + excluded.refusals",
        )
        .bind(hour)
        .bind(rule)
        .bind(object)
        .bind(signed(count))
        .bind(signed(MAX_OBJECTS_PER_HOUR as u64))
        .bind(OTHER)
        .execute(connection)
        .await
        .map(drop)
        .map_err(self.database.failed("adding refusals to"))
    }

    async fn enter_hours(&self, open: Hour) -> Result<Vec<Receipt>, LedgerError> {
        let doing = "entering the refusals of past hours into";
        let failed = self.database.failed(doing);
        let mut transaction = self.database.begin_writing(doing).await?;
        let hours: Vec<(Hour,)> = sqlx::query_as(
            "SELECT DISTINCT hour FROM refusal_sums WHERE hour < ? AND refusals > entered
             ORDER BY hour LIMIT ?",
        )
        .bind(open)
        .bind(HOURS_PER_TRANSACTION)
        .fetch_all(&mut *transaction)
        .await
        .map_err(&failed)?;
        let mut receipts = Vec::new();
        for (hour,) in hours {
            receipts.extend(self.enter_hour(&mut transaction, hour).await?);
        }
        sqlx::query("DELETE FROM refusal_sums WHERE hour < ? AND refusals = entered")
            .bind(open - REFUSAL_SUMS_KEPT_HOURS)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        Ok(receipts)
    }

    async fn enter_hour(
        &self,
        transaction: &mut Transaction<'static, Sqlite>,
        hour: Hour,
    ) -> Result<Vec<Receipt>, LedgerError> {
        let failed = self.database.failed("entering the refusals of an hour into");
        let sums: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT rule, object, refusals - entered FROM refusal_sums WHERE hour = ? AND refusals > entered
             ORDER BY rule, object",
        )
        .bind(hour)
        .fetch_all(&mut **transaction)
        .await
        .map_err(&failed)?;
        let sums: Vec<_> =
            sums.into_iter().map(|(rule, object, count)| (rule, object, count.unsigned_abs())).collect();
        let draft = Draft::new(&hour_event(hour, &sums))?;
        let receipts = self.append_in(transaction, &[draft]).await?;
        sqlx::query("UPDATE refusal_sums SET entered = refusals WHERE hour = ?")
            .bind(hour)
            .execute(&mut **transaction)
            .await
            .map_err(&failed)?;
        Ok(receipts)
    }

    async fn sums_since(&self, since: Hour) -> Result<Vec<RefusalSum>, LedgerError> {
        let rows: Vec<(Hour, String, String, i64)> = sqlx::query_as(
            "SELECT hour, rule, object, refusals FROM refusal_sums WHERE hour >= ?
             ORDER BY hour, rule, object",
        )
        .bind(since)
        .fetch_all(self.database.pool())
        .await
        .map_err(self.database.failed("reading the refusals from"))?;
        let sum = |(hour, rule, object, count): (Hour, String, String, i64)| RefusalSum {
            hour: hour_start(hour),
            rule,
            object,
            count: count.unsigned_abs(),
        };
        Ok(rows.into_iter().map(sum).collect())
    }

    async fn filtered(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, LedgerError> {
        let rows = query_for(filter)
            .build()
            .fetch_all(self.database.pool())
            .await
            .map_err(self.database.failed("reading entries from"))?;
        rows.iter().map(|row| self.stored_event(row)).collect()
    }

    fn stored_event(&self, row: &SqliteRow) -> Result<StoredEvent, LedgerError> {
        let row = entry_row(row).map_err(self.database.failed("reading an entry from"))?;
        let broken = |found: String| self.database.contradiction(format!("entry {}: {found}", row.index));
        let hash = Hash::from_slice(&row.leaf_hash).ok_or_else(|| broken("its hash is cut".to_owned()))?;
        let detail = row.detail.as_ref().map(|detail| detail.text.as_str());
        Leaf::parse(&row.leaf).and_then(|leaf| leaf.into_stored(detail, hash)).map_err(broken)
    }

    async fn keep_checkpoint(&self, size: u64, note: &str) -> Result<(), LedgerError> {
        sqlx::query("INSERT INTO ledger_checkpoint (size, note) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(signed(size))
            .bind(note)
            .execute(self.database.pool())
            .await
            .map(drop)
            .map_err(self.database.failed("keeping a checkpoint in"))
    }

    async fn view(&self) -> Result<Box<dyn Snapshot>, LedgerError> {
        let failed = self.database.failed("reading");
        let mut transaction = self.database.pool().begin().await.map_err(&failed)?;
        // A deferred transaction sees the database as it is at its first read: that is now.
        let _: i64 = sqlx::query_scalar("SELECT size FROM ledger_head")
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?;
        Ok(Box::new(SqliteSnapshot { store: self.clone(), transaction }))
    }
}

fn is_stored(subtree: &Subtree) -> bool {
    subtree.height > 0 && subtree.height.is_multiple_of(STORED_HEIGHT)
}

const ENTRY_COLUMNS: &str =
    "SELECT e.leaf_index, e.leaf, e.leaf_hash, e.kind, e.at_us, e.subject, d.salt, d.detail
     FROM ledger_entry e LEFT JOIN ledger_detail d ON d.leaf_index = e.leaf_index WHERE true";

fn query_for(filter: &EventFilter) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(ENTRY_COLUMNS);
    if let Some(prefix) = &filter.kind_prefix {
        // Kinds are ASCII, so that no kind with the prefix sorts after the prefix and DEL.
        query.push(" AND e.kind >= ").push_bind(prefix.clone());
        query.push(" AND e.kind < ").push_bind(format!("{prefix}\u{7f}"));
    }
    if let Some(subject) = &filter.subject {
        query.push(" AND e.subject = ").push_bind(subject.clone());
    }
    if let Some(since) = &filter.since {
        query.push(" AND e.at_us >= ").push_bind(since.timestamp_micros());
    }
    if let Some(until) = &filter.until {
        query.push(" AND e.at_us < ").push_bind(until.timestamp_micros());
    }
    if let Some(after) = filter.after {
        query.push(if filter.newest_first { " AND e.leaf_index < " } else { " AND e.leaf_index > " });
        query.push_bind(signed(after));
    }
    query.push(if filter.newest_first { " ORDER BY e.leaf_index DESC" } else { " ORDER BY e.leaf_index" });
    let limit = filter.limit.unwrap_or(MAX_EVENTS_PER_QUERY).min(MAX_EVENTS_PER_QUERY);
    query.push(" LIMIT ").push_bind(signed(limit));
    query
}

fn entry_row(row: &SqliteRow) -> Result<EntryRow, sqlx::Error> {
    let salt: Option<Vec<u8>> = row.try_get("salt")?;
    let text: Option<String> = row.try_get("detail")?;
    let salt = salt.and_then(|salt| salt.try_into().ok());
    Ok(EntryRow {
        index: row.try_get::<i64, _>("leaf_index")?.unsigned_abs(),
        leaf: row.try_get("leaf")?,
        leaf_hash: row.try_get("leaf_hash")?,
        kind: row.try_get("kind")?,
        at_us: row.try_get("at_us")?,
        subject: row.try_get("subject")?,
        detail: salt.zip(text).map(|(salt, text)| CommittedDetail { salt, text }),
    })
}

impl Store for SqliteStore {
    fn append<'a>(&'a self, drafts: &'a [Draft]) -> Pending<'a, Vec<Receipt>> {
        Box::pin(self.append_all(drafts))
    }

    fn erase<'a>(&'a self, index: u64, record: &'a Draft) -> Pending<'a, Receipt> {
        Box::pin(self.erase_detail(index, record))
    }

    fn add_refusals<'a>(&'a self, sums: &'a [(Hour, String, String, u64)]) -> Pending<'a, ()> {
        Box::pin(self.add_sums(sums))
    }

    fn close_hours(&self, open: Hour) -> Pending<'_, Vec<Receipt>> {
        Box::pin(self.enter_hours(open))
    }

    fn refusal_sums(&self, since: Hour) -> Pending<'_, Vec<RefusalSum>> {
        Box::pin(self.sums_since(since))
    }

    fn events<'a>(&'a self, filter: &'a EventFilter) -> Pending<'a, Vec<StoredEvent>> {
        Box::pin(self.filtered(filter))
    }

    fn save_checkpoint<'a>(&'a self, size: u64, note: &'a str) -> Pending<'a, ()> {
        Box::pin(self.keep_checkpoint(size, note))
    }

    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>> {
        Box::pin(self.view())
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            self.database.pool().close().await;
            Ok(())
        })
    }
}

/// A read transaction: in WAL mode it sees one state while others write.
struct SqliteSnapshot {
    store: SqliteStore,
    transaction: Transaction<'static, Sqlite>,
}

impl SqliteSnapshot {
    async fn entries(&mut self, from: u64, limit: u64) -> Result<Vec<EntryRow>, LedgerError> {
        let failed = self.store.database.failed("reading entries from");
        let mut query = QueryBuilder::new(ENTRY_COLUMNS);
        query.push(" AND e.leaf_index >= ").push_bind(signed(from));
        query.push(" ORDER BY e.leaf_index LIMIT ").push_bind(signed(limit));
        let rows = query.build().fetch_all(&mut *self.transaction).await.map_err(&failed)?;
        rows.iter().map(entry_row).collect::<Result<_, _>>().map_err(&failed)
    }

    async fn subtree_hashes(&mut self, height: u32, from: u64, count: u64) -> Result<Vec<Hash>, LedgerError> {
        let failed = self.store.database.failed("reading hashes from");
        let query = if height == 0 {
            sqlx::query_scalar(
                "SELECT leaf_hash FROM ledger_entry WHERE leaf_index >= ?1 AND leaf_index < ?2 AND ?3 = 0
                 ORDER BY leaf_index",
            )
        } else {
            sqlx::query_scalar(
                "SELECT hash FROM ledger_subtree WHERE position >= ?1 AND position < ?2 AND height = ?3
                 ORDER BY position",
            )
        };
        let hashes: Vec<Vec<u8>> = query
            .bind(signed(from))
            .bind(signed(from + count))
            .bind(i64::from(height))
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(failed)?;
        Ok(hashes.iter().filter_map(|hash| Hash::from_slice(hash)).collect())
    }
}

impl Snapshot for SqliteSnapshot {
    fn head(&mut self) -> Pending<'_, Frontier> {
        Box::pin(self.store.head(&mut self.transaction))
    }

    fn rows(&mut self, from: u64, limit: u64) -> Pending<'_, Vec<EntryRow>> {
        Box::pin(self.entries(from, limit))
    }

    fn last_index(&mut self) -> Pending<'_, Option<u64>> {
        Box::pin(async {
            let last: Option<i64> = sqlx::query_scalar("SELECT max(leaf_index) FROM ledger_entry")
                .fetch_one(&mut *self.transaction)
                .await
                .map_err(self.store.database.failed("reading the last entry of"))?;
            Ok(last.map(i64::unsigned_abs))
        })
    }

    fn hashes(&mut self, height: u32, from: u64, count: u64) -> Pending<'_, Vec<Hash>> {
        Box::pin(self.subtree_hashes(height, from, count))
    }

    fn checkpoints(&mut self) -> Pending<'_, Vec<String>> {
        Box::pin(async {
            sqlx::query_scalar("SELECT note FROM ledger_checkpoint ORDER BY size, note")
                .fetch_all(&mut *self.transaction)
                .await
                .map_err(self.store.database.failed("reading the checkpoints of"))
        })
    }

    fn contradiction(&self, found: String) -> LedgerError {
        self.store.database.contradiction(found)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use sqlx::Connection;

    use super::*;
    use crate::error::Fault;
    use crate::event::{Event, EventKind};

    fn draft(bytes: usize) -> Draft {
        let event = Event::new(EventKind::GateHeld, DateTime::UNIX_EPOCH, "gate", "a@acme.example");
        Draft::new(&event.with(json!("x".repeat(bytes)))).unwrap()
    }

    /// Holds all connections of the pool, so that none is left out, and asks each for a transaction of sqlx too.
    async fn on_every_connection(store: &SqliteStore, statements: &'static str) {
        let pool = store.database.pool();
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
        let store = SqliteStore::open(&url, true).await.unwrap();
        on_every_connection(&store, "PRAGMA max_page_count = 40").await;
        let error = store.append(&[draft(10), draft(1 << 20)]).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Unreachable);
        assert!(error.to_string().contains("disk is full"), "{error}");

        // SQLite has rolled back by itself; every connection must be able to begin anew.
        on_every_connection(&store, "PRAGMA max_page_count = 1000000; BEGIN IMMEDIATE; ROLLBACK").await;
        let receipts = store.append(&[draft(10), draft(1 << 20)]).await.unwrap();
        assert_eq!(receipts.iter().map(|receipt| receipt.index).collect::<Vec<_>>(), [0, 1]);
    }

    #[tokio::test]
    async fn a_right_edge_that_does_not_fit_its_size_stops_writing() {
        let store = SqliteStore::open("sqlite::memory:", true).await.unwrap();
        sqlx::raw_sql("UPDATE ledger_head SET size = 3").execute(store.database.pool()).await.unwrap();
        let error = store.append(&[draft(1)]).await.unwrap_err();
        assert!(matches!(error, LedgerError::Corrupted { .. }), "{error}");
        assert_eq!(error.fault(), Fault::Ours);
    }
}
