//! The directory that holds everything of one lab, and the guard that empties the place whatever happens to
//! us.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use tempfile::TempDir;

use crate::error::{LabError, Result, make_directory, write_file};
use crate::process::{PidFile, living_under};

/// A unix socket's path holds 107 bytes, and ours end in `/dovecot/run/auth-token-secret.dat.tmp` at the
/// longest.
const LONGEST_PATH: usize = 60;
/// Servers that run as users of their own must pass through, but need not look around.
const TRAVERSABLE: u32 = 0o711;
/// While this file exists the directory outlives the lab.
const KEEP_MARKER: &str = "keep";

/// What the guard runs once the pipe from us closes: every server that is still ours, by its pid file, then
/// the files.
///
/// `$1` is the directory. The marks in `/proc` keep a reused process id from being taken for the server.
const GUARD_SCRIPT: &str = r#"
trap '' HUP INT TERM QUIT
cat >/dev/null
lab=$1
groups=
for file in "$lab"/pids/*.pid "$lab"/postfix/spool/pid/master.pid "$lab"/dovecot/run/master.pid; do
  [ -r "$file" ] && read -r pid <"$file" && [ "$pid" -gt 1 ] || continue
  grep -qaF -- "$lab" "/proc/$pid/cmdline" "/proc/$pid/environ" || continue
  groups="$groups $pid"
done
for group in $groups; do kill -TERM "-$group"; done
for round in 1 2 3 4 5 6 7 8 9 10; do
  left=
  for group in $groups; do kill -0 "-$group" && left=yes; done
  [ -n "$left" ] || break
  sleep 0.1
done
for group in $groups; do kill -KILL "-$group"; done
[ -e "$lab/keep" ] || rm -rf -- "$lab"
"#;

/// A temporary directory that servers can work in; removed on drop unless [`kept`](LabDirectory::keep).
#[derive(Debug)]
pub struct LabDirectory {
    // Dropped first: once the guard is gone nobody but us removes anything.
    guard: Guard,
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl LabDirectory {
    /// Makes the directory under `base` (the system's temporary directory when `None`).
    pub fn new(base: Option<&Path>) -> Result<LabDirectory> {
        let base = base.map_or_else(std::env::temp_dir, Path::to_owned);
        let temporary = tempfile::Builder::new()
            .prefix("mwlab-")
            .tempdir_in(&base)
            .map_err(LabError::io("making a directory in", &base))?;
        let path = temporary.path().canonicalize().map_err(LabError::io("resolving", &base))?;
        require_usable(&path)?;
        make_directory(&path.join("pids"))?;
        let guard = Guard::post(&path)?;
        Ok(LabDirectory { guard, path, temporary: Some(temporary) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the files behind for a person to look at; the servers still end.
    pub fn keep(&mut self) -> Result<()> {
        write_file(&self.path.join(KEEP_MARKER), "")?;
        // Disarms the removal; the path stays known in `self.path`.
        let _path = self.temporary.take().map(TempDir::keep);
        Ok(())
    }

    /// What to end when the owner of the lab cannot be asked, for a signal handler.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        Footprint { lab: self.path.clone(), guard: self.guard.process.id() }
    }
}

fn require_usable(path: &Path) -> Result<()> {
    if path.as_os_str().len() > LONGEST_PATH {
        let why = "too long for the unix sockets below it; choose a shorter base directory";
        return Err(LabError::configuration(path.display().to_string(), why));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(TRAVERSABLE))
        .map_err(LabError::io("opening up", path))?;
    match path.ancestors().find(|ancestor| !traversable(ancestor)) {
        Some(closed) => Err(LabError::configuration(
            closed.display().to_string(),
            "other users cannot pass through; choose another base directory or chmod o+x",
        )),
        None => Ok(()),
    }
}

fn traversable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
}

/// Everything of a lab that could still run, found by its files; may be cloned into a signal handler.
#[derive(Debug, Clone)]
pub struct Footprint {
    lab: PathBuf,
    guard: u32,
}

impl Footprint {
    /// Ends every server and child of the lab and waits until they are gone. Calling it twice is harmless.
    pub fn stop_all(&self) -> Result<()> {
        let results: Vec<Result<()>> = self.pid_files().iter().map(PidFile::stop).collect();
        results.into_iter().collect()
    }

    /// The process ids of everything alive that works in the lab's directory, but for the lab's own guard.
    #[must_use]
    pub fn living(&self) -> Vec<i32> {
        living_under(&self.lab).into_iter().filter(|pid| pid.unsigned_abs() != self.guard).collect()
    }

    /// The pid files of all servers and children, started or not. Postfix first: it talks to the others.
    #[must_use]
    pub fn pid_files(&self) -> Vec<PidFile> {
        let servers = [postfix_pid_file(&self.lab), dovecot_pid_file(&self.lab)];
        let children = fs::read_dir(self.lab.join("pids")).into_iter().flatten();
        let children = children.filter_map(|entry| Some(entry.ok()?.path()));
        servers.into_iter().chain(children).map(|path| PidFile::new(path, &self.lab)).collect()
    }
}

pub(crate) fn postfix_pid_file(lab: &Path) -> PathBuf {
    lab.join("postfix/spool/pid/master.pid")
}

pub(crate) fn dovecot_pid_file(lab: &Path) -> PathBuf {
    lab.join("dovecot/run/master.pid")
}

/// A small process that waits for us to disappear, be it by Ctrl-C, SIGKILL or `exit`, and cleans up after
/// us.
///
/// It reads from a pipe whose other end only we hold (std opens it close-on-exec), so no signal handler is
/// needed.
#[derive(Debug)]
struct Guard {
    process: std::process::Child,
    _pipe: Option<ChildStdin>,
}

impl Guard {
    fn post(lab: &Path) -> Result<Guard> {
        let mut process = Command::new("/bin/sh")
            .args(["-c", GUARD_SCRIPT, "lab-guard"])
            .arg(lab)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .map_err(LabError::io("starting the guard of", lab))?;
        let pipe = process.stdin.take();
        Ok(Guard { process, _pipe: pipe })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The whole group: the shell and the `cat` it waits for. Every server has been stopped by now.
        crate::process::kill_group(self.process.id());
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::process::Child;
    use crate::wait::wait_for;

    #[test]
    fn a_directory_is_traversable_and_goes_with_its_owner() {
        let directory = LabDirectory::new(None).unwrap();
        let path = directory.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, TRAVERSABLE);
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn a_kept_directory_stays() {
        let mut directory = LabDirectory::new(None).unwrap();
        let path = directory.path().to_owned();
        directory.keep().unwrap();
        drop(directory);
        assert!(path.exists());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_base_that_is_too_deep_or_closed_is_refused_with_a_reason() {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let closed = LabDirectory::new(Some(base.path())).unwrap_err().to_string();
        assert!(closed.contains("chmod o+x"), "{closed}");
        let deep = base.path().join("d".repeat(LONGEST_PATH));
        fs::create_dir(&deep).unwrap();
        let too_long = LabDirectory::new(Some(&deep)).unwrap_err().to_string();
        assert!(too_long.contains("shorter"), "{too_long}");
    }

    #[test]
    fn the_guard_ends_what_is_left_when_its_owner_vanishes() {
        let mut directory = LabDirectory::new(None).unwrap();
        let path = directory.path().to_owned();
        let mut sleeper = Command::new("/bin/sleep");
        let pid_file = path.join("pids/sleeper.pid");
        let child = Child::spawn_in_lab(sleeper.arg("600"), &path.join("log"), &path, pid_file).unwrap();
        // The end of a process closes its pipes; closing this one is all that the guard ever sees of it.
        drop(directory.guard._pipe.take());
        wait_for(Duration::from_secs(10), "the guard's work", || !path.exists() && !child.is_running())
            .unwrap();
    }
}
