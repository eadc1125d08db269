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
            effect.targets.iter().any(|known| fills(known, target) || names(known.text(), target))
        }
        Form::List | Form::Unbounded => true,
    })
}

/// RFC 3501 §5.1: INBOX in any case is one folder.
fn names(known: &str, target: &str) -> bool {
    let inbox = |name: &str| name.eq_ignore_ascii_case("INBOX");
    shown(known) == target || (inbox(target) && inbox(known))
}

/// Whether the target is the template with something in its holes: what it says between them comes in
/// order, the first part at the beginning and the last at the end.
fn fills(template: &Target, target: &str) -> bool {
    let is_address = matches!(template.role, Role::Recipient | Role::Cc | Role::Bcc);
    let texts: Vec<String> = around_holes(&template.raw).into_iter().map(shown).collect();
    if is_address {
        return fills_address(&texts, target);
    }
    // RFC 3501 §5.1: in any case.
    let is_inbox = || {
        let texts: Vec<String> = texts.iter().map(|text| text.to_uppercase()).collect();
        target == "INBOX" && fills_text(&texts, target, |_| false)
    };
    fills_text(&texts, target, |_| false) || is_inbox()
}

/// Display names, comments, brackets and blanks are no part of an address, and its domain is in lower case.
fn fills_address(texts: &[String], target: &str) -> bool {
    let spelled = |text: &String| without_comments(&text.replace([' ', '?'], ""));
    let mut texts: Vec<String> = texts.iter().map(spelled).collect();
    if let Some(first) = texts.first_mut() {
        *first = first.rsplit('<').next().unwrap_or_default().to_owned();
    }
    if let Some(last) = texts.last_mut() {
        *last = last.split('>').next().unwrap_or_default().to_owned();
    }
    let target = unquoted(&target.replace([' ', '?'], ""));
    let folded = match texts.iter().rposition(|text| text.contains('@')) {
        Some(domain) => {
            texts[domain] = with_folded_domain(&texts[domain]);
            texts[domain + 1..].iter_mut().for_each(|text| *text = text.to_lowercase());
            with_folded_domain(&target)
        }
        // The `@` comes with what fills a hole.
        None => {
            texts.iter_mut().for_each(|text| *text = text.to_lowercase());
            target.to_lowercase()
        }
    };
    fills_text(&texts, &folded, |text| text.contains(['<', '>', '(', ')', '"']))
}

/// The case of letters in a local part is kept.
fn with_folded_domain(address: &str) -> String {
    let Some((local, domain)) = address.rsplit_once('@') else { return address.to_lowercase() };
    format!("{local}@{}", domain.to_lowercase())
}

/// The engine quotes a local part that is no dot-atom (RFC 5322 §3.4.1), as when it ends with a dot.
fn unquoted(address: &str) -> String {
    let parts = address.strip_prefix('"').and_then(|rest| rest.rsplit_once("\"@"));
    let Some((local, domain)) = parts else { return address.to_owned() };
    format!("{}@{domain}", local.replace("\\\\", "\\").replace("\\\"", "\""))
}

fn without_comments(text: &str) -> String {
    let mut depth = 0_usize;
    let outside = |character: &char| {
        let was = depth;
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        was == 0 && depth == 0
    };
    text.chars().filter(outside).collect()
}

fn fills_text(texts: &[String], target: &str, may_be_missing: impl Fn(&str) -> bool) -> bool {
    let [first, middle @ .., last] = texts else { return false };
    let inner = target.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()));
    let Some(mut left) = inner else { return false };
    middle.iter().all(|part| {
        let found = left.find(part.as_str()).map(|at| &left[at + part.len()..]);
        left = found.unwrap_or(left);
        found.is_some() || may_be_missing(part)
    })
}

/// The texts before, between and behind the holes. What no variable can be called is text.
fn around_holes(template: &str) -> Vec<&str> {
    let (mut texts, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(open) = template[at..].find("${").map(|found| at + found) {
        let name = template[open + 2..].split('}').next().unwrap_or_default();
        let legal = |character: char| character.is_ascii_alphanumeric() || "_.".contains(character);
        at = open + 2;
        if !name.is_empty() && name.chars().all(legal) && template[at + name.len()..].starts_with('}') {
            texts.push(&template[from..open]);
            at += name.len() + 1;
            from = at;
        }
    }
    texts.push(&template[from..]);
    texts
}

/// The tool shows control characters as `?`.
fn shown(text: &str) -> String {
    text.replace(|character: char| character.is_control(), "?")
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
    use EffectKind::{Discard, Notify, Pipe, Redirect, Reject, Report, Vacation};
    let told_apart = matches!(effect.kind, Redirect | Pipe | Report | Notify);
    let is_like = |other: &&Effect| !told_apart || share_a_target(other, effect);
    let alike = || live(analysis, effect.kind).filter(is_like).count();
    match effect.reach {
        Reach::Always => true,
        // What one effect alone can have done.
        Reach::Conditional => {
            matches!(effect.kind, Discard | Notify | Pipe | Redirect | Reject | Report | Vacation)
                && (!told_apart || effect.targets.iter().any(|target| !is_beside(target)))
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
            wanted.any(|target| done.iter().any(|one| names(target.text(), one) || fills(target, one)))
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
    // What cannot be read is reported as conditional wherever it stands.
    let read = analysis.effects.iter().filter(|effect| effect.kind != EffectKind::Unknown);
    read.filter(open).map(tell).collect()
}

fn share_a_target(one: &Effect, other: &Effect) -> bool {
    let same = |target: &Target| other.targets.iter().any(|known| known.text() == target.text());
    one.targets.iter().any(same)
}
