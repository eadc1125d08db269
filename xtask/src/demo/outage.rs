//! The gate is stopped while mail comes in. Nothing may be bounced, and nothing lost.

use mailwarden_lab::smtp::Outcome;
use mailwarden_lab::wait::wait_until;

use super::letters::{message, read_back, spoken};
use super::stage::{SOON, Stage};
use crate::talk::note;

const FROM_OUTSIDE: &str = "outage-1@saas.example.test";
const FROM_HOST: &str = "outage-2@saas.example.test";
const OUTSIDE_SUBJECT: &str = "Sent while the gate was stopped, from outside";
const HOST_SUBJECT: &str = "Sent while the gate was stopped, from the host";
const STRANGER: &str = "news@vendor.test";

/// What happened meanwhile.
#[derive(Debug)]
pub(super) struct Outage {
    /// The reply to the stranger's server, which keeps the letter and tries again.
    pub(super) reply: String,
    /// Why the letter from the host waits.
    pub(super) waits: String,
    /// Whether the stranger was put off and not turned away.
    pub(super) put_off: bool,
    /// Whether both letters arrived once the gate was back.
    pub(super) arrived: bool,
}

pub(super) fn survive(stage: &mut Stage) -> anyhow::Result<Outage> {
    stage.stop_gate()?;
    note("the gate is stopped");
    let outcome = from_outside(stage)?;
    let waits = from_host(stage)?;
    stage.start_gate()?;
    note("the gate is open again");
    stage.lab.postfix.flush_queue()?;
    let again = from_outside(stage)?;
    read_back(stage, "ops", OUTSIDE_SUBJECT)?;
    read_back(stage, "ops", HOST_SUBJECT)?;
    let refusal = outcome.refusal();
    Ok(Outage {
        put_off: refusal.is_some_and(mailwarden_lab::smtp::Reply::is_temporary),
        reply: refusal.map_or_else(|| "accepted".to_owned(), spoken),
        waits,
        arrived: again.is_accepted(),
    })
}

/// What a stranger's server does, now and when it tries again.
fn from_outside(stage: &Stage) -> anyhow::Result<Outcome> {
    let text = message(STRANGER, FROM_OUTSIDE, OUTSIDE_SUBJECT);
    Ok(stage.lab.smtp_from_outside()?.send(STRANGER, &[FROM_OUTSIDE], text)?)
}

/// sendmail(1) has handed the letter over for good: Postfix has to keep it.
fn from_host(stage: &Stage) -> anyhow::Result<String> {
    let text = message("root@example.test", FROM_HOST, HOST_SUBJECT);
    stage.lab.postfix.sendmail(&["-i", "-f", "root@example.test", FROM_HOST], text)?;
    Ok(wait_until(SOON, "the letter from the host in the queue", || {
        let log = stage.lab.postfix.log();
        // Refused for now: what the gate itself refused stands in the same log with 5.7.1.
        let waits = |line: &&str| {
            line.contains("cleanup[") && line.contains("milter-reject") && line.contains(" 4.7.1 ")
        };
        let line = log.lines().rev().find(waits)?;
        Some(line.to_owned())
    })?)
}
