//! The policy directory.

use std::io;
use std::path::{Path, PathBuf};

use mailwarden_policy::{Diagnostic, Policy, Source};

use crate::SettingsError;

/// Larger policy files are refused: a million addresses need about 100 MiB.
const MAX_POLICY_BYTES: u64 = 256 << 20;

/// Reads every `*.toml` of a directory in name order, or one file, and compiles them.
///
/// # Errors
/// Unreadable files, no files at all, and every mistake in their texts.
pub fn load_policy(path: &Path) -> Result<(Policy, Vec<Diagnostic>), SettingsError> {
    Policy::compile(&policy_sources(path)?).map_err(SettingsError::Invalid)
}

/// Reads the texts of a policy and compiles nothing.
///
/// # Errors
/// Unreadable files, or no files at all.
pub fn policy_sources(path: &Path) -> Result<Vec<Source>, SettingsError> {
    let files = if path.is_file() { vec![path.to_owned()] } else { toml_files(path)? };
    if files.is_empty() {
        return Err(SettingsError::Unusable(format!(
            "the policy directory {} holds no *.toml file\n  \
             put one file per client there; config/policy/example.toml is a start",
            path.display()
        )));
    }
    files.iter().map(|file| read_source(file)).collect()
}

/// The part of a policy that speaks of a domain: the files that hold its name, and those of agencies, whose
/// people serve every client. Of a thousand clients one is asked about, and the answer has to be there at
/// once.
///
/// The whole policy is read where the part says nothing about the domain or does not stand on its own.
///
/// # Errors
/// As [`load_policy`].
pub fn load_policy_about(path: &Path, domain: &str) -> Result<Policy, SettingsError> {
    let sources = policy_sources(path)?;
    let wanted = |source: &&Source| !domain.is_empty() && (holds(source, domain) || is_agency(source));
    let part: Vec<Source> = sources.iter().filter(wanted).cloned().collect();
    match Policy::compile(&part) {
        Ok((policy, _)) if !part.is_empty() => Ok(policy),
        _ => Policy::compile(&sources).map(|(policy, _)| policy).map_err(SettingsError::Invalid),
    }
}

fn holds(source: &Source, name: &str) -> bool {
    let (first, rest) = name.as_bytes().split_at(1.min(name.len()));
    let starts = |at: &usize| source.bytes[*at].eq_ignore_ascii_case(&first[0]);
    (0..source.bytes.len()).filter(starts).any(|at| {
        source
            .bytes
            .get(at + 1..at + 1 + rest.len())
            .is_some_and(|follows| follows.eq_ignore_ascii_case(rest))
    })
}

/// A line that begins with the key; a file too many costs a moment, one too few an answer.
fn is_agency(source: &Source) -> bool {
    source.bytes.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_start().starts_with(b"agency"))
}

fn toml_files(directory: &Path) -> Result<Vec<PathBuf>, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable {
        what: "the policy directory",
        path: directory.to_owned(),
        source,
        next: "name it with --policy DIR or `directory` under [policy]",
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        // A leading dot is an editor's lock or backup, as in `.#client.toml`.
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_source(path: &Path) -> Result<Source, SettingsError> {
    let bytes = read_bounded(path).map_err(|source| SettingsError::Unreadable {
        what: "the policy file",
        path: path.to_owned(),
        source,
        next: "check its owner and mode; the policy is used whole or not at all",
    })?;
    Ok(Source::new(path.display().to_string(), bytes))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() > MAX_POLICY_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_POLICY_BYTES} bytes")));
    }
    std::fs::read(path)
}
