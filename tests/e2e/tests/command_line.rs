//! The gate's arguments: everything it needs can be said without a configuration file.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::Path;

use mailwarden_e2e::{Installation, SOON, mailwarden, mailwarden_milter, milter_program};
use mailwarden_lab::ports::Port;
use mailwarden_lab::process::Child;

fn installation(directory: &Path) -> Installation {
    Installation::create(directory, "unix:/nonexistent/gate.sock", "", "").unwrap()
}

#[test]
fn policy_listen_and_ledger_are_enough() {
    let directory = tempfile::tempdir().unwrap();
    let files = installation(directory.path());
    let port = Port::claim().unwrap();
    let (listen, policy) = (format!("inet:127.0.0.1:{}", port.number()), files.path("policy"));
    let ledger = format!("sqlite:{}", files.path("own-ledger.db"));
    let arguments = ["--policy", &policy, "--listen", &listen, "--ledger", &ledger];
    let log = directory.path().join("gate.log");
    let gate = Child::spawn(milter_program().unwrap(), &arguments, &log).unwrap();
    gate.wait_for_line("the gate is open", SOON).unwrap();
    gate.wait_for_port(port.number(), SOON).unwrap();
    assert_eq!(gate.stop(SOON).unwrap().and_then(|status| status.code()), Some(0), "{}", gate.log_text());
    let shown = mailwarden(&["ledger", "show", "--json", "--ledger", &ledger]).unwrap();
    assert_eq!(shown.json()["events"][0]["kind"], "policy.loaded", "{shown:?}");
}

#[test]
fn arguments_override_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let files = installation(directory.path());
    let config = files.config();
    let listen = format!("unix:{}", files.path("other.sock"));
    let log = directory.path().join("gate.log");
    let arguments = ["--config", &config, "--listen", &listen];
    let gate = Child::spawn(milter_program().unwrap(), &arguments, &log).unwrap();
    gate.wait_for_socket(Path::new(&files.path("other.sock")), SOON).unwrap();
    drop(gate);
    let elsewhere = files.path("nowhere");
    for output in [
        mailwarden(&["check", "--config", &config, "--policy", &elsewhere]).unwrap(),
        mailwarden_milter(&["--check", "--config", &config, "--policy", &elsewhere]).unwrap(),
    ] {
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(&elsewhere), "{output:?}");
    }
}

#[test]
fn what_cannot_be_opened_ends_with_four_and_wrong_usage_with_two() {
    let directory = tempfile::tempdir().unwrap();
    let files = installation(directory.path());
    let config = files.config();
    let output = mailwarden_milter(&["--config", &config]).unwrap();
    assert_eq!(output.code, 4, "{output:?}");
    assert!(output.stderr.contains("/nonexistent/gate.sock"), "{output:?}");
    let listen = format!("unix:{}", files.path("gate.sock"));
    let nowhere = "sqlite:/nonexistent/ledger.db";
    let output = mailwarden_milter(&["--config", &config, "--listen", &listen, "--ledger", nowhere]).unwrap();
    // A directory that was never made is the administrator's to make.
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("/nonexistent/ledger.db"), "{output:?}");
    let output = mailwarden_milter(&["--config", &config, "--listen", "somewhere"]).unwrap();
    assert_eq!(output.code, 2, "{output:?}");
    assert_eq!(mailwarden_milter(&["--no-such-option"]).unwrap().code, 2);
    assert_eq!(mailwarden(&["sweep"]).unwrap().code, 2);
}
