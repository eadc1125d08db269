//! Configuration files on disk: what is read, and what an admin is told when it cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mailwarden_gate::Mode;
use mailwarden_settings::{SecretSource, Settings, SettingsError, load_policy};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

fn directory_with(name: &str, bytes: &[u8]) -> TempDir {
    let directory = tempfile::tempdir().expect("tempdir");
    fs::write(directory.path().join(name), bytes).expect("write");
    directory
}

fn load(text: &str) -> Result<Settings, SettingsError> {
    let directory = directory_with("mailwarden.toml", text.as_bytes());
    Settings::load(Some(&directory.path().join("mailwarden.toml")))
}

#[test]
fn rules_are_named_as_they_appear_in_replies() {
    let settings = load("[gate.rules]\nreceive-only = \"observe\"\n").expect("valid");
    assert_eq!(settings.gate.rules.receive_only, Mode::Observe);
    assert_eq!(settings.gate.rules.route, Mode::Enforce);
}

#[test]
fn mistakes_name_place_and_remedy() {
    for (text, id, help) in [
        ("[gate]\nlisten_on = \"x\"\n", "config.unknown-key", "known here: listen"),
        ("[gate.rules]\nroute = \"on\"\n", "config.unknown-value", "enforce"),
        ("[gate]\nidle_timeout = \"soon\"\n", "config.syntax", "soon"),
    ] {
        let message = load(text).expect_err("a mistake").render(false);
        let complete =
            message.contains(id) && message.contains(help) && message.contains("mailwarden.toml:2:");
        assert!(complete, "{message}");
    }
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let error = Settings::load(Some(Path::new("/nonexistent/mailwarden.toml"))).expect_err("missing");
    assert!(error.render(false).contains("--config"));
}

#[test]
fn editors_backups_are_no_policy() {
    let directory = directory_with(".#client.toml", b"not toml at all");
    let error = load_policy(directory.path()).expect_err("nothing there");
    assert!(error.render(false).contains("holds no *.toml file"));
}

#[test]
fn a_secret_that_everybody_can_read_is_refused() {
    let directory = directory_with("password", b"s3cret\n");
    let path = directory.path().join("password");
    let source = SecretSource::File("password".into());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
    let message = source.read(directory.path()).expect_err("public").render(false);
    assert!(message.contains("chmod 600") && !message.contains("s3cret"), "{message}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
    assert_eq!(source.read(directory.path()).expect("readable").expose_secret(), "s3cret");
}

#[test]
fn the_commented_defaults_are_the_defaults_and_name_every_table() {
    let text = include_str!("../../../config/mailwarden.toml");
    let written = load(text).expect("the shipped file is valid");
    let defaults = Settings { directory: written.directory.clone(), ..Settings::default() };
    assert_eq!(format!("{written:?}"), format!("{defaults:?}"));
    let uncommented: String = text
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|rest| rest.starts_with('[') || rest.contains(" = "))
                .unwrap_or(line)
        })
        .fold(String::new(), |all, line| all + line + "\n");
    let all = load(&uncommented).expect("every commented key is valid");
    let tables = (all.imap.is_some(), all.managesieve.is_some(), all.login.is_some());
    assert_eq!(tables, (true, true, true));
    assert!(all.postfix.is_some() && all.accounts.is_some());
    assert!(all.dovecot.is_some_and(|dovecot| dovecot.api.is_some()));
}

#[test]
fn a_relative_ledger_lies_beside_the_configuration_or_where_the_command_was_given() {
    let directory = directory_with("mailwarden.toml", b"[ledger]\nurl = \"sqlite:state/ledger.db\"\n");
    let mut settings = Settings::load(Some(&directory.path().join("mailwarden.toml"))).expect("valid");
    assert_eq!(settings.ledger.url, format!("sqlite:{}/state/ledger.db", directory.path().display()));
    assert_eq!(
        settings.journal_url(),
        format!("sqlite:{}/state/ledger-journal.db", directory.path().display())
    );
    settings.use_ledger("sqlite:here.db");
    let here = std::env::current_dir().expect("a directory");
    assert_eq!(settings.ledger.url, format!("sqlite:{}/here.db", here.display()));
}

#[test]
fn sender_logins_are_read_beside_the_configuration_and_a_bad_line_is_shown() {
    let directory = directory_with("mailwarden.toml", b"[gate]\nsender_login_maps = [\"logins\"]\n");
    let settings = Settings::load(Some(&directory.path().join("mailwarden.toml"))).expect("valid");
    let missing = settings.sender_logins().expect_err("no such file").render(false);
    assert!(missing.contains("sender_login_maps"), "{missing}");
    fs::write(directory.path().join("logins"), "sales@a.example  kim\n").expect("write");
    assert!(settings.sender_logins().expect("good").names("kim"));
    fs::write(directory.path().join("logins"), "sales@a.example  kim\nnothing\n").expect("write");
    let message = settings.sender_logins().expect_err("bad").render(false);
    assert!(message.contains("logins:2:1") && message.contains("config.bad-sender-login"), "{message}");
}

#[test]
fn tables_of_postfix_are_read_from_their_text_and_one_without_text_is_named() {
    let logins_of = |table: &str| {
        let text = format!("[gate]\nsender_login_maps = [\"{table}\"]\n");
        let directory = directory_with("mailwarden.toml", text.as_bytes());
        fs::write(directory.path().join("logins"), "sales@a.example  kim\n").expect("write");
        let settings = Settings::load(Some(&directory.path().join("mailwarden.toml"))).expect("valid");
        settings.sender_logins().map(|logins| logins.names("kim")).map_err(|error| error.render(false))
    };
    for table in ["logins", "./logins", "hash:logins", "lmdb:logins", "cdb:logins", "proxy:btree:logins"] {
        assert_eq!(logins_of(table), Ok(true), "{table}");
    }
    for (table, kind) in
        [("pcre:logins", "pcre"), ("proxy:ldap:logins", "ldap"), ("inline:{ a=b }", "inline")]
    {
        let message = logins_of(table).expect_err(table);
        assert!(message.contains(&format!("type {kind} ")) && message.contains(table), "{message}");
        assert!(message.contains("sender_login_maps") && message.contains("authorised_users"), "{message}");
    }
}

#[test]
fn a_network_that_is_none_is_shown_with_its_place() {
    let message = load("[gate]\nown_networks = [\"192.0.2.0/99\"]\n").expect_err("wrong").render(false);
    assert!(message.contains("192.0.2.0/24") && message.contains("mailwarden.toml:2:"), "{message}");
}

#[test]
fn a_postgresql_ledger_names_its_password_file_and_keeps_journal_and_vendors_in_its_database() {
    let text = b"[ledger]\nurl = \"postgres://mw@127.0.0.1/mw\"\npassword = { file = \"secret\" }\n\
        keep_details = { \"gate.\" = \"400d\" }\nanchors = [{ syslog = true }, { command = [\"/bin/a\"] }]\n";
    let directory = directory_with("mailwarden.toml", text);
    let settings = Settings::load(Some(&directory.path().join("mailwarden.toml"))).expect("valid");
    let file = directory.path().join("secret");
    let url = format!("postgres://mw@127.0.0.1/mw?password_file={}", file.display());
    assert_eq!((&settings.ledger.url, settings.journal_url()), (&url, url.clone()));
    assert_eq!(settings.vendors_url(), url, "shared by all gates");
    assert_eq!(settings.ledger.keep_details["gate."].0.as_secs(), 400 * 86_400);
    assert_eq!(settings.ledger.anchors.len(), 2);
}
