//! The programs under test: where they are, and how they are run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Names a built `mailwarden`.
const MAILWARDEN_VARIABLE: &str = "MAILWARDEN_BIN";
/// Names a built `mailwarden-milter`.
const MILTER_VARIABLE: &str = "MAILWARDEN_MILTER_BIN";
/// A command that takes longer hangs; the slowest, a sweep of a lab, takes a second or two.
const LIMIT_SECONDS: &str = "60";
/// What timeout(1) says of a command it had to end.
const TIMED_OUT: i32 = 124;

#[derive(Debug)]
struct Programs {
    mailwarden: PathBuf,
    milter: PathBuf,
}

/// What a command said.
#[derive(Debug)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is not JSON, showing everything that was said.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

/// Runs `mailwarden`.
///
/// # Errors
/// When it cannot be run, hangs, or is ended by a signal.
pub fn mailwarden(arguments: &[&str]) -> Result<Output> {
    run(&programs()?.mailwarden, arguments, None)
}

/// Runs `mailwarden` with this file as its standard input.
///
/// # Errors
/// When it cannot be run, hangs, or is ended by a signal, or the file cannot be read.
pub fn mailwarden_reading(arguments: &[&str], input: &str) -> Result<Output> {
    let file = std::fs::File::open(input).with_context(|| format!("opening {input}"))?;
    run(&programs()?.mailwarden, arguments, Some(file))
}

/// Runs `mailwarden-milter` for something that ends by itself, such as `--check`.
///
/// # Errors
/// When it cannot be run, hangs, or is ended by a signal.
pub fn mailwarden_milter(arguments: &[&str]) -> Result<Output> {
    run(milter_program()?, arguments, None)
}

/// Where `mailwarden` is, for a test that ends it before its time.
///
/// # Errors
/// When it cannot be built.
pub fn mailwarden_program() -> Result<&'static Path> {
    Ok(&programs()?.mailwarden)
}

/// Runs `mailwarden-verify`, which is built into the same directory as `mailwarden`.
///
/// # Errors
/// When it cannot be run, hangs, or is ended by a signal.
pub fn mailwarden_verify(arguments: &[&str]) -> Result<Output> {
    run(&programs()?.mailwarden.with_file_name("mailwarden-verify"), arguments, None)
}

/// Where `mailwarden-milter` is.
///
/// # Errors
/// When it cannot be built.
pub fn milter_program() -> Result<&'static Path> {
    Ok(&programs()?.milter)
}

fn run(program: &Path, arguments: &[&str], input: Option<std::fs::File>) -> Result<Output> {
    let shown = || format!("{} {}", program.display(), arguments.join(" "));
    let output = Command::new("timeout")
        .args(["--kill-after=5", LIMIT_SECONDS])
        .arg(program)
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(input.map_or_else(Stdio::null, Stdio::from))
        .output()
        .with_context(|| format!("running {}", shown()))?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let Some(code) = output.status.code() else {
        bail!("{} was ended by a signal ({}): {stderr}", shown(), output.status)
    };
    ensure!(code != TIMED_OUT, "{} did not end within {LIMIT_SECONDS} s: {stderr}", shown());
    Ok(Output { code, stdout: String::from_utf8_lossy(&output.stdout).into_owned(), stderr })
}

fn programs() -> Result<&'static Programs> {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    match PROGRAMS.get() {
        Some(programs) => Ok(programs),
        None => {
            let found = find()?;
            Ok(PROGRAMS.get_or_init(|| found))
        }
    }
}

fn find() -> Result<Programs> {
    let named = |variable| std::env::var_os(variable).map(PathBuf::from);
    match (named(MAILWARDEN_VARIABLE), named(MILTER_VARIABLE)) {
        (Some(mailwarden), Some(milter)) => Ok(Programs { mailwarden, milter }),
        _ => build(),
    }
}

/// Asks cargo, which knows the build directory and builds only what is not there yet.
fn build() -> Result<Programs> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--message-format=json"])
        .args([
            "--package",
            "mailwarden",
            "--package",
            "mailwarden-milter-daemon",
            "--package",
            "mailwarden-proof",
        ])
        // What is measured is built as what measures it.
        .args((!cfg!(debug_assertions)).then_some("--release"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo to build the programs under test")?;
    ensure!(output.status.success(), "cargo could not build the programs under test ({})", output.status);
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(Programs {
        mailwarden: executable(&messages, "mailwarden")?,
        milter: executable(&messages, "mailwarden-milter")?,
    })
}

fn executable(messages: &str, name: &str) -> Result<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built no program called {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_told_apart_from_the_library_of_the_same_name() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"mailwarden"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}
not json
{"reason":"compiler-artifact","target":{"name":"mailwarden"},"executable":"/t/mailwarden"}"#;
        assert_eq!(executable(messages, "mailwarden").unwrap(), Path::new("/t/mailwarden"));
        assert!(executable(messages, "mailwarden-milter").is_err());
    }
}
