//! An isolated Cyrus IMAP on loopback with ManageSieve, from a tree of its own.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::elsewhere::{self, Programs};
use crate::error::{LabError, Result, make_directory, write_file};
use crate::imap::Imap;
use crate::lab::Lab;
use crate::managesieve::ManageSieve;
use crate::ports::Port;
use crate::process::{COMMAND_LIMIT, Child, run_ok};

const IMAPD: &str = include_str!("../templates/imapd.conf");
const CYRUS: &str = include_str!("../templates/cyrus.conf");
/// Whom Cyrus becomes.
const OWNER: &str = "cyrus";
/// Whoever makes mailboxes.
const ADMIN: (&str, &str) = ("admin", "adminpw");
const START_LIMIT: Duration = Duration::from_secs(20);
/// Directories that Cyrus does not make itself.
const DIRECTORIES: [&str; 12] = [
    "conf",
    "conf/db",
    "conf/socket",
    "conf/proc",
    "conf/log",
    "conf/msg",
    "conf/lock",
    "conf/quota",
    "conf/user",
    "spool",
    "sieve",
    "run",
];
/// Adds a login for each line of name and password, in one process inside the tree.
const ADD_LOGINS: &str = r#"
while read -r name password; do
  printf '%s' "$password" | saslpasswd2 -c -p -f "$1" -u "$2" -- "$name" || exit 1
done
"#;

/// A Cyrus that ends when this is dropped.
#[derive(Debug)]
pub struct Cyrus {
    child: Child,
    imap: Port,
    sieve: Port,
    users: Vec<(String, String)>,
    master: (String, String),
}

impl Cyrus {
    /// Starts it beside a lab, with the mailboxes of these users (addresses of `domain`, and passwords). The
    /// master logs in as any of them by the authorisation identity.
    pub fn start(
        lab: &Lab,
        domain: &str,
        users: &[(String, String)],
        master: (&str, &str),
        progress: &mut dyn FnMut(&str),
    ) -> Result<Cyrus> {
        let tree = elsewhere::cyrus(progress)?;
        let (imap, sieve) = (Port::claim()?, Port::claim()?);
        let directory = make_directory(&lab.path().join("cyrus"))?;
        furnish(&directory, lab, (imap.number(), sieve.number()), domain, master.0)?;
        let programs = Programs::of(tree.clone());
        add_logins(&programs, &directory, domain, users, master)?;
        give_away(&directory, owner_in(&tree)?)?;
        let mut command = programs.command("/usr/lib/cyrus/bin/master");
        command.arg("-C").arg(directory.join("imapd.conf")).arg("-M").arg(directory.join("cyrus.conf"));
        command.arg("-p").arg(directory.join("master.pid"));
        let child = lab.spawn("cyrus", &mut command)?;
        for port in [&imap, &sieve] {
            child.wait_for_port(port.number(), START_LIMIT)?;
        }
        let master = (master.0.to_owned(), master.1.to_owned());
        let cyrus = Cyrus { child, imap, sieve, users: users.to_vec(), master };
        cyrus.make_mailboxes()?;
        Ok(cyrus)
    }

    fn make_mailboxes(&self) -> Result<()> {
        let mut admin = Imap::open(self.imap_port(), ADMIN.0, ADMIN.1)?;
        for (address, _) in &self.users {
            admin.create(&format!("user/{address}"))?;
        }
        Ok(())
    }

    /// Clear text and STARTTLS.
    #[must_use]
    pub fn imap_port(&self) -> u16 {
        self.imap.number()
    }

    /// ManageSieve, clear text and STARTTLS.
    #[must_use]
    pub fn sieve_port(&self) -> u16 {
        self.sieve.number()
    }

    /// The master's name and password.
    #[must_use]
    pub fn master(&self) -> (&str, &str) {
        (&self.master.0, &self.master.1)
    }

    /// An IMAP session of one of the users.
    pub fn imap(&self, user: &str) -> Result<Imap> {
        Imap::open(self.imap_port(), user, self.password(user)?)
    }

    /// A ManageSieve session of one of the users.
    pub fn managesieve(&self, user: &str) -> Result<ManageSieve> {
        ManageSieve::open(self.sieve_port(), user, self.password(user)?)
    }

    /// Everything it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.log_text()
    }

    fn password(&self, user: &str) -> Result<&str> {
        let found = self.users.iter().find(|(address, _)| address == user);
        let unknown = || LabError::configuration(user, "not a user of this Cyrus");
        found.map(|(_, password)| password.as_str()).ok_or_else(unknown)
    }
}

fn furnish(directory: &Path, lab: &Lab, (imap, sieve): (u16, u16), domain: &str, master: &str) -> Result<()> {
    for name in DIRECTORIES {
        make_directory(&directory.join(name))?;
    }
    // Cyrus becomes another user before it reads them.
    for (from, name) in [(lab.ca().certificate(), "server.pem"), (lab.ca().key(), "server.key")] {
        fs::copy(from, directory.join(name)).map_err(LabError::io("copying", from))?;
    }
    let filled = |template: &str| {
        template
            .replace("@root@", &directory.display().to_string())
            .replace("@imap@", &imap.to_string())
            .replace("@sieve@", &sieve.to_string())
            .replace("@domain@", domain)
            .replace("@admin@", ADMIN.0)
            .replace("@master@", master)
    };
    write_file(&directory.join("imapd.conf"), filled(IMAPD))?;
    write_file(&directory.join("cyrus.conf"), filled(CYRUS))
}

fn add_logins(
    programs: &Programs,
    directory: &Path,
    domain: &str,
    users: &[(String, String)],
    master: (&str, &str),
) -> Result<()> {
    let plain = [ADMIN, master].map(|(name, password)| (name.to_owned(), password.to_owned()));
    // The realm is the domain, so the name alone is stored.
    let local = |address: &str| address.split('@').next().unwrap_or_default().to_owned();
    let users = users.iter().map(|(address, password)| (local(address), password.clone()));
    let rows: String =
        plain.into_iter().chain(users).map(|(name, word)| format!("{name} {word}\n")).collect();
    let mut command = programs.command("/bin/sh");
    command.args(["-c", ADD_LOGINS, "add"]).arg(directory.join("sasldb2")).arg(domain);
    run_ok(&mut command, rows.as_bytes(), COMMAND_LIMIT * 4).map(drop)
}

/// The number of Cyrus's user in a tree.
fn owner_in(tree: &Path) -> Result<u32> {
    let path = tree.join("etc/passwd");
    let text = fs::read_to_string(&path).map_err(LabError::io("reading", &path))?;
    let row = text.lines().find_map(|line| line.strip_prefix(OWNER)?.strip_prefix(":x:"));
    let uid = row.and_then(|row| row.split(':').next()?.parse().ok());
    uid.ok_or_else(|| LabError::configuration(path.display().to_string(), "it has no user called cyrus"))
}

fn give_away(directory: &Path, owner: u32) -> Result<()> {
    chown(directory, Some(owner), None).map_err(LabError::io("giving away", directory))?;
    let entries = fs::read_dir(directory).map_err(LabError::io("reading", directory))?;
    let paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    for path in paths {
        if path.is_dir() {
            give_away(&path, owner)?;
        } else {
            chown(&path, Some(owner), None).map_err(LabError::io("giving away", &path))?;
        }
    }
    Ok(())
}
