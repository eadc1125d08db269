//! Changing cells of one row: looked at, compared, changed and read back in one transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use mailwarden_evidence::RowPlace;
use sqlx::{Executor as _, Row as _};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::set::is_name;
use crate::{Engine, PanelError, Source};

/// Longest list that is changed, in bytes: the ledger keeps it as it was.
const MAX_CELL: usize = 64 * 1024;

/// What fails where a row is changed.
const CHANGING: &str = "changing a row";
/// A database that does not answer may have heard all the same.
const COMMITTING: &str = "making a change stay (look at the row: whether it does is not known)";

/// What the cells of a row hold, by column.
type Cells = BTreeMap<String, String>;

/// A connection that changes rows of one panel.
pub struct RowStore {
    panel: String,
    engine: Engine,
    connection: Connection,
    patience: Duration,
}

impl std::fmt::Debug for RowStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowStore").field("panel", &self.panel).finish_non_exhaustive()
    }
}

/// A statement and what is bound to it.
struct Statement {
    sql: String,
    bound: Vec<String>,
}

impl RowStore {
    /// Opens a connection as a user who may change rows.
    ///
    /// # Errors
    /// The database cannot be reached, or refuses the user.
    pub async fn open(panel: &str, source: &Source, patience: Duration) -> Result<Self, PanelError> {
        let opened = timeout(patience, Connection::open_to_change(source)).await;
        let failed = |cause: String| unreachable(panel, "connecting", cause);
        let connection = opened
            .map_err(|_| failed(format!("no end within {patience:?}")))?
            .map_err(|error| failed(said(&error)))?;
        Ok(Self { panel: panel.to_owned(), engine: source.engine(), connection, patience })
    }

    /// What the cells hold; `None` where there is no such row.
    ///
    /// # Errors
    /// Several rows go by that name, a name is none, or the database refuses.
    pub async fn read(&mut self, place: &RowPlace) -> Result<Option<Cells>, PanelError> {
        let columns = columns(place);
        let statement = self.select(place, &columns, "")?;
        let rows = self.rows(&statement, columns.len()).await?;
        self.one(place, &columns, rows)
    }

    /// Puts cells in the place of others, where they hold exactly what they are expected to hold, and reads them back
    /// before the change is made to stay.
    ///
    /// # Errors
    /// The row is not as expected, or does not become as it shall be; then nothing is changed.
    pub async fn put(&mut self, place: &RowPlace, from: &Cells, to: &Cells) -> Result<(), PanelError> {
        let done = self.transact(place, from, to).await;
        if done.is_err() {
            // Also where it was not begun in time, or not kept: a database that answers late would else hold the row.
            let _ = self.command("ROLLBACK", CHANGING).await;
        }
        done
    }

    async fn transact(&mut self, place: &RowPlace, from: &Cells, to: &Cells) -> Result<(), PanelError> {
        let begin = if self.engine == Engine::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        self.command(begin, CHANGING).await?;
        self.replace(place, from, to).await?;
        self.command("COMMIT", COMMITTING).await
    }

    async fn replace(&mut self, place: &RowPlace, from: &Cells, to: &Cells) -> Result<(), PanelError> {
        let columns = columns(place);
        let lock = if self.engine == Engine::Sqlite { "" } else { " FOR UPDATE" };
        let select = self.select(place, &columns, lock)?;
        let rows = self.rows(&select, columns.len()).await?;
        if self.one(place, &columns, rows)?.as_ref() != Some(from) {
            return Err(self.failed(CHANGING, "it was changed by somebody else in this moment"));
        }
        let update = self.update(place, from, to)?;
        if self.execute(&update).await? != 1 {
            return Err(self.failed(CHANGING, "not exactly one row was changed"));
        }
        let rows = self.rows(&select, columns.len()).await?;
        if self.one(place, &columns, rows)?.as_ref() != Some(to) {
            return Err(self.failed(CHANGING, "read back, it is not as it should be"));
        }
        Ok(())
    }

    fn one(
        &self,
        place: &RowPlace,
        columns: &[String],
        mut rows: Vec<Vec<String>>,
    ) -> Result<Option<Cells>, PanelError> {
        if rows.len() > 1 {
            return Err(self.failed("finding a row", &format!("{} has several of that name", place.table)));
        }
        let Some(cells) = rows.pop() else { return Ok(None) };
        if cells.iter().any(|cell| cell.len() > MAX_CELL) {
            return Err(self.failed("reading a row", &format!("a cell is longer than {MAX_CELL} bytes")));
        }
        Ok(Some(columns.iter().cloned().zip(cells).collect()))
    }

    /// Close it.
    pub async fn close(self) {
        self.connection.close().await;
    }

    // --- statements -------------------------------------------------------------------------------------------------

    fn select(&self, place: &RowPlace, columns: &[String], lock: &str) -> Result<Statement, PanelError> {
        self.only_names(place)?;
        let (text, mut bound) = (self.text_type(), Vec::new());
        let wanted: Vec<String> = columns.iter().map(|column| format!("CAST({column} AS {text})")).collect();
        let condition = self.condition(place, &mut bound);
        let sql = format!("SELECT {} FROM {} WHERE {condition}{lock}", wanted.join(", "), place.table);
        Ok(Statement { sql, bound })
    }

    fn update(&self, place: &RowPlace, from: &Cells, to: &Cells) -> Result<Statement, PanelError> {
        self.only_names(place)?;
        let (mut bound, mut set) = (Vec::new(), Vec::new());
        for (column, value) in to.iter().filter(|(column, value)| from.get(*column) != Some(*value)) {
            if *column == place.switch {
                // A switch is a number here and a truth there; neither takes text.
                if !["0", "1", "true", "false"].contains(&value.as_str()) {
                    return Err(self.failed(CHANGING, "its switch is neither a number nor a truth"));
                }
                set.push(format!("{column} = {value}"));
            } else {
                bound.push(value.clone());
                set.push(format!("{column} = {}", self.placeholder(bound.len())));
            }
        }
        // Only MariaDB and MySQL write times anew by themselves.
        if self.engine == Engine::MySql {
            set.extend(place.keep.iter().map(|column| format!("{column} = {column}")));
        }
        let condition = self.condition(place, &mut bound);
        Ok(Statement {
            sql: format!("UPDATE {} SET {} WHERE {condition}", place.table, set.join(", ")),
            bound,
        })
    }

    fn condition(&self, place: &RowPlace, bound: &mut Vec<String>) -> String {
        let text = self.text_type();
        let mut parts = Vec::new();
        for (column, value) in &place.by {
            bound.push(value.clone());
            parts.push(format!("CAST({column} AS {text}) = {}", self.placeholder(bound.len())));
        }
        parts.join(" AND ")
    }

    fn text_type(&self) -> &'static str {
        if self.engine == Engine::MySql { "CHAR" } else { "TEXT" }
    }

    fn placeholder(&self, number: usize) -> String {
        if self.engine == Engine::PostgreSql { format!("${number}") } else { "?".to_owned() }
    }

    /// Names come from a set of queries, and back from a ledger.
    fn only_names(&self, place: &RowPlace) -> Result<(), PanelError> {
        let all = [&place.table, &place.switch].into_iter().chain(&place.list).chain(&place.keep);
        match all.chain(place.by.keys()).find(|name| !is_name(name)) {
            None if !place.by.is_empty() => Ok(()),
            _ => Err(self.failed(CHANGING, "a table or column has no plain name")),
        }
    }

    // --- the database -----------------------------------------------------------------------------------------------

    async fn command(&mut self, sql: &'static str, doing: &str) -> Result<(), PanelError> {
        let run = async {
            match &mut self.connection {
                Connection::Sqlite(open) => open.execute(sqlx::raw_sql(sql)).await.map(drop),
                Connection::MySql(open) => open.execute(sqlx::raw_sql(sql)).await.map(drop),
                Connection::PostgreSql(open) => open.execute(sqlx::raw_sql(sql)).await.map(drop),
            }
        };
        let done = timeout(self.patience, run).await;
        self.answered(doing, done)
    }

    async fn execute(&mut self, statement: &Statement) -> Result<u64, PanelError> {
        macro_rules! run {
            ($open:expr) => {{
                let mut query = sqlx::query(sqlx::AssertSqlSafe(statement.sql.clone()));
                for value in &statement.bound {
                    query = query.bind(value.clone());
                }
                timeout(self.patience, query.execute($open))
                    .await
                    .map(|done| done.map(|done| done.rows_affected()))
            }};
        }
        let done = match &mut self.connection {
            Connection::Sqlite(open) => run!(open),
            Connection::MySql(open) => run!(open),
            Connection::PostgreSql(open) => run!(open),
        };
        self.answered(CHANGING, done)
    }

    async fn rows(&mut self, statement: &Statement, columns: usize) -> Result<Vec<Vec<String>>, PanelError> {
        macro_rules! ask {
            ($open:expr) => {{
                let mut query = sqlx::query(sqlx::AssertSqlSafe(statement.sql.clone()));
                for value in &statement.bound {
                    query = query.bind(value.clone());
                }
                let asked = async {
                    let (mut found, mut rows) = (Vec::new(), query.fetch($open));
                    while let Some(row) = rows.try_next().await? {
                        let cell = |at| row.try_get::<Option<String>, _>(at).map(Option::unwrap_or_default);
                        found.push((0..columns).map(cell).collect::<Result<Vec<_>, _>>()?);
                        // One row is wanted, and a second is enough to know.
                        if found.len() > 1 {
                            break;
                        }
                    }
                    Ok(found)
                };
                timeout(self.patience, asked).await
            }};
        }
        let done = match &mut self.connection {
            Connection::Sqlite(open) => ask!(open),
            Connection::MySql(open) => ask!(open),
            Connection::PostgreSql(open) => ask!(open),
        };
        self.answered("reading a row", done)
    }

    fn answered<T>(
        &self,
        doing: &str,
        done: Result<Result<T, sqlx::Error>, tokio::time::error::Elapsed>,
    ) -> Result<T, PanelError> {
        let slow = || self.failed(doing, &format!("no end within {:?}", self.patience));
        done.map_err(|_| slow())?.map_err(|error| self.failed(doing, &said(&error)))
    }

    fn failed(&self, doing: &str, cause: &str) -> PanelError {
        unreachable(&self.panel, doing, cause.to_owned())
    }
}

/// The cells that are looked at and changed.
fn columns(place: &RowPlace) -> Vec<String> {
    place.list.iter().chain([&place.switch]).cloned().collect()
}

fn unreachable(panel: &str, doing: &str, cause: String) -> PanelError {
    PanelError::Unreachable { panel: panel.to_owned(), doing: doing.to_owned(), cause }
}

fn said(error: &sqlx::Error) -> String {
    let text = error.as_database_error().map_or_else(|| error.to_string(), |said| said.message().to_owned());
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
