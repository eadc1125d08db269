//! A ledger or a journal in PostgreSQL.
//!
//! Every writing transaction begins by locking the row that holds the right edge of the tree: whoever waited
//! for it reads what the other wrote, so that any number of machines write one sequence. Who holds the lock
//! and falls silent is cut off by the server.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow, PgSslMode};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Postgres, Row as _, TypeInfo as _, ValueRef as _};

use crate::error::LedgerError;
use crate::kept::Kept;
use crate::secret::read_secret;
use crate::store::{
    Access, Argument, Cell, Column, Dialect, Pending, Row, Rows, Statement, Store, Transaction,
};

/// How long to try to get a connection, the making of a new one included.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one statement may take, seen from here; the server's own limits are below it.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Limits that the server keeps: waiting for another writer, running one statement, and holding a
/// transaction without a word, after which the others must not wait any longer. And what a statement that is a
/// transaction by itself would else take from the server's configuration: see [`beginning`].
const SESSION: [(&str, &str); 5] = [
    ("lock_timeout", "10s"),
    ("statement_timeout", "25s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
];
/// Taken while the schema is brought up to date; any number that nobody else is likely to choose.
const MIGRATION_LOCK: i64 = 0x4d57_4c47;

/// What a set of tables is for.
pub(crate) struct PostgresPurpose {
    /// What it is called in messages, and in the table of versions.
    pub(crate) name: &'static str,
    /// The statements that lead from one schema version to the next.
    pub(crate) migrations: &'static [&'static str],
    /// Most connections to the server.
    pub(crate) connections: u32,
}

pub(crate) const DIALECT: Dialect = Dialect {
    for_update: " FOR UPDATE",
    elements: "json_array_elements($1::json) AS element(value)",
    text: " #>> '{}'",
    // Two that delete the same rows in another order would wait for each other.
};

const WANTED: &str = "`postgres://USER@HOST:PORT/DATABASE`";
/// What may follow the `?` of a URL.
const PARAMETERS: [&str; 8] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "application_name", PASSWORD_FILE];
/// The parameter that names a file with the password.
const PASSWORD_FILE: &str = "password_file";

/// Whether a URL is for this back end.
pub(crate) fn is_ours(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// An open PostgreSQL database.
#[derive(Debug, Clone)]
pub(crate) struct PostgresStore {
    pool: PgPool,
    kept: Kept<Postgres>,
    name: String,
}

impl PostgresStore {
    /// Connects; with `create` missing tables are made.
    pub(crate) async fn open(
        url: &str,
        purpose: &PostgresPurpose,
        create: bool,
    ) -> Result<Self, LedgerError> {
        let options = connect_options(url)?;
        let name = format!("the {} at {}", purpose.name, place(&options));
        let pool = PgPoolOptions::new()
            .max_connections(purpose.connections)
            .acquire_timeout(CONNECT_LIMIT)
            .connect_lazy_with(options);
        let store = Self { pool, kept: Kept::default(), name };
        store.migrate(purpose, create).await?;
        Ok(store)
    }

    async fn migrate(&self, purpose: &PostgresPurpose, create: bool) -> Result<(), LedgerError> {
        let doing = "opening";
        let mut transaction = self.begin_any(doing, Access::Writing).await?;
        self.require_utf8(&mut transaction).await?;
        let known = purpose.migrations.len();
        match self.version(&mut transaction, purpose).await? {
            Some(version) if version == known => return Ok(()),
            Some(version) if version > known => return Err(self.newer(version, known)),
            None if !create => {
                return Err(LedgerError::Absent { place: self.name.clone(), what: purpose.name });
            }
            _ => {}
        }
        let lock = "SELECT pg_advisory_xact_lock($1)";
        transaction.execute(doing, lock, vec![MIGRATION_LOCK.into()]).await?;
        // Somebody else may have done it while we waited.
        let version = self.version(&mut transaction, purpose).await?.unwrap_or(0);
        self.bring_up_to_date(&mut transaction, purpose, version).await?;
        Box::new(transaction).commit(doing).await
    }

    async fn bring_up_to_date(
        &self,
        transaction: &mut PostgresTransaction,
        purpose: &PostgresPurpose,
        version: usize,
    ) -> Result<(), LedgerError> {
        let doing = "bringing the schema up to date in";
        let versions = "CREATE TABLE IF NOT EXISTS mailwarden_schema
                        (part TEXT PRIMARY KEY, version BIGINT NOT NULL)";
        transaction.execute(doing, versions, Vec::new()).await?;
        for script in purpose.migrations.iter().skip(version) {
            // As long as it takes: a large table is written anew, and each script lifts the server's limits.
            let done = sqlx::raw_sql(*script).execute(&mut *transaction.transaction).await;
            done.map_err(|error| failed(&self.name, doing, error))?;
        }
        let sql = "INSERT INTO mailwarden_schema (part, version) VALUES ($1, $2)
                   ON CONFLICT (part) DO UPDATE SET version = excluded.version";
        let known = purpose.migrations.len() as u64;
        transaction.execute(doing, sql, vec![purpose.name.into(), known.into()]).await.map(drop)
    }

    async fn begin_any(
        &self,
        doing: &'static str,
        access: Access,
    ) -> Result<PostgresTransaction, LedgerError> {
        let begun = answered(self.pool.begin_with(AssertSqlSafe(beginning(access)))).await;
        let transaction = begun.map_err(|error| failed(&self.name, doing, error))?;
        Ok(PostgresTransaction { transaction, name: self.name.clone() })
    }

    /// The schema version of our tables, if there are any.
    async fn version(
        &self,
        transaction: &mut PostgresTransaction,
        purpose: &PostgresPurpose,
    ) -> Result<Option<usize>, LedgerError> {
        let doing = "reading the schema version of";
        // Not `to_regclass`: a name that was not found once stays so for a session that then only waits for the
        // lock of whoever makes it.
        let there = "SELECT count(*) FROM pg_class
                     WHERE relname = 'mailwarden_schema' AND pg_table_is_visible(oid)";
        let rows = transaction.fetch(doing, there, Vec::new()).await?;
        if rows.into_iter().find_map(|mut row| row.integer()) != Some(1) {
            return Ok(None);
        }
        let sql = "SELECT version FROM mailwarden_schema WHERE part = $1";
        let rows = transaction.fetch(doing, sql, vec![purpose.name.into()]).await?;
        Ok(rows.into_iter().find_map(|mut row| row.number()).and_then(|version| version.try_into().ok()))
    }

    /// A leaf is UTF-8 and must come back byte for byte.
    async fn require_utf8(&self, transaction: &mut PostgresTransaction) -> Result<(), LedgerError> {
        let sql = "SELECT current_setting('server_encoding')";
        let rows = transaction.fetch("reading the encoding of", sql, Vec::new()).await?;
        match rows.into_iter().find_map(|mut row| row.text()) {
            Some(encoding) if encoding == "UTF8" => Ok(()),
            encoding => Err(self.misplaced(
                format!("the database's encoding is {}, not UTF8", encoding.unwrap_or_default()),
                "make one: createdb --encoding=UTF8 --template=template0 NAME",
            )),
        }
    }

    fn newer(&self, version: usize, known: usize) -> LedgerError {
        self.misplaced(
            format!("was written by a newer version (schema {version}, this one knows {known})"),
            "upgrade Mailwarden on this machine",
        )
    }

    fn misplaced(&self, problem: String, fix: &str) -> LedgerError {
        LedgerError::Misplaced { path: PathBuf::from(&self.name), problem, fix: fix.to_owned() }
    }
}

/// `host:port/database`, without anything secret.
fn place(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("postgres://{host}:{}/{database}", options.get_port())
}

fn connect_options(url: &str) -> Result<PgConnectOptions, LedgerError> {
    let parameters = parameters(url)?;
    let options: PgConnectOptions = without(url, PASSWORD_FILE)
        .parse()
        .map_err(|_| refused(url, "cannot be read as a URL of PostgreSQL"))?;
    let mut options = protected(url, options, parameters.contains_key("sslmode"))?
        .options(SESSION)
        .disable_statement_logging();
    if !parameters.contains_key("application_name") {
        options = options.application_name("mailwarden");
    }
    match parameters.get(PASSWORD_FILE) {
        Some(path) => Ok(options.password(&read_secret("the password of the database", path.as_ref())?)),
        None => Ok(options),
    }
}

/// What stands behind the `?`; anything that is not known, and a password, is refused.
fn parameters(url: &str) -> Result<BTreeMap<&str, &str>, LedgerError> {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let authority = before.split_once("://").map_or("", |(_, rest)| rest);
    let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
    if login.contains(':') || query.contains("password=") {
        return Err(refused(
            url,
            "holds a password, which others can see; name a file: ?password_file=/path",
        ));
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let parameters: BTreeMap<&str, &str> =
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    if !parameters.keys().all(|name| PARAMETERS.contains(name)) {
        return Err(refused(url, "has a parameter that is not known here"));
    }
    if parameters.get(PASSWORD_FILE).is_some_and(|path| !path.starts_with('/') || path.contains('%')) {
        return Err(refused(url, "does not name the password file by a plain absolute path"));
    }
    Ok(parameters)
}

/// The URL without one of its parameters.
fn without<'u>(url: &'u str, parameter: &str) -> Cow<'u, str> {
    let Some((before, query)) = url.split_once('?') else { return Cow::Borrowed(url) };
    let others: Vec<&str> =
        query.split('&').filter(|pair| pair.split('=').next() != Some(parameter)).collect();
    Cow::Owned(format!("{before}?{}", others.join("&")))
}

/// Loopback and sockets need no TLS. For any other host the certificate is verified unless the URL asks for
/// less, and plain text is refused.
fn protected(url: &str, options: PgConnectOptions, chosen: bool) -> Result<PgConnectOptions, LedgerError> {
    let is_near = options.get_socket().is_some()
        || options.get_host() == "localhost"
        || options
            .get_host()
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    match options.get_ssl_mode() {
        _ if is_near => Ok(options),
        _ if !chosen => Ok(options.ssl_mode(PgSslMode::VerifyFull)),
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => Err(refused(
            url,
            "asks for a connection that may be plain text, over a network; use sslmode=verify-full",
        )),
        _ => Ok(options),
    }
}

fn refused(url: &str, problem: &'static str) -> LedgerError {
    LedgerError::Url { url: crate::open::shown_url(url), problem, wanted: WANTED }
}

impl Store for PostgresStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn begin(&self, doing: &'static str, access: Access) -> Pending<'_, Box<dyn Transaction>> {
        Box::pin(async move {
            let transaction = self.begin_any(doing, access).await?;
            Ok(Box::new(transaction) as Box<dyn Transaction>)
        })
    }

    fn move_on(&self, doing: &'static str, expecting: Statement, rows: Vec<Rows>) -> Pending<'_, bool> {
        Box::pin(async move {
            let unreached = |error| failed(&self.name, doing, error);
            let mut kept = answered(self.kept.take(&self.pool)).await.map_err(unreached)?;
            let moved = move_on(kept.connection().map_err(unreached)?, expecting, rows).await;
            let has_moved = moved.map_err(|error| not_committed(&self.name, doing, error))?;
            kept.keep();
            Ok(has_moved)
        })
    }

    /// Deleted rows leave the tables; their bytes may stay in free space, in the server's log and in backups
    /// until those are overwritten.
    fn forget_deleted(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let vacuum = sqlx::raw_sql("VACUUM ledger_entry").execute(&self.pool);
            if let Err(error) = answered(vacuum).await {
                tracing::warn!(%error, "what was erased is gone from the tables, but not yet from their files");
            }
            Ok(())
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            self.kept.let_go().await;
            // A server that does not answer must not keep us from ending.
            drop(tokio::time::timeout(CONNECT_LIMIT, self.pool.close()).await);
            Ok(())
        })
    }
}

/// The same, but not for ever: a network that swallows packets gives no error.
async fn answered<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(ANSWER_LIMIT, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

struct PostgresTransaction {
    transaction: sqlx::Transaction<'static, Postgres>,
    name: String,
}

/// An administrator may have turned waiting for the disk off for everybody; a ledger cannot do without. Stricter
/// settings (waiting for replicas) stay. It holds for the transaction, and is read at its commit.
const DURABLE: &str = "set_config('synchronous_commit', CASE current_setting('synchronous_commit')
    WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)";

/// How a transaction begins, with all that is to be said about it, in one journey. Whoever waited for a lock must see
/// what its holder wrote, whatever the server's default is.
fn beginning(access: Access) -> String {
    match access {
        Access::Reading => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(),
        Access::Writing => format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT {DURABLE}"),
        Access::WritingInHaste => {
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit TO off".to_owned()
        }
    }
}

/// Columns as arrays, from the place after `first` on: what to read them from.
fn unnested(rows: &Rows, first: usize) -> String {
    let arrays = rows.columns.iter().enumerate().map(|(place, (_, column))| {
        let kind = match column {
            Column::Integers(_) => "bigint",
            Column::Texts(_) | Column::NullableTexts(_) => "text",
            Column::Bytes(_) | Column::NullableBytes(_) => "bytea",
        };
        format!("${}::{kind}[]", first + place + 1)
    });
    format!("unnest({})", arrays.collect::<Vec<_>>().join(", "))
}

fn with_columns(
    query: Query<'static, Postgres, PgArguments>,
    rows: Rows,
) -> Query<'static, Postgres, PgArguments> {
    rows.columns.into_iter().fold(query, |query, (_, column)| match column {
        Column::Integers(values) => query.bind(values),
        Column::Texts(values) => query.bind(values),
        Column::NullableTexts(values) => query.bind(values),
        Column::Bytes(values) => query.bind(values),
        Column::NullableBytes(values) => query.bind(values),
    })
}

async fn move_on(
    connection: &mut PgConnection,
    expecting: Statement,
    rows: Vec<Rows>,
) -> Result<bool, sqlx::Error> {
    let query = bound(&moving_on(&expecting, &rows), expecting.arguments);
    let query = rows.into_iter().fold(query, with_columns);
    // To the end of the answer: the row comes before the commit, where the statement is a transaction by itself.
    let rows = answered(query.fetch_all(connection)).await?;
    let moved = rows.first().map(|row| row.try_get::<i64, _>(0)).transpose()?;
    Ok(moved == Some(1))
}

/// One statement for all of it: every statement is a journey over the network. It may be a transaction by itself.
fn moving_on(expecting: &Statement, rows: &[Rows]) -> String {
    let mut sql = format!("WITH moved AS ({} RETURNING 1)", numbered(expecting.sql));
    let mut place = expecting.arguments.len();
    for (number, rows) in rows.iter().enumerate() {
        let (insert, values) = (rows.insert_into(), unnested(rows, place));
        sql.push_str(&format!(
            ", part{number} AS ({insert} SELECT given.* FROM moved, {values} AS given {})",
            rows.otherwise
        ));
        place += rows.columns.len();
    }
    sql + " SELECT (SELECT count(*) FROM moved), " + DURABLE
}

/// The places as PostgreSQL writes them.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.zip(1..).fold(first, |sql, (part, place)| format!("{sql}${place}{part}"))
}

fn bound(sql: &str, arguments: Vec<Argument>) -> Query<'static, Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    arguments.into_iter().fold(query, |query, argument| match argument {
        Argument::Integer(integer) => query.bind(integer),
        Argument::Text(text) => query.bind(text),
        Argument::Bytes(bytes) => query.bind(bytes),
    })
}

fn cells(row: &PgRow) -> Result<Row, sqlx::Error> {
    (0..row.len()).map(|column| cell(row, column)).collect::<Result<_, _>>().map(Row::new)
}

fn cell(row: &PgRow, column: usize) -> Result<Cell, sqlx::Error> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    match value.type_info().name() {
        "INT8" => row.try_get(column).map(Cell::Integer),
        "BYTEA" => row.try_get(column).map(Cell::Bytes),
        _ => row.try_get(column).map(Cell::Text),
    }
}

impl Transaction for PostgresTransaction {
    fn execute<'a>(
        &'a mut self,
        doing: &'static str,
        sql: &'a str,
        arguments: Vec<Argument>,
    ) -> Pending<'a, u64> {
        Box::pin(async move {
            let done = answered(bound(sql, arguments).execute(&mut *self.transaction)).await;
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
            let rows = answered(bound(sql, arguments).fetch_all(&mut *self.transaction)).await;
            let cells = rows.and_then(|rows| rows.iter().map(cells).collect());
            cells.map_err(|error| failed(&self.name, doing, error))
        })
    }

    fn insert<'a>(&'a mut self, doing: &'static str, rows: Rows) -> Pending<'a, u64> {
        Box::pin(async move {
            let sql =
                format!("{} SELECT * FROM {} {}", rows.insert_into(), unnested(&rows, 0), rows.otherwise);
            let query = with_columns(sqlx::query(AssertSqlSafe(sql)), rows);
            let done = answered(query.execute(&mut *self.transaction)).await;
            done.map(|done| done.rows_affected()).map_err(|error| failed(&self.name, doing, error))
        })
    }

    fn move_on<'a>(
        &'a mut self,
        doing: &'static str,
        expecting: Statement,
        rows: Vec<Rows>,
    ) -> Pending<'a, bool> {
        Box::pin(async move {
            let moved = move_on(&mut self.transaction, expecting, rows).await;
            moved.map_err(|error| failed(&self.name, doing, error))
        })
    }

    fn commit(self: Box<Self>, doing: &'static str) -> Pending<'static, ()> {
        Box::pin(async move {
            let Self { transaction, name } = *self;
            answered(transaction.commit()).await.map_err(|error| not_committed(&name, doing, error))
        })
    }
}

/// What went wrong while a transaction was to be committed.
fn not_committed(name: &str, doing: &'static str, error: sqlx::Error) -> LedgerError {
    match &error {
        sqlx::Error::Database(answer) if is_final(answer.code().as_deref()) => failed(name, doing, error),
        // The server may have done it and died before it could say so.
        _ => LedgerError::Unknown { doing, database: name.to_owned(), source: Arc::new(error) },
    }
}

/// Whether an answer to COMMIT says for sure that nothing was committed. A session that is told to end (class
/// 57, operator intervention) says so even when its commit was already on the disk.
fn is_final(code: Option<&str>) -> bool {
    code.is_some_and(|code| !code.starts_with("57"))
}

/// Turns what PostgreSQL answered into an error that says what to do.
fn failed(name: &str, doing: &'static str, source: sqlx::Error) -> LedgerError {
    let code = source.as_database_error().and_then(DatabaseError::code).unwrap_or_default().into_owned();
    if let Some(fix) = configuration_fix(&code) {
        let problem = format!("while {doing} it: {source}");
        return LedgerError::Misplaced { path: PathBuf::from(name), problem, fix: fix.to_owned() };
    }
    match code.as_str() {
        // Integrity violations; damaged pages and indices.
        _ if code.starts_with("23") || code.starts_with("XX") => {
            LedgerError::Corrupted { database: name.to_owned(), found: format!("{doing} it: {source}") }
        }
        _ => LedgerError::Database {
            doing,
            database: name.to_owned(),
            advice: advice(&source, &code),
            source: Arc::new(source),
        },
    }
}

// PostgreSQL manual, Appendix A, "PostgreSQL Error Codes".
fn configuration_fix(code: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" | "28000" => {
            "check the user in the URL, the password file or PGPASSFILE, and pg_hba.conf on the server"
        }
        "3D000" => "create the database: createdb --encoding=UTF8 NAME",
        "42501" | "3F000" => {
            "let the user of the URL own the database, or grant it CREATE on the schema and its tables"
        }
        _ => return None,
    })
}

fn advice(error: &sqlx::Error, code: &str) -> &'static str {
    match (code, error) {
        ("53100", _) => "the server's disk is full and nothing was written; free space and try again",
        ("55P03" | "57014", _) => "another process kept it locked and nothing was written; try again",
        ("25006", _) => "the server is a standby that takes no changes; name the primary in the URL",
        ("57P01" | "57P02" | "57P03", _) => {
            "the server is going down or coming up and nothing was written; try again"
        }
        ("53300", _) => "the server has no connection left and nothing was written; raise max_connections",
        (_, sqlx::Error::PoolClosed) => "it is closed; open it again",
        (_, sqlx::Error::Tls(_)) => {
            "no protected connection; check the server's certificate, sslmode and sslrootcert in the URL"
        }
        (_, sqlx::Error::PoolTimedOut | sqlx::Error::Io(_)) => {
            "the server cannot be reached and nothing was written; check that it runs and try again"
        }
        (_, sqlx::Error::Database(_)) => {
            "the database refused; this looks like a bug in Mailwarden, please report it"
        }
        _ => "the connection broke and nothing was written; try again",
    }
}
