//! The hash tree of RFC 6962 §2.1 (unchanged in RFC 9162 §2.1): hashes, the growing right edge, perfect
//! subtrees.
//!
//! A tree of `n` leaves is the sequence of its largest perfect subtrees, one for each bit set in `n`, largest
//! first. [`Frontier`] keeps exactly those hashes, so that appending needs no more than them.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// A SHA-256 hash: of a leaf, an inner node, or a root.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Reads a hash from its 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Reads the standard base64 form, as checkpoints write it.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok().and_then(|bytes| Self::from_slice(&bytes))
    }

    /// The standard base64 form, with padding.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Lower-case hexadecimal.
    #[must_use]
    pub fn to_hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl serde::Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> serde::Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_base64(&text).ok_or_else(|| serde::de::Error::custom("not the base64 of 32 bytes"))
    }
}

/// RFC 6962 §2.1: the root of the empty tree is the hash of the empty string.
#[must_use]
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// RFC 6962 §2.1: `SHA-256(0x00 || leaf)`.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(leaf).finalize().into())
}

/// RFC 6962 §2.1: `SHA-256(0x01 || left || right)`; the prefix keeps a node from being passed off as a leaf.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// A perfect subtree: `2^height` leaves from `position * 2^height` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subtree {
    /// 0 is a leaf.
    pub height: u32,
    /// Which subtree of this height, counted from the left.
    pub position: u64,
}

impl Subtree {
    /// The first leaf and the one after the last.
    #[must_use]
    pub fn leaves(&self) -> std::ops::Range<u64> {
        self.position << self.height..(self.position + 1) << self.height
    }
}

/// Cuts the leaves `start..end` of a tree into perfect subtrees, from the left.
///
/// `start` must be aligned as it is in every RFC 6962 split, where a right part begins at a multiple of the
/// power of two that its size does not exceed; then the result is the frontier of that part.
#[must_use]
pub fn perfect_subtrees(start: u64, end: u64) -> Vec<Subtree> {
    let mut subtrees = Vec::new();
    let mut at = start;
    while at < end {
        let height = (end - at).ilog2().min(at.trailing_zeros());
        subtrees.push(Subtree { height, position: at >> height });
        at += 1 << height;
    }
    subtrees
}

/// The root over hashes of perfect subtrees of falling size, joined from the right.
#[must_use]
pub fn join(peaks: &[Hash]) -> Hash {
    let mut from_the_right = peaks.iter().rev();
    match from_the_right.next() {
        None => empty_root(),
        Some(last) => from_the_right.fold(*last, |right, left| node_hash(left, &right)),
    }
}

/// The right edge of a tree: its size and the hashes of its perfect subtrees, largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The edge of the empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Rebuilds an edge from its parts; `None` if they do not belong together.
    #[must_use]
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// Rebuilds an edge from its size and its hashes written one after the other.
    #[must_use]
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() {
            return None;
        }
        Self::from_parts(size, hashes.iter().copied().map(Hash).collect())
    }

    /// The hashes one after the other, largest subtree first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.peaks.iter().flat_map(|hash| hash.0).collect()
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree (RFC 6962 §2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        join(&self.peaks)
    }

    /// The perfect subtrees of the tree with their hashes.
    pub fn subtrees(&self) -> impl Iterator<Item = (Subtree, Hash)> {
        perfect_subtrees(0, self.size).into_iter().zip(self.peaks.iter().copied())
    }

    /// Appends one leaf and tells every perfect subtree that this completes, smallest first, the leaf
    /// included.
    pub fn append(&mut self, leaf: Hash, completed: impl FnMut(Subtree, Hash)) {
        self.append_subtree(0, leaf, completed);
    }

    /// Appends a whole perfect subtree of `2^height` leaves; the size must be a multiple of that.
    pub fn append_subtree(&mut self, height: u32, hash: Hash, mut completed: impl FnMut(Subtree, Hash)) {
        debug_assert_eq!(
            self.size & ((1 << height) - 1),
            0,
            "a subtree begins at a multiple of its own size"
        );
        let mut subtree = Subtree { height, position: self.size >> height };
        let mut hash = hash;
        completed(subtree, hash);
        while subtree.position & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            subtree = Subtree { height: subtree.height + 1, position: subtree.position >> 1 };
            completed(subtree, hash);
        }
        self.peaks.push(hash);
        self.size += 1 << height;
    }
}

/// The root of a perfect subtree over `hashes`, whose number must be a power of two.
#[must_use]
pub fn perfect_root(hashes: &[Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    level.first().copied()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6962 §2.1 word for word, recursive and slow.
    pub(crate) fn naive_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let split = largest_power_of_two_below(leaves.len());
                node_hash(&naive_root(&leaves[..split]), &naive_root(&leaves[split..]))
            }
        }
    }

    pub(crate) fn largest_power_of_two_below(n: usize) -> usize {
        let mut power = 1;
        while power * 2 < n {
            power *= 2;
        }
        power
    }

    /// The eight leaves that the Certificate Transparency reference tests use.
    pub(crate) fn reference_leaves() -> Vec<Hash> {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        leaves.into_iter().map(leaf_hash).collect()
    }

    pub(crate) const REFERENCE_ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    pub(crate) fn frontier_of(leaves: &[Hash]) -> Frontier {
        let mut frontier = Frontier::new();
        for leaf in leaves {
            frontier.append(*leaf, |_, _| ());
        }
        frontier
    }

    pub(crate) fn numbered_leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    #[test]
    fn rfc_6962_section_2_1_roots_of_the_reference_leaves() {
        let leaves = reference_leaves();
        for (size, expected) in REFERENCE_ROOTS.iter().enumerate() {
            assert_eq!(frontier_of(&leaves[..size]).root().to_hex(), *expected, "at size {size}");
        }
    }

    #[test]
    fn a_frontier_survives_writing_and_refuses_parts_that_do_not_belong_together() {
        let frontier = frontier_of(&numbered_leaves(11));
        assert_eq!(Frontier::from_bytes(11, &frontier.to_bytes()), Some(frontier.clone()));
        assert_eq!(Frontier::from_bytes(12, &frontier.to_bytes()), None);
        assert_eq!(Frontier::from_bytes(11, &frontier.to_bytes()[1..]), None);
    }

    proptest! {
        #[test]
        fn the_incremental_root_is_the_recursive_root(size in 0_usize..600) {
            let leaves = numbered_leaves(size);
            prop_assert_eq!(frontier_of(&leaves).root(), naive_root(&leaves));
        }

        #[test]
        fn every_completed_subtree_is_told_once_with_its_recursive_root(size in 0_usize..300) {
            let leaves = numbered_leaves(size);
            let mut frontier = Frontier::new();
            let mut told = Vec::new();
            for leaf in &leaves {
                frontier.append(*leaf, |subtree, hash| told.push((subtree, hash)));
            }
            for (subtree, hash) in &told {
                let range = subtree.leaves();
                prop_assert_eq!(*hash, naive_root(&leaves[range.start as usize..range.end as usize]));
            }
            let complete: usize = (0..10).map(|height| size >> height).sum();
            prop_assert_eq!(told.len(), complete);
            told.sort();
            told.dedup();
            prop_assert_eq!(told.len(), complete);
        }

        #[test]
        fn whole_subtrees_append_like_their_leaves(blocks in 0_usize..6, tail in 0_usize..16) {
            let leaves = numbered_leaves(blocks * 16 + tail);
            let mut frontier = Frontier::new();
            for block in leaves[..blocks * 16].chunks(16) {
                frontier.append_subtree(4, perfect_root(block).unwrap(), |_, _| ());
            }
            for leaf in &leaves[blocks * 16..] {
                frontier.append(*leaf, |_, _| ());
            }
            prop_assert_eq!(frontier, frontier_of(&leaves));
        }
    }
}
