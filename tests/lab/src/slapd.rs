//! An isolated directory server on loopback, run by a user without rights, its entries inside a lab directory.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::directory::LabDirectory;
use crate::error::{LabError, Result, make_directory, write_file};
use crate::packages::{LDAPADD, SLAPD, require_root};
use crate::ports::Port;
use crate::process::{COMMAND_LIMIT, Child, last_lines, run_ok};

const NAME: &str = "slapd";
/// What everything in it stands below.
pub const BASE: &str = "dc=example,dc=test";
/// Who may read and write everything.
pub const ADMINISTRATOR: &str = "cn=admin,dc=example,dc=test";
/// The administrator's password.
pub const PASSWORD: &str = "ldapsecret";
/// `nobody` and `nogroup`: the server needs no account of its own.
const SERVER_UID: u32 = 65_534;
const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A directory server that ends, and whose files go, when this is dropped.
#[derive(Debug)]
pub struct Slapd {
    // Dropped before the directory that it works in.
    server: Option<Child>,
    port: Port,
    directory: LabDirectory,
}

impl Slapd {
    /// Starts one with [`BASE`] in it, and adds entries in LDIF.
    ///
    /// # Errors
    /// When it does not start, or refuses an entry.
    pub fn start(entries: &str) -> Result<Slapd> {
        require_root("running slapd as another user")?;
        let directory = LabDirectory::new(None)?;
        let mut slapd = Slapd { server: None, port: Port::claim()?, directory };
        slapd.serve()?;
        let base = format!(
            "dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: example\n\n{entries}"
        );
        slapd.add(&base)?;
        Ok(slapd)
    }

    fn serve(&mut self) -> Result<()> {
        let root = make_directory(&self.root())?;
        let entries = make_directory(&root.join("entries"))?;
        let conf = root.join("slapd.conf");
        write_file(&conf, configuration(&entries))?;
        for path in [&root, &entries, &conf] {
            chown(path, Some(SERVER_UID), Some(SERVER_UID)).map_err(LabError::io("giving away", path))?;
        }
        let lab = self.directory.path();
        let mut command = Command::new(SLAPD);
        // In the foreground, and silent.
        command.args(["-d", "0", "-u", "nobody", "-g", "nogroup", "-h", &self.url(), "-f"]).arg(&conf);
        let child =
            Child::spawn_in_lab(&mut command, &lab.join("slapd.log"), lab, lab.join("pids/slapd.pid"))?;
        child
            .wait_for_port(self.port.number(), START_LIMIT)
            .map_err(|_| LabError::StartFailed { server: NAME, detail: last_lines(&child.log_text()) })?;
        self.server = Some(child);
        Ok(())
    }

    /// Adds entries in LDIF.
    ///
    /// # Errors
    /// When it refuses one.
    pub fn add(&self, entries: &str) -> Result<()> {
        let secret = self.root().join("password");
        write_file(&secret, PASSWORD)?;
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&secret, private).map_err(LabError::io("closing", &secret))?;
        let mut command = Command::new(LDAPADD);
        command.args(["-x", "-H", &self.url(), "-D", ADMINISTRATOR, "-y"]).arg(&secret);
        run_ok(&mut command, entries.as_bytes(), COMMAND_LIMIT).map(drop)
    }

    /// Where it is asked.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port.number())
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("slapd")
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the directory's guard ends what is left.
        if let Some(server) = self.server.take() {
            server.signal(Signal::TERM);
            let _ = server.wait_for_exit(STOP_GRACE);
        }
    }
}

/// Nobody but the administrator reads passwords, as usual.
fn configuration(entries: &Path) -> String {
    let schemas = ["core", "cosine", "inetorgperson", "misc"];
    let schemas = schemas.map(|name| format!("include /etc/ldap/schema/{name}.schema\n")).concat();
    format!(
        "{schemas}modulepath /usr/lib/ldap\nmoduleload back_mdb\ndatabase mdb\nmaxsize 16777216\nsuffix {BASE}\n\
         rootdn {ADMINISTRATOR}\nrootpw {PASSWORD}\ndirectory {}\naccess to attrs=userPassword by anonymous auth by * none\n\
         access to * by * read\n",
        entries.display()
    )
}
