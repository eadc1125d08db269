//! A ledger or a journal in a SQLite file: its URL, its owner's eyes only, its identity, its schema.
//!
//! Every write is a `BEGIN IMMEDIATE` transaction, in WAL mode; a ledger's has `synchronous=FULL`: when the
//! commit returns, the entries are on the disk, and a second process that was waiting for the lock goes on
//! from them.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Row as _, Sqlite, SqliteConnection, TypeInfo as _,
    ValueRef as _,
};

use crate::error::LedgerError;
use crate::kept::{InUse, Kept};
use crate::open::shown_url;
use crate::owner::give_to_owner_of;
use crate::store::{
    Access, Argument, Cell, Column, Dialect, Pending, Row, Rows, Statement, Store, Transaction,
};

/// How long a writer waits for another process to finish its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How a transaction begins that holds the write lock from its first statement on.
const WRITING: &str = "BEGIN IMMEDIATE";
/// Connections to a file: one writes at a time, the others read beside it.
const FILE_CONNECTIONS: u32 = 4;
/// How many pages of 4 KiB the write-ahead log gathers: pages that are written again and again (the right edges of
/// indices) are copied from it once.
const WAL_PAGES: &str = "4000";
/// How often opening is tried again while another process creates the same file.
const OPEN_ATTEMPTS: u32 = 100;
/// How long to wait between these attempts.
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// What a file is for; it decides the schema and how a commit is made durable.
pub(crate) struct SqlitePurpose {
    /// What the file is called in messages.
    pub(crate) name: &'static str,
    /// SQLite's `application_id`, so that one file is not taken for another.
    pub(crate) application_id: i64,
    /// The statements that lead from one schema version to the next; each sets `user_version` itself.
    pub(crate) migrations: &'static [&'static str],
    /// Whether a commit waits for the disk.
    pub(crate) synchronous: SqliteSynchronous,
}

pub(crate) const DIALECT: Dialect = Dialect {
    // `BEGIN IMMEDIATE` holds the write lock already.
    for_update: "",
    elements: "json_each($1)",
    text: "",
};

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    File(PathBuf),
    Memory,
}

const WANTED: &str = "`sqlite:/path/to/file.db`";

impl Location {
    pub(crate) fn parse(url: &str) -> Result<Self, LedgerError> {
        let refuse = |problem| Err(LedgerError::Url { url: shown_url(url), problem, wanted: WANTED });
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return refuse("names no back end that this build has");
        };
        if rest == ":memory:" {
            return Ok(Self::Memory);
        }
        let path = rest.strip_prefix("//").unwrap_or(rest);
        // What sqlx's own URLs say for "make it if there is none", which is decided elsewhere.
        let path = path.strip_suffix("?mode=rwc").unwrap_or(path);
        match path {
            _ if path.contains(['?', '#', '%', '\0']) => refuse("has parameters or escapes"),
            // What a relative path means would depend on where the program was started.
            _ if !path.starts_with('/') => refuse("has no absolute path"),
            _ if path.ends_with('/') => refuse("names a directory"),
            _ => Ok(Self::File(path.into())),
        }
    }
}

/// An open SQLite database.
#[derive(Debug, Clone)]
pub(crate) struct SqliteStore {
    pool: SqlitePool,
    /// None for a database in memory, which is its only connection.
    kept: Option<Kept<Sqlite>>,
    name: String,
}

impl SqliteStore {
    /// Opens the database; with `create` a missing file is made, readable by its owner only.
    pub(crate) async fn open(url: &str, purpose: &SqlitePurpose, create: bool) -> Result<Self, LedgerError> {
        let location = Location::parse(url)?;
        if let Location::File(path) = &location {
            prepare_file(path, purpose, create)?;
        }
        let (pool, name) = (pool(&location, purpose), name(&location, purpose));
        let database = Self { pool, kept: (location != Location::Memory).then(Kept::default), name };
        for _ in 1..OPEN_ATTEMPTS {
            match database.migrate(&location, purpose).await {
                // Switching a new file to WAL ignores the busy timeout when two processes do it at once.
                Err(LedgerError::Database { source, .. }) if is_busy(&source) => {
                    tokio::time::sleep(OPEN_PAUSE).await;
                }
                done => return done.map(|()| database),
            }
        }
        database.migrate(&location, purpose).await.map(|()| database)
    }

    async fn migrate(&self, location: &Location, purpose: &SqlitePurpose) -> Result<(), LedgerError> {
        let failed = self.failed("opening");
        let mut connection = self.pool.acquire().await.map_err(&failed)?;
        if self.version(&mut connection, location, purpose).await? == purpose.migrations.len() {
            return Ok(());
        }
        drop(connection);
        let mut transaction = self.begin_writing("bringing the schema up to date in").await?;
        let version = self.version(&mut transaction, location, purpose).await?;
        for migration in purpose.migrations.iter().skip(version) {
            sqlx::raw_sql(*migration).execute(&mut *transaction).await.map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)
    }

    /// The schema version of the file, once it is known to be ours.
    async fn version(
        &self,
        connection: &mut SqliteConnection,
        location: &Location,
        purpose: &SqlitePurpose,
    ) -> Result<usize, LedgerError> {
        let failed = self.failed("reading the schema version of");
        let (id, version, tables): (i64, i64, i64) = sqlx::query_as(
            "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)
             FROM pragma_application_id a, pragma_user_version v",
        )
        .fetch_one(connection)
        .await
        .map_err(failed)?;
        let known = purpose.migrations.len();
        match usize::try_from(version) {
            Ok(0) if id == 0 && tables == 0 => Ok(0),
            _ if id != purpose.application_id => Err(misplaced(
                location,
                format!("is a SQLite database, but not a {}", purpose.name),
                "name a file of its own for each database, or move this one away",
            )),
            Ok(version) if version <= known => Ok(version),
            _ => Err(misplaced(
                location,
                format!("was written by a newer version (schema {version}, this one knows {known})"),
                "upgrade Mailwarden on this machine",
            )),
        }
    }

    /// For tests that meddle with the file.
    #[cfg(test)]
    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Begins a transaction that holds the write lock from its first statement on.
    async fn begin_writing(
        &self,
        doing: &'static str,
    ) -> Result<sqlx::Transaction<'static, Sqlite>, LedgerError> {
        self.pool.begin_with(WRITING).await.map_err(self.failed(doing))
    }

    /// Turns what SQLite answered into an error that says what to do.
    fn failed(&self, doing: &'static str) -> impl Fn(sqlx::Error) -> LedgerError {
        let name = self.name.clone();
        move |source| failed(&name, doing, source)
    }
}

async fn move_on_kept(
    mut kept: InUse<Sqlite>,
    expecting: Statement,
    rows: Vec<Rows>,
) -> Result<bool, sqlx::Error> {
    let has_moved = transact(kept.connection()?, expecting, rows).await?;
    kept.keep();
    Ok(has_moved)
}

/// A whole transaction. Every statement is a journey to the connection's thread and back, which for a few rows is most of
/// the time: these go there together.
async fn transact(
    connection: &mut SqliteConnection,
    expecting: Statement,
    rows: Vec<Rows>,
) -> Result<bool, sqlx::Error> {
    if rows.iter().all(|rows| rows.len() <= ROWS_TOGETHER) {
        let query = bound(&moving_on(&expecting, &rows), expecting.arguments);
        let moved = rows.into_iter().fold(query, with_rows).fetch_all(connection).await?;
        return Ok(!moved.is_empty());
    }
    let mut transaction = connection.begin_with(WRITING).await?;
    let has_moved = move_on(&mut transaction, expecting, rows).await?;
    transaction.commit().await?;
    Ok(has_moved)
}

async fn move_on(
    connection: &mut SqliteConnection,
    expecting: Statement,
    rows: Vec<Rows>,
) -> Result<bool, sqlx::Error> {
    let moved = bound(expecting.sql, expecting.arguments).execute(&mut *connection).await?;
    if moved.rows_affected() != 1 {
        return Ok(false);
    }
    for rows in rows {
        insert(connection, rows).await?;
    }
    Ok(true)
}

impl Store for SqliteStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn begin(&self, doing: &'static str, access: Access) -> Pending<'_, Box<dyn Transaction>> {
        Box::pin(async move {
            let failed = self.failed(doing);
            let begun = match (access, &self.kept) {
                // It sees the database as it is at its first read.
                (Access::Reading, _) => self.pool.begin_with("BEGIN DEFERRED").await.map(Begun::Pooled),
                (Access::Writing | Access::WritingInHaste, Some(kept)) => begin_kept(kept, &self.pool).await,
                (Access::Writing | Access::WritingInHaste, None) => {
                    self.pool.begin_with(WRITING).await.map(Begun::Pooled)
                }
            };
            let name = self.name.clone();
            let begun = begun.map_err(failed)?;
            Ok(Box::new(SqliteTransaction { begun, name }) as Box<dyn Transaction>)
        })
    }

    fn move_on(&self, doing: &'static str, expecting: Statement, rows: Vec<Rows>) -> Pending<'_, bool> {
        Box::pin(async move {
            if let Some(kept) = &self.kept {
                let failed = self.failed(doing);
                let kept = kept.take(&self.pool).await.map_err(&failed)?;
                return move_on_kept(kept, expecting, rows).await.map_err(failed);
            }
            let mut transaction = self.begin(doing, Access::Writing).await?;
            let has_moved = transaction.move_on(doing, expecting, rows).await?;
            transaction.commit(doing).await?;
            Ok(has_moved)
        })
    }

    /// The write-ahead log still holds the pages as they were; emptying it is what erases.
    fn forget_deleted(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let emptied = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.pool).await;
            emptied.map(drop).map_err(self.failed("erasing a detail from"))
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            if let Some(kept) = &self.kept {
                kept.let_go().await;
            }
            self.pool.close().await;
            Ok(())
        })
    }
}

struct SqliteTransaction {
    begun: Begun,
    name: String,
}

/// A transaction, and what undoes it when it is dropped.
enum Begun {
    /// The pool knows of it.
    Pooled(sqlx::Transaction<'static, Sqlite>),
    /// It ends with its connection.
    Kept(InUse<Sqlite>),
}

async fn begin_kept(kept: &Kept<Sqlite>, pool: &SqlitePool) -> Result<Begun, sqlx::Error> {
    let mut kept = kept.take(pool).await?;
    sqlx::query(WRITING).execute(kept.connection()?).await?;
    Ok(Begun::Kept(kept))
}

impl Begun {
    fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        match self {
            Self::Pooled(transaction) => Ok(transaction),
            Self::Kept(kept) => kept.connection(),
        }
    }

    async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Pooled(transaction) => transaction.commit().await,
            Self::Kept(mut kept) => {
                sqlx::query("COMMIT").execute(kept.connection()?).await?;
                kept.keep();
                Ok(())
            }
        }
    }
}

fn bound(sql: &str, arguments: Vec<Argument>) -> Query<'static, Sqlite, SqliteArguments> {
    let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    arguments.into_iter().fold(query, |query, argument| match argument {
        Argument::Integer(integer) => query.bind(integer),
        Argument::Text(text) => query.bind(text),
        Argument::Bytes(bytes) => query.bind(bytes),
    })
}

/// The most rows of a table that are part of a transaction in one text; SQLite takes 32,766 places.
const ROWS_TOGETHER: usize = 1_024;
/// The most rows of one INSERT.
const ROWS_AT_ONCE: usize = 128;
/// Up to so many rows go in one INSERT, whatever their number.
const FEW_ROWS: usize = 16;

/// How many rows the next INSERT takes of so many that are left: a connection keeps its statements prepared, so
/// that there must not be one for every number.
fn rows_at_once(left: usize) -> usize {
    if left <= FEW_ROWS { left } else { (1 << left.ilog2()).min(ROWS_AT_ONCE) }
}

fn insert_statement(rows: &Rows, count: usize) -> String {
    format!("{} VALUES {} {}", rows.insert_into(), values(rows, count), rows.otherwise)
}

/// One transaction: the rows are inserted where the row was as the statement expected it, and a SELECT tells so.
fn moving_on(expecting: &Statement, rows: &[Rows]) -> String {
    let mut sql = format!("{WRITING}; {} RETURNING 1", expecting.sql);
    for rows in rows {
        let (insert, values) = (rows.insert_into(), values(rows, places(rows)));
        // The changes of the statement before: the row that was moved on, or the rows that were inserted since.
        sql.push_str(&format!(
            "; {insert} SELECT * FROM (VALUES {values}) WHERE TRUE LIMIT iif(changes() > 0, ?, 0) {}",
            rows.otherwise
        ));
    }
    sql + "; COMMIT"
}

/// How many rows the statement has places for: it must not be another one for every number.
fn places(rows: &Rows) -> usize {
    rows.len().next_power_of_two()
}

fn values(rows: &Rows, count: usize) -> String {
    let row = format!("({})", vec!["?"; rows.columns.len()].join(","));
    vec![row; count].join(",")
}

/// The rows, and NULL in the places that they leave.
fn with_rows(
    mut query: Query<'static, Sqlite, SqliteArguments>,
    rows: Rows,
) -> Query<'static, Sqlite, SqliteArguments> {
    let (count, places) = (rows.len(), places(&rows));
    let mut columns: Vec<Values> = rows.columns.into_iter().map(|(_, column)| column.into()).collect();
    for _ in 0..places {
        query = columns.iter_mut().fold(query, |query, column| column.bind(query));
    }
    query.bind(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A column whose values are taken one by one.
enum Values {
    Integers(std::vec::IntoIter<i64>),
    Texts(std::vec::IntoIter<String>),
    NullableTexts(std::vec::IntoIter<Option<String>>),
    Bytes(std::vec::IntoIter<Vec<u8>>),
    NullableBytes(std::vec::IntoIter<Option<Vec<u8>>>),
}

impl From<Column> for Values {
    fn from(column: Column) -> Self {
        match column {
            Column::Integers(values) => Self::Integers(values.into_iter()),
            Column::Texts(values) => Self::Texts(values.into_iter()),
            Column::NullableTexts(values) => Self::NullableTexts(values.into_iter()),
            Column::Bytes(values) => Self::Bytes(values.into_iter()),
            Column::NullableBytes(values) => Self::NullableBytes(values.into_iter()),
        }
    }
}

impl Values {
    fn bind(
        &mut self,
        query: Query<'static, Sqlite, SqliteArguments>,
    ) -> Query<'static, Sqlite, SqliteArguments> {
        match self {
            Self::Integers(values) => query.bind(values.next()),
            Self::Texts(values) => query.bind(values.next()),
            Self::NullableTexts(values) => query.bind(values.next().flatten()),
            Self::Bytes(values) => query.bind(values.next()),
            Self::NullableBytes(values) => query.bind(values.next().flatten()),
        }
    }
}

async fn insert(connection: &mut SqliteConnection, rows: Rows) -> Result<u64, sqlx::Error> {
    let (mut left, mut inserted) = (rows.len(), 0);
    let mut statements = Vec::new();
    while left > 0 {
        let count = rows_at_once(left);
        statements.push((count, insert_statement(&rows, count)));
        left -= count;
    }
    let mut columns: Vec<Values> = rows.columns.into_iter().map(|(_, column)| column.into()).collect();
    for (count, sql) in statements {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for _ in 0..count {
            query = columns.iter_mut().fold(query, |query, column| column.bind(query));
        }
        inserted += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok(inserted)
}

fn cells(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    (0..row.len()).map(|column| cell(row, column)).collect::<Result<_, _>>().map(Row::new)
}

fn cell(row: &SqliteRow, column: usize) -> Result<Cell, sqlx::Error> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    match value.type_info().name() {
        "INTEGER" => row.try_get(column).map(Cell::Integer),
        "BLOB" => row.try_get(column).map(Cell::Bytes),
        _ => row.try_get(column).map(Cell::Text),
    }
}

impl Transaction for SqliteTransaction {
    fn execute<'a>(
        &'a mut self,
        doing: &'static str,
        sql: &'a str,
        arguments: Vec<Argument>,
    ) -> Pending<'a, u64> {
        Box::pin(async move {
            let done = async { bound(sql, arguments).execute(self.begun.connection()?).await }.await;
            done.map(|done| done.rows_affected()).map_err(|error| failed(&self.name, doing, error))
        })
    }

    fn fetch<'a>(
        &'a mut self,
        doing: &'static str,
        sql: &'a str,
        arguments: Vec<Argument>,
    ) -> Pending<'a, Vec<Row>> {
        Box::pin(async move {
            let rows = async { bound(sql, arguments).fetch_all(self.begun.connection()?).await }.await;
            let cells = rows.and_then(|rows| rows.iter().map(cells).collect());
            cells.map_err(|error| failed(&self.name, doing, error))
        })
    }

    fn insert<'a>(&'a mut self, doing: &'static str, rows: Rows) -> Pending<'a, u64> {
        Box::pin(async move {
            let done = async { insert(self.begun.connection()?, rows).await }.await;
            done.map_err(|error| failed(&self.name, doing, error))
        })
    }

    fn move_on<'a>(
        &'a mut self,
        doing: &'static str,
        expecting: Statement,
        rows: Vec<Rows>,
    ) -> Pending<'a, bool> {
        Box::pin(async move {
            let moved = async { move_on(self.begun.connection()?, expecting, rows).await }.await;
            moved.map_err(|error| failed(&self.name, doing, error))
        })
    }

    fn commit(self: Box<Self>, doing: &'static str) -> Pending<'static, ()> {
        Box::pin(async move {
            let Self { begun, name } = *self;
            begun.commit().await.map_err(|error| failed(&name, doing, error))
        })
    }
}

/// Turns what SQLite answered into an error that says what to do.
fn failed(name: &str, doing: &'static str, source: sqlx::Error) -> LedgerError {
    match primary_code(&source) {
        Some(SQLITE_CORRUPT | SQLITE_CONSTRAINT | SQLITE_NOTADB) => {
            LedgerError::Corrupted { database: name.to_owned(), found: format!("{doing} it: {source}") }
        }
        code => LedgerError::Database {
            doing,
            database: name.to_owned(),
            advice: advice(&source, code),
            source: Arc::new(source),
        },
    }
}

// https://www.sqlite.org/rescode.html; the low byte of an extended code is the primary code.
const SQLITE_PERM: i32 = 3;
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_READONLY: i32 = 8;
const SQLITE_IOERR: i32 = 10;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_CONSTRAINT: i32 = 19;
const SQLITE_NOTADB: i32 = 26;

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_BUSY | SQLITE_LOCKED))
}

fn advice(error: &sqlx::Error, code: Option<i32>) -> &'static str {
    match (code, error) {
        (Some(SQLITE_FULL), _) => "the disk is full and nothing was written; free space and try again",
        (Some(SQLITE_BUSY | SQLITE_LOCKED), _) | (_, sqlx::Error::PoolTimedOut) => {
            "another process kept it locked and nothing was written; try again"
        }
        (Some(SQLITE_PERM | SQLITE_READONLY | SQLITE_CANTOPEN), _) => {
            "it cannot be opened for writing; check owner and mode of the file and of its directory"
        }
        (Some(SQLITE_IOERR), _) => "the disk failed; check the system log",
        (_, sqlx::Error::PoolClosed) => "it is closed; open it again",
        _ => "the database refused; this looks like a bug in Mailwarden, please report it",
    }
}

fn name(location: &Location, purpose: &SqlitePurpose) -> String {
    match location {
        Location::File(path) => format!("the {} {}", purpose.name, path.display()),
        Location::Memory => format!("the {} in memory", purpose.name),
    }
}

fn misplaced(location: &Location, problem: impl Into<String>, fix: impl Into<String>) -> LedgerError {
    let path = match location {
        Location::File(path) => path.clone(),
        Location::Memory => PathBuf::from(":memory:"),
    };
    LedgerError::Misplaced { path, problem: problem.into(), fix: fix.into() }
}

/// Makes the file before SQLite would, because SQLite would make it readable by everyone that the umask lets;
/// the `-wal` and `-shm` files take their mode from it.
fn prepare_file(path: &Path, purpose: &SqlitePurpose, create: bool) -> Result<(), LedgerError> {
    if !create {
        return require_file(path, purpose);
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let synced = match made {
        Ok(file) => {
            give_to_owner_of(directory, &file);
            file.sync_all().and_then(|()| File::open(directory)?.sync_all())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(no_directory(directory)),
        Err(error) => Err(error),
    };
    let doing = "creating the database file";
    synced.map_err(|source| LedgerError::File { doing, path: path.into(), source: Arc::new(source) })
}

/// A file that may not be looked at is not a file that is not there.
fn require_file(path: &Path, purpose: &SqlitePurpose) -> Result<(), LedgerError> {
    match path.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(LedgerError::Absent { place: path.display().to_string(), what: purpose.name }),
        Err(source) => {
            let doing = "looking for the database file";
            Err(LedgerError::File { doing, path: path.into(), source: Arc::new(source) })
        }
    }
}

fn no_directory(directory: &Path) -> LedgerError {
    LedgerError::Misplaced {
        path: directory.into(),
        problem: "this directory does not exist".to_owned(),
        fix: format!("create it: install -d -m 0700 -o mailwarden {}", directory.display()),
    }
}

fn pool(location: &Location, purpose: &SqlitePurpose) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(purpose.synchronous)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // What is erased shall not linger in free pages.
        .pragma("secure_delete", "ON")
        // What is committed is on the disk either way; this is how often it is copied from the log to its place.
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new()
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(has_left_transaction(connection)));
    match location {
        Location::File(path) => {
            pool.max_connections(FILE_CONNECTIONS).connect_lazy_with(options.filename(path))
        }
        // A database in memory is its connection: there is one, and it never ends before the pool.
        Location::Memory => pool.max_connections(1).connect_lazy_with(options.filename(":memory:")),
    }
}

/// Whether a connection that comes back is fit for the next user; otherwise it is closed.
///
/// When a disk is full or fails, SQLite ends the transaction by itself; the rollback that follows then fails,
/// and sqlx goes on counting a transaction that no longer exists, so that no other could ever begin on this
/// connection.
async fn has_left_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // A dropped transaction is rolled back by a command that may still wait; a ping comes after it.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::error::Fault;

    const TOY: SqlitePurpose = SqlitePurpose {
        name: "toy",
        application_id: 7,
        migrations: &[
            "PRAGMA application_id = 7; PRAGMA user_version = 1; CREATE TABLE toy (x INTEGER) STRICT",
        ],
        synchronous: SqliteSynchronous::Normal,
    };

    fn url(path: &Path) -> String {
        format!("sqlite:{}", path.display())
    }

    #[test]
    fn any_number_of_rows_goes_in_a_few_kinds_of_statements() {
        let mut kinds = std::collections::BTreeSet::new();
        for all in 0..2_000 {
            let mut left = all;
            while left > 0 {
                let count = rows_at_once(left);
                assert!((1..=left).contains(&count), "{count} of {left}");
                kinds.insert(count);
                left -= count;
            }
        }
        assert!(kinds.len() <= 20, "{kinds:?}");
    }

    #[test]
    fn urls_that_are_not_plain_are_refused_without_showing_a_password() {
        assert_eq!(Location::parse("sqlite:/var/l.db").unwrap(), Location::File("/var/l.db".into()));
        assert_eq!(Location::parse("sqlite:///var/l.db").unwrap(), Location::File("/var/l.db".into()));
        assert_eq!(Location::parse("sqlite:/l.db?mode=rwc").unwrap(), Location::File("/l.db".into()));
        assert_eq!(Location::parse("sqlite::memory:").unwrap(), Location::Memory);
        for bad in
            ["", "/var/l.db", "sqlite:", "sqlite:l.db", "sqlite:/d/", "sqlite:/l.db?mode=ro", "mysql:/x"]
        {
            assert_eq!(Location::parse(bad).unwrap_err().fault(), Fault::Configuration, "{bad}");
        }
        let text = Location::parse("mysql://me:hunter2@db/x").unwrap_err().to_string();
        assert!(!text.contains("hunter2") && text.contains("sqlite:/path"), "{text}");
    }

    #[tokio::test]
    async fn what_root_makes_belongs_to_whom_the_directory_belongs_to() {
        const SOMEBODY: u32 = 65_534;
        let directory = tempfile::tempdir().unwrap();
        // Only root may give it away; for anybody else all of it is their own anyway.
        let _ = std::os::unix::fs::chown(directory.path(), Some(SOMEBODY), Some(SOMEBODY));
        let owner = |path: &Path| std::fs::metadata(path).unwrap().uid();
        let path = directory.path().join("toy.db");
        let database = SqliteStore::open(&url(&path), &TOY, true).await.unwrap();
        sqlx::query("INSERT INTO toy VALUES (1)").execute(database.pool()).await.unwrap();
        for file in ["toy.db", "toy.db-wal", "toy.db-shm"] {
            assert_eq!(owner(&directory.path().join(file)), owner(directory.path()), "{file}");
        }
    }

    #[tokio::test]
    async fn the_file_is_made_for_its_owner_only_and_a_missing_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("toy.db");
        let database = SqliteStore::open(&url(&path), &TOY, true).await.unwrap();
        sqlx::query("INSERT INTO toy VALUES (1)").execute(database.pool()).await.unwrap();
        for file in ["toy.db", "toy.db-wal", "toy.db-shm"] {
            let mode = std::fs::metadata(directory.path().join(file)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let error =
            SqliteStore::open(&url(&directory.path().join("no/toy.db")), &TOY, true).await.unwrap_err();
        assert!(error.to_string().contains("install -d"), "{error}");
        assert_eq!(error.fault(), Fault::Configuration);
    }

    #[tokio::test]
    async fn without_leave_to_create_a_missing_file_stays_missing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("toy.db");
        let error = SqliteStore::open(&url(&path), &TOY, false).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Configuration);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn foreign_newer_and_broken_files_are_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("toy.db");
        let toy = SqliteStore::open(&url(&path), &TOY, true).await.unwrap();
        let other = SqlitePurpose { name: "other", application_id: 8, ..TOY };
        let error = SqliteStore::open(&url(&path), &other, true).await.unwrap_err();
        assert!(error.to_string().contains("not a other"), "{error}");

        sqlx::raw_sql("PRAGMA user_version = 2").execute(toy.pool()).await.unwrap();
        let error = SqliteStore::open(&url(&path), &TOY, true).await.unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");

        let text = directory.path().join("text.db");
        std::fs::write(&text, "x".repeat(4096)).unwrap();
        let error = SqliteStore::open(&url(&text), &TOY, true).await.unwrap_err();
        assert!(matches!(error, LedgerError::Corrupted { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&text).unwrap(), "x".repeat(4096));
    }

    #[tokio::test]
    async fn many_openers_of_a_new_file_all_succeed() {
        let directory = tempfile::tempdir().unwrap();
        let url = url(&directory.path().join("toy.db"));
        let openers: Vec<_> = (0..8)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { SqliteStore::open(&url, &TOY, true).await.map(|_| ()) })
            })
            .collect();
        for opener in openers {
            opener.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_directory_in_place_of_the_file_is_unreachable() {
        let directory = tempfile::tempdir().unwrap();
        let error = SqliteStore::open(&url(directory.path()), &TOY, true).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Unreachable);
        assert!(error.to_string().contains("check owner and mode"), "{error}");
    }
}
