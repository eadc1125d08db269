//! What the files of the project must and must not hold.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Fault;
use super::metadata::HouseCrate;

/// One subject per file fits in this.
const LONGEST_RUST_FILE: usize = 900;
const LICENCE_FILES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];
/// Text that is read for forbidden words.
const TEXT_FILES: [&str; 8] = ["rs", "toml", "md", "sql", "html", "yml", "sh", "service"];
/// Folders that hold nothing of the project, by how their name begins.
const FOREIGN_FOLDERS: [&str; 4] = [".git", "target", "out", "node_modules"];
/// Far below any place where this walk should ever be.
const DEEPEST: usize = 12;

/// A word and why it does not belong here. In two parts: this file is read too.
const FORBIDDEN: [(&str, &str, &str); 4] = [
    ("crates", ".io", "name no registry: every place has its own mirror"),
    ("session", " 1", "the project speaks of itself, not of how it was written"),
    ("TO", "DO", "finish it, or leave it out and say so in docs/decisions"),
    ("FIX", "ME", "finish it, or leave it out and say so in docs/decisions"),
];

/// The project's text, read once.
pub(super) struct Files {
    pub(super) texts: Vec<(PathBuf, String)>,
    pub(super) lock: String,
    present: Vec<&'static str>,
}

impl Files {
    pub(super) fn read(root: &Path) -> anyhow::Result<Files> {
        let mut texts = Vec::new();
        gather(root, root, DEEPEST, &mut texts)?;
        texts.sort();
        let lock = root.join("Cargo.lock");
        let lock = fs::read_to_string(&lock).with_context(|| format!("reading {}", lock.display()))?;
        let present = LICENCE_FILES.into_iter().filter(|name| root.join(name).is_file()).collect();
        Ok(Files { texts, lock, present })
    }

    pub(super) fn check(&self) -> Vec<Fault> {
        let missing = LICENCE_FILES.into_iter().filter(|name| !self.present.contains(name));
        let missing = missing.map(|name| Fault::new(name, "is missing; the project is licensed under both"));
        missing.chain(self.texts.iter().flat_map(|(path, text)| check_text(path, text))).collect()
    }
}

fn gather(
    root: &Path,
    folder: &Path,
    depth: usize,
    texts: &mut Vec<(PathBuf, String)>,
) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() && depth > 0 && !FOREIGN_FOLDERS.iter().any(|foreign| name.starts_with(foreign)) {
            gather(root, &path, depth - 1, texts)?;
        } else if kind.is_file() && is_text(&path) {
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            texts.push((path.strip_prefix(root).unwrap_or(&path).to_owned(), text));
        }
    }
    Ok(())
}

fn is_text(path: &Path) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|own| TEXT_FILES.contains(&own))
}

fn check_text(path: &Path, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let shown = path.display().to_string();
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    let lines = text.lines().count();
    if is_rust && lines > LONGEST_RUST_FILE {
        let problem = format!("{lines} lines, at most {LONGEST_RUST_FILE}: one subject per file");
        faults.push(Fault::new(&shown, problem));
    }
    for (number, line) in (1..).zip(text.lines()) {
        faults.extend(
            line_problems(line, is_rust).map(|problem| Fault::new(format!("{shown}:{number}"), problem)),
        );
    }
    faults
}

fn line_problems(line: &str, is_rust: bool) -> impl Iterator<Item = String> {
    let silent = is_rust && line.trim_start().starts_with("#[ignore]");
    let silent = silent.then(|| "an ignored test says why: #[ignore = \"...\"]".to_owned());
    let forbidden = FORBIDDEN.iter().filter(move |(first, second, _)| holds_word(line, first, second));
    silent.into_iter().chain(forbidden.map(|(first, second, why)| format!("\"{first}{second}\": {why}")))
}

/// The word stands alone: it is no part of a longer one.
fn holds_word(line: &str, first: &str, second: &str) -> bool {
    let word = format!("{first}{second}");
    line.match_indices(&word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let inside = |neighbour: Option<char>| neighbour.is_some_and(char::is_alphanumeric);
        !inside(before) && !inside(after)
    })
}

/// Every crate takes its lints from the root.
pub(super) fn check_manifests(root: &Path, crates: &[HouseCrate]) -> anyhow::Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for own in crates {
        let path = &own.manifest;
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
        faults.extend(manifest_fault(&shown, &text)?);
    }
    Ok(faults)
}

fn manifest_fault(shown: &str, text: &str) -> anyhow::Result<Option<Fault>> {
    let manifest: toml::Table = toml::from_str(text).with_context(|| format!("reading {shown}"))?;
    let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool()).unwrap_or(false);
    let problem = "does not take the lints of the workspace; add [lints] workspace = true";
    Ok((!inherits).then(|| Fault::new(shown, problem)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(file: &str, text: &str) -> Vec<String> {
        check_text(Path::new(file), text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_silent_ignore_a_registry_and_a_promise_are_faults_at_their_line() {
        let registry = concat!("see crates", ".io for more");
        let promise = concat!("// TO", "DO later");
        let text =
            format!("fn a() {{}}\n    #[ignore]\n{registry}\n{promise}\n#[ignore = \"needs a disk\"]\n");
        let found = problems("x.rs", &text);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("x.rs:2: an ignored test"), "{found:?}");
        assert!(found[1].starts_with("x.rs:3: ") && found[2].starts_with("x.rs:4: "), "{found:?}");
    }

    #[test]
    fn words_count_only_when_they_stand_alone() {
        assert_eq!(problems("x.md", concat!("session", " 12 and METHO", "DO", "LOGY")), Vec::<String>::new());
        assert_eq!(problems("x.md", concat!("(session", " 1)")).len(), 1);
    }

    #[test]
    fn a_long_rust_file_is_a_fault_and_a_long_page_is_not() {
        let long = "x\n".repeat(LONGEST_RUST_FILE + 1);
        assert_eq!(problems("x.rs", &long).len(), 1);
        assert_eq!(problems("x.rs", &"x\n".repeat(LONGEST_RUST_FILE)), Vec::<String>::new());
        assert_eq!(problems("x.md", &long), Vec::<String>::new());
    }

    #[test]
    fn a_manifest_without_the_lints_of_the_workspace_is_a_fault() {
        let fault = |text: &str| manifest_fault("x/Cargo.toml", text).unwrap();
        assert_eq!(fault("[lints]\nworkspace = true\n"), None);
        assert!(fault("[package]\nname = \"x\"\n").is_some());
        assert!(fault("[lints]\nworkspace = false\n").is_some());
    }

    #[test]
    fn the_walk_passes_by_what_is_built_and_finds_missing_licences() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Cargo.lock", "");
        write("LICENSE-MIT", "");
        write("crates/a/src/lib.rs", "//! Fine.\n");
        write("target/debug/build.rs", "#[ignore]\n");
        write("target-other/build.rs", "#[ignore]\n");
        write(".git/hooks.sh", concat!("TO", "DO"));
        let files = Files::read(root.path()).unwrap();
        assert_eq!(files.texts.len(), 1);
        let faults = files.check();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].place, "LICENSE-APACHE");
    }
}
