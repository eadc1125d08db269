//! The control model from outside: who, factsheet, check, and the cases as an operator works them.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mailwarden_e2e::{AS_OLGA, AS_OMAR, Installation, Output, login, mailwarden, mailwarden_reading, with};
use tempfile::TempDir;

/// Lets whoever runs the tests act for the people of the example.
const ACT_AS: &str = "[raci]\nact_as = [\"WHO\"]\n";
const HUMAN_TIMES: &str = "2099-01-01";

struct Desk {
    directory: TempDir,
    installation: Installation,
}

impl Desk {
    fn new(more: &str) -> Desk {
        let directory = tempfile::tempdir().unwrap();
        let policy = format!("{}\n{more}", ACT_AS.replace("WHO", &login().unwrap()));
        let installation =
            Installation::create(directory.path(), "unix:/nonexistent/gate", "", &policy).unwrap();
        Desk { directory, installation }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        mailwarden(&[arguments, &["--config", &self.installation.config()]].concat()).unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
        output.stdout.trim().to_owned()
    }

    /// What a refused command says.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, 2, "{arguments:?}: {output:?}");
        output.stderr
    }

    /// A report of a sweep that looked at everything of every mailbox and found nothing.
    fn clean_report(&self) -> String {
        let row = |mailbox: &str, surface: &str| {
            serde_json::json!({"mailbox": mailbox, "surface": surface, "state": "collected", "reason": "",
                               "source": "test"})
        };
        let mut coverage = vec![row("(system)", "postfix.virtual")];
        for mailbox in self.mailboxes() {
            let surfaces = ["imap.acl", "imap.metadata", "managesieve.scripts"];
            coverage.extend(surfaces.map(|surface| row(&mailbox, surface)));
        }
        let report = serde_json::json!({
            "schema": "mailwarden.report/1", "run_id": "run-1", "tool": "test",
            "started": "2098-01-01T00:00:00Z", "finished": "2098-01-01T00:00:01Z", "policy_digest": "",
            "surfaces": ["imap.acl"], "verdict": "clean", "findings": [], "coverage": coverage,
        });
        self.installation.write("report.json", report.to_string()).unwrap()
    }

    fn mailboxes(&self) -> Vec<String> {
        let policy = std::fs::read_to_string(self.installation.policy_file()).unwrap();
        let address = |table: &str| {
            let line = table.lines().find(|line| line.starts_with("address = "))?;
            Some(line.split('"').nth(1)?.to_owned())
        };
        policy.split("[[mailbox]]").skip(1).filter_map(address).collect()
    }
}

#[test]
fn a_privileged_reset_is_worked_by_different_people_and_ends_on_a_clean_sweep() {
    let desk = Desk::new("");
    let request = [
        "reset",
        "request",
        "ops@example.test",
        "--scenario",
        "lockout",
        "--requester",
        "erik@example.test",
        "--ticket",
        "T-1",
        "--reason",
        "locked out",
    ];
    let case = desk.done(&with(&request, AS_OLGA));
    assert_eq!(desk.done(&with(&request, AS_OLGA)), case, "the same request is the same case");
    let shown = desk.run(&["who", "ops@example.test"]).stdout;
    assert!(shown.contains(&format!("reset {}", case.to_lowercase())), "{shown}");
    let verify = ["reset", "verify", &case, "--method", "called back", "--channel"];
    assert!(desk.refused(&with(&[&verify[..], &["email"]].concat(), AS_OLGA)).contains("proves nothing"));
    desk.done(&with(&[&verify[..], &["phone +1 555 0103"]].concat(), AS_OLGA));
    let approve = |who: &'static str| ["reset", "approve", &case, "--approver", who, "--channel", "phone"];
    desk.done(&with(&approve("jane@example.test"), AS_OLGA));
    desk.done(&with(&approve("olga@example.test"), AS_OLGA));
    let execute = [
        "reset",
        "execute",
        &case,
        "--temporary-secret",
        "--must-change",
        "--sessions-revoked",
        "--tokens-reviewed",
    ];
    assert!(desk.refused(&with(&execute, AS_OLGA)).contains("cannot execute it as well"));
    let secret = desk.done(&with(&execute, AS_OMAR));
    assert!(secret.len() >= 16, "{secret:?}");
    assert_eq!(desk.done(&with(&execute, AS_OMAR)), "", "it is shown once");
    let confirm = ["reset", "confirm", &case, "--by", "jane@example.test", "--channel", "phone", "--rotated"];
    desk.done(&with(&confirm, AS_OMAR));
    let report = desk.clean_report();
    let log = desk.done(&with(&["reset", "close", &case, "--report", &report], AS_OMAR));
    assert!(log.contains("Forwarding / catch-all checked (Y/N): Y (sweep run-1)"), "{log}");
    assert!(nothing_holds(desk.directory.path(), &secret), "the secret is stored somewhere");
}

/// Whether no file below a directory holds these bytes.
fn nothing_holds(directory: &Path, secret: &str) -> bool {
    std::fs::read_dir(directory).unwrap().all(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return nothing_holds(&path, secret);
        }
        let bytes = std::fs::read(&path).unwrap();
        !bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
    })
}

#[test]
fn a_signed_approval_counts_and_a_forged_replayed_or_foreign_one_does_not() {
    let keys = tempfile::tempdir().unwrap();
    let key = |name: &str| {
        let path = keys.path().join(name).display().to_string();
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path]).status().unwrap();
        assert!(made.success());
        path
    };
    let (jane, other) = (key("jane"), key("other"));
    let public = std::fs::read_to_string(format!("{jane}.pub")).unwrap();
    let desk = Desk::new(
        "[raci.reset-role]\nsignature = true\n[[mailbox]]\naddress = \"shop@example.test\"\nkind = \"role\"\n\
         business_owner = \"jane@example.test\"\n",
    );
    let policy = std::fs::read_to_string(desk.installation.policy_file()).unwrap();
    let with_key = policy.replace(
        "roles = [\"client-owner\"]",
        &format!("roles = [\"client-owner\"]\nssh_keys = [\"{}\"]", public.trim()),
    );
    desk.installation.write_policy(with_key).unwrap();
    let request = |mailbox: &str| {
        let request = [
            "reset",
            "request",
            mailbox,
            "--scenario",
            "forgotten",
            "--requester",
            "olga@example.test",
            "--ticket",
            "T-2",
            "--reason",
            "r",
        ];
        let case = desk.done(&with(&request, AS_OLGA));
        desk.done(&with(&["reset", "verify", &case, "--method", "met", "--channel", "in person"], AS_OMAR));
        case
    };
    let (case, second) = (request("sales@example.test"), request("shop@example.test"));
    let text = |case: &str| {
        let printed = mailwarden(&[
            "reset",
            "approve",
            case,
            "--approver",
            "jane@example.test",
            "--print-text",
            "--config",
            &desk.installation.config(),
        ])
        .unwrap();
        assert_eq!(printed.code, 0, "{printed:?}");
        printed.stdout
    };
    let sign = |name: &str, key: &str, namespace: &str, text: &str| {
        let file = desk.installation.write(name, text).unwrap();
        let args = ["-q", "-Y", "sign", "-n", namespace, "-f", key, &file];
        assert!(Command::new("ssh-keygen").args(args).status().unwrap().success());
        format!("{file}.sig")
    };
    let approve = |case: &str, signature: &str| {
        desk.run(&with(
            &[
                "reset",
                "approve",
                case,
                "--approver",
                "jane@example.test",
                "--channel",
                "signature",
                "--signature",
                signature,
            ],
            AS_OMAR,
        ))
    };
    let unsigned = ["reset", "approve", &case, "--approver", "jane@example.test", "--channel", "phone"];
    assert!(desk.refused(&with(&unsigned, AS_OMAR)).contains("asks for a signed approval"));
    for (why, signature) in [
        ("another key", sign("a", &other, "mailwarden", &text(&case))),
        ("another namespace", sign("b", &jane, "git", &text(&case))),
        ("another case", sign("c", &jane, "mailwarden", &text(&second))),
        ("another text", sign("d", &jane, "mailwarden", "yes")),
    ] {
        let output = approve(&case, &signature);
        assert_eq!(output.code, 2, "{why}: {output:?}");
        assert!(output.stderr.contains("is not by jane@example.test under this text"), "{why}: {output:?}");
    }
    let good = sign("e", &jane, "mailwarden", &text(&case));
    assert_eq!(approve(&case, &good).code, 0);
    desk.done(&with(&["reset", "execute", &case], AS_OMAR));
}

#[test]
fn whoever_is_nobody_in_the_policy_does_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let installation = Installation::create(directory.path(), "unix:/nonexistent/gate", "", "").unwrap();
    let request = [
        "reset",
        "request",
        "ops@example.test",
        "--scenario",
        "lockout",
        "--ticket",
        "T",
        "--reason",
        "r",
        "--config",
        &installation.config(),
    ];
    let output = mailwarden(&request).unwrap();
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("is nobody in the policy"), "{output:?}");
    let output = mailwarden(&[&request[..], &AS_OMAR].concat()).unwrap();
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("may not act as omar@example.test"), "{output:?}");
}

#[test]
fn an_offboarding_is_contained_in_the_policy_and_closed_on_evidence() {
    let desk = Desk::new(
        "[[mailbox]]\naddress = \"nina@example.test\"\nkind = \"human\"\n[[person]]\nname = \"Nina North\"\n\
         addresses = [\"nina@example.test\"]\n",
    );
    let report = desk.clean_report();
    let open = [
        "offboard",
        "open",
        "nina@example.test",
        "--at",
        "2026-01-01T09:00:00Z",
        "--ticket",
        "HR-9",
        "--report",
        &report,
    ];
    let case = desk.done(&with(&open, AS_OLGA));
    assert_eq!(desk.done(&with(&open, AS_OLGA)), case);
    let early = desk.refused(&with(&["offboard", "sweep", &case, "--report", &report], AS_OMAR));
    assert!(early.contains("`offboard contain` comes first"), "{early}");
    let before = std::fs::read_to_string(desk.installation.policy_file()).unwrap();
    let contain = ["offboard", "contain", &case, "--successor", "jane@example.test"];
    let printed = desk.run(&with(&contain, AS_OMAR));
    assert_eq!(printed.code, 1, "printed and not done: {printed:?}");
    assert!(printed.stdout.contains("+left = 2026-01-01T09:00:00Z"), "{printed:?}");
    assert_eq!(std::fs::read_to_string(desk.installation.policy_file()).unwrap(), before);
    desk.done(&with(&[&contain[..], &["--apply"]].concat(), AS_OMAR));
    let after = std::fs::read_to_string(desk.installation.policy_file()).unwrap();
    let added = "left = 2026-01-01T09:00:00Z\nsuccessor = \"jane@example.test\"\n";
    assert_eq!(after.replacen(added, "", 1), before, "every other byte stays");
    let swept = desk.run(&with(&["offboard", "sweep", &case, "--report", &report], AS_OMAR));
    assert_eq!(swept.code, 1, "items that no machine can see are open: {swept:?}");
    assert!(swept.stdout.contains("[x] B1"), "{swept:?}");
    let early = desk.refused(&with(&["offboard", "close", &case], AS_OMAR));
    assert!(early.contains("item(s) are open: A1"), "{early}");
    let status = desk.run(&["offboard", "status", &case, "--json"]).json();
    let items = status["offboardings"][0]["items"].as_array().unwrap().clone();
    for item in items.iter().filter(|item| item["state"] == "open").filter_map(|item| item["id"].as_str()) {
        desk.done(&with(&["offboard", "attest", &case, item, "--note", "done in the panel"], AS_OMAR));
    }
    desk.done(&with(
        &["offboard", "approve", &case, "--approver", "jane@example.test", "--channel", "phone"],
        AS_OLGA,
    ));
    let closed = desk.done(&with(&["offboard", "close", &case], AS_OMAR));
    assert!(closed.contains("closed       by omar@example.test"), "{closed}");
    assert!(closed.contains("after the leaving"), "{closed}");
    let bundle = desk.installation.path("bundle");
    desk.done(&["offboard", "bundle", &case, "--output", &bundle]);
    let bundle = std::fs::read_to_string(format!("{bundle}/bundle.json")).unwrap();
    let bundle: serde_json::Value = serde_json::from_str(&bundle).unwrap();
    // Opened, contained, each item, approved, closed.
    let proved = bundle["entries"].as_array().unwrap();
    assert!(proved.len() >= items.len() + 4, "{} entries for {} items", proved.len(), items.len());
}

#[test]
fn an_access_ends_and_the_review_says_so() {
    let desk = Desk::new("");
    let grant = [
        "access",
        "grant",
        "sales@example.test",
        "olga@example.test",
        "--expires",
        HUMAN_TIMES,
        "--reason",
        "cover",
        "--ticket",
        "T-3",
        "--approver",
        "jane@example.test",
        "--channel",
        "phone",
    ];
    let refused = desk.refused(&with(&grant, AS_OMAR));
    assert!(refused.contains("within the next 365 days"), "{refused}");
    let soon = (std::time::SystemTime::now() + Duration::from_secs(5 * 86_400))
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let day = Command::new("date")
        .args(["-u", "-d", &format!("@{}", soon.as_secs()), "+%Y-%m-%d"])
        .output()
        .unwrap();
    let day = String::from_utf8(day.stdout).unwrap().trim().to_owned();
    let grant: Vec<&str> =
        grant.iter().map(|word| if *word == HUMAN_TIMES { day.as_str() } else { word }).collect();
    let id = desk.done(&with(&grant, AS_OMAR));
    let shown = desk.run(&["who", "sales@example.test"]).stdout;
    assert!(shown.contains(&format!("olga@example.test until {day}")), "{shown}");
    let review = desk.run(&["review", "--json"]).json();
    let due = review["due"].as_array().unwrap();
    assert!(due.iter().any(|due| due["kind"] == "access" && due["coming"] == true), "{review:#}");
    desk.done(&with(&["access", "revoke", &id], AS_OMAR));
    assert_eq!(desk.done(&["access", "list"]), "no access is granted for a time");
}

#[test]
fn records_come_by_command_and_by_json_and_once() {
    let desk = Desk::new("");
    let record = [
        "record",
        "mailbox.created",
        "new.one@example.test",
        "--reason",
        "T-4",
        "--pattern",
        "operator-created",
        "--follow-up",
        "2026-01-01",
        "--at",
        "2025-12-01",
    ];
    desk.done(&with(&record, AS_OMAR));
    assert_eq!(desk.done(&with(&record, AS_OMAR)), "", "recorded once");
    let review = desk.run(&["review"]);
    assert_eq!(review.code, 1, "{review:?}");
    assert!(review.stdout.contains("follow-up"), "{review:?}");
    let panel = "{\"kind\":\"invite.sent\",\"subject\":\"new.one@example.test\",\"reason\":\"T-4\",\"id\":\"p-1\"}\n\
                 {\"kind\":\"delegation.added\",\"subject\":\"sales@example.test\",\"reason\":\"T-6\",\"id\":\"p-2\"}\n";
    let panel = desk.installation.write("panel.jsonl", panel).unwrap();
    let config = desk.installation.config();
    let hand_in = with(&["record", "--json", "--config", &config], AS_OMAR);
    let first = mailwarden_reading(&hand_in, &panel).unwrap();
    assert_eq!((first.code, first.stdout.lines().count()), (0, 2), "{first:?}");
    let again = mailwarden_reading(&hand_in, &panel).unwrap();
    assert_eq!((again.code, again.stdout.as_str()), (0, ""), "handed in twice, recorded once: {again:?}");
    let broken = desk.installation.write("broken.jsonl", "{\"kind\": 1}").unwrap();
    let broken = mailwarden_reading(&hand_in, &broken).unwrap();
    assert!(broken.code == 2 && broken.stderr.contains("one a line"), "{broken:?}");
    assert!(
        desk.refused(&with(&["record", "x.y", "a@example.test", "--reason", "r"], AS_OMAR))
            .contains("one of")
    );
}

#[test]
fn the_factsheet_is_complete_or_says_what_is_missing() {
    let desk = Desk::new("[[domain]]\nname = \"second.test\"\nprofile = \"parked\"\n");
    let sheet = desk.done(&["factsheet", "example.test"]);
    for label in ["Registrar admin email(s)", "MFA enabled at the registrar", "DMARC", "Emergency approver"] {
        assert!(sheet.contains(label), "{sheet}");
    }
    let output = desk.run(&["factsheet", "second.test"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("Still missing: Registrar,"), "{output:?}");
}

#[test]
fn check_tells_unusable_from_unwise() {
    let desk = Desk::new("[[mailbox]]\naddress = \"orders@example.test\"\nkind = \"role\"\n");
    let output = desk.run(&["check"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("role-without-owner") && output.stderr.contains("business_owner"),
        "{output:?}"
    );
    let found = desk.run(&["check", "--format", "json"]).json();
    let first = &found["diagnostics"][0];
    assert_eq!((first["id"].as_str(), first["level"].as_str()), (Some("role-without-owner"), Some("error")));
    assert!(first["line"].as_u64().is_some_and(|line| line > 100) && first["column"] == 11, "{first}");
    desk.installation.write_policy("nonsense").unwrap();
    assert_eq!(desk.run(&["check"]).code, 2);
}

#[test]
fn a_new_policy_passes_check_and_an_imported_record_says_what_is_left() {
    let desk = Desk::new("");
    let new = desk.done(&["policy", "new", "Acme", "--domain", "acme.test"]);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("acme.toml"), new).unwrap();
    let policy = directory.path().display().to_string();
    let output = mailwarden(&["check", "--policy", &policy, "--deny", "warnings"]).unwrap();
    assert_eq!(output.code, 0, "{output:?}");
    let record = desk
        .installation
        .write(
            "record.yaml",
            "mailbox:\naddress: a@x.test\nmailbox_type: role\n\
        business_owner: \"Client Ops Lead\"\n",
        )
        .unwrap();
    let output = desk.run(&["policy", "import", &record]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stdout.contains("address = \"a@x.test\"") && output.stderr.contains("line 4"),
        "{output:?}"
    );
    assert!(desk.done(&["policy", "schema"]).contains("\"additionalProperties\": false"));
}

#[test]
#[ignore = "slow: a release build answers in a tenth of the time of this one, which is given ten times the goal"]
fn who_answers_at_once_among_a_thousand_clients() {
    let directory = tempfile::tempdir().unwrap();
    for client in 0..1000 {
        let new = mailwarden(&[
            "policy",
            "new",
            &format!("Client {client}"),
            "--domain",
            &format!("c{client}.test"),
        ]);
        // People of different clients have logins of their own.
        let text = new
            .unwrap()
            .stdout
            .replace("unix_user", "# unix_user")
            .replace("elsewhere.example", &format!("e{client}.example"))
            .replace("omar@agency.example", &format!("omar@a{client}.example"));
        std::fs::write(directory.path().join(format!("c{client}.toml")), text).unwrap();
    }
    let policy = directory.path().display().to_string();
    // The best of ten: what else the machine does is not the subject.
    let ask = || {
        let begun = Instant::now();
        let arguments = ["who", "--policy", &policy, "--ledger", "sqlite:/nonexistent/l.db", "ops@c777.test"];
        let output = mailwarden(&arguments).unwrap();
        assert_eq!(output.code, 0, "{output:?}");
        begun.elapsed()
    };
    let taken = (0..10).map(|_| ask()).min().unwrap();
    let goal = if cfg!(debug_assertions) { 1000 } else { 100 };
    assert!(taken < Duration::from_millis(goal), "{taken:?}");
}
