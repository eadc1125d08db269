//! The rounds on the mail host: what no protocol shows is found, a profile's promise is kept or named as
//! broken, and in a population of look-alikes every plant is found where it was put, and nothing else.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use mailwarden_e2e::{
    Output, SOON, SweepConfig, World, WorldOptions, found_and_nothing_else, mailwarden, mailwarden_program,
    records,
};
use mailwarden_lab::population::{self, Population, THIEF};
use mailwarden_lab::{LabOptions, OutsideWorld};
use serde_json::Value;

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";
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
    world.nobody_has_left().unwrap();
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

/// Puts a deny list before the database that would let the login in; behind it, it would not count.
fn deny(world: &World, login: &str) {
    let conf = world.lab.dovecot.conf_path();
    let denied = conf.with_file_name("denied");
    fs::write(&denied, format!("{login}\n")).unwrap();
    let text = fs::read_to_string(&conf).unwrap();
    let (before, after) = text.split_once("passdb {").unwrap();
    let deny =
        format!("passdb {{\n  driver = passwd-file\n  args = {}\n  deny = yes\n}}\n", denied.display());
    fs::write(&conf, format!("{before}{deny}passdb {{{after}")).unwrap();
    world.lab.dovecot.restart().unwrap();
}

/// The claim of the finding is true of the server, and said in one sentence.
fn locked_and_still_forwards(lock: impl FnOnce(&World)) {
    // With the gate, without which Postfix takes no mail.
    let mut wanted = WorldOptions::default();
    wanted.lab.outside = OutsideWorld::Collected;
    let world = World::with(&wanted).unwrap();
    let mut scripts = world.lab.managesieve(JANE).unwrap();
    scripts.putscript("away", &format!("redirect \"{THIEF}\";\r\n")).unwrap();
    scripts.setactive("away").unwrap();
    lock(&world);
    assert!(world.lab.imap(JANE).is_err(), "the login is refused");
    let message = "From: a@vendor.test\r\nSubject: payroll\r\n\r\nx\r\n";
    let outcome = world.send_from_outside("a@vendor.test", &[JANE], message).unwrap();
    assert!(outcome.is_accepted(), "{outcome:?}");
    let departed = world.lab.outside().unwrap().wait_for(SOON, |mail| mail.recipients == [THIEF]);
    let departed = departed
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", world.lab.postfix.log(), world.lab.dovecot.log()));
    assert!(departed.message.contains("Subject: payroll"), "{}", departed.message);
    let config = on_host(&world).save().unwrap();
    let output = mailwarden(&["sweep", "--all", "--profile", "full", "--config", &config]).unwrap();
    let said = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence =
        format!("{JANE} may not log in, but mail for it is still delivered and still forwarded to {THIEF}.");
    assert!(said.contains(&sentence), "{said}");
}

#[test]
fn a_nologin_account_still_forwards_and_the_sweep_says_to_whom() {
    locked_and_still_forwards(|world| {
        world.lab.dovecot.set_extra_fields(JANE, "nologin=y reason=offboarded").unwrap();
    });
}

#[test]
fn an_account_on_a_deny_list_still_forwards_and_the_sweep_says_to_whom() {
    locked_and_still_forwards(|world| deny(world, JANE));
}

/// A deny list for one service, before the database that would let the login in.
fn deny_for(world: &World, service: &str, logins: &[&str]) {
    let conf = world.lab.dovecot.conf_path();
    let lists = conf.with_file_name("closed");
    fs::write(format!("{}.{service}", lists.display()), format!("{}\n", logins.join("\n"))).unwrap();
    let text = fs::read_to_string(&conf).unwrap();
    let (before, after) = text.split_once("passdb {").unwrap();
    let deny =
        format!("passdb {{\n  driver = passwd-file\n  args = {}.%s\n  deny = yes\n}}\n", lists.display());
    fs::write(&conf, format!("{before}{deny}passdb {{{after}")).unwrap();
    world.lab.dovecot.restart().unwrap();
}

#[test]
fn a_leaver_who_is_locked_for_one_service_alone_is_found_with_those_that_were_forgotten() {
    let world = world("", |_| {});
    deny_for(&world, "imap", &[BOB, JANE]);
    let lab = &world.lab;
    assert!(lab.imap(BOB).is_err(), "IMAP is closed");
    assert!(lab.managesieve(BOB).is_ok(), "ManageSieve is not");
    let report = sweep(&on_host(&world), "host").json();
    let open = of_check(&report, "account.leaver-login");
    assert_eq!(open.len(), 1, "Jane is here and may have IMAP closed: {:#}", report["findings"]);
    assert_eq!(open[0]["mailbox"], BOB);
    let title = open[0]["title"].as_str().unwrap();
    assert_eq!(
        title,
        format!("{BOB} has left and may still log in by sieve, smtp; only imap (deny) refuses.")
    );
    assert_eq!(of_check(&report, "account.locked-receives").len(), 0, "nobody is locked everywhere");
    assert_eq!(coverage(&report, BOB, "account.state")["state"], "collected");
    for service in ["sieve", "smtp"] {
        let lists = lab.dovecot.conf_path().with_file_name("closed");
        fs::write(format!("{}.{service}", lists.display()), format!("{BOB}\n")).unwrap();
    }
    assert!(lab.managesieve(BOB).is_err());
    let report = sweep(&on_host(&world), "host").json();
    assert_eq!(of_check(&report, "account.leaver-login").len(), 0, "{:#}", report["findings"]);
    let locked = of_check(&report, "account.locked-receives");
    assert_eq!((locked.len(), &locked[0]["mailbox"]), (1, &Value::from(BOB)));
}

#[test]
fn administrators_scripts_and_other_master_users_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("require \"copy\";\nredirect :copy \"{THIEF}\";\n");
    let script = population::global_script(&directory.path().join("before"), "10-copy.sieve", &text).unwrap();
    let before = directory.path().join("before");
    // Dovecot's authentication reads it as a user of its own.
    let of_sieve = directory.path().join("masters-of-sieve");
    fs::write(&of_sieve, "second-admin:{PLAIN}forgotten\n").unwrap();
    for (path, mode) in [(directory.path(), 0o755), (of_sieve.as_path(), 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let world = world("", |lab| {
        lab.dovecot_conf = format!(
            "plugin {{\n  sieve_before = {}\n}}\nprotocol sieve {{\n  passdb {{\n    driver = passwd-file\n    args = {}\n    \
             master = yes\n  }}\n}}\n",
            before.display(),
            of_sieve.display()
        );
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
    let said: Vec<&str> = master.iter().filter_map(|finding| finding["title"].as_str()).collect();
    let named =
        |name: &str, services: &str| format!("The master user {name} may log in as anybody by {services}.");
    assert_eq!(said, [named("old-admin", "pop3"), named("second-admin", "sieve")], "our own is none");
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

fn every_plant_is_found_and_nothing_else(seed: u64, mailboxes: usize) {
    let population = Population::new(seed, mailboxes);
    let world = world(&records(&population), |lab| {
        lab.users.extend(population.users.clone());
        lab.main_cf = population.main_cf();
    });
    population.plant(&world.lab).unwrap();
    world.nobody_has_left().unwrap();
    let report = sweep(&on_host(&world), "full").json();
    let expected = population.expected(&world.lab);
    found_and_nothing_else(&report, &expected).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
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

/// Those of the test, or the one that `MAILWARDEN_SEED` names, to repeat a run or to try another.
fn seeds(usual: &[u64]) -> Vec<u64> {
    let named = std::env::var("MAILWARDEN_SEED").ok().and_then(|seed| seed.parse().ok());
    named.map_or_else(|| usual.to_vec(), |seed| vec![seed])
}

#[test]
fn in_a_population_every_plant_is_found_where_it_is_and_nothing_else() {
    for seed in seeds(&[1]) {
        every_plant_is_found_and_nothing_else(seed, 50);
    }
}

#[test]
#[ignore = "slow: hundreds of mailboxes, several seeds"]
fn in_large_populations_every_plant_is_found_where_it_is_and_nothing_else() {
    for seed in seeds(&[2, 3, 5, 7, 11]) {
        every_plant_is_found_and_nothing_else(seed, 300);
    }
}

#[test]
fn who_is_refused_by_a_deny_list_still_receives() {
    let world = world("", |_| {});
    deny(&world, JANE);
    let report = sweep(&on_host(&world), "full").json();
    let locked = of_check(&report, "account.locked-receives");
    assert_eq!(locked.len(), 1, "{:#}", report["findings"]);
    assert_eq!((&locked[0]["mailbox"], &locked[0]["conditions"]), (&JANE.into(), &"locked by deny".into()));
    assert_eq!(coverage(&report, JANE, "managesieve.scripts")["state"], "collected", "the host reads it");
    assert_eq!(coverage(&report, JANE, "imap.metadata")["state"], "denied");
}

#[test]
fn a_mailbox_that_only_one_side_knows_is_a_finding() {
    let ghost = "[[mailbox]]\naddress = \"ghost@example.test\"\nkind = \"human\"\n\
                 business_owner = \"jane@example.test\"\n";
    let world = world(ghost, |lab| lab.users.push(("stranger@example.test".to_owned(), "pw".to_owned())));
    let report = sweep(&on_host(&world), "full").json();
    let missing = of_check(&report, "account.missing");
    assert_eq!(missing.len(), 1, "{:#}", report["findings"]);
    assert_eq!(missing[0]["mailbox"], "ghost@example.test");
    let unregistered = of_check(&report, "account.unregistered");
    assert_eq!(unregistered.len(), 1, "{:#}", report["findings"]);
    assert_eq!(unregistered[0]["mailbox"], "stranger@example.test");
    assert_ne!(report["verdict"], "clean");
}

#[test]
fn the_sweepers_password_may_come_from_systemd() {
    let world = world("", |_| {});
    let config = on_host(&world).save().unwrap();
    let text = fs::read_to_string(&config).unwrap();
    let (before, after) = text.split_once("password = { file = \"sweep.password\" }").unwrap();
    fs::write(&config, format!("{before}password = {{ credential = \"sweeper\" }}{after}")).unwrap();
    let credentials = tempfile::tempdir().unwrap();
    let secret = credentials.path().join("sweeper");
    fs::write(&secret, "sweeppw\n").unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    let run = |directory: Option<&std::path::Path>| {
        let mut command = Command::new(mailwarden_program().unwrap());
        command.args(["sweep", "--all", "--profile", "remote", "--config", &config]);
        match directory {
            Some(directory) => command.env("CREDENTIALS_DIRECTORY", directory),
            None => command.env_remove("CREDENTIALS_DIRECTORY"),
        };
        command.output().unwrap()
    };
    let clean = run(Some(credentials.path()));
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");
    let without = run(None);
    assert_eq!(without.status.code(), Some(2), "{without:?}");
    assert!(String::from_utf8_lossy(&without.stderr).contains("CREDENTIALS_DIRECTORY"), "{without:?}");
}

#[test]
fn a_personal_script_in_a_dictionary_is_read_and_judged() {
    let world = world("", |lab| {
        lab.dovecot_conf = "plugin {\n  sieve = dict:file:%h/personal.dict;name=active\n}\n".to_owned();
    });
    let dovecot = &world.lab.dovecot;
    world.lab.imap(ALICE).unwrap().create("Plans").unwrap();
    let uri = format!("file:{}/personal.dict", dovecot.home(ALICE).display());
    for (key, value) in [("name/active", "3"), ("data/3", &format!("redirect \"{THIEF}\";\n"))] {
        let key = format!("priv/sieve/{key}");
        let set = dovecot.doveadm(&["dict", "set", "-u", ALICE, &uri, &key, value]).unwrap();
        assert_eq!(set.code, Some(0), "{set:?}");
    }
    let report = sweep(&on_host(&world), "full").json();
    let redirect = of_check(&report, "sieve.redirect-external");
    assert_eq!(redirect.len(), 1, "{:#}", report["findings"]);
    assert_eq!((&redirect[0]["mailbox"], &redirect[0]["state"]), (&ALICE.into(), &"active".into()));
    assert_eq!(redirect[0]["locator"]["script"], format!("dict:{uri};name=active"));
}

/// Pigeonhole's own layout of tables for scripts (`dict { sieve = sqlite:... }`), behind Dovecot's dictionary server.
#[test]
fn a_personal_script_in_an_sql_database_is_read_and_judged() {
    let directory = tempfile::tempdir().unwrap();
    let (database, maps) = (directory.path().join("scripts.db"), directory.path().join("maps.conf"));
    let statements = format!(
        "CREATE TABLE scripts (id INTEGER PRIMARY KEY, owner TEXT, name TEXT, source TEXT); \
         INSERT INTO scripts VALUES (1, '{ALICE}', 'active', 'redirect \"{THIEF}\";'), \
                                    (2, '{ALICE}', 'other', 'redirect \"{THIEF}\"; keep;'), \
                                    (3, '{JANE}', 'active', 'keep;');"
    );
    let made = Command::new("sqlite3").arg(&database).arg(statements).status().unwrap();
    assert!(made.success());
    let map = |key: &str, value: &str, field: &str, variable: &str| {
        format!(
            "map {{\n  pattern = priv/sieve/{key}/${variable}\n  table = scripts\n  username_field = owner\n  \
             value_field = {value}\n  fields {{\n    {field} = ${variable}\n  }}\n}}\n"
        )
    };
    let tables = map("name", "id", "name", "name") + &map("data", "source", "id", "id");
    fs::write(&maps, format!("connect = {}\n{tables}", database.display())).unwrap();
    let world = world("", |lab| {
        lab.dovecot_conf = format!(
            "dict {{\n  scripts = sqlite:{}\n}}\nplugin {{\n  sieve = dict:proxy::scripts;name=active\n}}\n",
            maps.display()
        );
    });
    let report = sweep(&on_host(&world), "full").json();
    let redirect = of_check(&report, "sieve.redirect-external");
    assert_eq!(redirect.len(), 1, "{:#}\n{:#?}", report["findings"], gaps(&report));
    assert_eq!((&redirect[0]["mailbox"], &redirect[0]["state"]), (&ALICE.into(), &"active".into()));
    assert_eq!(redirect[0]["locator"]["script"], "dict:proxy::scripts;name=active");
    assert_eq!(coverage(&report, JANE, "sieve.files")["state"], "collected");
}

/// A store that nobody here can read is a gap of every mailbox, and the verdict says so.
#[test]
fn a_personal_store_that_cannot_be_read_is_named_and_never_clean() {
    for (store, said) in [
        ("dict:proxy:/nonexistent/socket:sieve;name=active", "proxy:/nonexistent/socket:sieve"),
        ("ldap:/etc/dovecot/sieve-ldap.conf", "this kind of store is not read"),
    ] {
        let world = world("", |lab| lab.dovecot_conf = format!("plugin {{\n  sieve = {store}\n}}\n"));
        let report = sweep(&on_host(&world), "host").json();
        assert_ne!(report["verdict"], "clean", "{store}");
        let row = coverage(&report, ALICE, "sieve.files");
        assert_eq!(row["state"], "partial", "{store}: {row:#}");
        assert!(row["reason"].as_str().unwrap().contains(said), "{store}: {row:#}");
    }
}

#[test]
fn scripts_in_a_dictionary_are_read_for_each_mailbox() {
    let world = world("", |lab| {
        lab.dovecot_conf = "plugin {\n  sieve_before = dict:file:%h/before.dict;name=active\n}\n".to_owned();
    });
    let dovecot = &world.lab.dovecot;
    // The home comes into being with the first folder, and doveadm would make it root's.
    world.lab.imap(ALICE).unwrap().create("Plans").unwrap();
    let uri = format!("file:{}/before.dict", dovecot.home(ALICE).display());
    for (key, value) in [("name/active", "7"), ("data/7", &format!("redirect \"{THIEF}\";\n"))] {
        let key = format!("priv/sieve/{key}");
        let set = dovecot.doveadm(&["dict", "set", "-u", ALICE, &uri, &key, value]).unwrap();
        assert_eq!(set.code, Some(0), "{set:?}");
    }
    let report = sweep(&on_host(&world), "full").json();
    assert_eq!(gaps(&report), Vec::<&Value>::new());
    let redirect = of_check(&report, "sieve.redirect-external");
    assert_eq!(redirect.len(), 1, "{:#}", report["findings"]);
    assert_eq!((&redirect[0]["mailbox"], &redirect[0]["state"]), (&ALICE.into(), &"active".into()));
    let script = redirect[0]["locator"]["script"].as_str().unwrap();
    assert_eq!(script, format!("dict:{uri};name=active"));
}
