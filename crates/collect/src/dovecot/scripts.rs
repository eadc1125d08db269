//! The Sieve files of one mailbox: what ManageSieve lists, and what runs without being listed.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mailwarden_evidence::{Fact, SieveOddity};

use crate::Harvest;
use crate::disk;
use crate::harvest::Place;

/// What the judge knows the engine by.
pub(super) const IMPLEMENTATION: &str = "Dovecot Pigeonhole";
/// Longest script.
pub(super) const MAX_SCRIPT: usize = 4 * 1024 * 1024;
/// Most files in one script directory.
pub(super) const MAX_FILES: usize = 2000;
/// Most bytes of scripts of one mailbox.
const MAX_MAILBOX: usize = 64 * 1024 * 1024;

/// The paths of one mailbox's store.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) directory: PathBuf,
    pub(super) active: PathBuf,
    pub(super) binaries: Option<PathBuf>,
}

/// What a walk through a store brings.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Stored scripts, as ManageSieve would list them.
    pub(super) stored: Harvest,
    pub(super) stored_gaps: Vec<String>,
    /// What is not as ManageSieve shows it.
    pub(super) odd: Harvest,
    pub(super) odd_gaps: Vec<String>,
    /// Compiled forms that the server would take for fresh, each with its source.
    pub(super) binaries: Vec<(PathBuf, PathBuf)>,
}

/// Walks through the files of a store.
pub(super) fn walk(store: &Store, stored: &Place<'_>, odd: &Place<'_>) -> Walk {
    let mut walk = Walk::default();
    let target = active(store, odd, &mut walk);
    let mut budget = MAX_MAILBOX;
    match disk::list(&store.directory, MAX_FILES) {
        Ok(Some(paths)) => {
            for path in paths {
                entry(store, &path, target.as_deref(), (stored, odd), &mut budget, &mut walk);
            }
        }
        Ok(None) => walk.stored_gaps.push(format!("more than {MAX_FILES} files")),
        Err(error) => walk.stored_gaps.push(format!("{} ({error})", store.directory.display())),
    }
    walk
}

/// What the active link names inside the store; everything else it may be is written down.
fn active(store: &Store, place: &Place<'_>, walk: &mut Walk) -> Option<PathBuf> {
    let path = &store.active;
    let found = match disk::look(path) {
        Ok(found) => found?,
        Err(error) => {
            walk.odd_gaps.push(format!("{} ({error})", path.display()));
            return None;
        }
    };
    if found.is_symlink() {
        return linked(store, &found, place, walk);
    }
    odd_file(walk, place, path, SieveOddity::PlainFile, "a file of its own");
    match disk::read(path, MAX_SCRIPT) {
        Ok(source) => observe(&mut walk.odd, place, path.display().to_string(), true, source),
        Err(error) => walk.odd_gaps.push(format!("{} ({error})", path.display())),
    }
    binary(store.binaries.as_deref(), path, &found, walk);
    None
}

fn linked(store: &Store, link: &Metadata, place: &Place<'_>, walk: &mut Walk) -> Option<PathBuf> {
    let target = match std::fs::read_link(&store.active) {
        Ok(target) => target,
        Err(error) => {
            walk.odd_gaps.push(format!("{} ({error})", store.active.display()));
            return None;
        }
    };
    let base = store.active.parent().unwrap_or(Path::new("/"));
    let path = base.join(&target);
    let inside = path.parent().is_some_and(|parent| same_directory(parent, &store.directory));
    if !inside {
        odd_file(walk, place, &store.active, SieveOddity::LinkOutside, &target.display().to_string());
        return None;
    }
    binary(store.binaries.as_deref(), &store.active, link, walk);
    path.file_name().map(|name| store.directory.join(name))
}

fn same_directory(one: &Path, other: &Path) -> bool {
    one == other
        || std::fs::canonicalize(one)
            .and_then(|one| Ok(one == std::fs::canonicalize(other)?))
            .unwrap_or(false)
}

fn entry(
    store: &Store,
    path: &Path,
    active: Option<&Path>,
    (stored, odd): (&Place<'_>, &Place<'_>),
    budget: &mut usize,
    walk: &mut Walk,
) {
    let Some(name) =
        path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".sieve"))
    else {
        return;
    };
    let found = match disk::look(path) {
        Ok(Some(found)) => found,
        Ok(None) => return,
        Err(error) => return walk.stored_gaps.push(format!("{} ({error})", path.display())),
    };
    if found.is_symlink() {
        let target = std::fs::read_link(path).unwrap_or_default();
        return odd_file(walk, odd, path, SieveOddity::LinkOutside, &target.display().to_string());
    }
    match disk::read(path, MAX_SCRIPT.min(*budget)) {
        Ok(source) => {
            *budget -= source.len();
            let is_active = active == Some(path);
            observe(&mut walk.stored, stored, name.to_owned(), is_active, source);
        }
        Err(error) => walk.stored_gaps.push(format!("{} ({error})", path.display())),
    }
    binary(store.binaries.as_deref(), path, &found, walk);
}

/// The compiled form of a script, where the server would run it without looking at the source: it is fresh
/// when it is younger than the script and the link to it, whatever it was made from.
fn binary(directory: Option<&Path>, script: &Path, seen: &Metadata, walk: &mut Walk) {
    let Some(path) = binary_path(directory, script) else { return };
    let found = match disk::look(&path) {
        Ok(Some(found)) => found,
        Ok(None) => return,
        Err(error) => return walk.odd_gaps.push(format!("{} ({error})", path.display())),
    };
    let source = std::fs::metadata(script).and_then(|source| source.modified()).ok();
    let newest = [seen.modified().ok(), source].into_iter().flatten().max().unwrap_or(SystemTime::UNIX_EPOCH);
    if found.modified().is_ok_and(|compiled| compiled >= newest) {
        walk.binaries.push((path, script.to_owned()));
    }
}

fn binary_path(directory: Option<&Path>, script: &Path) -> Option<PathBuf> {
    let name = script.file_name()?.to_str()?;
    let stem = name.strip_suffix(".sieve").unwrap_or(name);
    let directory = directory.or(script.parent())?;
    Some(directory.join(format!("{stem}.svbin")))
}

/// Scripts of an administrator: a file, or a directory of them. Returns the gaps and the compiled forms.
pub(super) fn walk_global(path: &Path, runs: bool, place: &Place<'_>) -> Walk {
    let mut walk = Walk::default();
    // An administrator's own links are followed: they are how such scripts are switched on.
    let paths = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => match disk::list(path, MAX_FILES) {
            Ok(Some(paths)) => paths,
            Ok(None) => {
                walk.odd_gaps.push(format!("{} (more than {MAX_FILES} files)", path.display()));
                return walk;
            }
            Err(error) => {
                walk.odd_gaps.push(format!("{} ({error})", path.display()));
                return walk;
            }
        },
        Ok(_) => vec![path.to_owned()],
        // A place that is configured and empty runs nothing.
        Err(error) if disk::is_absent(&error) => return walk,
        Err(error) => {
            walk.odd_gaps.push(format!("{} ({error})", path.display()));
            return walk;
        }
    };
    for script in paths {
        global_script(path, &script, runs, place, &mut walk);
    }
    walk
}

fn global_script(place_of_all: &Path, script: &Path, runs: bool, place: &Place<'_>, walk: &mut Walk) {
    let is_script = script == place_of_all || script.extension().is_some_and(|ending| ending == "sieve");
    if !is_script {
        return;
    }
    let read = std::fs::canonicalize(script).and_then(|real| disk::read(&real, MAX_SCRIPT));
    match read {
        Ok(source) => observe(&mut walk.odd, place, script.display().to_string(), runs, source),
        Err(error) => walk.odd_gaps.push(format!("{} ({error})", script.display())),
    }
    if let Ok(Some(found)) = disk::look(script) {
        binary(None, script, &found, walk);
    }
}

pub(super) fn odd_file(walk: &mut Walk, place: &Place<'_>, path: &Path, oddity: SieveOddity, detail: &str) {
    observe_odd(&mut walk.odd, place, path, oddity, detail);
}

pub(super) fn observe_odd(
    harvest: &mut Harvest,
    place: &Place<'_>,
    path: &Path,
    oddity: SieveOddity,
    detail: &str,
) {
    let excerpt = format!("{}: {detail}", path.display());
    let fact = Fact::SieveFile { path: path.display().to_string(), oddity, detail: detail.to_owned() };
    harvest.observe(place, fact, excerpt.as_bytes(), &excerpt);
}

pub(super) fn observe(harvest: &mut Harvest, place: &Place<'_>, name: String, active: bool, source: Vec<u8>) {
    let state = if active { "active" } else { "inactive" };
    let excerpt = format!("script `{name}`, {state}, {} bytes", source.len());
    let raw = source.clone();
    let fact = Fact::SieveScript { name, active, source, implementation: IMPLEMENTATION.to_owned() };
    harvest.observe(place, fact, &raw, &excerpt);
}
