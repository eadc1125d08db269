//! Where a panel's database is, and a connection to it that can do nothing but read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::PanelError;

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file.
    Sqlite,
    /// MariaDB or MySQL.
    MySql,
    /// PostgreSQL.
    PostgreSql,
}

/// A database, by a URL without a password.
#[derive(Debug, Clone)]
pub struct Source {
    engine: Engine,
    url: String,
    password: Option<SecretString>,
}

impl Source {
    /// `sqlite:/path`, `mysql://USER@HOST/DATABASE` or `postgres://USER@HOST/DATABASE`.
    ///
    /// # Errors
    /// It is another URL, or one with a password in it.
    pub fn parse(url: &str, password: Option<SecretString>) -> Result<Self, PanelError> {
        let engine = match url.split(':').next().unwrap_or_default() {
            "sqlite" => Engine::Sqlite,
            "mysql" | "mariadb" => Engine::MySql,
            "postgres" | "postgresql" => Engine::PostgreSql,
            _ => {
                return Err(PanelError::Configuration(
                    "a panel's url begins with sqlite:, mysql:// or postgres://".to_owned(),
                ));
            }
        };
        let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
            return Err(PanelError::Configuration(
                "a panel's url holds a password; write it into a file and name that with `password`"
                    .to_owned(),
            ));
        }
        Ok(Self { engine, url: url.replacen("mariadb:", "mysql:", 1), password })
    }

    /// Which database it is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The file of an SQLite database.
    fn file(&self) -> PathBuf {
        let rest = self.url.trim_start_matches("sqlite:");
        PathBuf::from(rest.strip_prefix("//").unwrap_or(rest))
    }
}

/// An open connection.
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    MySql(MySqlConnection),
    PostgreSql(PgConnection),
}

impl Connection {
    /// Opens a connection on which the database itself refuses every change.
    pub(crate) async fn open(source: &Source, patience: Duration) -> Result<Self, sqlx::Error> {
        match source.engine {
            Engine::Sqlite => sqlite(&source.file()).await.map(Self::Sqlite),
            Engine::MySql => mysql(source, patience).await.map(Self::MySql),
            Engine::PostgreSql => postgresql(source, patience).await.map(Self::PostgreSql),
        }
    }

    /// Opens a connection that may change what its user may change.
    pub(crate) async fn open_to_change(source: &Source) -> Result<Self, sqlx::Error> {
        match source.engine {
            Engine::Sqlite => {
                let options = SqliteConnectOptions::new().filename(source.file()).create_if_missing(false);
                options.disable_statement_logging().connect().await.map(Self::Sqlite)
            }
            Engine::MySql => {
                let options = with_password_mysql(source)?;
                options.disable_statement_logging().connect().await.map(Self::MySql)
            }
            Engine::PostgreSql => {
                let options = with_password_postgresql(source)?;
                options.disable_statement_logging().connect().await.map(Self::PostgreSql)
            }
        }
    }

    pub(crate) async fn close(self) {
        let _ = match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::MySql(connection) => connection.close().await,
            Self::PostgreSql(connection) => connection.close().await,
        };
    }
}

/// A file that is written with a log beside it (WAL) cannot be opened on a medium that cannot be written; then it is
/// read as it stands (sqlite.org/uri.html, `immutable`).
async fn sqlite(file: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = || {
        let options = SqliteConnectOptions::new().filename(file).read_only(true).create_if_missing(false);
        options.pragma("query_only", "1").pragma("trusted_schema", "0").disable_statement_logging()
    };
    let mut connection = options().connect().await;
    if let Ok(open) = &mut connection
        && let Err(error) = open.execute("SELECT count(*) FROM sqlite_master").await
    {
        connection = Err(error);
    }
    match connection {
        Err(_) if file.is_file() => options().immutable(true).connect().await,
        other => other,
    }
}

fn with_password_mysql(source: &Source) -> Result<MySqlConnectOptions, sqlx::Error> {
    let options: MySqlConnectOptions = source.url.parse()?;
    Ok(match &source.password {
        Some(password) => options.password(password.expose_secret()),
        None => options,
    })
}

fn with_password_postgresql(source: &Source) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = source.url.parse()?;
    Ok(match &source.password {
        Some(password) => options.password(password.expose_secret()),
        None => options,
    })
}

async fn mysql(source: &Source, patience: Duration) -> Result<MySqlConnection, sqlx::Error> {
    let mut connection = with_password_mysql(source)?.disable_statement_logging().connect().await?;
    connection.execute("SET SESSION TRANSACTION READ ONLY").await?;
    // MariaDB counts in seconds, MySQL in milliseconds; each knows only its own.
    let seconds = format!("SET SESSION max_statement_time = {}", patience.as_secs().max(1));
    if connection.execute(sqlx::AssertSqlSafe(seconds)).await.is_err() {
        let milliseconds = format!("SET SESSION max_execution_time = {}", patience.as_millis().max(1));
        let _ = connection.execute(sqlx::AssertSqlSafe(milliseconds)).await;
    }
    Ok(connection)
}

async fn postgresql(source: &Source, patience: Duration) -> Result<PgConnection, sqlx::Error> {
    let options = with_password_postgresql(source)?;
    let milliseconds = patience.as_millis().max(1).to_string();
    let options = options
        .options([("default_transaction_read_only", "on"), ("statement_timeout", milliseconds.as_str())]);
    options.disable_statement_logging().connect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_refused_and_never_repeated() {
        let error = Source::parse("mysql://reader:tiger@db/postfix", None).unwrap_err().to_string();
        assert!(error.contains("password") && !error.contains("tiger"), "{error}");
        assert!(Source::parse("http://x", None).is_err());
        assert_eq!(Source::parse("mariadb://reader@db/x", None).unwrap().engine(), Engine::MySql);
        assert_eq!(Source::parse("sqlite:///srv/x.db", None).unwrap().file(), Path::new("/srv/x.db"));
        assert_eq!(Source::parse("sqlite:/srv/x.db", None).unwrap().file(), Path::new("/srv/x.db"));
    }
}
