//! The rounds: each planted item is found with its place, and "clean" is said only when everything was seen.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::Path;

use mailwarden_e2e::{Output, SweepConfig, World, WorldOptions, mailwarden};
use mailwarden_lab::ca::Ca;
use mailwarden_lab::ports::Port;
use mailwarden_lab::{LabOptions, OutsideWorld};
use serde_json::Value;

const ALICE: &str = "alice@example.test";
const JANE: &str = "jane@example.test";
const THIEF: &str = "thief@gmail.example";

/// The rounds need no gate.
fn world(options: impl FnOnce(&mut LabOptions)) -> World {
    let mut wanted = WorldOptions { gate: false, ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    options(&mut wanted.lab);
    World::with(&wanted).unwrap()
}

fn sweep(config: &SweepConfig) -> Output {
    let config = config.save().unwrap();
    let output = mailwarden(&["sweep", "--all", "--format", "json", "--config", &config]).unwrap();
    assert!(!output.stdout.contains("sweeppw") && !output.stderr.contains("sweeppw"), "{output:?}");
    output
}

fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().map_or(&[], Vec::as_slice)
}

fn the_finding<'r>(report: &'r Value, what: &str, wanted: impl Fn(&Value) -> bool) -> &'r Value {
    let found: Vec<&Value> = findings(report).iter().filter(|finding| wanted(finding)).collect();
    assert_eq!(found.len(), 1, "{what}: {:#}", report["findings"]);
    found[0]
}

fn coverage<'r>(report: &'r Value, mailbox: &str, surface: &str) -> &'r Value {
    let rows = report["coverage"].as_array().map_or(&[][..], Vec::as_slice);
    let found = rows.iter().find(|row| row["mailbox"] == mailbox && row["surface"] == surface);
    found.unwrap_or_else(|| panic!("no coverage of {surface} of {mailbox}: {:#}", report["coverage"]))
}

/// Every finding carries what scripts rely on.
fn assert_complete(finding: &Value) {
    assert_eq!(finding["schema"], "mailwarden.finding/1");
    for name in ["run_id", "fingerprint", "content_hash", "check_id", "title", "mailbox"] {
        assert!(finding[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {finding:#}");
    }
    let one_of = |name: &str, words: &[&str]| {
        let word = finding[name].as_str().unwrap_or_default();
        assert!(words.contains(&word), "{name}: {finding:#}");
    };
    one_of("severity", &["critical", "high", "medium", "low", "info"]);
    one_of("confidence", &["high", "medium", "low"]);
    one_of("state", &["active", "dormant", "orphan", "historic"]);
    one_of("status", &["new", "unchanged", "changed", "resolved", "accepted"]);
    for name in ["effects", "path", "evidence", "attack"] {
        assert!(finding[name].as_array().is_some_and(|list| !list.is_empty()), "{name}: {finding:#}");
    }
    let evidence = &finding["evidence"][0];
    assert_eq!(evidence["sha256"].as_str().map(str::len), Some(64), "{finding:#}");
    for name in ["first_seen", "last_seen"] {
        assert!(finding[name].as_str().is_some_and(|at| at.ends_with('Z')), "{name}: {finding:#}");
    }
    let command = &finding["remediation"]["command"];
    assert!(command.as_str().is_some_and(|text| !text.is_empty()), "{finding:#}");
}

fn plant(world: &World) {
    let mut scripts = world.lab.managesieve(ALICE).unwrap();
    let forward = format!("require \"copy\";\r\n# tidy\r\nredirect :copy \"{THIEF}\";\r\n");
    scripts.putscript("spam filter", &forward).unwrap();
    scripts.setactive("spam filter").unwrap();
    let mut scripts = world.lab.managesieve(JANE).unwrap();
    scripts.putscript("main", "keep;\r\n").unwrap();
    scripts.setactive("main").unwrap();
    scripts.putscript("holiday 2019", &format!("keep;\r\nredirect \"{THIEF}\";\r\n")).unwrap();
    let mut ops = world.lab.imap("ops@example.test").unwrap();
    ops.create("Secret").unwrap();
    ops.setacl("Secret", "bob@example.test", "lr").unwrap();
    let entry = ("sales@example.test".to_owned(), "sales@example.test, copy@thief.example".to_owned());
    world.lab.postfix.set_virtual_aliases(&[entry]).unwrap();
}

fn remove(world: &World) {
    let mut scripts = world.lab.managesieve(ALICE).unwrap();
    scripts.setactive("").unwrap();
    scripts.deletescript("spam filter").unwrap();
    world.lab.managesieve(JANE).unwrap().deletescript("holiday 2019").unwrap();
    world.lab.imap("ops@example.test").unwrap().deleteacl("Secret", "bob@example.test").unwrap();
    world.lab.postfix.set_virtual_aliases(&[]).unwrap();
}

#[test]
fn each_planted_item_is_found_with_its_place_and_nothing_is_left_after_removal() {
    let world = world(|_| {});
    plant(&world);
    let config = world.sweep_config();
    let output = sweep(&config);
    assert_eq!(output.code, 1, "{}", output.stderr);
    let report = output.json();
    assert_eq!(report["schema"], "mailwarden.report/1");
    assert_eq!(report["verdict"], "findings");
    findings(&report).iter().for_each(assert_complete);

    let at = |finding: &Value, mailbox: &str, surface: &str| {
        finding["mailbox"] == mailbox && finding["surface"]["id"] == surface
    };
    let active = the_finding(&report, "the active redirect", |f| at(f, ALICE, "managesieve.scripts"));
    assert_eq!(active["locator"]["script"], "spam filter");
    assert_eq!(active["locator"]["line"], 3);
    assert_eq!(active["state"], "active");
    assert_eq!(active["beneficiary"]["value"], THIEF);
    assert_eq!(active["beneficiary"]["kind"], "external");

    let dormant = the_finding(&report, "the inactive redirect", |f| at(f, JANE, "managesieve.scripts"));
    assert_eq!(dormant["locator"]["script"], "holiday 2019");
    assert_eq!(dormant["locator"]["line"], 2);
    assert_eq!(dormant["state"], "dormant");
    assert_eq!(dormant["beneficiary"]["value"], THIEF);

    let grant = the_finding(&report, "the grant", |f| at(f, "ops@example.test", "imap.acl"));
    assert_eq!(grant["locator"]["folder"], "Secret");
    assert_eq!(grant["beneficiary"]["value"], "bob@example.test");

    let alias = the_finding(&report, "the alias", |f| {
        f["surface"]["id"] == "postfix.virtual_alias_maps"
            && f["beneficiary"]["value"] == "copy@thief.example"
    });
    assert_eq!(alias["locator"]["key"], "sales@example.test");
    let table = alias["locator"]["file"].as_str().unwrap_or_default();
    assert!(table.contains("maps/virtual"), "{alias:#}");
    assert_eq!(findings(&report).len(), 4, "nothing else was planted: {:#}", report["findings"]);

    remove(&world);
    let output = sweep(&config);
    let report = output.json();
    assert_eq!(report["verdict"], "clean", "{report:#}");
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(findings(&report), Vec::<Value>::new());
}

#[test]
fn the_report_is_left_as_json_and_html_and_text_says_the_same() {
    let world = world(|_| {});
    plant(&world);
    let config = world.sweep_config().save().unwrap();
    let directory = world.installation.path("reports");
    let output = mailwarden(&["sweep", "--all", "--config", &config, "--output", &directory]).unwrap();
    assert_eq!(output.code, 1, "{}", output.stderr);
    let saved = Path::new(&directory).join("report.json");
    let report: Value = serde_json::from_slice(&std::fs::read(&saved).unwrap()).unwrap();
    assert_eq!(findings(&report).len(), 4, "{report:#}");
    let page = std::fs::read_to_string(Path::new(&directory).join("report.html")).unwrap();
    for said in [THIEF, "spam filter", "holiday 2019", "bob@example.test", "copy@thief.example"] {
        assert!(page.contains(said), "{said:?} is not in the page");
        assert!(output.stdout.contains(said), "{said:?} is not in the text:\n{}", output.stdout);
    }
    for name in ["report.json", "report.html"] {
        assert!(output.stderr.contains(&format!("{directory}/{name}")), "{}", output.stderr);
    }
    let again = mailwarden(&["report", &saved.display().to_string(), "--format", "json"]).unwrap();
    assert_eq!(again.json()["run_id"], report["run_id"]);
}

/// Asserts that a spoilt sweep says so, and shows the reason somewhere.
fn never_clean(config: &SweepConfig, what: &str) {
    let output = sweep(config);
    assert!(matches!(output.code, 3 | 4), "{what}: exit {}: {}", output.code, output.stderr);
    let report = output.json();
    assert_eq!(report["verdict"], "incomplete", "{what}");
    let rows = report["coverage"].as_array().unwrap();
    let unseen = |row: &&Value| matches!(row["state"].as_str(), Some("denied" | "error"));
    let reasons: Vec<&Value> = rows.iter().filter(unseen).map(|row| &row["reason"]).collect();
    assert!(!reasons.is_empty(), "{what}: {:#}", report["coverage"]);
    assert!(reasons.iter().all(|reason| reason.as_str().is_some_and(|text| !text.is_empty())), "{what}");
    let config = config.save().unwrap();
    let text = mailwarden(&["sweep", "--all", "--config", &config]).unwrap();
    assert_eq!(text.code, output.code, "{what}");
    let first = text.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("UNKNOWN"), "{what}:\n{}", text.stdout);
    assert!(!text.stdout.contains("CLEAN"), "{what}:\n{}", text.stdout);
}

#[test]
fn a_wrong_password_is_never_clean() {
    let world = world(|_| {});
    let mut config = world.sweep_config();
    config.password = "wrong".to_owned();
    never_clean(&config, "a wrong master password");
}

#[test]
fn an_unreachable_server_is_never_clean() {
    let world = world(|_| {});
    let nobody = Port::claim().unwrap();
    let mut config = world.sweep_config().named("no-imap");
    config.imap_port = nobody.number();
    never_clean(&config, "IMAP out of reach");
    let mut config = world.sweep_config().named("no-sieve");
    config.sieve_port = nobody.number();
    never_clean(&config, "ManageSieve out of reach");
}

#[test]
fn an_untrusted_certificate_is_never_clean() {
    let world = world(|_| {});
    let other = tempfile::tempdir().unwrap();
    let mut config = world.sweep_config().named("wrong-ca");
    config.ca_file = Ca::create(other.path()).unwrap().authority().to_owned();
    never_clean(&config, "signed by somebody else");
    let mut config = world.sweep_config().named("wrong-name");
    config.tls_name = "mail.elsewhere.test".to_owned();
    never_clean(&config, "the name of another server");
    assert!(!world.lab.dovecot.log().contains("Login: user="), "a password was sent to a stranger");
}

#[test]
fn the_acl_trap_is_reported_as_unknown_and_never_as_clean() {
    let world = world(|lab| lab.acl_user = false);
    let mut ops = world.lab.imap("ops@example.test").unwrap();
    ops.create("Secret").unwrap();
    ops.setacl("Secret", "bob@example.test", "lr").unwrap();
    let output = sweep(&world.sweep_config());
    let report = output.json();
    assert_eq!(output.code, 3, "{}\n{:#}", output.stderr, report["findings"]);
    assert_eq!(report["verdict"], "incomplete");
    for mailbox in ["ops@example.test", ALICE] {
        let row = coverage(&report, mailbox, "imap.acl");
        assert_eq!(row["state"], "denied", "{row:#}");
        assert!(row["reason"].as_str().unwrap().contains("acl_user"), "the cure must be named: {row:#}");
    }
}

#[test]
fn a_listed_account_without_scripts_counts_as_seen_though_its_rights_are_hidden() {
    let world = world(|lab| lab.acl_user = false);
    let report = sweep(&world.sweep_config()).json();
    let row = coverage(&report, ALICE, "managesieve.scripts");
    assert_eq!(row["state"], "collected", "doveadm lists the account: {row:#}");
}

#[test]
fn a_clean_system_is_called_clean_in_every_format() {
    let world = world(|_| {});
    let config = world.sweep_config().save().unwrap();
    let text = mailwarden(&["sweep", "--all", "--config", &config]).unwrap();
    assert_eq!(text.code, 0, "{text:?}");
    assert!(text.stdout.starts_with("CLEAN"), "{}", text.stdout);
    assert_eq!(sweep(&world.sweep_config()).json()["verdict"], "clean");
}

#[test]
fn a_mailbox_that_no_policy_names_is_a_finding() {
    let world = world(|lab| lab.users.push(("stray@example.test".to_owned(), "straypw".to_owned())));
    let output = sweep(&world.sweep_config());
    assert_eq!(output.code, 1, "{}", output.stderr);
    let report = output.json();
    let stray =
        the_finding(&report, "the stray mailbox", |finding| finding["mailbox"] == "stray@example.test");
    assert_eq!(stray["check_id"], "account.unregistered", "{stray:#}");
}
