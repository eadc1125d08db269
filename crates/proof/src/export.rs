//! Entries that leave the database with their proof, for whoever has nothing but a checkpoint.

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};

use crate::entry::{Leaf, StoredEvent, commitment};
use crate::merkle::leaf_hash;
use crate::note::Checkpoint;
use crate::proof::InclusionProof;

/// One entry with all that is needed to check it against a checkpoint, without the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedEntry {
    /// What was hashed, byte for byte.
    pub leaf: String,
    /// What the leaf commits to; left out if it was erased or stands in the leaf itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<ExportedDetail>,
    /// That the leaf is in the tree.
    pub proof: InclusionProof,
}

/// A detail and the salt it was committed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedDetail {
    /// 32 bytes in hexadecimal.
    pub salt: String,
    /// The canonical JSON of the detail.
    pub text: String,
}

/// Why an exported entry proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The proof was made for another checkpoint.
    #[error("the proof is for {proof} entries, the checkpoint has {checkpoint}; export again for this one")]
    OtherCheckpoint {
        /// The size in the proof.
        proof: u64,
        /// The size in the checkpoint.
        checkpoint: u64,
    },
    /// The leaf is not in the signed tree at that place.
    #[error("entry {0} is not in the ledger that was signed: it or its proof was altered")]
    NotIncluded(u64),
    /// The leaf is in the tree, but the detail is not what it commits to.
    #[error("the detail of entry {0} is not what the entry commits to: it was altered")]
    OtherDetail(u64),
    /// The leaf is in the tree, but this version cannot read it.
    #[error("entry {0} cannot be read: {1}")]
    Unreadable(u64, String),
}

impl ExportedEntry {
    /// Checks the entry against a checkpoint whose signature was checked, and reads it.
    ///
    /// # Errors
    /// The entry, its detail or its proof do not belong to the signed tree.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<StoredEvent, ExportError> {
        let InclusionProof { index, size, .. } = self.proof;
        if size != checkpoint.size {
            return Err(ExportError::OtherCheckpoint { proof: size, checkpoint: checkpoint.size });
        }
        let hash = leaf_hash(self.leaf.as_bytes());
        if !self.proof.verify(hash, &checkpoint.root) {
            return Err(ExportError::NotIncluded(index));
        }
        let leaf = Leaf::parse(&self.leaf).map_err(|error| ExportError::Unreadable(index, error))?;
        if !self.detail_belongs_to(&leaf) {
            return Err(ExportError::OtherDetail(index));
        }
        let detail = self.detail.as_ref().map(|detail| detail.text.as_str());
        leaf.into_stored(detail, hash).map_err(|error| ExportError::Unreadable(index, error))
    }

    fn detail_belongs_to(&self, leaf: &Leaf) -> bool {
        match (&leaf.commitment, &self.detail) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(committed), Some(detail)) => HEXLOWER_PERMISSIVE
                .decode(detail.salt.as_bytes())
                .is_ok_and(|salt| commitment(&salt, &detail.text).to_hex() == *committed),
        }
    }
}
