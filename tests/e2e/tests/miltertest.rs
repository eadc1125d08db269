//! The gate under miltertest, the scripted MTA that other milters are tested with. One script a test.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::process::Command;

use mailwarden_e2e::{Gate, Installation, milter_program};
use mailwarden_lab::packages;

fn run(script: &str) {
    packages::ensure_installed(&mut |_step| {}).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let listen = format!("unix:{}/gate.sock", directory.path().display());
    let installation = Installation::create(&directory.path().join("m"), &listen, "", "").unwrap();
    let mut command = Command::new(milter_program().unwrap());
    command.args(["--config", &installation.config()]);
    let gate = Gate::start_alone(&mut command, &directory.path().join("log")).unwrap();
    let path = format!("{}/miltertest/{script}.lua", env!("CARGO_MANIFEST_DIR"));
    let sock = format!("sock={listen}");
    let ran = Command::new("timeout")
        .args(["60", packages::MILTERTEST, "-v", "-D", &sock, "-s", &path])
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}\n{}", gate.log());
    gate.stop().unwrap();
}

#[test]
fn every_stage_and_the_edits_at_the_end() {
    run("every_stage");
}

#[test]
fn refusals_at_each_place_and_nothing_left_after_an_abort() {
    run("refusals");
}
