//! `cargo xtask counts`: how many machine instructions the hot paths take, by callgrind. A busy machine counts the same.
//!
//! Each piece of work is done a few times and many times; the difference is the work without making ready for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;

use crate::cargo::{build_counted, workspace};
use crate::talk::{note, show};

/// The pieces of work of `tests/counts`, and how often each is done between the two runs.
const WORK: [(&str, u32); 7] = [
    ("gate-recipient", 200),
    ("gate-message", 200),
    ("milter-session", 200),
    ("policy-compile", 4),
    ("policy-vendor", 9_600),
    ("sieve-analyse", 100),
    ("sieve-parse", 200),
];
/// What may be more before it is a regression.
const TOLERATED_PERCENT: u64 = 10;
const VALGRIND: &str = "/usr/bin/valgrind";

/// Instructions for one time of each piece of work.
type Counts = BTreeMap<String, u64>;

/// Arguments of `cargo xtask counts`.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Write down what is counted now as what is expected
    #[arg(long)]
    accept: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let program = build_counted()?;
    let counted = count_all(&program)?;
    if options.accept {
        return Ok(fs::write(expected_file(), written(&counted))?);
    }
    let path = expected_file();
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let expected: Counts = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
    let (table, regressions) = compared(&expected, &counted);
    show(&table)?;
    if regressions.is_empty() {
        return Ok(());
    }
    bail!(
        "{} more than {TOLERATED_PERCENT} % more instructions than tests/counts/expected.toml says; make it leaner, or, \
         where it has to cost that, say so: cargo xtask counts --accept",
        regressions.join(", ")
    )
}

fn expected_file() -> PathBuf {
    workspace().join("tests/counts/expected.toml")
}

fn count_all(program: &Path) -> anyhow::Result<Counts> {
    let mut counted = Counts::new();
    for (work, times) in WORK {
        let many = count(program, work, times + 1)?;
        let once = count(program, work, 1)?;
        counted.insert(work.to_owned(), many.saturating_sub(once) / u64::from(times));
    }
    Ok(counted)
}

fn count(program: &Path, work: &str, times: u32) -> anyhow::Result<u64> {
    let mut command = Command::new(VALGRIND);
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let output = command.arg(program).arg(work).arg(times.to_string()).output();
    let output = output.with_context(|| format!("starting {VALGRIND}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    match collected(&told) {
        Some(count) if output.status.success() => Ok(count),
        _ => bail!("counting {work} failed ({}):\n{told}", output.status),
    }
}

/// `==4711== Collected : 123456`
fn collected(told: &str) -> Option<u64> {
    let line = told.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn written(counted: &Counts) -> String {
    let lines = counted.iter().map(|(work, count)| format!("{work} = {count}\n"));
    let why = "# Instructions for one time of each piece of work: `cargo xtask counts` compares, `--accept` writes.\n";
    std::iter::once(why.to_owned()).chain(lines).collect()
}

/// A table for people, and what got dearer.
fn compared(expected: &Counts, counted: &Counts) -> (String, Vec<String>) {
    let mut lines = vec![format!("{:<16} {:>12} {:>12}", "instructions", "expected", "counted")];
    let mut regressions = Vec::new();
    for (work, count) in counted {
        let wanted = expected.get(work).copied();
        let shown = wanted.map_or_else(|| "-".to_owned(), |wanted| wanted.to_string());
        lines.push(format!("{work:<16} {shown:>12} {count:>12}"));
        match wanted {
            Some(wanted) if count * 100 > wanted * (100 + TOLERATED_PERCENT) => {
                regressions.push(format!("{work} takes"));
            }
            Some(wanted) if count * (100 + TOLERATED_PERCENT) < wanted * 100 => {
                note(&format!("{work} got leaner: cargo xtask counts --accept keeps it so"));
            }
            Some(_) => {}
            None => regressions.push(format!("{work} is not expected at all and takes")),
        }
    }
    (lines.join("\n"), regressions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> Counts {
        pairs.iter().map(|(work, count)| ((*work).to_owned(), *count)).collect()
    }

    #[test]
    fn a_tenth_more_is_tolerated_and_no_more() {
        let expected = counts(&[("a", 1_000), ("b", 1_000), ("c", 1_000)]);
        let (table, regressions) =
            compared(&expected, &counts(&[("a", 1_100), ("b", 1_101), ("c", 1), ("d", 1)]));
        assert_eq!(regressions, ["b takes", "d is not expected at all and takes"]);
        assert!(table.contains("b                        1000         1101"), "{table}");
    }

    #[test]
    fn what_is_accepted_is_expected() {
        let counted = counts(&[("gate-message", 12_345), ("sieve-parse", 1)]);
        assert_eq!(toml::from_str::<Counts>(&written(&counted)).unwrap(), counted);
    }

    #[test]
    fn the_count_is_found_among_what_valgrind_says() {
        let told =
            "==1== Events    : Ir\n==1== Collected : 62345678\n==1== \n==1== I   refs:      62,345,678\n";
        assert_eq!(collected(told), Some(62_345_678));
        assert_eq!(collected("valgrind: failed to start tool"), None);
    }
}
