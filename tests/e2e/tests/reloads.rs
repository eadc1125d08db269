//! Reloads in the middle of load, good ones and broken ones: no message fails, none waits.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mailwarden_e2e::{EXAMPLE_POLICY, Load, SOON, Sent, Told, World};
use mailwarden_lab::wait::wait_for;

const SCOPED: &str = "anything@saas.example.test";
const PLAIN: &str = "alice@example.test";
const ALICE: &str = "\n[[mailbox]]\naddress = \"alice@example.test\"\nkind = \"human\"\n\
                     business_owner = \"jane@example.test\"\n";
/// A reload that held messages up would show in the slowest. On a busy machine even one that nobody holds up takes
/// its time, so the slowest of those before the first reload counts too.
const LONGEST: Duration = Duration::from_secs(5);
/// A busy machine included.
const PATIENCE: Duration = Duration::from_secs(120);
/// Messages before the first reload.
const UNDISTURBED: usize = 30;

/// One policy after the other; every third is broken.
fn policy(number: usize) -> (String, &'static str) {
    match number % 3 {
        2 => (EXAMPLE_POLICY.replace("owner = ", "ovner = "), "rejected"),
        even => {
            let vendor = format!(
                "\n[[vendor]]\naddress = \"v{number}@saas.example.test\"\norganisation = \"O{even}\"\n"
            );
            (format!("{EXAMPLE_POLICY}{ALICE}{vendor}"), "loaded")
        }
    }
}

fn run(reloads: usize) {
    let world = World::start().unwrap();
    // The policy of the start counts as loaded.
    let mut expected = BTreeMap::from([("loaded", 1), ("rejected", 0)]);
    let counted = |outcome: &str| {
        let series = format!("mailwarden_gate_policy_reloads_total{{outcome=\"{outcome}\"}}");
        world.metrics().unwrap().value(&series)
    };
    let begun = Instant::now();
    let load = Load::start(world.lab.postfix.smtp_port(), 2, &[SCOPED, PLAIN]);
    wait_for(PATIENCE, "mail before the first reload", || load.accepted() >= UNDISTURBED).unwrap();
    for number in 0..reloads {
        let (text, outcome) = policy(number);
        let count = expected.get_mut(outcome).unwrap();
        *count += 1;
        world.installation.write_policy(text).unwrap();
        world.gate().hang_up();
        let heard = wait_for(SOON, outcome, || counted(outcome) == *count);
        heard.unwrap_or_else(|error| panic!("reload {number}: {error}: {}", world.gate().log()));
    }
    let after = load.accepted();
    wait_for(PATIENCE, "mail after the last reload", || load.accepted() > after).unwrap();
    let sent = load.stop().unwrap();
    let failed: Vec<_> = sent.iter().filter(|one| !matches!(one.told, Told::Accepted(_))).collect();
    assert!(failed.is_empty(), "{failed:?}: {}", world.gate().log());
    let slowest = |part: &[Sent]| part.iter().map(|one| one.took).max().unwrap();
    let (undisturbed, disturbed) = sent.split_at(UNDISTURBED);
    let limit = LONGEST.max(slowest(undisturbed) * 4);
    assert!(slowest(disturbed) < limit, "a message took {:?}, more than {limit:?}", slowest(disturbed));
    assert_eq!(world.metrics().unwrap().value("mailwarden_gate_panics_total"), 0);
    // A busy host delivers more slowly than it accepts: what came in over minutes may take as long to leave.
    let draining = Duration::from_secs(60) + begun.elapsed();
    world.lab.postfix.wait_until_queue_empty(draining).unwrap();
    assert!(!world.anything_bounced());
}

#[test]
fn three_hundred_reloads_under_load_fail_and_delay_no_message() {
    run(300);
}

#[test]
#[ignore = "slow: ten thousand reloads"]
fn ten_thousand_reloads_under_load_fail_and_delay_no_message() {
    run(10_000);
}
