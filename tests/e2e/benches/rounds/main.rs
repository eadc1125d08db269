//! The rounds over IMAP and ManageSieve, next to a client that sends the very same commands and looks at no answer
//! but for its end. Interleaved rounds on one server: the ratio of the rates is the result.
//!
//! `cargo bench -p mailwarden-e2e --bench rounds -- [--mailboxes N] [--rounds N]`
#![allow(clippy::print_stdout, reason = "a measurement is printed")]

mod bare;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mailwarden_e2e::{World, WorldOptions, mailwarden};
use mailwarden_lab::OutsideWorld;

use crate::bare::{Conversation, Protocol, Recorder};

/// As many on each server as `[sweep]` allows when nothing is said.
const AT_ONCE: usize = 32;
const FOLDERS: [&str; 4] = ["Plans", "Plans/2026", "Lists", "Invoices"];
const SCRIPT: &str =
    "require [\"fileinto\"];\r\nif header :contains \"list-id\" \"dev\" { fileinto \"Lists\"; }\r\n";
/// Fewer processes that serve one login each and end.
const TUNED: &str = "service imap-login {\n  service_count = 0\n  process_min_avail = 2\n}\n\
    service managesieve-login {\n  service_count = 0\n  process_min_avail = 2\n}\n\
    service imap {\n  service_count = 200\n  process_min_avail = 8\n}\n\
    service managesieve {\n  service_count = 200\n  process_min_avail = 8\n}\n\
    auth_cache_size = 10 M\n";

fn main() -> Result<()> {
    let (mailboxes, rounds) = arguments()?;
    for (name, conf) in [("default", ""), ("tuned", TUNED)] {
        let place = Place::of(mailboxes, conf)?;
        let recorded = place.record()?;
        let (mut ratios, mut ours, mut bares) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (our, bare) = (place.sweep()?, place.replay(&recorded)?);
            ratios.push(bare.as_secs_f64() / our.as_secs_f64());
            ours.push(mailboxes as f64 / our.as_secs_f64());
            bares.push(mailboxes as f64 / bare.as_secs_f64());
        }
        println!(
            "Dovecot, {name}: {:.0} mailboxes/s, a bare client {:.0}, median ratio {:.2}",
            median(ours),
            median(bares),
            median(ratios)
        );
    }
    Ok(())
}

fn arguments() -> Result<(usize, usize)> {
    let (mut mailboxes, mut rounds) = (300, 5);
    // cargo bench passes --bench on.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for pair in words.chunks(2) {
        let [word, value] = pair else { bail!("{pair:?} needs a value") };
        match word.as_str() {
            "--mailboxes" => mailboxes = value.parse()?,
            "--rounds" => rounds = value.parse()?,
            _ => bail!("no such argument: {word}"),
        }
    }
    Ok((mailboxes, rounds))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn login(number: usize) -> String {
    format!("u{number:05}@example.test")
}

/// A server whose mailboxes are all alike.
struct Place {
    world: World,
    mailboxes: usize,
}

impl Place {
    fn of(mailboxes: usize, conf: &str) -> Result<Place> {
        let mut wanted = WorldOptions { gate: false, policy: String::new(), ..WorldOptions::default() };
        wanted.lab.outside = OutsideWorld::Discarded;
        // Besides those whom the policy knows: a login that is refused would be waited for.
        wanted.lab.users.extend((0..mailboxes).map(|number| (login(number), "pw".to_owned())));
        conf.clone_into(&mut wanted.lab.dovecot_conf);
        let world = World::with(&wanted)?;
        for number in 0..mailboxes {
            let mut imap = world.lab.imap(&login(number))?;
            FOLDERS.iter().try_for_each(|folder| imap.create(folder))?;
            let mut scripts = world.lab.managesieve(&login(number))?;
            scripts.putscript("rules", SCRIPT)?;
            scripts.setactive("rules")?;
        }
        Ok(Place { world, mailboxes })
    }

    /// A configuration without TLS, which costs both sides the same, with other ports where they are recorded.
    fn config(&self, name: &str, imap: u16, managesieve: u16) -> Result<String> {
        let mut config = self.world.sweep_config().named(name);
        (config.imap_port, config.sieve_port) = (imap, managesieve);
        let file = config.save()?;
        let text = fs::read_to_string(&file)?.replace("tls = \"starttls\"", "tls = \"none\"");
        fs::write(&file, text)?;
        Ok(file)
    }

    fn ports(&self) -> (u16, u16) {
        let dovecot = &self.world.lab.dovecot;
        (dovecot.imap_port(), dovecot.sieve_port())
    }

    /// What the rounds say for the first mailbox.
    fn record(&self) -> Result<[Conversation; 2]> {
        let (imap, managesieve) = self.ports();
        let imap = Recorder::start(Protocol::Imap, imap)?;
        let managesieve = Recorder::start(Protocol::ManageSieve, managesieve)?;
        let config = self.config("recorded", imap.port(), managesieve.port())?;
        let output = mailwarden(&[
            "collect",
            &login(0),
            "--profile",
            "remote",
            "--output",
            &self.world.installation.path("one.jsonl"),
            "--config",
            &config,
        ])?;
        ensure!(output.code == 0, "recording: {output:?}");
        Ok([imap.finish(&login(0))?, managesieve.finish(&login(0))?])
    }

    fn sweep(&self) -> Result<Duration> {
        let (imap, managesieve) = self.ports();
        let config = self.config("sweep", imap, managesieve)?;
        let file = self.world.installation.path("all.jsonl");
        let begun = Instant::now();
        let output =
            mailwarden(&["collect", "--all", "--profile", "remote", "--output", &file, "--config", &config])?;
        let taken = begun.elapsed();
        let done =
            fs::read_to_string(&file)?.lines().filter(|line| line.starts_with("{\"done\":\"u0")).count();
        ensure!(done == self.mailboxes, "{done} of {} mailboxes: {output:?}", self.mailboxes);
        Ok(taken)
    }

    fn replay(&self, conversations: &[Conversation; 2]) -> Result<Duration> {
        let (imap, managesieve) = self.ports();
        let begun = Instant::now();
        thread::scope(|scope| {
            let mut workers = Vec::new();
            for (conversation, port) in conversations.iter().zip([imap, managesieve]) {
                let next = Arc::new(AtomicUsize::new(0));
                for _ in 0..AT_ONCE {
                    let next = Arc::clone(&next);
                    workers.push(scope.spawn(move || {
                        let mine =
                            || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < self.mailboxes);
                        while let Some(number) = mine() {
                            conversation.replay(port, &login(number))?;
                        }
                        Ok(())
                    }));
                }
            }
            let joined = workers.into_iter().map(|worker| worker.join().ok().context("a worker panicked")?);
            joined.collect::<Result<Vec<()>>>()
        })?;
        Ok(begun.elapsed())
    }
}
