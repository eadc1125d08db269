//! Entries of Postfix's tables are taken out with an approval, and come back byte for byte.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mailwarden_e2e::{Installation, Output, mailwarden};
use serde_json::Value;

/// A configuration directory of Postfix; nothing of it runs.
struct Instance {
    place: tempfile::TempDir,
    installation: Installation,
}

/// Tests run as root, and the owner of the client approves.
const RACI: &str = "[raci]\nact_as = [\"root\"]\n[raci.change-forwarding]\napprove = [\"client-owner\"]\n";

const TEXT: &str = "# who gets what\nsales@example.test\tjane@example.test,\n  eve@evil.example\n\ninfo@example.test  eve@evil.example\n";

impl Instance {
    fn new() -> Self {
        mailwarden_lab::packages::ensure_installed(&mut |_| {}).unwrap();
        let place = tempfile::tempdir().unwrap();
        let etc = place.path().join("etc");
        fs::create_dir_all(&etc).unwrap();
        let table = etc.join("virtual").display().to_string();
        let main = format!("compatibility_level = 3.6\nalias_maps =\nvirtual_alias_maps = hash:{table}\n");
        fs::write(etc.join("main.cf"), main).unwrap();
        fs::write(etc.join("master.cf"), "").unwrap();
        let installation =
            Installation::create(&place.path().join("own"), "unix:/nonexistent", "", RACI).unwrap();
        let text = fs::read_to_string(installation.config()).unwrap();
        let more = format!("\n[postfix]\nconfig_directory = {etc:?}\n");
        installation.write("mailwarden.toml", text + &more).unwrap();
        let instance = Self { place, installation };
        instance.write(TEXT);
        instance.build();
        instance
    }

    fn etc(&self) -> PathBuf {
        self.place.path().join("etc")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.etc().join("virtual")).unwrap()
    }

    fn write(&self, text: &str) {
        fs::write(self.etc().join("virtual"), text).unwrap();
    }

    fn build(&self) {
        let ran = self.postfix("postmap", &[&self.table()]);
        assert!(ran.status.success());
    }

    fn table(&self) -> String {
        format!("hash:{}", self.etc().join("virtual").display())
    }

    fn postfix(&self, program: &str, arguments: &[&str]) -> std::process::Output {
        Command::new(program).arg("-c").arg(self.etc()).args(arguments).output().unwrap()
    }

    /// What is in force for a key.
    fn answer(&self, key: &str) -> String {
        let ran = self.postfix("postmap", &["-q", key, &self.table()]);
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let config = self.installation.config();
        mailwarden(&[arguments, &["--config", &config]].concat()).unwrap()
    }

    fn sweep(&self) -> Value {
        self.run(&["sweep", "--all", "--surface", "postfix.virtual_alias_maps", "--format", "json"]).json()
    }

    /// The finding of a mailbox.
    fn finding(&self, mailbox: &str) -> String {
        let report = self.sweep();
        let findings = report["findings"].as_array().unwrap();
        let found = findings.iter().find(|found| found["mailbox"] == mailbox).unwrap();
        found["fingerprint"].as_str().unwrap().to_owned()
    }

    fn revoke(&self, finding: &str) -> Output {
        self.run(&[
            "revoke",
            finding,
            "--apply",
            "--ticket",
            "T-1",
            "--as",
            "omar@example.test",
            "--approved-by",
            "jane@example.test",
            "--format",
            "json",
        ])
    }
}

fn is_there(path: &Path) -> bool {
    path.exists()
}

#[test]
fn an_entry_is_taken_out_built_and_put_back_byte_for_byte() {
    let instance = Instance::new();
    let sales = instance.finding("sales@example.test");
    let plan = instance.run(&["revoke", &sales]);
    assert!(plan.stdout.contains("is taken out of the entry sales@example.test"), "{}", plan.stdout);
    assert_eq!(instance.text(), TEXT, "a plan changes nothing");
    let done = instance.revoke(&sales);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        instance.text().starts_with("# who gets what\nsales@example.test\tjane@example.test\n\n"),
        "{}",
        instance.text()
    );
    assert_eq!(instance.answer("sales@example.test"), "jane@example.test");
    assert_eq!(instance.answer("info@example.test"), "eve@evil.example", "nothing else changed");
    assert!(!is_there(&instance.etc().join("virtual.mailwarden-new")));
    let change = done.json()["applied"][0]["change"].as_str().unwrap().to_owned();
    let back = instance.run(&[
        "restore",
        &change,
        "--apply",
        "--ticket",
        "T-2",
        "--as",
        "omar@example.test",
        "--approved-by",
        "jane@example.test",
    ]);
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(instance.text(), TEXT);
    assert_eq!(
        instance.answer("sales@example.test").replace(char::is_whitespace, ""),
        "jane@example.test,eve@evil.example"
    );
}

#[test]
fn an_entry_that_leads_nowhere_else_becomes_a_comment() {
    let instance = Instance::new();
    let done = instance.revoke(&instance.finding("info@example.test"));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(instance.text().ends_with("\n# info@example.test  eve@evil.example\n"), "{}", instance.text());
    assert_eq!(instance.answer("info@example.test"), "");
    assert_eq!(instance.sweep()["findings"].as_array().unwrap().len(), 1);
}

#[test]
fn a_text_with_other_changes_in_waiting_is_left_alone() {
    let instance = Instance::new();
    let sales = instance.finding("sales@example.test");
    let edited = format!("{TEXT}new@example.test x@evil.example\n");
    instance.write(&edited);
    let done = instance.revoke(&sales);
    assert!(done.stdout.contains("not built yet"), "{done:?}");
    assert_eq!(instance.text(), edited);
    assert_eq!(instance.answer("new@example.test"), "");
}

#[test]
fn a_line_of_aliases_is_taken_out_built_by_postalias_and_put_back() {
    let instance = Instance::new();
    let aliases = instance.etc().join("aliases");
    let text = "# local names\nroot: jane@example.test\n\nsales: jane@example.test,\n\teve@evil.example\n";
    fs::write(&aliases, text).unwrap();
    let table = format!("hash:{}", aliases.display());
    let main = format!("compatibility_level = 3.6\nmyorigin = example.test\nalias_maps = {table}\n");
    fs::write(instance.etc().join("main.cf"), main).unwrap();
    assert!(instance.postfix("postalias", &[&table]).status.success());
    let answer = || {
        let ran = instance.postfix("postalias", &["-q", "sales", &table]);
        String::from_utf8_lossy(&ran.stdout).replace(char::is_whitespace, "")
    };
    assert_eq!(answer(), "jane@example.test,eve@evil.example");
    let surface = ["sweep", "--all", "--surface", "postfix.alias_maps", "--format", "json"];
    let report = instance.run(&surface).json();
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|found| found["beneficiary"]["value"] == "eve@evil.example").unwrap();
    assert_eq!(
        found["mailbox"], "(system)",
        "a local name is of the system, for which its only client answers"
    );
    let done = instance.revoke(found["fingerprint"].as_str().unwrap());
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(answer(), "jane@example.test", "{}", done.stdout);
    let edited = fs::read_to_string(&aliases).unwrap();
    assert!(edited.starts_with("# local names\nroot: jane@example.test\n\nsales: jane"), "{edited}");
    let change = done.json()["applied"][0]["change"].as_str().unwrap().to_owned();
    let back = instance.run(&[
        "restore",
        &change,
        "--apply",
        "--ticket",
        "T-2",
        "--as",
        "omar@example.test",
        "--approved-by",
        "jane@example.test",
    ]);
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(fs::read_to_string(&aliases).unwrap(), text);
    assert_eq!(answer(), "jane@example.test,eve@evil.example");
}
