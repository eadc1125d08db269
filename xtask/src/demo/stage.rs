//! The stage: a lab with the gate in front of it, and the configuration that both programs read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use mailwarden_lab::process::Child;
use mailwarden_lab::{Lab, LabOptions, OutsideWorld};

use crate::cargo::{Programs, workspace};
use crate::talk::note;

/// Everybody with a mailbox; the password is the name and `pw`.
pub(super) const USERS: [&str; 6] = ["ops", "vault", "jane", "omar", "bob", "sales"];
/// The master user of the rounds; so is its password made.
pub(super) const MASTER: &str = "sweeper";
pub(super) const DOMAIN: &str = "example.test";
/// An alias that is as it should be: findings must not name it.
pub(super) const INNOCENT_ALIAS: (&str, &str) = ("offers@example.test", "sales@example.test");
/// Nothing on loopback takes longer unless it is broken.
pub(super) const SOON: Duration = Duration::from_secs(15);
const GATE: &str = "gate";
/// What the gate prints when Postfix may ask it.
const GATE_READY: &str = "the gate is open";
const GATE_GRACE: Duration = Duration::from_secs(10);
const LAST_LINES: usize = 10;
/// Only their owner may read passwords.
const SECRET_MODE: u32 = 0o600;

pub(super) struct Stage {
    // Dropped in this order: the gate before the servers that ask it.
    gate: Option<Child>,
    pub(super) lab: Lab,
    pub(super) programs: Programs,
}

/// What a program of ours had to say.
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Stage {
    pub(super) fn set_up(programs: Programs) -> anyhow::Result<Stage> {
        note("Ctrl-C, now or later, ends everything that is started from here on");
        let lab = Lab::new(LabOptions {
            domains: vec![DOMAIN.to_owned()],
            users: USERS.map(|name| (address(name), password(name))).to_vec(),
            virtual_aliases: vec![(INNOCENT_ALIAS.0.to_owned(), INNOCENT_ALIAS.1.to_owned())],
            master: (MASTER.to_owned(), password(MASTER)),
            outside: OutsideWorld::Collected,
            ..LabOptions::default()
        })?;
        let mut stage = Stage { gate: None, lab, programs };
        stage.write_configuration()?;
        stage.expect_success(&["check"])?;
        note("mailwarden check: configuration and policy are good");
        let recipe = stage.expect_success(&["postfix", "render"])?;
        stage.start_gate()?;
        stage.lab.postfix.append_main_cf(&recipe)?;
        stage.lab.postfix.reload()?;
        note("mailwarden postfix render: its lines are in main.cf");
        Ok(stage)
    }

    fn write_configuration(&self) -> anyhow::Result<()> {
        let policy = self.lab.path().join("policy");
        fs::create_dir_all(&policy).with_context(|| format!("creating {}", policy.display()))?;
        let example = workspace().join("config/policy/example.toml");
        let own = policy.join("example.toml");
        fs::copy(&example, &own).with_context(|| format!("copying {}", example.display()))?;
        let secret = self.lab.path().join("sweeper.password");
        write(&secret, &password(MASTER))?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(SECRET_MODE))
            .with_context(|| format!("closing {}", secret.display()))?;
        write(&self.config(), &self.configuration())
    }

    fn configuration(&self) -> String {
        let dovecot = &self.lab.dovecot;
        let server = |name: &str, port: u16| {
            format!(
                "[{name}]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"starttls\"\n\
                 tls_name = \"mail.example.test\"\nca_file = \"{}\"\n\n",
                self.lab.ca().authority().display()
            )
        };
        format!(
            "[policy]\ndirectory = \"policy\"\n\n\
             [gate]\nlisten = \"unix:{socket}\"\nsocket_mode = \"0660\"\nsocket_group = \"postfix\"\n\n\
             [ledger]\nurl = \"sqlite:{ledger}\"\n\n\
             {imap}{managesieve}\
             [login]\nuser = \"{master}\"\npassword = {{ file = \"sweeper.password\" }}\n\n\
             [postfix]\nconfig_directory = \"{postfix}\"\n\n\
             [accounts]\ncommand = [\"/usr/bin/doveadm\", \"-c\", \"{dovecot}\", \"user\", \"*\"]\n",
            socket = self.lab.milter_socket().display(),
            ledger = self.lab.path().join("ledger.db").display(),
            imap = server("imap", dovecot.imap_port()),
            managesieve = server("managesieve", dovecot.sieve_port()),
            master = dovecot.master_user(),
            postfix = self.lab.postfix.config_dir().display(),
            dovecot = dovecot.conf_path().display(),
        )
    }

    /// `mailwarden.toml` of both programs.
    pub(super) fn config(&self) -> PathBuf {
        self.lab.path().join("mailwarden.toml")
    }

    /// Runs `mailwarden` to its end.
    pub(super) fn mailwarden(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        let mut command = Command::new(&self.programs.mailwarden);
        command.args(arguments).arg("--config").arg(self.config());
        let output = command.output().context("starting mailwarden")?;
        Ok(Said {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs `mailwarden` and hands over what it printed; anything but exit 0 is an error.
    pub(super) fn expect_success(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let said = self.mailwarden(arguments)?;
        if said.code == Some(0) {
            return Ok(said.stdout);
        }
        let code = said.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
        bail!("mailwarden {} ended with {code}:\n{}{}", arguments.join(" "), said.stdout, said.stderr)
    }

    pub(super) fn start_gate(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.programs.milter);
        let gate = self.lab.spawn(GATE, command.arg("--config").arg(self.config()))?;
        // The log is appended to: only the socket says that this one is ready.
        gate.wait_for_line(GATE_READY, SOON)?;
        gate.wait_for_socket(&self.lab.milter_socket(), SOON)?;
        self.gate = Some(gate);
        Ok(())
    }

    /// SIGTERM, as an init system would; the gate must end by itself and well.
    pub(super) fn stop_gate(&mut self) -> anyhow::Result<()> {
        let Some(gate) = self.gate.take() else { return Ok(()) };
        match gate.stop(GATE_GRACE)? {
            Some(status) if status.success() => Ok(()),
            other => bail!("the gate was told to stop and ended with {other:?}"),
        }
    }

    /// Ends everything; the files go with the value itself.
    pub(super) fn strike(&mut self) -> anyhow::Result<()> {
        self.stop_gate()?;
        self.lab.leave_nothing()?;
        let left = self.lab.footprint().living();
        if left.is_empty() {
            return Ok(());
        }
        bail!("still running: process ids {left:?}")
    }

    /// The ends of the logs, for when something went wrong.
    pub(super) fn last_words(&self) -> String {
        let logs = [
            ("the gate", self.lab.child_log(GATE)),
            ("Postfix", self.lab.postfix.log()),
            ("Dovecot", self.lab.dovecot.log()),
        ];
        logs.iter().map(|(who, log)| format!("\n--- the last lines of {who}\n{}\n", tail(log))).collect()
    }
}

pub(super) fn address(user: &str) -> String {
    format!("{user}@{DOMAIN}")
}

pub(super) fn password(user: &str) -> String {
    format!("{user}pw")
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
