//! Changing a row never waits longer than it was told to.

use std::time::Duration;

use mailwarden_evidence::RowPlace;
use mailwarden_panels::{RowStore, Source};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};
use tokio::time::Instant;

use crate::sqlite;

/// Shorter than the five seconds for which SQLite's driver waits by itself.
const PATIENCE: Duration = Duration::from_millis(300);
const TOO_LONG: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_database_that_somebody_else_holds_is_not_waited_for_beyond_the_patience() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("panel.db");
    sqlite(&path, "postfixadmin").await;
    let place = RowPlace {
        query: "alias".to_owned(),
        table: "alias".to_owned(),
        by: [("address".to_owned(), "sales@a.test".to_owned())].into(),
        list: None,
        switch: "active".to_owned(),
        keep: Vec::new(),
    };
    let source = Source::parse(&format!("sqlite:{}", path.display()), None).unwrap();
    let cells = |active: &str| [("active".to_owned(), active.to_owned())].into();
    let mut holder = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    holder.execute("BEGIN IMMEDIATE").await.unwrap();
    let mut store = RowStore::open("postfixadmin", &source, PATIENCE).await.unwrap();
    let begun = Instant::now();
    let refused = store.put(&place, &cells("1"), &cells("0")).await.unwrap_err().to_string();
    assert!(refused.contains("no end within 300ms"), "{refused}");
    assert!(begun.elapsed() < TOO_LONG, "{:?}", begun.elapsed());
    holder.execute("ROLLBACK").await.unwrap();
    let mut again = RowStore::open("postfixadmin", &source, TOO_LONG).await.unwrap();
    assert_eq!(again.read(&place).await.unwrap(), Some(cells("1")), "nothing was changed");
    again.put(&place, &cells("1"), &cells("0")).await.unwrap();
    assert_eq!(again.read(&place).await.unwrap(), Some(cells("0")));
}
