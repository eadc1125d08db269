//! From a URL to the database it names.

use std::sync::Arc;

use sqlx::sqlite::SqliteSynchronous;

use crate::error::LedgerError;
use crate::postgres::{self, PostgresPurpose, PostgresStore};
use crate::sqlite::{SqlitePurpose, SqliteStore};
use crate::store::Store;

/// Connections to a server: one writes at a time, the others read beside it.
const CONNECTIONS: u32 = 4;

/// What a set of tables is for, in both databases.
pub(crate) struct Purpose {
    sqlite: SqlitePurpose,
    postgres: PostgresPurpose,
}

/// The ledger: a commit waits for the disk.
pub(crate) const LEDGER: Purpose = Purpose {
    sqlite: SqlitePurpose {
        name: "ledger",
        application_id: 0x4d57_4c47,
        migrations: &[include_str!("schema.sql"), include_str!("schema_2.sql"), include_str!("schema_3.sql")],
        synchronous: SqliteSynchronous::Full,
    },
    postgres: PostgresPurpose {
        name: "ledger",
        migrations: &[include_str!("postgres.sql"), include_str!("postgres_2.sql")],
        connections: CONNECTIONS,
    },
};

/// The gate journal: a crash of the machine may cost the last moments, but not the consistency.
pub(crate) const JOURNAL: Purpose = Purpose {
    sqlite: SqlitePurpose {
        name: "gate journal",
        application_id: 0x4d57_474a,
        migrations: &[include_str!("journal.sql"), include_str!("journal_2.sql")],
        synchronous: SqliteSynchronous::Normal,
    },
    postgres: PostgresPurpose {
        name: "gate journal",
        migrations: &[include_str!("postgres_journal.sql"), include_str!("postgres_journal_2.sql")],
        connections: CONNECTIONS,
    },
};

/// The vendor register: like the journal, a crash may cost the last moments.
pub(crate) const REGISTER: Purpose = Purpose {
    sqlite: SqlitePurpose {
        name: "vendor register",
        application_id: 0x4d57_5652,
        migrations: &[
            include_str!("vendors.sql"),
            include_str!("newcomers.sql"),
            include_str!("register.sql"),
        ],
        synchronous: SqliteSynchronous::Normal,
    },
    postgres: PostgresPurpose {
        name: "vendor register",
        migrations: &[include_str!("postgres_register.sql")],
        connections: CONNECTIONS,
    },
};

/// Rounds that are shared: PostgreSQL alone lets several machines hold rows at a time. Each claim has a
/// connection, and one is left to count and to read.
pub(crate) const ROUNDS: PostgresPurpose = PostgresPurpose {
    name: "shared rounds",
    migrations: &[include_str!("postgres_rounds.sql")],
    connections: crate::rounds::MAX_CLAIMS as u32 + 1,
};

#[cfg(test)]
impl Purpose {
    /// For tests that meddle with the file.
    pub(crate) fn sqlite(&self) -> &SqlitePurpose {
        &self.sqlite
    }
}

/// Opens the database of a URL; with `create` what is missing is made.
pub(crate) async fn open(url: &str, purpose: &Purpose, create: bool) -> Result<Arc<dyn Store>, LedgerError> {
    if postgres::is_ours(url) {
        return Ok(Arc::new(PostgresStore::open(url, &purpose.postgres, create).await?));
    }
    Ok(Arc::new(SqliteStore::open(url, &purpose.sqlite, create).await?))
}

/// A database URL for messages: without what could be a login, a password or a parameter.
#[must_use]
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    if scheme.starts_with("sqlite") {
        return url.to_owned();
    }
    let (place, parameters) = rest.split_once('?').map_or((rest, false), |(place, _)| (place, true));
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    format!("{scheme}://{place}{}", if parameters { "?..." } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_holds_nothing_secret() {
        assert_eq!(shown_url("sqlite:/var/l.db"), "sqlite:/var/l.db");
        assert_eq!(shown_url("sqlite:///var/l.db"), "sqlite:///var/l.db");
        assert_eq!(shown_url("postgres://db.example/x"), "postgres://db.example/x");
        for secret in [
            "postgres://me:hunter2@db.example/x",
            "postgres://me:hun@ter2@db.example/x",
            "postgres://db.example/x?password=hunter2",
            "mysql://me:hunter2@db.example/x?y=hunter2",
        ] {
            let shown = shown_url(secret);
            assert!(shown.contains("db.example/x") && !shown.contains("ter2"), "{shown}");
        }
    }
}
