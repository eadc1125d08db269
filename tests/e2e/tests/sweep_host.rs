//! The rounds on the mail host: what no protocol shows is found, a profile's promise is kept or named as
//! broken, and in a population of look-alikes every plant is found where it was put, and nothing else.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;

use mailwarden_e2e::{Output, SweepConfig, World, WorldOptions, mailwarden};
use mailwarden_lab::population::{self, Expected, Population, THIEF};
use mailwarden_lab::{LabOptions, OutsideWorld};
use serde_json::Value;

const ALICE: &str = "alice@example.test";
const JANE: &str = "jane@example.test";

fn world(policy: &str, options: impl FnOnce(&mut LabOptions)) -> World {
    let mut wanted = WorldOptions { gate: false, policy: policy.to_owned(), ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    options(&mut wanted.lab);
    World::with(&wanted).unwrap()
}

fn on_host(world: &World) -> SweepConfig {
    let mut config = world.sweep_config();
    config.host = true;
    config
}

fn sweep(config: &SweepConfig, profile: &str) -> Output {
    let config = config.save().unwrap();
    let arguments = ["sweep", "--all", "--profile", profile, "--format", "json", "--config", &config];
    let output = mailwarden(&arguments).unwrap();
    assert!(matches!(output.code, 0 | 1 | 3), "{output:?}");
    output
}

fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().map_or(&[], Vec::as_slice)
}

fn of_check<'r>(report: &'r Value, check: &str) -> Vec<&'r Value> {
    findings(report).iter().filter(|finding| finding["check_id"] == check).collect()
}

fn gaps(report: &Value) -> Vec<&Value> {
    let rows = report["coverage"].as_array().map_or(&[][..], Vec::as_slice);
    rows.iter().filter(|row| row["state"] != "collected" && row["state"] != "unsupported").collect()
}

fn coverage<'r>(report: &'r Value, mailbox: &str, surface: &str) -> &'r Value {
    let rows = report["coverage"].as_array().map_or(&[][..], Vec::as_slice);
    let found = rows.iter().find(|row| row["mailbox"] == mailbox && row["surface"] == surface);
    found.unwrap_or_else(|| panic!("no coverage of {surface} of {mailbox}: {rows:#?}"))
}

#[test]
fn a_clean_system_is_clean_in_every_profile() {
    let world = world("", |_| {});
    for profile in ["remote", "host", "full"] {
        let output = sweep(&on_host(&world), profile);
        let report = output.json();
        assert_eq!(gaps(&report), Vec::<&Value>::new(), "{profile}");
        assert_eq!(report["verdict"], "clean", "{profile}: {:#}", report["findings"]);
    }
}

#[test]
fn a_profile_that_nobody_is_configured_to_keep_is_never_clean() {
    let world = world("", |_| {});
    let output = sweep(&world.sweep_config(), "full");
    let report = output.json();
    assert_eq!((output.code, &report["verdict"]), (3, &Value::from("incomplete")));
    let row = coverage(&report, ALICE, "sieve.files");
    assert_eq!(row["state"], "skipped");
    assert!(row["reason"].as_str().unwrap().contains("[dovecot]"), "{row:#}");
    assert_eq!(coverage(&report, "(system)", "sieve.global")["state"], "skipped");
    assert_eq!(sweep(&world.sweep_config(), "remote").json()["verdict"], "clean");
}

#[test]
fn scripts_that_managesieve_does_not_show_are_found() {
    let world = world("", |_| {});
    let lab = &world.lab;
    for mailbox in [ALICE, JANE] {
        let mut scripts = lab.managesieve(mailbox).unwrap();
        scripts.putscript("main", "keep;\r\n").unwrap();
        scripts.setactive("main").unwrap();
    }
    population::tamper(lab, ALICE).unwrap();
    let plain = lab.dovecot.home(JANE).join(".dovecot.sieve");
    fs::remove_file(&plain).unwrap();
    fs::write(&plain, format!("keep;\nredirect \"{THIEF}\";\n")).unwrap();

    let remote = sweep(&on_host(&world), "remote").json();
    assert_eq!(remote["verdict"], "clean", "remotely nothing of it shows: {:#}", remote["findings"]);
    let report = sweep(&on_host(&world), "full").json();
    assert_eq!(gaps(&report), Vec::<&Value>::new());
    let tampered = of_check(&report, "sieve.binary-differs");
    assert_eq!(tampered.len(), 1, "{:#}", report["findings"]);
    assert_eq!(tampered[0]["mailbox"], ALICE);
    assert!(tampered[0]["locator"]["file"].as_str().unwrap().ends_with("/alice/.dovecot.svbin"));
    assert!(tampered[0]["beneficiary"]["value"].as_str().unwrap().contains(THIEF), "{:#}", tampered[0]);
    assert_eq!(of_check(&report, "sieve.plain-file").len(), 1);
    let redirect = of_check(&report, "sieve.redirect-external");
    assert_eq!(redirect.len(), 1, "{:#}", report["findings"]);
    assert_eq!(redirect[0]["locator"]["script"], plain.display().to_string());
    assert_eq!((&redirect[0]["locator"]["line"], &redirect[0]["state"]), (&2.into(), &"active".into()));
}

#[test]
fn locked_accounts_still_receive_and_are_seen_on_the_host_alone() {
    let world = world("", |_| {});
    let lab = &world.lab;
    let mut scripts = lab.managesieve(JANE).unwrap();
    scripts.putscript("away", &format!("redirect \"{THIEF}\";\r\n")).unwrap();
    scripts.setactive("away").unwrap();
    lab.imap(JANE).unwrap().setacl("INBOX", ALICE, "lr").unwrap();
    lab.dovecot.set_extra_fields(JANE, "nologin=y reason=offboarded").unwrap();
    let report = sweep(&on_host(&world), "full").json();
    let locked = of_check(&report, "account.locked-receives");
    assert_eq!(locked.len(), 1, "{:#}", report["findings"]);
    assert!(locked[0]["conditions"].as_str().unwrap().contains("offboarded"));
    assert_eq!(of_check(&report, "sieve.redirect-external").len(), 1, "the host reads what the login hides");
    assert_eq!(coverage(&report, JANE, "managesieve.scripts")["state"], "collected");
    assert_eq!(coverage(&report, JANE, "imap.acl")["state"], "collected");
    let metadata = coverage(&report, JANE, "imap.metadata");
    assert_eq!(metadata["state"], "denied", "only IMAP shows annotations: {metadata:#}");
}

#[test]
fn administrators_scripts_and_other_master_users_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("require \"copy\";\nredirect :copy \"{THIEF}\";\n");
    let script = population::global_script(&directory.path().join("before"), "10-copy.sieve", &text).unwrap();
    let before = directory.path().join("before");
    let world = world("", |lab| {
        lab.dovecot_conf = format!("plugin {{\n  sieve_before = {}\n}}\n", before.display());
    });
    let masters = world.lab.dovecot.conf_path().with_file_name("masters.pop3");
    fs::write(&masters, "old-admin:{PLAIN}forgotten\n").unwrap();
    let report = sweep(&on_host(&world), "host").json();
    let redirect = of_check(&report, "sieve.redirect-external");
    assert_eq!(redirect.len(), 1, "{:#}", report["findings"]);
    assert_eq!(redirect[0]["mailbox"], "(system)");
    assert_eq!(redirect[0]["locator"]["script"], script.display().to_string());
    assert!(redirect[0]["title"].as_str().unwrap().contains("every mailbox"), "{:#}", redirect[0]);
    let master = of_check(&report, "account.master-user");
    assert_eq!(master.len(), 1, "our own is none: {:#}", report["findings"]);
    assert_eq!(master[0]["beneficiary"]["value"], "old-admin");
    assert!(!report.to_string().contains("forgotten"), "passwords are not repeated");
}

#[test]
fn an_open_session_of_somebody_who_has_left_is_found() {
    let world = world("", |_| {});
    let _bob = world.lab.imap("bob@example.test").unwrap();
    let _alice = world.lab.imap(ALICE).unwrap();
    let report = sweep(&on_host(&world), "host").json();
    let sessions = of_check(&report, "session.leaver");
    assert_eq!(sessions.len(), 1, "{:#}", report["findings"]);
    assert_eq!(sessions[0]["mailbox"], "bob@example.test");
}

#[test]
fn a_grant_is_found_though_the_dictionary_of_shares_is_gone() {
    let world = world("", |_| {});
    let mut alice = world.lab.imap(ALICE).unwrap();
    alice.create("Plans").unwrap();
    alice.setacl("Plans", JANE, "lr").unwrap();
    fs::remove_file(world.lab.dovecot.conf_path().with_file_name("dict").join("shared-mailboxes.db"))
        .unwrap();
    for profile in ["remote", "host", "full"] {
        let report = sweep(&on_host(&world), profile).json();
        let grants: Vec<&Value> =
            findings(&report).iter().filter(|finding| finding["surface"]["id"] == "imap.acl").collect();
        assert_eq!(grants.len(), 1, "{profile}: {:#}", report["findings"]);
        assert_eq!(grants[0]["locator"]["folder"], "Plans");
    }
}

#[test]
fn a_folder_closed_to_its_owner_is_read_on_the_host() {
    let world = world("", |_| {});
    let mut alice = world.lab.imap(ALICE).unwrap();
    alice.create("Plans").unwrap();
    alice.setacl("Plans", JANE, "lr").unwrap();
    let file = world.lab.dovecot.home(ALICE).join("Maildir/.Plans/dovecot-acl");
    fs::write(&file, format!("owner lr\nuser={JANE} lr\n")).unwrap();
    let remote = sweep(&on_host(&world), "remote").json();
    assert_eq!(coverage(&remote, ALICE, "imap.acl")["state"], "partial");
    assert_ne!(remote["verdict"], "clean");
    let full = sweep(&on_host(&world), "full").json();
    assert_eq!(coverage(&full, ALICE, "imap.acl")["state"], "collected");
    assert!(findings(&full).iter().any(|finding| finding["locator"]["folder"] == "Plans"), "{full:#}");
}

#[test]
fn a_mailbox_with_its_own_password_needs_no_master_user() {
    let world = world("", |_| {});
    let mut config = world.sweep_config();
    config.more = "\n[mailbox_passwords]\nfile = \"own.passwords\"\n".to_owned();
    config.password = "not the master's".to_owned();
    let table = world.installation.path("own.passwords");
    fs::write(&table, format!("{ALICE} alicepw\n")).unwrap();
    fs::set_permissions(&table, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let config = config.save().unwrap();
    let arguments = ["sweep", ALICE, "--profile", "remote", "--config", &config, "--format", "json"];
    let output = mailwarden(&arguments).unwrap();
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.json()["verdict"], "clean");
    let output = mailwarden(&["sweep", JANE, "--profile", "remote", "--config", &config]).unwrap();
    assert!(matches!(output.code, 3 | 4), "jane has none, and the master's is wrong: {output:?}");
}

/// Whether a finding points exactly at a plant.
fn fits(finding: &Value, plant: &Expected) -> bool {
    let text = |wanted: &Option<String>, found: &Value| match wanted {
        Some(wanted) => found == wanted.as_str(),
        None => true,
    };
    let of_table = plant.surface.starts_with("postfix.");
    let locator = &finding["locator"];
    (of_table || finding["mailbox"] == plant.mailbox.as_str())
        && finding["surface"]["id"] == plant.surface
        && text(&plant.script, &locator["script"])
        && text(&plant.folder, &locator["folder"])
        && text(&plant.file, &locator["file"])
        && text(&plant.key, &locator["key"])
        && plant.line.is_none_or(|line| locator["line"] == line)
}

fn every_plant_is_found_and_nothing_else(seed: u64, mailboxes: usize) {
    let population = Population::new(seed, mailboxes);
    let record = |(login, _): &(String, String)| {
        format!(
            "[[mailbox]]\naddress = \"{login}\"\nkind = \"human\"\nbusiness_owner = \"jane@example.test\"\n\n"
        )
    };
    let policy: String = population.users.iter().map(record).collect();
    let world = world(&policy, |lab| lab.users.extend(population.users.clone()));
    population.plant(&world.lab).unwrap();
    let report = sweep(&on_host(&world), "full").json();
    let expected = population.expected(&world.lab);
    let mut unexplained: Vec<&Value> = findings(&report).iter().collect();
    for plant in &expected {
        let found = unexplained.iter().position(|finding| fits(finding, plant));
        let at = found.unwrap_or_else(|| panic!("seed {seed}: not found: {plant:#?}\n{unexplained:#?}"));
        unexplained.remove(at);
    }
    assert!(unexplained.is_empty(), "seed {seed}: nobody planted: {unexplained:#?}");
    // Only locked mailboxes hide something, namely what IMAP alone would show; and a second login into a home
    // that another login has: Dovecot 2.3's imap ends on an assertion when it lists somebody's shared folders for it.
    for gap in gaps(&report) {
        let is_locked = expected
            .iter()
            .any(|plant| plant.surface == "account.state" && gap["mailbox"] == plant.mailbox.as_str());
        let is_twin = population.is_twin(gap["mailbox"].as_str().unwrap())
            && gap["surface"].as_str().unwrap().starts_with("imap.");
        let log = world.lab.dovecot.log();
        let of_mailbox = log.lines().filter(|line| line.contains(gap["mailbox"].as_str().unwrap()));
        assert!(is_locked || is_twin, "{gap:#}\n{}", of_mailbox.collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn in_a_population_every_plant_is_found_where_it_is_and_nothing_else() {
    every_plant_is_found_and_nothing_else(1, 40);
}

#[test]
#[ignore = "slow: hundreds of mailboxes, several seeds"]
fn in_large_populations_every_plant_is_found_where_it_is_and_nothing_else() {
    for seed in [2, 3, 5] {
        every_plant_is_found_and_nothing_else(seed, 300);
    }
}
