//! An isolated Dovecot, 2.3 or 2.4, with IMAP, ManageSieve, LMTP and an authentication socket for Postfix.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::ca::Ca;
use crate::directory::dovecot_pid_file;
use crate::elsewhere::Programs;
use crate::error::{LabError, Result, make_directory, write_file};
use crate::imap::Imap;
use crate::managesieve::ManageSieve;
use crate::packages::require_root;
use crate::ports::Port;
use crate::process::{COMMAND_LIMIT, PidFile, Ran, last_lines, launch, read_lossy, run};
use crate::wait::wait_for;

const NAME: &str = "Dovecot";
/// Names the root of another system whose Dovecot all labs of a test run shall use, see
/// [`elsewhere`](crate::elsewhere).
pub const ROOT_VARIABLE: &str = "MAILWARDEN_LAB_DOVECOT_ROOT";
const TEMPLATE: &str = include_str!("../templates/dovecot.conf");
const TEMPLATE_24: &str = include_str!("../templates/dovecot24.conf");
/// What the rounds run on the mail host.
const PROGRAMS: [&str; 4] = ["doveadm", "doveconf", "sievec", "sieve-dump"];
/// Owner of all mail. No such account needs to exist.
pub const MAIL_UID: u32 = 5000;
/// Services that the master user may use: reading mail and scripts, never sending.
const MASTER_SERVICES: [&str; 2] = ["imap", "sieve"];
/// Services whose master file must exist, or their logins fail as a broken password database, but stays
/// empty.
const OTHER_SERVICES: [&str; 5] = ["smtp", "submission", "lmtp", "doveadm", "pop3"];

/// Twice the longest that the clock can take to its next second.
const NOTICE_LIMIT: Duration = Duration::from_secs(2);

/// One row of the user file.
#[derive(Debug, Clone)]
struct Account {
    password: String,
    extra_fields: String,
}

/// Lines that open POP3 as well, in the words of the Dovecot that the labs of this test run use.
#[must_use]
pub fn with_pop3(port: u16) -> String {
    let protocols = match Programs::chosen(ROOT_VARIABLE).is_elsewhere() {
        true => "protocols {\n  pop3 = yes\n}",
        false => "protocols = imap lmtp sieve pop3",
    };
    format!(
        "{protocols}\nservice pop3-login {{\n  inet_listener pop3 {{\n    port = {port}\n  }}\n  inet_listener pop3s {{\n    \
         port = 0\n  }}\n}}\n"
    )
}

/// What a Dovecot shall be like before it is written down.
#[derive(Debug)]
pub struct DovecotBuilder {
    root: PathBuf,
    lab: PathBuf,
    ca: Ca,
    ports: Ports,
    users: BTreeMap<String, Account>,
    master: (String, String),
    acl_user: bool,
    domain: String,
    submission_port: Option<u16>,
    extra: String,
    programs: Programs,
}

#[derive(Debug)]
struct Ports {
    imap: Port,
    imaps: Port,
    sieve: Port,
    lmtp: Port,
}

impl DovecotBuilder {
    /// A user with an own mailbox and a clear-text password.
    #[must_use]
    pub fn user(mut self, address: &str, password: &str) -> DovecotBuilder {
        let account = Account { password: password.to_owned(), extra_fields: String::new() };
        self.users.insert(address.to_owned(), account);
        self
    }

    /// The master user (`sweeper` / `sweeppw` unless said otherwise).
    #[must_use]
    pub fn master_user(mut self, name: &str, password: &str) -> DovecotBuilder {
        self.master = (name.to_owned(), password.to_owned());
        self
    }

    /// `true` (the default) gives the master user the rights of the user it logs in as; `false` leaves
    /// Dovecot 2.3's trap as it is: the master user sees no mailbox but looks successful.
    #[must_use]
    pub fn acl_user(mut self, on: bool) -> DovecotBuilder {
        self.acl_user = on;
        self
    }

    /// The domain of `postmaster@`, who signs Dovecot's own mail.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> DovecotBuilder {
        self.domain = domain.to_owned();
        self
    }

    /// Where Sieve redirects leave: Postfix's SMTP port.
    #[must_use]
    pub fn submission_port(mut self, port: u16) -> DovecotBuilder {
        self.submission_port = Some(port);
        self
    }

    /// Lines for the end of dovecot.conf; they win over the lab's own.
    #[must_use]
    pub fn append_conf(mut self, text: &str) -> DovecotBuilder {
        self.extra.push_str(text);
        self.extra.push('\n');
        self
    }

    /// The Dovecot 2.4 of another tree, such as [`debian_13`](crate::elsewhere::debian_13), instead of the
    /// machine's own.
    #[must_use]
    pub fn tree(mut self, root: &Path) -> DovecotBuilder {
        self.programs = Programs::of(root.to_owned());
        self
    }

    /// The LMTP port it will listen on.
    #[must_use]
    pub fn lmtp_port(&self) -> u16 {
        self.ports.lmtp.number()
    }

    /// Writes everything down; [`Dovecot::start`] brings it up.
    pub fn build(self) -> Result<Dovecot> {
        require_root("making mailboxes of their own user")?;
        for directory in ["mail", "dict"] {
            let path = make_directory(&self.root.join(directory))?;
            chown(&path, Some(MAIL_UID), Some(MAIL_UID)).map_err(LabError::io("giving away", &path))?;
        }
        make_directory(&self.root.join("state"))?;
        write_file(&self.root.join("dovecot.conf"), self.configuration())?;
        for service in OTHER_SERVICES {
            write_file(&self.root.join(format!("masters.{service}")), "")?;
        }
        let pid_file = PidFile::new(dovecot_pid_file(&self.lab), &self.lab);
        let users = Mutex::new(self.users);
        if self.programs.is_elsewhere() {
            write_wrappers(&self.programs, &self.root.join("bin"))?;
        }
        let (root, ports, master, programs) = (self.root, self.ports, self.master.0, self.programs);
        let dovecot = Dovecot { root, ports, users, master, pid_file, programs };
        dovecot.write_users(&dovecot.users())?;
        dovecot.set_master_password(&self.master.1)?;
        Ok(dovecot)
    }

    fn configuration(&self) -> String {
        let submission = self.submission_port.map(|port| format!("submission_host = 127.0.0.1:{port}"));
        let (template, user) = match self.programs.is_elsewhere() {
            true => (TEMPLATE_24, "acl_user = %{user}"),
            false => (TEMPLATE, "acl_user = %u"),
        };
        let acl_user = if self.acl_user { user } else { "" };
        let values = [
            ("@root@", self.root.display().to_string()),
            ("@certificate@", self.ca.certificate().display().to_string()),
            ("@key@", self.ca.key().display().to_string()),
            ("@imap@", self.ports.imap.number().to_string()),
            ("@imaps@", self.ports.imaps.number().to_string()),
            ("@sieve@", self.ports.sieve.number().to_string()),
            ("@lmtp@", self.ports.lmtp.number().to_string()),
            ("@submission_host@", submission.unwrap_or_default()),
            ("@acl_user@", acl_user.to_owned()),
            ("@domain@", self.domain.clone()),
        ];
        let filled = values.iter().fold(template.to_owned(), |text, (mark, value)| text.replace(mark, value));
        format!("{filled}\n{}", self.extra)
    }
}

/// A Dovecot that ends when this is dropped.
#[derive(Debug)]
pub struct Dovecot {
    root: PathBuf,
    ports: Ports,
    users: Mutex<BTreeMap<String, Account>>,
    master: String,
    pid_file: PidFile,
    programs: Programs,
}

impl Dovecot {
    /// Begins a Dovecot inside a lab's directory; its ports are claimed here.
    pub fn builder(lab: &Path, ca: &Ca) -> Result<DovecotBuilder> {
        let ports = Ports {
            imap: Port::claim()?,
            imaps: Port::claim()?,
            sieve: Port::claim()?,
            lmtp: Port::claim()?,
        };
        Ok(DovecotBuilder {
            root: make_directory(&lab.join("dovecot"))?,
            lab: lab.to_owned(),
            ca: ca.clone(),
            ports,
            users: BTreeMap::new(),
            master: ("sweeper".to_owned(), "sweeppw".to_owned()),
            acl_user: true,
            domain: "example.test".to_owned(),
            submission_port: None,
            extra: String::new(),
            programs: Programs::chosen(ROOT_VARIABLE),
        })
    }

    /// Starts it and waits until it greets on IMAP and ManageSieve.
    pub fn start(&self) -> Result<()> {
        let log = self.root.join("start.log");
        let status =
            launch(self.programs.command("/usr/sbin/dovecot").arg("-c").arg(self.conf_path()), &log)?;
        if !status.success() {
            return Err(start_error(&last_lines(&read_lossy(&log))));
        }
        // A port answers before the authentication process does; the greeting comes after it.
        Imap::connect(self.imap_port())?;
        ManageSieve::connect(self.sieve_port()).map(drop)
    }

    /// Ends it and every process of it.
    pub fn stop(&self) -> Result<()> {
        self.pid_file.stop()
    }

    /// Stop and start, as after a change of the configuration.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.start()
    }

    /// The master process, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid_file.pid()
    }

    /// Runs doveadm on this instance; `args` begin with options such as `-f json` or with the command.
    pub fn doveadm(&self, args: &[&str]) -> Result<Ran> {
        let mut command = self.programs.command("/usr/bin/doveadm");
        Ok(run(command.arg("-c").arg(self.conf_path()).args(args), b"", COMMAND_LIMIT)?.into())
    }

    /// Compiles a Sieve script as the server would, into a file of the mailbox's owner.
    pub fn compile(&self, address: &str, script: &Path, binary: &Path) -> Result<()> {
        let mut command = self.programs.command("/usr/bin/sievec");
        command.arg("-c").arg(self.conf_path()).args(["-u", address]).arg(script).arg(binary);
        let ran: Ran = run(&mut command, b"", COMMAND_LIMIT)?.into();
        if ran.code != Some(0) {
            let doing = format!("sievec {}", script.display());
            return Err(LabError::Answer { server: NAME, doing, answer: ran.stderr });
        }
        chown(binary, Some(MAIL_UID), Some(MAIL_UID)).map_err(LabError::io("giving away", binary))
    }

    /// Where its programs are, if they are not the machine's own: scripts that run those of the other tree.
    #[must_use]
    pub fn program_directory(&self) -> Option<PathBuf> {
        self.programs.is_elsewhere().then(|| self.root.join("bin"))
    }

    /// The configuration file.
    #[must_use]
    pub fn conf_path(&self) -> PathBuf {
        self.root.join("dovecot.conf")
    }

    /// The home of a user, whether or not anything was delivered yet.
    #[must_use]
    pub fn home(&self, address: &str) -> PathBuf {
        let (local_part, domain) = address.rsplit_once('@').unwrap_or((address, ""));
        self.root.join("mail").join(domain).join(local_part)
    }

    /// Adds a user, or changes a password. In force when this returns, which can take a second.
    pub fn add_user(&self, address: &str, password: &str) -> Result<()> {
        self.add_users([(address.to_owned(), password.to_owned())])
    }

    /// Adds any number of users (address, password) in the time that one takes.
    pub fn add_users(&self, accounts: impl IntoIterator<Item = (String, String)>) -> Result<()> {
        let rows = accounts
            .into_iter()
            .map(|(address, password)| (address, Account { password, extra_fields: String::new() }));
        self.change_users(|users| users.extend(rows))
    }

    /// Extra fields of the password database, such as `nologin=y reason=offboarded`.
    pub fn set_extra_fields(&self, address: &str, fields: &str) -> Result<()> {
        self.change_users(|users| {
            if let Some(account) = users.get_mut(address) {
                fields.clone_into(&mut account.extra_fields);
            }
        })
    }

    /// Removes a user; the home stays on disk.
    pub fn remove_user(&self, address: &str) -> Result<()> {
        self.change_users(|users| drop(users.remove(address)))
    }

    /// The addresses of all users.
    #[must_use]
    pub fn user_addresses(&self) -> Vec<String> {
        self.users().keys().cloned().collect()
    }

    /// A user's password.
    #[must_use]
    pub fn password(&self, address: &str) -> Option<String> {
        self.users().get(address).map(|account| account.password.clone())
    }

    /// The name of the master user.
    #[must_use]
    pub fn master_user(&self) -> &str {
        &self.master
    }

    /// Changes the master user's password, for IMAP and ManageSieve only.
    pub fn set_master_password(&self, password: &str) -> Result<()> {
        let row = row(&self.master, password, "")?;
        for service in MASTER_SERVICES {
            write_database(&self.root.join(format!("masters.{service}")), &row)?;
        }
        self.wait_until_noticed()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        read_lossy(&self.root.join("dovecot.log"))
    }

    /// Waits until the log holds `text`.
    pub fn wait_until_log(&self, text: &str, timeout: Duration) -> Result<()> {
        wait_for(timeout, &format!("{text:?} in Dovecot's log"), || self.log().contains(text))
    }

    /// Clear text and STARTTLS.
    #[must_use]
    pub fn imap_port(&self) -> u16 {
        self.ports.imap.number()
    }

    /// TLS from the first octet.
    #[must_use]
    pub fn imaps_port(&self) -> u16 {
        self.ports.imaps.number()
    }

    /// ManageSieve, clear text and STARTTLS.
    #[must_use]
    pub fn sieve_port(&self) -> u16 {
        self.ports.sieve.number()
    }

    /// LMTP.
    #[must_use]
    pub fn lmtp_port(&self) -> u16 {
        self.ports.lmtp.number()
    }

    /// The unix socket of LMTP.
    #[must_use]
    pub fn lmtp_socket(&self) -> PathBuf {
        self.root.join("run/lmtp")
    }

    /// The socket that Postfix's SASL client asks.
    #[must_use]
    pub fn auth_socket(&self) -> PathBuf {
        self.root.join("run/auth-client")
    }

    fn users(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_users(&self, change: impl FnOnce(&mut BTreeMap<String, Account>)) -> Result<()> {
        let mut users = self.users();
        let mut changed = users.clone();
        change(&mut changed);
        self.write_users(&changed)?;
        *users = changed;
        drop(users);
        self.wait_until_noticed()
    }

    /// Dovecot looks at a passwd-file at most once in each second of the clock: a lookup in the second of the
    /// change may still be answered from the old version, one in the next second never is.
    fn wait_until_noticed(&self) -> Result<()> {
        if self.pid().is_none() {
            return Ok(());
        }
        let changed = clock_second();
        wait_for(NOTICE_LIMIT, "the next second of the clock", || clock_second() != changed)
    }

    fn write_users(&self, users: &BTreeMap<String, Account>) -> Result<()> {
        let rows: Result<String> = users
            .iter()
            .map(|(address, account)| row(address, &account.password, &account.extra_fields))
            .collect();
        write_database(&self.root.join("users"), &rows?)
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the caller who cares calls `stop`.
        let _ = self.stop();
    }
}

fn write_wrappers(programs: &Programs, directory: &Path) -> Result<()> {
    make_directory(directory)?;
    for name in PROGRAMS {
        let path = directory.join(name);
        write_file(&path, programs.wrapper(&format!("/usr/bin/{name}")))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(LabError::io("allowing", &path))?;
    }
    Ok(())
}

fn clock_second() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn start_error(detail: &str) -> LabError {
    let detail = detail.to_owned();
    if detail.contains("Address already in use") {
        return LabError::PortTaken { server: NAME, detail };
    }
    LabError::StartFailed { server: NAME, detail }
}

/// `user:password:uid:gid:gecos:home:shell:extra`: a colon or a line end would begin another field or another
/// user.
fn row(user: &str, password: &str, extra_fields: &str) -> Result<String> {
    let breaks_out = |value: &str| value.contains([':', '\n', '\r']);
    if [user, password].into_iter().any(breaks_out) || extra_fields.contains(['\n', '\r']) {
        return Err(LabError::configuration(
            format!("the entry of {user:?} in Dovecot's password file"),
            "it holds a colon or a line end; leave those out",
        ));
    }
    Ok(format!("{user}:{{PLAIN}}{password}::::::{extra_fields}\n"))
}

/// Replaces a passwd-file so that Dovecot notices.
///
/// It compares size and modification time in whole seconds, so that two changes within one second, or a
/// password of equal length, would pass unseen: each version gets a time of its own, if need be in the
/// future.
fn write_database(path: &Path, text: &str) -> Result<()> {
    let before = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let next = path.with_extension("next");
    write_file(&next, text)?;
    if let Some(before) = before {
        let distinct = SystemTime::now().max(before + Duration::from_secs(1));
        let file = File::options().write(true).open(&next).map_err(LabError::io("opening", &next))?;
        file.set_modified(distinct).map_err(LabError::io("dating", &next))?;
    }
    fs::rename(&next, path).map_err(LabError::io("replacing", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_of_a_database_has_a_second_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        let seconds = |path: &Path| {
            let modified = fs::metadata(path).unwrap().modified().unwrap();
            modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
        };
        let versions: Vec<u64> = ["one", "two", "six"]
            .iter()
            .map(|text| {
                write_database(&path, text).unwrap();
                seconds(&path)
            })
            .collect();
        assert!(versions[0] < versions[1] && versions[1] < versions[2], "{versions:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "six");
    }

    #[test]
    fn a_password_cannot_add_a_user() {
        assert!(row("a@b", "x\nroot:{PLAIN}y", "").is_err());
        assert!(row("a@b", "x:y", "").is_err());
        assert_eq!(row("a@b", "pw", "nologin=y").unwrap(), "a@b:{PLAIN}pw::::::nologin=y\n");
    }

    #[test]
    fn the_template_is_filled_completely() {
        let directory = tempfile::tempdir().unwrap();
        let ca = Ca::create(&directory.path().join("ca")).unwrap();
        let builder = Dovecot::builder(directory.path(), &ca).unwrap().submission_port(25).acl_user(true);
        let text = builder.configuration();
        assert!(!text.lines().any(|line| !line.starts_with('#') && line.matches('@').count() > 1), "{text}");
        assert!(text.contains("submission_host = 127.0.0.1:25\n") && text.contains("acl_user = %u"));
        assert!(!builder.acl_user(false).configuration().contains("acl_user = %u"));
    }
}
