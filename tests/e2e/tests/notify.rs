//! What is new after a sweep is told: to a webhook over verified TLS, and by letter. A sweep never fails because
//! nobody could be told.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mailwarden_e2e::{Output, SOON, SweepConfig, World, WorldOptions, mailwarden};
use mailwarden_lab::OutsideWorld;
use mailwarden_lab::ports::Port;
use mailwarden_lab::wait::wait_for;
use serde_json::Value;

/// Longer than a sweep takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A server that answers the first request with a status and writes down what it heard.
struct Hook {
    process: Child,
    heard: String,
    port: Port,
}

impl Hook {
    fn start(world: &World, status: &str) -> Hook {
        let port = Port::claim().unwrap();
        let heard = world.installation.path("heard");
        let (ca, address) = (world.lab.ca(), format!("127.0.0.1:{}", port.number()));
        let mut process = Command::new("/usr/bin/openssl")
            .args(["s_server", "-quiet", "-accept", &address])
            .arg("-cert")
            .arg(ca.certificate())
            .arg("-key")
            .arg(ca.key())
            .stdin(Stdio::piped())
            .stdout(File::create(&heard).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let (mut input, request) = (process.stdin.take().unwrap(), heard.clone());
        // An answer before the question is none. The input stays open with the thread: its end ends the server.
        std::thread::spawn(move || {
            let asked =
                || std::fs::read_to_string(&request).is_ok_and(|text| text.contains("mailwarden.notice"));
            if wait_for(LONG, "a question", asked).is_ok() {
                let _ = input.write_all(answer.as_bytes());
                let _ = input.flush();
                let _ = wait_for(LONG, "the end of the server", || input.write_all(b"").is_err());
            }
        });
        let listens = || std::net::TcpListener::bind(("127.0.0.1", port.number())).is_err();
        wait_for(SOON, "the webhook to listen", listens).unwrap();
        Hook { process, heard, port }
    }

    fn heard(&self) -> String {
        std::fs::read_to_string(&self.heard).unwrap()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn world() -> World {
    let mut options = WorldOptions { gate: false, ..WorldOptions::default() };
    options.lab.outside = OutsideWorld::Discarded;
    let world = World::with(&options).unwrap();
    let mut scripts = world.lab.managesieve("sales@example.test").unwrap();
    scripts.putscript("rules", "redirect \"thief@gmail.example\";\r\n").unwrap();
    scripts.setactive("rules").unwrap();
    world
}

/// A sendmail that keeps its letter.
fn mailer(world: &World, ending: &str) -> String {
    let (letter, words) = (world.installation.path("letter"), world.installation.path("words"));
    let script = format!("#!/bin/sh\necho \"$@\" >{words}\ncat >{letter}\n{ending}\n");
    let path = world.installation.write("sendmail", script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn config(world: &World, webhook: &str, sendmail: &str) -> String {
    let token = world.installation.write("token", "t0ken-of-the-hook\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut config = SweepConfig::of(&world.lab, &world.installation, "sweeppw");
    config.more = format!(
        "\n[notify]\nwebhook = \"{webhook}\"\nwebhook_token = {{ file = \"token\" }}\nca_file = {:?}\n\
         mail_to = [\"ops@example.test\"]\nmail_from = \"warden@example.test\"\nsendmail = \"{sendmail}\"\n",
        world.lab.ca().authority()
    );
    config.save().unwrap()
}

fn sweep(world: &World, config: &str) -> Output {
    let reports = world.installation.path("reports");
    mailwarden(&["sweep", "--all", "--format", "json", "--output", &reports, "--config", config]).unwrap()
}

fn body(heard: &str) -> Value {
    let (_, body) = heard.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no body in {heard:?}"));
    serde_json::from_str(body).unwrap()
}

#[test]
fn what_is_new_is_told_once_and_the_same_is_no_news_the_next_time() {
    let world = world();
    let hook = Hook::start(&world, "204 No Content");
    let url = format!("https://localhost:{}/hooks/s3cret", hook.port.number());
    let config = config(&world, &url, &mailer(&world, ""));
    let output = sweep(&world, &config);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(!output.stderr.contains("nobody heard"), "{}", output.stderr);
    let heard = hook.heard();
    assert!(heard.starts_with("POST /hooks/s3cret HTTP/1.1\r\n"), "{heard}");
    assert!(heard.to_lowercase().contains("authorization: bearer t0ken-of-the-hook\r\n"), "{heard}");
    let notice = body(&heard);
    assert_eq!(notice["schema"], "mailwarden.notice/1");
    let told = notice["findings"].as_array().unwrap();
    assert!(
        told.iter().any(|one| one["title"].as_str().unwrap().contains("thief@gmail.example")),
        "{notice:#}"
    );
    assert!(told.iter().all(|one| one["status"] == "new"), "{notice:#}");
    let letter = std::fs::read_to_string(world.installation.path("letter")).unwrap();
    assert!(
        letter.starts_with("From: <warden@example.test>\nTo: <ops@example.test>\nSubject: Mailwarden: "),
        "{letter}"
    );
    assert!(
        letter.contains("Auto-Submitted: auto-generated\n") && letter.contains("thief@gmail.example"),
        "{letter}"
    );
    let words = std::fs::read_to_string(world.installation.path("words")).unwrap();
    assert_eq!(words, "-i -f warden@example.test -- ops@example.test\n");
    std::fs::remove_file(world.installation.path("letter")).unwrap();
    let again = sweep(&world, &config);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(!Path::new(&world.installation.path("letter")).exists(), "the same findings were told again");
}

#[test]
fn a_sweep_that_nobody_hears_of_says_so_and_ends_as_it_would() {
    let world = world();
    let hook = Hook::start(&world, "500 No");
    let url = format!("https://localhost:{}/hooks/s3cret", hook.port.number());
    let output = sweep(&world, &config(&world, &url, &mailer(&world, "exit 75")));
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("https://localhost/... answered 500"), "{}", output.stderr);
    assert!(output.stderr.contains("did not take the letter (exit status: 75)"), "{}", output.stderr);
    for secret in ["s3cret", "t0ken"] {
        assert!(!output.stderr.contains(secret), "{}", output.stderr);
    }
}

#[test]
fn a_dry_run_shows_all_of_it_and_sends_nothing() {
    let world = world();
    let config = config(&world, "https://localhost:1/hooks/s3cret", "/nonexistent/sendmail");
    sweep(&world, &config);
    let report = world.installation.path("reports/report.json");
    let output = mailwarden(&["notify", &report, "--dry-run", "--config", &config]).unwrap();
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.starts_with("POST https://localhost/...\n{"), "{}", output.stdout);
    assert!(
        output.stdout.contains("\nSubject: Mailwarden: ") && output.stdout.contains("thief@gmail.example")
    );
    assert!(!output.stdout.contains("s3cret") && !output.stdout.contains("t0ken"), "{}", output.stdout);
    // Without the rehearsal both ways fail, and are named.
    let output = mailwarden(&["notify", &report, "--config", &config]).unwrap();
    assert_eq!(output.code, 4, "{output:?}");
    assert!(output.stderr.contains("/nonexistent/sendmail cannot be started"), "{}", output.stderr);
}
