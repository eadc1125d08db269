//! What only receives never sends: refused on every path into Postfix, with a reply that names rule and address.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use mailwarden_e2e::{SOON, World, letter, reference_of};
use mailwarden_lab::smtp::Outcome;

const ALICE: &str = "alice@example.test";
const OMAR: &str = "omar@example.test";
const STRANGER: &str = "news@vendor.test";
const VAULT: &str = "vault@example.test";

/// Asserts that a message was refused for `address` and tells where the reply saw it.
fn refused_for(outcome: &Outcome, address: &str, what: &str) -> String {
    assert!(!outcome.is_accepted(), "{what}: accepted: {outcome:?}");
    let reply = outcome.refusal().unwrap_or_else(|| panic!("{what}: {outcome:?}"));
    assert_eq!((reply.code, reply.enhanced.as_deref()), (550, Some("5.7.1")), "{what}: {reply:?}");
    let text = reply.text();
    // The reply shows the local part in the spelling that was used.
    assert!(text.to_lowercase().contains(&format!("receive-only: <{address}>")), "{what}: {text}");
    assert!(reference_of(&text).is_some(), "{what}: {text}");
    text
}

/// Asserts that alice got nothing of what was sent before.
fn only_the_marker_arrives(world: &World) {
    let sent = world.send_from_outside(STRANGER, &[ALICE], letter(STRANGER, "marker")).unwrap();
    assert!(sent.is_accepted(), "{sent:?}");
    world.arrives_once(ALICE, "marker").unwrap();
    world.settle().unwrap();
    assert_eq!(world.subjects(ALICE).unwrap(), ["marker"]);
}

#[test]
fn the_envelope_sender_is_refused_inbound_at_the_first_recipient() {
    let world = World::start().unwrap();
    for (sender, address) in [
        ("x@saas.example.test", "x@saas.example.test"),
        (VAULT, VAULT),
        ("VAULT@Example.TEST", VAULT),
        ("deep@below.saas.example.test", "deep@below.saas.example.test"),
    ] {
        let sent = world.send_from_outside(sender, &[ALICE], letter(STRANGER, sender)).unwrap();
        let text = refused_for(&sent, address, sender).to_lowercase();
        assert!(text.contains("envelope sender"), "{text}");
        assert_eq!(sent.message, None, "{sender}: refused at RCPT, not after the message: {sent:?}");
    }
    only_the_marker_arrives(&world);
}

#[test]
fn author_fields_are_refused_inbound_with_and_without_an_envelope_sender() {
    let world = World::start().unwrap();
    let fields = [
        format!("From: {VAULT}"),
        "From: Billing <x@saas.example.test>".to_owned(),
        format!("From: {STRANGER}\nSender: {VAULT}"),
        format!("From: {STRANGER}\nResent-From: Vault <{VAULT}>"),
        format!("FROM: \"Vault\" <{}>", VAULT.to_uppercase()),
    ];
    for envelope_sender in [STRANGER, ""] {
        for field in &fields {
            let message = format!("{field}\nSubject: {field:?}\n\nbody\n");
            let sent = world.send_from_outside(envelope_sender, &[ALICE], message).unwrap();
            let address = if field.contains("saas") { "x@saas.example.test" } else { VAULT };
            let what = format!("<{envelope_sender}> {field}");
            refused_for(&sent, address, &what);
            assert!(sent.message.is_some(), "{what}: only the message shows it: {sent:?}");
        }
    }
    only_the_marker_arrives(&world);
}

/// Fields that some reader shows as mail from the vault, each once published as a way around such a rule.
const CRAFTED: [(&str, &str); 13] = [
    ("two fields", "From: news@vendor.test\nFrom: vault@example.test"),
    ("two fields, the other way round", "From: vault@example.test\nFrom: news@vendor.test"),
    ("list", "From: news@vendor.test, vault@example.test"),
    ("comment", "From: vault(real)@(from: news@vendor.test) example.test"),
    ("encoded word instead of an address", "From: =?utf-8?q?vault=40example=2Etest?="),
    ("base64 inside the brackets", "From: News <=?utf-8?b?dmF1bHRAZXhhbXBsZS50ZXN0?=>"),
    ("folded", "From: News\n\t<vault\n @example.test>"),
    ("blank before the colon", "Subject: s\nFrom : vault@example.test"),
    ("group", "From: Everybody: vault@example.test;"),
    ("route", "From: <@relay.test,@vendor.test:vault@example.test>"),
    ("no quotes around an address", "From: vault@example.test <news@vendor.test>"),
    ("two pairs of brackets", "From: <vault@example.test> <news@vendor.test>"),
    ("open quotes", "From: \"vault@example.test <news@vendor.test>"),
];

#[test]
fn crafted_author_fields_are_refused() {
    let world = World::start().unwrap();
    for (what, field) in CRAFTED {
        let message = format!("{field}\nTo: {ALICE}\nX-Test: {what}\n\nbody\n");
        let sent = world.send_from_outside(STRANGER, &[ALICE], message).unwrap();
        refused_for(&sent, VAULT, what);
    }
    only_the_marker_arrives(&world);
}

#[test]
fn an_author_field_that_postfix_hides_is_refused_too() {
    let world = World::start().unwrap();
    for (what, head) in [
        ("a blank before the first field ends the header", " From: vault@example.test"),
        ("an author on the first line becomes another field", "From : vault@example.test"),
    ] {
        let message = format!("{head}\nTo: {ALICE}\nSubject: hidden\n\nbody\n");
        let sent = world.send_from_outside(STRANGER, &[ALICE], message).unwrap();
        assert!(!sent.is_accepted(), "{what}: {sent:?}");
        let reply = sent.refusal().unwrap();
        assert!(reply.is_permanent() && reply.text().contains("receive-only"), "{what}: {reply:?}");
    }
    only_the_marker_arrives(&world);
}

#[test]
fn a_good_message_that_only_mentions_the_vault_is_taken() {
    let world = World::start().unwrap();
    for (subject, header_from) in [
        ("list", "\"vault@example.test via List\" <list@lists.test>"),
        ("encoded", "=?utf-8?q?vault=40example=2Etest_via_List?= <list@lists.test>"),
        ("plain", "news@vendor.test"),
        ("neighbour", "vault@example.test.vendor.test"),
    ] {
        let message = format!("From: {header_from}\nTo: {VAULT}\nSubject: {subject}\n\nvault@example.test\n");
        let sent = world.send_from_outside("bounces@lists.test", &[ALICE, VAULT], message).unwrap();
        assert!(sent.is_accepted(), "{header_from}: {sent:?}");
        world.arrives_once(ALICE, subject).unwrap();
        world.arrives_once(VAULT, subject).unwrap();
    }
}

#[test]
fn submission_is_no_way_around_it() {
    let world = World::start().unwrap();
    for sender in [VAULT, "x@saas.example.test"] {
        let sent = world.lab.submission(OMAR).unwrap().send(sender, &[ALICE], letter(OMAR, "env")).unwrap();
        refused_for(&sent, sender, "envelope sender on submission");
        let sent = world.lab.submission(OMAR).unwrap().send(OMAR, &[ALICE], letter(sender, "from")).unwrap();
        refused_for(&sent, sender, "From on submission");
    }
    for field in ["Sender", "Resent-From"] {
        let message = format!("From: {OMAR}\n{field}: {VAULT}\nSubject: {field}\n\nbody\n");
        let sent = world.lab.submission(OMAR).unwrap().send(OMAR, &[ALICE], message).unwrap();
        refused_for(&sent, VAULT, field);
    }
    let own = world.lab.submission(OMAR).unwrap().send(OMAR, &[ALICE], letter(OMAR, "own name")).unwrap();
    assert!(own.is_accepted(), "{own:?}");
    world.arrives_once(ALICE, "own name").unwrap();
    assert_eq!(world.subjects(ALICE).unwrap(), ["own name"]);
}

#[test]
fn sendmail_is_no_way_around_it() {
    let world = World::start().unwrap();
    let postfix = &world.lab.postfix;
    let cases = [
        (VAULT, OMAR, VAULT, "the envelope sender"),
        ("e@saas.example.test", OMAR, "e@saas.example.test", "the envelope sender"),
        (OMAR, VAULT, VAULT, "From"),
        (OMAR, "h@saas.example.test", "h@saas.example.test", "From"),
    ];
    for (sender, header_from, address, place) in cases {
        let ran = postfix.sendmail(&["-f", sender, ALICE], letter(header_from, "local")).unwrap();
        let what = format!("-f {sender}, From: {header_from}");
        let told = |line: &&str| {
            line.contains("milter-reject")
                && line.contains(&format!("receive-only: <{address}>"))
                && line.contains(&format!("found in {place}"))
        };
        let seen = mailwarden_lab::wait::wait_for(SOON, &what, || postfix.log().lines().any(|l| told(&l)));
        seen.unwrap_or_else(|error| panic!("{error} ({ran:?}): {}", postfix.log()));
    }
    // Whoever sent it learns why.
    let bounce =
        world.lab.wait_for_message(OMAR, SOON, |mail| mail.header("Return-Path") == Some("<>")).unwrap();
    let mut session = world.lab.imap(OMAR).unwrap();
    session.select("INBOX").unwrap();
    let told = String::from_utf8_lossy(&session.fetch(bounce.uid).unwrap()).into_owned();
    assert!(told.contains("receive-only:"), "{told}");

    postfix.sendmail(&["-f", OMAR, ALICE], letter(OMAR, "own name")).unwrap();
    world.arrives_once(ALICE, "own name").unwrap();
    assert_eq!(world.subjects(ALICE).unwrap(), ["own name"]);
}
