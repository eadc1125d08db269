//! Postfix that asks a password database of its own: whose mailbox is locked goes on sending, and the sweep says so.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use mailwarden_e2e::{SweepConfig, World, WorldOptions, mailwarden};
use mailwarden_lab::OutsideWorld;
use mailwarden_lab::smtp::Smtp;
use serde_json::Value;

const BOB: &str = "bob@example.test";

/// A lab whose Postfix has Cyrus SASL as `conf` says, below a directory that Postfix's own user reads.
fn world(directory: &Path, conf: &str) -> World {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let mut wanted = WorldOptions { gate: false, ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    wanted.lab.main_cf = "smtpd_sasl_type = cyrus\nsmtpd_sasl_path = smtpd\n".to_owned();
    let world = World::with(&wanted).unwrap();
    // There is no gate here, and Postfix would take no connection without it.
    // Debian's place for it.
    let place = world.lab.postfix.config_dir().join("sasl");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("smtpd.conf"), conf).unwrap();
    world.lab.postfix.append_main_cf("smtpd_milters =\n").unwrap();
    world.lab.postfix.reload().unwrap();
    world
}

/// Adds users to a database of Cyrus SASL, by its own program; the password comes on standard input.
fn add(database: &Path, users: &[&str]) {
    for user in users {
        let ran = Command::new("/bin/sh")
            .args(["-c", "echo secret | saslpasswd2 -p -c -f \"$1\" -u example.test \"$2\"", "sh"])
            .arg(database)
            .arg(user)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
    fs::set_permissions(database, fs::Permissions::from_mode(0o644)).unwrap();
}

fn swept(config: &SweepConfig) -> Value {
    let config = config.save().unwrap();
    mailwarden(&["sweep", "--all", "--profile", "host", "--format", "json", "--config", &config])
        .unwrap()
        .json()
}

fn said(report: &Value, surface: &str) -> Vec<(String, String)> {
    let findings = report["findings"].as_array().map_or(&[][..], Vec::as_slice);
    let here = findings.iter().filter(|finding| finding["surface"]["id"] == surface);
    here.map(|finding| {
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        (text("check_id"), text("title"))
    })
    .collect()
}

fn coverage<'r>(report: &'r Value, surface: &str) -> &'r Value {
    coverage_of(report, "(system)", surface)
}

fn coverage_of<'r>(report: &'r Value, mailbox: &str, surface: &str) -> &'r Value {
    let rows = report["coverage"].as_array().map_or(&[][..], Vec::as_slice);
    rows.iter().find(|row| row["mailbox"] == mailbox && row["surface"] == surface).unwrap()
}

#[test]
fn a_leaver_in_sasldb_still_sends_though_dovecot_locks_the_account() {
    let place = tempfile::tempdir().unwrap();
    let database = place.path().join("sasldb2");
    add(&database, &["bob", "jane", "scanner"]);
    let conf = format!(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\nmech_list: PLAIN\n",
        database.display()
    );
    let world = world(place.path(), &conf);
    world.lab.dovecot.set_extra_fields(BOB, "nologin=y reason=offboarded").unwrap();
    let mut config = world.sweep_config();
    config.host = true;
    let report = swept(&config);
    let found = said(&report, "postfix.sasl");
    let title =
        format!("Bob Leaver has left and may still send as the login {BOB} of {}.", database.display());
    assert_eq!(found.iter().filter(|(check, _)| check == "account.leaver-sasl").count(), 1, "{found:#?}");
    assert!(found.contains(&("account.leaver-sasl".to_owned(), title)), "{found:#?}");
    assert!(found.iter().any(|(check, _)| check == "postfix.separate-passwords"), "{found:#?}");
    assert_eq!(coverage(&report, "postfix.sasl")["state"], "collected");
    assert_eq!(coverage_of(&report, BOB, "account.state")["state"], "collected", "who may send was listed");
    assert!(!report.to_string().contains("secret"), "passwords are not repeated");
    // The claim is true of this server.
    let mut client = Smtp::connect(world.lab.postfix.submission_port()).unwrap();
    client.ehlo("client.test").unwrap();
    let reply = client.auth_plain(BOB, "secret").unwrap();
    assert_eq!(reply.code, 235, "{reply:?}\n{}", world.lab.postfix.log());
    assert!(world.lab.imap(BOB).is_err(), "and the mailbox is locked");
}

#[test]
fn a_saslauthd_that_lists_nobody_is_never_called_looked_at() {
    let place = tempfile::tempdir().unwrap();
    let world = world(place.path(), "pwcheck_method: saslauthd\nmech_list: PLAIN\n");
    let mut config = world.sweep_config();
    config.host = true;
    let report = swept(&config);
    let row = coverage(&report, "postfix.sasl");
    assert_eq!(row["state"], "partial");
    let reason = row["reason"].as_str().unwrap();
    assert!(reason.contains("saslauthd") && reason.contains("prove nothing about who may send"), "{reason}");
    assert_eq!(said(&report, "postfix.sasl").len(), 1, "{:#}", report["findings"]);
    let account = coverage_of(&report, BOB, "account.state");
    assert_eq!(account["state"], "partial");
    let reason = account["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("could not look whether it may send: submission is authenticated by Cyrus SASL"),
        "{reason}"
    );
    // Looked at alone, Dovecot's own word stands for what it says, and nothing is said of sending.
    let config = config.save().unwrap();
    let alone = ["sweep", "--all", "--surface", "account.state", "--format", "json", "--config", &config];
    let report = mailwarden(&alone).unwrap().json();
    assert_eq!(coverage_of(&report, BOB, "account.state")["state"], "collected");
}

#[test]
fn a_postfix_that_asks_dovecot_has_nothing_of_its_own() {
    let mut wanted = WorldOptions { gate: false, ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    let world = World::with(&wanted).unwrap();
    let mut config = world.sweep_config();
    config.host = true;
    let report = swept(&config);
    assert_eq!(coverage(&report, "postfix.sasl")["state"], "collected");
    assert_eq!(said(&report, "postfix.sasl"), []);
    assert_eq!(coverage_of(&report, BOB, "account.state")["state"], "collected");
}
