//! Giving up what is not needed once the sockets are open: root, writing, running programs.
//!
//! Both concern the calling thread and those it starts later. They come before any other thread exists.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    path_beneath_rules,
};
use mailwarden_settings::Settings;
use milter_proto::listen::ListenAddress;
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::GateError;
use crate::accounts::{self, User};

/// The newest rights known here; an older kernel enforces those it knows.
const KNOWN_RIGHTS: ABI = ABI::V5;

/// Becomes the user that the settings name.
pub(crate) fn drop_root(settings: &Settings) -> Result<(), GateError> {
    let name = &settings.gate.user;
    let Some(user) = accounts::user("user", name)? else { return Ok(()) };
    if geteuid().as_raw() == user.uid {
        return Ok(());
    }
    require_single_thread()?;
    become_user(&user).map_err(|error| {
        GateError::Configuration(format!(
            "cannot become `user = {name:?}`: {error}; start as root, or leave `user` empty and let the \
            service \
             manager choose the user"
        ))
    })
}

/// Groups before the user: afterwards nothing could be changed any more.
fn become_user(user: &User) -> rustix::io::Result<()> {
    let groups: Vec<Gid> = user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// The kernel keeps these rights per thread; one that existed before would keep the old ones.
fn require_single_thread() -> Result<(), GateError> {
    match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
        Ok(1) | Err(_) => Ok(()),
        Ok(threads) => Err(GateError::Configuration(format!(
            "cannot give up root with {threads} threads running; this is a defect of mailwarden-milter"
        ))),
    }
}

/// Keeps this process from writing anywhere but beside its databases, and from running programs. Says what
/// the kernel enforces.
///
/// Reading stays as the user's rights allow: a policy is kept in git by its owners and may be reached through
/// symbolic links that change between two reloads.
pub(crate) fn confine(settings: &Settings) -> Result<&'static str, GateError> {
    if !settings.gate.confine {
        return Ok("off by `confine = false`");
    }
    require_single_thread()?;
    let status = restrict(&writable(settings)).map_err(|error| {
        GateError::Configuration(format!("cannot confine the gate: {error}; `confine = false` does without"))
    })?;
    Ok(match status {
        RulesetStatus::FullyEnforced => "landlock, in full",
        RulesetStatus::PartiallyEnforced => "landlock, as far as this kernel can",
        RulesetStatus::NotEnforced => "none: this kernel has no landlock",
    })
}

fn restrict(writable: &[PathBuf]) -> Result<RulesetStatus, landlock::RulesetError> {
    let write = AccessFs::from_write(KNOWN_RIGHTS);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(write | AccessFs::Execute)?
        .create()?
        .add_rules(path_beneath_rules(writable, write))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// The directories of the databases, of the socket (it is removed at the end), and those for temporary files,
/// which SQLite wants for large sorts.
fn writable(settings: &Settings) -> Vec<PathBuf> {
    let mut directories = vec![std::env::temp_dir(), PathBuf::from("/var/tmp"), PathBuf::from("/tmp")];
    let databases = [settings.ledger.url.clone(), settings.journal_url(), settings.vendors_url()];
    let databases = databases.map(|url| database_directory(&url));
    directories.extend(databases.into_iter().flatten());
    if let Ok(ListenAddress::Unix(socket)) = settings.gate.listen.parse() {
        directories.extend(socket.parent().map(Path::to_owned));
    }
    directories.retain(|directory| directory.is_dir());
    directories
}

/// Where a database kept in a file, and the files beside it, stand.
fn database_directory(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest).split('?').next()?;
    Path::new(path).parent().map(Path::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it should be")]
mod tests {
    use super::*;

    #[test]
    fn only_databases_in_files_need_a_directory() {
        let directory = |url| database_directory(url).map(|path| path.display().to_string());
        assert_eq!(directory("sqlite:/var/lib/m/ledger.db").as_deref(), Some("/var/lib/m"));
        assert_eq!(directory("sqlite:///var/lib/m/ledger.db?mode=rwc").as_deref(), Some("/var/lib/m"));
        assert_eq!(directory("postgres://localhost/ledger"), None);
    }

    /// The rights of a thread, so that the other tests keep theirs.
    #[test]
    fn a_confined_thread_writes_only_where_it_may_and_runs_nothing() {
        let (own, foreign) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (own_path, foreign_path) = (own.path().to_owned(), foreign.path().to_owned());
        let confined = std::thread::spawn(move || {
            let status = restrict(std::slice::from_ref(&own_path)).unwrap();
            std::fs::write(own_path.join("ledger.db"), "x").unwrap();
            let outside = std::fs::write(foreign_path.join("x"), "x").map_err(|error| error.kind());
            let program =
                std::process::Command::new("/bin/true").status().map(drop).map_err(|error| error.kind());
            (status, outside, program, std::fs::read_dir(foreign_path).is_ok())
        });
        let (status, outside, program, reads) = confined.join().unwrap();
        assert!(reads, "a policy may be read from anywhere");
        let denied = Err(std::io::ErrorKind::PermissionDenied);
        match status {
            RulesetStatus::NotEnforced => assert_eq!((outside, program), (Ok(()), Ok(()))),
            _ => assert_eq!((outside, program), (denied, denied)),
        }
    }

    #[test]
    fn a_test_has_threads_and_may_not_give_up_anything() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || stopped.recv());
        let error = require_single_thread().unwrap_err().to_string();
        assert!(error.contains("threads running"), "{error}");
        drop(stop);
        assert!(other.join().unwrap().is_err());
    }
}
