//! An isolated PostgreSQL on loopback, run by a user without rights, its files inside a lab directory.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use crate::directory::LabDirectory;
use crate::error::{LabError, Result, make_directory};
use crate::packages::{POSTGRESQL, require_root};
use crate::ports::Port;
use crate::process::{COMMAND_LIMIT, Child, last_lines, living_under, run, run_ok, signal};
use crate::wait::wait_until;

const NAME: &str = "PostgreSQL";
/// `nobody`: the server refuses to run as root, and needs no account of its own.
const SERVER_UID: u32 = 65_534;
/// The superuser inside the server; it logs in without a password, from loopback only.
pub const SUPERUSER: &str = "lab";
/// How long it may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to end after it was asked to.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What keeps a test's server small and quick. A commit still waits for the operating system (`fsync` stays
/// on), so that `kill -9` and a crash of the server mean what they mean elsewhere.
const SETTINGS: [&str; 8] = [
    "listen_addresses=127.0.0.1",
    "shared_buffers=32MB",
    "max_connections=100",
    "max_wal_size=256MB",
    "log_min_messages=warning",
    "wal_level=minimal",
    "max_wal_senders=0",
    "logging_collector=off",
];

/// A PostgreSQL that ends, and whose files go, when this is dropped.
#[derive(Debug)]
pub struct PostgreSql {
    // Dropped before the directory that it works in.
    server: Mutex<Option<Child>>,
    port: Port,
    databases: AtomicU32,
    directory: LabDirectory,
}

impl PostgreSql {
    /// Makes a cluster and starts it.
    pub fn start() -> Result<PostgreSql> {
        require_root("running PostgreSQL as another user")?;
        let directory = LabDirectory::new(None)?;
        let root = make_directory(&directory.path().join("postgresql"))?;
        chown(&root, Some(SERVER_UID), Some(SERVER_UID)).map_err(LabError::io("giving away", &root))?;
        let postgresql = PostgreSql {
            server: Mutex::new(None),
            port: Port::claim()?,
            databases: AtomicU32::new(0),
            directory,
        };
        postgresql.make_cluster()?;
        postgresql.start_again()?;
        Ok(postgresql)
    }

    fn make_cluster(&self) -> Result<()> {
        let mut initdb = self.program("initdb");
        initdb.args(["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C", "--auth-host=trust"]);
        initdb.args(["--auth-local=trust", "--username", SUPERUSER, "--pgdata"]).arg(self.cluster());
        run_ok(&mut initdb, b"", COMMAND_LIMIT).map(drop)
    }

    /// A program of PostgreSQL, as the user without rights.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(Path::new(POSTGRESQL).join(name));
        command.uid(SERVER_UID).gid(SERVER_UID).current_dir(self.root());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("PGUSER", SUPERUSER);
        command
    }

    /// Starts it after [`stop`](Self::stop) or [`crash`](Self::crash), on the same port and files.
    pub fn start_again(&self) -> Result<()> {
        let lab = self.directory.path();
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.cluster()).arg("-p").arg(self.port().to_string());
        command.arg("-c").arg(format!("unix_socket_directories={}", self.root().display()));
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        let log = lab.join("postgresql.log");
        let child = Child::spawn_in_lab(&mut command, &log, lab, lab.join("pids/postgresql.pid"))?;
        let answered = wait_until(START_LIMIT, "an answer of PostgreSQL", || {
            let answers = self.query("postgres", "SELECT 1").is_ok();
            (answers || !child.is_running()).then_some(answers)
        })?;
        if !answered {
            return Err(LabError::StartFailed { server: NAME, detail: last_lines(&child.log_text()) });
        }
        *self.server() = Some(child);
        Ok(())
    }

    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it as an administrator would who does not wait for clients: connections are cut, files are whole.
    pub fn stop(&self) -> Result<()> {
        let Some(server) = self.server().take() else { return Ok(()) };
        // PostgreSQL manual, "Shutting Down the Server": SIGINT is the fast shutdown.
        server.signal(Signal::INT);
        server.wait_for_exit(STOP_GRACE).map(drop)
    }

    /// Ends all of its processes at once with SIGKILL; the next start recovers from its log.
    pub fn crash(&self) -> Result<()> {
        let Some(server) = self.server().take() else { return Ok(()) };
        // Every backend leads a session of its own, so that a signal to the server's group misses them.
        let living = || living_under(&self.root());
        living().into_iter().for_each(|pid| signal(pid.unsigned_abs(), Signal::KILL));
        server.wait_for_exit(STOP_GRACE)?;
        // A backend that lingers keeps the shared memory, and no new server may start.
        wait_until(STOP_GRACE, "the end of PostgreSQL's processes", || living().is_empty().then_some(()))
    }

    /// A new empty database; every call makes another.
    pub fn database(&self) -> Result<String> {
        let name = format!("ledger_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.query("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(name)
    }

    /// The URL of a database for the superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{}/{database}", self.port())
    }

    /// The port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Runs SQL as the superuser and returns what psql prints, unaligned and without headings.
    pub fn query(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.program("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--host=127.0.0.1", "--port"]).arg(self.port().to_string());
        psql.arg("--dbname").arg(database).args(["--file", "-"]);
        let output = run_ok(&mut psql, sql.as_bytes(), COMMAND_LIMIT)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Makes logins need their password from now on, but for the superuser's.
    pub fn require_passwords(&self) -> Result<()> {
        let rules =
            format!("host all {SUPERUSER} 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
        crate::error::write_file(&self.cluster().join("pg_hba.conf"), rules)?;
        self.query("postgres", "SELECT pg_reload_conf()").map(drop)
    }

    /// Whether the programs are there.
    #[must_use]
    pub fn is_installed() -> bool {
        let version = run(Command::new(Path::new(POSTGRESQL).join("postgres")).arg("-V"), b"", COMMAND_LIMIT);
        version.is_ok_and(|output| output.status.success())
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("postgresql.log")).unwrap_or_default()
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("postgresql")
    }

    fn cluster(&self) -> PathBuf {
        self.root().join("cluster")
    }
}

impl Drop for PostgreSql {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the directory's guard ends what is left.
        let _ = self.stop();
    }
}
