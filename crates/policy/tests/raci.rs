//! Who may do what, and who must approve: the seeds of the control model as a table, and what cannot be
//! talked around.

use mailwarden_address::Address;
use mailwarden_policy::raci::{Action, Duty, Forbidden, GivenApproval, MailboxClass, Party, Rule};
use mailwarden_policy::{Policy, Source, render};

const POLICY: &str = r#"
[client]
name = "Example"
owner = "carla.owner@example.test"
emergency_approver = "erik.board@example.test"
escalation_contacts = ["omar.ops@example.test"]

[[person]]
name = "Carla Owner"
addresses = ["carla.owner@example.test", "ceo@example.test"]
roles = ["client-owner"]
[[person]]
name = "Erik Board"
addresses = ["erik.board@example.test"]
[[person]]
name = "Fina Lead"
addresses = ["fina.lead@example.test"]
[[person]]
name = "Omar Ops"
addresses = ["omar.ops@example.test"]
roles = ["agency-admin"]
senior = true
unix_user = "omar"
[[person]]
name = "Olga Ops"
addresses = ["olga.ops@example.test"]
roles = ["agency-admin"]
senior = true
[[person]]
name = "Juno Junior"
addresses = ["juno.junior@example.test"]
roles = ["agency-admin"]

[[domain]]
name = "example.test"
profile = "sending"
admin_queue = "queue@example.test"

[[mailbox]]
address = "queue@example.test"
kind = "role"
[[mailbox]]
address = "ceo@example.test"
kind = "human"
executive = true
[[mailbox]]
address = "billing@example.test"
kind = "role"
business_owner = "fina.lead@example.test"
[[mailbox]]
address = "juno.junior@example.test"
kind = "human"
"#;

fn address(text: &str) -> Address {
    Address::parse(&format!("{text}@example.test")).expect("test address")
}

fn compile(text: &str) -> Result<Policy, String> {
    Policy::compile(&[Source::new("client.toml", text.as_bytes())])
        .map(|(policy, _)| policy)
        .map_err(|bad| render(&bad, false))
}

fn policy() -> Policy {
    compile(POLICY).unwrap_or_else(|bad| panic!("{bad}"))
}

fn duty(policy: &Policy, action: Action, mailbox: &str) -> Duty {
    Duty::about_mailbox(policy, action, policy.mailbox(&address(mailbox)).expect("a mailbox"))
}

/// `approver<recorder` or `approver` (recorded by themselves), a `+` for a signature.
fn try_to(duty: &Duty, requester: &str, approvals: &[&str], executor: &str) -> Result<(), Forbidden> {
    let people: Vec<(Address, Address, bool)> = approvals
        .iter()
        .map(|text| {
            let (text, signed) = text.strip_suffix('+').map_or((*text, false), |text| (text, true));
            let (approver, recorder) = text.split_once('<').unwrap_or((text, text));
            (address(approver), address(recorder), signed)
        })
        .collect();
    let given: Vec<GivenApproval<'_>> = people
        .iter()
        .map(|(approver, recorded_by, signed)| GivenApproval { approver, recorded_by, signed: *signed })
        .collect();
    duty.authorise(Some(&address(requester)), &given, &address(executor)).map(drop)
}

#[test]
fn the_default_table_is_that_of_the_control_model() {
    use Party::{AgencyAdmin, ClientOwner, MailboxUser, SeniorAdmin};
    // Action, responsible, accountable where it is somebody else than the responsible.
    let rows: [(Action, &[Party], &[Party]); 9] = [
        (Action::ChangeRegistrar, &[AgencyAdmin], &[ClientOwner]),
        (Action::ChangeMailDns, &[AgencyAdmin], &[ClientOwner]),
        (Action::CreateMailbox, &[AgencyAdmin], &[]),
        (Action::DisableMailbox, &[AgencyAdmin], &[]),
        (Action::ResetRoutine, &[MailboxUser], &[]),
        (Action::ResetPrivileged, &[SeniorAdmin], &[ClientOwner]),
        (Action::ChangeForwarding, &[AgencyAdmin], &[]),
        (Action::Offboard, &[AgencyAdmin], &[ClientOwner]),
        (Action::ExportMailbox, &[AgencyAdmin], &[ClientOwner]),
    ];
    for (action, responsible, accountable) in rows {
        let rule = Rule::default_for(action);
        assert_eq!((rule.may.as_slice(), rule.approve.as_slice()), (responsible, accountable), "{action:?}");
        let auditor_is_told = rule.told.contains(&Party::Auditor);
        assert_eq!(auditor_is_told, action != Action::ResetRoutine, "{action:?}: the auditor's column");
    }
}

#[test]
fn the_class_of_a_mailbox_decides_its_reset() {
    let policy = policy();
    let class = |mailbox: &str| policy.class_of(policy.mailbox(&address(mailbox)).expect("a mailbox"));
    assert_eq!(class("juno.junior").reset(), Action::ResetRoutine);
    assert_eq!(class("billing").reset(), Action::ResetRole);
    assert_eq!(class("ceo"), MailboxClass::Executive);
    assert_eq!(class("queue"), MailboxClass::Privileged, "postmaster@ reaches the admin queue");
    assert_eq!(class("queue").reset(), Action::ResetPrivileged);
}

#[test]
fn nobody_requests_approves_and_executes_a_privileged_reset() {
    let policy = policy();
    let duty = duty(&policy, Action::ResetPrivileged, "ceo");
    // The whole table of who is who: exactly the lines with separate people pass.
    let good: [(&str, &[&str], &str); 2] = [
        ("carla.owner", &["erik.board", "olga.ops"], "omar.ops"),
        ("juno.junior", &["carla.owner<olga.ops", "erik.board<olga.ops"], "omar.ops"),
    ];
    for (requester, approvals, executor) in good {
        assert_eq!(try_to(&duty, requester, approvals, executor), Ok(()), "{approvals:?}");
    }
    let refused = |requester: &str, approvals: &[&str], executor: &str| {
        try_to(&duty, requester, approvals, executor).expect_err("a bypass")
    };
    assert!(matches!(
        refused("carla.owner", &["carla.owner", "erik.board"], "omar.ops"),
        Forbidden::OwnRequest(..)
    ));
    assert!(matches!(
        refused("juno.junior", &["carla.owner", "omar.ops"], "omar.ops"),
        Forbidden::OwnApproval(..)
    ));
    assert!(matches!(
        refused("juno.junior", &["carla.owner<omar.ops", "erik.board<omar.ops"], "omar.ops"),
        Forbidden::OwnRecord(..)
    ));
    assert!(matches!(
        refused("carla.owner", &["erik.board", "olga.ops"], "juno.junior"),
        Forbidden::Executor { .. }
    ));
    assert!(matches!(
        refused("juno.junior", &["fina.lead", "carla.owner"], "omar.ops"),
        Forbidden::Approver { .. }
    ));
}

#[test]
fn a_signed_approval_may_be_written_down_by_whoever_executes() {
    let duty = duty(&policy(), Action::ResetPrivileged, "ceo");
    let signed = ["carla.owner<omar.ops+", "erik.board<omar.ops+"];
    assert_eq!(try_to(&duty, "juno.junior", &signed, "omar.ops"), Ok(()));
}

#[test]
fn one_approval_twice_is_not_two_and_the_owner_is_not_replaced_by_two_others() {
    let duty = duty(&policy(), Action::ResetPrivileged, "ceo");
    let missing = |approvals: &[&str]| match try_to(&duty, "juno.junior", approvals, "omar.ops") {
        Err(Forbidden::Missing { missing, .. }) => missing,
        other => panic!("{other:?}"),
    };
    assert!(missing(&["carla.owner", "carla.owner"]).contains("2 approvals by different people"));
    assert!(missing(&["olga.ops"]).contains("client owner (carla.owner@example.test"));
    assert!(missing(&[]).contains("client owner"));
}

#[test]
fn the_business_owner_approves_and_the_operator_executes() {
    let duty = duty(&policy(), Action::ResetRole, "billing");
    assert_eq!(try_to(&duty, "juno.junior", &["fina.lead<juno.junior"], "juno.junior"), Ok(()));
    assert!(matches!(try_to(&duty, "juno.junior", &[], "juno.junior"), Err(Forbidden::Missing { .. })));
    assert!(matches!(
        try_to(&duty, "juno.junior", &["carla.owner"], "juno.junior"),
        Err(Forbidden::Approver { .. })
    ));
}

#[test]
fn a_compromise_takes_the_client_owner_where_the_mailbox_is_critical() {
    let policy = policy();
    let parties = |mailbox: &str| {
        let duty = duty(&policy, Action::ResetCompromise, mailbox);
        (duty.approvals, duty.approvals_from.iter().map(|seat| seat.party).collect::<Vec<_>>())
    };
    assert_eq!(parties("billing"), (1, vec![Party::AgencyAdmin]));
    assert_eq!(parties("ceo"), (2, vec![Party::AgencyAdmin, Party::ClientOwner]));
}

#[test]
fn a_person_has_no_part_in_their_own_offboarding() {
    let policy = policy();
    let person = policy.person(&address("omar.ops")).expect("a person");
    let duty = Duty::about_person(&policy, Action::Offboard, person);
    assert!(!duty.executors.contains(&address("omar.ops")) && duty.executors.contains(&address("olga.ops")));
}

#[test]
fn people_of_an_agency_serve_every_client() {
    let agency = "[client]\nname = \"Agency\"\nagency = true\nowner = \"x@agency.test\"\n\
                  emergency_approver = \"x@agency.test\"\n[[person]]\nname = \"X\"\n\
                  addresses = [\"x@agency.test\"]\nroles = [\"agency-admin\"]\n";
    let sources = [Source::new("a.toml", agency.as_bytes()), Source::new("b.toml", POLICY.as_bytes())];
    let (policy, _) = Policy::compile(&sources).expect("valid");
    let duty = duty(&policy, Action::ChangeForwarding, "billing");
    assert!(duty.executors.contains(&Address::parse("x@agency.test").expect("address")));
    let alone = compile(POLICY).expect("valid");
    assert_eq!(self::duty(&alone, Action::ChangeForwarding, "billing").executors.len(), 3);
}

#[test]
fn a_policy_may_ask_for_more_and_not_for_less() {
    let stricter = format!(
        "{POLICY}\n[raci.reset-role]\napprove = [\"reset-approver\", \"client-owner\"]\nsignature = true\n"
    );
    let policy = compile(&stricter).expect("valid");
    let duty = duty(&policy, Action::ResetRole, "billing");
    assert_eq!((duty.approvals, duty.signature), (2, true));
    assert!(matches!(
        try_to(&duty, "juno.junior", &["fina.lead"], "juno.junior"),
        Err(Forbidden::Unsigned(..))
    ));
    let looser = format!("{POLICY}\n[raci.reset-privileged]\napprove = []\napprovals = 0\n");
    let error = compile(&looser).expect_err("a bypass");
    assert!(
        error.contains("policy.raci-bypass") && error.contains("request, approve and execute"),
        "{error}"
    );
}

#[test]
fn two_people_behind_one_login_are_refused() {
    let text = POLICY.replace("name = \"Olga Ops\"", "name = \"Olga Ops\"\nunix_user = \"omar\"");
    let error = compile(&text).expect_err("one login, two people");
    assert!(error.contains("policy.duplicate-unix-user") && error.contains("Omar Ops"), "{error}");
}

#[test]
fn what_is_no_public_key_is_refused() {
    for bad in ["* ssh-ed25519 AAAA", "ssh-ed25519 short", "ssh-ed25519 AAAA\\nother * ssh-rsa AAAA"] {
        let keys = format!("name = \"Olga Ops\"\nssh_keys = [\"{bad}\"]");
        let error = compile(&POLICY.replace("name = \"Olga Ops\"", &keys)).expect_err(bad);
        assert!(error.contains("policy.bad-ssh-key"), "{error}");
    }
}
