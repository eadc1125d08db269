//! Rewritten recipients, read where they end: nobody gets a message twice, nobody is left out, whatever the spelling.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeSet;

use mailwarden_e2e::{SOON, World, WorldOptions, letter};
use mailwarden_lab::LabOptions;
use mailwarden_lab::wait::wait_for;

const ALICE: &str = "alice@example.test";
const OMAR: &str = "omar@example.test";
const OPS: &str = "ops@example.test";
const SALES: &str = "sales@example.test";
const VENDOR: &str = "news@vendor.test";
/// As many as Postfix takes in one message (`smtpd_recipient_limit`).
const MANY: usize = 1_000;

/// The recipients to whom Postfix delivered one message, as its log has them; each with how often.
fn delivered(world: &World, queue_id: &str) -> Vec<String> {
    let log = world.lab.postfix.log();
    let of_message = log.lines().filter(|line| line.contains(queue_id) && line.contains("status=sent"));
    let mut to: Vec<String> = of_message
        .filter_map(|line| line.split_once("to=<")?.1.split_once('>').map(|(address, _)| address.to_owned()))
        .collect();
    to.sort_unstable();
    to
}

fn settled(world: &World) {
    world.lab.postfix.wait_until_queue_empty(SOON).unwrap();
    assert!(!world.anything_bounced(), "{}", world.lab.postfix.log());
}

#[test]
fn scope_and_ordinary_recipients_in_one_message_are_each_served_once() {
    let world = World::start().unwrap();
    let to = [
        "shop@saas.example.test",
        ALICE,
        "SHOP@saas.example.test",
        "@relay.test:routed@saas.example.test",
        "\"quoted shop\"@saas.example.test",
        "dotted@saas.example.test.",
        "Ops@example.test",
        "abuse@saas.example.test",
        SALES,
        "shop@saas.example.test",
    ];
    let sent = world.send_from_outside(VENDOR, &to, letter(VENDOR, "mixed")).unwrap();
    assert!(sent.is_accepted(), "{sent:?}");
    settled(&world);
    for user in [ALICE, OPS, SALES] {
        world.arrives_once(user, "mixed").unwrap();
    }
    let mut to = delivered(&world, &sent.queue_id().unwrap());
    to.iter_mut().for_each(|address| address.make_ascii_lowercase());
    to.sort_unstable();
    assert_eq!(to, [ALICE, OPS, SALES], "one delivery each: {}", world.lab.postfix.log());
    let routes = world.arrives_once(OPS, "mixed").unwrap();
    let found = routes.header_all("Mailwarden-Route");
    for address in ["routed@", "\"quoted shop\"@", "dotted@", "abuse@"] {
        assert!(found.iter().any(|route| route.starts_with(address)), "{address}: {found:?}");
    }
}

#[test]
fn a_thousand_vendor_addresses_make_one_delivery() {
    let world = World::start().unwrap();
    let addresses: Vec<String> = (0..MANY).map(|n| format!("vendor{n}@saas.example.test")).collect();
    let to: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let sent = world.send_from_outside(VENDOR, &to, letter(VENDOR, "thousand")).unwrap();
    assert!(sent.is_accepted(), "{:?}", sent.refusal());
    settled(&world);
    let mail = world.arrives_once(OPS, "thousand").unwrap();
    assert_eq!(delivered(&world, &sent.queue_id().unwrap()), [OPS]);
    let routes: BTreeSet<&str> = mail.header_all("Mailwarden-Route").into_iter().collect();
    assert_eq!(routes.len(), MANY, "every vendor address survives");
}

#[test]
fn blind_copies_of_the_mta_itself_are_left_alone() {
    let lab = LabOptions {
        main_cf: "recipient_bcc_maps = inline:{ bcc@saas.example.test=sales@example.test }\n\
                  always_bcc = omar@example.test\n"
            .to_owned(),
        ..WorldOptions::default().lab
    };
    let world = World::with(&WorldOptions { lab, ..WorldOptions::default() }).unwrap();
    let sent = world.send_from_outside(VENDOR, &["bcc@saas.example.test"], letter(VENDOR, "copied")).unwrap();
    assert!(sent.is_accepted(), "{sent:?}");
    settled(&world);
    for user in [OPS, SALES, OMAR] {
        world.arrives_once(user, "copied").unwrap();
    }
    assert_eq!(delivered(&world, &sent.queue_id().unwrap()), [OMAR, OPS, SALES]);
}

#[test]
fn a_bare_recipient_of_sendmail_reaches_the_watched_mailbox_once() {
    let world = World::start().unwrap();
    let postfix = &world.lab.postfix;
    let message = letter(OMAR, "bare");
    postfix.sendmail(&["-f", OMAR, "postmaster", "shop@saas.example.test"], message).unwrap();
    let arrived = || postfix.log().contains("status=sent");
    wait_for(SOON, "a delivery", arrived).unwrap();
    settled(&world);
    world.arrives_once(OPS, "bare").unwrap();
    let log = postfix.log();
    let sent: Vec<&str> = log.lines().filter(|line| line.contains("status=sent")).collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
}
