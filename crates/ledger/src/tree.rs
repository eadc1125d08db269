//! Roots and proofs of a stored ledger, read through the stored subtrees.

use std::ops::Range;

use crate::append::STORED_HEIGHT;
use crate::error::LedgerError;
use crate::merkle::{Hash, Subtree, join, perfect_root, perfect_subtrees};
use crate::proof::{ConsistencyProof, InclusionProof, ProofError, consistency_ranges, inclusion_ranges};
use crate::view::View;

/// The root over a range of leaves that is aligned as RFC 6962 splits are; `0..size` is the tree of that
/// size.
pub(crate) async fn range_root(view: &mut View, range: Range<u64>) -> Result<Hash, LedgerError> {
    let mut peaks = Vec::new();
    for subtree in perfect_subtrees(range.start, range.end) {
        peaks.push(subtree_root(view, subtree).await?);
    }
    Ok(join(&peaks))
}

/// Computed from the nearest stored level below it: at most 128 hashes.
async fn subtree_root(view: &mut View, subtree: Subtree) -> Result<Hash, LedgerError> {
    let above = subtree.height % STORED_HEIGHT;
    let count = 1_u64 << above;
    let hashes = view.hashes(subtree.height - above, subtree.position << above, count).await?;
    let complete = (hashes.len() as u64 == count).then(|| perfect_root(&hashes)).flatten();
    complete.ok_or_else(|| {
        let leaves = subtree.leaves();
        view.contradiction(format!(
            "hashes of the entries {} to {} are missing",
            leaves.start,
            leaves.end - 1
        ))
    })
}

async fn roots(view: &mut View, ranges: Vec<Range<u64>>) -> Result<Vec<Hash>, LedgerError> {
    let mut roots = Vec::with_capacity(ranges.len());
    for range in ranges {
        roots.push(range_root(view, range).await?);
    }
    Ok(roots)
}

fn check_size(view: &View, asked: u64) -> Result<(), LedgerError> {
    let present = view.head().size();
    if asked <= present { Ok(()) } else { Err(ProofError::Beyond { asked, present }.into()) }
}

pub(crate) async fn inclusion_proof(
    view: &mut View,
    index: u64,
    size: u64,
) -> Result<InclusionProof, LedgerError> {
    check_size(view, size)?;
    let path = roots(view, inclusion_ranges(index, size)?).await?;
    Ok(InclusionProof { index, size, path })
}

pub(crate) async fn consistency_proof(
    view: &mut View,
    old: u64,
    new: u64,
) -> Result<ConsistencyProof, LedgerError> {
    check_size(view, new)?;
    let path = roots(view, consistency_ranges(old, new)?).await?;
    Ok(ConsistencyProof { old, new, path })
}
