//! The library against a real Pigeonhole: what it compiles, what it redirects, what it keeps.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code outside `#[test]` functions; tells skips"
)]

mod battery;
mod chance;
mod compare;
mod constructs;
mod cyrus;
mod differential;
mod edits;
mod failing;
mod generate;
mod laboratory;
mod messages;
mod minimise;
mod mutate;
mod script;
mod tags;

use battery::{Measured, measured, measured_and_more};
use compare::contradictions;
use laboratory::Laboratory;
use messages::MESSAGES;
use sieve_analysis::{Dialect, analyse};

/// Refused for a reason that this library does not look into: it has no compiler for regular expressions.
const BEYOND_US: [&str; 1] = ["- require \"regex\"; if header :regex \"a\" \"(\" {}"];

fn differing(verdicts: &[(bool, &Measured)]) -> Vec<String> {
    let answer = |row: &Measured| analyse(&row.script, Dialect::Pigeonhole, true);
    verdicts
        .iter()
        .filter(|(_, row)| !BEYOND_US.contains(&row.line))
        .filter(|(accepted, row)| answer(row).accepted != *accepted)
        .map(|(accepted, row)| {
            let problems = answer(row).diagnostics;
            format!("engine {accepted}: {} {problems:?}", row.line)
        })
        .collect()
}

#[test]
fn the_recorded_verdicts_are_ours() {
    let rows = measured_and_more();
    let verdicts: Vec<_> = rows.iter().map(|row| (row.accepted, row)).collect();
    let wrong = differing(&verdicts);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_installed_engine_still_gives_the_recorded_verdicts() {
    let Some(laboratory) = Laboratory::open() else { return };
    let rows = measured();
    let expected: Vec<&[u8]> =
        rows.iter().filter(|row| row.accepted).map(|row| row.script.as_slice()).collect();
    // One call for all that should compile; one for each that should not, for the tool stops there.
    let all_taken = laboratory.compiles_all(&expected);
    let compiled: Vec<_> = rows
        .iter()
        .map(|row| if row.accepted && all_taken { true } else { laboratory.compiles(&row.script) })
        .collect();
    let verdicts: Vec<_> = compiled.into_iter().zip(&rows).collect();
    let wrong = differing(&verdicts);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nesting_limits_are_the_engines() {
    let blocks =
        |depth: usize| format!("{}keep;{}", "if true {".repeat(depth), "}".repeat(depth)).into_bytes();
    let nots = |depth: usize| format!("if {}true {{}}", "not ".repeat(depth)).into_bytes();
    let scripts = [blocks(31), blocks(32), nots(30), nots(31)];
    let ours: Vec<_> =
        scripts.iter().map(|script| analyse(script, Dialect::Pigeonhole, true).accepted).collect();
    assert_eq!(ours, [true, false, true, false]);
    if let Some(laboratory) = Laboratory::open() {
        let engine: Vec<_> = scripts.iter().map(|script| laboratory.compiles(script)).collect();
        assert_eq!(engine, ours);
    }
}

#[test]
fn every_redirect_is_foretold_and_every_sure_one_happens() {
    let Some(laboratory) = Laboratory::open() else { return };
    let mut wrong = Vec::new();
    let mut compared = 0;
    for row in measured_and_more().iter().filter(|row| row.accepted) {
        let actions = laboratory.run_script(&row.script, &MESSAGES[0]);
        if !actions.finished {
            continue;
        }
        compared += 1;
        let analysis = analyse(&row.script, Dialect::Pigeonhole, true);
        wrong.extend(
            contradictions(&analysis, &actions).into_iter().map(|what| format!("{}: {what}", row.line)),
        );
    }
    println!("{compared} scripts compared");
    assert!(compared > 100, "only {compared} scripts ran to their end");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
