//! Switching one effect off without touching another byte.

use crate::Dialect;
use crate::audit::{Analysis, analyse};
use crate::effects::{Effect, Reach};

/// A change at one place: bytes taken away, bytes put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Where, in the script before any edit.
    pub offset: usize,
    /// How many bytes go.
    pub delete_len: usize,
    /// What comes instead.
    pub insert: Vec<u8>,
}

/// A proved change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled {
    /// The edits, in order of their offsets.
    pub edits: Vec<Edit>,
    /// The script after them.
    pub script: Vec<u8>,
    /// Whether the local copy of another effect changed: removing what cancelled the implicit keep
    /// restores it.
    pub local_copies_changed: bool,
}

/// Why an effect was not switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No effect of that span is in the script.
    NoSuchEffect,
    /// The engine would not take the script as it is, so nothing can be proved about a changed one.
    NotAccepted,
    /// The effect is not a command by itself, or the change did not stand the proof.
    NotProved,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoSuchEffect => "the script has no such effect; analyse it again",
            Self::NotAccepted => "the engine refuses this script, so a change to it cannot be proved",
            Self::NotProved => "wrapping the command did not switch off exactly this effect; edit it by hand",
        })
    }
}

impl std::error::Error for Refusal {}

const OPEN: &[u8] = b"if false { ";
const CLOSE: &[u8] = b" }";

/// Wraps the command of `effect` in `if false { ... }` and proves by a second analysis that this effect is
/// dead, that every other is as before, and that the engine takes the result.
///
/// # Errors
/// Says why the change was not made.
pub fn disable(script: &[u8], dialect: Dialect, effect: &Effect) -> Result<Disabled, Refusal> {
    let before = analyse(script, dialect, true);
    if !before.accepted {
        return Err(Refusal::NotAccepted);
    }
    let (start, end) = (effect.span.start, effect.span.end);
    let known =
        |other: &Effect| other.via.is_empty() && other.span == effect.span && other.kind == effect.kind;
    if !effect.via.is_empty() || end > script.len() || !before.effects.iter().any(known) {
        return Err(Refusal::NoSuchEffect);
    }
    let edits = vec![
        Edit { offset: start, delete_len: 0, insert: OPEN.to_vec() },
        Edit { offset: end, delete_len: 0, insert: CLOSE.to_vec() },
    ];
    let changed = apply(script, &edits);
    let after = analyse(&changed, dialect, true);
    let local_copies_changed = prove(&before, &after, (start, end)).ok_or(Refusal::NotProved)?;
    Ok(Disabled { edits, script: changed, local_copies_changed })
}

/// The script after the edits, which are in order and do not overlap.
#[must_use]
pub fn apply(script: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(script.len() + 16);
    let mut from = 0;
    for edit in edits {
        changed.extend_from_slice(script.get(from..edit.offset).unwrap_or_default());
        changed.extend_from_slice(&edit.insert);
        from = edit.offset + edit.delete_len;
    }
    changed.extend_from_slice(script.get(from..).unwrap_or_default());
    changed
}

/// The edits that lead from the changed script back to `script`.
#[must_use]
pub fn inverse(script: &[u8], edits: &[Edit]) -> Vec<Edit> {
    let mut shift = 0_isize;
    let undo = |edit: &Edit| {
        let offset = edit.offset.saturating_add_signed(shift);
        shift += edit.insert.len().cast_signed() - edit.delete_len.cast_signed();
        let removed = script.get(edit.offset..edit.offset + edit.delete_len).unwrap_or_default();
        Edit { offset, delete_len: edit.insert.len(), insert: removed.to_vec() }
    };
    edits.iter().map(undo).collect()
}

/// Whether local copies changed, or none when anything else did that should not have.
fn prove(before: &Analysis, after: &Analysis, wrapped: (usize, usize)) -> Option<bool> {
    if !after.accepted || before.effects.len() != after.effects.len() {
        return None;
    }
    let mut copies_changed = false;
    for (old, new) in before.effects.iter().zip(&after.effects) {
        let inside = old.via.is_empty() && old.span.start >= wrapped.0 && old.span.end <= wrapped.1;
        let moved = shifted(old.span.start, wrapped);
        let same = old.kind == new.kind && old.targets == new.targets && old.form == new.form;
        let reach = if inside { new.reach == Reach::Dead } else { new.reach == old.reach };
        if !same || !reach || (old.via.is_empty() && moved != new.span.start) {
            return None;
        }
        copies_changed |= !inside && old.local_copy != new.local_copy;
    }
    Some(copies_changed)
}

fn shifted(offset: usize, wrapped: (usize, usize)) -> usize {
    let opened = if offset >= wrapped.0 { OPEN.len() } else { 0 };
    let closed = if offset >= wrapped.1 { CLOSE.len() } else { 0 };
    offset + opened + closed
}
