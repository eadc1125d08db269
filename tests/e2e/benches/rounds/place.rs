//! A Dovecot with many mailboxes that are all alike, and the rounds over them.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mailwarden_e2e::{World, WorldOptions, mailwarden};
use mailwarden_lab::OutsideWorld;

const FOLDERS: [&str; 4] = ["Plans", "Plans/2026", "Lists", "Invoices"];
const SCRIPT: &str =
    "require [\"fileinto\"];\r\nif header :contains \"list-id\" \"dev\" { fileinto \"Lists\"; }\r\n";
/// It knows no mailbox: one that the server lacks would be looked for, and a login that is refused is waited for.
const POLICY: &str = "[client]\nname = \"Example\"\nowner = \"jane@example.test\"\n\
    emergency_approver = \"jane@example.test\"\n\
    [[person]]\nname = \"Jane\"\naddresses = [\"jane@example.test\"]\n";

/// A server whose mailboxes are all alike.
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) logins: Vec<String>,
}

impl Place {
    pub(crate) fn of(mailboxes: usize, conf: &str) -> Result<Place> {
        let mut wanted = WorldOptions { gate: false, policy: String::new(), ..WorldOptions::default() };
        wanted.lab.outside = OutsideWorld::Discarded;
        let names = (0..mailboxes).map(|number| format!("u{number:05}@example.test"));
        wanted.lab.users = names.map(|login| (login, "pw".to_owned())).collect();
        conf.clone_into(&mut wanted.lab.dovecot_conf);
        let logins: Vec<String> = wanted.lab.users.iter().map(|(login, _)| login.clone()).collect();
        let world = World::with(&wanted)?;
        world.installation.write_policy(POLICY)?;
        for login in &logins {
            let mut imap = world.lab.imap(login)?;
            FOLDERS.iter().try_for_each(|folder| imap.create(folder))?;
            let mut scripts = world.lab.managesieve(login)?;
            scripts.putscript("rules", SCRIPT)?;
            scripts.setactive("rules")?;
        }
        Ok(Place { world, logins })
    }

    /// A configuration without TLS, which costs both sides the same, with other ports where they are recorded.
    pub(crate) fn config(&self, name: &str, imap: u16, managesieve: u16) -> Result<String> {
        let mut config = self.world.sweep_config().named(name);
        (config.imap_port, config.sieve_port) = (imap, managesieve);
        let file = config.save()?;
        let text = fs::read_to_string(&file)?.replace("tls = \"starttls\"", "tls = \"none\"");
        fs::write(&file, text)?;
        Ok(file)
    }

    pub(crate) fn ports(&self) -> (u16, u16) {
        let dovecot = &self.world.lab.dovecot;
        (dovecot.imap_port(), dovecot.sieve_port())
    }

    pub(crate) fn sweep(&self) -> Result<Duration> {
        let (imap, managesieve) = self.ports();
        let config = self.config("sweep", imap, managesieve)?;
        let file = self.world.installation.path("all.jsonl");
        let begun = Instant::now();
        let output =
            mailwarden(&["collect", "--all", "--profile", "remote", "--output", &file, "--config", &config])?;
        let taken = begun.elapsed();
        let text = fs::read_to_string(&file)?;
        let done = text.lines().filter(|line| line.starts_with("{\"done\":\"u0")).count();
        ensure!(done == self.logins.len(), "{done} of {} mailboxes: {output:?}", self.logins.len());
        Ok(taken)
    }
}
