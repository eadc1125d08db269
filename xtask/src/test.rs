//! `cargo xtask test`: everything a change has to pass, cheapest first, the test runner's own summary last.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;
use mailwarden_lab::{dovecot, elsewhere, packages, postfix};

use crate::cargo::{PROGRAM_VARIABLES, Profile, Programs, cargo, workspace};
use crate::talk::{Steps, note};
use crate::{check_house, counts};

const STEPS: usize = 8;
/// The slow tier repeats what a mail server other than the machine's own may see differently.
const SLOW_STEPS: usize = 4;
/// What the slow tier alone shares with the others: what is installed, the programs, the tests.
const SHARED_STEPS: usize = 3;
/// The suites that have Postfix in them.
const SUITES_OF_THE_GATE: &str = "binary(scope_mail) | binary(receive_only) | binary(gate_down) | binary(garbage) | \
     binary(crashes) | binary(reloads) | binary(postfix_check) | binary(bad_policy) | binary(rules) | \
     binary(corpora)";

/// The suites of the rounds that have nothing but mailboxes in them, without the tests whose point is a line of
/// 2.3's configuration, which 2.4 does not take, or its trap for master users, which 2.4 has not.
const SUITES_OF_THE_ROUNDS: &str = "(binary(sweep) | binary(sweep_host) | binary(sweep_probe) | binary(sweep_sasl) | binary(sweep_clients) | \
     binary(revoke) | binary(reach)) & \
     not (test(deny_list) | test(locked_for_one_service) | test(administrators_scripts) | test(in_a_dictionary) | test(a_personal_s) | \
     test(the_acl_trap))";

/// Arguments of `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Run the ignored tests too: bigger, slower, other servers
    #[arg(long)]
    slow: bool,
    /// Run what --slow runs besides, and nothing else
    #[arg(long, conflicts_with = "slow")]
    slow_only: bool,
}

/// Which tests run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tier {
    Normal,
    All,
    Slow,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let tier = match (options.slow, options.slow_only) {
        (true, _) => Tier::All,
        (_, true) => Tier::Slow,
        _ => Tier::Normal,
    };
    let total = match tier {
        Tier::Normal => STEPS,
        Tier::All => STEPS + SLOW_STEPS,
        Tier::Slow => SHARED_STEPS + SLOW_STEPS,
    };
    let mut steps = Steps::of(total);
    steps.step("what the tests need", install)?;
    if tier != Tier::Slow {
        steps.step("the formatter", || execute(cargo().args(["fmt", "--all", "--check"])))?;
        steps.step("clippy, every warning an error", || execute(&mut clippy()))?;
        steps.step("the house rules", check_house::run)?;
    }
    let programs = steps.step("the two programs", || Programs::build(Profile::Dev))?;
    if tier != Tier::Slow {
        steps.step("examples in the documentation", || {
            execute(cargo().args(["test", "--locked", "--workspace", "--doc", "--all-features", "--quiet"]))
        })?;
        steps.step("instructions of the hot paths", || counts::run(&counts::Options::default()))?;
    }
    if tier != Tier::Normal {
        other_servers(&mut steps, &programs)?;
    }
    // Last, and without a word after it: the run ends with the runner's own summary.
    crate::talk::say(&format!("[ {total}/{total}] unit, property and end-to-end tests ..."));
    execute(&mut nextest(&programs, tier))
}

/// The suites once more, on the servers of another Debian.
fn other_servers(steps: &mut Steps, programs: &Programs) -> anyhow::Result<()> {
    let root = steps.step("a Debian 13 for its Postfix and Dovecot", debian_13)?;
    steps.step("a Debian 12 for its Cyrus", debian_12_with_cyrus)?;
    steps.step("the gate behind Postfix 3.10", || {
        execute(&mut repeated(programs, SUITES_OF_THE_GATE, (postfix::ROOT_VARIABLE, &root)))
    })?;
    steps.step("the rounds at Dovecot 2.4", || {
        execute(&mut repeated(programs, SUITES_OF_THE_ROUNDS, (dovecot::ROOT_VARIABLE, &root)))
    })
}

fn install() -> anyhow::Result<()> {
    let installed = packages::ensure_installed(&mut |line| note(line))?;
    if installed.added.is_empty() {
        note("Postfix and Dovecot are there");
    }
    let there = cargo().args(["nextest", "--version"]).output().is_ok_and(|output| output.status.success());
    if there {
        note("cargo-nextest is there");
        return Ok(());
    }
    execute(cargo().args(["install", "--locked", "cargo-nextest"]))
}

fn clippy() -> Command {
    let mut command = cargo();
    command.args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]);
    command
}

fn debian_13() -> anyhow::Result<PathBuf> {
    Ok(elsewhere::debian_13(&mut |line| note(line))?)
}

/// The only preparation that the tests would make themselves; here it is a step with a name.
fn debian_12_with_cyrus() -> anyhow::Result<()> {
    elsewhere::cyrus(&mut |line| note(line))?;
    Ok(())
}

/// Some suites once more, with a server of another tree.
fn repeated(programs: &Programs, suites: &str, (variable, root): (&str, &Path)) -> Command {
    let mut command = nextest(programs, Tier::Normal);
    command.args(["-E", &format!("package(mailwarden-e2e) & ({suites})")]);
    command.env(variable, root);
    command
}

fn nextest(programs: &Programs, tier: Tier) -> Command {
    let mut command = cargo();
    command.args(["nextest", "run", "--locked", "--workspace", "--all-features"]);
    match tier {
        Tier::Normal => {}
        Tier::All => drop(command.args(["--run-ignored", "all"])),
        Tier::Slow => drop(command.args(["--run-ignored", "only"])),
    }
    for (variable, program) in PROGRAM_VARIABLES.into_iter().zip([&programs.mailwarden, &programs.milter]) {
        command.env(variable, program);
    }
    command
}

/// Shows a command, runs it with our terminal, and takes anything but success as an error.
fn execute(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    note(&shown);
    let status = command.status().with_context(|| format!("starting {shown}"))?;
    if status.success() {
        return Ok(());
    }
    bail!("this command failed ({status}); run it alone in {}:\n  {shown}", workspace().display())
}

/// The command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), value?.to_string_lossy())));
    let words = std::iter::once(program).chain(command.get_args());
    variables.chain(words.map(|word| word.to_string_lossy().into_owned())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_stops_the_run_and_is_shown_as_typed() {
        let error = execute(Command::new("/bin/false").arg("--all").env("A", "b")).unwrap_err().to_string();
        assert!(error.contains("  A=b false --all"), "{error}");
        execute(&mut Command::new("/bin/true")).unwrap();
    }

    #[test]
    fn the_runner_is_told_where_the_programs_are() {
        let programs = Programs { mailwarden: PathBuf::from("/t/mw"), milter: PathBuf::from("/t/mwm") };
        let command = shown(&nextest(&programs, Tier::All));
        assert!(
            command.contains("MAILWARDEN_BIN=/t/mw ") && command.contains("MAILWARDEN_MILTER_BIN=/t/mwm ")
        );
        assert!(command.ends_with("--all-features --run-ignored all"), "{command}");
        assert!(!shown(&nextest(&programs, Tier::Normal)).contains("ignored"));
    }
}
