//! The documentation as a whole: every page is in the book, every link leads somewhere, and the page of the log
//! says what the code writes.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Set, the table of contents is written anew.
const REWRITE: &str = "MAILWARDEN_REWRITE";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// All pages below a directory, in the order of their names.
fn pages(directory: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|kind| kind == "md") {
            found.push(path);
        }
    }
    found
}

/// The chapters and the folders or pages that belong to them.
const CHAPTERS: [(&str, &[&str]); 6] = [
    ("Begin", &["tutorial.md"]),
    ("Operating", &["operating"]),
    (
        "Reference",
        &[
            "reference/policy.md",
            "reference/log.md",
            "reference/severity.md",
            "reference/sieve.md",
            "reference/ledger-format.md",
            "reference/lints",
            "reference/checks",
        ],
    ),
    (
        "Understanding",
        &[
            "control-model.md",
            "flow.md",
            "architecture.md",
            "security.md",
            "standards.md",
            "scale.md",
            "performance.md",
        ],
    ),
    ("Decisions", &["decisions"]),
    ("Further", &[]),
];

fn title(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    let heading = text.lines().find_map(|line| line.strip_prefix("# "));
    heading.unwrap_or_else(|| panic!("{} has no heading", page.display())).replace('`', "")
}

/// The table of contents; what belongs to no chapter comes last.
fn summary() -> String {
    let docs = project().join("docs");
    let mut left: Vec<PathBuf> = pages(&docs);
    left.retain(|page| page.file_name().is_some_and(|name| name != "SUMMARY.md"));
    let mut text = "# Mailwarden\n".to_owned();
    for (chapter, places) in CHAPTERS {
        let mut own = Vec::new();
        for place in places {
            own.extend(left.iter().filter(|page| page.starts_with(docs.join(place))).cloned());
        }
        if chapter == "Further" {
            own.clone_from(&left);
        }
        left.retain(|page| !own.contains(page));
        if !own.is_empty() {
            text.push_str(&format!("\n# {chapter}\n\n"));
        }
        for page in own {
            let place = page.strip_prefix(&docs).unwrap().display().to_string();
            text.push_str(&format!("- [{}]({place})\n", title(&page)));
        }
    }
    text
}

#[test]
fn every_page_is_in_the_book() {
    let file = project().join("docs/SUMMARY.md");
    let wanted = summary();
    if std::env::var_os(REWRITE).is_some() {
        fs::write(&file, &wanted).unwrap();
    }
    let is = fs::read_to_string(&file).unwrap_or_default();
    assert!(is == wanted, "docs/SUMMARY.md lacks a page or a title; run this test with {REWRITE}=1");
    let book: toml::Table = fs::read_to_string(project().join("docs/book.toml")).unwrap().parse().unwrap();
    assert_eq!(book["book"]["src"].as_str(), Some("."));
}

/// The targets of `[text](target)`, code left out.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let outside_code = line.split('`').step_by(2).collect::<String>();
        for (at, _) in outside_code.match_indices("](").filter(|_| !in_code) {
            let target = outside_code[at + 2..].split([')', ' ']).next().unwrap_or_default();
            found.push(target.to_owned());
        }
    }
    found
}

/// As mdBook and code hosts name a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
        .collect::<String>();
    kept.trim().replace(' ', "-")
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut all = pages(&project().join("docs"));
    all.extend(["README.md", "CONTRIBUTING.md", "tests/README.md"].map(|page| project().join(page)));
    let mut followed = 0;
    for page in all {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text).iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (place, part) = link.split_once('#').unwrap_or((link, ""));
            let target = if place.is_empty() { page.clone() } else { page.parent().unwrap().join(place) };
            assert!(target.exists(), "{}: nothing is at {link}", page.display());
            if !part.is_empty() && target.extension().is_some_and(|kind| kind == "md") {
                let text = fs::read_to_string(&target).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#'));
                let has = headings.map(|line| anchor(line.trim_start_matches('#'))).any(|own| own == part);
                assert!(has, "{}: no heading for {link}", page.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 50, "only {followed} links");
}

/// Lines of a README that one looks over without turning a page.
const SCREEN: usize = 60;
/// A picture that nobody waits for.
const LARGEST_PICTURE: usize = 150 * 1024;

#[test]
fn the_readme_is_one_screen_with_a_picture_and_words_for_those_who_do_not_see_it() {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    assert!(readme.lines().count() <= SCREEN, "{} lines", readme.lines().count());
    let (_, picture) = readme.split_once("![").unwrap();
    let (words, rest) = picture.split_once("](").unwrap();
    assert!(words.split_whitespace().count() > 20, "{words}");
    let bytes = fs::read(project().join(rest.split(')').next().unwrap())).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() <= LARGEST_PICTURE, "{} bytes", bytes.len());
}

// --- the log ----------------------------------------------------------------------------------------------------------

/// Level and message of every line that a source writes.
fn messages(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for level in ["error", "warn", "info", "debug"] {
        for (at, call) in source.match_indices(&format!("tracing::{level}!(")) {
            let literals = literals(&source[at + call.len()..]);
            found.push((level.to_owned(), literals.last().cloned().unwrap_or_default()));
        }
    }
    found
}

/// The string literals up to the bracket that ends the call.
fn literals(call: &str) -> Vec<String> {
    let (mut depth, mut found, mut open) = (1, Vec::new(), None::<String>);
    let mut characters = call.chars();
    while let Some(c) = characters.next().filter(|_| depth > 0) {
        match (&mut open, c) {
            (Some(text), '\\') => text.extend(['\\', characters.next().unwrap_or_default()]),
            (Some(_), '"') => found.extend(open.take()),
            (Some(text), c) => text.push(c),
            (None, '"') => open = Some(String::new()),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            _ => {}
        }
    }
    found
}

#[test]
fn the_page_of_the_log_has_every_line_that_the_gate_writes_and_no_other() {
    let mut written = BTreeSet::new();
    for room in ["milter-daemon", "ledger"] {
        for entry in fs::read_dir(project().join(format!("crates/{room}/src"))).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "rs") {
                written.extend(messages(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    let page = fs::read_to_string(project().join("docs/reference/log.md")).unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (level, message) = (cells.next()?, cells.next()?.strip_prefix('`')?.strip_suffix('`')?);
        Some((level.to_owned(), message.to_owned()))
    };
    let documented: BTreeSet<_> = page.lines().filter_map(row).collect();
    let (missing, gone): (Vec<_>, Vec<_>) =
        (written.difference(&documented).collect(), documented.difference(&written).collect());
    assert!(missing.is_empty() && gone.is_empty(), "not on the page: {missing:?}; not in the code: {gone:?}");
    let record = fs::read_to_string(project().join("crates/milter-daemon/src/record.rs")).unwrap();
    let (_, fields) = record.split_once("tracing::info!(").unwrap();
    let (fields, _) = fields.split_once("\"decision\"").unwrap();
    for field in
        fields.lines().filter_map(|line| line.trim().split([' ', ',']).next()).filter(|name| !name.is_empty())
    {
        assert!(page.contains(&format!("`{field}`")), "the field {field} of a decision is not on the page");
    }
}
