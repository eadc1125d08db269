//! The ledger and the journal in PostgreSQL: the gate serves through an outage and no mail is lost.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;

use mailwarden_e2e::{SOON, World, letter, mailwarden, reference_of};
use mailwarden_lab::PostgreSql;
use mailwarden_lab::wait::wait_until;
use serde_json::Value;

const ALICE: &str = "alice@example.test";
const BURNT: &str = "burnt@saas.example.test";
const VENDOR: &str = "news@vendor.test";
/// A leaver, whose mail is contained.
const BOB: &str = "bob@example.test";
const JANE: &str = "jane@example.test";

/// Puts the ledger, and with it the journal, into a database of the server.
fn move_ledger(world: &World, server: &PostgreSql) {
    let url = server.url(&server.database().unwrap());
    let config = world.installation.config();
    let text = fs::read_to_string(&config).unwrap();
    let moved = text.replace(&format!("\"{}\"", world.installation.ledger_url()), &format!("\"{url}\""));
    fs::write(&config, moved).unwrap();
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
    move_ledger(&world, &server);
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
