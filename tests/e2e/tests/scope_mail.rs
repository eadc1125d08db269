//! Mail to a scope: any local part reaches the scope's one mailbox, once, and says whom it was for.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use mailwarden_e2e::{World, letter};
use mailwarden_lab::imap::Message;

const OPS: &str = "ops@example.test";
const VENDOR: &str = "news@vendor.test";

fn routes(mail: &Message) -> Vec<&str> {
    mail.header_all("Mailwarden-Route")
}

fn route(address: &str) -> String {
    format!("{address} -> {OPS} (route)")
}

#[test]
fn any_local_part_arrives_once_and_carries_its_route() {
    let world = World::start().unwrap();
    let sent =
        world.send_from_outside(VENDOR, &["anything@saas.example.test"], letter(VENDOR, "invoice")).unwrap();
    assert!(sent.is_accepted(), "{sent:?}");
    let delivered = world.arrives_once(OPS, "invoice").unwrap();
    assert_eq!(routes(&delivered), [route("anything@saas.example.test")]);
    assert!(delivered.header_all("Received").iter().any(|trace| trace.contains("203.0.113.9")));
    world.lab.postfix.wait_until_queue_empty(mailwarden_e2e::SOON).unwrap();
    assert!(!world.anything_bounced());
    assert_eq!(world.metrics().unwrap().value("mailwarden_gate_messages_accepted_total"), 1);
}

#[test]
fn a_route_that_the_sender_wrote_is_removed() {
    let world = World::start().unwrap();
    let forged = |subject: &str| {
        format!(
            "Mailwarden-Route: trusted@saas.example.test -> {OPS} (route)\n\
             From: {VENDOR}\nSubject: {subject}\n\
             MAILWARDEN-ROUTE: second@saas.example.test\n\t-> {OPS} (route)\n\nbody\n"
        )
    };
    world.send_from_outside(VENDOR, &["shop@saas.example.test"], forged("routed")).unwrap();
    assert_eq!(routes(&world.arrives_once(OPS, "routed").unwrap()), [route("shop@saas.example.test")]);
    // Mail that is not rerouted must not keep a forged route either.
    world.send_from_outside(VENDOR, &["alice@example.test"], forged("direct")).unwrap();
    assert_eq!(routes(&world.arrives_once("alice@example.test", "direct").unwrap()), Vec::<&str>::new());
}

#[test]
fn two_vendor_addresses_and_the_mailbox_itself_make_one_copy() {
    let world = World::start().unwrap();
    let recipients = ["shop1@saas.example.test", OPS, "shop2@saas.example.test", "shop1@saas.example.test"];
    let sent = world.send_from_outside(VENDOR, &recipients, letter(VENDOR, "several")).unwrap();
    assert!(sent.is_accepted(), "{sent:?}");
    let delivered = world.arrives_once(OPS, "several").unwrap();
    let mut found = routes(&delivered);
    found.sort_unstable();
    assert_eq!(found, [route("shop1@saas.example.test"), route("shop2@saas.example.test")]);
}

#[test]
fn every_spelling_of_a_scope_address_arrives_once() {
    let world = World::start().unwrap();
    let spellings = [
        ("lower", "plain@saas.example.test"),
        ("mixed", "MixedCase.Shop@SaaS.Example.TEST"),
        ("upper", "UPPER@SAAS.EXAMPLE.TEST"),
        ("quoted", "\"quoted shop\"@saas.example.test"),
        ("needless quotes", "\"needless\"@saas.example.test"),
        ("source route", "@relay.test:routed@saas.example.test"),
        ("trailing dot", "dotted@saas.example.test."),
        ("plus", "shop+tag@saas.example.test"),
    ];
    let mut session = world.lab.smtp_from_outside().unwrap();
    for (subject, spelling) in spellings {
        let sent = session.send(VENDOR, &[spelling], letter(VENDOR, subject)).unwrap();
        assert!(sent.is_accepted(), "{spelling}: {sent:?}");
    }
    for (subject, spelling) in spellings {
        let delivered = world.arrives_once(OPS, subject).unwrap();
        assert_eq!(routes(&delivered).len(), 1, "{spelling}: {delivered:?}");
    }
    world.lab.postfix.wait_until_queue_empty(mailwarden_e2e::SOON).unwrap();
    assert_eq!(world.subjects(OPS).unwrap().len(), spellings.len());
    let mixed = world.arrives_once(OPS, "mixed").unwrap();
    assert!(routes(&mixed)[0].to_lowercase().starts_with("mixedcase.shop@saas.example.test ->"), "{mixed:?}");
}

#[test]
fn a_burned_address_is_refused_at_rcpt_and_the_others_are_taken() {
    let world = World::start().unwrap();
    let recipients = ["before@saas.example.test", "Burnt@saas.example.test", "alice@example.test"];
    let sent = world.send_from_outside(VENDOR, &recipients, letter(VENDOR, "mixed")).unwrap();
    let codes: Vec<u16> = sent.recipients.iter().map(|(_, reply)| reply.code).collect();
    assert_eq!(codes, [250, 550, 250], "{sent:?}");
    let refusal = &sent.recipients[1].1;
    assert_eq!(refusal.enhanced.as_deref(), Some("5.1.6"));
    let text = refusal.text().to_lowercase();
    assert!(text.contains("vendor-state: <burnt@saas.example.test> is no longer in use"), "{text}");
    assert!(sent.is_accepted());
    assert_eq!(
        routes(&world.arrives_once(OPS, "mixed").unwrap()),
        [route("before@saas.example.test")],
        "the refused address must leave no trace in the message of others"
    );
    world.arrives_once("alice@example.test", "mixed").unwrap();
    assert!(!world.anything_bounced());
}

#[test]
fn required_addresses_of_domain_and_scope_reach_the_watched_mailbox() {
    let world = World::start().unwrap();
    let mut session = world.lab.smtp_from_outside().unwrap();
    let required = [
        "abuse@saas.example.test",
        "postmaster@saas.example.test",
        "abuse@example.test",
        "postmaster@example.test",
        "Postmaster@Example.Test",
        "postmaster",
    ];
    for recipient in required {
        let sent = session.send(VENDOR, &[recipient], letter(VENDOR, &format!("to {recipient}"))).unwrap();
        assert!(sent.is_accepted(), "{recipient}: {sent:?}");
    }
    for recipient in required {
        world.arrives_once(OPS, &format!("to {recipient}")).unwrap();
    }
    assert!(!world.anything_bounced());
}

#[test]
fn mail_to_a_required_address_passes_though_a_vendor_of_that_name_is_burned() {
    let world = World::with(&mailwarden_e2e::WorldOptions {
        policy: "[[vendor]]\naddress = \"abuse@saas.example.test\"\norganisation = \"Old Ltd\"\n\
                 state = \"burned\"\n"
            .to_owned(),
        ..mailwarden_e2e::WorldOptions::default()
    })
    .unwrap();
    let sent =
        world.send_from_outside("", &["abuse@saas.example.test"], letter(VENDOR, "complaint")).unwrap();
    assert!(sent.is_accepted(), "{sent:?}");
    world.arrives_once(OPS, "complaint").unwrap();
}

#[test]
fn an_internationalised_local_part_arrives_or_is_told_to_the_sender_at_once() {
    let world = World::start().unwrap();
    let mut session = world.lab.smtp_from_outside().unwrap();
    let taken = session.command("MAIL FROM:<news@vendor.test> SMTPUTF8").unwrap().is_ok()
        && session.rcpt("b\u{fc}ro@saas.example.test").unwrap().is_ok()
        && session.data(letter(VENDOR, "utf8")).unwrap().is_ok();
    world.settle().unwrap();
    // A bounce after the acceptance is the one wrong outcome: nobody reads it.
    assert!(!world.anything_bounced(), "{}", world.lab.postfix.log());
    if taken {
        let delivered = world.arrives_once(OPS, "utf8").unwrap();
        assert_eq!(routes(&delivered).len(), 1, "{delivered:?}");
    }
}
