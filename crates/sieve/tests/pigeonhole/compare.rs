//! What the library says against what the engine did.

use crate::laboratory::Actions;
use sieve_analysis::{Analysis, Effect, EffectKind, Form, LocalCopy, Reach, Role, Target};
use std::collections::BTreeSet;

fn live(analysis: &Analysis, kind: EffectKind) -> impl Iterator<Item = &Effect> {
    let can = |effect: &&Effect| matches!(effect.reach, Reach::Always | Reach::Conditional);
    analysis.effects.iter().filter(can).filter(move |effect| effect.kind == kind)
}

/// Whether an effect that is not dead could be this one.
fn foretold(analysis: &Analysis, kind: EffectKind, target: &str) -> bool {
    live(analysis, kind).any(|effect| match effect.form {
        Form::Exact | Form::Set => effect.targets.iter().any(|known| names(known.text(), target)),
        Form::Template => {
            effect.targets.iter().any(|known| fills(&known.raw, target) || names(known.text(), target))
        }
        Form::List | Form::Unbounded => true,
    })
}

/// RFC 3501 §5.1: INBOX in any case is one folder. The tool shows control characters as `?`.
fn names(known: &str, target: &str) -> bool {
    let shown = known.replace(|character: char| character.is_control(), "?");
    let inbox = |name: &str| name.eq_ignore_ascii_case("INBOX");
    shown == target || (inbox(target) && inbox(known))
}

/// Whether the target is the template with something in its holes: what it says between them comes in
/// order, the first part at the beginning and the last at the end.
fn fills(template: &str, target: &str) -> bool {
    let Some((first, rest)) = template.split_once("${") else { return false };
    let parts: Vec<&str> =
        rest.split("${").map(|part| part.split_once('}').map_or("", |(_, text)| text)).collect();
    let Some((last, middle)) = parts.split_last() else { return false };
    // Display names, comments, brackets and blanks are no part of an address.
    let first = plain(first.rsplit(['<', ')']).next().unwrap_or_default());
    let last = plain(last.split(['>', '(']).next().unwrap_or_default());
    let target = plain(target);
    let Some(inner) = target.strip_prefix(&first).and_then(|rest| rest.strip_suffix(&last)) else {
        return false;
    };
    let mut left = inner;
    middle.iter().map(|part| plain(part)).all(|part| {
        let found = left.find(&part).map(|at| &left[at + part.len()..]);
        left = found.unwrap_or(left);
        found.is_some() || part.contains(['<', '>', '(', ')', '"'])
    })
}

fn plain(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect::<String>().to_lowercase()
}

/// Where the analysis of a script is wrong about what the engine did with it for one message.
pub(crate) fn contradictions(analysis: &Analysis, actions: &Actions) -> Vec<String> {
    let mut wrong = unforetold(analysis, actions);
    for effect in analysis.effects.iter().filter(|effect| effect.reach == Reach::Always) {
        if !happened(effect, actions) {
            wrong.push(format!("{} of {:?} did not happen", effect.kind.name(), effect.targets));
        }
    }
    for effect in analysis.effects.iter().filter(|effect| surely_happened(analysis, effect, actions)) {
        if !copy_is_as_foretold(effect.local_copy, actions) {
            wrong.push(format!(
                "{} of {:?}: local copy {:?}, but stored is {}",
                effect.kind.name(),
                effect.targets,
                effect.local_copy,
                actions.stored()
            ));
        }
    }
    wrong
}

fn surely_happened(analysis: &Analysis, effect: &Effect, actions: &Actions) -> bool {
    let alike = || live(analysis, effect.kind).filter(|other| same_targets(other, effect)).count();
    match effect.reach {
        Reach::Always => true,
        // An address that one effect alone can mean.
        Reach::Conditional => {
            effect.kind == EffectKind::Redirect
                && effect.form == Form::Exact
                && happened(effect, actions)
                && alike() == 1
                && live(analysis, effect.kind).all(|other| other.form == Form::Exact)
        }
        Reach::Dead | Reach::Inactive => false,
    }
}

/// The tool does not count a pipe as one that cancels the implicit keep; deliveries do.
fn copy_is_as_foretold(copy: LocalCopy, actions: &Actions) -> bool {
    let kept_beside_a_pipe = !actions.programs.is_empty() && actions.folders.is_empty();
    match copy {
        LocalCopy::Kept => actions.stored(),
        LocalCopy::Lost => !actions.stored() || kept_beside_a_pipe,
        LocalCopy::Depends => true,
    }
}

fn unforetold(analysis: &Analysis, actions: &Actions) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut each = |kind: EffectKind, targets: &BTreeSet<String>| {
        for target in targets.iter().filter(|target| !foretold(analysis, kind, target)) {
            wrong.push(format!("{} of {target} was not foretold", kind.name()));
        }
    };
    each(EffectKind::Redirect, &actions.redirects);
    each(EffectKind::Notify, &actions.notified);
    each(EffectKind::Pipe, &actions.programs);
    each(EffectKind::Report, &actions.reported);
    let kept = live(analysis, EffectKind::Keep).next().is_some();
    let filed = |folder: &str| foretold(analysis, EffectKind::Fileinto, folder);
    for folder in actions.folders.iter().filter(|folder| !(filed(folder) || (kept && names("INBOX", folder))))
    {
        wrong.push(format!("storing into {folder} was not foretold"));
    }
    for (kind, done) in plain_actions(actions) {
        if done && live(analysis, kind).next().is_none() {
            wrong.push(format!("{} was not foretold", kind.name()));
        }
    }
    wrong
}

fn plain_actions(actions: &Actions) -> [(EffectKind, bool); 3] {
    [
        (EffectKind::Discard, actions.discarded),
        (EffectKind::Reject, actions.rejected),
        (EffectKind::Vacation, actions.answered),
    ]
}

fn happened(effect: &Effect, actions: &Actions) -> bool {
    let done = match effect.kind {
        EffectKind::Redirect => &actions.redirects,
        EffectKind::Pipe => &actions.programs,
        EffectKind::Report => &actions.reported,
        EffectKind::Notify => &actions.notified,
        EffectKind::Fileinto => &actions.folders,
        EffectKind::Keep => return actions.folders.iter().any(|folder| names("INBOX", folder)),
        EffectKind::Discard => return actions.discarded,
        EffectKind::Reject => return actions.rejected,
        EffectKind::Vacation => return actions.answered,
        _ => return true,
    };
    let mut wanted = effect.targets.iter().filter(|target| !is_beside(target));
    match effect.form {
        Form::Exact => wanted.all(|target| done.iter().any(|one| names(target.text(), one))),
        Form::Set => wanted.any(|target| done.iter().any(|one| names(target.text(), one))),
        Form::Template => {
            wanted.any(|target| done.iter().any(|one| names(target.text(), one) || fills(&target.raw, one)))
        }
        Form::List | Form::Unbounded => true,
    }
}

/// What the tool does not show as a place where the message went. Pigeonhole ignores `bcc` (measured).
fn is_beside(target: &Target) -> bool {
    matches!(target.role, Role::Flag | Role::Bcc | Role::Method)
}

/// Where the analysis leaves open what is not open, for a script in which every question about the
/// message is answered.
pub(crate) fn undecided(analysis: &Analysis) -> Vec<String> {
    let open = |effect: &&Effect| {
        effect.reach == Reach::Conditional
            || (effect.reach == Reach::Always && effect.form != Form::Exact)
            || (effect.reach == Reach::Always && effect.local_copy == LocalCopy::Depends)
    };
    let tell = |effect: &Effect| {
        let copy = effect.local_copy.name();
        format!("left open: {} {} {} {copy}", effect.kind.name(), effect.reach.name(), effect.form.name())
    };
    analysis.effects.iter().filter(open).map(tell).collect()
}

fn same_targets(one: &Effect, other: &Effect) -> bool {
    one.targets.iter().map(Target::text).eq(other.targets.iter().map(Target::text))
}
