//! Revoke and restore: what is planned is what happens, and what happened can be undone to the byte.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mailwarden_e2e::{Output, SOON, SweepConfig, World, WorldOptions, login, mailwarden, mailwarden_program};
use mailwarden_lab::wait::wait_for;
use mailwarden_lab::{OutsideWorld, population};
use serde_json::Value;

const ALICE: &str = "alice@example.test";
const OPS: &str = "ops@example.test";
const SCRIPT: &str = "require [\"copy\",\"fileinto\"];\r\n# rules\r\nif header :contains \"subject\" \"list\" {\r\n  \
                      fileinto \"Lists\";\r\n}\r\nredirect \"thief@gmail.example\";\r\n";
const APPROVAL: [&str; 7] =
    ["--apply", "--approved-by", "jane@example.test", "--ticket", "OFF-12", "--as", "omar@example.test"];

fn world() -> World {
    world_with("")
}

/// With more of what the policy says about changing forwarding.
fn world_with(more: &str) -> World {
    // Whoever runs the tests acts for Omar, and forwarding is changed on the word of the client's owner only.
    let raci = format!(
        "[raci]\nact_as = [\"{}\"]\n[raci.change-forwarding]\napprove = [\"client-owner\"]\n{more}",
        login().unwrap()
    );
    let mut wanted = WorldOptions { gate: false, policy: raci, ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    World::with(&wanted).unwrap()
}

fn plant(world: &World) {
    let mut scripts = world.lab.managesieve(ALICE).unwrap();
    scripts.putscript("spam \"filter\"\\", SCRIPT).unwrap();
    scripts.setactive("spam \"filter\"\\").unwrap();
    let mut ops = world.lab.imap(OPS).unwrap();
    ops.create("Secret \"x\"").unwrap();
    for (who, rights) in
        [("omar@example.test", "lrsw"), ("bob@example.test", "lrt"), ("-bob@example.test", "w")]
    {
        ops.setacl("Secret \"x\"", who, rights).unwrap();
    }
    ops.setmetadata("INBOX", "/shared/imapsieve/script", Some("ghost")).unwrap();
}

struct Case {
    world: World,
    config: String,
    report: Value,
}

impl Case {
    fn of(world: World, config: &SweepConfig) -> Case {
        let config = config.save().unwrap();
        let report = mailwarden(&["sweep", "--all", "--format", "json", "--config", &config]).unwrap().json();
        Case { world, config, report }
    }

    fn new() -> Case {
        let world = world();
        plant(&world);
        let config = world.sweep_config();
        Case::of(world, &config)
    }

    /// The fingerprint of the only finding of a check.
    fn finding(&self, check_id: &str) -> String {
        let findings = self.report["findings"].as_array().unwrap();
        let mine: Vec<&Value> = findings.iter().filter(|finding| finding["check_id"] == check_id).collect();
        assert_eq!(mine.len(), 1, "{check_id}: {:#}", self.report["findings"]);
        mine[0]["fingerprint"].as_str().unwrap().to_owned()
    }

    fn run(&self, command: &str, more: &[&str]) -> Output {
        mailwarden(&[&[command, "--format", "json", "--config", &self.config], more].concat()).unwrap()
    }

    fn revoke(&self, fingerprint: &str) -> String {
        let output = self.run("revoke", &[&[fingerprint], &APPROVAL[..]].concat());
        assert_eq!(output.code, 0, "{output:?}");
        let answer = output.json();
        assert_eq!(answer["applied"][0]["outcome"], "applied", "{answer:#}");
        answer["applied"][0]["change"].as_str().unwrap().to_owned()
    }

    fn restore(&self, change: &str) -> Value {
        let output = self.run("restore", &[&[change], &APPROVAL[..]].concat());
        assert_eq!(output.code, 0, "{output:?}");
        output.json()
    }

    fn ledger_is_intact(&self) {
        let output = mailwarden(&["ledger", "verify", "--config", &self.config]).unwrap();
        assert_eq!(output.code, 0, "{output:?}");
    }

    fn kinds(&self) -> Vec<String> {
        let arguments = ["ledger", "show", "--json", "--kind", "change", "--config", &self.config];
        let shown = mailwarden(&arguments).unwrap().json();
        let kind = |event: &Value| event["kind"].as_str().unwrap().to_owned();
        shown["events"].as_array().unwrap().iter().map(kind).collect()
    }

    /// Everything that decides what happens to a mailbox, byte for byte. Compiled scripts, logs and indexes follow
    /// from it, and so does the index of access control lists, which holds the times of their files.
    fn files(&self, mailbox: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.world.lab.dovecot.home(mailbox), &mut files);
        files
    }
}

fn collect(directory: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let derived = ["svbin", "log", "cache"].iter().any(|end| name.ends_with(end))
            || ["dovecot.index", "dovecot-uid", "dovecot.list", "dovecot-acl-list", "maildirfolder"]
                .iter()
                .any(|start| name.starts_with(start));
        if path.is_symlink() {
            files.insert(
                path.display().to_string(),
                std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            );
        } else if path.is_dir() {
            collect(&path, files);
        } else if !derived {
            files.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn revoke_then_restore_leaves_every_kind_byte_identical() {
    let case = Case::new();
    let before = (case.files(ALICE), case.files(OPS));
    assert!(before.0.keys().any(|name| name.ends_with(".sieve")), "{:?}", before.0.keys());
    assert!(before.1.keys().any(|name| name.ends_with("dovecot-acl")), "{:?}", before.1.keys());
    let mut changes = Vec::new();
    for check in ["sieve.redirect-external", "acl.grant-leaver", "imapsieve.script"] {
        let fingerprint = case.finding(check);
        let plan = case.run("revoke", &[&fingerprint]);
        assert_eq!(plan.code, 0, "{plan:?}");
        assert_eq!(plan.json()["plan"][0]["item"], "change", "{}", plan.stdout);
        changes.push(case.revoke(&fingerprint));
    }
    let after = mailwarden(&["sweep", "--all", "--format", "json", "--config", &case.config]).unwrap().json();
    let open = |check: &str| {
        let findings = after["findings"].as_array().unwrap();
        findings.iter().any(|finding| finding["check_id"] == check && finding["state"] == "active")
    };
    for check in ["sieve.redirect-external", "acl.grant-leaver", "imapsieve.script"] {
        assert!(!open(check), "{check} still acts: {:#}", after["findings"]);
    }
    let mut scripts = case.world.lab.managesieve(ALICE).unwrap();
    assert!(scripts.listscripts().unwrap()[0].active, "the script stays the active one");
    assert_ne!(before.0, case.files(ALICE));
    for change in changes.iter().rev() {
        assert_eq!(case.restore(change)["outcome"], "restored");
    }
    assert_eq!(before.0, case.files(ALICE));
    assert_eq!(before.1, case.files(OPS));
    for change in &changes {
        assert_eq!(case.restore(change)["outcome"], "as-before", "a second time changes nothing");
    }
    case.ledger_is_intact();
}

#[test]
fn the_active_script_is_deactivated_and_comes_back() {
    let case = Case::new();
    let before = case.files(ALICE);
    let fingerprint = case.finding("sieve.redirect-external");
    let output = case.run("revoke", &[&[&fingerprint[..], "--deactivate"], &APPROVAL[..]].concat());
    assert_eq!(output.code, 0, "{output:?}");
    let mut scripts = case.world.lab.managesieve(ALICE).unwrap();
    assert!(!scripts.listscripts().unwrap()[0].active);
    let change = output.json()["applied"][0]["change"].as_str().unwrap().to_owned();
    case.restore(&change);
    assert_eq!(before, case.files(ALICE));
}

#[test]
fn nothing_is_changed_without_apply_approval_and_another_person() {
    let case = Case::new();
    let before = case.files(ALICE);
    let fingerprint = case.finding("sieve.redirect-external");
    let plan = mailwarden(&["revoke", &fingerprint, "--config", &case.config]).unwrap();
    assert_eq!(plan.code, 0, "{plan:?}");
    for said in [
        "-redirect \"thief@gmail.example\";",
        "+if false {",
        "SOGo",
        "Nothing was changed",
        "mailwarden restore",
    ] {
        assert!(plan.stdout.contains(said), "{said:?}:\n{}", plan.stdout);
    }
    let omar = ["--apply", "--as", "omar@example.test", "--ticket", "T"];
    for (arguments, said) in [
        (&["--apply"][..], "--ticket says"),
        (&["--apply", "--ticket", "T", "--as", "jane@example.test"], "may not execute"),
        (&omar, "an approval by the client owner"),
        (&[&omar[..], &["--approved-by", "nobody@example.test"]].concat(), "nobody the policy knows"),
        (&[&omar[..], &["--approved-by", "bob@example.test"]].concat(), "has left"),
        (&[&omar[..], &["--approved-by", "olga@example.test"]].concat(), "cannot approve"),
        (&[&omar[..], &["--approved-by", "omar@example.test"]].concat(), "cannot approve"),
    ] {
        let output = case.run("revoke", &[&[&fingerprint[..]], arguments].concat());
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(said), "{said:?}: {}", output.stderr);
    }
    assert_eq!(before, case.files(ALICE));
    assert_eq!(case.kinds(), Vec::<String>::new());
}

#[test]
fn many_changes_at_once_are_stopped() {
    let case = Case::new();
    let findings = [case.finding("sieve.redirect-external"), case.finding("acl.grant-leaver")];
    let wanted = [&findings[0][..], &findings[1], "--max-changes", "1"];
    let output = case.run("revoke", &[&wanted[..], &APPROVAL[..]].concat());
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("2 changes are more than 1"), "{}", output.stderr);
    assert_eq!(case.kinds(), Vec::<String>::new());
}

#[test]
fn a_changed_object_is_refused() {
    let case = Case::new();
    let fingerprint = case.finding("sieve.redirect-external");
    let mut scripts = case.world.lab.managesieve(ALICE).unwrap();
    let narrowed = SCRIPT.replace("redirect", "if true { stop; }\r\nredirect :copy");
    scripts.putscript("spam \"filter\"\\", &narrowed).unwrap();
    let output = case.run("revoke", &[&[&fingerprint[..]], &APPROVAL[..]].concat());
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("changed since it was reported"), "{}", output.stdout);
    assert_eq!(scripts.getscript("spam \"filter\"\\").unwrap(), narrowed);
    scripts.putscript("spam \"filter\"\\", SCRIPT).unwrap();
    let change = case.revoke(&fingerprint);
    scripts.putscript("spam \"filter\"\\", "keep;\r\n").unwrap();
    let output = case.run("restore", &[&[&change[..]], &APPROVAL[..]].concat());
    assert_eq!((output.code, &output.json()["outcome"]), (1, &Value::from("refused")), "{output:?}");
    let output = case.run("restore", &[&[&change[..], "--overwrite"], &APPROVAL[..]].concat());
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(scripts.getscript("spam \"filter\"\\").unwrap(), SCRIPT);
    let gone = case.run("revoke", &[&fingerprint]);
    assert_eq!(gone.code, 0, "{gone:?}");
}

#[test]
fn what_is_gone_already_is_no_failure() {
    let case = Case::new();
    let fingerprint = case.finding("acl.grant-leaver");
    case.revoke(&fingerprint);
    let again = case.run("revoke", &[&[&fingerprint[..]], &APPROVAL[..]].concat());
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(again.json()["plan"][0]["because"], "it is gone already", "{}", again.stdout);
    assert_eq!(case.kinds(), ["change.planned", "change.applied"]);
}

#[test]
fn a_hostile_folder_or_script_name_begins_no_command() {
    let world = world();
    let mut scripts = world.lab.managesieve(ALICE).unwrap();
    let hostile = "x\" \"keep;\"} SETACTIVE {1+}";
    scripts.putscript(hostile, "redirect \"thief@gmail.example\";\r\n").unwrap();
    scripts.setactive(hostile).unwrap();
    let mut ops = world.lab.imap(OPS).unwrap();
    ops.create("a\" anyone lr \\").unwrap();
    ops.setacl("a\" anyone lr \\", "bob@example.test", "lr").unwrap();
    let config = world.sweep_config();
    let case = Case::of(world, &config);
    let before = (case.files(ALICE), case.files(OPS));
    for check in ["sieve.redirect-external", "acl.grant-leaver"] {
        let change = case.revoke(&case.finding(check));
        assert_eq!(case.restore(&change)["outcome"], "restored");
    }
    assert_eq!(before, (case.files(ALICE), case.files(OPS)));
}

#[test]
fn a_key_and_a_session_are_ended_for_good_and_only_when_told_so() {
    let world = world();
    population::sign_url(&world.lab, ALICE).unwrap();
    let mut bob = world.lab.imap("bob@example.test").unwrap();
    let mut config = world.sweep_config();
    config.host = true;
    let case = Case::of(world, &config);
    for check in ["imap.urlauth-key", "session.leaver"] {
        let fingerprint = case.finding(check);
        let refused = case.run("revoke", &[&[&fingerprint[..]], &APPROVAL[..]].concat());
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stdout.contains("could not be undone"), "{}", refused.stdout);
    }
    assert_eq!(case.kinds(), Vec::<String>::new());
    bob.expect_ok("NOOP").unwrap();
    for check in ["imap.urlauth-key", "session.leaver"] {
        let fingerprint = case.finding(check);
        let ended = case.run("revoke", &[&[&fingerprint[..], "--accept-final"], &APPROVAL[..]].concat());
        assert_eq!(ended.code, 0, "{ended:?}");
        let change = ended.json()["applied"][0]["change"].as_str().unwrap().to_owned();
        let back = case.run("restore", &[&[&change[..]], &APPROVAL[..]].concat());
        assert_eq!((back.code, &back.json()["outcome"]), (1, &Value::from("refused")), "{back:?}");
    }
    assert!(bob.expect_ok("NOOP").is_err(), "the connection is closed");
    let after = mailwarden(&["sweep", "--all", "--format", "json", "--config", &case.config]).unwrap().json();
    let is_open = |check: &str| {
        after["findings"].as_array().unwrap().iter().any(|finding| finding["check_id"] == check)
    };
    assert!(!is_open("imap.urlauth-key") && !is_open("session.leaver"), "{:#}", after["findings"]);
    case.ledger_is_intact();
}

// --- failures in the middle -----------------------------------------------------------------------------------------

/// A wire to the real server that breaks, or goes quiet, when a client wants to store a script.
struct Wire {
    port: u16,
    reached: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// The command never arrives, and every other connection ends at once: the server died before the change.
    Cut,
    /// The command never arrives, and only its connection ends.
    Broken,
    /// The command never arrives, and nothing more is heard.
    Before,
    /// The command arrives and is done, and nothing more is heard.
    After,
}

impl Wire {
    fn to(port: u16, at: At) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let reached = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&reached);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || relay(client, port, at, &seen));
            }
        });
        Wire { port: own, reached }
    }
}

fn relay(mut client: TcpStream, port: u16, at: At, reached: &Arc<AtomicBool>) {
    if at == At::Cut && reached.load(Ordering::SeqCst) {
        return;
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)) else { return };
    let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let quiet = Arc::clone(reached);
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = back.read(&mut bytes) {
            let is_dead = at != At::Broken && quiet.load(Ordering::SeqCst);
            if !is_dead && to_client.write_all(&bytes[..count]).is_err() {
                return;
            }
        }
    });
    let mut bytes = [0; 65536];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        let stores = bytes[..count].windows(9).any(|word| word == b"PUTSCRIPT");
        if stores {
            reached.store(true, Ordering::SeqCst);
            if matches!(at, At::Cut | At::Broken) {
                let _ = client.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
        if !(stores && at == At::Before) && server.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}

/// A case whose ManageSieve goes over such a wire for the command that changes something.
fn over(case: &Case, at: At) -> (Wire, String) {
    let wire = Wire::to(case.world.lab.dovecot.sieve_port(), at);
    let mut config = case.world.sweep_config().named("wired");
    config.sieve_port = wire.port;
    config.sieve_tls = "none";
    (wire, config.save().unwrap())
}

fn killed_in_the_middle(case: &Case, at: At) {
    let (wire, config) = over(case, at);
    let fingerprint = case.finding("sieve.redirect-external");
    let mut child: Child = Command::new(mailwarden_program().unwrap())
        .args(["revoke", &fingerprint, "--config", &config])
        .args(APPROVAL)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(SOON, "the script to be stored", || wire.reached.load(Ordering::SeqCst)).unwrap();
    if at == At::After {
        let changed = || {
            let mut scripts = case.world.lab.managesieve(ALICE).unwrap();
            scripts.getscript("spam \"filter\"\\").unwrap().contains("if false")
        };
        wait_for(SOON, "the script to be changed", changed).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn planned_change(case: &Case) -> String {
    let arguments = ["ledger", "show", "--json", "--kind", "change.planned", "--config", &case.config];
    let shown = mailwarden(&arguments).unwrap().json();
    shown["events"][0]["detail"]["payload"]["change"].as_str().unwrap().to_owned()
}

#[test]
fn killed_between_snapshot_and_change_nothing_is_lost() {
    let case = Case::new();
    let before = case.files(ALICE);
    killed_in_the_middle(&case, At::Before);
    assert_eq!(case.kinds(), ["change.planned"], "the prior state is durable before the change");
    assert_eq!(before, case.files(ALICE));
    let again =
        case.run("revoke", &[&[&case.finding("sieve.redirect-external")[..]], &APPROVAL[..]].concat());
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.stderr.contains("was cut off"), "{}", again.stderr);
    assert_eq!(case.restore(&planned_change(&case))["outcome"], "as-before");
    assert_eq!(case.kinds(), ["change.planned", "change.reverted"]);
    case.revoke(&case.finding("sieve.redirect-external"));
    case.ledger_is_intact();
}

#[test]
fn killed_between_change_and_record_the_change_is_undone() {
    let case = Case::new();
    let before = case.files(ALICE);
    killed_in_the_middle(&case, At::After);
    assert_eq!(case.kinds(), ["change.planned"]);
    assert_ne!(before, case.files(ALICE));
    assert_eq!(case.restore(&planned_change(&case))["outcome"], "restored");
    assert_eq!(before, case.files(ALICE));
    case.ledger_is_intact();
}

#[test]
fn a_server_that_dies_in_the_middle_is_reported_and_recorded() {
    let case = Case::new();
    let before = case.files(ALICE);
    let (wire, config) = over(&case, At::Cut);
    let fingerprint = case.finding("sieve.redirect-external");
    let arguments =
        [&["revoke", &fingerprint, "--format", "json", "--config", &config], &APPROVAL[..]].concat();
    let output = mailwarden(&arguments).unwrap();
    assert!(wire.reached.load(Ordering::SeqCst));
    assert_eq!(output.code, 1, "{output:?}");
    let applied = &output.json()["applied"][0];
    assert!(matches!(applied["outcome"].as_str(), Some("failed" | "uncertain")), "{applied:#}");
    assert_eq!(before, case.files(ALICE));
    let change = applied["change"].as_str().unwrap();
    assert_eq!(case.restore(change)["outcome"], "as-before");
    case.ledger_is_intact();
}

#[test]
fn a_failure_among_several_changes_leaves_the_rest_untried_and_a_second_run_finishes_them() {
    finished_by_a_second_run(At::Broken, "failed", &["change.planned", "change.failed"]);
}

#[test]
fn a_server_that_dies_among_several_changes_leaves_one_to_settle_and_the_rest_to_a_second_run() {
    finished_by_a_second_run(At::Cut, "uncertain", &["change.planned"]);
}

fn finished_by_a_second_run(at: At, outcome: &str, recorded: &[&str]) {
    let case = Case::new();
    let before = (case.files(ALICE), case.files(OPS));
    let checks = ["acl.grant-leaver", "sieve.redirect-external", "imapsieve.script"];
    let findings = checks.map(|check| case.finding(check));
    let asked: Vec<&str> = findings.iter().map(String::as_str).collect();
    let (wire, config) = over(&case, at);
    let head = ["revoke", "--format", "json", "--config", &config];
    let output = mailwarden(&[&head[..], &asked, &APPROVAL].concat()).unwrap();
    assert!(wire.reached.load(Ordering::SeqCst));
    assert_eq!(output.code, 1, "{output:?}");
    let answer = output.json();
    let outcomes = |answer: &Value| -> Vec<(String, String)> {
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        let rows = answer["applied"].as_array().unwrap();
        rows.iter().map(|row| (text(row, "fingerprint"), text(row, "outcome"))).collect()
    };
    let first = outcomes(&answer);
    assert_eq!(first[0], (findings[0].clone(), "applied".to_owned()), "{answer:#}");
    assert_eq!(first[1], (findings[1].clone(), outcome.to_owned()), "{answer:#}");
    assert_eq!(first[2], (findings[2].clone(), "not-tried".to_owned()), "{answer:#}");
    let kinds = [&["change.planned", "change.applied"], recorded, &["change.not-tried"]].concat();
    assert_eq!(case.kinds(), kinds);
    assert_eq!(before.0, case.files(ALICE), "the failed change left nothing");
    let is_annotated =
        |case: &Case| case.files(OPS).values().any(|text| text.windows(5).any(|word| word == b"ghost"));
    assert!(is_annotated(&case), "what was not tried is as before");

    let change = |answer: &Value, at: usize| answer["applied"][at]["change"].as_str().unwrap().to_owned();
    if outcome == "uncertain" {
        let unsettled = case.run("revoke", &[&asked[..], &APPROVAL].concat());
        assert!(unsettled.code == 2 && unsettled.stderr.contains(&change(&answer, 1)), "{unsettled:?}");
        assert_eq!(case.restore(&change(&answer, 1))["outcome"], "as-before");
    }
    let again = case.run("revoke", &[&asked[..], &APPROVAL].concat());
    assert_eq!(again.code, 0, "{again:?}");
    let second = again.json();
    assert_eq!(second["plan"][0]["because"], "it is gone already", "{second:#}");
    let rest: Vec<(String, String)> =
        findings[1..].iter().map(|finding| (finding.clone(), "applied".to_owned())).collect();
    assert_eq!(outcomes(&second), rest);
    assert!(!is_annotated(&case));

    for change in [change(&second, 1), change(&second, 0), change(&answer, 0)] {
        assert_eq!(case.restore(&change)["outcome"], "restored");
    }
    assert_eq!(
        case.restore(&change(&answer, 1))["outcome"],
        "as-before",
        "the failed one has nothing to undo"
    );
    assert_eq!(before, (case.files(ALICE), case.files(OPS)), "exactly what was changed is back");
    case.ledger_is_intact();
}

// --- signed approvals -----------------------------------------------------------------------------------------------

/// Keys, and what they signed.
struct Keys {
    directory: tempfile::TempDir,
}

impl Keys {
    fn new(names: &[&str]) -> Keys {
        let keys = Keys { directory: tempfile::tempdir().unwrap() };
        for name in names {
            let key = keys.path(name);
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &key]).status();
            assert!(made.unwrap().success());
        }
        keys
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn public(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().trim().to_owned()
    }

    fn signed(&self, key: &str, namespace: &str, text: &str) -> String {
        let number = std::fs::read_dir(self.directory.path()).unwrap().count();
        let file = self.path(&format!("text-{number}"));
        std::fs::write(&file, text).unwrap();
        let arguments = ["-q", "-Y", "sign", "-n", namespace, "-f", &self.path(key), &file];
        assert!(Command::new("ssh-keygen").args(arguments).status().unwrap().success());
        format!("{file}.sig")
    }

    /// What an auditor does with the ledger alone and a public key.
    fn verify(&self, approval: &Value) -> bool {
        let (signers, signature) = (self.path("signers"), self.path("recorded.sig"));
        let key = approval["key"].as_str().unwrap();
        std::fs::write(&signers, format!("jane@example.test namespaces=\"mailwarden\" {key}\n")).unwrap();
        std::fs::write(&signature, approval["signature"].as_str().unwrap()).unwrap();
        let text = self.path("recorded.text");
        std::fs::write(&text, approval["text"].as_str().unwrap()).unwrap();
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-Y", "verify", "-n", "mailwarden", "-I", "jane@example.test", "-f", &signers]);
        command.args(["-s", &signature]).stdin(std::fs::File::open(text).unwrap());
        command.status().unwrap().success()
    }
}

fn on_ticket(ticket: &str) -> [&str; 6] {
    ["--approved-by", "jane@example.test", "--ticket", ticket, "--as", "omar@example.test"]
}

#[test]
fn where_the_policy_asks_for_a_signature_only_a_fresh_one_under_these_very_changes_counts() {
    let keys = Keys::new(&["jane", "other"]);
    let world = world_with("signature = true\n");
    let policy = std::fs::read_to_string(world.installation.policy_file()).unwrap();
    let owner = "roles = [\"client-owner\"]";
    let with_key = policy.replace(owner, &format!("{owner}\nssh_keys = [\"{}\"]", keys.public("jane")));
    world.installation.write_policy(with_key).unwrap();
    plant(&world);
    let config = world.sweep_config();
    let case = Case::of(world, &config);
    let before = case.files(ALICE);
    let (redirect, grant) = (case.finding("sieve.redirect-external"), case.finding("acl.grant-leaver"));
    let text = |command: &str, what: &str, ticket: &str| {
        let output = case.run(command, &[&[what, "--print-text"], &on_ticket(ticket)[..]].concat());
        assert_eq!(output.code, 0, "{output:?}");
        output.stdout
    };
    let with = |command: &str, what: &str, ticket: &str, signature: &str| {
        let signed = [what, "--apply", "--signature", signature];
        case.run(command, &[&signed, &on_ticket(ticket)[..]].concat())
    };
    let refused = |output: &Output, said: &str| {
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(said), "{said:?}: {}", output.stderr);
    };

    let unsigned = case.run("revoke", &[&[&redirect[..], "--apply"], &on_ticket("T-1")[..]].concat());
    refused(&unsigned, "asks for a signed approval");
    let wanted = text("revoke", &redirect, "T-1");
    assert!(wanted.contains("subject: alice@example.test\ncase: T-1\n"), "{wanted}");
    for (why, signature) in [
        ("another key", keys.signed("other", "mailwarden", &wanted)),
        ("another namespace", keys.signed("jane", "git", &wanted)),
        ("another change", keys.signed("jane", "mailwarden", &text("revoke", &grant, "T-1"))),
        ("another ticket", keys.signed("jane", "mailwarden", &text("revoke", &redirect, "T-2"))),
        ("another text", keys.signed("jane", "mailwarden", "yes")),
    ] {
        let output = with("revoke", &redirect, "T-1", &signature);
        assert!(output.stderr.contains("is not by jane@example.test under this text"), "{why}: {output:?}");
        assert_eq!(output.code, 2, "{why}");
    }
    assert_eq!(case.kinds(), Vec::<String>::new(), "nothing was planned, and nothing changed");
    assert_eq!(before, case.files(ALICE));

    let good = keys.signed("jane", "mailwarden", &wanted);
    let output = with("revoke", &redirect, "T-1", &good);
    assert_eq!(output.code, 0, "{output:?}");
    let change = output.json()["applied"][0]["change"].as_str().unwrap().to_owned();
    let arguments = ["ledger", "show", "--json", "--kind", "change.planned", "--config", &case.config];
    let events = mailwarden(&arguments).unwrap().json()["events"].clone();
    assert!(
        events[0]["reason"].as_str().unwrap().contains("approved by jane@example.test (signed)"),
        "{events:#}"
    );
    assert!(keys.verify(&events[0]["detail"]["payload"]["approvals"][0]), "{events:#}");

    let back = case.run("restore", &[&[&change[..], "--apply"], &on_ticket("T-1")[..]].concat());
    refused(&back, "asks for a signed approval");
    refused(&with("restore", &change, "T-1", &good), "is not by jane@example.test under this text");
    let way_back = keys.signed("jane", "mailwarden", &text("restore", &change, "T-1"));
    assert_eq!(with("restore", &change, "T-1", &way_back).code, 0);
    assert_eq!(before, case.files(ALICE));

    refused(&with("revoke", &redirect, "T-1", &good), "this signature was used");
    assert_eq!(before, case.files(ALICE), "a replay changes nothing");
    let fresh = keys.signed("jane", "mailwarden", &text("revoke", &redirect, "T-3"));
    assert_eq!(with("revoke", &redirect, "T-3", &fresh).code, 0);
    case.ledger_is_intact();
}
