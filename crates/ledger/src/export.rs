//! Entries that leave the database with their proof.

pub use mailwarden_proof::export::{ExportError, ExportedDetail, ExportedEntry};

use data_encoding::HEXLOWER;

use crate::error::LedgerError;
use crate::proof::ProofError;
use crate::tree;
use crate::view::View;

pub(crate) async fn export(view: &mut View, index: u64, size: u64) -> Result<ExportedEntry, LedgerError> {
    let proof = tree::inclusion_proof(view, index, size).await?;
    let row = view.rows(index, 1).await?.into_iter().find(|row| row.index == index);
    let row = row.ok_or(ProofError::NotIncluded { index, size })?;
    let detail =
        row.detail.map(|detail| ExportedDetail { salt: HEXLOWER.encode(&detail.salt), text: detail.text });
    Ok(ExportedEntry { leaf: row.leaf, detail, proof })
}
