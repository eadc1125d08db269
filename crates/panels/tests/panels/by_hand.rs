//! What is printed for an administrator to type does in the database what it says.

use mailwarden_evidence::Fact;
use mailwarden_lab::PostgreSql;
use mailwarden_panels::{PanelPlan, Seen, collect};
use sqlx::Connection as _;

use crate::{mariadb, plan, schema, sqlite};

/// Rows for which a statement exists: the row as it is told, and the statement.
fn statements(seen: &Seen) -> Vec<(String, String)> {
    let of = |fact: &Fact| match fact {
        Fact::PanelRow { query, owner, target, label, by_hand, .. } if !by_hand.is_empty() => {
            Some((format!("{query} {owner} {target} {label}"), by_hand.clone()))
        }
        _ => None,
    };
    seen.observations.iter().filter_map(|seen| of(&seen.fact)).collect()
}

fn is_in_force(seen: &Seen, row: &str) -> bool {
    seen.observations.iter().any(|seen| match &seen.fact {
        Fact::PanelRow { query, owner, target, label, active, .. } => {
            *active && format!("{query} {owner} {target} {label}") == row
        }
        _ => false,
    })
}

/// Types every statement of a panel, one after the other; which queries had one.
async fn typed(plan: &PanelPlan, mut type_in: impl AsyncFnMut(&str)) -> Vec<String> {
    let mut queries = Vec::new();
    for (row, statement) in statements(&collect(plan).await) {
        type_in(&statement).await;
        assert!(!is_in_force(&collect(plan).await, &row), "{row} after {statement}");
        queries.push(row.split(' ').next().unwrap().to_owned());
    }
    queries.sort();
    queries.dedup();
    queries
}

const POSTFIXADMIN: [&str; 7] = [
    "admin_recovery",
    "alias_domain",
    "domain_admins",
    "fetchmail",
    "mailbox_app_password",
    "recovery",
    "totp_exception_address",
];
const ROUNDCUBE: [&str; 3] = ["identity_bcc", "identity_reply_to", "identity_sender"];

#[tokio::test]
async fn statements_to_type_take_away_what_rows_of_mariadb_give() {
    let panels = ["postfixadmin", "mailcow", "iredmail", "roundcube"];
    let mariadb = mariadb(&panels);
    let typed = async |panel: &str| {
        let plan = plan(panel, &mariadb.url("reader", panel), Some("tiger"));
        let admin = mariadb.url("admin:lion", panel);
        let mut shell = sqlx::MySqlConnection::connect(&admin).await.unwrap();
        typed(&plan, async |statement: &str| {
            let statement = sqlx::AssertSqlSafe(statement.to_owned());
            sqlx::raw_sql(statement).execute(&mut shell).await.unwrap();
        })
        .await
    };
    assert_eq!(typed("postfixadmin").await, POSTFIXADMIN);
    assert_eq!(typed("roundcube").await, ROUNDCUBE);
    assert_eq!(
        typed("mailcow").await,
        [
            "admin",
            "api",
            "app_passwd",
            "bcc_recipient",
            "bcc_sender",
            "domain_admins",
            "imapsync",
            "pushover",
            "recipient_maps",
            "recovery",
            "sender_acl",
            "spamalias",
            "tfa"
        ]
    );
    assert_eq!(
        typed("iredmail").await,
        [
            "anyone_shares",
            "domain_admins",
            "forwardings",
            "maillist_owners",
            "moderators",
            "recipient_bcc_domain",
            "recipient_bcc_user",
            "sender_bcc_domain",
            "sender_bcc_user",
            "sender_relayhost",
            "share_folder"
        ]
    );
}

#[tokio::test]
async fn statements_to_type_take_away_what_rows_of_postgresql_give() {
    let server = PostgreSql::start().unwrap();
    let typed = async |panel: &str| {
        let name = server.database().unwrap();
        server.query(&name, schema(panel)).unwrap();
        server.query(&name, "CREATE ROLE reader LOGIN").ok();
        server.query(&name, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader").unwrap();
        let plan = plan(panel, &format!("postgres://reader@127.0.0.1:{}/{name}", server.port()), None);
        typed(&plan, async |statement: &str| drop(server.query(&name, statement).unwrap())).await
    };
    assert_eq!(typed("postfixadmin").await, POSTFIXADMIN);
    assert_eq!(typed("roundcube").await, ROUNDCUBE);
    assert_eq!(
        typed("modoboa").await,
        ["admin_alias", "admin_senderaddress", "authtoken", "recovery", "superusers"]
    );
}

#[tokio::test]
async fn statements_to_type_take_away_what_rows_of_sqlite_give() {
    let place = tempfile::tempdir().unwrap();
    for (panel, expected) in [("postfixadmin", &POSTFIXADMIN[..]), ("roundcube", &ROUNDCUBE[..])] {
        let path = place.path().join(panel);
        sqlite(&path, panel).await;
        let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
        let type_in = async |statement: &str| {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&pool).await.unwrap();
        };
        let plan = plan(panel, &format!("sqlite:{}", path.display()), None);
        assert_eq!(typed(&plan, type_in).await, expected, "{panel}");
    }
}
