//! The same plants at other mailbox servers give the same findings. Where a server has no such surface, the
//! difference stands in the tables here, with its reason.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeSet;

use mailwarden_e2e::{SweepConfig, World, WorldOptions, found_and_nothing_else, mailwarden, records};
use mailwarden_lab::cyrus::Cyrus;
use mailwarden_lab::population::{Kind, Population};
use mailwarden_lab::{OutsideWorld, elsewhere};
use serde_json::Value;

const DOMAIN: &str = "example.test";
const MASTER: (&str, &str) = ("sweeper", "sweeppw");
/// Enough for every kind of plant and as many mailboxes without.
const MAILBOXES: usize = 50;

/// A mailbox server, and how it differs from Dovecot 2.3.
struct Server {
    /// Surfaces that Dovecot has and this one has not, and why nothing can be planted there.
    lacks: &'static [(Kind, &'static str)],
    /// Surfaces of its own.
    adds: &'static [Kind],
    /// Surfaces of every mailbox that are never wholly seen, and a part of the reason that is given.
    never_whole: &'static [(&'static str, &'static str)],
    /// The profile of the sweep; without one, whatever is configured.
    profile: Option<&'static str>,
}

const DOVECOT_24: Server = Server { lacks: &[], adds: &[], never_whole: &[], profile: Some("full") };

const CYRUS: Server = Server {
    lacks: &[
        (Kind::PlainFile, "Cyrus runs what its own store names; no file in a home is a script"),
        (Kind::LinkOutside, "the same: users have no directory on the server to link from"),
        (Kind::TamperedBinary, "compiled scripts lie in the server's store, where only the server writes"),
        (Kind::StoreScript, "Cyrus 3.6 has no imapsieve (RFC 6785) and refuses its annotation"),
        (Kind::ServerScript, "the same"),
        (Kind::Push, "an annotation of Dovecot's, refused"),
        (Kind::SignedUrl, "Cyrus shows no keys: the surface is partial for every mailbox instead"),
        (Kind::Locked, "passwords are SASL's affair; Cyrus has no list of locked accounts to read"),
        (Kind::SecondLogin, "a login is its mailbox; there is no home that two could share"),
    ],
    adds: &[Kind::FolderScript],
    never_whole: &[("imap.urlauth", "does not show for which folders")],
    profile: None,
};

impl Server {
    /// What can be planted at Dovecot 2.3 and here.
    fn shared_kinds(&self) -> Vec<Kind> {
        let lacks = |kind: &Kind| self.lacks.iter().any(|(lacking, _)| lacking == kind);
        Kind::ALL.into_iter().filter(|kind| !lacks(kind)).collect()
    }
}

fn world(population: &Population, tree: Option<std::path::PathBuf>) -> World {
    let mut wanted = WorldOptions { gate: false, policy: records(population), ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    wanted.lab.users.extend(population.users.clone());
    wanted.lab.main_cf = population.main_cf();
    wanted.lab.dovecot_tree = tree;
    World::with(&wanted).unwrap()
}

fn sweep(config: &SweepConfig, profile: Option<&str>) -> Value {
    let config = config.save().unwrap();
    let mut arguments = vec!["sweep", "--all", "--format", "json", "--config", &config];
    arguments.extend(profile.iter().flat_map(|profile| ["--profile", profile]));
    let output = mailwarden(&arguments).unwrap();
    assert!(matches!(output.code, 1 | 3), "{output:?}");
    output.json()
}

/// What two servers must agree on: everything but paths of homes and the spelling of groups and logins.
fn essences(report: &Value) -> BTreeSet<String> {
    let essence = |finding: &Value| {
        let (locator, path) = (&finding["locator"], |value: &Value| {
            let name = value.as_str().unwrap_or_default();
            name.rsplit_once("/mail/").map_or(name, |(_, below)| below).to_owned()
        });
        format!(
            "{} {} {} {} {} script={} line={} folder={} file={}",
            finding["mailbox"],
            finding["check_id"],
            finding["severity"],
            finding["state"],
            finding["confidence"],
            path(&locator["script"]),
            locator["line"],
            locator["folder"],
            path(&locator["file"]),
        )
    };
    let all = report["findings"].as_array().unwrap().iter();
    // Postfix is the lab's own in both, and its tables lie in another place each time.
    all.filter(|finding| !finding["surface"]["id"].as_str().unwrap().starts_with("postfix."))
        .map(essence)
        .collect()
}

/// The mailboxes and surfaces that were not wholly seen.
fn gaps(report: &Value) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = report["coverage"].as_array().unwrap().iter();
    let open = rows.filter(|row| row["state"] != "collected" && row["state"] != "unsupported");
    open.map(|row| (text(&row["mailbox"]), text(&row["surface"]))).collect()
}

/// Whether each mailbox has exactly the gaps of the table, with its reason.
fn only_known_gaps(server: &Server, report: &Value) {
    for row in report["coverage"].as_array().unwrap() {
        let expected = server.never_whole.iter().find(|(surface, _)| row["surface"] == *surface);
        match expected {
            Some((_, reason)) => {
                assert_eq!(row["state"], "partial", "{row:#}");
                assert!(row["reason"].as_str().unwrap().contains(reason), "{row:#}");
            }
            None => assert!(matches!(row["state"].as_str(), Some("collected" | "unsupported")), "{row:#}"),
        }
    }
}

/// The report of Dovecot 2.3 on the same population.
fn at_dovecot_23(server: &Server, population: &Population) -> Value {
    let world = world(population, None);
    population.plant(&world.lab).unwrap();
    world.nobody_has_left().unwrap();
    let mut config = world.sweep_config();
    config.host = server.profile.is_some();
    let report = sweep(&config, server.profile);
    found_and_nothing_else(&report, &population.expected(&world.lab)).unwrap();
    report
}

#[test]
#[ignore = "slow: a Dovecot 2.4 from a tree of its own, made when it is not there yet"]
fn dovecot_24_gives_the_same_findings() {
    let server = &DOVECOT_24;
    let population = Population::of(13, MAILBOXES, &server.shared_kinds());
    let expected = at_dovecot_23(server, &population);
    let world = world(&population, Some(elsewhere::debian_13(&mut |_| {}).unwrap()));
    population.plant(&world.lab).unwrap();
    world.nobody_has_left().unwrap();
    let mut config = world.sweep_config();
    config.host = true;
    let report = sweep(&config, server.profile);
    found_and_nothing_else(&report, &population.expected(&world.lab)).unwrap();
    assert_eq!(essences(&report), essences(&expected));
    // The locked mailbox hides the same from both; the second login into a home, which ends 2.3's imap, does not
    // trouble 2.4.
    let of_mailbox = |(mailbox, _): &(String, String)| !population.is_twin(mailbox);
    let gaps_of = |report: &Value| gaps(report).into_iter().filter(of_mailbox).collect::<BTreeSet<_>>();
    assert_eq!(gaps_of(&report), gaps_of(&expected));
    assert!(gaps(&report).is_subset(&gaps(&expected)), "{:?}", gaps(&report));
}

/// Cyrus beside a lab, with the same users.
fn cyrus_beside(world: &World) -> Cyrus {
    let dovecot = &world.lab.dovecot;
    let users =
        dovecot.user_addresses().into_iter().map(|user| (user.clone(), dovecot.password(&user).unwrap()));
    Cyrus::start(&world.lab, DOMAIN, &users.collect::<Vec<_>>(), MASTER, &mut |_| {}).unwrap()
}

fn at_cyrus(world: &World, cyrus: &Cyrus) -> SweepConfig {
    let mut config = world.sweep_config();
    (config.imap_port, config.sieve_port, config.separator) = (cyrus.imap_port(), cyrus.sieve_port(), None);
    config.imap = format!("default_domain = \"{DOMAIN}\"\n");
    config
}

#[test]
#[ignore = "slow: a Cyrus from a tree of its own, made when it is not there yet"]
fn cyrus_gives_the_same_findings() {
    let server = &CYRUS;
    let population = Population::of(17, MAILBOXES, &server.shared_kinds());
    let expected = at_dovecot_23(server, &population);
    let world_of_cyrus = world(&population, None);
    let cyrus = cyrus_beside(&world_of_cyrus);
    population.plant_at(&world_of_cyrus.lab, &cyrus).unwrap();
    let report = sweep(&at_cyrus(&world_of_cyrus, &cyrus), server.profile);
    found_and_nothing_else(&report, &population.expected(&world_of_cyrus.lab)).unwrap();
    assert_eq!(essences(&report), essences(&expected));
    only_known_gaps(server, &report);
}

#[test]
#[ignore = "slow: a Cyrus from a tree of its own, made when it is not there yet"]
fn cyrus_has_surfaces_of_its_own() {
    let population = Population::of(19, 10, CYRUS.adds);
    let world = world(&population, None);
    let cyrus = cyrus_beside(&world);
    population.plant_at(&world.lab, &cyrus).unwrap();
    let report = sweep(&at_cyrus(&world, &cyrus), CYRUS.profile);
    found_and_nothing_else(&report, &population.expected(&world.lab)).unwrap();
    only_known_gaps(&CYRUS, &report);
}

/// Each kind that a table calls impossible is tried: the server refuses it, or there is nothing to try it on.
#[test]
#[ignore = "slow: a Cyrus from a tree of its own, made when it is not there yet"]
fn cyrus_really_lacks_what_the_table_says() {
    let population = Population::of(23, 0, &[]);
    let world = world(&population, None);
    let cyrus = cyrus_beside(&world);
    let mut alice = cyrus.imap("alice@example.test").unwrap();
    for (folder, entry) in [
        ("INBOX", "/shared/imapsieve/script"),
        ("", "/shared/imapsieve/script"),
        ("INBOX", "/private/vendor/vendor.dovecot/http-notify"),
        ("INBOX", "/private/vendor/vendor.dovecot/imap-urlauth"),
    ] {
        assert!(alice.setmetadata(folder, entry, Some("x")).is_err(), "{entry} of {folder:?} is taken");
    }
}

/// The rights that remain are those that the server itself says somebody has.
#[test]
#[ignore = "slow: a Cyrus from a tree of its own, made when it is not there yet"]
fn cyrus_and_reach_agree_on_what_is_left_of_rights() {
    let population = Population::of(29, 0, &[]);
    let world = world(&population, None);
    let cyrus = cyrus_beside(&world);
    let lists: [(&str, &[(&str, &str)]); 6] = [
        ("Added", &[("omar", "lr"), ("anyone", "s")]),
        ("Taken", &[("omar", "lrs"), ("-omar", "r")]),
        ("All", &[("anyone", "lr"), ("-anyone", "r"), ("omar", "lrs")]),
        ("Spelt", &[("omar", "lrs"), ("-omar@example.test", "r")]),
        ("Elsewhere", &[("omar@other.test", "lr")]),
        ("None", &[("omar", "l"), ("-omar", "l")]),
    ];
    let mut alice = cyrus.imap("alice@example.test").unwrap();
    for (folder, entries) in lists {
        alice.create(folder).unwrap();
        for (identifier, rights) in entries {
            alice.setacl(folder, identifier, rights).unwrap();
        }
    }
    let mut omar = cyrus.imap("omar@example.test").unwrap();
    let mut readable = BTreeSet::new();
    for (folder, _) in lists {
        let answer = omar.command(format!("MYRIGHTS \"Other Users/alice/{folder}\"")).unwrap();
        let said = answer.untagged.iter().find_map(|line| line.text.strip_prefix("MYRIGHTS "));
        let rights = said.and_then(|line| line.rsplit_once(' ')).map_or("", |(_, rights)| rights);
        if rights.contains('r') {
            readable.insert(folder);
        }
    }
    assert_eq!(readable, BTreeSet::from(["Added", "Spelt"]), "as the server has it");
    let config = at_cyrus(&world, &cyrus).save().unwrap();
    let arguments = ["reach", "omar@example.test", "--format", "json", "--config", &config];
    let reached = mailwarden(&arguments).unwrap().json();
    let reaches = |folder: &str| {
        let named = format!("on folder \"{folder}\"");
        let ways = reached["reverse"].as_array().unwrap().iter();
        let mut steps = ways.flat_map(|way| way["path"].as_array().unwrap());
        steps.any(|step| step.as_str().unwrap().contains(&named) && reads(step.as_str().unwrap()))
    };
    let found: BTreeSet<&str> =
        lists.iter().map(|(folder, _)| *folder).filter(|folder| reaches(folder)).collect();
    assert_eq!(found, readable, "{reached:#}");
}

/// `rights lrs on folder ...`
fn reads(step: &str) -> bool {
    step.split_whitespace().nth(1).is_some_and(|rights| rights.contains('r'))
}
