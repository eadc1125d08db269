//! `kill -9` of the gate, of Postfix, of both, at random points under load: what was accepted is delivered or
//! queued, and nothing goes where the policy did not send it.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeMap;
use std::time::Duration;

use mailwarden_e2e::{Chance, Load, SOON, Sent, Told, World, mailwarden};
use mailwarden_lab::imap::Message;
use mailwarden_lab::wait::wait_for;

const SCOPED: &str = "anything@saas.example.test";
const LEAVER: &str = "bob@example.test";
const BURNT: &str = "burnt@saas.example.test";
const PLAIN: &str = "alice@example.test";
/// Where the policy sends each of them; nowhere for one that it refuses.
const ROUTES: [(&str, Option<&str>); 4] = [
    (SCOPED, Some("ops@example.test")),
    (LEAVER, Some("jane@example.test")),
    (BURNT, None),
    (PLAIN, Some(PLAIN)),
];
const MAILBOXES: [&str; 5] = ["ops@example.test", "jane@example.test", PLAIN, LEAVER, "sales@example.test"];
const SENDERS: usize = 4;
/// Between two crashes at most this many messages are accepted.
const MOST_BETWEEN: usize = 25;
const LONG: Duration = Duration::from_secs(120);

/// True when the gate was among those that crashed.
fn crash(world: &mut World, chance: &mut Chance) -> bool {
    let (gate, postfix) = [(true, false), (false, true), (true, true)][chance.below(3)];
    if gate {
        world.kill_gate().unwrap();
    }
    if postfix {
        world.lab.postfix.crash().unwrap();
        world.lab.postfix.start().unwrap();
    }
    if gate {
        world.start_gate().unwrap();
    }
    gate
}

fn run(seed: u64, crashes: usize) {
    let mut world = World::start().unwrap();
    let mut chance = Chance::from_seed(seed);
    let recipients = ROUTES.map(|(recipient, _)| recipient);
    let load = Load::start(world.lab.postfix.smtp_port(), SENDERS, &recipients);
    let mut starts = 1;
    for number in 0..crashes {
        let until = load.accepted() + 1 + chance.below(MOST_BETWEEN);
        let progress = wait_for(SOON, "mail", || load.accepted() >= until);
        progress.unwrap_or_else(|error| panic!("crash {number}: {error}: {}", world.gate().log()));
        starts += u64::from(crash(&mut world, &mut chance));
    }
    let sent = load.stop().unwrap();
    deliver_what_waits(&world);
    account(&world, &sent);
    the_ledger_is_whole(&world, &sent, starts);
}

fn deliver_what_waits(world: &World) {
    let empty = wait_for(LONG, "an empty queue", || {
        world
            .lab
            .postfix
            .flush_queue()
            .is_ok_and(|()| world.lab.postfix.queue().is_ok_and(|queue| queue.is_empty()))
    });
    empty.unwrap_or_else(|error| {
        panic!("{error}: {:?}\n{}", world.lab.postfix.queue(), world.lab.postfix.log())
    });
}

/// The messages of every mailbox, by subject.
fn delivered(world: &World) -> BTreeMap<String, Vec<(&'static str, Message)>> {
    let mut delivered: BTreeMap<String, Vec<(&str, Message)>> = BTreeMap::new();
    for user in MAILBOXES {
        let mut session = world.lab.imap(user).unwrap();
        session.select("INBOX").unwrap();
        for message in session.messages().unwrap() {
            let subject = message.header("Subject").unwrap_or_default().to_owned();
            delivered.entry(subject).or_default().push((user, message));
        }
    }
    delivered
}

fn account(world: &World, sent: &[Sent]) {
    let delivered = delivered(world);
    let accepted = sent.iter().filter(|one| matches!(one.told, Told::Accepted(_))).count();
    assert!(
        accepted > 0 && sent.len() > accepted,
        "{accepted} of {} accepted: too little happened",
        sent.len()
    );
    for one in sent {
        let route = ROUTES.iter().find(|(recipient, _)| *recipient == one.recipient).unwrap().1;
        let copies = delivered.get(&one.subject).map_or(&[][..], Vec::as_slice);
        let strays: Vec<_> = copies.iter().filter(|(user, _)| Some(*user) != route).collect();
        assert!(strays.is_empty(), "{one:?} went astray: {strays:?}");
        if let Told::Accepted(id) = &one.told {
            assert!(route.is_some(), "{one:?} should have been refused");
            assert!(!copies.is_empty(), "{one:?} is lost: {}", world.lab.postfix.log());
            // A Postfix that dies between handing a message over and noting so hands it over again, under the
            // same queue id (RFC 5321 §6.1). Two ids would be two messages, which is what a client sent
            // twice.
            assert!(
                copies.iter().all(|(_, copy)| copy.raw.contains(&format!("id {id}"))),
                "{one:?}: {copies:?}"
            );
        }
        assert!(
            route == Some(PLAIN) || copies.iter().all(|(_, copy)| is_routed(copy)),
            "{one:?}: {copies:?}"
        );
    }
    assert!(!world.anything_bounced(), "{}", world.lab.postfix.log());
}

/// A leaver's mail is routed without a vendor address to keep.
fn is_routed(copy: &Message) -> bool {
    copy.header_all("Mailwarden-Route").len() <= 1
}

/// Nothing acknowledged may be missing: the tree still proves itself, and each containment that an accepted
/// message stands for is an event.
fn the_ledger_is_whole(world: &World, sent: &[Sent], starts: u64) {
    let url = world.installation.ledger_url();
    let verified = mailwarden(&["ledger", "verify", "--ledger", &url]).unwrap();
    assert_eq!(verified.code, 0, "{verified:?}");
    let shown =
        mailwarden(&["ledger", "show", "--ledger", &url, "--limit", "100000", "--json"]).unwrap().json();
    let events = |kind: &str| {
        shown["events"].as_array().unwrap().iter().filter(|event| event["kind"] == kind).count() as u64
    };
    assert_eq!(events("policy.loaded"), starts, "each start is recorded before it takes mail");
    let promised: Vec<&Sent> =
        sent.iter().filter(|one| one.recipient == LEAVER && matches!(one.told, Told::Accepted(_))).collect();
    assert!(!promised.is_empty(), "no containment was put to the test");
    // The first of an hour is an event, the others are counted; both are durable before the MTA hears of it.
    let sums = shown["refusals"].as_array().unwrap().iter();
    let counted: u64 =
        sums.filter(|sum| sum["rule"] == "leaver.contained").map(|sum| sum["count"].as_u64().unwrap()).sum();
    let contained = events("gate.contained") + counted;
    assert!(contained >= promised.len() as u64, "{} told, {contained} recorded", promised.len());
}

#[test]
fn what_was_accepted_before_a_crash_is_delivered_where_the_policy_says() {
    run(1, 8);
}

#[test]
#[ignore = "slow: a hundred crashes"]
fn a_hundred_crashes_lose_nothing() {
    run(2, 100);
}
