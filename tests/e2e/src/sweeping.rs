//! What the rounds are told about the servers of a lab.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use mailwarden_lab::Lab;

use crate::installation::Installation;

/// A configuration for `mailwarden sweep` that a test may spoil before it is saved.
#[derive(Debug, Clone)]
pub struct SweepConfig {
    /// Port of IMAP with STARTTLS.
    pub imap_port: u16,
    /// Port of ManageSieve.
    pub sieve_port: u16,
    /// How ManageSieve is secured.
    pub sieve_tls: &'static str,
    /// The authority that must have signed the servers' certificate.
    pub ca_file: PathBuf,
    /// The name that the certificate must carry.
    pub tls_name: String,
    /// The master user's password.
    pub password: String,
    /// Whether the rounds may look at Dovecot on its own host too.
    pub host: bool,
    /// What stands between mailbox and master user; the SASL authorisation identity names the mailbox when
    /// absent.
    pub separator: Option<char>,
    /// The command that lists the accounts; none when empty.
    pub accounts: Vec<String>,
    /// More of `[imap]`.
    pub imap: String,
    /// More of the configuration.
    pub more: String,
    installation: String,
    master: String,
    postfix: PathBuf,
    dovecot: PathBuf,
    programs: Option<PathBuf>,
    name: String,
}

impl SweepConfig {
    /// All that is right for a lab.
    #[must_use]
    pub fn of(lab: &Lab, installation: &Installation, password: &str) -> SweepConfig {
        let programs = lab.dovecot.program_directory();
        let doveadm = programs.clone().unwrap_or_else(|| "/usr/bin".into()).join("doveadm");
        let words =
            [doveadm.as_path(), "-c".as_ref(), &lab.dovecot.conf_path(), "user".as_ref(), "*".as_ref()];
        SweepConfig {
            separator: Some('*'),
            accounts: words.map(|word| word.display().to_string()).to_vec(),
            imap: String::new(),
            imap_port: lab.dovecot.imap_port(),
            sieve_port: lab.dovecot.sieve_port(),
            sieve_tls: "starttls",
            ca_file: lab.ca().authority().to_owned(),
            tls_name: "mail.example.test".to_owned(),
            password: password.to_owned(),
            host: false,
            more: String::new(),
            installation: installation.path(""),
            master: lab.dovecot.master_user().to_owned(),
            postfix: lab.postfix.config_dir(),
            dovecot: lab.dovecot.conf_path(),
            programs,
            name: "sweep".to_owned(),
        }
    }

    /// Another name for its file, for a test with several.
    #[must_use]
    pub fn named(mut self, name: &str) -> SweepConfig {
        name.clone_into(&mut self.name);
        self
    }

    /// Writes it down and names the file, for `--config`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self) -> Result<String> {
        let directory = PathBuf::from(&self.installation);
        let secret = directory.join(format!("{}.password", self.name));
        fs::write(&secret, format!("{}\n", self.password))
            .and_then(|()| fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)))
            .with_context(|| format!("writing {}", secret.display()))?;
        let path = directory.join(format!("{}.toml", self.name));
        fs::write(&path, self.text()).with_context(|| format!("writing {}", path.display()))?;
        Ok(path.display().to_string())
    }

    fn text(&self) -> String {
        let server = |port: u16, tls: &str| {
            format!(
                "host = \"127.0.0.1\"\nport = {port}\ntls = \"{tls}\"\ntls_name = \"{}\"\nca_file = {:?}\n",
                self.tls_name, self.ca_file
            )
        };
        let (imap, sieve) = (server(self.imap_port, "starttls"), server(self.sieve_port, self.sieve_tls));
        let (directory, name) = (&self.installation, &self.name);
        let host = match self.host {
            true => {
                let programs = self.programs.as_ref();
                let programs = programs.map(|path| format!("program_directory = {path:?}\n"));
                format!("\n[dovecot]\nconfig = {:?}\n{}", self.dovecot, programs.unwrap_or_default())
            }
            false => String::new(),
        };
        let more = &self.more;
        let accounts = match self.accounts.is_empty() {
            true => String::new(),
            false => format!("[accounts]\ncommand = {:?}\n", self.accounts),
        };
        let separator = self.separator.map(|mark| format!("separator = \"{mark}\"\n")).unwrap_or_default();
        format!(
            "[policy]\ndirectory = \"policy\"\n\n[ledger]\nurl = \"sqlite:{directory}ledger.db\"\nkey = \"ledger-key.pem\"\n\n\
             [imap]\n{imap}{more_imap}\n[managesieve]\n{sieve}\n\
             [login]\nuser = \"{master}\"\npassword = {{ file = \"{name}.password\" }}\n{separator}\n\
             [postfix]\nconfig_directory = {postfix:?}\n\n\
             {accounts}{host}{more}",
            master = self.master,
            postfix = self.postfix,
            more_imap = self.imap,
        )
    }
}
