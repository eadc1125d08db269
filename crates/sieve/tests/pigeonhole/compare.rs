//! What the library says against what the engine did.

use crate::laboratory::Actions;
use sieve_analysis::{Analysis, Effect, EffectKind, Form, LocalCopy, Reach};
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

/// Whether the target is the template with something in its holes.
fn fills(template: &str, target: &str) -> bool {
    let first = template.split("${").next().unwrap_or_default();
    let last = template.rsplit('}').next().unwrap_or_default();
    // Display names, comments and brackets are no part of an address.
    let first = first.rsplit(['<', ')']).next().unwrap_or_default().trim_start();
    let last = last.split(['>', '(']).next().unwrap_or_default().trim_end();
    let ends = |last: &str| target.to_lowercase().ends_with(&last.replace(' ', "").to_lowercase());
    target.to_lowercase().starts_with(&first.to_lowercase()) && (ends(last) || target.ends_with(last))
}

/// Where the analysis of a script is wrong about what the engine did with it for one message.
pub(crate) fn contradictions(analysis: &Analysis, actions: &Actions) -> Vec<String> {
    let mut wrong = unforetold(analysis, actions);
    for effect in analysis.effects.iter().filter(|effect| effect.reach == Reach::Always) {
        if effect.form == Form::Exact && !happened(effect, actions) {
            wrong.push(format!("{} of {:?} did not happen", effect.kind.name(), effect.targets));
        }
        // The tool does not count a pipe as one that cancels the implicit keep; deliveries do.
        let piped = !actions.programs.is_empty();
        let copy = piped
            || match effect.local_copy {
                LocalCopy::Kept => actions.stored(),
                LocalCopy::Lost => !actions.stored(),
                LocalCopy::Depends => true,
            };
        if !copy {
            wrong.push(format!("local copy {:?}, but stored is {}", effect.local_copy, actions.stored()));
        }
    }
    wrong
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
    let all = |done: &BTreeSet<String>| effect.targets.iter().all(|target| done.contains(target.text()));
    match effect.kind {
        EffectKind::Redirect => all(&actions.redirects),
        EffectKind::Pipe => all(&actions.programs),
        EffectKind::Report => all(&actions.reported),
        EffectKind::Keep => actions.folders.iter().any(|folder| names("INBOX", folder)),
        EffectKind::Fileinto => {
            effect.targets.iter().all(|target| actions.folders.iter().any(|one| names(target.text(), one)))
        }
        EffectKind::Discard => actions.discarded,
        EffectKind::Reject => actions.rejected,
        EffectKind::Vacation => actions.answered,
        _ => true,
    }
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
