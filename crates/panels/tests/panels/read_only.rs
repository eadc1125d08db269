//! No query can change anything, whoever asks and whatever is asked.

use std::path::Path;
use std::process::Command;

use mailwarden_evidence::CoverageState;
use mailwarden_lab::PostgreSql;
use mailwarden_panels::{PanelPlan, QuerySet, Source, collect};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _, Row as _};

use crate::{mariadb, plan, rows, sqlite};

/// A set of one query that an administrator wrote.
fn own_set(sql: &str) -> QuerySet {
    let text = format!(
        "name = \"own\"\nversion = 1\npanel_versions = \"any\"\n[[query]]\nid = \"q\"\nsurface = \"panel.forwarding\"\n\
         means = \"forward\"\nsql = \"{sql}\"\n"
    );
    QuerySet::parse(&text).unwrap()
}

fn plan_of(sql: &str, url: &str) -> PanelPlan {
    PanelPlan::new("own", own_set(sql), Source::parse(url, None).unwrap())
}

#[tokio::test]
async fn mariadb_refuses_a_query_that_writes_even_from_its_administrator() {
    let server = mariadb(&["postfixadmin"]);
    let root = server.url("root", "postfixadmin");
    let mut connection = root.parse::<MySqlConnectOptions>().unwrap().connect().await.unwrap();
    let function = "CREATE FUNCTION plant() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO domain_admins VALUES ('eve', 'a.test', 1); RETURN 1; END";
    connection.execute(sqlx::raw_sql(function)).await.unwrap();
    let seen = collect(&plan_of("SELECT plant() AS owner", &root)).await;
    assert_eq!(seen.coverage[0].state, CoverageState::Partial, "{:?}", seen.coverage);
    assert!(seen.coverage[0].reason.to_lowercase().contains("read only"), "{:?}", seen.coverage);
    let row = connection.fetch_one("SELECT COUNT(*) FROM domain_admins").await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 1);
}

#[tokio::test]
async fn postgresql_refuses_a_query_that_writes_even_from_its_administrator() {
    let server = PostgreSql::start().unwrap();
    let name = server.database().unwrap();
    server.query(&name, "CREATE TABLE t (a TEXT); CREATE SEQUENCE s").unwrap();
    server
        .query(&name, "CREATE FUNCTION plant() RETURNS TEXT AS $$ INSERT INTO t VALUES ('x') RETURNING a $$ LANGUAGE SQL")
        .unwrap();
    for sql in ["SELECT plant() AS owner", "SELECT nextval('s')::text AS owner"] {
        let seen = collect(&plan_of(sql, &server.url(&name))).await;
        assert_eq!(seen.coverage[0].state, CoverageState::Partial, "{sql}");
        assert!(seen.coverage[0].reason.contains("read-only transaction"), "{:?}", seen.coverage);
    }
    assert_eq!(server.query(&name, "SELECT COUNT(*) FROM t").unwrap().trim(), "0");
}

/// A directory that nobody can write to, root included.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn read_only(path: &'a Path) -> Self {
        let mount = |arguments: &[&str]| {
            assert!(
                Command::new("mount").args(arguments).arg(path).status().unwrap().success(),
                "{arguments:?}"
            );
        };
        mount(&["--bind", &path.display().to_string()]);
        mount(&["-o", "remount,bind,ro"]);
        Self(path)
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[tokio::test]
async fn a_file_on_a_medium_that_cannot_be_written_is_read_also_with_a_log_beside_it() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("panel.db");
    sqlite(&path, "roundcube").await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut connection = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal).connect().await.unwrap();
    connection.execute("UPDATE identities SET bcc = 'late@b.test' WHERE identity_id = 1").await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let mount = Mount::read_only(place.path());
    assert!(std::fs::write(place.path().join("x"), "x").is_err(), "the mount is read-only");
    let seen = collect(&plan("roundcube", &format!("sqlite:{}", path.display()), None)).await;
    let identities = seen.coverage.iter().find(|row| row.surface == "webmail.identities").unwrap();
    assert_eq!(identities.state, CoverageState::Collected);
    assert!(
        rows(&seen).contains(&"identity_bcc CopyFrom jane@a.test late@b.test".to_owned()),
        "{:?}",
        rows(&seen)
    );
    drop(mount);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn what_is_missing_slow_or_too_much_is_said() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("panel.db");
    sqlite(&path, "roundcube").await;
    let url = format!("sqlite:{}", path.display());
    let other = collect(&plan("mailcow", &url, None)).await;
    assert!(other.coverage.iter().any(|row| row.state == CoverageState::Partial), "{:?}", other.coverage);
    assert!(other.notes.iter().any(|note| note.contains("app_passwd")), "{:?}", other.notes);
    let mut few = plan("roundcube", &url, None);
    few.most_rows = 1;
    let seen = collect(&few).await;
    assert!(seen.coverage[0].reason.contains("rows beyond the first 1"), "{:?}", seen.coverage);
    let absent = collect(&plan("roundcube", "sqlite:/nonexistent/x.db", None)).await;
    assert!(absent.coverage.iter().all(|row| row.state == CoverageState::Error));
    let nobody = collect(&plan("mailcow", "mysql://reader@127.0.0.1:1/x", None)).await;
    assert!(nobody.coverage.iter().all(|row| row.state == CoverageState::Error));
}
