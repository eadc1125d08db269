//! docs/tutorial.md: its commands, in its order, against a Postfix and a Dovecot that run.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::Path;
use std::process::Command;

use mailwarden_e2e::{SweepConfig, World, WorldOptions, mailwarden_program};
use mailwarden_lab::OutsideWorld;

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tutorial.md")).unwrap()
}

/// The lines of the blocks of one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// What each command of the page ends with on a machine where one mailbox forwards its mail to a stranger.
fn expected(command: &str) -> &'static [i32] {
    match command.split(' ').nth(1).unwrap() {
        // Findings; the master user of this machine was never told to the policy.
        "sweep" => &[1],
        // The lints of the example, and the refusal that the question is about.
        "check" | "explain" => &[0, 1],
        _ => &[0],
    }
}

#[test]
fn the_tutorial_can_be_followed_word_by_word() {
    let mut options = WorldOptions { gate: false, ..WorldOptions::default() };
    options.lab.outside = OutsideWorld::Discarded;
    let world = World::with(&options).unwrap();
    let mut scripts = world.lab.managesieve("sales@example.test").unwrap();
    scripts.putscript("rules", "redirect \"thief@gmail.example\";\r\n").unwrap();
    scripts.setactive("rules").unwrap();
    let page = page();
    let rules = blocks(&page, "toml").into_iter().find(|block| block.contains("[gate.rules]")).unwrap();
    let mut config = SweepConfig::of(&world.lab, &world.installation, "sweeppw");
    config.more = format!("\n[notify]\nmail_to = [\"ops@example.test\"]\n\n{rules}");
    let config = config.save().unwrap();
    let programs = mailwarden_program().unwrap().parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let mut said = String::new();
    let mut run = 0;
    for command in blocks(&page, "sh").iter().flat_map(|block| block.lines()) {
        let typed = format!("{command} --config {config}");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &typed]).env("PATH", &path).current_dir(world.installation.path(""));
        let output = shell.output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().unwrap();
        assert!(expected(command).contains(&code), "{typed} ended with {code}: {complaint}");
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        run += 1;
    }
    assert_eq!(run, 7);
    assert!(said.contains("thief@gmail.example"), "{said}");
    // The second sweep compared itself with the first, so nothing is news.
    let saved = std::fs::read_to_string(world.installation.path("reports/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&saved).unwrap();
    let statuses: Vec<_> = report["findings"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert!(!statuses.is_empty() && statuses.iter().all(|status| **status == "unchanged"), "{statuses:?}");
    let check =
        Command::new(format!("{programs}/mailwarden-milter")).args(["--check", "--config", &config]).output();
    assert!(check.unwrap().status.success(), "the gate does not take the rules of the page");
}
