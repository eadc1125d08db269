//! What can go wrong in a lab, sorted by whose turn it is.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, LabError>;

/// Why the lab could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Postfix refuses to run as anybody else, and so does apt.
    #[error("{doing} needs root: run it as root, or in a container where uid 0 is mapped")]
    NotRoot {
        /// What needed root.
        doing: &'static str,
    },
    /// Something the lab needs is missing and this machine has no apt to install it with.
    #[error("missing {missing} and this machine has no {tool}: install it by hand")]
    NotDebian {
        /// The packages that are missing.
        missing: String,
        /// The tool that is missing.
        tool: String,
    },
    /// apt ran and failed.
    #[error("{doing} failed ({status}); its last lines:\n{tail}\nrepair apt and run again")]
    Apt {
        /// The step.
        doing: String,
        /// How the command ended.
        status: String,
        /// The last lines of its output.
        tail: String,
    },
    /// The caller asked for something that cannot be written into a configuration.
    #[error("{what}: {why}")]
    Configuration {
        /// The value at fault.
        what: String,
        /// What is wrong with it and what to write instead.
        why: &'static str,
    },
    /// Another program bound a port between its choice and its use; a fresh choice will do.
    #[error("{server}: a port was taken by somebody else: {detail}")]
    PortTaken {
        /// The server that wanted it.
        server: &'static str,
        /// What it printed.
        detail: String,
    },
    /// A server did not come up.
    #[error("{server} did not start: {detail}")]
    StartFailed {
        /// The server.
        server: &'static str,
        /// What it printed, or what its log says.
        detail: String,
    },
    /// Processes survived even the kill signal.
    #[error("{what} is still running after SIGKILL: process ids {survivors:?}")]
    StillRunning {
        /// What was stopped.
        what: String,
        /// The survivors.
        survivors: Vec<i32>,
    },
    /// A command ran and reported failure.
    #[error("{program} ended with {status}: {stderr}")]
    Command {
        /// The program and its arguments.
        program: String,
        /// How it ended.
        status: String,
        /// What it wrote to stderr.
        stderr: String,
    },
    /// Nobody answers, or the connection broke.
    #[error("{server}: {doing}")]
    Unreachable {
        /// The server spoken to.
        server: &'static str,
        /// What was being done.
        doing: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The server answered, but not as the protocol or the caller wants.
    #[error("{server}: {doing}: unexpected answer: {answer}")]
    Answer {
        /// The server spoken to.
        server: &'static str,
        /// What was being done.
        doing: String,
        /// What it said.
        answer: String,
    },
    /// A condition did not come true in time.
    #[error("waited {waited:?} in vain for {what}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// The file system or a process could not be used.
    #[error("{doing}")]
    Io {
        /// What was being done to what.
        doing: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl LabError {
    /// Wraps an I/O error with the act and the path it happened to.
    pub(crate) fn io(act: &str, path: &Path) -> impl FnOnce(io::Error) -> LabError {
        let doing = format!("{act} {}", path.display());
        move |source| LabError::Io { doing, source }
    }

    /// A value that cannot be written into a configuration file.
    pub(crate) fn configuration(what: impl Into<String>, why: &'static str) -> LabError {
        LabError::Configuration { what: what.into(), why }
    }
}

/// Creates a directory and its parents.
pub(crate) fn make_directory(path: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(path).map_err(LabError::io("creating", path))?;
    Ok(path.to_owned())
}

/// Writes a file whole.
pub(crate) fn write_file(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    std::fs::write(path, text).map_err(LabError::io("writing", path))
}
