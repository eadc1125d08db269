//! Asking a panel's database: every query of a set in a transaction that can only read.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::Utc;
use futures_util::TryStreamExt as _;
use mailwarden_evidence::{Coverage, CoverageState, Evidence, Fact, Observation, SYSTEM};
use sqlx::{Column as _, Connection as _, Row as _, ValueRef as _};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::row::{Columns, facts};
use crate::set::Query;
use crate::{Engine, PanelError, QuerySet, Source};

/// Most rows of one query.
const MAX_ROWS: usize = 200_000;
/// Most characters of one value; a longer one is cut, and the query is then not wholly read.
const MAX_CELL: usize = 256 * 1024;

/// Which panel is asked, and how.
#[derive(Debug, Clone)]
pub struct PanelPlan {
    /// The name it goes by in reports; several of a kind have different ones.
    pub name: String,
    /// What is asked.
    pub set: QuerySet,
    /// Where.
    pub source: Source,
    /// The prefix of its table names.
    pub prefix: String,
    /// How long one query may take.
    pub timeout: Duration,
    /// Most rows taken of one query.
    pub most_rows: usize,
}

impl PanelPlan {
    /// A panel that is asked with patience for half a minute a query.
    pub fn new(name: impl Into<String>, set: QuerySet, source: Source) -> Self {
        let timeout = Duration::from_secs(30);
        Self { name: name.into(), set, source, prefix: String::new(), timeout, most_rows: MAX_ROWS }
    }

    fn label(&self) -> String {
        format!("panel {} ({} set {})", self.name, self.set.name, self.set.version)
    }
}

/// What was seen of a panel.
#[derive(Debug, Default)]
pub struct Seen {
    /// The rows.
    pub observations: Vec<Observation>,
    /// How far: one row for each surface of the set.
    pub coverage: Vec<Coverage>,
    /// What a reader should know although it changes no coverage.
    pub notes: Vec<String>,
}

/// Asks one panel everything its set knows. What cannot be asked stands in the coverage.
pub async fn collect(plan: &PanelPlan) -> Seen {
    let mut seen = Seen::default();
    let mut gaps: BTreeMap<&'static str, Vec<String>> =
        plan.set.surfaces().into_iter().map(|surface| (surface, Vec::new())).collect();
    let opened = timeout(plan.timeout, Connection::open(&plan.source, plan.timeout)).await;
    let connection = match opened {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(failed(plan, "connecting", &error)),
        Err(_) => Err(slow(plan, "connecting")),
    };
    let mut connection = match connection {
        Ok(connection) => connection,
        Err(error) => return unreachable(plan, &error),
    };
    for query in &plan.set.queries {
        if plan.source.engine() == Engine::Sqlite && !query.not_in_sqlite.is_empty() {
            note_gap(&mut gaps, query, format!("{}: {}", query.id, query.not_in_sqlite));
            continue;
        }
        let asked = timeout(plan.timeout, ask(&mut connection, plan, query, &mut seen)).await;
        let gap = match asked {
            Ok(Ok(None)) => continue,
            Ok(Ok(Some(gap))) => gap,
            Ok(Err(error)) if query.optional && is_absent(&error) => {
                seen.notes.push(format!("{}: {} is not there in this version", plan.label(), query.id));
                continue;
            }
            Ok(Err(error)) => failed(plan, &query.id, &error).to_string(),
            Err(_) => slow(plan, &query.id).to_string(),
        };
        note_gap(&mut gaps, query, gap);
    }
    connection.close().await;
    seen.coverage = gaps.into_iter().map(|(surface, gaps)| covered(plan, surface, &gaps)).collect();
    seen
}

fn note_gap(gaps: &mut BTreeMap<&'static str, Vec<String>>, query: &Query, gap: String) {
    let surface = mailwarden_evidence::surface(&query.surface);
    if let Some(gaps) = surface.and_then(|row| gaps.get_mut(&*row.id)) {
        gaps.push(gap);
    }
}

fn covered(plan: &PanelPlan, surface: &str, gaps: &[String]) -> Coverage {
    let state = if gaps.is_empty() { CoverageState::Collected } else { CoverageState::Partial };
    row_of(plan, surface, state, gaps.join("; "))
}

fn row_of(plan: &PanelPlan, surface: &str, state: CoverageState, reason: String) -> Coverage {
    Coverage { mailbox: SYSTEM.to_owned(), surface: surface.to_owned(), state, reason, source: plan.label() }
}

fn unreachable(plan: &PanelPlan, error: &PanelError) -> Seen {
    let state = match error {
        PanelError::Denied { .. } => CoverageState::Denied,
        _ => CoverageState::Error,
    };
    let rows = plan.set.surfaces().into_iter().map(|surface| row_of(plan, surface, state, error.to_string()));
    Seen { coverage: rows.collect(), ..Seen::default() }
}

// --- one query ------------------------------------------------------------------------------------------------------

/// Asks one query; what it says is what stays unknown of it.
async fn ask(
    connection: &mut Connection,
    plan: &PanelPlan,
    query: &Query,
    seen: &mut Seen,
) -> Result<Option<String>, sqlx::Error> {
    let sql = query.text(plan.source.engine(), &plan.prefix);
    let mut taker = Taker { plan, query, seen, rows: 0, is_cut: false };
    match connection {
        Connection::Sqlite(open) => {
            let mut rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch(open);
            while let Some(row) = rows.try_next().await? {
                let columns = row.columns().iter().enumerate();
                if !taker.take(columns.map(|(at, column)| (column.name(), sqlite_cell(&row, at)))) {
                    break;
                }
            }
        }
        Connection::MySql(open) => {
            // Every transaction of the session is READ ONLY.
            let mut transaction = open.begin().await?;
            let mut rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch(&mut *transaction);
            while let Some(row) = rows.try_next().await? {
                let columns = row.columns().iter().enumerate();
                if !taker.take(columns.map(|(at, column)| (column.name(), mysql_cell(&row, at)))) {
                    break;
                }
            }
        }
        Connection::PostgreSql(open) => {
            let mut transaction = open.begin().await?;
            let mut rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch(&mut *transaction);
            while let Some(row) = rows.try_next().await? {
                let columns = row.columns().iter().enumerate();
                if !taker.take(columns.map(|(at, column)| (column.name(), postgresql_cell(&row, at)))) {
                    break;
                }
            }
        }
    }
    taker.count();
    Ok(taker.gap())
}

struct Taker<'a> {
    plan: &'a PanelPlan,
    query: &'a Query,
    seen: &'a mut Seen,
    rows: usize,
    is_cut: bool,
}

impl Taker<'_> {
    /// Takes a row; false where no more are wanted.
    fn take<'c>(&mut self, cells: impl Iterator<Item = (&'c str, Option<String>)>) -> bool {
        self.rows += 1;
        if self.rows > self.plan.most_rows {
            return false;
        }
        if !self.query.counted.is_empty() {
            return true;
        }
        let mut columns = Columns::default();
        for (name, cell) in cells {
            let value = cell.unwrap_or_default();
            let short: String = value.chars().take(MAX_CELL).collect();
            self.is_cut |= short.len() < value.len();
            columns.take(name, short);
        }
        let database = (self.plan.source.engine(), self.plan.prefix.as_str());
        let (facts, is_cut) = facts(&self.plan.name, self.query, &columns, database);
        self.is_cut |= is_cut;
        facts.into_iter().for_each(|fact| self.observe(fact, &columns.owner));
        true
    }

    /// A script belongs to its mailbox, whoever stores it; all other rows are the system's.
    fn observe(&mut self, fact: Fact, owner: &str) {
        let (mailbox, excerpt) = match &fact {
            Fact::PanelRow { owner, target, label, .. } if target.is_empty() => {
                (SYSTEM.to_owned(), format!("{}: {owner} {label}", self.query.id))
            }
            Fact::PanelRow { owner, target, .. } => {
                (SYSTEM.to_owned(), format!("{}: {owner} -> {target}", self.query.id))
            }
            _ => (owner.to_owned(), format!("{}: a stored script", self.query.id)),
        };
        let raw = serde_json::to_vec(&fact).unwrap_or_default();
        let evidence = Evidence::of(&raw, &excerpt, &self.plan.label(), Utc::now());
        let surface = self.query.surface.clone();
        self.seen.observations.push(Observation { mailbox, surface, fact, evidence });
    }

    /// Says how many rows there are of those that name nobody.
    fn count(&mut self) {
        if self.rows > 0 && !self.query.counted.is_empty() {
            let (rows, counted) = (self.rows, &self.query.counted);
            self.seen.notes.push(format!("{}: {rows} {counted}", self.plan.label()));
        }
    }

    fn gap(&self) -> Option<String> {
        if self.rows > self.plan.most_rows {
            return Some(format!("{}: rows beyond the first {}", self.query.id, self.plan.most_rows));
        }
        let why = format!("values longer than {MAX_CELL} characters, or not what the panel writes there");
        self.is_cut.then(|| format!("{}: {why}", self.query.id))
    }
}

// --- values ---------------------------------------------------------------------------------------------------------

/// What an SQLite value is depends on the row, not on the column.
fn sqlite_cell(row: &sqlx::sqlite::SqliteRow, at: usize) -> Option<String> {
    let text = row.try_get_unchecked::<String, _>(at).ok();
    text.or_else(|| row.try_get_unchecked::<Vec<u8>, _>(at).ok().map(|bytes| lossy(&bytes)))
}

fn mysql_cell(row: &sqlx::mysql::MySqlRow, at: usize) -> Option<String> {
    if row.try_get_raw(at).ok()?.is_null() {
        return None;
    }
    let number = || row.try_get::<i64, _>(at).map(|number| number.to_string()).ok();
    let unsigned = || row.try_get::<u64, _>(at).map(|number| number.to_string()).ok();
    let text = || row.try_get::<String, _>(at).ok();
    let bytes = || row.try_get_unchecked::<Vec<u8>, _>(at).ok().map(|bytes| lossy(&bytes));
    // Any integer can be had as a truth there, and would lose which it is.
    text().or_else(number).or_else(unsigned).or_else(bytes)
}

fn postgresql_cell(row: &sqlx::postgres::PgRow, at: usize) -> Option<String> {
    if row.try_get_raw(at).ok()?.is_null() {
        return None;
    }
    let long = || row.try_get::<i64, _>(at).map(|number| number.to_string()).ok();
    let middle = || row.try_get::<i32, _>(at).map(|number| number.to_string()).ok();
    let short = || row.try_get::<i16, _>(at).map(|number| number.to_string()).ok();
    let truth = || row.try_get::<bool, _>(at).map(|truth| truth.to_string()).ok();
    let text = || row.try_get::<String, _>(at).ok();
    let bytes = || row.try_get::<Vec<u8>, _>(at).ok().map(|bytes| lossy(&bytes));
    text().or_else(truth).or_else(long).or_else(middle).or_else(short).or_else(bytes)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

// --- errors ---------------------------------------------------------------------------------------------------------

/// Whether a table or column is not there: PostgreSQL 42P01 and 42703, MySQL 1146 and 1054 (both 42S), SQLite by its
/// words.
fn is_absent(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    let by_code = error.code().is_some_and(|code| ["42P01", "42703", "42S02", "42S22"].contains(&&*code));
    by_code || error.message().starts_with("no such table") || error.message().starts_with("no such column")
}

/// Refused logins and missing rights: PostgreSQL 28xxx and 42501, MySQL 28000, 42000 and 1142.
fn is_denied(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    let code = error.code().unwrap_or_default();
    code.starts_with("28") || code == "42501" || error.message().contains("denied")
}

fn failed(plan: &PanelPlan, doing: &str, error: &sqlx::Error) -> PanelError {
    // A database's own words can quote the statement, never the password.
    let cause = error.as_database_error().map_or_else(|| error.to_string(), |said| said.message().to_owned());
    let cause: String = cause.chars().filter(|c| !c.is_control()).take(300).collect();
    let (panel, doing) = (plan.label(), doing.to_owned());
    if is_denied(error) {
        return PanelError::Denied { panel, doing, cause };
    }
    PanelError::Unreachable { panel, doing, cause }
}

fn slow(plan: &PanelPlan, doing: &str) -> PanelError {
    let cause = format!("no end within {:?}", plan.timeout);
    PanelError::Unreachable { panel: plan.label(), doing: doing.to_owned(), cause }
}
