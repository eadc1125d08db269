//! What can be wrong with what an admin wrote.

use std::path::PathBuf;

use mailwarden_policy::{Diagnostic, render};

/// A configuration that cannot be used. All of these are the admin's to mend; both programs exit with 2.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file or directory could not be read.
    #[error("cannot read {what} {path}: {source}\n  {next}", path = path.display())]
    Unreadable {
        /// What it is, e.g. "the policy directory".
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
        /// What to do.
        next: &'static str,
    },
    /// The texts are wrong.
    #[error("{}", render(.0, false).trim_end())]
    Invalid(Vec<Diagnostic>),
    /// A value is missing or cannot be used, outside of any text.
    #[error("{0}")]
    Unusable(String),
}

impl SettingsError {
    /// The message for a terminal, with colour where it is wanted.
    pub fn render(&self, colour: bool) -> String {
        match self {
            Self::Invalid(diagnostics) => render(diagnostics, colour).trim_end().to_owned(),
            other => format!("error: {other}"),
        }
    }
}
