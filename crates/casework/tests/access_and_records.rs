//! Access for a time, and what is recorded of mailboxes made elsewhere.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod common;

use chrono::{DateTime, TimeDelta, Utc};
use common::{Book, address, by, policy, refusal, start};
use mailwarden_casework::access::{Granted, Granting, grant, grants, revoke};
use mailwarden_casework::provisioning::{KINDS, Record, follow_ups, pending_invites, record};
use mailwarden_casework::{Entry, Refused, Step};
use mailwarden_policy::Policy;
use serde_json::{Value, json};

fn granting(policy: &Policy, approver: &str, expires: DateTime<Utc>) -> Result<Step<Granted>, Refused> {
    grant_in(policy, &[], approver, expires)
}

fn grant_in(
    policy: &Policy,
    entries: &[Entry],
    approver: &str,
    expires: DateTime<Utc>,
) -> Result<Step<Granted>, Refused> {
    let granting = Granting {
        case: format!("A-{}", entries.len() + 1),
        mailbox: policy.mailbox(&address("billing")).unwrap(),
        grantee: address("carla.owner"),
        rights: "lr".to_owned(),
        reason: "holiday cover".to_owned(),
        ticket: "T-3".to_owned(),
        expires,
        executor: address("omar.ops"),
        approving: by(approver, "omar.ops"),
    };
    grant(policy, entries, granting, start())
}

#[test]
fn the_business_owner_approves_the_operator_grants_and_there_is_an_end() {
    let policy = policy();
    let soon = start() + TimeDelta::days(30);
    assert!(matches!(granting(&policy, "erik.board", soon), Ok(Step::Record(_))));
    assert!(refusal(granting(&policy, "olga.ops", soon)).contains("cannot approve grant-access"));
    assert!(refusal(granting(&policy, "carla.owner", soon)).contains("approve their own access"));
    for never in [start(), start() + TimeDelta::days(366)] {
        assert!(refusal(granting(&policy, "erik.board", never)).contains("does not hold"));
    }
}

#[test]
fn a_real_access_is_live_outlived_or_unrecorded() {
    let policy = policy();
    let mut book = Book::default();
    let end = start() + TimeDelta::days(30);
    book.take("access.granted", granting(&policy, "erik.board", end));
    assert_eq!(grant_in(&policy, &book.entries, "erik.board", end), Ok(Step::Already));
    let all = grants(&book.entries);
    assert!(all[0].is_live(start()) && !all[0].is_live(end) && all[0].has_lapsed(end));
    book.take("access.revoked", revoke(&policy, &all, "A-1", address("omar.ops")));
    let all = grants(&book.entries);
    assert!(!all[0].is_live(start()) && !all[0].has_lapsed(end));
    assert_eq!(revoke(&policy, &all, "A-1", address("omar.ops")), Ok(Step::Already));
    assert!(refusal(revoke(&policy, &all, "A-9", address("omar.ops"))).contains("there is no grant"));
}

fn handed_in(kind: &str, payload: Value) -> Record {
    Record {
        kind: kind.to_owned(),
        subject: "new.one@example.test".to_owned(),
        reason: "T-4".to_owned(),
        at: None,
        prior_state: Some(json!("before")),
        payload,
        id: Some("panel-1".to_owned()),
    }
}

fn recorded(book: &mut Book, record_in: Record) -> bool {
    let now = book.now();
    match record(&book.entries, record_in, "tester", now).unwrap() {
        Step::Already => false,
        Step::Record(entry) => {
            book.entries.push(entry);
            true
        }
    }
}

#[test]
fn everything_that_an_audit_asks_for_can_be_recorded_and_once_only() {
    for (kind, _) in KINDS {
        let mut book = Book::default();
        let payload = if kind == "mailbox.created" { json!({"pattern": "owner-first"}) } else { Value::Null };
        assert!(recorded(&mut book, handed_in(kind, payload.clone())), "{kind}");
        assert!(!recorded(&mut book, handed_in(kind, payload)), "{kind} twice");
        assert_eq!(book.entries[0].reason.as_deref(), Some("T-4"));
    }
}

#[test]
fn what_an_audit_would_miss_is_refused() {
    let refused = |record_in: Record| refusal(record(&[], record_in, "tester", start()));
    assert!(refused(handed_in("mailbox.painted", Value::Null)).contains("one of: mailbox.created"));
    let silent = Record { reason: " ".to_owned(), ..handed_in("invite.sent", Value::Null) };
    assert!(refused(silent).contains("nothing says why"));
    let no_way_back = Record { prior_state: None, ..handed_in("routing.changed", Value::Null) };
    assert!(refused(no_way_back).contains("prior_state"));
    let future = Record { at: Some(start() + TimeDelta::days(1)), ..handed_in("invite.sent", Value::Null) };
    assert!(refused(future).contains("in the future"));
    assert!(refused(handed_in("mailbox.created", Value::Null)).contains("payload.pattern"));
    assert!(
        refused(handed_in("mailbox.created", json!({"pattern": "operator-created"}))).contains("follow_up")
    );
}

#[test]
fn an_operator_created_mailbox_is_followed_up_until_it_is_its_owners() {
    let mut book = Book::default();
    let exception = json!({"pattern": "operator-created", "follow_up": "2026-11-08"});
    recorded(&mut book, handed_in("mailbox.created", exception));
    let open = follow_ups(&book.entries);
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].due, "2026-11-08T00:00:00Z".parse::<DateTime<Utc>>().unwrap());
    recorded(&mut book, handed_in("mailbox.owner-controlled", Value::Null));
    assert!(follow_ups(&book.entries).is_empty());
}

#[test]
fn an_invitation_is_pending_until_it_is_accepted_or_cancelled() {
    let mut book = Book::default();
    let step = |book: &mut Book, kind: &str, id: &str| {
        recorded(book, Record { id: Some(id.to_owned()), ..handed_in(kind, Value::Null) })
    };
    step(&mut book, "invite.sent", "1");
    step(&mut book, "invite.resent", "2");
    assert_eq!(pending_invites(&book.entries).len(), 1);
    step(&mut book, "invite.cancelled", "3");
    assert!(pending_invites(&book.entries).is_empty());
    step(&mut book, "invite.sent", "4");
    step(&mut book, "invite.accepted", "5");
    assert!(pending_invites(&book.entries).is_empty());
}
