//! What can go wrong, sorted by whose turn it is to act.

use std::path::PathBuf;
use std::sync::Arc;

pub use mailwarden_proof::EventError;

/// Who has to act on an error; the command line turns it into an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The configuration is wrong: an administrator changes it.
    Configuration,
    /// Something could not be reached or is full: try again when it is back.
    Unreachable,
    /// What was handed over, or what was found, breaks a rule of the ledger itself.
    Ours,
}

/// A failure of the ledger or the journal. Every text says what was being done to what, and what to do next.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The database URL is not one this build understands.
    #[error("the database URL {url:?} {problem}; write {wanted}")]
    Url {
        /// The URL as configured, without what could be a password.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
        /// What to write instead.
        wanted: &'static str,
    },
    /// The file is not what the configuration says it is.
    #[error("{}: {problem}; {fix}", path.display())]
    Misplaced {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        fix: String,
    },
    /// There is nothing yet where something was to be looked up.
    #[error(
        "{place}: there is no {what} here; check the URL in the configuration; the gate and the first sweep \
         create it"
    )]
    Absent {
        /// The file or the database.
        place: String,
        /// What was looked for.
        what: &'static str,
    },
    /// An event breaks the rules of [`Event`](crate::Event): the caller has to be mended.
    #[error("the event was not recorded: {0}")]
    Event(#[from] EventError),
    /// A file outside the database (a key, a directory) could not be read or written.
    #[error("while {doing} {}: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system answered.
        source: Arc<std::io::Error>,
    },
    /// The database did not do what it was asked; nothing of it was recorded.
    #[error("while {doing} {database}: {advice} ({source})")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// To which database.
        database: String,
        /// What to do next.
        advice: &'static str,
        /// What the database answered.
        source: Arc<sqlx::Error>,
    },
    /// The connection broke while the database was told to keep it.
    #[error(
        "while {doing} {database}: the connection broke at the commit, and nobody knows whether it was \
         recorded ({source}); look at `mailwarden ledger show` before doing it again"
    )]
    Unknown {
        /// What was being done.
        doing: &'static str,
        /// To which database.
        database: String,
        /// What broke.
        source: Arc<sqlx::Error>,
    },
    /// The database contradicts itself: it was altered from outside, or we have a bug.
    #[error(
        "{database} contradicts itself: {found}; stop writing to it, keep a copy, run `mailwarden ledger \
         verify`"
    )]
    Corrupted {
        /// Which database.
        database: String,
        /// The contradiction.
        found: String,
    },
    /// The handle was closed, or the task that writes has ended.
    #[error("the ledger is closed; open it again")]
    Closed,
    /// The shared run is gone from under a sweeper.
    #[error("{database} has forgotten the run {run:?}, which is too old; begin another with `--run NAME`")]
    Forgotten {
        /// The name of the run.
        run: String,
        /// Which database.
        database: String,
    },
    /// There is nothing to erase.
    #[error(
        "entry {0} has no detail that could be erased: it does not exist, holds none, or was erased before"
    )]
    NothingToErase(u64),
    /// No entry belongs to the case.
    #[error("no entry belongs to the case {0:?}; `mailwarden ledger show` prints the case of each entry")]
    NoSuchCase(String),
    /// A question the tree cannot answer, such as a proof for an entry that does not exist.
    #[error("no such proof: {0}")]
    NoSuchProof(#[from] crate::proof::ProofError),
    /// A signed note, a key or its file is malformed.
    #[error(transparent)]
    Note(#[from] crate::checkpoint::NoteError),
}

impl LedgerError {
    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Url { .. }
            | Self::Misplaced { .. }
            | Self::Absent { .. }
            | Self::Note(_)
            | Self::NoSuchProof(_)
            | Self::NoSuchCase(_)
            | Self::Forgotten { .. }
            | Self::NothingToErase(_) => Fault::Configuration,
            Self::File { .. } | Self::Database { .. } | Self::Unknown { .. } | Self::Closed => {
                Fault::Unreachable
            }
            Self::Event(_) | Self::Corrupted { .. } => Fault::Ours,
        }
    }
}
