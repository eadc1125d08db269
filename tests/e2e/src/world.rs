//! Mail servers with the gate in front.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mailwarden_lab::imap::Message;
use mailwarden_lab::ports::Port;
use mailwarden_lab::smtp::Outcome;
use mailwarden_lab::wait::wait_for;
use mailwarden_lab::{Lab, LabError, LabOptions, packages};

use crate::gate::Gate;
use crate::installation::Installation;
use crate::programs::mailwarden;
use crate::scrape::Scrape;
use crate::sweeping::SweepConfig;

/// Longer than anything here takes on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);
/// Everybody the example policy knows, and alice.
const USERS: [&str; 7] = ["alice", "bob", "jane", "omar", "ops", "sales", "vault"];
/// A mailbox without a record in the policy would be a finding.
const ALICE: &str = "[[mailbox]]\naddress = \"alice@example.test\"\nkind = \"human\"\n\
                     business_owner = \"jane@example.test\"\n";
/// A foreign program may take a port that was free a moment ago; three times in a row it does not.
const ATTEMPTS: usize = 3;

/// Where the gate listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// On a unix socket.
    Unix,
    /// On a loopback port.
    Inet,
}

/// What a world shall be like.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// The servers.
    pub lab: LabOptions,
    /// Where the gate listens.
    pub listen: Listen,
    /// More of the policy, after the example and alice.
    pub policy: String,
    /// Whether the gate runs from the beginning.
    pub gate: bool,
}

impl Default for WorldOptions {
    fn default() -> WorldOptions {
        let user = |name: &str| (format!("{name}@example.test"), format!("{name}pw"));
        WorldOptions {
            lab: LabOptions { users: USERS.map(user).to_vec(), ..LabOptions::default() },
            listen: Listen::Unix,
            policy: String::new(),
            gate: true,
        }
    }
}

/// Postfix, Dovecot and the gate; all of it ends when this is dropped.
#[derive(Debug)]
pub struct World {
    gate: Option<Gate>,
    starts: u32,
    /// The servers.
    pub lab: Lab,
    /// Configuration, policy and ledger.
    pub installation: Installation,
    listen: String,
    milter_port: Option<Port>,
    metrics_port: Port,
    master_password: String,
}

impl World {
    /// Everything as usual.
    ///
    /// # Errors
    /// When something does not start.
    pub fn start() -> Result<World> {
        World::with(&WorldOptions::default())
    }

    /// Makes and starts a world.
    ///
    /// # Errors
    /// When something does not start.
    pub fn with(options: &WorldOptions) -> Result<World> {
        packages::ensure_installed(&mut |_step| {})?;
        let mut attempts = 1;
        let mut world = loop {
            match World::servers(options) {
                Err(error) if attempts < ATTEMPTS && is_port_taken(&error) => attempts += 1,
                outcome => break outcome?,
            }
        };
        if options.gate {
            world.start_gate()?;
        }
        Ok(world)
    }

    fn servers(options: &WorldOptions) -> Result<World> {
        let lab = Lab::prepare(&options.lab)?;
        let milter_port = match options.listen {
            Listen::Unix => None,
            Listen::Inet => Some(Port::claim()?),
        };
        let listen = match &milter_port {
            Some(port) => format!("inet:127.0.0.1:{}", port.number()),
            None => format!("unix:{}", lab.milter_socket().display()),
        };
        let metrics_port = Port::claim()?;
        let metrics = format!("[metrics]\nlisten = \"127.0.0.1:{}\"\n", metrics_port.number());
        let additions = format!("{ALICE}\n{}", options.policy);
        let installation =
            Installation::create(&lab.path().join("mailwarden"), &listen, &metrics, &additions)?;
        lab.postfix.append_main_cf(&rendered(&installation)?)?;
        lab.dovecot.start()?;
        lab.postfix.start()?;
        let master_password = options.lab.master.1.clone();
        Ok(World {
            gate: None,
            starts: 0,
            lab,
            installation,
            listen,
            milter_port,
            metrics_port,
            master_password,
        })
    }

    /// Opens the gate.
    ///
    /// # Errors
    /// When it does not open.
    pub fn start_gate(&mut self) -> Result<()> {
        self.starts += 1;
        let name = format!("gate-{}", self.starts);
        self.gate = Some(Gate::start(&self.lab, &self.installation.config(), &name)?);
        Ok(())
    }

    /// Closes the gate in peace.
    ///
    /// # Errors
    /// When it does not run, or does not end in peace.
    pub fn stop_gate(&mut self) -> Result<()> {
        self.gate.take().context("the gate does not run")?.stop()
    }

    /// Ends the gate as a crash would.
    ///
    /// # Errors
    /// When it does not run, or survives.
    pub fn kill_gate(&mut self) -> Result<()> {
        self.gate.take().context("the gate does not run")?.kill()
    }

    /// The running gate.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        self.gate.as_ref().expect("the gate runs")
    }

    /// Where the gate listens, in the words of Postfix.
    #[must_use]
    pub fn milter_address(&self) -> &str {
        &self.listen
    }

    /// The gate's port.
    ///
    /// # Panics
    /// When it listens on a unix socket.
    #[must_use]
    pub fn milter_port(&self) -> u16 {
        self.milter_port.as_ref().expect("a gate on a port").number()
    }

    /// What the gate has counted.
    ///
    /// # Errors
    /// When it does not say.
    pub fn metrics(&self) -> Result<Scrape> {
        Scrape::take(self.metrics_port.number())
    }

    /// Puts off the day on which the example's leaver leaves, so that their open login is nothing to report.
    ///
    /// # Errors
    /// When the policy cannot be written.
    pub fn nobody_has_left(&self) -> Result<()> {
        let policy = fs::read_to_string(self.installation.policy_file())?;
        self.installation.write_policy(policy.replace("left = 2026-", "left = 2126-"))
    }

    /// A configuration for the rounds in which everything is right.
    #[must_use]
    pub fn sweep_config(&self) -> SweepConfig {
        SweepConfig::of(&self.lab, &self.installation, &self.master_password)
    }

    /// One message from a stranger, in a session of its own.
    ///
    /// # Errors
    /// When the session breaks off; a refusal is no error.
    pub fn send_from_outside(
        &self,
        envelope_sender: &str,
        recipients: &[&str],
        message: impl AsRef<[u8]>,
    ) -> Result<Outcome> {
        Ok(self.lab.smtp_from_outside()?.send(envelope_sender, recipients, message)?)
    }

    /// Waits for a message by its subject and insists that there is one copy only.
    ///
    /// # Errors
    /// When it does not arrive, or more than once.
    pub fn arrives_once(&self, user: &str, subject: &str) -> Result<Message> {
        self.lab
            .wait_for_message(user, SOON, |mail| mail.header("Subject") == Some(subject))
            .with_context(|| format!("{subject:?} for {user}: {}", self.lab.postfix.log()))?;
        self.settle()?;
        let mut copies = self.copies(user, subject)?;
        ensure!(copies.len() == 1, "{} copies of {subject:?} for {user}: {copies:?}", copies.len());
        copies.pop().context("one copy")
    }

    /// The copies of a message in an INBOX, by its subject.
    ///
    /// # Errors
    /// When the mailbox cannot be read.
    pub fn copies(&self, user: &str, subject: &str) -> Result<Vec<Message>> {
        let mut session = self.lab.imap(user)?;
        session.select("INBOX")?;
        let mut messages = session.messages()?;
        messages.retain(|message| message.header("Subject") == Some(subject));
        Ok(messages)
    }

    /// The subjects of everything in an INBOX, oldest first.
    ///
    /// # Errors
    /// When the mailbox cannot be read.
    pub fn subjects(&self, user: &str) -> Result<Vec<String>> {
        let mut session = self.lab.imap(user)?;
        session.select("INBOX")?;
        let subject = |message: Message| message.header("Subject").unwrap_or_default().to_owned();
        Ok(session.messages()?.into_iter().map(subject).collect())
    }

    /// Waits until Postfix works on nothing; what is deferred waits for another time.
    ///
    /// # Errors
    /// When it does not come to rest.
    pub fn settle(&self) -> Result<()> {
        let rests = || {
            self.lab
                .postfix
                .queue()
                .is_ok_and(|queue| queue.iter().all(|message| !is_under_way(&message.queue)))
        };
        Ok(wait_for(SOON, "Postfix at rest", rests)?)
    }

    /// Whether anything was returned to its sender so far.
    #[must_use]
    pub fn anything_bounced(&self) -> bool {
        let log = self.lab.postfix.log();
        log.contains("status=bounced") || log.contains("status=expired")
    }
}

fn is_under_way(queue: &str) -> bool {
    matches!(queue, "incoming" | "active" | "maildrop")
}

fn is_port_taken(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(LabError::PortTaken { .. }))
}

/// What an administrator would paste into main.cf.
fn rendered(installation: &Installation) -> Result<String> {
    let output = mailwarden(&["postfix", "render", "--config", &installation.config()])?;
    ensure!(output.code == 0, "mailwarden postfix render: {output:?}");
    Ok(output.stdout)
}
