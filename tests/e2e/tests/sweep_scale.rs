//! Many mailboxes: bounded memory, and an end at any moment loses nothing and repeats nothing.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mailwarden_e2e::{World, WorldOptions, mailwarden_program};
use mailwarden_lab::OutsideWorld;
use mailwarden_lab::wait::wait_for;

/// The most that collecting may hold at any time.
const MOST_KIB: u64 = 120 * 1024;
/// The whole of it on a slow machine.
const LONG: Duration = Duration::from_secs(3600);

fn start(config: &str, file: &str, resume: bool) -> Child {
    let mut command = Command::new(mailwarden_program().unwrap());
    command.args(["collect", "--all", "--profile", "full", "--output", file, "--config", config]);
    if resume {
        command.arg("--resume");
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn done(file: &str) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let name = |line: &str| line.strip_prefix("{\"done\":\"")?.strip_suffix("\"}").map(str::to_owned);
    text.lines().filter_map(name).collect()
}

/// The most memory a process has held so far, in KiB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[test]
fn hundreds_of_mailboxes_are_collected_in_bounded_memory_and_across_a_crash() {
    collected_across_a_crash(300);
}

#[test]
#[ignore = "slow: ten thousand mailboxes on a real Dovecot"]
fn ten_thousand_mailboxes_are_collected_in_bounded_memory_and_across_a_crash() {
    collected_across_a_crash(10_000);
}

fn collected_across_a_crash(mailboxes: usize) {
    let mut wanted = WorldOptions { gate: false, ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    let user = |number| (format!("u{number}@example.test"), "pw".to_owned());
    wanted.lab.users.extend((0..mailboxes).map(user));
    let world = World::with(&wanted).unwrap();
    let mut config = world.sweep_config();
    config.host = true;
    config.more = "\n[sweep]\nconnections = 16\n".to_owned();
    let config = config.save().unwrap();
    let file = world.installation.path("all.jsonl");

    let mut first = start(&config, &file, false);
    wait_for(LONG, "a third of the mailboxes", || done(&file).len() > mailboxes / 3).unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    let before: BTreeSet<String> = done(&file).into_iter().collect();

    let mut second = start(&config, &file, true);
    let mut most = 0;
    wait_for(LONG, "the end of the collection", || {
        most = most.max(peak(second.id()));
        second.try_wait().unwrap().is_some()
    })
    .unwrap();
    let all = done(&file);
    let distinct: BTreeSet<String> = all.iter().cloned().collect();
    assert_eq!(all.len(), distinct.len(), "nothing is done twice");
    assert!(before.is_subset(&distinct) && before.len() > mailboxes / 3, "nothing is lost");
    // The users of the example policy, and the mail system itself.
    assert_eq!(distinct.len(), mailboxes + 7 + 1);
    assert!(most > 0 && most < MOST_KIB, "{most} KiB");
}
