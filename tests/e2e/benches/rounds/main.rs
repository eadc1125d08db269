//! The rounds over IMAP and ManageSieve, next to a client that sends the very same commands and looks at no answer
//! but for its end. Interleaved rounds on one server: the ratio of the rates is the result.
//!
//! `cargo bench -p mailwarden-e2e --bench rounds -- [--mailboxes N] [--rounds N] [--server default|tuned]`
#![allow(clippy::print_stdout, reason = "a measurement is printed")]

mod bare;
mod place;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mailwarden_e2e::mailwarden;

use crate::bare::{Conversation, Protocol, Recorder};
use crate::place::Place;

/// As many on each server as `[sweep]` allows when nothing is said.
const AT_ONCE: usize = 32;
/// Fewer processes that serve one login each and end.
const TUNED: &str = "service imap-login {\n  service_count = 0\n  process_min_avail = 2\n}\n\
    service managesieve-login {\n  service_count = 0\n  process_min_avail = 2\n}\n\
    service imap {\n  service_count = 200\n  process_min_avail = 8\n}\n\
    service managesieve {\n  service_count = 200\n  process_min_avail = 8\n}\n\
    auth_cache_size = 10 M\n";

fn main() -> Result<()> {
    let Arguments { mailboxes, rounds, server } = arguments()?;
    let servers = [("default", ""), ("tuned", TUNED)];
    let chosen = servers.iter().filter(|(name, _)| server.as_deref().is_none_or(|chosen| chosen == *name));
    for (name, conf) in chosen {
        let place = Place::of(mailboxes, conf)?;
        let recorded = place.record()?;
        let (mut ratios, mut ours, mut bares) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (our, bare) = (place.sweep()?, place.replay(&recorded)?);
            ratios.push(bare.as_secs_f64() / our.as_secs_f64());
            ours.push(place.logins.len() as f64 / our.as_secs_f64());
            bares.push(place.logins.len() as f64 / bare.as_secs_f64());
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

struct Arguments {
    mailboxes: usize,
    rounds: usize,
    /// Both, where none is named.
    server: Option<String>,
}

fn arguments() -> Result<Arguments> {
    let mut arguments = Arguments { mailboxes: 300, rounds: 5, server: None };
    // cargo bench passes --bench on.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for pair in words.chunks(2) {
        let [word, value] = pair else { bail!("{pair:?} needs a value") };
        match word.as_str() {
            "--mailboxes" => arguments.mailboxes = value.parse()?,
            "--rounds" => arguments.rounds = value.parse()?,
            "--server" if ["default", "tuned"].contains(&value.as_str()) => {
                arguments.server = Some(value.clone());
            }
            _ => bail!("no such argument: {word}"),
        }
    }
    Ok(arguments)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

impl Place {
    /// What the rounds say for the first mailbox.
    fn record(&self) -> Result<[Conversation; 2]> {
        let (imap, managesieve) = self.ports();
        let first = self.logins.first().context("no mailbox to begin with")?;
        let imap = Recorder::start(Protocol::Imap, imap)?;
        let managesieve = Recorder::start(Protocol::ManageSieve, managesieve)?;
        let config = self.config("recorded", imap.port(), managesieve.port())?;
        let output = mailwarden(&[
            "collect",
            first,
            "--profile",
            "remote",
            "--output",
            &self.world.installation.path("one.jsonl"),
            "--config",
            &config,
        ])?;
        ensure!(output.code == 0, "recording: {output:?}");
        Ok([imap.finish(first)?, managesieve.finish(first)?])
    }

    /// The same for all of them; as the rounds do, it asks doveadm first who there is.
    fn replay(&self, conversations: &[Conversation; 2]) -> Result<Duration> {
        let (imap, managesieve) = self.ports();
        let begun = Instant::now();
        let listed = self.world.lab.dovecot.doveadm(&["user", "*"])?;
        let logins: Vec<&str> = listed.stdout.lines().collect();
        ensure!(logins.len() == self.logins.len(), "{listed:?}");
        thread::scope(|scope| {
            let mut workers = Vec::new();
            for (conversation, port) in conversations.iter().zip([imap, managesieve]) {
                let next = Arc::new(AtomicUsize::new(0));
                for _ in 0..AT_ONCE {
                    let next = Arc::clone(&next);
                    let logins = &logins;
                    workers.push(scope.spawn(move || {
                        while let Some(login) = logins.get(next.fetch_add(1, Ordering::Relaxed)) {
                            conversation.replay(port, login)?;
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
