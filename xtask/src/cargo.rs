//! The cargo that runs us, and the programs it builds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde::Deserialize;

/// The command an admin runs.
pub(crate) const MAILWARDEN: &str = "mailwarden";
/// The gate.
pub(crate) const MAILWARDEN_MILTER: &str = "mailwarden-milter";
/// Built with the others: tests and readers of evidence run it.
const MAILWARDEN_VERIFY: &str = "mailwarden-verify";

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// What `cargo run` tells the program it runs about its own package. Build scripts of others look at these too:
/// handed on, they would make half of all packages build again after every change between us and a plain cargo.
const ABOUT_US: [&str; 5] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"];

/// A call of the same cargo that built us, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from(env!("CARGO")));
    let mut command = Command::new(program);
    command.current_dir(workspace());
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_us(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
}

fn is_about_us(variable: &str) -> bool {
    ABOUT_US.iter().any(|ours| variable.starts_with(ours))
}

/// How fast the programs run, and how long their build takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// Names the programs for the tests, and for a demonstration that shall not build any.
pub(crate) const PROGRAM_VARIABLES: [&str; 2] = ["MAILWARDEN_BIN", "MAILWARDEN_MILTER_BIN"];

/// Where the two programs are.
pub(crate) struct Programs {
    pub(crate) mailwarden: PathBuf,
    pub(crate) milter: PathBuf,
}

impl Programs {
    /// The programs that the environment names, when it names both.
    pub(crate) fn named() -> Option<Programs> {
        let [mailwarden, milter] = PROGRAM_VARIABLES.map(|name| std::env::var_os(name).map(PathBuf::from));
        Some(Programs { mailwarden: mailwarden?, milter: milter? })
    }

    /// Builds both; cargo shows its own progress.
    pub(crate) fn build(profile: Profile) -> anyhow::Result<Programs> {
        Programs::build_for(profile, None, None)
    }

    /// The same for another target than this machine's own, perhaps by a toolchain of `deploy/static/toolchain`.
    pub(crate) fn build_for(
        profile: Profile,
        target: Option<&str>,
        toolchain: Option<&Path>,
    ) -> anyhow::Result<Programs> {
        let mut command = cargo();
        command.args([
            "build",
            "--locked",
            "--bin",
            MAILWARDEN,
            "--bin",
            MAILWARDEN_MILTER,
            "--bin",
            MAILWARDEN_VERIFY,
        ]);
        if profile == Profile::Release {
            command.arg("--release");
            without_our_places(&mut command, toolchain);
        }
        if let Some(toolchain) = toolchain {
            with_toolchain(&mut command, toolchain)?;
        }
        command.args(target.iter().flat_map(|target| ["--target", target]));
        let built = built(&mut command)?;
        let find =
            |name: &str| built.get(name).cloned().with_context(|| format!("cargo build made no {name}"));
        Ok(Programs { mailwarden: find(MAILWARDEN)?, milter: find(MAILWARDEN_MILTER)? })
    }
}

/// The program whose instructions are counted.
pub(crate) fn build_counted() -> anyhow::Result<PathBuf> {
    const COUNTS: &str = "mailwarden-counts";
    let mut command = cargo();
    command.args(["build", "--locked", "--profile", "counted", "-p", COUNTS]);
    built(&mut command)?.remove(COUNTS).with_context(|| format!("cargo build made no {COUNTS}"))
}

/// Runs a build; the programs it made, by name.
fn built(command: &mut Command) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    command.arg("--message-format=json-render-diagnostics");
    let output = command.stderr(Stdio::inherit()).output().context("starting cargo build")?;
    if !output.status.success() {
        bail!("cargo build ended with {}", output.status);
    }
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

/// What is handed on names neither the checkout's place nor anybody's home: builds elsewhere are alike.
fn without_our_places(command: &mut Command, toolchain: Option<&Path>) {
    let home = std::env::var("HOME").unwrap_or_default();
    let crates = std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{home}/.cargo"));
    let built = target_directory().display().to_string();
    // Of several that fit the last counts: what is built lies below the workspace unless somebody says otherwise.
    let places = [
        (workspace().display().to_string(), "/usr/src/mailwarden"),
        (crates, "/usr/src/cargo"),
        (built, "/usr/src/mailwarden/target"),
    ];
    let own = std::env::var("RUSTFLAGS").unwrap_or_default();
    let toolchain = toolchain.map(|toolchain| (toolchain.display().to_string(), "/usr/src/rust"));
    let named = places.iter().chain(&toolchain);
    let flags = named.map(|(from, to)| format!("--remap-path-prefix={from}={to}"));
    let flags = own.split_ascii_whitespace().map(str::to_owned).chain(flags).collect::<Vec<_>>();
    // Separated by this character, paths may hold blanks.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    let c = places.map(|(from, to)| format!("-ffile-prefix-map={from}={to}"));
    command.env("CFLAGS", c.join(" "));
}

/// Debian compiles the standard library for glibc only, so it is compiled with the programs: cargo takes that from
/// compilers that call themselves nightly, which RUSTC_BOOTSTRAP makes of any.
fn with_toolchain(command: &mut Command, toolchain: &Path) -> anyhow::Result<()> {
    let root = toolchain.canonicalize().with_context(|| format!("finding {}", toolchain.display()))?;
    let rustc = root.join("usr/bin/rustc");
    if !rustc.exists() {
        bail!("{} holds no toolchain; deploy/static/toolchain makes one", root.display());
    }
    command.args(["-Z", "build-std=std,panic_unwind"]).env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
    command.env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"));
    command.env("CC_x86_64_unknown_linux_musl", "musl-gcc");
    Ok(())
}

/// Where everything goes that is made and may be thrown away.
pub(crate) fn target_directory() -> PathBuf {
    workspace().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: PathBuf,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Cargo prints one JSON value a line; only those about programs have an executable.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
        .map(|artifact| (artifact.target.name, artifact.executable))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_our_own_package_are_not_handed_on() {
        // A test run by cargo has them all.
        let removed: Vec<_> = cargo()
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect();
        assert!(removed.iter().any(|name| name == "CARGO_PKG_NAME"), "{removed:?}");
        assert!(removed.iter().any(|name| name == "CARGO_MANIFEST_DIR"), "{removed:?}");
        assert!(!is_about_us("CARGO_TARGET_DIR") && !is_about_us("CARGO_HOME") && !is_about_us("CARGO"));
    }

    #[test]
    fn programs_are_found_among_libraries_and_chatter() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"address"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"mailwarden"},"executable":"/t/release/mailwarden"}"#,
            "\nnot json\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let found = executables(messages);
        assert_eq!(found.len(), 1);
        assert_eq!(found["mailwarden"], Path::new("/t/release/mailwarden"));
    }
}
