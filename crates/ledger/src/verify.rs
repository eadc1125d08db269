//! Verification: reads a whole ledger and names everything that is not as it was written.
//!
//! An entry vouches for itself (its bytes hash to its hash), a stored subtree vouches for 256 entries, the
//! right edge for all of them, and a signed checkpoint for everything before it. The first two find an
//! altered row and name it; somebody who rewrites all three is found by a checkpoint that was taken off the
//! machine, and by nothing else. Memory stays small: the walk holds one block of entries and the right edge.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::append::STORED_HEIGHT;
use crate::bundle::opened;
use crate::checkpoint::{Checkpoint, NoteError, SignedNote, Verifier};
use crate::error::LedgerError;
use crate::event::{Detail, EventKind, Leaf, commitment, searchable};
use crate::ledger::Ledger;
use crate::merkle::{Frontier, Hash, Subtree, empty_root, leaf_hash, perfect_root};
use crate::view::{EntryRow, View};

/// Entries that one stored subtree vouches for.
const BLOCK: u64 = 1 << STORED_HEIGHT;

/// Which part of an entry was altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// What was recorded: who, what, when, why.
    Leaf,
    /// The hash kept beside it.
    LeafHash,
    /// Its place: it says it is another entry.
    Position,
    /// The copies of kind, time, subject and case that queries use.
    Columns,
    /// The detail: it is not what the leaf commits to.
    Detail,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Problem {
    /// One entry was altered.
    Altered {
        /// Which entry.
        index: u64,
        /// Which part of it.
        part: Part,
    },
    /// At least one of these entries was altered, together with the hash beside it.
    AlteredRange {
        /// The first entry of the range.
        first: u64,
        /// The last entry of the range.
        last: u64,
    },
    /// Entries are gone from the middle.
    Missing {
        /// The first entry that is gone.
        first: u64,
        /// The last entry that is gone.
        last: u64,
    },
    /// The detail of an entry is gone, and no entry says that it was erased.
    DetailMissing {
        /// Which entry.
        index: u64,
    },
    /// The stored subtree over these entries is missing or altered, the entries themselves are not.
    SubtreeDamaged {
        /// The first entry under it.
        first: u64,
        /// The last entry under it.
        last: u64,
    },
    /// Entries are gone from the end.
    Truncated {
        /// How many entries there were once, at least.
        expected: u64,
        /// How many there are.
        present: u64,
    },
    /// There are entries after the end.
    Surplus {
        /// The first entry that should not be there.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// The stored right edge is not that of the entries.
    HeadDamaged {
        /// The size it states.
        size: u64,
    },
    /// The first entries are not those that a checkpoint signed: history was rewritten.
    Forked {
        /// How many entries the checkpoint covers.
        size: u64,
        /// The root that was signed.
        signed: Hash,
        /// The root of the entries that are there.
        present: Hash,
    },
    /// A checkpoint that vouches for nothing.
    CheckpointRejected {
        /// The size it states, if it can be read.
        size: Option<u64>,
        /// Why it is rejected.
        reason: String,
    },
    /// These entries are not covered by any checkpoint from outside: whoever can write the database could
    /// have rewritten them.
    Unanchored {
        /// The first entry that is not covered.
        first: u64,
        /// The last one.
        last: u64,
    },
}

impl Problem {
    /// Whether somebody must have changed something; an unanchored end only waits for the next checkpoint.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::Unanchored { .. })
    }
}

impl Problem {
    /// What an administrator does about it.
    #[must_use]
    pub fn what_to_do(&self) -> &'static str {
        match self {
            Self::Altered { .. } | Self::AlteredRange { .. } | Self::Missing { .. } => {
                "keep a copy as evidence; a backup from before says what stood there, and who could write since"
            }
            Self::DetailMissing { .. } => {
                "restore the detail from a backup; its commitment shows that it is the same"
            }
            Self::SubtreeDamaged { .. } | Self::HeadDamaged { .. } => {
                "the entries themselves are whole; restore this table from a backup"
            }
            Self::Truncated { .. } => {
                "keep a copy as evidence; restore the last backup, and do not write before"
            }
            Self::Surplus { .. } => {
                "somebody wrote past Mailwarden; keep a copy, then restore the last backup"
            }
            Self::Forked { .. } => {
                "an older copy was put back, or the past rewritten; keep both this and the signed note as evidence"
            }
            Self::CheckpointRejected { .. } => {
                "ask where this note comes from; for one by an older key, name that key too"
            }
            Self::Unanchored { .. } => "run: mailwarden ledger anchor",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { index, part } => write!(f, "entry {index} was altered: {}", part.sentence()),
            Self::AlteredRange { first, last } => {
                write!(f, "an entry among {first} to {last} was altered together with its hash")
            }
            Self::Missing { first, last } => write!(f, "the entries {first} to {last} are missing"),
            Self::DetailMissing { index } => {
                write!(f, "the detail of entry {index} is gone, and no entry says who erased it")
            }
            Self::SubtreeDamaged { first, last } => {
                write!(f, "the stored hash over the entries {first} to {last} is missing or altered")
            }
            Self::Truncated { expected, present } => {
                write!(f, "the end was cut off: there were {expected} entries, {present} are left")
            }
            Self::Surplus { first, last } => write!(f, "the entries {first} to {last} lie beyond the end"),
            Self::HeadDamaged { size } => {
                write!(f, "the stored state of {size} entries is not that of the entries")
            }
            Self::Forked { size, signed, present } => write!(
                f,
                "history was rewritten: the root over the first {size} entries is {}, but {} was signed",
                present.to_base64(),
                signed.to_base64()
            ),
            Self::CheckpointRejected { size: Some(size), reason } => {
                write!(f, "the checkpoint of {size} entries vouches for nothing: {reason}")
            }
            Self::CheckpointRejected { size: None, reason } => {
                write!(f, "a checkpoint vouches for nothing: {reason}")
            }
            Self::Unanchored { first, last } => write!(
                f,
                "no checkpoint from outside covers the entries {first} to {last}; make one and keep it \
                 elsewhere"
            ),
        }
    }
}

impl Part {
    fn sentence(self) -> &'static str {
        match self {
            Self::Leaf => "its text does not belong to its hash",
            Self::LeafHash => "the hash beside it is not that of its text",
            Self::Position => "it was written as another entry",
            Self::Columns => "its kind, time, subject or case for queries differ from its text",
            Self::Detail => "its detail is not what it commits to",
        }
    }
}

/// Reads the whole ledger and names every problem, in the order of the entries.
///
/// `anchors` are checkpoints that were kept outside of the database; each must carry a good signature by one
/// of `verifiers`. The checkpoints kept beside the tree are checked too, but cover nothing: whoever rewrites
/// the tree can remove them.
///
/// # Errors
/// The database could not be read.
pub async fn verify(
    ledger: &Ledger,
    verifiers: &[Verifier],
    anchors: &[SignedNote],
) -> Result<Vec<Problem>, LedgerError> {
    let mut view = ledger.view().await?;
    let head = view.head().clone();
    let mut claims = Claims::default();
    for anchor in anchors {
        claims.hear(anchor, verifiers, true);
    }
    for note in view.checkpoints().await? {
        match note.parse() {
            Ok(note) => claims.hear(&note, verifiers, false),
            Err(error) => claims.reject(None, &error),
        }
    }
    let mut walk = Walk::new(head, claims.sizes());
    walk.all_entries(&mut view).await?;
    let mut problems = std::mem::take(&mut walk.problems);
    claims.judge(&walk.head, walk.roots(), &mut problems);
    problems.sort_by_key(|problem| (problem.place(), problem.clone()));
    Ok(problems)
}

impl Problem {
    fn place(&self) -> u64 {
        match self {
            Self::Altered { index, .. } | Self::DetailMissing { index } => *index,
            Self::AlteredRange { first, .. }
            | Self::Missing { first, .. }
            | Self::SubtreeDamaged { first, .. }
            | Self::Surplus { first, .. } => *first,
            Self::Truncated { present, .. } => *present,
            Self::HeadDamaged { .. }
            | Self::Forked { .. }
            | Self::CheckpointRejected { .. }
            | Self::Unanchored { .. } => u64::MAX,
        }
    }
}

/// What checkpoints say about the ledger.
#[derive(Default)]
struct Claims {
    /// Signed roots by size, and whether the note came from outside.
    signed: BTreeMap<(u64, Hash), bool>,
    rejected: Vec<Problem>,
}

impl Claims {
    fn hear(&mut self, note: &SignedNote, verifiers: &[Verifier], from_outside: bool) {
        match opened(note, verifiers) {
            Ok(checkpoint) => {
                *self.signed.entry((checkpoint.size, checkpoint.root)).or_default() |= from_outside;
            }
            // Without a key, what lies beside the tree is still worth comparing with it.
            Err(NoteError::Unsigned(_)) if !from_outside && verifiers.is_empty() => {
                match note.text().parse::<Checkpoint>() {
                    Ok(checkpoint) => {
                        self.signed.entry((checkpoint.size, checkpoint.root)).or_default();
                    }
                    Err(error) => self.reject(None, &error),
                }
            }
            Err(error) => self.reject(note.text().parse().ok().map(|found: Checkpoint| found.size), &error),
        }
    }

    fn reject(&mut self, size: Option<u64>, error: &NoteError) {
        self.rejected.push(Problem::CheckpointRejected { size, reason: error.to_string() });
    }

    fn sizes(&self) -> BTreeSet<u64> {
        self.signed.keys().map(|(size, _)| *size).collect()
    }

    fn judge(self, head: &Frontier, roots: &BTreeMap<u64, Hash>, problems: &mut Vec<Problem>) {
        let mut covered = 0;
        let mut longest = 0;
        for ((size, signed), from_outside) in self.signed {
            longest = longest.max(size);
            match roots.get(&size) {
                Some(present) if *present == signed && from_outside => covered = covered.max(size),
                Some(present) if *present != signed => {
                    problems.push(Problem::Forked { size, signed, present: *present });
                }
                _ => {}
            }
        }
        if longest > head.size() {
            problems.push(Problem::Truncated { expected: longest, present: head.size() });
        }
        if covered < head.size() {
            problems.push(Problem::Unanchored { first: covered, last: head.size() - 1 });
        }
        problems.extend(self.rejected);
    }
}

/// One pass over the entries, block by block.
struct Walk {
    head: Frontier,
    problems: Vec<Problem>,
    /// The tree as the entries make it; stored hashes stand in for entries that are missing.
    by_entries: Edge,
    /// The tree as the stored subtrees make it.
    by_stored: Edge,
    /// Blocks of which entries and stored subtree disagree; which of the two is right shows at the end.
    disputed: Vec<(u64, u64)>,
    without_detail: BTreeSet<u64>,
    erased: BTreeSet<u64>,
}

/// A right edge that grows along the walk and remembers the roots at the sizes that checkpoints signed.
#[derive(Clone)]
struct Edge {
    /// `None` once hashes are lost that nothing stored replaces.
    frontier: Option<Frontier>,
    wanted: BTreeSet<u64>,
    roots: BTreeMap<u64, Hash>,
}

impl Edge {
    fn new(wanted: BTreeSet<u64>) -> Self {
        let mut edge = Self { frontier: Some(Frontier::new()), wanted, roots: BTreeMap::new() };
        if edge.wanted.contains(&0) {
            edge.roots.insert(0, empty_root());
        }
        edge
    }

    /// Goes on by single entries without keeping them: the block that holds them follows.
    fn look_inside(&mut self, leaves: &[Hash]) {
        let Some(mut frontier) = self.frontier.clone() else { return };
        if self.wanted.range(frontier.size()..=frontier.size() + BLOCK).next().is_none() {
            return;
        }
        for leaf in leaves {
            frontier.append(*leaf, |_, _| ());
            if self.wanted.contains(&frontier.size()) {
                self.roots.insert(frontier.size(), frontier.root());
            }
        }
    }

    /// Goes on by a whole block; tells the larger stored subtrees that this completes.
    fn extend(&mut self, block: Option<Hash>) -> Vec<(Subtree, Hash)> {
        let mut completed = Vec::new();
        match (&mut self.frontier, block) {
            (Some(frontier), Some(hash)) => {
                frontier.append_subtree(STORED_HEIGHT, hash, |subtree, hash| completed.push((subtree, hash)));
                if self.wanted.contains(&frontier.size()) {
                    self.roots.insert(frontier.size(), frontier.root());
                }
            }
            _ => self.frontier = None,
        }
        completed.retain(|(subtree, _)| {
            subtree.height > STORED_HEIGHT && subtree.height.is_multiple_of(STORED_HEIGHT)
        });
        completed
    }

    /// Whether the full blocks lead to the stored right edge.
    fn fits(&self, head: &Frontier) -> bool {
        let is_block = |(subtree, _): &(Subtree, Hash)| subtree.height >= STORED_HEIGHT;
        self.frontier.as_ref().is_some_and(|own| own.subtrees().eq(head.subtrees().filter(is_block)))
    }
}

/// The entries of one block that are there.
struct Block {
    first: u64,
    rows: Vec<RowHashes>,
    complete: bool,
}

/// What a row claims as its hash, and what its text hashes to.
struct RowHashes {
    index: u64,
    claimed: Hash,
    computed: Hash,
}

impl Block {
    fn root(&self, hash: impl Fn(&RowHashes) -> Hash) -> Option<Hash> {
        self.complete.then(|| perfect_root(&self.rows.iter().map(hash).collect::<Vec<_>>())).flatten()
    }

    /// The hashes of the entries up to the first gap.
    fn leaves(&self, hash: impl Fn(&RowHashes) -> Hash) -> Vec<Hash> {
        let unbroken = (self.first..).zip(&self.rows).take_while(|(index, row)| row.index == *index);
        unbroken.map(|(_, row)| hash(row)).collect()
    }

    /// The rows of a subtree, if all are there.
    fn part(&self, subtree: &Subtree) -> Option<Self> {
        let leaves = subtree.leaves();
        let rows: Vec<RowHashes> = self
            .rows
            .iter()
            .filter(|row| leaves.contains(&row.index))
            .map(|row| RowHashes { ..*row })
            .collect();
        let complete = rows.len() as u64 == leaves.end - leaves.start;
        complete.then_some(Self { first: leaves.start, rows, complete })
    }
}

/// What a stored hash says about the rows below it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The hashes beside the entries lead to it.
    Agrees,
    /// The texts of the entries lead to it, but not the hashes beside them.
    HashesAltered,
    /// Neither does.
    Disagrees,
    /// Rows are missing, or the stored hash is.
    Silent,
}

fn verdict(block: &Block, stored: Option<Hash>) -> Verdict {
    let Some(stored) = stored else { return Verdict::Silent };
    match block.root(|row| row.claimed) {
        None => Verdict::Silent,
        Some(claimed) if claimed == stored => Verdict::Agrees,
        _ if block.root(|row| row.computed) == Some(stored) => Verdict::HashesAltered,
        _ => Verdict::Disagrees,
    }
}

impl Walk {
    fn new(head: Frontier, wanted: BTreeSet<u64>) -> Self {
        let edge = Edge::new(wanted);
        Self {
            head,
            problems: Vec::new(),
            by_entries: edge.clone(),
            by_stored: edge,
            disputed: Vec::new(),
            without_detail: BTreeSet::new(),
            erased: BTreeSet::new(),
        }
    }

    async fn all_entries(&mut self, view: &mut View) -> Result<(), LedgerError> {
        let size = self.head.size();
        let last = view.last_index().await?;
        let present = last.map_or(0, |last| last.saturating_add(1)).min(size);
        let mut at = 0;
        while at < present {
            let end = (at + BLOCK).min(size);
            let rows = view.rows(at, end - at).await?;
            match rows.first().map_or(present, |row| row.index) {
                next if next >= end => at = self.skip_to(view, at, next.min(present)).await?,
                _ => {
                    let block = self.block(at, end, present, rows);
                    self.check_block(view, &block, end).await?;
                    at = end;
                }
            }
        }
        self.compare_ends(present, last);
        let unexplained = self.without_detail.difference(&self.erased);
        self.problems.extend(unexplained.map(|index| Problem::DetailMissing { index: *index }));
        Ok(())
    }

    /// Passes over blocks of which no row is there, on stored subtrees as far as those reach: a row with an
    /// absurd index must not make the walk endless.
    async fn skip_to(&mut self, view: &mut View, from: u64, next: u64) -> Result<u64, LedgerError> {
        let goal = next / BLOCK * BLOCK;
        self.problems.push(Problem::Missing { first: from, last: goal - 1 });
        let mut at = from;
        while at < goal {
            let stored = view.hashes(STORED_HEIGHT, at / BLOCK, 1).await?.first().copied();
            self.by_entries.extend(stored);
            self.by_stored.extend(stored);
            at = if stored.is_some() { at + BLOCK } else { goal };
        }
        Ok(goal)
    }

    /// Checks the rows from `first` to `end` one by one.
    fn block(&mut self, first: u64, end: u64, present: u64, rows: Vec<EntryRow>) -> Block {
        let mut block = Block { first, rows: Vec::with_capacity(rows.len()), complete: true };
        let mut expected = first;
        for row in rows.into_iter().take_while(|row| row.index < end) {
            block.complete &= self.no_gap(expected, row.index);
            expected = row.index + 1;
            block.rows.push(self.entry(&row));
        }
        block.complete &= self.no_gap(expected, end.min(present)) && end <= present;
        block
    }

    fn no_gap(&mut self, expected: u64, found: u64) -> bool {
        if expected < found {
            self.problems.push(Problem::Missing { first: expected, last: found - 1 });
        }
        expected >= found
    }

    /// Checks one row by itself; rows whose text and hash differ are named when it is known which was
    /// altered.
    fn entry(&mut self, row: &EntryRow) -> RowHashes {
        let computed = leaf_hash(row.leaf.as_bytes());
        let claimed = Hash::from_slice(&row.leaf_hash).unwrap_or(Hash([0; 32]));
        match Leaf::parse(&row.leaf) {
            Ok(leaf) if claimed == computed => self.parts(row, &leaf),
            Err(_) if claimed == computed => self.altered(row.index, Part::Leaf),
            _ => {}
        }
        RowHashes { index: row.index, claimed, computed }
    }

    fn altered(&mut self, index: u64, part: Part) {
        self.problems.push(Problem::Altered { index, part });
    }

    fn parts(&mut self, row: &EntryRow, leaf: &Leaf) {
        if leaf.index != row.index {
            self.altered(row.index, Part::Position);
        } else if !detail_fits(row, leaf) {
            self.altered(row.index, Part::Detail);
        } else if !columns_fit(row, leaf) {
            self.altered(row.index, Part::Columns);
        }
        if leaf.commitment.is_some() && row.detail.is_none() {
            self.without_detail.insert(row.index);
        }
        if leaf.kind == EventKind::LedgerErased {
            let payload = leaf.detail.as_ref().map(|detail| &detail.payload);
            self.erased.extend(payload.and_then(|payload| payload["index"].as_u64()));
            let several = payload.and_then(|payload| payload["indices"].as_array());
            self.erased.extend(several.into_iter().flatten().filter_map(serde_json::Value::as_u64));
        }
    }

    async fn check_block(&mut self, view: &mut View, block: &Block, end: u64) -> Result<(), LedgerError> {
        if end - block.first < BLOCK {
            self.check_tail(block);
            return Ok(());
        }
        let stored = view.hashes(STORED_HEIGHT, block.first / BLOCK, 1).await?.first().copied();
        let verdict = verdict(block, stored);
        self.name_rows(block, verdict);
        let last = end - 1;
        if verdict == Verdict::Disagrees {
            self.disputed.push((block.first, last));
        }
        if stored.is_none() {
            self.problems.push(Problem::SubtreeDamaged { first: block.first, last });
        }
        self.look_inside(block, verdict);
        let made = match verdict {
            Verdict::HashesAltered => block.root(|row| row.computed),
            _ => block.root(|row| row.claimed),
        };
        self.by_entries.extend(made.or(stored));
        let larger = self.by_stored.extend(stored.or(made));
        self.check_larger(view, larger).await
    }

    fn look_inside(&mut self, block: &Block, verdict: Verdict) {
        let leaves = match verdict {
            Verdict::HashesAltered => block.leaves(|row| row.computed),
            _ => block.leaves(|row| row.claimed),
        };
        self.by_entries.look_inside(&leaves);
        self.by_stored.look_inside(&leaves);
    }

    /// Subtrees of 2^16 leaves and more; under a disputed block they cannot be expected to fit.
    async fn check_larger(
        &mut self,
        view: &mut View,
        larger: Vec<(Subtree, Hash)>,
    ) -> Result<(), LedgerError> {
        for (subtree, hash) in larger {
            let stored = view.hashes(subtree.height, subtree.position, 1).await?;
            if stored.first() != Some(&hash) && self.disputed.is_empty() {
                let leaves = subtree.leaves();
                self.problems.push(Problem::SubtreeDamaged { first: leaves.start, last: leaves.end - 1 });
            }
        }
        Ok(())
    }

    /// The last entries, which fill no block: the right edge vouches for them.
    fn check_tail(&mut self, block: &Block) {
        let small: Vec<_> =
            self.head.subtrees().filter(|(subtree, _)| subtree.height < STORED_HEIGHT).collect();
        let mut worst = Verdict::Agrees;
        for (subtree, stored) in small {
            let Some(part) = block.part(&subtree) else {
                worst = Verdict::Silent;
                continue;
            };
            let found = verdict(&part, Some(stored));
            self.name_rows(&part, found);
            if found == Verdict::Disagrees {
                let leaves = subtree.leaves();
                self.problems.push(Problem::AlteredRange { first: leaves.start, last: leaves.end - 1 });
            }
            if found == Verdict::HashesAltered {
                worst = found;
            }
        }
        if worst == Verdict::Silent {
            self.name_rows(block, Verdict::Silent);
        }
        self.look_inside(block, worst);
    }

    /// Names the rows whose text and hash do not belong together.
    fn name_rows(&mut self, block: &Block, verdict: Verdict) {
        let part = if verdict == Verdict::HashesAltered { Part::LeafHash } else { Part::Leaf };
        for row in block.rows.iter().filter(|row| row.claimed != row.computed) {
            self.altered(row.index, part);
        }
    }

    /// Compares what the walk arrived at with the stored right edge.
    fn compare_ends(&mut self, present: u64, last: Option<u64>) {
        let size = self.head.size();
        if present < size {
            self.problems.push(Problem::Truncated { expected: size, present });
        }
        if let Some(last) = last.filter(|last| *last >= size) {
            self.problems.push(Problem::Surplus { first: size, last });
        }
        let entries_are_right = self.by_entries.fits(&self.head);
        for (first, last) in std::mem::take(&mut self.disputed) {
            self.problems.push(match entries_are_right {
                true => Problem::SubtreeDamaged { first, last },
                false => Problem::AlteredRange { first, last },
            });
        }
        let walked_to_the_end =
            self.by_entries.frontier.as_ref().is_some_and(|own| own.size() == size / BLOCK * BLOCK);
        if walked_to_the_end && !entries_are_right && !self.by_stored.fits(&self.head) {
            self.problems.push(Problem::HeadDamaged { size });
        }
    }

    /// The roots that checkpoints are compared with.
    fn roots(&self) -> &BTreeMap<u64, Hash> {
        let stored_is_right = self.by_stored.fits(&self.head) && !self.by_entries.fits(&self.head);
        if stored_is_right { &self.by_stored.roots } else { &self.by_entries.roots }
    }
}

fn detail_fits(row: &EntryRow, leaf: &Leaf) -> bool {
    match (&leaf.commitment, &row.detail) {
        (Some(committed), Some(detail)) => commitment(&detail.salt, &detail.text).to_hex() == *committed,
        (Some(_), None) => true,
        (None, detail) => detail.is_none(),
    }
}

fn columns_fit(row: &EntryRow, leaf: &Leaf) -> bool {
    let committed = row.detail.as_ref().and_then(|kept| serde_json::from_str::<Detail>(&kept.text).ok());
    let subject = leaf.detail.as_ref().or(committed.as_ref()).map(|detail| detail.subject.as_str());
    row.kind == leaf.kind.as_str()
        && row.at_us == leaf.at.timestamp_micros()
        && (row.subject.as_deref() == subject || row.subject == subject.map(searchable))
        && row.case == leaf.case
}
