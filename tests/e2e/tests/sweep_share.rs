//! Several sweepers, one run: each looks at mailboxes of its own, the whole is what one alone would have
//! brought home, and the death of one costs nothing.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mailwarden_e2e::{Output, World, WorldOptions, mailwarden, mailwarden_program};
use mailwarden_lab::wait::wait_for;
use mailwarden_lab::{OutsideWorld, PostgreSql};
use serde_json::Value;

const THIEF: &str = "thief@gmail.example";
/// Far above what anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);
/// Mailboxes of the lab beside those of the example policy.
const MAILBOXES: usize = 30;

/// So that no sweeper claims all of the few mailboxes at once.
const FEW_AT_A_TIME: &str = "\n[sweep]\nconnections = 4\n";

/// A mail system with many mailboxes, and the database that its sweepers share.
struct Shared {
    world: World,
    server: PostgreSql,
    database: String,
    config: String,
}

impl Shared {
    fn new() -> Shared {
        let mut wanted = WorldOptions { gate: false, ..WorldOptions::default() };
        wanted.lab.outside = OutsideWorld::Discarded;
        let user = |number| (format!("u{number}@example.test"), "pw".to_owned());
        wanted.lab.users.extend((0..MAILBOXES).map(user));
        let world = World::with(&wanted).unwrap();
        let mut scripts = world.lab.managesieve("alice@example.test").unwrap();
        scripts.putscript("main", &format!("redirect \"{THIEF}\";\r\n")).unwrap();
        scripts.setactive("main").unwrap();
        let mut config = world.sweep_config();
        config.host = true;
        FEW_AT_A_TIME.clone_into(&mut config.more);
        let config = config.save().unwrap();
        let server = PostgreSql::start().unwrap();
        let database = server.database().unwrap();
        Shared { world, server, database, config }
    }

    fn file(&self, name: &str) -> String {
        self.world.installation.path(name)
    }

    fn arguments(&self, file: &str, more: &[&str]) -> Vec<String> {
        let url = self.server.url(&self.database);
        let all =
            ["collect", "--all", "--share", "--output", file, "--config", &self.config, "--ledger", &url];
        all.iter().chain(more).map(|word| (*word).to_owned()).collect()
    }

    fn run(&self, file: &str, more: &[&str]) -> Output {
        let arguments = self.arguments(file, more);
        mailwarden(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
    }

    /// Starts one that takes its time.
    fn start(&self, file: &str, rate: &str) -> Child {
        let mut command = Command::new(mailwarden_program().unwrap());
        command.args(self.arguments(file, &["--profile", "full", "--limit-rate", rate]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn ask(&self, sql: &str) -> String {
        self.server.query(&self.database, sql).unwrap_or_default().trim().to_owned()
    }

    fn done(&self) -> BTreeSet<String> {
        let rows = self.ask("SELECT mailbox || ' ' || md5(seen) FROM shared_mailbox WHERE seen IS NOT NULL");
        rows.lines().map(str::to_owned).collect()
    }

    /// Waits until some mailboxes are done, and others are held.
    fn is_in_the_middle(&self) {
        let held = "SELECT count(*) FROM pg_stat_activity
                    WHERE state = 'idle in transaction' AND datname = current_database()";
        wait_for(LONG, "mailboxes done and others held", || self.done().len() > 3 && self.ask(held) != "0")
            .unwrap();
    }
}

fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The rows of each mailbox without what is of the moment. A mailbox that stands twice is no collection.
fn groups(file: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut groups = BTreeMap::new();
    let mut open = BTreeSet::new();
    for line in fs::read_to_string(file).unwrap().lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if let Some(mailbox) = line["done"].as_str() {
            let before = groups.insert(mailbox.to_owned(), std::mem::take(&mut open));
            assert!(before.is_none(), "{mailbox} stands twice");
        } else if line["head"].is_null() && line["end"].is_null() {
            if let Some(evidence) = line.pointer_mut("/observation/evidence") {
                evidence["observed_at"].take();
            }
            open.insert(line.to_string());
        }
    }
    groups
}

fn without_end(file: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter(|line| !line.starts_with("{\"end\"")).collect::<Vec<_>>().join("\n")
}

/// How many mailboxes the sweeper itself looked at.
fn own(stderr: &str) -> usize {
    let (_, after) = stderr.split_once("this sweeper did ").unwrap_or_else(|| panic!("{stderr}"));
    after.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn two_sweepers_together_bring_home_what_one_alone_does() {
    let shared = Shared::new();
    let [one, two, alone, late] =
        ["one.jsonl", "two.jsonl", "alone.jsonl", "late.jsonl"].map(|name| shared.file(name));
    let (first, second) = (shared.start(&one, "20"), shared.start(&two, "20"));
    let ((code_one, said_one), (code_two, said_two)) = (ended(first), ended(second));
    assert_eq!((code_one, code_two), (Some(0), Some(0)), "{said_one}\n{said_two}");
    let (own_one, own_two) = (own(&said_one), own(&said_two));
    assert!(own_one > 0 && own_two > 0, "both have a part: {said_one}\n{said_two}");
    let together = groups(&one);
    assert_eq!(own_one + own_two, together.len(), "nobody looks twice");
    assert_eq!(without_end(&one), without_end(&two), "both write the same");

    let args = ["collect", "--all", "--profile", "full", "--output", &alone, "--config", &shared.config];
    assert_eq!(mailwarden(&args).unwrap().code, 0);
    assert_eq!(together, groups(&alone));
    let judge = |file: &str| {
        let judged = mailwarden(&["judge", "--input", file, "--format", "json", "--config", &shared.config]);
        let report = judged.unwrap().json();
        let findings = report["findings"].as_array().unwrap().iter();
        let prints: Vec<String> = findings.map(|finding| finding["fingerprint"].to_string()).collect();
        (report["verdict"].clone(), prints, report["coverage"].clone())
    };
    assert_eq!(judge(&one), judge(&alone));
    assert_eq!(judge(&two), judge(&alone));

    let late_said = shared.run(&late, &["--profile", "full"]);
    assert_eq!(late_said.code, 0, "{late_said:?}");
    assert!(late_said.stderr.contains("nothing was looked at"), "{late_said:?}");
    assert_eq!(without_end(&late), without_end(&one));
    refuses_other_rounds(&shared);
}

fn refuses_other_rounds(shared: &Shared) {
    let file = shared.file("other.jsonl");
    let other_profile = shared.run(&file, &["--profile", "remote"]);
    assert_eq!(other_profile.code, 2, "{other_profile:?}");
    assert!(other_profile.stderr.contains("another profile"), "{other_profile:?}");
    let policy = shared.world.installation.path("policy/example.toml");
    let more = "\n[[mailbox]]\naddress = \"more@example.test\"\nkind = \"human\"\n\
                business_owner = \"jane@example.test\"\n";
    fs::write(&policy, fs::read_to_string(&policy).unwrap() + more).unwrap();
    let other_policy = shared.run(&file, &["--profile", "full"]);
    assert_eq!(other_policy.code, 2, "{other_policy:?}");
    assert!(other_policy.stderr.contains("other mailboxes"), "{other_policy:?}");
    assert!(!Path::new(&file).exists());
    // Under another name it is another run.
    let another = shared.run(&file, &["--profile", "remote", "--run", "another"]);
    assert_eq!(another.code, 3, "more@ is no mailbox of the server: {another:?}");
    assert_eq!(groups(&file).len(), MAILBOXES + 7 + 1 + 1);
    let sqlite = ["collect", "--all", "--share", "--output", &file, "--config", &shared.config];
    let sqlite = mailwarden(&sqlite).unwrap();
    assert_eq!(sqlite.code, 2, "{sqlite:?}");
    assert!(sqlite.stderr.contains("PostgreSQL"), "{sqlite:?}");
}

#[test]
fn a_sweeper_that_is_killed_is_replaced_and_no_mailbox_is_lost() {
    let shared = Shared::new();
    let [one, two] = ["one.jsonl", "two.jsonl"].map(|name| shared.file(name));
    let mut first = shared.start(&one, "4");
    shared.is_in_the_middle();
    let second = shared.start(&two, "20");
    first.kill().unwrap();
    assert_eq!(first.wait().unwrap().code(), None);
    let before = shared.done();
    let (code, said) = ended(second);
    assert_eq!(code, Some(0), "{said}");
    assert!(!Path::new(&one).exists(), "who died leaves no half of a collection");
    let all = groups(&two);
    // The users of the example policy, and the mail system itself.
    assert_eq!(all.len(), MAILBOXES + 7 + 1, "{:?}", all.keys());
    assert!(before.len() > 3 && before.is_subset(&shared.done()), "nobody looks twice at what is done");
    assert_eq!(shared.ask("SELECT count(*) FROM shared_mailbox WHERE seen IS NULL"), "0");
}

#[test]
fn a_database_that_goes_away_costs_what_was_not_recorded_and_nothing_else() {
    let shared = Shared::new();
    let file = shared.file("all.jsonl");
    let sweeper = shared.start(&file, "4");
    shared.is_in_the_middle();
    let before = shared.done();
    shared.server.stop().unwrap();
    let (code, said) = ended(sweeper);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("the same command goes on"), "{said}");
    let refused = shared.run(&file, &["--profile", "full"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("cannot be reached"), "{refused:?}");
    assert!(!Path::new(&file).exists());

    shared.server.start_again().unwrap();
    let again = shared.run(&file, &["--profile", "full"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(groups(&file).len(), MAILBOXES + 7 + 1);
    assert!(before.len() > 3 && before.is_subset(&shared.done()), "what was recorded is not looked at again");
}

#[test]
fn a_sweeper_with_a_wrong_password_leaves_the_run_to_others() {
    let shared = Shared::new();
    let file = shared.file("all.jsonl");
    let mut wrong = shared.world.sweep_config().named("wrong");
    wrong.host = true;
    FEW_AT_A_TIME.clone_into(&mut wrong.more);
    wrong.password = "not the password".to_owned();
    let (wrong, right) = (wrong.save().unwrap(), shared.config.clone());
    let refused = Shared { config: wrong, ..shared };
    let said = refused.run(&file, &["--profile", "full"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("leaves the run to others"), "{said:?}");
    let spent = refused.done().len();
    assert!(spent < MAILBOXES / 2, "{spent} mailboxes were used up that nobody saw");
    assert!(!Path::new(&file).exists());

    let shared = Shared { config: right, ..refused };
    let finished = shared.run(&file, &["--profile", "full"]);
    assert_eq!(finished.code, 3, "who was refused is unknown, never clean: {finished:?}");
    let all = groups(&file);
    assert_eq!(all.len(), MAILBOXES + 7 + 1);
    let denied = |rows: &&BTreeSet<String>| rows.iter().any(|row| row.contains("\"denied\""));
    let denied = all.values().filter(denied).count();
    assert!(denied > 0 && denied <= spent, "{denied} of {spent}");
}
