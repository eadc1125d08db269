//! Collecting here and judging there: the same verdict, nothing lost by an interruption, nothing done twice.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mailwarden_e2e::{World, WorldOptions, mailwarden};
use mailwarden_lab::OutsideWorld;
use serde_json::Value;

const THIEF: &str = "thief@gmail.example";

fn world() -> World {
    let mut wanted = WorldOptions { gate: false, ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    let world = World::with(&wanted).unwrap();
    let mut scripts = world.lab.managesieve("alice@example.test").unwrap();
    scripts.putscript("main", &format!("redirect \"{THIEF}\";\r\n")).unwrap();
    scripts.setactive("main").unwrap();
    world
}

fn config(world: &World) -> String {
    let mut config = world.sweep_config();
    config.host = true;
    config.save().unwrap()
}

fn lines(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn done(lines: &[Value]) -> Vec<String> {
    lines.iter().filter_map(|line| line["done"].as_str().map(str::to_owned)).collect()
}

/// What a judgement says, without what is of the moment.
fn essence(report: &Value) -> (Value, Vec<(String, String)>, usize) {
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.map(|finding| {
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        (text("fingerprint"), text("content_hash"))
    });
    (report["verdict"].clone(), findings.collect(), report["coverage"].as_array().unwrap().len())
}

#[test]
fn what_is_collected_here_is_judged_alike_elsewhere() {
    let world = world();
    let config = config(&world);
    let file = world.installation.path("mx1.jsonl");
    let arguments = ["collect", "--all", "--profile", "full", "--output", &file, "--config", &config];
    let collected = mailwarden(&arguments).unwrap();
    assert_eq!(collected.code, 0, "{collected:?}");
    assert!(collected.stdout.is_empty());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let all = lines(&file);
    assert_eq!(all[0]["head"]["schema"], "mailwarden.collection/1");
    assert!(all.last().unwrap()["end"].is_object());
    assert!(!fs::read_to_string(&file).unwrap().contains("sweeppw"));

    let swept = ["sweep", "--all", "--profile", "full", "--format", "json", "--config", &config];
    let swept = mailwarden(&swept).unwrap().json();
    // The other machine has the policy and no server.
    world.lab.leave_nothing().unwrap();
    let judged = mailwarden(&["judge", "--input", &file, "--format", "json", "--config", &config]).unwrap();
    assert_eq!(judged.code, 1, "{judged:?}");
    assert_eq!(essence(&judged.json()), essence(&swept));
}

#[test]
fn an_interrupted_collection_is_continued_without_loss_or_repetition() {
    let world = world();
    let config = config(&world);
    let file = world.installation.path("mx1.jsonl");
    let collect = ["collect", "--all", "--output", &file, "--config", &config];
    assert_eq!(mailwarden(&collect).unwrap().code, 0);
    let whole = lines(&file);
    let text = fs::read_to_string(&file).unwrap();
    let resumed = [&collect[..], &["--resume"]].concat();
    let judge = ["judge", "--input", &file, "--format", "json", "--config", &config];
    let expected = essence(&mailwarden(&judge).unwrap().json());
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    // In the middle of a line, of a mailbox, and before the last line.
    for cut in [ends[0] + 10, text.len() / 2, ends[ends.len() / 3], ends[ends.len() - 2]] {
        fs::write(&file, &text.as_bytes()[..cut]).unwrap();
        let unfinished = mailwarden(&judge).unwrap();
        assert_eq!(unfinished.code, 2, "half a collection is judged by nobody: {unfinished:?}");
        assert!(unfinished.stderr.contains("--resume"), "{}", unfinished.stderr);
        let kept: BTreeSet<String> = done_before(&text, cut);
        assert_eq!(mailwarden(&resumed).unwrap().code, 0);
        let again = lines(&file);
        let names = done(&again);
        let distinct: BTreeSet<&String> = names.iter().collect();
        assert_eq!(names.len(), distinct.len(), "a mailbox stands twice");
        assert_eq!(distinct, done(&whole).iter().collect::<BTreeSet<_>>());
        let head: Vec<&String> = names.iter().take(kept.len()).collect();
        assert_eq!(head.into_iter().cloned().collect::<BTreeSet<_>>(), kept, "what was done is kept");
        assert_eq!(essence(&mailwarden(&judge).unwrap().json()), expected, "cut at {cut}");
    }
}

fn done_before(text: &str, cut: usize) -> BTreeSet<String> {
    let whole = &text[..text[..cut].rfind('\n').unwrap() + 1];
    let lines: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    done(&lines).into_iter().collect()
}

#[test]
fn a_collection_that_was_altered_or_is_none_is_refused() {
    let world = world();
    let config = config(&world);
    let file = world.installation.path("mx1.jsonl");
    let collect = ["collect", "--all", "--output", &file, "--config", &config];
    assert_eq!(mailwarden(&collect).unwrap().code, 0);
    let text = fs::read_to_string(&file).unwrap();
    let without_one: String = {
        let mut lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|line| line.starts_with("{\"observation\"")).unwrap();
        lines.remove(at);
        lines.iter().map(|line| format!("{line}\n")).collect()
    };
    let next_version = text.replacen("mailwarden.collection/1", "mailwarden.collection/2", 1);
    for (spoilt, word) in [
        (without_one, "missing"),
        (next_version, "collection/2"),
        ("not json\n".to_owned(), "line 1"),
        (String::new(), "empty"),
    ] {
        fs::write(&file, spoilt).unwrap();
        let output = mailwarden(&["judge", "--input", &file, "--config", &config]).unwrap();
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
    }
}

#[test]
fn a_sweep_into_a_directory_is_continued_and_other_surfaces_are_not_mixed_in() {
    let world = world();
    let config = config(&world);
    let directory = world.installation.path("reports");
    let sweep = ["sweep", "--all", "--profile", "remote", "--output", &directory, "--config", &config];
    assert_eq!(mailwarden(&sweep).unwrap().code, 1);
    let file = format!("{directory}/collection.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let half = text[..text.len() / 2].to_owned();
    fs::write(&file, &half).unwrap();
    let other =
        ["sweep", "--all", "--profile", "full", "--output", &directory, "--config", &config, "--resume"];
    let refused = mailwarden(&other).unwrap();
    assert_eq!(refused.code, 2, "{refused:?}");
    let resumed = [&sweep[..], &["--resume"]].concat();
    assert_eq!(mailwarden(&resumed).unwrap().code, 1);
    let names = done(&lines(&file));
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len());
    let report: Value =
        serde_json::from_slice(&fs::read(format!("{directory}/report.json")).unwrap()).unwrap();
    assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{report:#}");
}

#[test]
fn a_limit_of_the_rate_is_kept() {
    let world = world();
    let config = config(&world);
    let begin = std::time::Instant::now();
    let arguments = ["sweep", "--all", "--profile", "remote", "--limit-rate", "5", "--config", &config];
    assert_eq!(mailwarden(&arguments).unwrap().code, 1);
    // Seven mailboxes: six pauses of a fifth of a second between their logins.
    assert!(begin.elapsed().as_millis() >= 1200, "{:?}", begin.elapsed());
    let refused = mailwarden(&["sweep", "--all", "--limit-rate", "0", "--config", &config]).unwrap();
    assert_eq!(refused.code, 2);
}
