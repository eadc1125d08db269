//! `mailwarden who`: owner, approver, recovery and last review on one screen.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use mailwarden_e2e::{Installation, Output, mailwarden};

fn ask(arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let installation = Installation::create(directory.path(), "unix:/nonexistent/gate", "", "").unwrap();
    mailwarden(&[&["who", "--config", &installation.config()], arguments].concat()).unwrap()
}

/// The value behind a label of the text.
fn line<'t>(text: &'t str, label: &str) -> &'t str {
    let found = text.lines().find_map(|line| line.trim_start().strip_prefix(label));
    found.unwrap_or_else(|| panic!("no line {label:?} in\n{text}")).trim()
}

#[test]
fn owner_approver_recovery_and_review_of_a_mailbox_are_shown() {
    let output = ask(&["ops@example.test"]);
    assert_eq!(output.code, 0, "{output:?}");
    let text = &output.stdout;
    assert!(line(text, "owner").contains("Jane Doe <jane@example.test>"), "{text}");
    assert!(line(text, "must approve").contains("jane@example.test"), "{text}");
    assert!(line(text, "recovery").contains("jane@backup.example"), "{text}");
    assert!(line(text, "last review").contains("2026-10-01"), "{text}");
    assert!(line(text, "operated by").contains("Agency Ops A"), "{text}");
    assert!(text.lines().count() <= 24, "more than one screen:\n{text}");
}

#[test]
fn the_same_is_there_for_programs() {
    let output = ask(&["ops@example.test", "--json"]);
    assert_eq!(output.code, 0, "{output:?}");
    let answer = output.json();
    assert!(answer["owner"].as_str().is_some_and(|owner| owner.contains("jane@example.test")), "{answer:#}");
    assert!(answer["last_reviewed"].as_str().is_some_and(|at| at.starts_with("2026-10-01")), "{answer:#}");
    assert!(answer["recovery"].to_string().contains("jane@backup.example"), "{answer:#}");
}

#[test]
fn a_vendor_address_leads_to_the_mailbox_and_its_owner() {
    for address in ["anything@saas.example.test", "acme@saas.example.test"] {
        let output = ask(&[address]);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(output.stdout.contains("ops@example.test"), "{}", output.stdout);
        assert!(line(&output.stdout, "owner").contains("Jane Doe"), "{}", output.stdout);
    }
    let alias = ask(&["offers@example.test"]);
    assert!(alias.stdout.contains("sales@example.test"), "{}", alias.stdout);
}

#[test]
fn an_address_that_nobody_knows_is_no_success() {
    let output = ask(&["nobody@elsewhere.test"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert!(output.stderr.contains("nobody@elsewhere.test"), "{output:?}");
    assert_eq!(ask(&["not an address"]).code, 2);
}
