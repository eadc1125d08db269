//! Reloads in the middle of load, good ones and broken ones: no message fails, none waits.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::time::Duration;

use mailwarden_e2e::{EXAMPLE_POLICY, Load, SOON, Told, World};
use mailwarden_lab::wait::wait_for;

const SCOPED: &str = "anything@saas.example.test";
const PLAIN: &str = "alice@example.test";
const ALICE: &str = "\n[[mailbox]]\naddress = \"alice@example.test\"\nkind = \"human\"\n\
                     business_owner = \"jane@example.test\"\n";
/// What a message takes behind a busy Postfix is milliseconds; a reload that held one up would show.
const LONGEST: Duration = Duration::from_secs(5);

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
    let outcomes = |outcome: &str| {
        let series = format!("mailwarden_gate_policy_reloads_total{{outcome=\"{outcome}\"}}");
        world.metrics().unwrap().value(&series)
    };
    let load = Load::start(world.lab.postfix.smtp_port(), 2, &[SCOPED, PLAIN]);
    let before = load.accepted();
    for number in 0..reloads {
        let (text, outcome) = policy(number);
        let expected = outcomes(outcome) + 1;
        world.installation.write_policy(text).unwrap();
        world.gate().hang_up();
        let heard = wait_for(SOON, outcome, || outcomes(outcome) == expected);
        heard.unwrap_or_else(|error| panic!("reload {number}: {error}: {}", world.gate().log()));
    }
    wait_for(SOON, "mail after the last reload", || load.accepted() > before).unwrap();
    let sent = load.stop().unwrap();
    let failed: Vec<_> = sent.iter().filter(|one| !matches!(one.told, Told::Accepted(_))).collect();
    assert!(failed.is_empty(), "{failed:?}: {}", world.gate().log());
    let slowest = sent.iter().map(|one| one.took).max().unwrap();
    assert!(slowest < LONGEST, "a message took {slowest:?}");
    assert_eq!(world.metrics().unwrap().value("mailwarden_gate_panics_total"), 0);
    world.lab.postfix.wait_until_queue_empty(Duration::from_secs(60)).unwrap();
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
