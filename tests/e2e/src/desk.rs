//! Whoever sits at the desk: the people of the example, and how a command acts for them.

use std::process::Command;

use anyhow::{Context, Result};

/// Acts as one operator.
pub const AS_OMAR: [&str; 2] = ["--as", "omar@example.test"];
/// Acts as another.
pub const AS_OLGA: [&str; 2] = ["--as", "olga@example.test"];

/// The Unix user as the programs see it: through sudo(8), whoever became root.
///
/// # Errors
/// When id(1) cannot be run.
pub fn login() -> Result<String> {
    let output = Command::new("id").arg("-un").output().context("running id")?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(if name == "root" { std::env::var("SUDO_USER").unwrap_or(name) } else { name })
}

/// A command that somebody gives.
#[must_use]
pub fn with<'a>(arguments: &[&'a str], who: [&'a str; 2]) -> Vec<&'a str> {
    [arguments, &who].concat()
}
