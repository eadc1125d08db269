//! `cargo xtask check-house`: the rules of the house that no compiler knows.

mod direction;
mod licences;
pub(crate) mod metadata;
mod sources;

use std::fmt;

use anyhow::bail;

use crate::cargo::workspace;
use crate::talk::{count, note, say};

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The crate, or file and line.
    place: String,
    /// What is wrong and what to do instead.
    problem: String,
}

impl Fault {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Fault {
        Fault { place: place.into(), problem: problem.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

pub(crate) fn run() -> anyhow::Result<()> {
    let root = workspace();
    let house = metadata::read()?;
    let rules = licences::DenyFile::read(&root.join("deny.toml"))?;
    let files = sources::Files::read(root)?;
    let mut faults = direction::check(&house.crates);
    faults.extend(rules.check_licences(&house.packages)?);
    faults.extend(rules.check_lock(&files.lock)?);
    faults.extend(sources::check_manifests(root, &house.crates)?);
    faults.extend(files.check());
    if faults.is_empty() {
        let (crates, packages) = (count(house.crates.len(), "crate"), count(house.packages.len(), "package"));
        note(&format!("{crates}, {packages}, {}: in order", count(files.texts.len(), "file")));
        return Ok(());
    }
    faults.iter().for_each(|fault| say(&format!("{fault}")));
    bail!("the house is not in order: {}", count(faults.len(), "fault"))
}
