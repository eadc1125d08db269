//! An offboarding on real servers, from opening to the evidence; what it must refuse on the way, and what
//! happens to whoever tampers with the record.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::Path;
use std::process::Command;

use mailwarden_e2e::{
    AS_OLGA, AS_OMAR, Output, World, WorldOptions, login, mailwarden, mailwarden_verify, with,
};
use mailwarden_lab::OutsideWorld;
use serde_json::Value;

const BOB: &str = "bob@example.test";
const OPS: &str = "ops@example.test";
const THIEF: &str = "bob@gmail.example";

/// Mail servers, and a desk from which an operator works.
struct Desk {
    world: World,
    config: String,
}

impl Desk {
    /// Bob has not left yet, and an approval of his leaving is signed by Jane.
    fn new() -> Desk {
        let mut options = WorldOptions { gate: false, ..WorldOptions::default() };
        options.lab.outside = OutsideWorld::Discarded;
        let world = World::with(&options).unwrap();
        let policy = world.installation.policy_file();
        let text = std::fs::read_to_string(&policy).unwrap();
        let bob = "left = 2026-01-31T17:00:00Z\nsuccessor = \"jane@example.test\"\n";
        assert!(text.contains(bob), "the example policy lets Bob leave");
        let raci =
            format!("\n[raci]\nact_as = [\"{}\"]\n[raci.offboard]\nsignature = true\n", login().unwrap());
        world.installation.write_policy(text.replace(bob, "") + &raci).unwrap();
        let config = world.sweep_config().save().unwrap();
        Desk { world, config }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        mailwarden(&[arguments, &["--config", &self.config]].concat()).unwrap()
    }

    fn done(&self, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
        output
    }

    /// What a refused command says.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, 2, "{arguments:?}: {output:?}");
        output.stderr
    }

    fn open_items(&self, case: &str) -> Vec<String> {
        let status = self.run(&["offboard", "status", case, "--json"]).json();
        let items = status["offboardings"][0]["items"].as_array().unwrap().clone();
        let open = items.iter().filter(|item| item["state"] == "open");
        open.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Writes Jane's key into the policy.
    fn register(&self, public: &str) {
        let path = self.world.installation.policy_file();
        let text = std::fs::read_to_string(path).unwrap();
        let before = "roles = [\"client-owner\"]";
        let after = format!("{before}\nssh_keys = [\"{}\"]", public.trim());
        self.world.installation.write_policy(text.replace(before, &after)).unwrap();
    }

    fn events(&self, kind: &str) -> Vec<Value> {
        let shown = self.done(&["ledger", "show", "--kind", kind, "--json"]).json();
        shown["events"].as_array().unwrap().clone()
    }
}

/// A forwarding rule of Bob's, and his way into another mailbox.
fn plant(desk: &Desk) {
    let mut scripts = desk.world.lab.managesieve(BOB).unwrap();
    scripts.putscript("tidy", &format!("redirect \"{THIEF}\";\r\n")).unwrap();
    scripts.setactive("tidy").unwrap();
    let mut ops = desk.world.lab.imap(OPS).unwrap();
    ops.create("Invoices").unwrap();
    ops.setacl("Invoices", BOB, "lr").unwrap();
}

fn remove(desk: &Desk) {
    let mut scripts = desk.world.lab.managesieve(BOB).unwrap();
    scripts.setactive("").unwrap();
    scripts.deletescript("tidy").unwrap();
    desk.world.lab.imap(OPS).unwrap().deleteacl("Invoices", BOB).unwrap();
}

fn key(directory: &Path, name: &str) -> String {
    let path = directory.join(name).display().to_string();
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path]).status();
    assert!(made.unwrap().success());
    path
}

/// Signs what `--print-text` prints, and names the signature.
fn sign(desk: &Desk, name: &str, key: &str, text: &str) -> String {
    let file = desk.world.installation.write(name, text).unwrap();
    let args = ["-q", "-Y", "sign", "-n", "mailwarden", "-f", key, &file];
    assert!(Command::new("ssh-keygen").args(args).status().unwrap().success());
    format!("{file}.sig")
}

/// A command of an offboarding, refused: what is done, and what the refusal says.
fn wrong_order(desk: &Desk, case: &str) {
    for (arguments, said) in [
        (vec!["offboard", "sweep", case], "`offboard contain` comes first"),
        (vec!["offboard", "close", case], "`offboard contain` comes first"),
        (
            vec!["offboard", "approve", case, "--approver", "jane@example.test", "--channel", "phone"],
            "`offboard contain` comes first",
        ),
    ] {
        let refusal = desk.refused(&with(&arguments, AS_OMAR));
        assert!(refusal.contains(said), "{arguments:?}: {refusal}");
    }
}

/// Attests everything that no machine can see; Bob cannot.
fn attest_the_rest(desk: &Desk, case: &str) {
    let items = desk.open_items(case);
    let by_bob = ["offboard", "attest", case, &items[0], "--note", "done", "--as", BOB];
    let refusal = desk.refused(&by_bob);
    assert!(refusal.contains("left on") || refusal.contains("cannot attest"), "{refusal}");
    for item in &items {
        desk.done(&with(&["offboard", "attest", case, item, "--note", "done in the panel"], AS_OMAR));
    }
}

#[test]
fn a_leaver_goes_from_open_to_bundle_and_nothing_is_called_clean_that_is_not() {
    let desk = Desk::new();
    let keys = tempfile::tempdir().unwrap();
    let (jane, forger) = (key(keys.path(), "jane"), key(keys.path(), "forger"));
    desk.register(&std::fs::read_to_string(format!("{jane}.pub")).unwrap());
    plant(&desk);
    let open = ["offboard", "open", BOB, "--at", "2026-01-31T17:00:00Z", "--ticket", "HR-9"];
    let opened = desk.done(&with(&open, AS_OLGA));
    let case = opened.stdout.trim().to_owned();
    for found in [THIEF, "Invoices"] {
        assert!(opened.stderr.contains(found), "the sweep that comes first shows {found}: {}", opened.stderr);
    }
    assert_eq!(desk.done(&with(&open, AS_OLGA)).stdout.trim(), case, "the same case");
    wrong_order(&desk, &case);
    let contain = ["offboard", "contain", &case, "--successor", "jane@example.test", "--apply"];
    desk.done(&with(&contain, AS_OMAR));

    // Both ways in are still there: neither the rule nor the grant on somebody else's mailbox passes.
    let swept = desk.run(&with(&["offboard", "sweep", &case], AS_OMAR));
    assert_eq!(swept.code, 1, "{swept:?}");
    let open_items = desk.open_items(&case);
    for item in ["B1", "B4"] {
        assert!(open_items.iter().any(|open| open == item), "{item} passed: {swept:?}");
    }
    remove(&desk);
    desk.run(&with(&["offboard", "sweep", &case], AS_OMAR));
    let open_items = desk.open_items(&case);
    for item in ["B1", "B2", "B3", "B4"] {
        assert!(!open_items.iter().any(|open| open == item), "{item} is open: {open_items:?}");
    }

    attest_the_rest(&desk, &case);
    // A short waiver takes the place of an attestation, and runs out.
    let soon = chrono_in_seconds(2);
    let waive = ["offboard", "waive", &case, "A2", "--reason", "no session list", "--expires", &soon];
    let by_olga = [&waive[..], &["--approver", "omar@example.test"]].concat();
    assert!(desk.refused(&with(&by_olga, AS_OLGA)).contains("cannot waive"));
    desk.done(&with(&[&waive[..], &["--approver", "jane@example.test"]].concat(), AS_OLGA));
    mailwarden_lab::wait::wait_until(std::time::Duration::from_secs(20), "the end of a waiver", || {
        let refusal = desk.run(&with(&["offboard", "close", &case], AS_OMAR));
        refusal.stderr.contains("the waiver of `A2` has expired").then_some(())
    })
    .unwrap();
    desk.done(&with(&["offboard", "attest", &case, "A2", "--note", "logged out"], AS_OMAR));

    approve(&desk, &case, &jane, &forger);
    let closed = desk.done(&with(&["offboard", "close", &case], AS_OMAR)).stdout;
    assert!(closed.contains("after the leaving"), "{closed}");
    evidence_holds_without_the_ledger(&desk, &case);
    tampering_is_told(&desk);
}

/// The bundle is checked by a program that knows no ledger; one altered letter is told.
fn evidence_holds_without_the_ledger(desk: &Desk, case: &str) {
    let directory = desk.world.installation.path("bundle");
    desk.done(&["offboard", "bundle", case, "--output", &directory]);
    let key = desk.world.installation.write("ledger.pub", desk.done(&["ledger", "key"]).stdout).unwrap();
    let bundle = format!("{directory}/bundle.json");
    let verified = mailwarden_verify(&[&bundle, "--key", &key]).unwrap();
    assert!(verified.code == 0 && verified.stdout.contains("offboard.closed"), "{verified:?}");
    let text = std::fs::read_to_string(&bundle).unwrap();
    let altered = text.replacen("HR-9", "HR-8", 1);
    assert_ne!(altered, text);
    let altered = desk.world.installation.write("altered.json", altered).unwrap();
    let refused = mailwarden_verify(&[&altered, "--key", &key]).unwrap();
    assert_eq!(refused.code, 1, "{refused:?}");
}

/// A row changed, an older copy put back, the checkpoint of another ledger: `ledger verify` names each.
fn tampering_is_told(desk: &Desk) {
    let path = desk.world.installation.path("ledger.db");
    let earlier = std::fs::read(&path).unwrap();
    desk.done(&with(&["record", "forwarding.enabled", BOB, "--reason", "HR-10"], AS_OMAR));
    let key = desk.world.installation.write("ledger.pub", desk.done(&["ledger", "key"]).stdout).unwrap();
    let note = desk.done(&["ledger", "checkpoint"]).stdout;
    let note = desk.world.installation.write("ledger.note", note).unwrap();
    let verify = ["ledger", "verify", "--key", &key, "--anchor", &note];
    desk.done(&verify);
    let whole = std::fs::read(&path).unwrap();
    let told = |said: &str| {
        let output = desk.run(&verify);
        let text = output.stdout + &output.stderr;
        assert!(output.code == 1 && text.contains(said), "{said}: {text}");
    };
    std::fs::write(&path, replaced(&whole, b"\"reason\":\"HR-9\"", b"\"reason\":\"HR-8\"")).unwrap();
    told("altered");
    std::fs::write(&path, earlier).unwrap();
    told("the end was cut off");
    std::fs::write(&path, &whole).unwrap();
    desk.done(&verify);
    let other = desk.world.installation.path("other.toml");
    let config = std::fs::read_to_string(&desk.config).unwrap();
    let another = config.replace("ledger.db", "another.db").replace("ledger-key.pem", "another-key.pem");
    std::fs::write(&other, another).unwrap();
    let swapped = ["record", "forwarding.enabled", BOB, "--reason", "x", "--config", &other];
    assert_eq!(mailwarden(&with(&swapped, AS_OMAR)).unwrap().code, 0);
    let foreign = mailwarden(&["ledger", "checkpoint", "--config", &other]).unwrap().stdout;
    let foreign = desk.world.installation.write("foreign.note", foreign).unwrap();
    let output = desk.run(&["ledger", "verify", "--key", &key, "--anchor", &foreign]);
    assert!(output.code != 0, "a checkpoint of another ledger vouches for nothing: {output:?}");
}

/// The first place where these bytes stand, with others of the same length.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

/// A moment some seconds from now.
fn chrono_in_seconds(seconds: u32) -> String {
    let date = Command::new("date").args(["-u", "-d", &format!("+{seconds} seconds"), "+%FT%TZ"]).output();
    String::from_utf8(date.unwrap().stdout).unwrap().trim().to_owned()
}

/// Unsigned, forged, under an older text, by the executor: none counts. Then Jane's own signature.
fn approve(desk: &Desk, case: &str, jane: &str, forger: &str) {
    let text = || {
        let print = ["offboard", "approve", case, "--approver", "jane@example.test", "--print-text"];
        desk.done(&print).stdout
    };
    let approve = |signature: Option<&str>| {
        let mut arguments =
            vec!["offboard", "approve", case, "--approver", "jane@example.test", "--channel", "signature"];
        arguments.extend(signature.iter().flat_map(|file| ["--signature", file]));
        desk.run(&with(&arguments, AS_OLGA))
    };
    let unsigned = approve(None);
    assert!(unsigned.code == 2 && unsigned.stderr.contains("ssh-keygen -Y sign"), "{unsigned:?}");
    let forged = approve(Some(&sign(desk, "forged", forger, &text())));
    assert!(forged.code == 2 && forged.stderr.contains("is not by jane@example.test"), "{forged:?}");
    let replayed = text().replace(case, "O-another");
    let replayed = approve(Some(&sign(desk, "replayed", jane, &replayed)));
    assert!(replayed.code == 2 && replayed.stderr.contains("under this text"), "{replayed:?}");
    let own = ["offboard", "approve", case, "--approver", "olga@example.test", "--channel", "phone"];
    assert!(desk.refused(&with(&own, AS_OLGA)).contains("cannot approve"), "an operator is no client owner");
    let good = approve(Some(&sign(desk, "good", jane, &text())));
    assert_eq!(good.code, 0, "{good:?}");
}

#[test]
fn an_access_on_record_is_no_finding_and_a_change_that_nobody_recorded_is_observed() {
    let desk = Desk::new();
    let directory = desk.world.installation.path("reports");
    let baseline = format!("{directory}/report.json");
    let last_sweep = || desk.run(&["who", BOB, "--json"]).json()["records"]["last_sweep"].clone();
    assert_eq!(desk.run(&["sweep", OPS, "--format", "json"]).json()["verdict"], "clean");
    assert!(last_sweep().is_null(), "a look at one mailbox says nothing of another: {}", last_sweep());
    let sweep = ["sweep", "--all", "--format", "json", "--output", &directory];
    assert_eq!(desk.run(&sweep).json()["verdict"], "clean");
    assert_eq!(last_sweep()["verdict"], "clean");
    let again = [&sweep[..], &["--baseline", &baseline]].concat();

    let soon = chrono_in_seconds(5 * 86_400);
    let grant = [
        "access",
        "grant",
        OPS,
        "olga@example.test",
        "--rights",
        "lr",
        "--expires",
        &soon,
        "--reason",
        "cover",
        "--ticket",
        "T-3",
        "--approver",
        "jane@example.test",
        "--channel",
        "phone",
    ];
    desk.done(&with(&grant, AS_OMAR));
    let mut ops = desk.world.lab.imap(OPS).unwrap();
    ops.create("Shared").unwrap();
    ops.setacl("Shared", "olga@example.test", "lr").unwrap();
    let report = desk.run(&again).json();
    assert_eq!(report["verdict"], "clean", "the grant is on record: {:#}", report["findings"]);
    assert_eq!(report["findings"][0]["status"], "accepted");
    assert!(desk.events("change.observed").is_empty());

    ops.setacl("Shared", "omar@example.test", "lrswipkxtea").unwrap();
    let mut scripts = desk.world.lab.managesieve(BOB).unwrap();
    scripts.putscript("tidy", &format!("redirect \"{THIEF}\";\r\n")).unwrap();
    scripts.setactive("tidy").unwrap();
    desk.run(&again);
    let forwarding = |events: &[Value], change: &str| {
        events.iter().filter(|event| event["detail"]["payload"]["change"] == change).count()
    };
    let seen = desk.events("change.observed");
    assert_eq!(forwarding(&seen, "forwarding.enabled"), 1, "{seen:#?}");

    accepted_findings_are_no_open_ones(&desk, &again, &baseline);

    // Taken away again, and told by whoever did it: the record explains it.
    scripts.setactive("").unwrap();
    scripts.deletescript("tidy").unwrap();
    desk.done(&with(&["record", "forwarding.disabled", BOB, "--reason", "T-5"], AS_OMAR));
    desk.run(&again);
    let seen = desk.events("change.observed");
    assert_eq!(forwarding(&seen, "forwarding.disabled"), 0, "{seen:#?}");
}

/// An exception closes a finding in the ledger once; when it is gone the finding is open again.
fn accepted_findings_are_no_open_ones(desk: &Desk, sweep: &[&str], report: &str) {
    let open = || desk.run(&["who", BOB, "--json"]).json()["records"]["findings"].as_array().unwrap().len();
    assert_eq!(open(), 1);
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let forward = findings.iter().find(|finding| finding["mailbox"] == BOB).unwrap();
    let before = std::fs::read_to_string(desk.world.installation.policy_file()).unwrap();
    let soon = chrono_in_seconds(5 * 86_400);
    let exception = format!(
        "\n[[exception]]\nfingerprint = {}\ncontent_hash = {}\nreason = \"known\"\n\
         approver = \"jane@example.test\"\nexpires = {soon}\n",
        forward["fingerprint"], forward["content_hash"]
    );
    desk.world.installation.write_policy(format!("{before}{exception}")).unwrap();
    desk.run(sweep);
    desk.run(sweep);
    assert_eq!(open(), 0, "it is accepted");
    assert_eq!(desk.events("finding.accepted").len(), 1, "told once");
    desk.world.installation.write_policy(before).unwrap();
    desk.run(sweep);
    assert_eq!(open(), 1, "nobody accepts it any more");
}
