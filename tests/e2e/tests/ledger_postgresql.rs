//! The ledger, the journal and the vendor register in PostgreSQL: the gate serves through an outage, no mail is
//! lost, and several gates know what each of them heard.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;

use mailwarden_e2e::{Output, SOON, World, WorldOptions, letter, mailwarden, reference_of};
use mailwarden_lab::PostgreSql;
use mailwarden_lab::wait::wait_until;
use serde_json::Value;

const ALICE: &str = "alice@example.test";
const BURNT: &str = "burnt@saas.example.test";
const VENDOR: &str = "news@vendor.test";
/// A leaver, whose mail is contained.
const BOB: &str = "bob@example.test";
const SHOP: &str = "bookshop@saas.example.test";
const JANE: &str = "jane@example.test";

/// Puts the ledger, and with it the journal and the vendor register, into a database.
fn move_ledger(world: &World, url: &str) {
    let config = world.installation.config();
    let text = fs::read_to_string(&config).unwrap();
    let moved = text.replace(&format!("\"{}\"", world.installation.ledger_url()), &format!("\"{url}\""));
    fs::write(&config, moved).unwrap();
}

fn run(world: &World, arguments: &[&str]) -> Output {
    mailwarden(&[arguments, &["--config", &world.installation.config()]].concat()).unwrap()
}

fn refused(world: &World) -> String {
    let outcome = world.send_from_outside(VENDOR, &[BURNT], letter(VENDOR, "refused")).unwrap();
    let reply = outcome.refusal().unwrap_or_else(|| panic!("nothing refused: {outcome:?}")).text();
    reference_of(&reply).unwrap().to_owned()
}

fn count(world: &World) -> Option<u64> {
    let output = mailwarden(&["ledger", "show", "--json", "--config", &world.installation.config()]).unwrap();
    let ledger: Value = (output.code == 0).then(|| output.json())?;
    let of = |sum: &&Value| sum["rule"] == "vendor-state" && sum["object"] == BURNT;
    Some(ledger["refusals"].as_array()?.iter().filter(of).filter_map(|sum| sum["count"].as_u64()).sum())
}

#[test]
fn the_gate_goes_on_through_an_outage_of_its_database_and_forgets_no_refusal() {
    let mut world = World::start().unwrap();
    let server = PostgreSql::start().unwrap();
    world.stop_gate().unwrap();
    move_ledger(&world, &server.url(&server.database().unwrap()));
    world.start_gate().unwrap();
    let config = world.installation.config();
    let before = refused(&world);
    let found = || {
        let shown = mailwarden(&["gate", "show", &before, "--config", &config]).unwrap();
        (shown.code == 0).then_some(())
    };
    wait_until(SOON, "the journal in PostgreSQL", found).unwrap();

    server.stop().unwrap();
    refused(&world);
    world.send_from_outside(VENDOR, &[ALICE], letter(VENDOR, "during")).unwrap();
    world.arrives_once(ALICE, "during").unwrap();
    // A containment has to be on record before it happens; until it can be, the client keeps the message.
    let contained = world.send_from_outside(VENDOR, &[BOB], letter(VENDOR, "contained")).unwrap();
    assert_eq!(contained.refusal().map(|reply| reply.code), Some(451), "{contained:?}");
    let verify = || mailwarden(&["ledger", "verify", "--config", &config]).unwrap();
    let unreachable = verify();
    assert_eq!(unreachable.code, 4, "{unreachable:?}");
    assert!(unreachable.stderr.contains("cannot be reached"), "{unreachable:?}");

    server.start_again().unwrap();
    wait_until(SOON, "both refusals", || count(&world).filter(|count| *count == 2)).unwrap();
    let again = world.send_from_outside(VENDOR, &[BOB], letter(VENDOR, "contained")).unwrap();
    assert!(again.is_accepted(), "{again:?}");
    world.arrives_once(JANE, "contained").unwrap();
    let intact = verify();
    assert_eq!(intact.code, 0, "{intact:?}");
    world.stop_gate().unwrap();

    // A gate that cannot open its ledger serves nothing; clients try again.
    server.stop().unwrap();
    assert!(world.start_gate().is_err());
}

#[test]
fn two_gates_on_one_database_know_what_each_of_them_heard() {
    let server = PostgreSql::start().unwrap();
    let url = server.url(&server.database().unwrap());
    let policy = "[[scope]]\ndomain = \"held.example.test\"\ndeliver_to = \"ops@example.test\"\n\
                  new_per_hour = 2\n";
    let mx = || {
        let options = WorldOptions { policy: policy.to_owned(), ..WorldOptions::default() };
        let mut world = World::with(&options).unwrap();
        world.stop_gate().unwrap();
        move_ledger(&world, &url);
        world.start_gate().unwrap();
        world
    };
    let (one, two) = (mx(), mx());
    let hears = |world: &World, to: &str, author: &str, subject: &str| {
        world.send_from_outside(VENDOR, &[to], letter(author, subject)).unwrap()
    };
    let is_tagged = |world: &World, subject: &str| {
        !world.arrives_once("ops@example.test", subject).unwrap().header_all("Mailwarden-Tag").is_empty()
    };
    let is_written = |address: &str| {
        let shown = run(&one, &["vendors", "show", address, "--json"]);
        (shown.code == 0 && !shown.json()["heard"].is_null()).then_some(())
    };
    let written =
        |address: &str| wait_until(SOON, "the vendor in the database", || is_written(address)).unwrap();
    // A gate reads what others wrote when it writes: what it heard later is there once it has read.
    let has_read = |world: &World, address: &str| {
        assert!(hears(world, address, VENDOR, address).is_accepted());
        written(address);
    };
    // The vendor's first mail comes through one MX, the leak through the other.
    assert!(hears(&two, SHOP, "orders@bookshop.test", "first").is_accepted());
    written(SHOP);
    has_read(&one, "later1@saas.example.test");
    assert!(hears(&one, SHOP, "win@spam.test", "leak").is_accepted());
    assert!(is_tagged(&one, "leak"), "what the second gate learned, the first knows");

    for guess in ["guess1@held.example.test", "guess2@held.example.test"] {
        assert!(hears(&one, guess, VENDOR, guess).is_accepted());
        written(guess);
    }
    has_read(&two, "later2@saas.example.test");
    let late = hears(&two, "guess3@held.example.test", VENDOR, "guess3");
    assert_eq!(late.refusal().map(|reply| reply.code), Some(450), "one limit for both: {late:?}");
    let known = hears(&two, "guess1@held.example.test", VENDOR, "known");
    assert!(known.is_accepted(), "new to this gate, but not this hour: {known:?}");
    assert_eq!(run(&one, &["ledger", "verify"]).code, 0);
}
