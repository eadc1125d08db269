//! The commands of docs/operating, run as they stand there. Of the paths only those that a test must not
//! touch are replaced.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mailwarden_e2e::{SOON, World, letter, milter_program, reference_of};
use mailwarden_lab::wait::wait_for;

fn pages() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let page = |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).unwrap());
    files.filter(|path| path.extension().is_some_and(|kind| kind == "md")).map(page).collect()
}

/// The lines of the `sh` blocks that begin with one of our programs; `console` blocks need a place or a case of
/// the reader's own.
fn commands(page: &str) -> Vec<&str> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in page.lines() {
        match line {
            "```sh" => in_block = true,
            "```" => in_block = false,
            _ if in_block && line.starts_with("mailwarden") => found.push(line),
            _ => {}
        }
    }
    found
}

/// Runs a command of a page; files that it makes lie in this directory.
fn run_in_shell(command: &str, path: &str, directory: &str) -> Output {
    Command::new("/bin/sh").args(["-c", command]).env("PATH", path).current_dir(directory).output().unwrap()
}

#[test]
fn every_documented_command_does_what_the_page_says() {
    let world = World::start().unwrap();
    let vendor = "news@vendor.test";
    let refused = world.send_from_outside(vendor, &["burnt@saas.example.test"], letter(vendor, "x")).unwrap();
    let reference = reference_of(&refused.refusal().unwrap().text()).unwrap().to_owned();
    let message = world.installation.write("saved.eml", letter("News <news@vendor.test>", "saved")).unwrap();
    let (config, directory) = (world.installation.config(), world.installation.path(""));
    let programs = milter_program().unwrap().parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let mut run = 0;
    for (page, text) in pages() {
        for line in commands(&text) {
            let mut command = line
                .replace("REFERENCE", &reference)
                .replace("MESSAGE", &message)
                .replace("/etc/mailwarden/mailwarden.toml", &config);
            if !command.contains("--config") {
                command.push_str(&format!(" --config {config}"));
            }
            if command.contains("postfix check") {
                command.push_str(&format!(" --instance {}", world.lab.postfix.config_dir().display()));
            }
            if command.starts_with("mailwarden gate show") {
                let written = || run_in_shell(&command, &path, &directory).status.success();
                wait_for(SOON, "the refusal in the journal, which is written in batches", written).unwrap();
            }
            let output = run_in_shell(&command, &path, &directory);
            let said = String::from_utf8_lossy(&output.stderr);
            // `explain` says by its exit code that the gate would refuse.
            let expected =
                i32::from(line.starts_with("mailwarden explain") && line.contains("--rcpt burnt@"));
            assert_eq!(output.status.code(), Some(expected), "{page}: {command}: {said}");
            run += 1;
        }
    }
    assert!(run >= 8, "only {run} commands found");
}
