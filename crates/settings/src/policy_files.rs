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
