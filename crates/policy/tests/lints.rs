//! Every lint reports its own fixture and nothing else in it, and is silent about what to write instead.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use mailwarden_address::Domain;
use mailwarden_policy::lints::{index_page, page};
use mailwarden_policy::{Lint, Policy, Source, json_schema, lint, lints, render, starter};

/// Rewrites what is generated instead of comparing it.
const REWRITE: &str = "MAILWARDEN_REWRITE";

fn now() -> DateTime<Utc> {
    "2026-11-01T12:00:00Z".parse().expect("a moment")
}

fn beginning() -> String {
    starter("Example", &Domain::parse("example.test").expect("a domain"), now())
}

/// A fragment stands after the starter policy; a file of its own beside it.
fn sources(fragment: &str) -> Vec<Source> {
    if fragment.starts_with("# a file of its own") {
        return vec![Source::new("client.toml", fragment.as_bytes())];
    }
    vec![Source::new("client.toml", format!("{}\n{fragment}", beginning()).into_bytes())]
}

fn reported(fragment: &str) -> Vec<mailwarden_policy::Diagnostic> {
    let sources = sources(fragment);
    let (policy, _) = Policy::compile(&sources).unwrap_or_else(|bad| panic!("{}", render(&bad, false)));
    lint(&policy, &sources, now())
}

fn ids(fragment: &str) -> Vec<&'static str> {
    reported(fragment).iter().map(|found| found.id).collect()
}

#[test]
fn the_starter_policy_has_no_lint_and_no_warning() {
    let sources = sources("");
    let (policy, warnings) =
        Policy::compile(&sources).unwrap_or_else(|bad| panic!("{}", render(&bad, false)));
    let found = lint(&policy, &sources, now());
    assert!(warnings.is_empty() && found.is_empty(), "{}{}", render(&warnings, false), render(&found, false));
}

#[test]
fn every_lint_reports_its_fixture_and_only_that() {
    for lint in lints() {
        let (wrong, _) = lint.example();
        let found = ids(wrong);
        assert!(found.contains(&lint.id), "{} is silent about its own fixture: {found:?}", lint.id);
        let others: Vec<_> = found.iter().filter(|id| **id != lint.id).collect();
        assert!(others.is_empty(), "the fixture of {} has other faults: {others:?}", lint.id);
    }
}

#[test]
fn what_to_write_instead_is_free_of_lints() {
    for lint in lints() {
        let (_, right) = lint.example();
        assert!(!right.trim().is_empty(), "{} says nothing better", lint.id);
        let found = reported(right);
        assert!(found.is_empty(), "{}: {}", lint.id, render(&found, false));
    }
}

#[test]
fn a_lint_points_into_the_text_it_speaks_of() {
    let fragment = lints().find(|lint| lint.id == "licensed-seat").map(|lint| lint.example().0);
    let found = reported(fragment.expect("the lint"));
    let line = beginning().lines().count() + 1 + 4;
    assert_eq!(found[0].location(), format!("client.toml:{line}:8"), "{}", render(&found, false));
}

#[test]
fn an_exception_silences_one_lint_about_one_subject_until_it_ends() {
    let mailbox = "[[mailbox]]\naddress = \"jo@example.test\"\nkind = \"human\"\n";
    let exception = |subject: &str, approved: &str| {
        format!(
            "{mailbox}[[exception]]\nlint = \"naming-human\"\nsubject = \"{subject}\"\nreason = \"known\"\n\
             approver = \"carla.owner@example.test\"\napproved = {approved}\n"
        )
    };
    assert_eq!(ids(mailbox), ["naming-human"]);
    assert!(ids(&exception("jo@example.test", "2026-10-01")).is_empty());
    assert_eq!(ids(&exception("jim@example.test", "2026-10-01")), ["naming-human"]);
    let expired = ids(&exception("jo@example.test", "2026-07-01"));
    assert!(expired.contains(&"naming-human") && expired.contains(&"exception-expired"), "{expired:?}");
}

#[test]
fn ids_are_unique_words() {
    let mut all: Vec<&str> = lints().map(|lint| lint.id).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
    assert!(all.iter().all(|id| id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')), "{all:?}");
}

// --- what is generated ----------------------------------------------------------------------------------------------

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn is_current(path: &Path, expected: &str) -> bool {
    if std::env::var_os(REWRITE).is_some() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, expected).expect("written");
    }
    std::fs::read_to_string(path).is_ok_and(|text| text == expected)
}

fn page_of(lint: &Lint) -> PathBuf {
    project(&format!("docs/reference/lints/{}.md", lint.id))
}

#[test]
fn every_lint_has_its_page_and_every_page_its_lint() {
    for lint in lints() {
        let path = page_of(lint);
        assert!(is_current(&path, &page(lint)), "{} is old: run the test with {REWRITE}=1", path.display());
    }
    assert!(is_current(&project("docs/reference/lints/README.md"), &index_page()), "run with {REWRITE}=1");
    let pages = std::fs::read_dir(project("docs/reference/lints")).expect("the pages").count();
    assert_eq!(pages, lints().count() + 1, "a page without its lint");
}

#[test]
fn the_schema_for_editors_is_that_of_the_tables() {
    let path = project("config/policy/schema.json");
    assert!(is_current(&path, &json_schema()), "{} is old: run with {REWRITE}=1", path.display());
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).expect("JSON");
    assert_eq!(schema["additionalProperties"], false, "unknown keys are errors in the editor as well");
    let tables = schema["properties"].as_object().expect("tables");
    for table in ["client", "person", "domain", "scope", "vendor", "mailbox", "exception", "raci"] {
        assert!(tables.contains_key(table), "{table}");
    }
}
