//! `mailwarden reach` on real servers, and rights as Dovecot itself counts them.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use mailwarden_e2e::{Output, World, WorldOptions, mailwarden};
use mailwarden_lab::OutsideWorld;
use serde_json::Value;

const BOB: &str = "bob@example.test";

fn world() -> World {
    let mut wanted = WorldOptions { gate: false, ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    World::with(&wanted).unwrap()
}

fn paths(answer: &Value, direction: &str) -> Vec<String> {
    let path = |way: &Value| {
        let steps = way["path"].as_array().unwrap().iter().map(|step| step.as_str().unwrap());
        steps.collect::<Vec<_>>().join(" -> ")
    };
    answer[direction].as_array().unwrap().iter().map(path).collect()
}

fn reach(asked: &str, config: &str, more: &[&str]) -> Output {
    let output =
        mailwarden(&[&["reach", asked, "--format", "json", "--config", config], more].concat()).unwrap();
    assert!(matches!(output.code, 0 | 3), "{output:?}");
    output
}

#[test]
fn mail_is_followed_to_its_end_and_a_leaver_to_everything_still_open() {
    let world = world();
    let entry = ("sales@example.test".to_owned(), BOB.to_owned());
    world.lab.postfix.set_virtual_aliases(&[entry]).unwrap();
    let mut scripts = world.lab.managesieve(BOB).unwrap();
    scripts.putscript("main", &format!("{}redirect \"bob@gmail.example\";\r\n", "\r\n".repeat(11))).unwrap();
    scripts.setactive("main").unwrap();
    let mut ops = world.lab.imap("ops@example.test").unwrap();
    for (folder, who, rights) in [
        ("Open", "anyone", "lr"),
        ("Closed", "anyone", "lr"),
        ("Closed", "-bob@example.test", "r"),
        ("Secret", BOB, "lr"),
    ] {
        let _exists = ops.create(folder);
        ops.setacl(folder, who, rights).unwrap();
    }
    let config = world.sweep_config().save().unwrap();
    let directory = world.installation.path("saved");
    mailwarden(&["sweep", "--all", "--config", &config, "--output", &directory]).unwrap();

    let chain = "sales@example.test -> virtual alias -> bob@example.test -> Sieve redirect (line 12) -> \
                 bob@gmail.example";
    for more in [&[][..], &["--input", &directory]] {
        let answer = reach("sales@example.test", &config, more).json();
        assert!(paths(&answer, "forward").contains(&chain.to_owned()), "{:#?}", paths(&answer, "forward"));
        let reverse = paths(&reach("Bob Leaver", &config, more).json(), "reverse");
        for folder in ["Open", "Secret"] {
            let path = format!(
                "ops@example.test -> rights lr on folder \"{folder}\" -> bob@example.test -> Bob Leaver"
            );
            assert!(reverse.contains(&path), "{path}: {reverse:#?}");
        }
        assert!(!reverse.iter().any(|path| path.contains("Closed")), "{reverse:#?}");
        assert!(
            reverse.iter().any(|path| path.starts_with("sales@example.test -> virtual alias")),
            "{reverse:#?}"
        );
    }
    let text =
        mailwarden(&["reach", "sales@example.test", "--config", &config, "--input", &directory]).unwrap();
    assert!(text.stdout.contains(chain), "{}", text.stdout);
    assert!(text.stdout.contains("bob@gmail.example: Bob Leaver, left 2026-01-31"), "{}", text.stdout);
    let asked = ["reach", "Bob Leaver", "--config", &config, "--input", &directory, "--format", "svg"];
    let picture = mailwarden(&asked).unwrap();
    for words in [
        "What Bob Leaver can still reach",
        "Bob Leaver can read",
        "Bob Leaver receives",
        "<title>Sieve redirect (line 12)</title>",
        "Not known: ",
    ] {
        assert!(picture.stdout.contains(words), "no {words:?} in {}", picture.stdout);
    }
    // The picture is no more complete than the answer.
    assert_eq!(picture.code, 3, "{}", picture.stderr);
}

#[test]
fn what_was_not_looked_at_is_said_and_is_no_complete_answer() {
    let world = world();
    let mut config = world.sweep_config();
    config.password = "wrong".to_owned();
    let config = config.save().unwrap();
    let output = reach("sales@example.test", &config, &[]);
    assert_eq!(output.code, 3, "{output:?}");
    let unknown = output.json()["unknown"].to_string();
    assert!(unknown.contains("managesieve.scripts of sales@example.test"), "{unknown}");
    let nobody = mailwarden(&["reach", "Nobody At All", "--config", &config]).unwrap();
    assert_eq!(nobody.code, 2, "{nobody:?}");
}

/// The rows that the unit test of effective rights holds, asked of Dovecot itself.
#[test]
fn dovecot_counts_rights_as_the_graph_does() {
    let world = world();
    let dovecot = &world.lab.dovecot;
    world.lab.imap("ops@example.test").unwrap().create("Box").unwrap();
    dovecot.set_extra_fields(BOB, "userdb_acl_groups=g1,g2").unwrap();
    let list = dovecot.home("ops@example.test").join("Maildir/.Box/dovecot-acl");
    for (entries, expected) in [
        ("anyone lr", "lookup read"),
        ("anyone lr\nauthenticated w", "write"),
        ("anyone lr\nuser=bob@example.test w", "write"),
        ("anyone lr\n-user=bob@example.test r", "lookup"),
        ("group=g1 lr\ngroup=g2 w", "lookup read write"),
        ("group=g1 lr\nuser=bob@example.test w", "write"),
        ("-group=g1 lr\nuser=bob@example.test lr", ""),
        ("group-override=g1 l\nuser=bob@example.test lrw", "lookup"),
        ("group-override=g1 l\n-user=bob@example.test l", ""),
        ("-authenticated r\nanyone lr", "lookup"),
        ("anyone lrw\n-authenticated r\nuser=bob@example.test r", ""),
        ("user=BOB@example.test lr", ""),
    ] {
        std::fs::write(&list, format!("{entries}\n")).unwrap();
        let said = dovecot.doveadm(&["acl", "rights", "-u", BOB, "shared/ops@example.test/Box"]).unwrap();
        let rights = said.stdout.lines().last().unwrap_or_default().trim().to_owned();
        let rights = rights.strip_prefix("Rights").unwrap_or(&rights).trim();
        assert_eq!(rights, expected, "{entries:?}: {said:?}");
    }
}

#[test]
fn every_check_is_explained_on_the_command_line_as_in_the_documentation() {
    let listed = mailwarden(&["checks", "--format", "json"]).unwrap();
    assert_eq!(listed.code, 0, "{listed:?}");
    let checks = listed.json();
    assert!(checks.as_array().unwrap().len() > 50, "{checks:#}");
    let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/checks");
    for id in ["acl.grant-leaver", "session.leaver"] {
        let page = mailwarden(&["checks", id]).unwrap();
        assert_eq!(page.stdout, std::fs::read_to_string(pages.join(format!("{id}.md"))).unwrap());
    }
    let unknown = mailwarden(&["checks", "nothing.such"]).unwrap();
    assert_eq!(unknown.code, 2, "{unknown:?}");
}

#[test]
fn sending_as_master_logins_and_groups_are_ways_too() {
    let mut wanted = WorldOptions { gate: false, ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    wanted.lab.main_cf = format!(
        "smtpd_sender_login_maps = inline:{{ {{ sales@example.test = sales@example.test {BOB} }} }}\n"
    );
    let world = World::with(&wanted).unwrap();
    let masters = world.lab.dovecot.conf_path().with_file_name("masters.pop3");
    std::fs::write(&masters, format!("{BOB}:{{PLAIN}}forgotten\n")).unwrap();
    world.lab.dovecot.set_extra_fields(BOB, "userdb_acl_groups=staff").unwrap();
    let mut ops = world.lab.imap("ops@example.test").unwrap();
    ops.create("Plans").unwrap();
    ops.setacl("Plans", "$staff", "lr").unwrap();
    let mut config = world.sweep_config();
    config.host = true;
    let config = config.save().unwrap();
    let answer = reach("Bob Leaver", &config, &[]).json();
    let reverse = paths(&answer, "reverse");
    for path in [
        format!(
            "mail from sales@example.test -> sender login map for sales@example.test -> {BOB} -> Bob Leaver"
        ),
        format!("jane@example.test -> master user of {} -> {BOB} -> Bob Leaver", masters.display()),
        format!(
            "ops@example.test -> rights lr on folder \"Plans\" as a member of group \"staff\" -> {BOB} -> Bob Leaver"
        ),
    ] {
        assert!(reverse.contains(&path), "{path}: {reverse:#?}");
    }
    assert!(!answer["unknown"].to_string().contains("who is in the group"), "{:#}", answer["unknown"]);
    assert!(!answer.to_string().contains("forgotten"), "passwords are not repeated");
}
