//! Whether a change did what it should and nothing else.

use super::Edit;
use crate::audit::Analysis;
use crate::effects::{Effect, EffectKind, Form, Reach};
use std::ops::Range;

/// What becomes of the effects inside the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Dead,
    Gone,
    ReplacedByKeep,
    /// A whole rule: dead inside its block, gone in its test.
    RuleOff {
        block: usize,
    },
}

/// Edits and what they are meant to do.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) edits: Vec<Edit>,
    /// The bytes whose effects are switched off.
    pub(super) dying: Range<usize>,
    pub(super) fate: Fate,
}

/// What changed about effects outside the change.
#[derive(Debug, Default)]
pub(super) struct SideEffects {
    pub(super) local_copies: bool,
    pub(super) reach: bool,
}

impl Change {
    fn holds(&self, effect: &Effect) -> bool {
        effect.via.is_empty() && effect.span.start >= self.dying.start && effect.span.end <= self.dying.end
    }

    fn survives_dead(&self, effect: &Effect) -> bool {
        match self.fate {
            Fate::Dead => true,
            Fate::RuleOff { block } => effect.span.start >= block,
            Fate::Gone | Fate::ReplacedByKeep => false,
        }
    }

    /// Where a byte outside every deletion is afterwards.
    fn moved(&self, offset: usize) -> usize {
        let before = self.edits.iter().filter(|edit| edit.offset <= offset);
        before.fold(offset, |moved, edit| moved + edit.insert.len() - edit.delete_len)
    }
}

/// What else changed, or none when anything did that should not have.
pub(super) fn prove(before: &Analysis, after: &Analysis, change: &Change) -> Option<SideEffects> {
    let mut new = after.effects.iter().peekable();
    let mut side_effects = SideEffects::default();
    for old in &before.effects {
        if change.holds(old) {
            if change.survives_dead(old) {
                new.next_if(|new| new.reach == Reach::Dead && is_same(old, new, change))?;
            }
            continue;
        }
        skip_inserted(&mut new, change);
        let new = new.next_if(|new| is_same(old, new, change))?;
        side_effects.local_copies |= old.local_copy != new.local_copy;
        side_effects.reach |= old.reach != new.reach && !is_relieved(old.reach, new.reach);
        // A test on flags that was decided before, and is open now, decides about this effect.
        if asks_for_flags(&old.conditions) != asks_for_flags(&new.conditions) {
            return None;
        }
    }
    skip_inserted(&mut new, change);
    let whole_rule = matches!(change.fate, Fate::RuleOff { .. });
    if decides_others(before, change) {
        return None;
    }
    let sound = after.accepted && new.next().is_none() && (whole_rule || !side_effects.reach);
    sound.then_some(side_effects)
}

/// Whether the change takes away an action that makes the message, or its flags, others for the tests behind it, or one
/// that takes back what others did.
fn decides_others(before: &Analysis, change: &Change) -> bool {
    use EffectKind::{Addflag, Addheader, Deleteheader, Denotify, Filter, Notify, Removeflag, Setflag};
    let first = |kinds: &[EffectKind]| {
        let dying =
            before.effects.iter().filter(|effect| change.holds(effect) && effect.reach != Reach::Dead);
        dying.filter(|effect| kinds.contains(&effect.kind)).map(|effect| effect.span.start).min()
    };
    let header = first(&[Addheader, Deleteheader, Filter]);
    let flag = first(&[Addflag, Removeflag, Setflag]);
    // What it takes back was told before it, in this script or in one that includes it.
    let takes_back = first(&[Denotify]).is_some();
    let is_behind = |other: &Effect, first: Option<usize>| {
        first.is_some_and(|first| other.span.start > first || !other.via.is_empty())
    };
    before.effects.iter().filter(|effect| !change.holds(effect)).any(|other| {
        let is_open = other.reach == Reach::Conditional || other.form != Form::Exact;
        (takes_back && other.kind == Notify)
            || (is_open && is_behind(other, header))
            || (is_behind(other, flag) && asks_for_flags(&other.conditions))
    })
}

/// RFC 5232 §4; of conditions that are cut nobody knows.
fn asks_for_flags(conditions: &str) -> bool {
    conditions.to_ascii_lowercase().contains("hasflag") || conditions.ends_with('\u{2026}')
}

/// Without an action at which a run may fail, what is around it is done in more cases: nobody wants less.
fn is_relieved(old: Reach, new: Reach) -> bool {
    (old, new) == (Reach::Conditional, Reach::Always)
}

/// The `keep;` that was put in is no surprise.
fn skip_inserted<'a>(new: &mut std::iter::Peekable<impl Iterator<Item = &'a Effect>>, change: &Change) {
    if change.fate == Fate::ReplacedByKeep {
        let there = |effect: &&Effect| effect.via.is_empty() && effect.span.start == change.dying.start;
        while new.next_if(|effect| there(effect) && effect.kind == EffectKind::Keep).is_some() {}
    }
}

fn is_same(old: &Effect, new: &Effect, change: &Change) -> bool {
    let place = !old.via.is_empty() || change.moved(old.span.start) == new.span.start;
    place && old.via == new.via && old.kind == new.kind && old.targets == new.targets && old.form == new.form
}
