//! The container files and the playbook name paths, options and units that exist.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeSet;
use std::path::Path;

use mailwarden_e2e::{mailwarden, mailwarden_milter};
use serde_json::Value;

fn project(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every text in a document.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// The options after one of our programs, each accepted by it: its own help names them.
fn assert_options(page: &str, line: &str) {
    let words: Vec<&str> = line.split([' ', '"', ',', '[', ']']).filter(|word| !word.is_empty()).collect();
    let path: Vec<&str> =
        words.iter().take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).copied().collect();
    let is_gate = words.iter().any(|word| word.ends_with("inet:0.0.0.0:8891"));
    let mut arguments: Vec<&str> = path.iter().filter(|word| **word != "mailwarden").copied().collect();
    arguments.push("--help");
    let help = if is_gate { mailwarden_milter(&["--help"]) } else { mailwarden(&arguments) }.unwrap();
    for option in words.iter().filter(|word| word.starts_with("--")) {
        assert!(help.stdout.contains(option), "{page}: {option} is no option of {path:?}");
    }
}

#[test]
fn the_playbook_enables_units_that_are_shipped_and_runs_commands_that_exist() {
    let book = yaml("deploy/ansible/mailwarden.yml");
    let units: BTreeSet<&str> = texts(&book)
        .into_iter()
        .filter(|text| text.starts_with("mailwarden-") && text.contains('.') && !text.contains(' '))
        .collect();
    assert!(units.len() >= 5, "{units:?}");
    for unit in units {
        assert!(!project(&format!("deploy/{unit}")).is_empty());
    }
    let commands: Vec<&str> =
        texts(&book).into_iter().filter(|text| text.starts_with("mailwarden ")).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    commands.into_iter().for_each(|command| assert_options("mailwarden.yml", command));
    assert!(
        project("deploy/ansible/mailwarden.yml")
            .contains(&format!("mailwarden_version: {}-1", env!("CARGO_PKG_VERSION")))
    );
    for source in ["config/mailwarden.toml", "config/policy/example.toml"] {
        assert!(!project(source).is_empty());
    }
}

#[test]
fn the_compose_file_and_the_image_agree_about_paths_ports_and_options() {
    let compose = yaml("deploy/container/compose.yml");
    let image = project("deploy/container/Containerfile");
    let services = compose["services"].as_object().unwrap();
    let entry = services["sweep"]["entrypoint"][0].as_str().unwrap();
    assert!(image.contains("/image/usr/bin ") && entry == "/usr/bin/mailwarden", "{entry}");
    let words: Vec<&str> = texts(&services["sweep"]["command"]);
    assert_options("compose.yml", &words.join(" "));
    let started = image.lines().find(|line| line.starts_with("CMD")).unwrap().trim_start_matches("CMD ");
    assert_options("Containerfile", started);
    for port in texts(&services["gate"]["expose"]) {
        let exposed = image.lines().any(|line| line.starts_with("EXPOSE") && line.contains(port));
        assert!(exposed, "{port}");
    }
    // What the configuration says where things are is where the image has them.
    let settings = project("config/mailwarden.toml");
    for directory in ["/var/lib/mailwarden", "/run/mailwarden"] {
        assert!(settings.contains(directory) && image.contains(directory), "{directory}");
    }
    for mount in texts(&compose["x-mailwarden"]["volumes"]) {
        let inside = mount.split(':').nth(1).unwrap();
        assert!(image.contains(inside), "{mount}");
    }
    // Merged into both, so that neither runs with more rights than the other.
    for service in ["gate", "sweep"] {
        assert_eq!(services[service]["cap_drop"][0], "ALL", "{service}");
        assert_eq!(services[service]["read_only"], true, "{service}");
    }
}
