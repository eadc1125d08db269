//! Resets: the ladder, the order, who may do which part, and when a case may end.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod common;

use common::{Book, address, by, clean_sweep, finding, later, policy, policy_with, refusal};
use mailwarden_casework::reset::{
    Executed, Request, Requested, ResetCase, Rung, Scenario, cases, log_entry, not_frozen, notification,
    open_case, request,
};
use mailwarden_casework::{Refused, Signed, Step};
use mailwarden_policy::Policy;
use mailwarden_policy::raci::Action;

fn asked(
    policy: &Policy,
    mailbox: &str,
    scenario: Scenario,
    requester: &str,
) -> Result<Step<Requested>, Refused> {
    ask(policy, None, mailbox, scenario, requester)
}

fn ask(
    policy: &Policy,
    open: Option<&ResetCase>,
    mailbox: &str,
    scenario: Scenario,
    requester: &str,
) -> Result<Step<Requested>, Refused> {
    let mailbox = policy.mailbox(&address(mailbox)).unwrap();
    let (reason, ticket) = ("phone lost".to_owned(), "T-1".to_owned());
    let requester = address(requester);
    request(policy, open, Request { case: "R-1".to_owned(), mailbox, scenario, requester, reason, ticket })
}

fn requested(policy: &Policy, mailbox: &str, scenario: Scenario) -> Requested {
    match asked(policy, mailbox, scenario, "erik.board").unwrap() {
        Step::Record(requested) => requested,
        Step::Already => panic!("nothing is on record yet"),
    }
}

fn case(book: &Book) -> ResetCase {
    cases(&book.entries).pop().unwrap()
}

fn executed(by: &str, temporary: Option<usize>) -> Executed {
    Executed {
        case: "R-1".to_owned(),
        executor: address(by),
        sessions_revoked: true,
        tokens_reviewed: true,
        temporary_length: temporary,
        must_change: temporary.is_some(),
    }
}

/// A lockout of the admin queue, up to and with `steps` steps.
fn lockout(steps: usize) -> Book {
    let mut book = Book::default();
    let policy = policy();
    if steps > 0 {
        assert!(book.take("reset.requested", asked(&policy, "ops", Scenario::Lockout, "erik.board")));
    }
    if steps > 1 {
        let step = case(&book).verify(address("olga.ops"), "called back", "phone +1 555 0101");
        assert!(book.take("reset.verified", step));
    }
    for (needed, approver) in [(2, "carla.owner"), (3, "olga.ops")] {
        if steps > needed {
            let step = case(&book).approve(by(approver, "olga.ops"));
            assert!(book.take("reset.approved", step));
        }
    }
    if steps > 4 {
        let step = case(&book).execute(executed("omar.ops", Some(20)));
        assert!(book.take("reset.executed", step));
    }
    if steps > 5 {
        let step = case(&book).confirm(address("carla.owner"), "phone", true);
        assert!(book.take("reset.confirmed", step));
    }
    book
}

#[test]
fn the_scenario_and_the_mailbox_choose_the_rung() {
    let policy = policy();
    let rows = [
        ("olga.ops", Scenario::Forgotten, Action::ResetRoutine, Rung::UserDriven),
        ("olga.ops", Scenario::Access, Action::ResetRoutine, Rung::UserDriven),
        ("olga.ops", Scenario::Lockout, Action::ResetRole, Rung::OwnerApproved),
        ("olga.ops", Scenario::Compromise, Action::ResetCompromise, Rung::BreakGlass),
        ("billing", Scenario::Forgotten, Action::ResetRole, Rung::OwnerApproved),
        ("carla.owner", Scenario::Forgotten, Action::ResetRoutine, Rung::UserDriven),
        ("carla.owner", Scenario::Lockout, Action::ResetPrivileged, Rung::BreakGlass),
        ("ops", Scenario::Forgotten, Action::ResetPrivileged, Rung::BreakGlass),
    ];
    for (mailbox, scenario, action, rung) in rows {
        let requested = requested(&policy, mailbox, scenario);
        assert_eq!((requested.duty.action, requested.rung), (action, rung), "{mailbox} {scenario:?}");
    }
}

#[test]
fn a_user_driven_reset_is_the_users_own_and_needs_no_approval() {
    let policy = policy();
    let mut book = Book::default();
    book.take("reset.requested", asked(&policy, "olga.ops", Scenario::Forgotten, "olga.ops"));
    let refused = refusal(case(&book).approve(by("carla.owner", "omar.ops")));
    assert!(refused.contains("needs no approval"), "{refused}");
    let refused = refusal(case(&book).execute(executed("omar.ops", None)));
    assert!(refused.contains("may not execute reset-routine"), "{refused}");
    let refused = refusal(case(&book).execute(executed("olga.ops", Some(20))));
    assert!(refused.contains("the user sets the new password"), "{refused}");
    assert!(book.take("reset.executed", case(&book).execute(executed("olga.ops", None))));
    assert!(book.take("reset.closed", case(&book).close(address("olga.ops"), None)));
}

#[test]
fn a_privileged_reset_goes_all_the_way() {
    let mut book = lockout(6);
    let swept = clean_sweep("ops@example.test", later(60));
    assert!(book.take("reset.closed", case(&book).close(address("omar.ops"), Some(&swept))));
    let case = case(&book);
    assert!(!case.is_open());
    let log = log_entry(&case);
    for line in [
        "Timestamp (UTC): 2026-11-01 12:00:00",
        "Mailbox affected: ops@example.test",
        "Reset type: emergency",
        "Requester identity: erik.board@example.test",
        "Verification method used: called back over phone +1 555 0101",
        "Verifier: olga.ops@example.test",
        "carla.owner@example.test over phone on 2026-11-01 12:00 UTC; olga.ops@example.test over phone",
        "Executor: omar.ops@example.test",
        "Password reset performed (Y/N): Y",
        "Sessions revoked (Y/N): Y",
        "Tokens / app passwords reviewed (Y/N): Y",
        "Forwarding / catch-all checked (Y/N): Y (sweep run-1)",
        "Owner confirmed: carla.owner@example.test",
        "Ticket ID: T-1",
        "Reason / notes: phone lost",
    ] {
        assert!(log.contains(line), "{line:?} is not in\n{log}");
    }
    let told = notification(&case);
    assert!(
        told.contains("To: carla.owner@example.test") && told.contains("olga.ops@example.test"),
        "{told}"
    );
}

#[test]
fn every_step_in_the_wrong_order_says_what_comes_first() {
    let refused = refusal(case(&lockout(1)).approve(by("carla.owner", "olga.ops")));
    assert!(refused.contains("`reset verify` comes before"), "{refused}");
    let refused = refusal(case(&lockout(1)).execute(executed("omar.ops", Some(20))));
    assert!(refused.contains("`reset verify`"), "{refused}");
    let refused = refusal(case(&lockout(2)).execute(executed("omar.ops", Some(20))));
    assert!(refused.contains("needs an approval by the client owner"), "{refused}");
    let refused = refusal(case(&lockout(3)).execute(executed("omar.ops", Some(20))));
    assert!(refused.contains("2 approvals by different people"), "{refused}");
    let refused = refusal(case(&lockout(4)).confirm(address("carla.owner"), "phone", true));
    assert!(refused.contains("`reset execute` comes before"), "{refused}");
    let swept = clean_sweep("ops@example.test", later(60));
    let refused = refusal(case(&lockout(5)).close(address("omar.ops"), Some(&swept)));
    assert!(refused.contains("`reset confirm` comes before"), "{refused}");
}

#[test]
fn the_same_step_twice_is_recorded_once() {
    for (steps, again) in [(2, "verify"), (3, "approve"), (5, "execute"), (6, "confirm")] {
        let case = case(&lockout(steps));
        let already = match again {
            "verify" => {
                case.verify(address("olga.ops"), "called back", "phone +1 555 0101") == Ok(Step::Already)
            }
            "approve" => case.approve(by("carla.owner", "olga.ops")) == Ok(Step::Already),
            "execute" => case.execute(executed("omar.ops", Some(20))) == Ok(Step::Already),
            _ => case.confirm(address("carla.owner"), "phone", true) == Ok(Step::Already),
        };
        assert!(already, "{again} twice");
    }
}

#[test]
fn one_person_cannot_fill_two_parts() {
    let refused = refusal(case(&lockout(1)).verify(address("erik.board"), "called", "phone +1 555 0101"));
    assert!(refused.contains("cannot verify themselves"), "{refused}");
    let refused = refusal(case(&lockout(2)).approve(by("erik.board", "olga.ops")));
    assert!(refused.contains("requested this and cannot approve"), "{refused}");
    let refused = refusal(case(&lockout(4)).execute(executed("olga.ops", Some(20))));
    assert!(refused.contains("approved this and cannot execute"), "{refused}");
    let refused = refusal(case(&lockout(5)).confirm(address("omar.ops"), "phone", true));
    assert!(refused.contains("cannot confirm"), "{refused}");
}

#[test]
fn the_requester_is_verified_over_the_channel_registered_beforehand_and_no_other() {
    let case = case(&lockout(1));
    for (channel, why) in
        [("email", "proves nothing"), ("ticket", "proves nothing"), ("phone +1 999", "is not the channel")]
    {
        let refused = refusal(case.verify(address("olga.ops"), "called back", channel));
        assert!(refused.contains(why) && refused.contains("phone +1 555 0101"), "{refused}");
    }
    let policy = policy_with("[[person]]\nname = \"No Phone\"\naddresses = [\"no.phone@example.test\"]\n");
    let mut book = Book::default();
    book.take("reset.requested", asked(&policy, "ops", Scenario::Lockout, "no.phone"));
    let refused = refusal(self::case(&book).verify(address("olga.ops"), "called back", "phone +1 555 0101"));
    assert!(refused.contains("no channel was registered"), "{refused}");
}

#[test]
fn break_glass_hands_out_a_long_secret_that_must_be_changed() {
    let case = case(&lockout(4));
    assert!(refusal(case.execute(executed("omar.ops", None))).contains("--temporary-secret"));
    assert!(refusal(case.execute(executed("omar.ops", Some(15)))).contains("at least 16 characters"));
    let lasting = Executed { must_change: false, ..executed("omar.ops", Some(20)) };
    assert!(refusal(case.execute(lasting)).contains("must-change"));
    let refused = refusal(self::case(&lockout(5)).confirm(address("carla.owner"), "phone", false));
    assert!(refused.contains("the temporary secret still stands"), "{refused}");
}

#[test]
fn a_case_ends_only_on_a_fresh_and_clean_sweep() {
    let case = case(&lockout(6));
    let mailbox = "ops@example.test";
    let close = |swept: Option<&mailwarden_casework::Swept>| refusal(case.close(address("omar.ops"), swept));
    assert!(close(None).contains("were not looked at"));
    assert!(close(Some(&clean_sweep(mailbox, later(0)))).contains("began before the reset"));
    assert!(close(Some(&clean_sweep("other@example.test", later(60)))).contains("did not look at"));
    let mut gaps = clean_sweep(mailbox, later(60));
    gaps.rows[0].complete = false;
    assert!(close(Some(&gaps)).contains("could not be looked at completely"));
    let mut found = clean_sweep(mailbox, later(60));
    found.findings.push(finding(mailbox, "managesieve.scripts", "evil@out.example"));
    assert!(close(Some(&found)).contains("1 finding(s) on ops@example.test"));
}

#[test]
fn an_open_reset_freezes_the_mailbox() {
    let policy = policy();
    let mut book = lockout(2);
    let all = cases(&book.entries);
    let open = open_case(&all, &address("ops"));
    assert_eq!(ask(&policy, open, "ops", Scenario::Lockout, "erik.board"), Ok(Step::Already));
    let refused = refusal(ask(&policy, open, "ops", Scenario::Compromise, "erik.board"));
    assert!(refused.contains("is frozen while the reset R-1 is open"), "{refused}");
    assert!(not_frozen(&book.entries, &address("ops")).is_err());
    assert!(not_frozen(&book.entries, &address("billing")).is_ok());
    book.take("reset.cancelled", case(&book).cancel(address("omar.ops"), "found the phone"));
    assert!(not_frozen(&book.entries, &address("ops")).is_ok());
}

#[test]
fn a_signature_under_another_text_is_a_replay() {
    let case = case(&lockout(2));
    let signed = |text: String| Signed { text, signature: "s".to_owned(), key: "k".to_owned() };
    let carla = address("carla.owner");
    let good = mailwarden_casework::reset::Approving {
        signed: Some(signed(case.text_for(&carla))),
        ..by("carla.owner", "omar.ops")
    };
    assert!(matches!(case.approve(good), Ok(Step::Record(approval)) if approval.signed.is_some()));
    for other in [case.text_for(&address("olga.ops")), case.text_for(&carla).replace("R-1", "R-2")] {
        let replayed = mailwarden_casework::reset::Approving {
            signed: Some(signed(other)),
            ..by("carla.owner", "omar.ops")
        };
        assert!(refusal(case.approve(replayed)).contains("another text"));
    }
}

#[test]
fn the_text_to_sign_names_action_mailbox_case_and_approver() {
    let text = case(&lockout(2)).text_for(&address("carla.owner"));
    let (head, digest) = text.rsplit_once("asked: sha256:").unwrap();
    assert_eq!(
        head,
        "mailwarden approval 1\naction: reset-privileged\nsubject: ops@example.test\ncase: R-1\n\
         approver: carla.owner@example.test\n"
    );
    assert_eq!(digest.trim_end().len(), 64);
}

#[test]
fn what_raced_is_counted_once_and_in_order() {
    let mut book = lockout(5);
    let duplicate = book.entries.last().unwrap().clone();
    book.entries.push(duplicate);
    let mut early = book.entries.clone();
    early.retain(|entry| entry.kind != "reset.executed");
    early.push(mailwarden_casework::to_entry(
        "reset.confirmed",
        later(30),
        "x",
        "s",
        None,
        &serde_json::json!({"case": "R-1", "by": "carla.owner@example.test", "channel": "phone", "rotated": true}),
    ));
    assert!(case(&book).executed.is_some());
    assert!(cases(&early).pop().unwrap().confirmed.is_none(), "nothing was executed that could be confirmed");
}
