//! A case taken out of a ledger, with everything that is needed to check it: the entries, their proofs, and the
//! signed checkpoint that the proofs lead to. Checked without the database and without whoever keeps it.

use serde::{Deserialize, Serialize};

use crate::entry::{Leaf, StoredEvent};
use crate::export::{ExportError, ExportedEntry};
use crate::note::{Checkpoint, NoteError, SignedNote, Verifier};

/// The version of the bundle format.
pub const BUNDLE_SCHEMA: &str = "mailwarden.bundle/1";
/// The largest bundle file that is read, in bytes.
pub const MAX_BUNDLE_BYTES: u64 = 256 << 20;

/// A case with its proofs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`BUNDLE_SCHEMA`].
    pub schema: String,
    /// Which case.
    pub case: String,
    /// The signed note, byte for byte.
    pub checkpoint: String,
    /// The entries of the case in their order.
    pub entries: Vec<ExportedEntry>,
}

/// What a good bundle says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Which case.
    pub case: String,
    /// The ledger, its size and root when it was signed.
    pub checkpoint: Checkpoint,
    /// The entries; the detail of an erased one is absent.
    pub entries: Vec<StoredEvent>,
}

/// Why a bundle proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It is not a bundle, or one of another version.
    #[error("this is no bundle of the form {BUNDLE_SCHEMA}: {0}")]
    NotABundle(String),
    /// The checkpoint is not signed by the key, or was altered.
    #[error("the checkpoint vouches for nothing: {0}")]
    Checkpoint(#[from] NoteError),
    /// An entry is not what was signed.
    #[error(transparent)]
    Entry(#[from] ExportError),
    /// The bundle holds no entry.
    #[error("the bundle holds no entry of the case {0:?}")]
    Empty(String),
    /// An entry belongs to another case.
    #[error("entry {index} belongs to the case {found:?}, not to {wanted:?}: it was put here")]
    OtherCase {
        /// Which entry.
        index: u64,
        /// The case it names.
        found: String,
        /// The case of the bundle.
        wanted: String,
    },
    /// An entry of the case was left out, or the order was changed.
    #[error("before entry {index} the case has {}, the bundle has {}: something was left out", 
            shown(.wanted), shown(.found))]
    LeftOut {
        /// Which entry.
        index: u64,
        /// The entry before it, as it says itself.
        wanted: Option<u64>,
        /// The entry before it in the bundle.
        found: Option<u64>,
    },
}

fn shown(index: &Option<u64>) -> String {
    index.map_or_else(|| "nothing".to_owned(), |index| format!("entry {index}"))
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(text: &str) -> Result<Self, BundleError> {
        let bundle: Self =
            serde_json::from_str(text).map_err(|error| BundleError::NotABundle(error.to_string()))?;
        if bundle.schema != BUNDLE_SCHEMA {
            return Err(BundleError::NotABundle(format!("it says it is {:?}", bundle.schema)));
        }
        Ok(bundle)
    }

    /// Checks everything against the keys.
    ///
    /// # Errors
    /// Every reason for which the bundle does not prove what it says, in the order of the entries.
    pub fn verify(&self, verifiers: &[Verifier]) -> Result<Verified, Vec<BundleError>> {
        let checkpoint = self.signed(verifiers).map_err(|error| vec![error.into()])?;
        let mut problems = Vec::new();
        let mut entries = Vec::with_capacity(self.entries.len());
        let mut previous = None;
        for exported in &self.entries {
            match exported.verify(&checkpoint) {
                Ok(entry) => {
                    problems.extend(self.misplaced(&entry, previous));
                    previous = Some(entry.index);
                    entries.push(entry);
                }
                Err(error) => {
                    previous = Leaf::parse(&exported.leaf).ok().map(|leaf| leaf.index).or(previous);
                    problems.push(error.into());
                }
            }
        }
        if self.entries.is_empty() {
            problems.push(BundleError::Empty(self.case.clone()));
        }
        let case = self.case.clone();
        if problems.is_empty() { Ok(Verified { case, checkpoint, entries }) } else { Err(problems) }
    }

    fn signed(&self, verifiers: &[Verifier]) -> Result<Checkpoint, NoteError> {
        opened(&self.checkpoint.parse()?, verifiers)
    }

    /// Every entry of a case names the one before it, so that none can be left out but the last ones.
    fn misplaced(&self, entry: &StoredEvent, found: Option<u64>) -> Option<BundleError> {
        let case = entry.case.as_deref().unwrap_or_default();
        if case != self.case {
            let wanted = self.case.clone();
            return Some(BundleError::OtherCase { index: entry.index, found: case.to_owned(), wanted });
        }
        let wanted = entry.case_previous;
        (wanted != found).then_some(BundleError::LeftOut { index: entry.index, wanted, found })
    }
}

/// The checkpoint, if one of the keys signed it; a forgery under any of them is told before a missing
/// signature.
///
/// # Errors
/// No key signed it, or it is not what one of them signed.
pub fn opened(note: &SignedNote, verifiers: &[Verifier]) -> Result<Checkpoint, NoteError> {
    let mut refusal = NoteError::Unsigned("of this ledger (none was given that fits)".to_owned());
    for verifier in verifiers {
        match verifier.open(note) {
            Ok(checkpoint) => return Ok(checkpoint),
            Err(NoteError::Unsigned(_)) => {}
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}
