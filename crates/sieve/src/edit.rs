//! Switching one effect off without touching another byte.

use crate::Dialect;
use crate::audit::analyse;
use crate::effects::{Effect, EffectKind};
use crate::lexer::TokenKind;
use crate::parser::parse;
use crate::tree::Command;
use proof::{Change, Fate};

mod proof;
mod roundcube;

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
    /// Whether another effect is reached on other messages than before. Only switching a whole rule off
    /// may do that: a rule that ends in `stop` keeps the rules behind it from running.
    pub reach_changed: bool,
}

/// Why an effect was not switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No effect of that span is in the script.
    NoSuchEffect,
    /// The effect stands in a script that this one includes.
    InIncludedScript,
    /// The engine would not take the script as it is, so nothing can be proved about a changed one.
    NotAccepted,
    /// The effect does not stand in a rule that Roundcube wrote and could switch off.
    NoSuchRule,
    /// The effect is not a command by itself, or the change did not stand the proof.
    NotProved,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoSuchEffect => "the script has no such effect; analyse it again",
            Self::InIncludedScript => {
                "the effect stands in a script that this one includes; switch it off in that script"
            }
            Self::NotAccepted => "the engine refuses this script, so a change to it cannot be proved",
            Self::NoSuchRule => "the effect is not inside a Roundcube rule; choose another method",
            Self::NotProved => "the change does not switch off exactly this effect; edit the script by hand",
        })
    }
}

impl std::error::Error for Refusal {}

/// How an effect is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `if false { ... }` around the command: keeps its text in the script and works in any script whose
    /// nesting leaves room. Roundcube drops rules that hold a nested `if`.
    Wrapped,
    /// The command goes; `keep;` comes where a `redirect` without `:copy` stood, so that mail is delivered.
    Flat,
    /// `false # ` behind the `if` of the whole rule, as Roundcube itself does it: the rule shows as
    /// disabled there.
    RoundcubeRule,
}

impl Method {
    /// The name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wrapped => "wrapped",
            Self::Flat => "flat",
            Self::RoundcubeRule => "roundcube_rule",
        }
    }

    /// The method that leaves the rule of `effect` intact in the program that shows it.
    #[must_use]
    pub fn suited_to(effect: &Effect) -> Self {
        match &effect.rule_name {
            Some(rule) if rule.ui == "roundcube" => Self::RoundcubeRule,
            _ => Self::Wrapped,
        }
    }
}

const OPEN: &[u8] = b"if false { ";
const CLOSE: &[u8] = b" }";
const KEEP: &[u8] = b"keep;";

/// Wraps the command of `effect` in `if false { ... }` and proves by a second analysis that this effect is
/// dead, that every other is as before, and that the engine takes the result.
///
/// # Errors
/// Says why the change was not made.
pub fn disable(script: &[u8], dialect: Dialect, effect: &Effect) -> Result<Disabled, Refusal> {
    disable_by(script, dialect, effect, Method::Wrapped)
}

/// Switches `effect` off by `method` and proves by a second analysis that it is dead or gone, that every
/// effect outside the change is as before, and that the engine takes the result.
///
/// # Errors
/// Says why the change was not made.
pub fn disable_by(
    script: &[u8],
    dialect: Dialect,
    effect: &Effect,
    method: Method,
) -> Result<Disabled, Refusal> {
    let before = analyse(script, dialect, true);
    if !before.accepted {
        return Err(Refusal::NotAccepted);
    }
    let known =
        |other: &Effect| other.via.is_empty() && other.span == effect.span && other.kind == effect.kind;
    if !effect.via.is_empty() {
        return Err(Refusal::InIncludedScript);
    }
    if !before.effects.iter().any(known) {
        return Err(Refusal::NoSuchEffect);
    }
    let change = change(script, dialect, effect, method)?;
    let changed = apply(script, &change.edits);
    let after = analyse(&changed, dialect, true);
    let side_effects = proof::prove(&before, &after, &change).ok_or(Refusal::NotProved)?;
    Ok(Disabled {
        edits: change.edits,
        script: changed,
        local_copies_changed: side_effects.local_copies,
        reach_changed: side_effects.reach,
    })
}

fn change(script: &[u8], dialect: Dialect, effect: &Effect, method: Method) -> Result<Change, Refusal> {
    let (start, end) = (effect.span.start, effect.span.end);
    match method {
        Method::Wrapped => Ok(Change {
            edits: vec![insertion(start, OPEN), insertion(end, CLOSE)],
            dying: start..end,
            fate: Fate::Dead,
        }),
        Method::Flat => flat(script, dialect, effect),
        Method::RoundcubeRule => roundcube::rule_change(script, dialect, start).ok_or(Refusal::NoSuchRule),
    }
}

fn insertion(offset: usize, text: &[u8]) -> Edit {
    Edit { offset, delete_len: 0, insert: text.to_vec() }
}

/// Only a whole command can be taken away; a test that acts cannot.
fn flat(script: &[u8], dialect: Dialect, effect: &Effect) -> Result<Change, Refusal> {
    let (start, end) = (effect.span.start, effect.span.end);
    let tree = parse(script, dialect);
    let whole = |command: &Command| command.start == start && command.end == end && !command.has_block;
    if !tree.commands.iter().any(whole) {
        return Err(Refusal::NotProved);
    }
    let copies = || {
        let tags = tree.tokens.iter().filter(|token| token.start > start && token.end < end);
        tags.filter(|token| token.kind == TokenKind::Tag)
            .any(|token| token.bytes(script).eq_ignore_ascii_case(b":copy"))
    };
    let keeps = effect.kind == EffectKind::Redirect && !copies();
    let insert = if keeps { KEEP.to_vec() } else { Vec::new() };
    Ok(Change {
        edits: vec![Edit { offset: start, delete_len: end - start, insert }],
        dying: start..end,
        fate: if keeps { Fate::ReplacedByKeep } else { Fate::Gone },
    })
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
