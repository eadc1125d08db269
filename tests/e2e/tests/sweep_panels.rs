//! The rounds over what stands beside the mail server: databases of panels and webmails, jobs that copy mail.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use mailwarden_e2e::{Installation, Output, mailwarden};
use mailwarden_lab::mariadb::MariaDb;
use serde_json::Value;

fn database(path: &Path, statements: &str) {
    mailwarden_lab::packages::ensure_installed(&mut |_| {}).unwrap();
    let ran = Command::new("sqlite3").arg(path).arg(statements).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn installed(place: &Path, more: &str) -> Installation {
    let installation = Installation::create(place, "unix:/nonexistent", "", "").unwrap();
    let text = fs::read_to_string(installation.config()).unwrap();
    installation.write("mailwarden.toml", format!("{text}\n{more}")).unwrap();
    installation
}

fn sweep(installation: &Installation) -> Output {
    mailwarden(&["sweep", "--all", "--format", "json", "--config", &installation.config()]).unwrap()
}

fn said(report: &Value) -> Vec<String> {
    let one = |found: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let (check, key) = (text(&found["check_id"]), text(&found["locator"]["key"]));
        format!("{check} {key} {}", text(&found["beneficiary"]["value"]))
    };
    let mut said: Vec<String> = report["findings"].as_array().unwrap().iter().map(one).collect();
    said.sort();
    said
}

#[test]
fn what_a_panel_kept_of_somebody_who_left_is_found_and_ordinary_rows_are_not() {
    let place = tempfile::tempdir().unwrap();
    let panel = place.path().join("panel.db");
    database(
        &panel,
        "CREATE TABLE mailbox (username TEXT, password TEXT, active INT, email_other TEXT);
         CREATE TABLE alias (address TEXT, goto TEXT, active INT);
         CREATE TABLE mailbox_app_password (id INT, username TEXT, description TEXT, password_hash TEXT);
         CREATE TABLE domain_admins (username TEXT, domain TEXT, active INT);
         INSERT INTO mailbox VALUES ('jane@example.test', 'topsecret', 1, '');
         INSERT INTO alias VALUES ('sales@example.test', 'jane@example.test,bob@gmail.example', 1);
         INSERT INTO alias VALUES ('jane@example.test', 'jane@example.test', 1);
         INSERT INTO mailbox_app_password VALUES (7, 'gone@example.test', 'phone', 'topsecret');
         INSERT INTO mailbox_app_password VALUES (8, 'jane@example.test', 'phone', 'topsecret');
         INSERT INTO domain_admins VALUES ('bob@example.test', 'example.test', 1);
         INSERT INTO domain_admins VALUES ('jane@example.test', 'example.test', 1);",
    );
    let configured = format!("[[panel]]\nkind = \"postfixadmin\"\nurl = \"sqlite:{}\"\n", panel.display());
    let installation = installed(place.path(), &configured);
    let before = fs::read(&panel).unwrap();
    let output = sweep(&installation);
    let report = output.json();
    assert_eq!(
        said(&report),
        [
            "panel.admin-leaver bob@example.test of example.test bob@example.test",
            "panel.mail-outside sales@example.test bob@gmail.example",
            "panel.residue 7 gone@example.test",
        ]
    );
    assert!(!output.stdout.contains("topsecret"));
    assert_eq!(fs::read(&panel).unwrap(), before, "looking changes nothing");
    let listed = mailwarden(&["sweep", "--surfaces", "--format", "json", "--config", &installation.config()]);
    let listing = listed.unwrap().json();
    let rows = listing["surfaces"].as_array().unwrap();
    let covered = |id: &str| rows.iter().find(|row| row["id"] == id).unwrap()["covered"].clone();
    assert_eq!((covered("panel.forwarding"), covered("webmail.shares")), (true.into(), false.into()));
}

#[test]
fn what_a_groupware_would_write_again_is_found_and_ordinary_profiles_are_not() {
    let place = tempfile::tempdir().unwrap();
    let (sogo, mailcow) = (place.path().join("sogo.db"), place.path().join("mailcow.db"));
    database(
        &sogo,
        r#"CREATE TABLE sogo_user_profile (c_uid TEXT, c_defaults TEXT, c_settings TEXT);
         INSERT INTO sogo_user_profile VALUES ('jane@example.test', '{"Forward":{"enabled":1,"forwardAddress":["sales@example.test"]},
           "Vacation":{"enabled":1,"autoReplyText":"topsecret","autoReplyEmailAddresses":["jane@example.test"]},
           "SOGoSieveFilters":[{"name":"news","active":1,"actions":[{"method":"fileinto","argument":"News"}]},
             {"name":"gone","active":1,"match":"allmessages","actions":[{"method":"discard"}]},
             {"name":"tidy","active":1,"match":"allmessages","actions":[{"method":"redirect","argument":"x@evil.example"}]},
             {"name":"old","active":0,"match":"allmessages","actions":[{"method":"notify","argument":"y@evil.example"}]}]}', '');
         INSERT INTO sogo_user_profile VALUES ('bob@example.test', '{"Vacation":{"enabled":1,
           "autoReplyEmailAddresses":["bob@example.test"]}}', '{"Mail":{"DelegateTo":[]}}');
         CREATE TABLE sogo_sessions_folder (c_id TEXT, c_value TEXT, c_creationdate INT, c_lastseen INT);
         INSERT INTO sogo_sessions_folder VALUES ('topsecret', 'topsecret', 1, 2);"#,
    );
    database(
        &mailcow,
        r#"CREATE TABLE mailbox (username TEXT, active INT, attributes TEXT);
         CREATE TABLE alias (address TEXT, goto TEXT, active INT);
         CREATE TABLE domain_admins (id INT, username TEXT, domain TEXT, active INT);
         CREATE TABLE admin (username TEXT, active INT);
         CREATE TABLE sender_acl (logged_in_as TEXT, send_as TEXT);
         CREATE TABLE sieve_filters (id INT, username TEXT, script_desc TEXT, script_name TEXT, script_data TEXT);
         INSERT INTO sieve_filters VALUES (1, 'jane@example.test', 'copy', 'active', 'if true { redirect "z@evil.example"; }');
         INSERT INTO sieve_filters VALUES (2, 'jane@example.test', 'news', 'active',
           'require "fileinto"; if header :contains "list-id" "news" { fileinto "News"; }');"#,
    );
    let (sogo, mailcow) = (sogo.display(), mailcow.display());
    let configured = format!(
        "[[panel]]\nkind = \"sogo\"\nurl = \"sqlite:{sogo}\"\n[[panel]]\nkind = \"mailcow\"\nurl = \"sqlite:{mailcow}\"\n"
    );
    let output = sweep(&installed(place.path(), &configured));
    let report = output.json();
    assert_eq!(
        said(&report),
        [
            "panel.answer bob@example.test bob@example.test",
            "panel.mail-outside jane@example.test x@evil.example",
            "panel.push jane@example.test y@evil.example",
            "sieve.hides-mail - (nowhere)",
            "sieve.redirect-external - z@evil.example",
        ]
    );
    let findings = report["findings"].as_array().unwrap();
    let of = |check: &str| findings.iter().find(|found| found["check_id"] == check).unwrap();
    assert_eq!(of("panel.mail-outside")["remediation"]["regenerated_by"], serde_json::json!(["SOGo"]));
    assert_eq!(of("panel.push")["state"], "dormant");
    let hidden = of("sieve.hides-mail");
    assert_eq!(
        (hidden["surface"]["id"].as_str(), hidden["mailbox"].as_str()),
        (Some("webmail.profile"), Some("jane@example.test"))
    );
    assert_eq!(hidden["remediation"]["regenerated_by"], serde_json::json!(["SOGo"]));
    let kept = of("sieve.redirect-external");
    assert_eq!(kept["surface"]["id"], "webmail.profile");
    let remedy = kept["remediation"]["command"].as_str().unwrap();
    assert!(remedy.contains("panel's own page") && !remedy.contains("doveadm"), "{remedy}");
    assert!(!output.stdout.contains("topsecret"));
    assert!(output.stderr.contains("1 sessions are kept"), "{}", output.stderr);
}

#[test]
fn a_leavers_webmail_session_is_found_and_a_colleagues_is_not() {
    // base64 of what PHP writes: `language|s:5:"en_US";user_id|i:N;password|s:9:"topsecret";`
    let vars = |user: u32| {
        let text = format!("language|s:5:\"en_US\";user_id|i:{user};password|s:9:\"topsecret\";");
        format!("TO_BASE64('{text}')")
    };
    let (jane, bob) = (vars(1), vars(2));
    let mariadb = MariaDb::start(&format!(
        "CREATE DATABASE roundcube;\nUSE roundcube;\nCREATE USER reader@'127.0.0.1' IDENTIFIED BY 'tiger';\n\
         GRANT SELECT ON roundcube.* TO reader@'127.0.0.1';\n\
         CREATE TABLE users (user_id INT, username VARCHAR(128));\n\
         CREATE TABLE identities (identity_id INT, user_id INT, del INT, email VARCHAR(128), `reply-to` VARCHAR(128), \
         bcc VARCHAR(128));\n\
         CREATE TABLE session (sess_id VARCHAR(128), ip VARCHAR(40), vars MEDIUMTEXT);\n\
         INSERT INTO users VALUES (1, 'jane@example.test'), (2, 'bob@example.test');\n\
         INSERT INTO session VALUES ('topsecret1', '192.0.2.1', {jane}), ('topsecret2', '198.51.100.7', {bob});\n"
    ))
    .unwrap();
    let place = tempfile::tempdir().unwrap();
    let url = mariadb.url("reader", "roundcube");
    let configured = format!(
        "[[panel]]\nkind = \"roundcube\"\nurl = \"{url}\"\npassword = {{ file = \"db.password\" }}\n"
    );
    let installation = installed(place.path(), &configured);
    let secret = installation.write("db.password", "tiger").unwrap();
    fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).unwrap();
    let output = sweep(&installation);
    let report = output.json();
    assert_eq!(said(&report), ["panel.session-leaver 2 bob@example.test"]);
    let title = report["findings"][0]["title"].as_str().unwrap();
    assert!(title.ends_with("still logged in to roundcube from 198.51.100.7."), "{title}");
    assert!(!output.stdout.contains("topsecret"));
}

#[test]
fn a_panel_that_cannot_be_asked_is_never_clean_and_a_wrong_one_is_named() {
    let place = tempfile::tempdir().unwrap();
    let installation = installed(
        place.path(),
        "[[panel]]\nkind = \"mailcow\"\nurl = \"mysql://reader@127.0.0.1:1/mailcow\"\n",
    );
    let output = sweep(&installation);
    assert!(matches!(output.code, 3 | 4), "{output:?}");
    let report = output.json();
    assert_ne!(report["verdict"], "clean");
    let row = &report["coverage"].as_array().unwrap()[0];
    assert!(row["state"] == "error" && row["source"].as_str().unwrap().contains("mailcow"), "{row:#}");
    for (panel, word) in [
        ("kind = \"unknown\"\nurl = \"sqlite:/x\"", "no set of queries"),
        ("kind = \"mailcow\"\nurl = \"mysql://reader:tiger@db/x\"", "password"),
    ] {
        let installation = installed(place.path(), &format!("[[panel]]\n{panel}\n"));
        let output = sweep(&installation);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(word) && !output.stderr.contains("tiger"), "{}", output.stderr);
    }
}

#[test]
fn an_administrators_own_queries_are_asked_and_those_that_write_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let panel = place.path().join("own.db");
    database(
        &panel,
        "CREATE TABLE fw (a TEXT, b TEXT); INSERT INTO fw VALUES ('sales@example.test', 'x@evil.example');",
    );
    let set = |sql: &str| {
        format!(
            "name = \"own\"\nversion = 1\npanel_versions = \"1\"\n[[query]]\nid = \"fw\"\nsurface = \"panel.forwarding\"\n\
             means = \"forward\"\nsql = \"{sql}\"\n"
        )
    };
    let configured =
        format!("[[panel]]\nkind = \"own\"\nqueries = \"own.toml\"\nurl = \"sqlite:{}\"\n", panel.display());
    let installation = installed(place.path(), &configured);
    installation.write("own.toml", set("SELECT a AS owner, b AS target FROM fw")).unwrap();
    assert_eq!(said(&sweep(&installation).json()), ["panel.mail-outside sales@example.test x@evil.example"]);
    installation.write("own.toml", set("DELETE FROM fw")).unwrap();
    let output = sweep(&installation);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("only reading") || output.stderr.contains("SELECT"), "{}", output.stderr);
}

#[test]
fn jobs_that_copy_mail_are_found_at_their_line() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = place.path().join("root").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    write("root/.fetchmailrc", "# x\npoll mail.example.test user \"bob@example.test\" pass tiger\n");
    write("etc/cron.d/backup", "0 1 * * * root /usr/bin/rsync /srv /backup\n");
    write(
        "etc/rspamd/local.d/metadata_exporter.conf",
        "rules {\n  STATS { backend = \"http\"; url = \"http://127.0.0.1:9999/\"; }\n  SPY {\n    backend = \"send_mail\";\n    \
         mail_to = \"eve@evil.example\";\n  }\n}\n",
    );
    let installation = installed(place.path(), "[pulls]\nroot = \"root\"\n");
    let exported = sweep(&installation).json();
    assert_eq!(
        said(&exported),
        ["pull.job - whoever runs fetchmail", "rspamd.exporter - eve@evil.example"],
        "{exported:#}"
    );
    let spy =
        exported["findings"].as_array().unwrap().iter().find(|f| f["check_id"] == "rspamd.exporter").unwrap();
    assert_eq!(spy["locator"]["line"], 5);
    write("etc/rspamd/local.d/metadata_exporter.conf", "enabled = false;\n");
    let report = sweep(&installation).json();
    let found = &report["findings"].as_array().unwrap()[..];
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["check_id"], "pull.job");
    assert_eq!(
        (&found[0]["locator"]["file"], &found[0]["locator"]["line"]),
        (&"/root/.fetchmailrc".into(), &2.into())
    );
    assert!(!report.to_string().contains("tiger"));
}
