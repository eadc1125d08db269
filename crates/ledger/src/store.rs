//! What the ledger and the journal ask of a database. SQLite answers in [`crate::sqlite`], PostgreSQL in
//! [`crate::postgres`]; what is asked is written once, in the SQL that both speak (`$1`, `ON CONFLICT`, three
//! types of columns), and tested on both.

use std::fmt;
use std::pin::Pin;

use crate::error::LedgerError;

/// The answer of a database, later.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// One view that does not change while others write.
    Reading,
    /// Changes that are on the disk when the commit returns.
    Writing,
    /// Changes of which a crash may cost the last moments.
    WritingInHaste,
}

/// A database that keeps a ledger or a journal.
pub(crate) trait Store: fmt::Debug + Send + Sync + 'static {
    /// What it is called in messages.
    fn name(&self) -> &str;
    /// Where the two databases differ in words.
    fn dialect(&self) -> &'static Dialect;
    /// Begins a transaction; dropping it undoes it.
    fn begin(&self, doing: &'static str, access: Access) -> Pending<'_, Box<dyn Transaction>>;
    /// A whole transaction that does what [`Transaction::move_on`] does; all of it is in force when this returns `true`,
    /// and nothing was done where it is `false`.
    fn move_on(&self, doing: &'static str, expecting: Statement, rows: Vec<Rows>) -> Pending<'_, bool>;
    /// Makes deleted rows unreadable in the files, as far as the database offers that.
    fn forget_deleted(&self) -> Pending<'_, ()>;
    /// Ends all connections.
    fn close(&self) -> Pending<'_, ()>;
}

impl dyn Store {
    /// The error for parts that do not fit together.
    pub(crate) fn contradiction(&self, found: impl Into<String>) -> LedgerError {
        LedgerError::Corrupted { database: self.name().to_owned(), found: found.into() }
    }
}

/// A transaction of either database.
pub(crate) trait Transaction: Send {
    /// Runs a statement; how many rows it touched.
    fn execute<'a>(
        &'a mut self,
        doing: &'static str,
        sql: &'a str,
        arguments: Vec<Argument>,
    ) -> Pending<'a, u64>;
    /// The rows of a query.
    fn fetch<'a>(
        &'a mut self,
        doing: &'static str,
        sql: &'a str,
        arguments: Vec<Argument>,
    ) -> Pending<'a, Vec<Row>>;
    /// Inserts rows; how many there are now that were not there before.
    fn insert<'a>(&'a mut self, doing: &'static str, rows: Rows) -> Pending<'a, u64>;
    /// Changes one row if it is as the statement expects it, and inserts rows with it; `false` if the row was not
    /// so: then the transaction is to be given up.
    fn move_on<'a>(
        &'a mut self,
        doing: &'static str,
        expecting: Statement,
        rows: Vec<Rows>,
    ) -> Pending<'a, bool>;
    /// Ends it; all of it is in force when this returns.
    fn commit(self: Box<Self>, doing: &'static str) -> Pending<'static, ()>;
}

/// A statement with what stands in its places, which are written `?` and filled in their order.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: &'static str,
    pub(crate) arguments: Vec<Argument>,
}

/// Rows for one table, column by column. Each database takes many of them in its own shortest way; in both, as
/// values: what is written into a text first has to be read out of it again.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) table: &'static str,
    pub(crate) columns: Vec<(&'static str, Column)>,
    /// What happens to a row that is there already; nothing is said of tables where none can be.
    pub(crate) otherwise: &'static str,
}

/// The values of one column, all columns of the same length.
#[derive(Debug)]
pub(crate) enum Column {
    Integers(Vec<i64>),
    Texts(Vec<String>),
    NullableTexts(Vec<Option<String>>),
    Bytes(Vec<Vec<u8>>),
    NullableBytes(Vec<Option<Vec<u8>>>),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Integers(values) => values.len(),
            Self::Texts(values) => values.len(),
            Self::NullableTexts(values) => values.len(),
            Self::Bytes(values) => values.len(),
            Self::NullableBytes(values) => values.len(),
        }
    }
}

impl Rows {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| column.len())
    }

    /// `INSERT INTO table (columns)`.
    pub(crate) fn insert_into(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        format!("INSERT INTO {} ({})", self.table, names.join(", "))
    }
}

/// Words in which the two databases differ.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// Ends a SELECT whose rows nobody else may change before the commit.
    pub(crate) for_update: &'static str,
    /// A table with one row, in the column `value`, for each element of the JSON array `$1`.
    pub(crate) elements: &'static str,
    /// What makes text of such a `value`, where it is a string.
    pub(crate) text: &'static str,
}

impl Dialect {
    /// The integer at one place of the element.
    pub(crate) fn integer_at(&self, place: usize) -> String {
        format!("CAST(value ->> {place} AS BIGINT)")
    }
}

/// A value for a place in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Argument {
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<i64> for Argument {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl From<u64> for Argument {
    /// Both databases have signed integers only; sizes and counts never reach 2^63.
    fn from(integer: u64) -> Self {
        Self::Integer(i64::try_from(integer).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Argument {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Argument {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Argument {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// One row; columns are taken in the order of the SELECT. `None` is a column of another type: somebody
/// changed the schema.
#[derive(Debug)]
pub(crate) struct Row(std::vec::IntoIter<Cell>);

impl Row {
    pub(crate) fn new(cells: Vec<Cell>) -> Self {
        Self(cells.into_iter())
    }

    pub(crate) fn integer(&mut self) -> Option<i64> {
        if let Cell::Integer(integer) = self.0.next()? { Some(integer) } else { None }
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        self.integer().and_then(|integer| u64::try_from(integer).ok())
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        self.nullable_text().flatten()
    }

    pub(crate) fn bytes(&mut self) -> Option<Vec<u8>> {
        self.nullable_bytes().flatten()
    }

    pub(crate) fn nullable_integer(&mut self) -> Option<Option<i64>> {
        match self.0.next()? {
            Cell::Null => Some(None),
            Cell::Integer(integer) => Some(Some(integer)),
            _ => None,
        }
    }

    pub(crate) fn nullable_text(&mut self) -> Option<Option<String>> {
        match self.0.next()? {
            Cell::Null => Some(None),
            Cell::Text(text) => Some(Some(text)),
            _ => None,
        }
    }

    pub(crate) fn nullable_bytes(&mut self) -> Option<Option<Vec<u8>>> {
        match self.0.next()? {
            Cell::Null => Some(None),
            Cell::Bytes(bytes) => Some(Some(bytes)),
            _ => None,
        }
    }
}

/// Reads every row with `read`, or says that the schema is not ours.
pub(crate) fn read_all<T>(
    store: &dyn Store,
    rows: Vec<Row>,
    read: impl Fn(Row) -> Option<T>,
) -> Result<Vec<T>, LedgerError> {
    let all: Option<Vec<T>> = rows.into_iter().map(read).collect();
    all.ok_or_else(|| store.contradiction("a column holds what was never written there"))
}
