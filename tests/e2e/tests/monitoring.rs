//! The dashboard and the alerts ask for series that the gate shows.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeSet;
use std::path::Path;

use mailwarden_e2e::{World, letter};

const PREFIX: &str = "mailwarden_gate_";

fn shipped(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

/// The names of series in a text.
fn series(text: &str) -> BTreeSet<&str> {
    let starts = text.match_indices(PREFIX).map(|(at, _)| &text[at..]);
    let end = |rest: &str| rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    starts.map(|rest| &rest[..end(rest)]).collect()
}

#[test]
fn every_series_of_the_dashboard_and_the_alerts_exists_and_every_one_that_exists_is_watched() {
    let world = World::start().unwrap();
    // A series with labels appears with its first event: a letter that is routed, and a policy that is refused.
    world
        .send_from_outside("news@vendor.test", &["shop@saas.example.test"], letter("n@vendor.test", "l"))
        .unwrap();
    world.installation.write_policy("nonsense").unwrap();
    world.gate().hang_up();
    world.gate().wait_until_says("the old one stays in force").unwrap();
    let shown = world.metrics().unwrap();
    let exists = series(shown.text());
    let dashboard = shipped("deploy/grafana/mailwarden-gate.json");
    let alerts = shipped("deploy/prometheus/mailwarden.rules.yml");
    let asked: BTreeSet<&str> = series(&dashboard).union(&series(&alerts)).copied().collect();
    let unknown: Vec<_> = asked.difference(&exists).collect();
    assert!(unknown.is_empty(), "no such series: {unknown:?} in\n{}", shown.text());
    // Families are named without the ending of a counter where they are described.
    let is_watched =
        |name: &&&str| asked.contains(**name) || asked.contains(format!("{name}_total").as_str());
    let unwatched: Vec<_> = exists.iter().filter(|name| !is_watched(name)).collect();
    assert_eq!(unwatched, [&"mailwarden_gate_connections_probe", &"mailwarden_gate_connections_probe_total"]);
}
