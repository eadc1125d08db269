//! `cargo xtask demo`: the whole job on real mail. A Postfix and a Dovecot of its own on loopback, the gate in
//! front, persistence planted and found, everything ended again.
//!
//! What it prints is checked: where something does not come out as expected, the demonstration says so and fails.

mod account;
mod letters;
mod outage;
mod persistence;
mod rounds;
mod stage;
mod visit;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use mailwarden_lab::packages;

use crate::cargo::{Profile, Programs, target_directory};
use crate::talk::{Steps, count, note, say, seconds, show};
use account::Account;
use stage::Stage;

const STEPS: usize = 10;

/// Arguments of `cargo xtask demo`.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave the servers up afterwards and print how to talk to them; Ctrl-C ends them
    #[arg(long)]
    keep: bool,
    /// Where report.html and report.json go [default: demo, beside what cargo builds]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut steps = Steps::of(if options.keep { STEPS - 1 } else { STEPS });
    steps.step("looking for Postfix and Dovecot, installing what is missing", install)?;
    let programs = steps.step("building mailwarden and mailwarden-milter", programs)?;
    let reports = options.output.clone().unwrap_or_else(|| target_directory().join("demo"));
    let reports =
        std::path::absolute(&reports).with_context(|| format!("resolving {}", reports.display()))?;
    forget_earlier(&reports)?;
    let built = Instant::now();
    let mut stage =
        steps.step("starting Dovecot, Postfix and the gate on loopback", || Stage::set_up(programs))?;
    let account = perform(&mut stage, &mut steps, &reports).inspect_err(|_| say(&stage.last_words()))?;
    show(&account.text(&reports))?;
    let disappointments = account.disappointments();
    if options.keep {
        visit::receive(&stage)?;
    } else {
        steps.step("stopping everything", || stage.strike())?;
    }
    say(&format!(
        "\n{} in all, {} of them after the build",
        seconds(begin.elapsed()),
        seconds(built.elapsed())
    ));
    conclude(&disappointments)
}

/// A sweep compares with the report that is in its directory; an earlier demonstration is no earlier sweep.
fn forget_earlier(reports: &Path) -> anyhow::Result<()> {
    let earlier = reports.join("report.json");
    match std::fs::remove_file(&earlier) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", earlier.display()))
        }
        _ => Ok(()),
    }
}

fn install() -> anyhow::Result<()> {
    let installed = packages::ensure_installed(&mut |line| note(line))?;
    if installed.added.is_empty() {
        note("all there; the installed ones stay as they are");
    } else {
        note(&format!("installed, their services not started: {}", installed.added.join(" ")));
    }
    Ok(())
}

fn programs() -> anyhow::Result<Programs> {
    let Some(programs) = Programs::named() else { return Programs::build(Profile::Release) };
    note(&format!("the environment names them: {}", programs.mailwarden.display()));
    Ok(programs)
}

/// What happens between setting up and striking.
fn perform(stage: &mut Stage, steps: &mut Steps, reports: &Path) -> anyhow::Result<Account> {
    let letters = steps.step("sending mail through the gate", || letters::exchange(stage))?;
    let outage = steps
        .step("stopping the gate while mail comes in, and starting it again", || outage::survive(stage))?;
    let questions = steps.step("asking the gate's journal and the ledger", || {
        account::ask(stage, letters::first_reference(&letters).as_deref())
    })?;
    let leak = steps.step("planting persistence in mailboxes and in Postfix", || {
        persistence::plant(stage)?;
        persistence::leak(stage)
    })?;
    let found =
        steps.step("making the rounds: mailwarden sweep --all", || rounds::sweep(stage, Some(reports)))?;
    let after = steps.step("removing what was planted and making the rounds again", || {
        persistence::remove(stage)?;
        let silence = persistence::no_longer_leaks(stage)?;
        Ok((rounds::sweep(stage, None)?, silence))
    })?;
    Ok(Account { letters, outage, questions, leak, found, after })
}

fn conclude(disappointments: &[String]) -> anyhow::Result<()> {
    if disappointments.is_empty() {
        return Ok(());
    }
    say("\nNOT AS EXPECTED");
    disappointments.iter().for_each(|line| say(&format!("  - {line}")));
    bail!("{} did not come out as expected", count(disappointments.len(), "thing"))
}
