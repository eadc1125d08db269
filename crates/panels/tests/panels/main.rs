//! Every query set on the real databases, with schemas reduced to what is asked, and proof that nothing is changed.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod by_hand;
mod changes;
mod read_only;

use std::path::Path;

use mailwarden_evidence::{CoverageState, Fact};
use mailwarden_lab::PostgreSql;
use mailwarden_lab::mariadb::MariaDb;
use mailwarden_panels::{PanelPlan, Seen, Source, built_in, collect};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

pub(crate) const SCHEMAS: [(&str, &str); 6] = [
    ("postfixadmin", include_str!("schemas/postfixadmin.sql")),
    ("mailcow", include_str!("schemas/mailcow.sql")),
    ("modoboa", include_str!("schemas/modoboa.sql")),
    ("iredmail", include_str!("schemas/iredmail.sql")),
    ("roundcube", include_str!("schemas/roundcube.sql")),
    ("sogo", include_str!("schemas/sogo.sql")),
];

pub(crate) fn schema(name: &str) -> &'static str {
    SCHEMAS.iter().find(|(known, _)| *known == name).unwrap().1
}

/// MariaDB with a database for each of some panels, a reader who may do nothing but SELECT, and an administrator.
pub(crate) fn mariadb(panels: &[&str]) -> MariaDb {
    let mut statements = "CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'tiger';\n\
        CREATE USER admin@'127.0.0.1' IDENTIFIED BY 'lion';\nGRANT ALL ON *.* TO admin@'127.0.0.1';\n"
        .to_owned();
    for name in panels {
        // In MySQL's own words a quoted name stands in backticks.
        let text = schema(name).replace("\"reply-to\"", "`reply-to`");
        statements += &format!(
            "CREATE DATABASE {name};\nUSE {name};\n{text}GRANT SELECT ON {name}.* TO reader@'127.0.0.1';\n"
        );
    }
    MariaDb::start(&statements).unwrap()
}

pub(crate) async fn sqlite(path: &Path, panel: &str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(schema(panel).to_owned())).await.unwrap();
    connection.close().await.unwrap();
}

pub(crate) fn plan(panel: &str, url: &str, password: Option<&str>) -> PanelPlan {
    let source = Source::parse(url, password.map(Into::into)).unwrap();
    PanelPlan::new(panel, built_in(panel).unwrap(), source)
}

/// Each row as `query means owner target active`; no secret may be in any of them.
pub(crate) fn rows(seen: &Seen) -> Vec<String> {
    let all = format!("{seen:?}");
    assert!(!all.contains("topsecret") && !all.contains("tiger"), "{all}");
    let row = |fact: &Fact| match fact {
        Fact::PanelRow { query, means, owner, target, active, .. } => {
            let off = if *active { "" } else { " off" };
            format!("{query} {means:?} {owner} {target}{off}")
        }
        Fact::SieveScript { name, active, .. } => format!("script {name} {active}"),
        other => format!("{other:?}"),
    };
    let mut rows: Vec<String> = seen.observations.iter().map(|seen| row(&seen.fact)).collect();
    rows.sort();
    rows
}

pub(crate) fn assert_whole(seen: &Seen) {
    let gaps: Vec<_> = seen.coverage.iter().filter(|row| row.state != CoverageState::Collected).collect();
    assert!(gaps.is_empty() && !seen.coverage.is_empty(), "{gaps:#?}");
}

fn key<'a>(fact: &'a Fact, of: &str) -> Option<&'a str> {
    match fact {
        Fact::PanelRow { query, key, .. } if query == of => Some(key),
        _ => None,
    }
}

const POSTFIXADMIN: [&str; 13] = [
    "admin_recovery Recovery root@a.test root@private.test",
    "alias Forward jane@a.test jane@a.test",
    "alias Forward off@a.test x@b.test off",
    "alias Forward sales@a.test gone@a.test",
    "alias Forward sales@a.test jane@a.test",
    "alias_domain Forward @c.test @a.test",
    "domain_admins Admin a.test gone@a.test",
    "fetchmail Pull jane@a.test pop.b.test",
    "mailbox Account jane@a.test ",
    "mailbox Account old@a.test  off",
    "mailbox_app_password AppPassword gone@a.test ",
    "recovery Recovery jane@a.test jane@private.test",
    "totp_exception_address SecondFactor jane@a.test 198.51.100.7",
];

const ROUNDCUBE: [&str; 7] = [
    "identity_bcc CopyFrom jane@a.test eve@b.test",
    "identity_bcc CopyFrom jane@a.test gone@b.test off",
    "identity_bcc CopyFrom jane@a.test spy@b.test",
    "identity_reply_to ReplyTo jane@a.test ceo@b.test",
    "identity_sender SendAs ceo@a.test jane@a.test",
    "session Session jane@a.test ",
    "users Account jane@a.test ",
];

const SOGO: [&str; 6] = [
    "acl Share jane@a.test bob@b.test",
    "defaults Answer jane@a.test jane@a.test off",
    "defaults External jane@a.test imap.b.test",
    "defaults Forward jane@a.test eve@b.test",
    "defaults Forward jane@a.test spy@b.test",
    "settings Share jane@a.test bob@b.test",
];

#[tokio::test]
async fn panels_in_sqlite_say_all_they_hold() {
    let place = tempfile::tempdir().unwrap();
    let ask = async |panel: &str| {
        let path = place.path().join(panel);
        sqlite(&path, panel).await;
        collect(&plan(panel, &format!("sqlite:{}", path.display()), None)).await
    };
    for (panel, expected) in [("postfixadmin", &POSTFIXADMIN[..]), ("sogo", &SOGO[..])] {
        let seen = ask(panel).await;
        assert_whole(&seen);
        assert_eq!(rows(&seen), expected, "{panel}");
    }
    let seen = ask("roundcube").await;
    let without_sessions: Vec<&str> =
        ROUNDCUBE.into_iter().filter(|row| !row.starts_with("session")).collect();
    assert_eq!(rows(&seen), without_sessions);
    let gap = seen.coverage.iter().find(|row| row.state != CoverageState::Collected).unwrap();
    assert_eq!((gap.surface.as_str(), gap.state), ("webmail.sessions", CoverageState::Partial));
    assert!(gap.reason.contains("SQLite"), "{}", gap.reason);
}

#[tokio::test]
async fn sessions_whose_owner_only_the_cookie_knows_are_counted_and_never_read() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("sogo");
    sqlite(&path, "sogo").await;
    let seen = collect(&plan("sogo", &format!("sqlite:{}", path.display()), None)).await;
    assert!(seen.notes.iter().any(|note| note.contains("1 sessions are kept")), "{:?}", seen.notes);
}

#[tokio::test]
async fn panels_in_mariadb_say_all_they_hold_to_a_reader() {
    let mariadb = mariadb(&["postfixadmin", "mailcow", "iredmail", "roundcube", "sogo"]);
    let ask = async |panel: &str| {
        let seen = collect(&plan(panel, &mariadb.url("reader", panel), Some("tiger"))).await;
        assert_whole(&seen);
        rows(&seen)
    };
    assert_eq!(ask("postfixadmin").await, POSTFIXADMIN);
    assert_eq!(ask("roundcube").await, ROUNDCUBE);
    assert_eq!(ask("sogo").await, SOGO);
    assert_eq!(
        ask("mailcow").await,
        [
            "admin Admin  root",
            "alias Forward sales@a.test bob@b.test",
            "alias Forward sales@a.test jane@a.test",
            "api ApiKey  192.0.2.1",
            "app_passwd AppPassword gone@a.test ",
            "bcc_recipient CopyTo jane@a.test spy@b.test",
            "bcc_sender CopyFrom @a.test log@a.test off",
            "domain_admins Admin a.test bob@b.test",
            "imapsync Pull jane@a.test imap.b.test",
            "mailbox Account jane@a.test ",
            "mailbox Account omar@a.test  off",
            "pushover Push jane@a.test pushover.net",
            "recipient_maps Forward old@a.test new@b.test",
            "recovery Recovery jane@a.test jane@private.test",
            "script mailcow: mine true",
            "sender_acl SendAs sales@a.test omar@a.test",
            "service_imap Service jane@a.test imap",
            "service_pop3 Service jane@a.test pop3 off",
            "service_smtp Service omar@a.test smtp off",
            "spamalias Forward tmp@a.test jane@a.test",
            "tfa SecondFactor jane@a.test ",
        ]
    );
    assert_eq!(
        ask("iredmail").await,
        [
            "anyone_shares Share jane@a.test anyone",
            "domain_admins Admin a.test bob@b.test",
            "forwardings Forward sales@a.test bob@b.test",
            "mailbox Account jane@a.test ",
            "maillist_owners Admin staff@a.test bob@b.test",
            "moderators Admin staff@a.test eve@b.test",
            "recipient_bcc_domain CopyTo @a.test all@b.test",
            "recipient_bcc_user CopyTo jane@a.test spy@b.test",
            "sender_bcc_domain CopyFrom @a.test log@b.test off",
            "sender_bcc_user CopyFrom jane@a.test out@b.test",
            "sender_relayhost External @a.test [relay.b.test]:587",
            "service_imap Service jane@a.test imap",
            "service_managesieve Service jane@a.test managesieve",
            "service_pop3 Service jane@a.test pop3 off",
            "service_smtp Service jane@a.test smtp",
            "share_folder Share jane@a.test bob@b.test",
        ]
    );
    let seen = collect(&plan("mailcow", &mariadb.url("reader", "mailcow"), Some("tiger"))).await;
    let keys: Vec<&str> = seen.observations.iter().filter_map(|seen| key(&seen.fact, "app_passwd")).collect();
    assert_eq!(keys, ["4"], "what tells rows apart is a number there");
    let refused = collect(&plan("mailcow", &mariadb.url("reader", "mailcow"), Some("wrong"))).await;
    assert!(refused.coverage.iter().all(|row| row.state == CoverageState::Denied), "{:?}", refused.coverage);
    assert!(!format!("{refused:?}").contains("wrong"));
}

#[tokio::test]
async fn panels_in_postgresql_say_all_they_hold_to_a_reader() {
    let server = PostgreSql::start().unwrap();
    let database = async |panel: &str| {
        let name = server.database().unwrap();
        server.query(&name, schema(panel)).unwrap();
        server
            .query(&name, "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
            .ok();
        server.query(&name, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader").unwrap();
        let url = format!("postgres://reader@127.0.0.1:{}/{name}", server.port());
        let seen = collect(&plan(panel, &url, None)).await;
        assert_whole(&seen);
        rows(&seen)
    };
    assert_eq!(database("postfixadmin").await, POSTFIXADMIN);
    assert_eq!(database("roundcube").await, ROUNDCUBE);
    assert_eq!(database("sogo").await, SOGO);
    assert_eq!(
        database("modoboa").await,
        [
            "admin_alias Forward off@a.test eve@b.test off",
            "admin_alias Forward sales@a.test bob@b.test",
            "admin_senderaddress SendAs ceo@a.test jane@a.test",
            "authtoken ApiKey admin admin",
            "core_user Account admin ",
            "core_user Account jane@a.test ",
            "recovery Recovery jane@a.test jane@private.test",
            "superusers Admin  admin",
        ]
    );
}
