//! How a command ends. Scripts rely on these numbers.

use std::process::ExitCode;

use mailwarden_ledger::{Fault, LedgerError};
use mailwarden_settings::SettingsError;

/// A command that did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, and clean.
    Clean,
    /// Done: findings, or a check that failed.
    Findings,
    /// Done as far as possible: not everything could be looked at, nothing worse.
    Incomplete,
    /// Nothing at all could be looked at.
    NothingReached,
}

impl Outcome {
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Clean => 0,
            Self::Findings => 1,
            Self::Incomplete => 3,
            Self::NothingReached => 4,
        })
    }
}

/// A command that could not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Configuration or policy: the admin's to mend.
    Settings(SettingsError),
    /// Wrong usage, with what to write instead.
    Usage(String),
    /// The ledger or the journal.
    Ledger(String, LedgerError),
    /// Something could not be reached or written, or is our fault.
    Ours(String),
    /// Our own output could not be written.
    Output(std::io::Error),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Settings(_) | Self::Usage(_) => 2,
            Self::Ledger(_, error) if error.fault() == Fault::Configuration => 2,
            Self::Ledger(..) | Self::Ours(_) | Self::Output(_) => 4,
        })
    }

    pub(crate) fn render(&self, colour: bool) -> String {
        match self {
            Self::Settings(error) => error.render(colour),
            Self::Usage(text) | Self::Ours(text) => format!("error: {text}"),
            Self::Ledger(what, error) => format!("error: {what}: {error}"),
            Self::Output(error) => format!("error: cannot write the output: {error}"),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}
