//! The lab's PostgreSQL answers, survives its own crash, and leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use mailwarden_lab::{PostgreSql, packages};

#[test]
fn it_answers_as_a_user_without_rights_and_keeps_what_was_committed_through_a_crash() {
    packages::ensure_installed(&mut |_step| {}).unwrap();
    let server = PostgreSql::start().unwrap();
    let (one, other) = (server.database().unwrap(), server.database().unwrap());
    assert_ne!(one, other);
    server.query(&one, "CREATE TABLE t (x int); INSERT INTO t VALUES (7)").unwrap();
    assert_eq!(server.query(&one, "SELECT x FROM t").unwrap(), "7\n");
    assert!(server.query(&other, "SELECT x FROM t").is_err());

    server.crash().unwrap();
    assert!(server.query(&one, "SELECT 1").is_err());
    server.start_again().unwrap();
    assert_eq!(server.query(&one, "SELECT x FROM t").unwrap(), "7\n");
    server.stop().unwrap();
    assert!(server.query(&one, "SELECT 1").is_err());
    server.start_again().unwrap();
    assert_eq!(server.query(&one, "SELECT x FROM t").unwrap(), "7\n");
    server.require_passwords().unwrap();
    assert_eq!(server.query(&one, "SELECT x FROM t").unwrap(), "7\n");
}
