//! Offboarding: the checklist is worked out of the policy, and nothing is closed that is not passed, attested
//! or waived.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod common;

use chrono::{DateTime, TimeDelta, Utc};
use common::{Book, address, by, clean_sweep_of, finding, later, policy_with, refusal, start};
use mailwarden_casework::offboard::{ItemState, OffboardCase, Opening, cases, open, open_case, still_named};
use mailwarden_casework::{Step, Swept, to_entry};
use mailwarden_policy::Policy;

/// Nina reads a shared fax mailbox with a CRM credential, shares a login at Acme, and owns press@.
const NINA: &str = r#"
[[mailbox]]
address = "nina.north@example.test"
kind = "human"
[[mailbox]]
address = "fax@example.test"
kind = "role"
business_owner = "carla.owner@example.test"
authorised_users = ["nina.north@example.test"]
shared_login_allowed = true
shared_login_reason = "legacy"
service_credentials = ["crm"]
[[mailbox]]
address = "press@example.test"
kind = "role"
business_owner = "nina.north@example.test"
[[vendor]]
address = "acme@vendors.example.test"
organisation = "Acme Inc"
login = "shared"
shared_reason = "legacy"
login_holders = ["nina.north@example.test"]
"#;
const PERSON: &str = "[[person]]\nname = \"Nina North\"\naddresses = [\"nina.north@example.test\"]\n";
const LEFT: &str = "left = 2026-11-01T12:00:00Z\nsuccessor = \"carla.owner@example.test\"\n";

fn before() -> Policy {
    policy_with(&format!("{PERSON}{NINA}"))
}

/// Contained, and nothing names her any more.
fn after() -> Policy {
    let nina = NINA
        .replace("business_owner = \"nina.north", "business_owner = \"carla.owner")
        .replace("authorised_users = [\"nina.north", "authorised_users = [\"carla.owner")
        .replace("login_holders = [\"nina.north", "login_holders = [\"carla.owner");
    policy_with(&format!("{PERSON}{LEFT}{nina}"))
}

fn opening(policy: &Policy) -> Opening<'_> {
    Opening {
        case: "O-1".to_owned(),
        person: policy.person(&address("nina.north")).unwrap(),
        leaves: start(),
        ticket: "HR-9".to_owned(),
        reason: "leaves".to_owned(),
        requester: address("erik.board"),
    }
}

fn opened() -> Book {
    let mut book = Book::default();
    let policy = before();
    assert!(book.take("offboard.opened", open(&policy, None, opening(&policy))));
    book
}

fn case(book: &Book) -> OffboardCase {
    cases(&book.entries).pop().unwrap()
}

/// A sweep of every mailbox of the policy that found nothing.
fn everywhere(started: DateTime<Utc>) -> Swept {
    let mailboxes: Vec<String> =
        after().mailboxes().iter().map(|mailbox| mailbox.address.to_string()).collect();
    clean_sweep_of(&mailboxes, started)
}

fn pass(book: &mut Book, policy: &Policy, swept: &Swept) {
    for passed in case(book).pass(policy, Some(swept)).unwrap() {
        let entry = to_entry("offboard.passed", book.now(), "tester", "s", None, &passed);
        book.entries.push(entry);
    }
}

/// Everything done but the approval.
fn resolved() -> Book {
    let mut book = opened();
    book.take("offboard.contained", case(&book).contain(&after()));
    pass(&mut book, &after(), &everywhere(later(60)));
    let words: Vec<String> = case(&book).unresolved(book.now()).iter().map(|item| item.id.clone()).collect();
    for item in words {
        let step = case(&book).attest(&item, address("omar.ops"), later(5), "done in the panel");
        assert!(book.take("offboard.attested", step), "{item}");
    }
    book
}

fn ids(book: &Book) -> Vec<String> {
    case(book).opened.items.iter().map(|item| item.id.clone()).collect()
}

#[test]
fn the_checklist_has_every_section_and_every_secret_they_touched() {
    let items = ids(&opened());
    for id in [
        "A1",
        "A2",
        "A3",
        "A4",
        "B1",
        "B2",
        "B3",
        "B4",
        "D1",
        "D2",
        "E1",
        "E2",
        "C1 fax@example.test",
        "C2 fax@example.test crm",
        "C3 acme@vendors.example.test",
        "E1 press@example.test business owner",
    ] {
        assert!(items.iter().any(|item| item == id), "{id} is not in {items:?}");
    }
}

#[test]
fn what_the_policy_still_gives_a_leaver_is_listed_and_gone_afterwards() {
    let (before, after) = (before(), after());
    let named = |policy: &Policy| still_named(policy, policy.person(&address("nina.north")).unwrap());
    let lines: Vec<String> =
        named(&before).iter().map(|named| format!("{} {}", named.record, named.field)).collect();
    assert_eq!(
        lines,
        [
            "fax@example.test authorised user",
            "press@example.test business owner",
            "acme@vendors.example.test login holder"
        ]
    );
    assert!(named(&after).is_empty(), "{:?}", named(&after));
}

#[test]
fn an_offboarding_goes_all_the_way() {
    let mut book = resolved();
    assert!(case(&book).unresolved(book.now()).is_empty());
    let refused = refusal(case(&book).close(address("omar.ops"), book.now()));
    assert!(refused.contains("needs an approval by the client owner"), "{refused}");
    book.take("offboard.approved", case(&book).approve(by("carla.owner", "olga.ops"), book.now()));
    assert!(book.take("offboard.closed", case(&book).close(address("omar.ops"), book.now())));
    assert_eq!(case(&book).close(address("omar.ops"), book.now()), Ok(Step::Already));
    assert!(open_case(&cases(&book.entries), &address("nina.north")).is_none());
}

#[test]
fn opening_twice_is_one_case_and_another_time_is_refused() {
    let (book, policy) = (opened(), before());
    let all = cases(&book.entries);
    let existing = open_case(&all, &address("nina.north"));
    assert_eq!(open(&policy, existing, opening(&policy)), Ok(Step::Already));
    let other = Opening { leaves: later(9999), ..opening(&policy) };
    assert!(refusal(open(&policy, existing, other)).contains("is open already"));
}

#[test]
fn containment_comes_first_and_not_later_than_hr_says() {
    let book = opened();
    assert!(refusal(case(&book).contain(&before())).contains("does not say that Nina North leaves"));
    let swept = everywhere(later(60));
    assert!(refusal(case(&book).pass(&before(), Some(&swept))).contains("`offboard contain` comes first"));
    let late = policy_with(&format!("{PERSON}{}{NINA}", LEFT.replace("2026-11-01T12", "2026-11-02T12")));
    assert!(refusal(case(&book).contain(&late)).contains("write the earlier time"));
}

#[test]
fn a_sweep_proves_an_item_only_where_it_could_look_and_saw_nothing() {
    let contained = || {
        let mut book = opened();
        book.take("offboard.contained", case(&book).contain(&after()));
        book
    };
    let mailbox = "nina.north@example.test";
    let passes = |swept: &Swept| {
        let mut book = contained();
        pass(&mut book, &after(), swept);
        let case = case(&book);
        ["B1", "B2", "B4"].map(|item| matches!(case.state(item, book.now()), ItemState::Done(_)))
    };
    assert_eq!(passes(&everywhere(later(60))), [true, true, true]);
    let mut gap = everywhere(later(60));
    gap.rows[0].complete = false;
    assert_eq!(passes(&gap), [false, true, true], "a script store that could not be read proves nothing");
    let mut absent = everywhere(later(60));
    absent.rows.retain(|row| !row.surface.starts_with("postfix."));
    assert_eq!(passes(&absent), [true, false, true], "what was not looked at proves nothing");
    let mut one = everywhere(later(60));
    one.rows.retain(|row| row.mailbox != "press@example.test");
    assert_eq!(passes(&one), [false, true, false], "a mailbox that nobody looked at may hold her grant");
    let mut elsewhere = everywhere(later(60));
    elsewhere.findings.push(finding("sales@example.test", "imap.acl", mailbox));
    assert_eq!(passes(&elsewhere), [true, true, false], "her access to another mailbox is hers");
    let mut others = everywhere(later(60));
    others.findings.push(finding("sales@example.test", "imap.acl", "bob@example.test"));
    assert_eq!(passes(&others), [true, true, true], "what others have is not her offboarding");
    let old = everywhere(start() - TimeDelta::hours(1));
    assert!(refusal(case(&contained()).pass(&after(), Some(&old))).contains("began before the containment"));
}

#[test]
fn close_refuses_an_open_item_and_an_expired_waiver() {
    let mut book = resolved();
    book.entries.retain(|entry| entry.payload["item"] != "A2");
    let refused = refusal(case(&book).approve(by("carla.owner", "olga.ops"), book.now()));
    assert!(refused.contains("1 item(s) are open: A2"), "{refused}");
    let expires = book.now() + TimeDelta::days(10);
    let step = case(&book).waive("A2", address("carla.owner"), "no session list there", expires, book.now());
    book.take("offboard.waived", step);
    book.take("offboard.approved", case(&book).approve(by("carla.owner", "olga.ops"), book.now()));
    let refused = refusal(case(&book).close(address("omar.ops"), expires));
    assert!(refused.contains("the waiver of `A2` has expired"), "{refused}");
    assert!(matches!(case(&book).close(address("omar.ops"), book.now()), Ok(Step::Record(_))));
}

#[test]
fn a_waiver_needs_an_approver_a_reason_and_an_end() {
    let book = opened();
    let (case, now) = (case(&book), book.now());
    let soon = now + TimeDelta::days(10);
    let waive = |approver: &str, reason: &str, expires| {
        refusal(case.waive("A2", address(approver), reason, expires, now))
    };
    assert!(waive("omar.ops", "r", soon).contains("cannot waive an item"));
    assert!(waive("carla.owner", " ", soon).contains("--reason"));
    assert!(waive("carla.owner", "r", now).contains("does not hold"));
    assert!(waive("carla.owner", "r", now + TimeDelta::days(366)).contains("within the next 365"));
    assert!(
        refusal(case.waive("Z9", address("carla.owner"), "r", soon, now)).contains("there is no item `Z9`")
    );
}

#[test]
fn an_approval_is_of_what_stood_there_and_not_of_what_changed_later() {
    let mut book = resolved();
    book.take("offboard.approved", case(&book).approve(by("carla.owner", "olga.ops"), book.now()));
    let step = case(&book).attest("A1", address("olga.ops"), later(9), "locked again");
    book.take("offboard.attested", step);
    let refused = refusal(case(&book).close(address("omar.ops"), book.now()));
    assert!(refused.contains("needs an approval"), "{refused}");
}

#[test]
fn a_leaver_attests_nothing_and_one_person_does_not_approve_and_close() {
    let book = opened();
    let refused = refusal(case(&book).attest("A1", address("nina.north"), later(1), "done"));
    assert!(refused.contains("cannot attest their own"), "{refused}");
    let mut book = resolved();
    // Approved over the telephone, written down by the one who closes: their word alone.
    book.take("offboard.approved", case(&book).approve(by("carla.owner", "omar.ops"), book.now()));
    let refused = refusal(case(&book).close(address("omar.ops"), book.now()));
    assert!(refused.contains("wrote down the approval"), "{refused}");
    assert!(matches!(case(&book).close(address("olga.ops"), book.now()), Ok(Step::Record(_))));
}

#[test]
fn the_time_between_hr_and_revocation_is_known() {
    let book = resolved();
    assert_eq!(case(&book).delay("A1"), Some(TimeDelta::minutes(5)));
    assert!(!case(&book).is_due(start() - TimeDelta::seconds(1)) && case(&book).is_due(start()));
}
