//! The detection rules in deploy/sigma find what they are for in the log of a real Dovecot and a real Postfix,
//! and nothing in a quiet one.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailwarden_lab::dovecot::Dovecot;
use mailwarden_lab::wait::wait_for;
use mailwarden_lab::{Lab, LabOptions};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

/// A rule of the kind that is kept here: one selection of fields, or keywords.
struct Rule {
    name: String,
    text: Value,
}

impl Rule {
    fn all() -> Vec<Rule> {
        let files = std::fs::read_dir(deploy("sigma")).unwrap().map(|file| file.unwrap().path());
        let read = |path: PathBuf| Rule {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            text: serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap(),
        };
        files.map(read).collect()
    }

    fn matches(&self, line: &str) -> bool {
        let detection = &self.text["detection"];
        match detection["condition"].as_str().unwrap() {
            "keywords" => words(&detection["keywords"]).iter().any(|word| line.contains(word.as_str())),
            "selection" => {
                let Some(event) =
                    line.find('{').and_then(|at| serde_json::from_str::<Value>(&line[at..]).ok())
                else {
                    return false;
                };
                let selection = detection["selection"].as_object().unwrap();
                selection.iter().all(|(field, wanted)| words(wanted).contains(&value_of(&event, field)))
            }
            other => panic!("{}: the condition {other:?} is not understood here", self.name),
        }
    }
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(words).collect(),
        value => vec![value.as_str().unwrap().to_owned()],
    }
}

fn value_of(event: &Value, field: &str) -> String {
    let found = field.split('.').fold(event, |value, name| &value[name]);
    found.as_str().unwrap_or_default().to_owned()
}

fn found_in(rules: &[Rule], log: &str) -> BTreeSet<String> {
    let found = rules.iter().filter(|rule| log.lines().any(|line| rule.matches(line)));
    found.map(|rule| rule.name.clone()).collect()
}

#[test]
fn every_rule_says_what_a_reader_needs() {
    let rules = Rule::all();
    let ids: BTreeSet<_> = rules.iter().map(|rule| words(&rule.text["id"])).collect();
    assert_eq!(ids.len(), rules.len(), "an id is used twice");
    for rule in &rules {
        for key in ["title", "description", "status", "level", "date"] {
            assert!(rule.text[key].as_str().is_some_and(|text| !text.is_empty()), "{}: {key}", rule.name);
        }
        assert!(rule.text["title"].as_str().unwrap().len() <= 110, "{}", rule.name);
        assert!(
            !words(&rule.text["falsepositives"]).is_empty() && rule.text["logsource"]["product"].is_string()
        );
        assert!(words(&rule.text["tags"]).iter().all(|tag| tag.starts_with("attack.")), "{}", rule.name);
    }
}

fn lab() -> Lab {
    Lab::new(LabOptions {
        dovecot_conf: std::fs::read_to_string(deploy("dovecot/mailwarden-events.conf")).unwrap(),
        local_domains: vec!["local.test".to_owned()],
        aliases: vec![
            ("ticket".to_owned(), "\"|/bin/true\"".to_owned()),
            ("archive".to_owned(), "/dev/null".to_owned()),
        ],
        ..LabOptions::default()
    })
    .unwrap()
}

/// What people do all day.
fn a_quiet_day(lab: &Lab) {
    let mut imap = lab.imap("alice@example.test").unwrap();
    imap.list().unwrap();
    imap.select("INBOX").unwrap();
    imap.getacl("INBOX").unwrap();
    lab.managesieve("alice@example.test").unwrap().listscripts().unwrap();
}

fn plant(lab: &Lab) {
    let mut imap = lab.imap("alice@example.test").unwrap();
    imap.setacl("INBOX", "user=bob@example.test", "lr").unwrap();
    imap.setmetadata("INBOX", "/private/comment", Some("x")).unwrap();
    imap.append("INBOX", "Subject: x\r\n\r\nx\r\n").unwrap();
    imap.select("INBOX").unwrap();
    imap.command("RESETKEY INBOX INTERNAL").unwrap();
    let mut scripts = lab.managesieve("alice@example.test").unwrap();
    scripts.putscript("rules", "require \"copy\";\r\nredirect :copy \"bob@example.test\";\r\n").unwrap();
    scripts.setactive("rules").unwrap();
    let mut outside = lab.smtp_from_outside().unwrap();
    let letter = "From: n@vendor.test\r\nSubject: x\r\n\r\nx\r\n";
    for recipient in ["alice@example.test", "ticket@local.test", "archive@local.test"] {
        outside.send("n@vendor.test", &[recipient], letter).unwrap();
    }
}

#[test]
fn what_is_planted_is_found_and_a_quiet_day_is_quiet() {
    let lab = lab();
    let rules = Rule::all();
    a_quiet_day(&lab);
    let quiet = |dovecot: &Dovecot| found_in(&rules, &dovecot.log());
    lab.dovecot.wait_until_log("managesieve(alice@example.test)", SOON).unwrap();
    assert_eq!(quiet(&lab.dovecot), BTreeSet::new(), "{}", lab.dovecot.log());
    plant(&lab);
    let all: BTreeSet<String> = rules.iter().map(|rule| rule.name.clone()).collect();
    let found = || found_in(&rules, &(lab.dovecot.log() + &lab.postfix.log()));
    let waited = wait_for(SOON, "every rule to match", || found() == all);
    let missing: Vec<_> = all.difference(&found()).cloned().collect();
    assert!(waited.is_ok(), "no line for {missing:?} in\n{}\n{}", lab.dovecot.log(), lab.postfix.log());
    assert!(!lab.dovecot.log().contains("Fatal:"), "{}", lab.dovecot.log());
}
