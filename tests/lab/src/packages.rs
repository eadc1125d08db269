//! Makes sure that the Debian packages of the lab are there, without starting or changing any service.
//!
//! What is installed already, and its configuration, stays exactly as it is: only missing packages are named
//! to apt, which may neither upgrade them nor remove others.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::error::{LabError, Result, make_directory, write_file};
use crate::process::{exists, last_lines, run};

/// The `openssl` command.
pub(crate) const OPENSSL: &str = "/usr/bin/openssl";
/// The scripted MTA of OpenDKIM's authors.
pub const MILTERTEST: &str = "/usr/bin/miltertest";
/// Where Debian puts Postfix's daemons, `master` among them.
pub(crate) const POSTFIX_DAEMONS: &str = "/usr/lib/postfix/sbin";

/// The directory server; the package's own directory is never made.
pub(crate) const SLAPD: &str = "/usr/sbin/slapd";
/// What asks and fills it.
pub(crate) const LDAPADD: &str = "/usr/bin/ldapadd";
/// Where Debian puts PostgreSQL's programs; the package's own cluster is never started.
pub(crate) const POSTGRESQL: &str = "/usr/lib/postgresql/15/bin";

/// One file that proves each package; `dovecot-core` comes with any of the others but is named for clarity.
const REQUIRED: [(&str, &str); 30] = [
    ("/usr/sbin/postfix", "postfix"),
    ("/usr/lib/postfix/sbin/master", "postfix"),
    ("/usr/lib/postfix/postfix-pcre.so", "postfix-pcre"),
    ("/usr/lib/postfix/postfix-cdb.so", "postfix-cdb"),
    ("/usr/lib/postfix/postfix-sqlite.so", "postfix-sqlite"),
    ("/usr/lib/postfix/postfix-mysql.so", "postfix-mysql"),
    ("/usr/lib/postfix/postfix-pgsql.so", "postfix-pgsql"),
    ("/usr/lib/postfix/postfix-ldap.so", "postfix-ldap"),
    ("/usr/lib/dovecot/modules/auth/libauthdb_ldap.so", "dovecot-ldap"),
    (SLAPD, "slapd"),
    (LDAPADD, "ldap-utils"),
    ("/usr/bin/sqlite3", "sqlite3"),
    ("/usr/sbin/mariadbd", "mariadb-server-core"),
    ("/usr/bin/mariadb", "mariadb-client-core"),
    ("/usr/sbin/dovecot", "dovecot-core"),
    ("/usr/bin/doveadm", "dovecot-core"),
    ("/usr/lib/dovecot/imap", "dovecot-imapd"),
    ("/usr/lib/dovecot/lmtp", "dovecot-lmtpd"),
    ("/usr/lib/dovecot/pop3", "dovecot-pop3d"),
    ("/usr/lib/dovecot/managesieve", "dovecot-managesieved"),
    ("/usr/lib/dovecot/modules/lib90_sieve_plugin.so", "dovecot-sieve"),
    ("/usr/lib/dovecot/modules/dict/libdriver_sqlite.so", "dovecot-sqlite"),
    ("/usr/sbin/saslpasswd2", "sasl2-bin"),
    (OPENSSL, "openssl"),
    // The milter library is compared with the reference implementation, and driven by its test tool.
    (MILTERTEST, "miltertest"),
    ("/usr/include/libmilter/mfapi.h", "libmilter-dev"),
    ("/usr/bin/cc", "gcc"),
    ("/usr/lib/postgresql/15/bin/postgres", "postgresql-15"),
    ("/usr/lib/postgresql/15/bin/psql", "postgresql-client-15"),
    // Counts instructions, which no other load of the machine changes.
    ("/usr/bin/valgrind", "valgrind"),
];

/// What the slow tier needs besides.
const REQUIRED_SLOW: [(&str, &str); 6] = [
    ("/usr/sbin/debootstrap", "debootstrap"),
    ("/usr/bin/m4", "m4"),
    ("/usr/bin/lintian", "lintian"),
    ("/usr/bin/musl-gcc", "musl-tools"),
    // Mailman's core has a Python of its own.
    ("/usr/lib/python3.11/ensurepip/__init__.py", "python3-venv"),
    // Only to judge unit files; it is never started.
    ("/usr/bin/systemd-analyze", "systemd"),
];

/// Keeps Debian's maintainer scripts from starting daemons (exit 101 of invoke-rc.d's policy layer:
/// forbidden).
const POLICY: &str = "#!/bin/sh\nexit 101\n";
/// "No configuration" leaves no /etc/postfix/main.cf behind, so that nothing on the machine begins to take
/// mail.
pub(crate) const POSTFIX_PRESET: &str = "postfix postfix/main_mailer_type select No configuration\n";
/// A directory of the machine's own is not wanted either.
const SLAPD_PRESET: &str = "slapd slapd/no_configuration boolean true\n";
/// Slow mirrors and another apt that holds dpkg's lock included.
const APT_LIMIT: Duration = Duration::from_secs(900);
/// Test programs that start together install once.
const TURNSTILE: &str = "/run/mailwarden-lab-packages.lock";

/// What had to be done to have everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Packages that this call installed; empty when nothing was missing.
    pub added: Vec<String>,
}

/// Checks for the programs of the lab and installs the packages of those that are missing.
///
/// `progress` gets one line per step that takes a while; nothing when all is there.
pub fn ensure_installed(progress: &mut dyn FnMut(&str)) -> Result<Installed> {
    ensure(&REQUIRED, progress)
}

/// The same for what builds the servers of the slow tier.
pub fn ensure_slow_installed(progress: &mut dyn FnMut(&str)) -> Result<Installed> {
    ensure(&REQUIRED_SLOW, progress)
}

fn ensure(required: &[(&str, &'static str)], progress: &mut dyn FnMut(&str)) -> Result<Installed> {
    if missing(required, exists).is_empty() {
        return Ok(Installed { added: Vec::new() });
    }
    require_root("installing packages")?;
    let _turn = take_turn()?;
    let missing = missing(required, exists);
    if missing.is_empty() {
        return Ok(Installed { added: Vec::new() });
    }
    Installer::debian().install(&missing, progress)?;
    Ok(Installed { added: missing.into_iter().map(str::to_owned).collect() })
}

pub(crate) fn require_root(doing: &'static str) -> Result<()> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot { doing }) }
}

fn take_turn() -> Result<File> {
    let path = Path::new(TURNSTILE);
    let file = File::create(path).map_err(LabError::io("opening", path))?;
    file.lock().map_err(LabError::io("locking", path))?;
    Ok(file)
}

/// The packages whose proof is absent, each once, in the order of the table.
fn missing(required: &[(&str, &'static str)], present: impl Fn(&Path) -> bool) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for &(proof, package) in required {
        if !present(Path::new(proof)) && !packages.contains(&package) {
            packages.push(package);
        }
    }
    packages
}

/// The tools and places of an installation; tests put recorders in their stead.
struct Installer {
    apt_get: PathBuf,
    debconf: PathBuf,
    policy: PathBuf,
}

impl Installer {
    fn debian() -> Installer {
        Installer {
            apt_get: "/usr/bin/apt-get".into(),
            debconf: "/usr/bin/debconf-set-selections".into(),
            policy: "/usr/sbin/policy-rc.d".into(),
        }
    }

    fn install(&self, packages: &[&str], progress: &mut dyn FnMut(&str)) -> Result<()> {
        self.require_debian(packages)?;
        // A hook of Debian's container images empties apt's common archive while another apt still unpacks
        // from it.
        let archives =
            tempfile::tempdir().map_err(LabError::io("making a directory in", &std::env::temp_dir()))?;
        make_directory(&archives.path().join("partial"))?;
        progress("updating the package lists");
        self.apt(&["update"], archives.path())?;
        let presets = [("postfix", POSTFIX_PRESET), ("slapd", SLAPD_PRESET)];
        for (_, preset) in presets.into_iter().filter(|(package, _)| packages.contains(package)) {
            self.preset(preset)?;
        }
        progress(&format!("installing {}", packages.join(" ")));
        let _policy = Policy::put(&self.policy)?;
        let install = ["install", "--yes", "--no-install-recommends", "--no-upgrade", "--no-remove"];
        self.apt(&[&install, packages].concat(), archives.path())
    }

    fn require_debian(&self, packages: &[&str]) -> Result<()> {
        match [&self.apt_get, &self.debconf].into_iter().find(|tool| !exists(tool)) {
            Some(tool) => {
                Err(LabError::NotDebian { missing: packages.join(" "), tool: tool.display().to_string() })
            }
            None => Ok(()),
        }
    }

    fn preset(&self, answers: &str) -> Result<()> {
        let output = run(&mut Command::new(&self.debconf), answers.as_bytes(), APT_LIMIT)?;
        succeeded("debconf-set-selections", &output)
    }

    fn apt(&self, arguments: &[&str], archives: &Path) -> Result<()> {
        let mut command = Command::new(&self.apt_get);
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=300"]);
        command.args(["-o", "Dpkg::Options::=--force-confold"]);
        command.arg("-o").arg(format!("Dir::Cache::archives={}", archives.display())).args(arguments);
        let output = run(&mut command, b"", APT_LIMIT)?;
        succeeded(&format!("apt-get {}", arguments.join(" ")), &output)
    }
}

fn succeeded(doing: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    Err(LabError::Apt {
        doing: doing.to_owned(),
        status: output.status.to_string(),
        tail: last_lines(&String::from_utf8_lossy(&text)),
    })
}

/// Debian's "do not start services" file for as long as this lives; one that stands already is left alone.
struct Policy {
    ours: Option<PathBuf>,
}

impl Policy {
    fn put(path: &Path) -> Result<Policy> {
        if exists(path) {
            return Ok(Policy { ours: None });
        }
        write_file(path, POLICY)?;
        let policy = Policy { ours: Some(path.to_owned()) };
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .map_err(LabError::io("allowing", path))?;
        Ok(policy)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        self.ours.iter().for_each(|path| drop(fs::remove_file(path)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tools that write down how they were called, and whether services were forbidden at that moment.
    struct Recorders {
        directory: tempfile::TempDir,
        installer: Installer,
    }

    impl Recorders {
        fn new(apt_ends: &str) -> Recorders {
            let directory = tempfile::tempdir().unwrap();
            let at = |name: &str| directory.path().join(name);
            let (record, policy) = (at("record"), at("policy-rc.d"));
            let script = |ending: &str| {
                format!(
                    "#!/bin/sh\n[ -x {p} ] && {p}; echo \"policy=$? $0 $*\" >>{r}\n{ending}\n",
                    p = policy.display(),
                    r = record.display()
                )
            };
            tool(&at("apt-get"), &script(apt_ends));
            tool(&at("debconf"), &script(&format!("cat >>{}", record.display())));
            let installer = Installer { apt_get: at("apt-get"), debconf: at("debconf"), policy };
            Recorders { directory, installer }
        }

        fn record(&self) -> String {
            fs::read_to_string(self.directory.path().join("record")).unwrap_or_default()
        }
    }

    fn tool(path: &Path, script: &str) {
        fs::write(path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn each_missing_package_is_named_once() {
        assert_eq!(missing(&REQUIRED, |_| true), Vec::<&str>::new());
        let without_postfix =
            missing(&REQUIRED, |path| !path.starts_with("/usr/sbin/postfix") && !path.ends_with("master"));
        assert_eq!(without_postfix, ["postfix"]);
        let nothing = missing(&REQUIRED, |_| false);
        assert_eq!(nothing.iter().filter(|package| **package == "dovecot-core").count(), 1);
        assert!(nothing.contains(&"openssl"));
    }

    #[test]
    fn services_are_forbidden_only_while_packages_are_installed() {
        let recorders = Recorders::new("");
        let mut steps = Vec::new();
        recorders
            .installer
            .install(&["postfix", "openssl"], &mut |step| steps.push(step.to_owned()))
            .unwrap();
        let record = recorders.record();
        let lines: Vec<&str> = record.lines().collect();
        assert!(lines[0].starts_with("policy=1 ") && lines[0].ends_with(" update"), "{record}");
        assert!(lines[1].contains("debconf") && lines[2].contains("No configuration"), "{record}");
        assert!(lines[3].starts_with("policy=101 "), "{record}");
        assert!(lines[3].contains("--no-remove postfix openssl"), "{record}");
        assert!(lines[3].contains("Lock::Timeout=300"), "{record}");
        assert!(!recorders.installer.policy.exists());
        assert_eq!(steps.len(), 2);
    }

    #[test]
    fn an_installed_postfix_is_not_preset_and_a_standing_policy_stays() {
        let recorders = Recorders::new("");
        tool(&recorders.installer.policy, "#!/bin/sh\nexit 7\n");
        recorders.installer.install(&["openssl"], &mut |_| {}).unwrap();
        assert!(!recorders.record().contains("debconf"));
        assert_eq!(fs::read_to_string(&recorders.installer.policy).unwrap(), "#!/bin/sh\nexit 7\n");
    }

    #[test]
    fn a_failing_apt_shows_its_last_lines_and_leaves_no_policy() {
        let recorders = Recorders::new("case $* in *install*) echo E: no space left >&2; exit 100;; esac");
        let error = recorders.installer.install(&["openssl"], &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("E: no space left") && error.contains("100"), "{error}");
        assert!(!recorders.installer.policy.exists());
    }

    #[test]
    fn a_machine_without_apt_is_told_what_is_missing() {
        let mut recorders = Recorders::new("");
        recorders.installer.apt_get = "/no/such/apt-get".into();
        let error = recorders.installer.install(&["dovecot-lmtpd"], &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("dovecot-lmtpd") && error.contains("/no/such/apt-get"), "{error}");
    }
}
