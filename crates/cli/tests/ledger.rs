//! `mailwarden ledger ...` as an administrator runs it: what it says, and how it ends.
#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use mailwarden_ledger::{Event, EventKind, Ledger};
use serde_json::Value;
use tempfile::TempDir;

/// A configuration and a ledger of six entries, three of them of one case.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = "[ledger]\nurl = \"sqlite:ledger.db\"\nname = \"ledger.example\"\nkey = \"key.pem\"\n\
                    anchors = [{ file = \"anchors\" }]\n";
        fs::write(directory.path().join("mailwarden.toml"), text).unwrap();
        let place = Self { directory };
        place.fill();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.path("ledger.db").display())
    }

    fn fill(&self) {
        let event = |n: u32| {
            let at = "2026-03-01T09:30:00Z".parse().unwrap();
            let event = Event::new(EventKind::OffboardPassed, at, "alice", format!("item-{n}@acme.example"));
            if n.is_multiple_of(2) { event.in_case("OFF-1") } else { event }
        };
        on_runtime(async {
            let ledger = Ledger::open(&self.url()).await.unwrap();
            ledger.append_all((0..6).map(event).collect()).await.unwrap();
            ledger.close().await.unwrap();
        });
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_mailwarden"))
            .current_dir(self.directory.path())
            .args(["ledger", "--config", "mailwarden.toml"])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Runs a command that has to end with `code`, and returns all that it said.
    fn said(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.concat();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text
    }

    /// As somebody with a SQLite shell.
    fn tamper(&self, statements: &str) {
        on_runtime(async {
            let pool = sqlx::SqlitePool::connect(&self.url()).await.unwrap();
            let lift = "PRAGMA foreign_keys = OFF; DROP TRIGGER IF EXISTS ledger_entry_is_not_deleted;
                        DROP TRIGGER IF EXISTS ledger_entry_is_not_changed;";
            let text = sqlx::AssertSqlSafe(format!("{lift}{statements}"));
            sqlx::raw_sql(text).execute(&pool).await.unwrap();
            pool.close().await;
        });
    }
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn every_command_shows_an_example() {
    let place = Place::new();
    for command in ["show", "verify", "checkpoint", "anchor", "export", "erase", "key"] {
        let text = place.said(0, &[command, "--help"]);
        assert!(text.contains("Example") && text.contains(&format!("mailwarden ledger {command}")), "{text}");
    }
}

#[test]
fn a_case_is_shown_and_exported() {
    let place = Place::new();
    let shown: Value =
        serde_json::from_str(&place.said(0, &["show", "--case", "OFF-1", "--format", "json"])).unwrap();
    let indices: Vec<_> =
        shown["events"].as_array().unwrap().iter().map(|event| event["index"].clone()).collect();
    assert_eq!(indices, [0, 2, 4]);
    assert!(place.said(0, &["show"]).contains("[OFF-1]"));
    let said = place.said(0, &["export", "OFF-1", "--output", "case.json"]);
    assert!(said.contains("mailwarden-verify case.json"), "{said}");
    let bundle: Value = serde_json::from_slice(&fs::read(place.path("case.json")).unwrap()).unwrap();
    assert_eq!(bundle["schema"], "mailwarden.bundle/1");
    assert_eq!(bundle["entries"].as_array().unwrap().len(), 3);
    assert!(place.said(2, &["export", "NO-1"]).contains("ledger show"));
}

#[test]
fn an_anchored_ledger_is_intact_and_another_history_in_its_place_is_a_fork() {
    let place = Place::new();
    assert!(place.said(0, &["anchor"]).contains("anchored: file "));
    let key = place.said(0, &["key"]);
    assert!(key.starts_with("ledger.example+"), "{key}");
    fs::write(place.path("ledger.pub"), key).unwrap();
    let intact = place.said(0, &["verify"]);
    assert!(
        intact.starts_with("intact: 7 entries") && intact.contains("mailwarden ledger anchor"),
        "{intact}"
    );

    for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        drop(fs::remove_file(place.path(file)));
    }
    // The salts differ, and with them every commitment.
    place.fill();
    place.fill();
    let forked = place.said(1, &["verify", "--key", "ledger.pub", "--anchor", "anchors"]);
    assert!(forked.starts_with("DAMAGED") && forked.contains("history was rewritten"), "{forked}");
    assert!(forked.contains("keep both"), "{forked}");
    let json: Value =
        serde_json::from_str(&place.said(1, &["verify", "--key", "ledger.pub", "--json"])).unwrap();
    assert_eq!((&json["damaged"], &json["found"][0]["problem"]), (&true.into(), &"forked".into()));
}

#[test]
fn each_kind_of_damage_ends_with_1_and_says_what_to_do() {
    let named = |statements: &str, wanted: &[&str]| {
        let place = Place::new();
        place.said(0, &["anchor"]);
        place.tamper(statements);
        let text = place.said(1, &["verify"]);
        for wanted in wanted {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    };
    named(
        "UPDATE ledger_entry SET leaf = leaf || ' ' WHERE leaf_index = 3",
        &["entry 3 was altered", "backup"],
    );
    named(
        "DELETE FROM ledger_entry WHERE leaf_index >= 5",
        &["the end was cut off", "restore the last backup"],
    );
    named(
        "UPDATE ledger_checkpoint
         SET note = replace(note, char(10) || '6' || char(10), char(10) || '5' || char(10))",
        &["the checkpoint of 5 entries vouches for nothing", "ask where this note comes from"],
    );
    named(
        "DELETE FROM ledger_entry; DELETE FROM ledger_checkpoint;
         UPDATE ledger_head SET size = 0, frontier = x''",
        &["the end was cut off: there were 6 entries, 0 are left"],
    );
}

#[test]
fn a_lost_database_and_wrong_usage_are_told_apart() {
    let place = Place::new();
    let unreachable = place.said(4, &["--ledger", "postgres://gate@127.0.0.1:9/x", "verify"]);
    assert!(unreachable.contains("postgres://127.0.0.1:9/x"), "{unreachable}");
    assert!(unreachable.contains("check that it runs"), "{unreachable}");
    let secret = place.said(2, &["--ledger", "postgres://gate:hunter2@127.0.0.1:9/x", "verify"]);
    assert!(!secret.contains("hunter2") && secret.contains("password_file"), "{secret}");
    let missing = place.said(2, &["--ledger", "sqlite:nothing.db", "verify"]);
    assert!(missing.contains("there is no ledger here"), "{missing}");
    fs::remove_file(place.path("ledger.db")).unwrap();
    place.said(2, &["show"]);
}

#[test]
fn erased_details_are_gone_and_the_ledger_is_intact() {
    let place = Place::new();
    place.said(2, &["erase", "1"]);
    place.said(0, &["erase", "1", "2", "--reason", "GDPR-17"]);
    let shown = place.said(0, &["show"]);
    assert!(!shown.contains("item-1@") && shown.contains("item-3@") && shown.contains("GDPR-17"), "{shown}");
    assert!(place.said(0, &["verify"]).starts_with("intact"));
    assert!(place.said(2, &["erase", "1", "--reason", "x"]).contains("erased before"));
    let json: Value =
        serde_json::from_str(&place.said(0, &["erase", "3", "--reason", "x", "--json"])).unwrap();
    assert_eq!(json["erased"], 1);
}
