//! The rules behind a real Postfix: who may write as whom, what bounces, what is learned, held, contained and seen.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use mailwarden_e2e::{Output, SOON, World, WorldOptions, letter, mailwarden, reference_of};
use mailwarden_lab::smtp::{Outcome, Smtp};
use mailwarden_lab::wait::wait_for;
use serde_json::Value;

const ACME: &str = "acme@saas.example.test";
const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";
const JANE: &str = "jane@example.test";
const OMAR: &str = "omar@example.test";
const OPS: &str = "ops@example.test";
const SALES: &str = "sales@example.test";
const VENDOR: &str = "news@vendor.test";
const HOLDING: &str = "[[scope]]\ndomain = \"held.example.test\"\ndeliver_to = \"ops@example.test\"\n\
                       unexpected_sender = \"hold\"\nnew_per_hour = 2\n";

fn run(world: &World, arguments: &[&str]) -> Output {
    let config = world.installation.config();
    let mut all = arguments.to_vec();
    all.extend(["--config", &config]);
    mailwarden(&all).unwrap()
}

fn events(world: &World, kind: &str) -> Vec<Value> {
    let output = run(world, &["ledger", "show", "--json", "--limit", "1000"]);
    assert_eq!(output.code, 0, "{output:?}");
    let events = output.json()["events"].as_array().cloned().unwrap();
    events.into_iter().filter(|event| event["kind"] == kind).collect()
}

fn subjects(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["detail"]["subject"].as_str().unwrap().to_owned()).collect()
}

fn refused_by(sent: &Outcome, rule: &str) {
    let reply = sent.refusal().unwrap_or_else(|| panic!("not refused by {rule}: {sent:?}"));
    assert!(reply.text().contains(&format!("{rule}:")), "{reply:?}");
    assert!(reference_of(&reply.text()).is_some(), "{reply:?}");
}

#[test]
fn a_login_writes_in_its_own_name_only() {
    let world = World::start().unwrap();
    let send = |login: &str, head: &str| {
        let message = format!("{head}To: {ALICE}\nSubject: {login}\n\nbody\n");
        world.lab.submission(login).unwrap().send(login, &[ALICE], message).unwrap()
    };
    for (login, head) in [
        (OMAR, "From: jane@example.test\n"),
        (OMAR, "From: omar@example.test\nFrom: omar@example.test\n"),
        (OMAR, "From: omar@example.test, jane@example.test\n"),
        (OMAR, "From: Omar <omar@example.test\n"),
        (OMAR, "From: somebody@elsewhere.test\n"),
    ] {
        refused_by(&send(login, head), "sender-identity");
    }
    for (login, head) in [
        (OMAR, "From: Omar <omar@example.test>\n"),
        (OMAR, "From: ops@example.test\n"),
        (ALICE, "From: alice@example.test\n"),
    ] {
        let sent = send(login, head);
        assert!(sent.is_accepted(), "{head}: {sent:?}");
    }
}

#[test]
fn a_display_name_that_pretends_is_tagged_and_a_forged_tag_is_removed() {
    let world = World::start().unwrap();
    let pretends = format!(
        "Mailwarden-Tag: all is well\nFrom: \"{JANE}\" <x@evil.test>\nTo: {ALICE}\nSubject: pretends\n\nbody\n"
    );
    assert!(world.send_from_outside(VENDOR, &[ALICE], pretends).unwrap().is_accepted());
    let mail = world.arrives_once(ALICE, "pretends").unwrap();
    assert_eq!(
        mail.header_all("Mailwarden-Tag"),
        [format!("sender-identity; the display name shows <{JANE}>, which is not the author")]
    );
}

#[test]
fn a_bounce_to_who_never_sends_is_refused_and_others_arrive() {
    let world = World::start().unwrap();
    let bounce = letter("MAILER-DAEMON@mx.other.test", "bounce");
    refused_by(&world.send_from_outside("", &[ACME], &bounce).unwrap(), "backscatter");
    assert!(world.send_from_outside("", &[JANE], &bounce).unwrap().is_accepted());
    world.arrives_once(JANE, "bounce").unwrap();
    let code = letter("no-reply@acme.example", "code");
    assert!(world.send_from_outside("", &[ACME], code).unwrap().is_accepted());
    world.arrives_once(OPS, "code").unwrap();
}

#[test]
fn a_leak_is_attributed_once_and_what_was_learned_survives_a_restart() {
    let mut world = World::start().unwrap();
    let shop = "bookshop@saas.example.test";
    let hears = |world: &World, author: &str, subject: &str| {
        let sent = world.send_from_outside(VENDOR, &[shop], letter(author, subject)).unwrap();
        assert!(sent.is_accepted(), "{sent:?}");
        let mail = world.arrives_once(OPS, subject).unwrap();
        mail.header_all("Mailwarden-Tag").len()
    };
    assert_eq!(hears(&world, "orders@bookshop.test", "first"), 0);
    world.stop_gate().unwrap();
    world.start_gate().unwrap();
    assert_eq!(hears(&world, "orders@mail.bookshop.test", "second"), 0);
    assert_eq!(hears(&world, "win@spam.test", "third"), 1);
    assert_eq!(hears(&world, "win@spam.test", "fourth"), 1);
    let leaks = events(&world, "gate.unexpected-sender");
    assert_eq!(leaks.len(), 1, "news once: {leaks:#?}");
    let text = leaks[0]["detail"]["payload"]["text"].as_str().unwrap();
    assert!(text.contains(shop) && text.contains("spam.test"), "{text}");

    world.stop_gate().unwrap();
    let listed = run(&world, &["vendors", "list", "--unexpected", "--json"]).json();
    let addresses: Vec<&str> =
        listed["vendors"].as_array().unwrap().iter().map(|v| v["address"].as_str().unwrap()).collect();
    assert_eq!(addresses, [shop]);
    let shown = run(&world, &["vendors", "show", shop]);
    for expected in ["bookshop.test: 2", "spam.test: 2", "UNEXPECTED", "messages         4"] {
        assert!(shown.stdout.contains(expected), "{expected}: {}", shown.stdout);
    }
}

#[test]
fn burning_a_vendor_changes_one_line_and_the_ledger_knows_before() {
    let world = World::start().unwrap();
    let policy = world.installation.policy_file();
    let before = std::fs::read_to_string(&policy).unwrap();
    let shown = run(&world, &["vendors", "burn", ACME]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.contains("+state = \"burned\""), "{shown:?}");
    assert_eq!(std::fs::read_to_string(&policy).unwrap(), before, "read-only until --apply");

    let burned = run(&world, &["vendors", "burn", ACME, "--reason", "T-17", "--apply"]);
    assert_eq!(burned.code, 0, "{burned:?}");
    let after = std::fs::read_to_string(&policy).unwrap();
    let (head, tail) = after.split_once("state = \"burned\"\norganisation = \"Acme Inc\"").unwrap();
    assert_eq!(format!("{head}organisation = \"Acme Inc\"{tail}"), before, "nothing else");
    let events = events(&world, "vendor.burned");
    assert_eq!(subjects(&events), [ACME]);
    assert_eq!(events[0]["reason"], "T-17");
    assert_eq!(events[0]["detail"]["prior_state"]["state"], "active");

    world.gate().hang_up();
    world.gate().wait_until_says("the new policy is in force").unwrap();
    let sent = world.send_from_outside(VENDOR, &[ACME], letter(VENDOR, "late")).unwrap();
    refused_by(&sent, "vendor-state");
    let unregistered = run(&world, &["vendors", "pause", "guess@saas.example.test", "--apply"]);
    assert_eq!(unregistered.code, 0, "{unregistered:?}");
    let text = std::fs::read_to_string(&policy).unwrap();
    assert!(text.ends_with(
        "[[vendor]]\naddress = \"guess@saas.example.test\"\norganisation = \"guess\"\nstate = \"paused\"\n"
    ));
    let nowhere = run(&world, &["vendors", "burn", "x@elsewhere.test", "--apply"]);
    assert_eq!(nowhere.code, 2, "{nowhere:?}");
}

#[test]
fn a_hold_is_in_the_ledger_when_the_client_hears_of_it_and_the_mail_is_kept() {
    let mut world =
        World::with(&WorldOptions { policy: HOLDING.to_owned(), ..WorldOptions::default() }).unwrap();
    let to = ["shop@held.example.test"];
    assert!(world.send_from_outside(VENDOR, &to, letter("a@shop.test", "first")).unwrap().is_accepted());
    let held = world.send_from_outside(VENDOR, &to, letter("a@spam.test", "held")).unwrap();
    assert!(held.is_accepted(), "{held:?}");
    // At this instant a crash must find the hold on record.
    world.kill_gate().unwrap();
    let holds = events(&world, "gate.held");
    assert_eq!(subjects(&holds), ["held.example.test"]);
    assert_eq!(holds[0]["detail"]["payload"]["queue_id"].as_str(), held.queue_id().as_deref());
    world.arrives_once(OPS, "first").unwrap();
    let queue = world.lab.postfix.queue().unwrap();
    assert_eq!(queue.len(), 1, "{queue:?}");
    assert_eq!((queue[0].queue.as_str(), queue[0].recipients.as_slice()), ("hold", &[OPS.to_owned()][..]));
    world.lab.postfix.postsuper(&["-H", "ALL"]).unwrap();
    world.lab.postfix.flush_queue().unwrap();
    world.arrives_once(OPS, "held").unwrap();
}

#[test]
fn a_flood_of_new_local_parts_is_stopped_at_rcpt_and_told_once() {
    let mut world =
        World::with(&WorldOptions { policy: HOLDING.to_owned(), ..WorldOptions::default() }).unwrap();
    let addresses: Vec<String> = (0..7).map(|n| format!("guess{n}@held.example.test")).collect();
    let to: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let sent = world.send_from_outside(VENDOR, &to[..6], letter("a@shop.test", "guesses")).unwrap();
    let codes: Vec<u16> = sent.recipients.iter().map(|(_, reply)| reply.code).collect();
    assert_eq!(codes, [250, 250, 450, 450, 450, 450], "{sent:?}");
    let again = world.send_from_outside(VENDOR, &to[..1], letter("a@shop.test", "known")).unwrap();
    assert!(again.is_accepted(), "a known address is not new: {again:?}");
    // A restart opens no new hour.
    world.stop_gate().unwrap();
    world.start_gate().unwrap();
    let late = world.send_from_outside(VENDOR, &to[5..], letter("a@shop.test", "late")).unwrap();
    let codes: Vec<u16> = late.recipients.iter().map(|(_, reply)| reply.code).collect();
    assert_eq!(codes, [450, 450], "{late:?}");
    assert_eq!(subjects(&events(&world, "gate.flood-began")), ["held.example.test"]);
}

#[test]
fn a_leavers_mail_is_contained_and_on_record() {
    let world = World::start().unwrap();
    for subject in ["one", "two"] {
        assert!(world.send_from_outside(VENDOR, &[BOB], letter(VENDOR, subject)).unwrap().is_accepted());
        world.arrives_once(JANE, subject).unwrap();
    }
    assert!(world.subjects(BOB).unwrap().is_empty());
    let contained = events(&world, "gate.contained");
    // A test may run across the full hour.
    assert!(matches!(contained.len(), 1 | 2), "one row an hour: {contained:#?}");
    assert_eq!(subjects(&contained)[0], BOB);
    let sent = world.lab.submission(BOB).unwrap().send(BOB, &[ALICE], letter(BOB, "late")).unwrap();
    refused_by(&sent, "leaver");
}

#[test]
fn a_live_redirect_to_the_outside_is_recorded_and_a_leavers_is_held() {
    let mut options = WorldOptions::default();
    options.lab.outside = mailwarden_lab::OutsideWorld::Collected;
    let world = World::with(&options).unwrap();
    let mut sieve = world.lab.managesieve(SALES).unwrap();
    sieve.putscript("r", "require \"copy\";\nredirect :copy \"friend@gmail.test\";\n").unwrap();
    sieve.setactive("r").unwrap();
    assert!(world.send_from_outside(VENDOR, &[SALES], letter(VENDOR, "redirected")).unwrap().is_accepted());
    world.arrives_once(SALES, "redirected").unwrap();
    let seen = || !events(&world, "gate.live-redirect").is_empty();
    wait_for(SOON, "the event", seen).unwrap_or_else(|error| panic!("{error}: {}", world.gate().log()));
    let recorded = events(&world, "gate.live-redirect");
    assert_eq!(subjects(&recorded), [SALES]);
    assert!(recorded[0]["detail"]["payload"]["text"].as_str().unwrap().contains("friend@gmail.test"));

    // What a script left in a leaver's mailbox would send, from our own host; and from a stranger.
    let message = format!("X-Sieve-Redirected-From: {BOB}\n{}", letter(VENDOR, "leaver"));
    let stranger = world.send_from_outside(VENDOR, &[ALICE], &message).unwrap();
    assert!(stranger.is_accepted());
    let mut inside = Smtp::connect(world.lab.postfix.smtp_port()).unwrap();
    inside.ehlo("localhost").unwrap();
    let held = inside.send(VENDOR, &["bob@gmail.test"], &message).unwrap();
    assert!(held.is_accepted(), "{held:?}");
    assert_eq!(subjects(&events(&world, "gate.held")), [BOB]);
    world.settle().unwrap();
    let queue = world.lab.postfix.queue().unwrap();
    assert!(queue.iter().any(|mail| mail.queue == "hold"), "{queue:?}");
}
