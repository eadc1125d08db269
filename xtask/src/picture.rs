//! `cargo xtask picture`: what the report of a demonstration looks like in a browser, for the README.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use mailwarden_lab::wait::wait_until;

use crate::cargo::{target_directory, workspace};
use crate::talk::say;

/// Browsers that know the same options.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Wide enough for the page as a desk shows it, high enough for its first screen.
const WINDOW: &str = "--window-size=1100,860";
/// A page of a few findings takes a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a README may make its readers load.
const LARGEST: u64 = 150 * 1024;

/// Arguments of `cargo xtask picture`.
#[derive(Args)]
pub(crate) struct Options {
    /// The report [default: the one that the last `cargo demo` left]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Where the picture goes [default: docs/report.png]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// As a dark screen shows it
    #[arg(long)]
    dark: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let report = options.report.clone().unwrap_or_else(|| target_directory().join("demo/report.html"));
    let report = report
        .canonicalize()
        .with_context(|| format!("{}: run `cargo demo` first, or name a report", report.display()))?;
    let output = options.output.clone().unwrap_or_else(|| workspace().join("docs/report.png"));
    let output = std::path::absolute(&output)?;
    let profile = target_directory().join("picture").join(std::process::id().to_string());
    let taken = take(&report, &output, &profile, options.dark);
    let _ = fs::remove_dir_all(&profile);
    taken?;
    let size = fs::metadata(&output).with_context(|| format!("no picture at {}", output.display()))?.len();
    if size > LARGEST {
        bail!("{} has {size} bytes; a README should make nobody load more than {LARGEST}", output.display());
    }
    say(&output.display().to_string());
    Ok(())
}

/// The page is our own and asks for nothing, so the browser's sandbox, which root cannot have, is left out.
fn take(report: &Path, output: &Path, profile: &Path, dark: bool) -> anyhow::Result<()> {
    let browser = browser()?;
    let mut command = Command::new(&browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", WINDOW]);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.args(dark.then_some("--blink-settings=preferredColorScheme=0"));
    command.arg(format!("--screenshot={}", output.display())).arg(format!("file://{}", report.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("starting {}", browser.display()))?;
    let ended = wait_until(PATIENCE, "the picture", || child.try_wait().transpose());
    if ended.is_err() {
        child.kill().and_then(|()| child.wait())?;
    }
    match ended?? {
        status if status.success() => Ok(()),
        status => bail!("{} ended with {status}", browser.display()),
    }
}

fn browser() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let candidates = BROWSERS.iter().flat_map(|name| places.iter().map(move |place| place.join(name)));
    candidates
        .into_iter()
        .find(|candidate| candidate.is_file())
        .context("a picture needs Chromium: apt install chromium")
}
