//! Processes: commands with a time limit, children with a log, and servers known by their pid file.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::error::{LabError, Result};
use crate::wait::{wait_for, wait_until};

/// How long an ordinary command (postmap, doveadm, openssl) may take before it is killed.
pub(crate) const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// How long something may take to end after SIGTERM before it gets SIGKILL.
const TERM_GRACE: Duration = Duration::from_millis(1_000);
/// How long the kernel may take to remove what was killed.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// Marks a child's environment, so that whoever cleans up can tell it from a stranger with a reused pid.
const LAB_VARIABLE: &str = "MAILWARDEN_LAB";

/// What a command that ran to its end had to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a command to its end, feeding it `stdin`, and kills it when `limit` passes.
pub(crate) fn run(command: &mut Command, stdin: &[u8], limit: Duration) -> Result<Output> {
    let program = describe(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|source| LabError::Io { doing: format!("starting {program}"), source })?;
    let pid = child.id();
    let pipe = child.stdin.take();
    let input = stdin.to_vec();
    std::thread::spawn(move || {
        // A command that ends without reading its input breaks the pipe; its exit status tells the story.
        pipe.map(|mut pipe| pipe.write_all(&input))
    });
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match ended.recv_timeout(limit) {
        Ok(output) => {
            output.map_err(|source| LabError::Io { doing: format!("waiting for {program}"), source })
        }
        Err(_) => {
            signal(pid, Signal::KILL);
            Err(LabError::Timeout { what: format!("the end of {program}"), waited: limit })
        }
    }
}

/// Like [`run`], and anything but success is an error.
pub(crate) fn run_ok(command: &mut Command, stdin: &[u8], limit: Duration) -> Result<Output> {
    let output = run(command, stdin, limit)?;
    if output.status.success() {
        return Ok(output);
    }
    Err(LabError::Command {
        program: describe(command),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Starts a server that puts itself into the background; what it prints goes to `log`.
///
/// Not pipes: a daemon that keeps one open would make us wait for its own end.
pub(crate) fn launch(command: &mut Command, log: &Path) -> Result<ExitStatus> {
    let program = describe(command);
    let (out, err) = log_pair(log)?;
    command.stdin(Stdio::null()).stdout(out).stderr(err).current_dir("/");
    command.status().map_err(|source| LabError::Io { doing: format!("starting {program}"), source })
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn log_pair(log: &Path) -> Result<(File, File)> {
    let out = File::options().create(true).append(true).open(log).map_err(LabError::io("opening", log))?;
    let err = out.try_clone().map_err(LabError::io("opening", log))?;
    Ok((out, err))
}

/// Sends a signal to one process; one that is already gone is no error.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        // ESRCH means that it ended first, which is what a signal here is for.
        let _ = kill_process(pid, signal);
    }
}

/// SIGKILL to a process group that we started and have not reaped yet.
pub(crate) fn kill_group(pid: u32) {
    signal_group(pid, Signal::KILL);
}

fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        let _ = kill_process_group(pid, signal);
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// The living members of a process group. Zombies do not count: whether the system's first process
/// collects them, and when, is not ours to say.
pub fn group_members(group: u32) -> Vec<i32> {
    process_ids()
        .filter(|&pid| stat_of(pid).is_some_and(|stat| stat.group == group && !stat.zombie))
        .collect()
}

/// The living processes that work inside `directory`: every process of our servers does.
pub fn living_under(directory: &Path) -> Vec<i32> {
    let works_inside = |pid: i32| {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(directory))
            || mentions(pid, directory)
    };
    process_ids()
        .filter(|&pid| pid.unsigned_abs() != std::process::id())
        .filter(|&pid| stat_of(pid).is_some_and(|stat| !stat.zombie) && works_inside(pid))
        .collect()
}

/// The name of a process as the kernel keeps it.
pub(crate) fn command_name(pid: i32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

fn process_ids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
}

/// Whether the command line or environment of a process names `directory`.
fn mentions(pid: i32, directory: &Path) -> bool {
    let needle = directory.as_os_str().as_encoded_bytes();
    ["cmdline", "environ"]
        .iter()
        .filter_map(|file| fs::read(format!("/proc/{pid}/{file}")).ok())
        .any(|text| text.windows(needle.len()).any(|window| window == needle))
}

/// What the kernel tells of a process.
#[derive(Debug)]
pub(crate) struct Stat {
    zombie: bool,
    group: u32,
    /// Ticks that its threads have used, those that ended too.
    pub(crate) own: u64,
    /// Ticks of its children that ended and were waited for.
    pub(crate) ended_children: u64,
}

fn stat_of(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state ppid pgrp ...` (proc(5)): the name may itself hold blanks and parentheses, so read from the
/// last one.
pub(crate) fn parse_stat(stat: &str) -> Option<Stat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        zombie: matches!(*fields.first()?, "Z" | "X"),
        group: u32::try_from(number(2)?).ok()?,
        own: number(11)? + number(12)?,
        ended_children: number(13)? + number(14)?,
    })
}

/// A server that leads a process group of its own and is known by its pid file only.
#[derive(Debug, Clone)]
pub struct PidFile {
    path: PathBuf,
    lab: PathBuf,
}

impl PidFile {
    /// `lab` is the directory that the server's command line or environment names.
    #[must_use]
    pub fn new(path: PathBuf, lab: &Path) -> PidFile {
        PidFile { path, lab: lab.to_owned() }
    }

    /// The server's process id, if it lives. A reused pid (a stale file) is not mistaken for the server.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let pid: i32 = fs::read_to_string(&self.path).ok()?.split_whitespace().next()?.parse().ok()?;
        let alive = stat_of(pid).is_some_and(|stat| !stat.zombie);
        (alive && mentions(pid, &self.lab)).then_some(pid.unsigned_abs())
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the server and its whole process group: SIGTERM, then SIGKILL to what is left.
    pub fn stop(&self) -> Result<()> {
        if let Some(pid) = self.pid() {
            let what = self.path.display().to_string();
            terminate(pid);
            // In vain when it hangs, which `end_group` deals with.
            let _ = wait_for(TERM_GRACE, &what, || group_members(pid).into_iter().all(only_lingers));
            kill_group(pid);
            end_group(pid, &what)?;
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(LabError::io("removing", &self.path)(error))
            }
            _ => Ok(()),
        }
    }
}

impl PidFile {
    /// Ends the server and its whole process group by SIGKILL and cleans nothing up.
    pub fn crash(&self) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        kill_group(pid);
        end_group(pid, &self.path.display().to_string())
    }
}

/// SIGTERM to every member, because Dovecot's master leaves sessions in progress alone for a second, but not
/// to Dovecot's logger, so that the others' last words are written.
fn terminate(group: u32) {
    let to_end = group_members(group).into_iter().filter(|&pid| !is_named(pid, &["log"]));
    to_end.for_each(|pid| signal(pid.unsigned_abs(), Signal::TERM));
}

/// Dovecot's master and its logger wait a whole second for stragglers when nobody else is left to log
/// anything.
fn only_lingers(pid: i32) -> bool {
    is_named(pid, &["dovecot", "log"])
}

fn is_named(pid: i32, names: &[&str]) -> bool {
    command_name(pid).is_some_and(|name| names.contains(&name.as_str()))
}

/// Waits for a group that was asked to end, and kills it when it does not.
fn end_group(group: u32, what: &str) -> Result<()> {
    let gone = || group_members(group).is_empty();
    if wait_for(TERM_GRACE, what, gone).is_ok() {
        return Ok(());
    }
    signal_group(group, Signal::KILL);
    wait_for(KILL_GRACE, what, gone)
        .map_err(|_| LabError::StillRunning { what: what.to_owned(), survivors: group_members(group) })
}

/// A program that runs in its own process group with its output in a log file, and ends when this is dropped.
///
/// Its own group keeps a Ctrl-C on the terminal from reaching it before the test had its say.
#[derive(Debug)]
pub struct Child {
    name: String,
    pid: u32,
    process: Mutex<std::process::Child>,
    log: PathBuf,
    pid_file: Option<PathBuf>,
}

impl Child {
    /// Starts `bin` with `args`; stdout and stderr are appended to `log`.
    pub fn spawn<A: AsRef<OsStr>>(bin: &Path, args: &[A], log: &Path) -> Result<Child> {
        Child::spawn_command(Command::new(bin).args(args), log)
    }

    /// Starts a prepared command, for a caller that wants an environment, a user or a directory of its own.
    pub fn spawn_command(command: &mut Command, log: &Path) -> Result<Child> {
        let name = describe(command);
        let (out, err) = log_pair(log)?;
        let process = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(|source| LabError::Io { doing: format!("starting {name}"), source })?;
        let pid = process.id();
        Ok(Child { name, pid, process: Mutex::new(process), log: log.to_owned(), pid_file: None })
    }

    /// Starts a command of a lab: marked as such, and with a pid file that outlives a crash of ours.
    pub(crate) fn spawn_in_lab(
        command: &mut Command,
        log: &Path,
        lab: &Path,
        pid_file: PathBuf,
    ) -> Result<Child> {
        let mut child = Child::spawn_command(command.env(LAB_VARIABLE, lab), log)?;
        child.pid_file = Some(pid_file.clone());
        crate::error::write_file(&pid_file, format!("{}\n", child.pid))?;
        Ok(child)
    }

    /// The process id, which is also the id of its process group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.exit_status().is_none()
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten()
    }

    /// Everything it has printed so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        read_lossy(&self.log)
    }

    /// Sends a signal such as HUP to the program itself.
    pub fn signal(&self, wanted: Signal) {
        // Not after it was reaped: the number may belong to somebody else by then.
        if self.is_running() {
            signal(self.pid, wanted);
        }
    }

    /// Waits until the log holds `text`; gives up at once when the program ends without having said it.
    pub fn wait_for_line(&self, text: &str, timeout: Duration) -> Result<()> {
        self.wait_ready(&format!("{text:?} in the output"), timeout, || self.log_text().contains(text))
    }

    /// Waits until something listens on a loopback port.
    pub fn wait_for_port(&self, port: u16, timeout: Duration) -> Result<()> {
        let listening = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        self.wait_ready(&format!("a listener on port {port}"), timeout, listening)
    }

    /// Waits until something listens on a unix socket.
    pub fn wait_for_socket(&self, path: &Path, timeout: Duration) -> Result<()> {
        let listening = || UnixStream::connect(path).is_ok();
        self.wait_ready(&format!("a listener on {}", path.display()), timeout, listening)
    }

    fn wait_ready(&self, what: &str, timeout: Duration, ready: impl Fn() -> bool) -> Result<()> {
        let what = format!("{what} of {}", self.name);
        let came_up = wait_until(timeout, &what, || {
            // Asked in this order: a program may print its last word and end.
            let ended = !self.is_running();
            if ready() { Some(true) } else { ended.then_some(false) }
        })?;
        if came_up { Ok(()) } else { Err(self.ended_early()) }
    }

    fn ended_early(&self) -> LabError {
        let status = self.exit_status().map(|status| status.to_string()).unwrap_or_default();
        LabError::Command { program: self.name.clone(), status, stderr: last_lines(&self.log_text()) }
    }

    /// Waits for its own end.
    pub fn wait_for_exit(&self, timeout: Duration) -> Result<ExitStatus> {
        wait_until(timeout, &format!("the end of {}", self.name), || self.exit_status())
    }

    /// SIGTERM, and SIGKILL to whatever of its process group is left after `grace`.
    pub fn stop(&self, grace: Duration) -> Result<Option<ExitStatus>> {
        self.signal(Signal::TERM);
        let _ = self.wait_for_exit(grace);
        self.kill()
    }

    /// SIGKILL to the whole process group, as a crash would end it.
    pub fn kill(&self) -> Result<Option<ExitStatus>> {
        if !group_members(self.pid).is_empty() {
            signal_group(self.pid, Signal::KILL);
        }
        let status = self.wait_for_exit(KILL_GRACE)?;
        end_group(self.pid, &self.name)?;
        self.pid_file.iter().for_each(|file| drop(fs::remove_file(file)));
        Ok(Some(status))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the caller who cares calls `stop`.
        let _ = self.stop(TERM_GRACE);
    }
}

/// A text file as far as it exists; servers may write bytes that are not UTF-8.
pub(crate) fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The last lines of a long output: where programs say what went wrong.
pub(crate) fn last_lines(text: &str) -> String {
    const LINES: usize = 15;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Whether a file is there, whatever it is.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Owner of a file, for tests that look whether a server wrote as the user it should.
pub fn owner_of(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path).map_err(LabError::io("looking at", path))?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str, log: &Path) -> Child {
        Child::spawn(Path::new("/bin/sh"), &["-c", script], log).unwrap()
    }

    fn scratch() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        (directory, log)
    }

    #[test]
    fn stat_is_read_past_a_hostile_process_name() {
        let stat = parse_stat("42 (a) R 1 (b) S 7 41 40 0 -1 4194304 9 8 7 6 50 20 3 2 20 0").unwrap();
        assert!(!stat.zombie);
        assert_eq!((stat.group, stat.own, stat.ended_children), (41, 70, 5));
        assert!(parse_stat("42 (a) Z 7 41 40 0 -1 0 0 0 0 0 0 0 0 0").unwrap().zombie);
        assert!(parse_stat("42 (a) Z 7 41 40").is_none());
        assert!(parse_stat("42 (a").is_none());
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let error = run(Command::new("/bin/sleep").arg("600"), b"", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, LabError::Timeout { .. }), "{error}");
    }

    #[test]
    fn a_large_input_and_output_do_not_block_each_other() {
        let input = vec![b'x'; 1 << 20];
        let output = run_ok(&mut Command::new("/bin/cat"), &input, SOON).unwrap();
        assert_eq!(output.stdout, input);
    }

    #[test]
    fn a_failing_command_says_what_it_was_and_what_it_printed() {
        let error =
            run_ok(Command::new("/bin/sh").args(["-c", "echo why >&2; exit 3"]), b"", SOON).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("/bin/sh -c") && text.contains("why") && text.contains('3'), "{text}");
    }

    #[test]
    fn readiness_is_what_the_child_prints_and_an_early_end_is_told_at_once() {
        let (_directory, log) = scratch();
        let child = shell("echo ready; exec sleep 600", &log);
        child.wait_for_line("ready", SOON).unwrap();
        assert!(child.is_running());
        let failing = shell("echo broken configuration >&2; exit 2", &log);
        let error = failing.wait_for_line("never said", SOON).unwrap_err();
        assert!(error.to_string().contains("broken configuration"), "{error}");
    }

    #[test]
    fn dropping_a_child_ends_its_grandchildren_and_one_that_ignores_sigterm() {
        let (_directory, log) = scratch();
        let child = shell("trap '' TERM; sleep 600 & echo ready; while :; do sleep 1; done", &log);
        child.wait_for_line("ready", SOON).unwrap();
        let group = child.pid();
        assert!(group_members(group).len() >= 2);
        drop(child);
        assert_eq!(group_members(group), Vec::<i32>::new());
    }

    #[test]
    fn a_stale_pid_file_never_leads_to_a_stranger() {
        let (directory, log) = scratch();
        let stranger = shell("exec sleep 600", &log);
        let path = directory.path().join("stale.pid");
        fs::write(&path, format!("   {}\n", stranger.pid())).unwrap();
        let pid_file = PidFile::new(path.clone(), Path::new("/no/such/lab"));
        assert_eq!(pid_file.pid(), None);
        pid_file.stop().unwrap();
        assert!(stranger.is_running());
        assert!(!path.exists());
    }

    #[test]
    fn a_marked_child_is_found_by_its_pid_file_and_its_directory() {
        let (directory, log) = scratch();
        let path = directory.path().join("child.pid");
        let mut command = Command::new("/bin/sleep");
        let child = Child::spawn_in_lab(command.arg("600"), &log, directory.path(), path.clone()).unwrap();
        let pid_file = PidFile::new(path.clone(), directory.path());
        assert_eq!(pid_file.pid(), Some(child.pid()));
        assert_eq!(living_under(directory.path()), vec![child.pid().cast_signed()]);
        pid_file.stop().unwrap();
        assert!(!child.is_running());
        assert_eq!(living_under(directory.path()), Vec::<i32>::new());
    }
}
