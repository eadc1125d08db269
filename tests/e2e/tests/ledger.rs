//! The ledger holds control events and sums, the gate journal single decisions, and tampering shows.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use mailwarden_e2e::{Output, SOON, World, letter, mailwarden, reference_of};
use mailwarden_lab::smtp::Outcome;
use mailwarden_lab::wait::wait_until;
use serde_json::Value;

const ALICE: &str = "alice@example.test";
const BURNT: &str = "burnt@saas.example.test";
const VENDOR: &str = "news@vendor.test";

fn reference(outcome: &Outcome) -> String {
    let reply = outcome.refusal().unwrap_or_else(|| panic!("nothing refused: {outcome:?}")).text();
    reference_of(&reply).unwrap_or_else(|| panic!("no reference in {reply}")).to_owned()
}

fn shown(world: &World) -> Value {
    let output = mailwarden(&["ledger", "show", "--json", "--config", &world.installation.config()]).unwrap();
    assert_eq!(output.code, 0, "{output:?}");
    output.json()
}

fn events<'l>(ledger: &'l Value, kind: &str) -> Vec<&'l Value> {
    let all = ledger["events"].as_array().unwrap_or_else(|| panic!("no events: {ledger:#}"));
    all.iter().filter(|event| event["kind"] == kind).collect()
}

/// The refusals of a policy object, over all hours: a test may run across the full hour.
fn refusals(ledger: &Value, rule: &str, object: &str) -> u64 {
    let sums = ledger["refusals"].as_array().unwrap_or_else(|| panic!("no sums: {ledger:#}"));
    let of = |sum: &&Value| sum["rule"] == rule && sum["object"] == object;
    sums.iter().filter(of).filter_map(|sum| sum["count"].as_u64()).sum()
}

#[test]
fn policy_loads_sweeps_and_refusals_by_rule_and_object_are_recorded() {
    let world = World::start().unwrap();
    for _ in 0..3 {
        world.send_from_outside(VENDOR, &[BURNT], letter(VENDOR, "s")).unwrap();
    }
    for sender in ["one@saas.example.test", "two@saas.example.test"] {
        world.send_from_outside(sender, &[ALICE], letter(VENDOR, "s")).unwrap();
    }
    world.send_from_outside(VENDOR, &[ALICE], letter("vault@example.test", "s")).unwrap();
    let swept = mailwarden(&["sweep", "--all", "--config", &world.sweep_config().save().unwrap()]).unwrap();
    assert!(!swept.stderr.contains("not recorded"), "{swept:?}");

    let complete = || {
        let ledger = shown(&world);
        let counted = refusals(&ledger, "vendor-state", BURNT) == 3
            && refusals(&ledger, "receive-only", "saas.example.test") == 2
            && refusals(&ledger, "receive-only", "vault@example.test") == 1;
        counted.then_some(ledger)
    };
    let ledger = wait_until(SOON, "the sums", complete)
        .unwrap_or_else(|error| panic!("{error}: {:#}", shown(&world)["refusals"]));
    assert_eq!(events(&ledger, "policy.loaded").len(), 1, "{ledger:#}");
    let sweeps = events(&ledger, "sweep.finished");
    assert_eq!(sweeps.len(), 1, "{ledger:#}");
    assert_eq!(sweeps[0]["detail"]["payload"]["verdict"], "clean", "{ledger:#}");
    // Strangers' words never become rows of the ledger.
    let text = ledger.to_string();
    assert!(!text.contains("one@saas.example.test") && !text.contains(VENDOR), "{ledger:#}");
}

#[test]
fn a_reload_and_a_refused_reload_are_events() {
    let world = World::start().unwrap();
    let policy = mailwarden_e2e::EXAMPLE_POLICY;
    world.installation.write_policy("[client]\nname = 1\n").unwrap();
    world.gate().hang_up();
    world.gate().wait_until_says("the new policy is refused and the old one stays in force").unwrap();
    world.installation.write_policy(format!("{policy}\n# touched\n")).unwrap();
    world.gate().hang_up();
    world.gate().wait_until_says("the new policy is in force").unwrap();
    let complete = || {
        let ledger = shown(&world);
        let both =
            events(&ledger, "policy.loaded").len() == 2 && events(&ledger, "policy.rejected").len() == 1;
        both.then_some(())
    };
    wait_until(SOON, "both events", complete).unwrap_or_else(|error| panic!("{error}: {:#}", shown(&world)));
}

fn gate_show(world: &World, reference: &str, arguments: &[&str]) -> Output {
    let config = world.installation.config();
    let all = [&["gate", "show", reference, "--config", &config], arguments].concat();
    mailwarden(&all).unwrap()
}

#[test]
fn the_reference_of_a_refusal_leads_to_the_decision() {
    let world = World::start().unwrap();
    let at_rcpt = reference(&world.send_from_outside(VENDOR, &[BURNT], letter(VENDOR, "s")).unwrap());
    let forged = letter("Vault <vault@example.test>", "s");
    let at_end = reference(&world.send_from_outside(VENDOR, &[ALICE], forged).unwrap());
    assert_ne!(at_rcpt, at_end);
    let found = |reference: &str| {
        let written = || Some(gate_show(&world, reference, &["--json"])).filter(|output| output.code == 0);
        wait_until(SOON, "the journal", written).unwrap().json()
    };
    let entry = found(&at_rcpt);
    assert_eq!(entry["reference"], at_rcpt.as_str());
    assert_eq!(entry["rule"], "vendor-state", "{entry:#}");
    assert_eq!(entry["verdict"], "refuse", "{entry:#}");
    assert_eq!(entry["recipient"], BURNT, "{entry:#}");
    assert_eq!(entry["envelope_sender"], VENDOR, "{entry:#}");
    assert!(entry["client"].as_str().is_some_and(|client| client.contains("203.0.113.9")), "{entry:#}");
    let entry = found(&at_end);
    assert_eq!(entry["rule"], "receive-only", "{entry:#}");
    assert_eq!(entry["header_from"], "vault@example.test", "{entry:#}");

    let text = gate_show(&world, &at_rcpt, &[]);
    assert!(text.stdout.contains("vendor-state") && text.stdout.contains(BURNT), "{text:?}");
    let unknown = gate_show(&world, "ZZZZZZZZZZZZ", &[]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
}

fn verify(world: &World) -> Output {
    mailwarden(&["ledger", "verify", "--config", &world.installation.config()]).unwrap()
}

#[test]
fn an_altered_row_is_noticed() {
    let mut world = World::start().unwrap();
    world.send_from_outside(VENDOR, &[BURNT], letter(VENDOR, "s")).unwrap();
    let running = verify(&world);
    assert_eq!(running.code, 0, "beside the running gate: {running:?}");
    world.stop_gate().unwrap();
    let stopped = verify(&world);
    assert_eq!(stopped.code, 0, "{stopped:?}");

    // As somebody with the file in hand would: past every trigger.
    let path = world.installation.path("ledger.db");
    let good = std::fs::read(&path).unwrap();
    let needle = b"\"actor\":\"";
    let at = good.windows(needle.len()).position(|window| window == needle).expect("an entry") + needle.len();
    let mut altered = good.clone();
    altered[at] ^= 0x01;
    std::fs::write(&path, &altered).unwrap();
    let output = verify(&world);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(!output.stdout.contains("intact"), "{output:?}");
    assert!(output.stdout.to_lowercase().contains("entry"), "it must name what was altered: {output:?}");

    std::fs::write(&path, &good).unwrap();
    let restored = verify(&world);
    assert_eq!(restored.code, 0, "{restored:?}");
}
