//! An isolated MariaDB on loopback, run by a user without rights, its files inside a lab directory.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::directory::LabDirectory;
use crate::error::{LabError, Result, make_directory, write_file};
use crate::packages::require_root;
use crate::ports::Port;
use crate::process::{COMMAND_LIMIT, Child, last_lines, run_ok};

const NAME: &str = "MariaDB";
const SERVER: &str = "/usr/sbin/mariadbd";
/// Where Debian puts the texts that make the tables of the server itself.
const SYSTEM_TABLES: &str = "/usr/share/mysql";
/// `nobody`: the server needs no account of its own.
const SERVER_UID: u32 = 65_534;
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_GRACE: Duration = Duration::from_secs(20);

/// A MariaDB that ends, and whose files go, when this is dropped.
#[derive(Debug)]
pub struct MariaDb {
    // Dropped before the directory that it works in.
    server: Option<Child>,
    port: Port,
    directory: LabDirectory,
}

impl MariaDb {
    /// Makes a server, runs statements in it as its administrator `root`, who has no password, and opens it.
    pub fn start(statements: &str) -> Result<MariaDb> {
        require_root("running MariaDB as another user")?;
        let directory = LabDirectory::new(None)?;
        let mut mariadb = MariaDb { server: None, port: Port::claim()?, directory };
        mariadb.make_tables()?;
        let init = mariadb.root().join("init.sql");
        // Of an init file each line is one statement.
        let lines = statements.split(";\n").map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "));
        let lines =
            lines.filter(|one| !one.is_empty()).map(|one| format!("{};\n", one.trim_end_matches(';')));
        write_file(&init, lines.collect::<String>())?;
        mariadb.serve(&init)?;
        Ok(mariadb)
    }

    fn make_tables(&self) -> Result<()> {
        let root = make_directory(&self.root())?;
        let data = make_directory(&root.join("data"))?;
        for path in [&root, &data] {
            chown(path, Some(SERVER_UID), Some(SERVER_UID)).map_err(LabError::io("giving away", path))?;
        }
        let mut statements = "create database mysql;\nuse mysql;\nset @auth_root_socket=NULL;\n\
                              set @skip_auth_anonymous=1;\n"
            .to_owned();
        for name in ["mysql_system_tables.sql", "mysql_system_tables_data.sql"] {
            let path = Path::new(SYSTEM_TABLES).join(name);
            statements += &fs::read_to_string(&path).map_err(LabError::io("reading", &path))?;
        }
        run_ok(self.program().arg("--bootstrap"), statements.as_bytes(), COMMAND_LIMIT).map(drop)
    }

    fn program(&self) -> Command {
        let mut command = Command::new(SERVER);
        command.args(["--no-defaults", "--user=nobody", "--innodb-buffer-pool-size=16M", "--skip-log-bin"]);
        command.arg(format!("--datadir={}", self.root().join("data").display()));
        // At its start it deletes what looks like its own in the directory of temporary tables, whoever's it is.
        command.arg(format!("--tmpdir={}", self.root().join("data").display()));
        command.arg(format!("--lc-messages-dir={SYSTEM_TABLES}")).current_dir(self.root());
        command
    }

    fn serve(&mut self, init: &Path) -> Result<()> {
        let lab = self.directory.path();
        let mut command = self.program();
        command.arg("--bind-address=127.0.0.1").arg(format!("--port={}", self.port()));
        command.arg(format!("--socket={}", self.root().join("socket").display()));
        command.arg(format!("--pid-file={}", self.root().join("server.pid").display()));
        command.arg(format!("--init-file={}", init.display()));
        let log = lab.join("mariadb.log");
        let child = Child::spawn_in_lab(&mut command, &log, lab, lab.join("pids/mariadb.pid"))?;
        child
            .wait_for_port(self.port(), START_LIMIT)
            .map_err(|_| LabError::StartFailed { server: NAME, detail: last_lines(&child.log_text()) })?;
        self.server = Some(child);
        Ok(())
    }

    /// The URL of a database for a user, without a password.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("mysql://{user}@127.0.0.1:{}/{database}", self.port())
    }

    /// The port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("mariadb.log")).unwrap_or_default()
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("mariadb")
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the directory's guard ends what is left.
        if let Some(server) = self.server.take() {
            server.signal(Signal::TERM);
            let _ = server.wait_for_exit(STOP_GRACE);
        }
    }
}
