//! Rows of panels are changed with an approval, in real databases, and come back exactly as they were.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use mailwarden_e2e::{Installation, Output, mailwarden};
use mailwarden_lab::PostgreSql;
use mailwarden_lab::mariadb::MariaDb;

/// Tests run as root, and the owner of the client approves.
const RACI: &str = "[raci]\nact_as = [\"root\"]\n[raci.change-forwarding]\napprove = [\"client-owner\"]\n";

/// A panel whose rows are read by one user and changed by another.
struct Panel {
    place: tempfile::TempDir,
    installation: Installation,
}

impl Panel {
    fn new(kind: &str, reader: &str, writer: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let installation = Installation::create(place.path(), "unix:/nonexistent", "", RACI).unwrap();
        let text = fs::read_to_string(installation.config()).unwrap();
        for secret in ["reader", "writer"] {
            let path = installation.write(&format!("{secret}.password"), secret).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let more = format!(
            "\n[[panel]]\nkind = \"{kind}\"\nurl = \"{reader}\"\npassword = {{ file = \"reader.password\" }}\n\
             writer = {{ url = \"{writer}\", password = {{ file = \"writer.password\" }} }}\n"
        );
        installation.write("mailwarden.toml", text + &more).unwrap();
        Self { place, installation }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        mailwarden(&[arguments, &["--config", &self.installation.config()]].concat()).unwrap()
    }

    /// The finding of a check about a mailbox, if there is one.
    fn found(&self, check: &str, mailbox: &str) -> Option<String> {
        let report = self.run(&["sweep", "--all", "--format", "json"]).json();
        let findings = report["findings"].as_array().unwrap();
        let active = |found: &&serde_json::Value| {
            found["check_id"] == check && found["mailbox"] == mailbox && found["state"] == "active"
        };
        findings.iter().find(active).map(|found| found["fingerprint"].as_str().unwrap().to_owned())
    }

    fn approved(&self, what: &[&str]) -> Output {
        let how =
            ["--apply", "--ticket", "T-1", "--as", "omar@example.test", "--approved-by", "jane@example.test"];
        self.run(&[what, &how, &["--format", "json"]].concat())
    }

    /// Revokes, and gives the change's name.
    fn revoke(&self, finding: &str) -> String {
        let done = self.approved(&["revoke", finding]);
        assert_eq!(done.code, 0, "{done:?}");
        done.json()["applied"][0]["change"].as_str().unwrap().to_owned()
    }

    fn restore(&self, change: &str) {
        let back = self.approved(&["restore", change]);
        assert_eq!(back.code, 0, "{back:?}");
    }

    fn ledger(&self) -> Vec<u8> {
        fs::read(self.place.path().join("ledger.db")).unwrap()
    }
}

fn rows(server: &MariaDb, sql: &str) -> String {
    let port = server.port().to_string();
    let arguments = ["-h127.0.0.1", "-P", &port, "-uchecker", "-pchecker", "-N", "-B", "panel", "-e", sql];
    let ran = Command::new("mariadb").args(arguments).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

fn mariadb(tables: &str) -> MariaDb {
    let users: String = ["reader", "writer", "checker"]
        .iter()
        .map(|name| {
            let rights = if *name == "writer" { "SELECT, UPDATE" } else { "SELECT" };
            format!(
                "CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{name}';\n\
                 GRANT {rights} ON panel.* TO {name}@'127.0.0.1';\n"
            )
        })
        .collect();
    MariaDb::start(&format!("CREATE DATABASE panel;\nUSE panel;\n{tables}{users}")).unwrap()
}

const WHOLE: &str = "SELECT id, address, goto, modified, active FROM alias ORDER BY id";

#[test]
fn a_target_is_taken_out_of_an_alias_in_mariadb_and_put_back_exactly() {
    let server = mariadb(
        "CREATE TABLE mailbox (username VARCHAR(255), active TINYINT(1), attributes TEXT);\n\
         CREATE TABLE domain_admins (id INT PRIMARY KEY, username VARCHAR(255), domain VARCHAR(255), \
         active TINYINT(1));\n\
         CREATE TABLE imapsync (id INT PRIMARY KEY, user2 VARCHAR(255), host1 VARCHAR(255), user1 VARCHAR(255), \
         password1 VARCHAR(255), active TINYINT(1), modified DATETIME ON UPDATE CURRENT_TIMESTAMP);\n\
         INSERT INTO domain_admins VALUES (5, 'jane@example.test', 'example.test', 1), \
         (6, 'bob@example.test', 'example.test', 1);\n\
         INSERT INTO imapsync VALUES (9, 'sales@example.test', 'imap.evil.example', 'sales', 'topsecret', 1, \
         '2026-01-01'), (10, 'jane@example.test', 'imap.evil.example', 'jane', 'topsecret', 0, '2026-01-01');\n\
         CREATE TABLE admin (username VARCHAR(255), active TINYINT(1));\n\
         CREATE TABLE sender_acl (logged_in_as VARCHAR(255), send_as VARCHAR(255));\n\
         CREATE TABLE app_passwd (id INT PRIMARY KEY, name VARCHAR(255), mailbox VARCHAR(255), \
         password VARCHAR(255), active TINYINT(1), modified DATETIME ON UPDATE CURRENT_TIMESTAMP);\n\
         CREATE TABLE bcc_maps (id INT PRIMARY KEY, local_dest VARCHAR(255), bcc_dest VARCHAR(255), type VARCHAR(9), \
         active TINYINT(1), modified DATETIME ON UPDATE CURRENT_TIMESTAMP);\n\
         CREATE TABLE alias (id INT PRIMARY KEY, address VARCHAR(255), goto TEXT, \
         modified DATETIME ON UPDATE CURRENT_TIMESTAMP, active TINYINT(1));\n\
         INSERT INTO alias VALUES (1, 'sales@example.test', 'jane@example.test, eve@evil.example,omar@example.test', \
         '2026-01-01', 1), (2, 'info@example.test', 'eve@evil.example', '2026-01-01', 1);\n\
         INSERT INTO app_passwd VALUES (7, 'phone', 'bob@example.test', 'topsecret', 1, '2026-01-01'), \
         (8, 'phone', 'jane@example.test', 'topsecret', 1, '2026-01-01');\n\
         INSERT INTO mailbox VALUES ('bob@example.test', 0, '{}'), ('jane@example.test', 1, '{}'), \
         ('sales@example.test', 1, '{}');\n\
         INSERT INTO bcc_maps VALUES (3, 'sales@example.test', 'eve@evil.example', 'rcpt', 1, '2026-01-01');\n\
         CREATE TABLE recipient_maps (id INT PRIMARY KEY, old_dest VARCHAR(255), new_dest VARCHAR(255), \
         active TINYINT(1), modified DATETIME ON UPDATE CURRENT_TIMESTAMP);\n\
         INSERT INTO recipient_maps VALUES (11, 'jane@example.test', 'eve@evil.example', 1, '2026-01-01'), \
         (12, 'omar@example.test', 'jane@example.test', 1, '2026-01-01');\n",
    );
    let panel = Panel::new("mailcow", &server.url("reader", "panel"), &server.url("writer", "panel"));
    let before = rows(&server, WHOLE);
    let sales = panel.found("panel.mail-outside", "sales@example.test").unwrap();
    let plan = panel.run(&["revoke", &sales]);
    assert!(plan.stdout.contains("eve@evil.example is taken out of the row"), "{plan:?}");
    assert_eq!(rows(&server, WHOLE), before, "a plan changes nothing");
    let change = panel.revoke(&sales);
    assert_eq!(
        rows(&server, WHOLE),
        before.replacen("jane@example.test, eve@evil.example,omar", "jane@example.test,omar", 1)
    );
    assert_eq!(panel.found("panel.mail-outside", "sales@example.test"), None);
    panel.restore(&change);
    assert_eq!(rows(&server, WHOLE), before, "the time of the last change included");

    let info = panel.found("panel.mail-outside", "info@example.test").unwrap();
    let change = panel.revoke(&info);
    assert!(rows(&server, WHOLE).ends_with("info@example.test\teve@evil.example\t2026-01-01 00:00:00\t0"));
    panel.restore(&change);
    assert_eq!(rows(&server, WHOLE), before);

    for (check, mailbox, sql) in [
        (
            "panel.credential-leaver",
            "bob@example.test",
            "SELECT id, password, active, modified FROM app_passwd ORDER BY id",
        ),
        ("panel.copy-outside", "sales@example.test", "SELECT id, bcc_dest, active, modified FROM bcc_maps"),
        (
            "panel.pull",
            "sales@example.test",
            "SELECT id, password1, active, modified FROM imapsync ORDER BY id",
        ),
        ("panel.admin-leaver", "(system)", "SELECT id, username, active FROM domain_admins ORDER BY id"),
        ("panel.mail-outside", "jane@example.test", "SELECT * FROM recipient_maps ORDER BY id"),
    ] {
        let before = rows(&server, sql);
        let finding = panel.found(check, mailbox).unwrap_or_else(|| panic!("{check} {mailbox}"));
        let change = panel.revoke(&finding);
        assert_ne!(rows(&server, sql), before, "{check}");
        assert_eq!(panel.found(check, mailbox), None);
        panel.restore(&change);
        assert_eq!(rows(&server, sql), before, "{check}");
    }
    let kept = panel.ledger();
    assert!(!kept.windows(9).any(|bytes| bytes == b"topsecret"), "no secret is in the ledger");
}

#[test]
fn an_alias_in_postgresql_comes_back_exactly_and_one_that_was_changed_since_is_left_alone() {
    let server = PostgreSql::start().unwrap();
    let database = server.database().unwrap();
    let sql = |text: &str| server.query(&database, text).unwrap();
    sql("CREATE TABLE mailbox (username TEXT, active BOOLEAN, email_other TEXT);
         CREATE TABLE domain_admins (username TEXT, domain TEXT, active BOOLEAN);
         CREATE TABLE alias (address TEXT PRIMARY KEY, goto TEXT, modified TIMESTAMP, active BOOLEAN);
         INSERT INTO alias VALUES ('sales@example.test', 'jane@example.test,eve@evil.example', '2026-01-01', true);
         INSERT INTO alias VALUES ('info@example.test', 'eve@evil.example', '2026-01-01', true);
         CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
         CREATE ROLE writer LOGIN; GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO writer;");
    let url = |user: &str| format!("postgres://{user}@127.0.0.1:{}/{database}", server.port());
    let panel = Panel::new("postfixadmin", &url("reader"), &url("writer"));
    let whole = || sql("SELECT address, goto, modified, active FROM alias ORDER BY address");
    let before = whole();
    let sales = panel.found("panel.mail-outside", "sales@example.test").unwrap();
    let info = panel.found("panel.mail-outside", "info@example.test").unwrap();
    let changes = [panel.revoke(&sales), panel.revoke(&info)];
    let after = whole();
    assert!(
        after.contains("jane@example.test|") && after.contains("eve@evil.example|2026-01-01 00:00:00|f"),
        "{after}"
    );
    for change in &changes {
        panel.restore(change);
    }
    assert_eq!(whole(), before);
    let change = panel.revoke(&sales);
    sql("UPDATE alias SET goto = 'omar@example.test' WHERE address LIKE 'sales%'");
    let meanwhile = whole();
    let refused = panel.approved(&["restore", &change]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert_eq!(whole(), meanwhile, "what somebody did since is not undone");
}

/// A database with a reader and a writer, and a panel that is configured with both.
fn in_postgresql(server: &PostgreSql, kind: &str, tables: &str) -> (String, Panel) {
    let database = server.database().unwrap();
    let roles = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader; \
                 GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO writer;";
    server.query(&database, &format!("{tables}{roles}")).unwrap();
    let url = |user: &str| format!("postgres://{user}@127.0.0.1:{}/{database}", server.port());
    let panel = Panel::new(kind, &url("reader"), &url("writer"));
    (database, panel)
}

/// Every change is found, made, no finding any more, and taken back byte for byte.
fn change_and_restore(panel: &Panel, whole: &dyn Fn(&str) -> String, rows: &[(&str, &str, &str)]) {
    for (check, mailbox, sql) in rows {
        let before = whole(sql);
        let finding = panel.found(check, mailbox).unwrap_or_else(|| panic!("{check} {mailbox}"));
        let change = panel.revoke(&finding);
        assert_ne!(whole(sql), before, "{check}");
        assert_eq!(panel.found(check, mailbox), None, "{check}");
        panel.restore(&change);
        assert_eq!(whole(sql), before, "{check}");
    }
}

#[test]
fn jobs_rights_and_aliases_of_three_panels_in_postgresql_are_switched_off_and_come_back_exactly() {
    let server = PostgreSql::start().unwrap();
    let first = server.database().unwrap();
    server.query(&first, "CREATE ROLE reader LOGIN; CREATE ROLE writer LOGIN;").unwrap();
    let (database, panel) = in_postgresql(
        &server,
        "postfixadmin",
        "CREATE TABLE mailbox (username TEXT, active BOOLEAN, email_other TEXT);
         CREATE TABLE alias (address TEXT PRIMARY KEY, goto TEXT, modified TIMESTAMP, active BOOLEAN);
         CREATE TABLE domain_admins (username TEXT, domain TEXT, active BOOLEAN);
         CREATE TABLE fetchmail (id SERIAL, mailbox TEXT, src_server TEXT, src_user TEXT, src_password TEXT,
             date TIMESTAMP, active BOOLEAN);
         INSERT INTO domain_admins VALUES ('bob@example.test', 'example.test', true),
             ('bob@example.test', 'other.test', false), ('jane@example.test', 'example.test', true);
         INSERT INTO fetchmail VALUES (4, 'jane@example.test', 'pop.evil.example', 'jane', 'topsecret', '2026-01-01', true);",
    );
    let whole = |sql: &str| server.query(&database, sql).unwrap();
    let rows = [
        (
            "panel.admin-leaver",
            "(system)",
            "SELECT username, domain, active FROM domain_admins ORDER BY 1, 2",
        ),
        ("panel.pull", "jane@example.test", "SELECT id, src_password, date, active FROM fetchmail"),
    ];
    change_and_restore(&panel, &whole, &rows);
    assert!(!panel.ledger().windows(9).any(|bytes| bytes == b"topsecret"), "no secret is in the ledger");

    let (database, panel) = in_postgresql(
        &server,
        "iredmail",
        "CREATE TABLE mailbox (username TEXT PRIMARY KEY, active INT2, enableimap INT2, enablepop3 INT2,
             enablesmtp INT2, enablemanagesieve INT2);
         CREATE TABLE forwardings (id SERIAL PRIMARY KEY, address TEXT, forwarding TEXT, active INT2);
         CREATE TABLE recipient_bcc_user (username TEXT PRIMARY KEY, bcc_address TEXT, modified TIMESTAMP, active INT2);
         CREATE TABLE recipient_bcc_domain (domain TEXT PRIMARY KEY, bcc_address TEXT, active INT2);
         CREATE TABLE sender_bcc_user (username TEXT PRIMARY KEY, bcc_address TEXT, modified TIMESTAMP, active INT2);
         CREATE TABLE sender_bcc_domain (domain TEXT PRIMARY KEY, bcc_address TEXT, active INT2);
         CREATE TABLE domain_admins (username TEXT, domain TEXT, active INT2);
         INSERT INTO forwardings VALUES (1, 'sales@example.test', 'eve@evil.example', 1),
             (2, 'sales@example.test', 'jane@example.test', 1);
         INSERT INTO recipient_bcc_user VALUES ('jane@example.test', 'eve@evil.example', '2026-01-01', 1);
         INSERT INTO domain_admins VALUES ('bob@example.test', 'example.test', 1);",
    );
    let whole = |sql: &str| server.query(&database, sql).unwrap();
    let rows = [
        ("panel.mail-outside", "sales@example.test", "SELECT * FROM forwardings ORDER BY id"),
        ("panel.copy-outside", "jane@example.test", "SELECT * FROM recipient_bcc_user"),
        ("panel.admin-leaver", "(system)", "SELECT * FROM domain_admins"),
    ];
    change_and_restore(&panel, &whole, &rows);

    let (database, panel) = in_postgresql(
        &server,
        "modoboa",
        "CREATE TABLE core_user (id SERIAL, username TEXT, is_active BOOLEAN, is_superuser BOOLEAN, secondary_email TEXT);
         CREATE TABLE admin_alias (id SERIAL, address TEXT, enabled BOOLEAN);
         CREATE TABLE admin_aliasrecipient (id SERIAL, address TEXT, alias_id INTEGER);
         INSERT INTO admin_alias VALUES (1, 'sales@example.test', true), (2, 'info@example.test', true);
         INSERT INTO admin_aliasrecipient (address, alias_id) VALUES ('eve@evil.example', 1),
             ('jane@example.test', 2), ('eve@evil.example', 2);",
    );
    let whole = |sql: &str| server.query(&database, sql).unwrap();
    let rows = [("panel.mail-outside", "sales@example.test", "SELECT * FROM admin_alias ORDER BY id")];
    change_and_restore(&panel, &whole, &rows);
    // Switching the other one off would take Jane's copy as well.
    let several = panel.found("panel.mail-outside", "info@example.test").unwrap();
    let plan = panel.run(&["revoke", &several]);
    assert!(plan.stdout.contains("in the panel"), "{plan:?}");
}

#[test]
fn rows_of_iredmail_in_mariadb_are_switched_off_and_come_back_exactly() {
    let server = mariadb(
        "CREATE TABLE mailbox (username VARCHAR(255) PRIMARY KEY, active TINYINT(1), enableimap TINYINT(1), \
         enablepop3 TINYINT(1), enablesmtp TINYINT(1), enablemanagesieve TINYINT(1));\n\
         CREATE TABLE forwardings (id INT PRIMARY KEY, address VARCHAR(255), forwarding VARCHAR(255), \
         active TINYINT(1));\n\
         CREATE TABLE recipient_bcc_user (username VARCHAR(255) PRIMARY KEY, bcc_address VARCHAR(255), \
         modified DATETIME ON UPDATE CURRENT_TIMESTAMP, active TINYINT(1));\n\
         CREATE TABLE recipient_bcc_domain (domain VARCHAR(255) PRIMARY KEY, bcc_address VARCHAR(255), \
         active TINYINT(1));\n\
         CREATE TABLE sender_bcc_user (username VARCHAR(255) PRIMARY KEY, bcc_address VARCHAR(255), \
         modified DATETIME ON UPDATE CURRENT_TIMESTAMP, active TINYINT(1));\n\
         CREATE TABLE sender_bcc_domain (domain VARCHAR(255) PRIMARY KEY, bcc_address VARCHAR(255), \
         active TINYINT(1));\n\
         CREATE TABLE domain_admins (username VARCHAR(255), domain VARCHAR(255), \
         modified DATETIME ON UPDATE CURRENT_TIMESTAMP, active TINYINT(1), PRIMARY KEY (username, domain));\n\
         INSERT INTO forwardings VALUES (1, 'sales@example.test', 'eve@evil.example', 1), \
         (2, 'sales@example.test', 'jane@example.test', 1);\n\
         INSERT INTO recipient_bcc_user VALUES ('jane@example.test', 'eve@evil.example', '2026-01-01', 1), \
         ('omar@example.test', 'jane@example.test', '2026-01-01', 1);\n\
         INSERT INTO sender_bcc_user VALUES ('omar@example.test', 'eve@evil.example', '2026-01-01', 1);\n\
         INSERT INTO domain_admins VALUES ('bob@example.test', 'example.test', '2026-01-01', 1), \
         ('bob@example.test', 'other.test', '2026-01-01', 0), ('jane@example.test', 'example.test', '2026-01-01', 1);\n",
    );
    let panel = Panel::new("iredmail", &server.url("reader", "panel"), &server.url("writer", "panel"));
    let whole = |sql: &str| rows(&server, sql);
    let all = [
        ("panel.mail-outside", "sales@example.test", "SELECT * FROM forwardings ORDER BY id"),
        ("panel.copy-outside", "jane@example.test", "SELECT * FROM recipient_bcc_user ORDER BY username"),
        ("panel.copy-outside", "omar@example.test", "SELECT * FROM sender_bcc_user"),
        ("panel.admin-leaver", "(system)", "SELECT * FROM domain_admins ORDER BY 1, 2"),
    ];
    change_and_restore(&panel, &whole, &all);
}

#[test]
fn a_panel_without_a_writer_is_changed_by_hand() {
    let server = mariadb(
        "CREATE TABLE mailbox (username VARCHAR(255), active TINYINT(1), email_other VARCHAR(255));\n\
         CREATE TABLE domain_admins (username VARCHAR(255), domain VARCHAR(255), active TINYINT(1));\n\
         CREATE TABLE alias (address VARCHAR(255), goto TEXT, active TINYINT(1));\n\
         INSERT INTO alias VALUES ('sales@example.test', 'eve@evil.example', 1);\n",
    );
    let panel = Panel::new("postfixadmin", &server.url("reader", "panel"), &server.url("reader", "panel"));
    let text = fs::read_to_string(panel.installation.config()).unwrap();
    let sales = panel.found("panel.mail-outside", "sales@example.test").unwrap();
    // A writer who may only read: the database refuses, and nothing is half done.
    let refused = panel.approved(&["revoke", &sales]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert_eq!(rows(&server, "SELECT goto, active FROM alias"), "eve@evil.example\t1");
    let without: String =
        text.lines().filter(|line| !line.starts_with("writer")).map(|line| format!("{line}\n")).collect();
    panel.installation.write("mailwarden.toml", without).unwrap();
    let report = panel.run(&["sweep", "--all", "--format", "json"]);
    let report = panel.installation.write("report.json", report.stdout).unwrap();
    let by_hand = panel.run(&["revoke", &sales, "--input", &report]);
    assert!(by_hand.stdout.contains("in the panel"), "{by_hand:?}");
}
