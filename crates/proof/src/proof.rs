//! Inclusion and consistency proofs: which subtrees they need, and how they are checked.
//!
//! Planning and checking are pure; fetching the hashes of the planned ranges is the store's affair.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::merkle::{Hash, node_hash};

/// A question that no tree can answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The entry is not in the tree of that size.
    #[error("entry {index} is not in a ledger of {size} entries")]
    NotIncluded {
        /// The entry asked for.
        index: u64,
        /// The size asked for.
        size: u64,
    },
    /// The older tree is not smaller than or as large as the newer one, or is empty.
    #[error("a ledger of {old} entries cannot be an earlier state of one of {new}")]
    NotEarlier {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
    /// The ledger does not hold that many entries.
    #[error("the ledger holds {present} entries, not {asked}")]
    Beyond {
        /// The size asked for.
        asked: u64,
        /// The size there is.
        present: u64,
    },
}

/// Proof that an entry is in the tree of `size` entries (RFC 6962 §2.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionProof {
    /// The entry, counted from 0.
    pub index: u64,
    /// The size of the tree.
    pub size: u64,
    /// The hashes beside the way from the leaf to the root, leaf first.
    pub path: Vec<Hash>,
}

/// Proof that the tree of `old` entries is the beginning of the tree of `new` entries (RFC 6962 §2.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyProof {
    /// The size of the older tree.
    pub old: u64,
    /// The size of the newer tree.
    pub new: u64,
    /// The nodes of the proof in the order of RFC 6962 §2.1.2.
    pub path: Vec<Hash>,
}

/// The largest power of two smaller than `n` (RFC 6962 §2.1), for `n` above 1.
fn split_point(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The leaf ranges whose roots make the inclusion proof, in its order.
///
/// # Errors
/// The entry is not in the tree.
pub fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if index >= size {
        return Err(ProofError::NotIncluded { index, size });
    }
    let mut part = 0..size;
    let mut siblings = Vec::new();
    while part.end - part.start > 1 {
        let middle = part.start + split_point(part.end - part.start);
        if index < middle {
            siblings.push(middle..part.end);
            part = part.start..middle;
        } else {
            siblings.push(part.start..middle);
            part = middle..part.end;
        }
    }
    siblings.reverse();
    Ok(siblings)
}

/// The leaf ranges whose roots make the consistency proof, in its order (RFC 6962 §2.1.2, `SUBPROOF`).
///
/// # Errors
/// The older size is zero or larger than the newer.
pub fn consistency_ranges(old: u64, new: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if old == 0 || old > new {
        return Err(ProofError::NotEarlier { old, new });
    }
    let mut part = 0..new;
    let mut whole_old_tree = true;
    let mut nodes = Vec::new();
    while part.end != old {
        let middle = part.start + split_point(part.end - part.start);
        if old <= middle {
            nodes.push(middle..part.end);
            part = part.start..middle;
        } else {
            nodes.push(part.start..middle);
            part = middle..part.end;
            whole_old_tree = false;
        }
    }
    if !whole_old_tree {
        nodes.push(part);
    }
    nodes.reverse();
    Ok(nodes)
}

impl InclusionProof {
    /// Whether `leaf` is in the tree with this `root` (RFC 9162 §2.1.3.2).
    #[must_use]
    pub fn verify(&self, leaf: Hash, root: &Hash) -> bool {
        if self.index >= self.size {
            return false;
        }
        let (mut node, mut last) = (self.index, self.size - 1);
        let mut hash = leaf;
        for sibling in &self.path {
            if last == 0 {
                return false;
            }
            if node & 1 == 1 || node == last {
                hash = node_hash(sibling, &hash);
                (node, last) = skip_missing_levels(node, last);
            } else {
                hash = node_hash(&hash, sibling);
            }
            (node, last) = (node >> 1, last >> 1);
        }
        last == 0 && hash == *root
    }
}

/// On the right edge a node without a right sibling moves up unchanged until it is a right child.
fn skip_missing_levels(node: u64, last: u64) -> (u64, u64) {
    let levels = if node == 0 { 0 } else { node.trailing_zeros() };
    (node >> levels, last >> levels)
}

impl ConsistencyProof {
    /// Whether the tree with `old_root` is the beginning of the one with `new_root` (RFC 9162 §2.1.4.2).
    #[must_use]
    pub fn verify(&self, old_root: &Hash, new_root: &Hash) -> bool {
        if self.old == 0 || self.old > self.new {
            return false;
        }
        if self.old == self.new {
            return self.path.is_empty() && old_root == new_root;
        }
        // A complete older tree is a node of the newer one; the proof leaves it out because both sides know
        // it.
        let (first, rest) = match self.path.split_first() {
            _ if self.old.is_power_of_two() => (old_root, self.path.as_slice()),
            Some(split) => split,
            None => return false,
        };
        self.climb(*first, rest).is_some_and(|(old, new)| old == *old_root && new == *new_root)
    }

    fn climb(&self, first: Hash, rest: &[Hash]) -> Option<(Hash, Hash)> {
        let (mut node, mut last) = (self.old - 1, self.new - 1);
        let levels = node.trailing_ones();
        (node, last) = (node >> levels, last >> levels);
        let (mut old, mut new) = (first, first);
        for hash in rest {
            if last == 0 {
                return None;
            }
            if node & 1 == 1 || node == last {
                old = node_hash(hash, &old);
                new = node_hash(hash, &new);
                (node, last) = skip_missing_levels(node, last);
            } else {
                new = node_hash(&new, hash);
            }
            (node, last) = (node >> 1, last >> 1);
        }
        (last == 0).then_some((old, new))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::tests::{
        REFERENCE_ROOTS, largest_power_of_two_below, naive_root, numbered_leaves, reference_leaves,
    };
    use crate::merkle::{Subtree, join, perfect_root, perfect_subtrees};

    /// RFC 6962 §2.1.1, `PATH(m, D[n])`.
    fn naive_path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let k = largest_power_of_two_below(leaves.len());
        let (mut path, sibling) = if m < k {
            (naive_path(m, &leaves[..k]), naive_root(&leaves[k..]))
        } else {
            (naive_path(m - k, &leaves[k..]), naive_root(&leaves[..k]))
        };
        path.push(sibling);
        path
    }

    /// RFC 6962 §2.1.2, `SUBPROOF(m, D[n], b)`.
    fn naive_subproof(m: usize, leaves: &[Hash], complete: bool) -> Vec<Hash> {
        if m == leaves.len() {
            return if complete { Vec::new() } else { vec![naive_root(leaves)] };
        }
        let k = largest_power_of_two_below(leaves.len());
        let (mut proof, node) = if m <= k {
            (naive_subproof(m, &leaves[..k], complete), naive_root(&leaves[k..]))
        } else {
            (naive_subproof(m - k, &leaves[k..], false), naive_root(&leaves[..k]))
        };
        proof.push(node);
        proof
    }

    /// As the store resolves a range: perfect subtrees first, then their join.
    fn range_root(leaves: &[Hash], range: &Range<u64>) -> Hash {
        let peaks: Vec<Hash> = perfect_subtrees(range.start, range.end)
            .iter()
            .map(Subtree::leaves)
            .map(|leaf| perfect_root(&leaves[leaf.start as usize..leaf.end as usize]).unwrap())
            .collect();
        join(&peaks)
    }

    fn inclusion(leaves: &[Hash], index: u64) -> InclusionProof {
        let size = leaves.len() as u64;
        let ranges = inclusion_ranges(index, size).unwrap();
        InclusionProof { index, size, path: ranges.iter().map(|range| range_root(leaves, range)).collect() }
    }

    fn consistency(leaves: &[Hash], old: u64) -> ConsistencyProof {
        let new = leaves.len() as u64;
        let ranges = consistency_ranges(old, new).unwrap();
        ConsistencyProof { old, new, path: ranges.iter().map(|range| range_root(leaves, range)).collect() }
    }

    #[test]
    fn rfc_6962_section_2_1_3_example_of_seven_leaves() {
        // The figure of the RFC: a..e and j are leaf hashes, g..l inner nodes over d0..d6.
        let d = numbered_leaves(7);
        let (g, h, i) = (node_hash(&d[0], &d[1]), node_hash(&d[2], &d[3]), node_hash(&d[4], &d[5]));
        let (k, l) = (node_hash(&g, &h), node_hash(&i, &d[6]));
        assert_eq!(inclusion(&d, 0).path, [d[1], h, l]);
        assert_eq!(inclusion(&d, 3).path, [d[2], g, l]);
        assert_eq!(inclusion(&d, 4).path, [d[5], d[6], k]);
        assert_eq!(inclusion(&d, 6).path, [i, k]);
        assert_eq!(consistency(&d, 3).path, [d[2], d[3], g, l]);
        assert_eq!(consistency(&d, 4).path, [l]);
        assert_eq!(consistency(&d, 6).path, [i, d[6], k]);
    }

    #[test]
    fn proofs_over_the_reference_leaves_lead_to_the_reference_roots() {
        let leaves = reference_leaves();
        for size in 1..=leaves.len() {
            let root = naive_root(&leaves[..size]);
            assert_eq!(root.to_hex(), REFERENCE_ROOTS[size]);
            for index in 0..size {
                assert!(inclusion(&leaves[..size], index as u64).verify(leaves[index], &root));
            }
        }
    }

    #[test]
    fn questions_without_an_answer_are_refused() {
        assert_eq!(inclusion_ranges(3, 3), Err(ProofError::NotIncluded { index: 3, size: 3 }));
        assert_eq!(consistency_ranges(0, 3), Err(ProofError::NotEarlier { old: 0, new: 3 }));
        assert_eq!(consistency_ranges(4, 3), Err(ProofError::NotEarlier { old: 4, new: 3 }));
    }

    proptest! {
        #[test]
        fn inclusion_paths_are_those_of_the_rfc_and_verify(
            size in 1_usize..200, pick in any::<prop::sample::Index>()
        ) {
            let leaves = numbered_leaves(size);
            let index = pick.index(size);
            let proof = inclusion(&leaves, index as u64);
            prop_assert_eq!(&proof.path, &naive_path(index, &leaves));
            prop_assert!(proof.verify(leaves[index], &naive_root(&leaves)));
        }

        #[test]
        fn consistency_paths_are_those_of_the_rfc_and_verify(
            new in 1_usize..200, pick in any::<prop::sample::Index>()
        ) {
            let leaves = numbered_leaves(new);
            let old = pick.index(new) + 1;
            let proof = consistency(&leaves, old as u64);
            prop_assert_eq!(&proof.path, &naive_subproof(old, &leaves, true));
            prop_assert!(proof.verify(&naive_root(&leaves[..old]), &naive_root(&leaves)));
        }

        #[test]
        fn a_changed_inclusion_proof_does_not_verify(
            size in 2_usize..200, pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()
        ) {
            let leaves = numbered_leaves(size);
            let index = pick.index(size);
            let root = naive_root(&leaves);
            let good = inclusion(&leaves, index as u64);

            let mut flipped = good.clone();
            let at = at.index(good.path.len());
            flipped.path[at].0[31] ^= 1;
            prop_assert!(!flipped.verify(leaves[index], &root));

            let mut shorter = good.clone();
            shorter.path.remove(at);
            prop_assert!(!shorter.verify(leaves[index], &root));

            let mut longer = good.clone();
            longer.path.push(root);
            prop_assert!(!longer.verify(leaves[index], &root));

            let moved = InclusionProof { index: ((index + 1) % size) as u64, ..good };
            prop_assert!(!moved.verify(leaves[index], &root));
        }

        #[test]
        fn a_rewritten_beginning_does_not_verify(new in 2_usize..150, pick in any::<prop::sample::Index>()) {
            let leaves = numbered_leaves(new);
            let old = pick.index(new - 1) + 1;
            let old_root = naive_root(&leaves[..old]);
            let mut rewritten = leaves.clone();
            rewritten[pick.index(old)].0[0] ^= 0x80;
            let forked = consistency(&rewritten, old as u64);
            prop_assert!(!forked.verify(&old_root, &naive_root(&rewritten)));
        }

        #[test]
        fn made_up_proofs_neither_verify_nor_panic(
            index in any::<u64>(), size in any::<u64>(),
            path in prop::collection::vec(any::<[u8; 32]>(), 0..70)
        ) {
            let path: Vec<Hash> = path.into_iter().map(Hash).collect();
            let root = Hash([7; 32]);
            let inclusion = InclusionProof { index, size, path: path.clone() };
            prop_assert!(!inclusion.verify(Hash([1; 32]), &root));
            let consistency = ConsistencyProof { old: index, new: size, path };
            prop_assert!(!consistency.verify(&Hash([1; 32]), &root));
        }
    }
}
