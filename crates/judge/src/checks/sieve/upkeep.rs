//! Effects that hide mail, and scripts that cannot be understood in full.

use std::collections::BTreeSet;

use mailwarden_evidence::Evidence;
use sieve_analysis::{EffectKind, LocalCopy, Reach, Role};

use super::acts::Act;
use super::scene::Scene;
use super::store::Store;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::severity::{Act as Gain, Destination, Life, Weight};
use crate::suspicion::{names_alarms, surer};
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, Severity, State};

/// Folders in which nobody looks for mail. Junk and Archive are left out: filters use them every day.
const BLIND_FOLDERS: [&str; 8] = [
    "trash",
    "\\trash",
    "deleted",
    "deleted items",
    "deleted messages",
    "rss feeds",
    "rss subscriptions",
    "conversation history",
];

/// A message that vanishes. Where it was sent elsewhere first, the finding on that says that no copy stays.
pub(super) fn discard(scene: &Scene<'_>) -> Option<Draft> {
    if scene.around.sends_the_only_copy(scene.act) || scene.life() == Life::Off {
        return None;
    }
    let verb = scene.verb("is thrown away", "would be thrown away");
    Some(hides(scene, "(nowhere)", format!("{} {verb}{}.", scene.mail(), scene.life_clause())))
}

/// Mail filed where nobody looks.
pub(super) fn hidden_folder(scene: &Scene<'_>) -> Option<Draft> {
    let folder = scene
        .act
        .effect
        .targets
        .iter()
        .find(|target| target.role == Role::Mailbox && is_blind_folder(&target.raw))?;
    if scene.life() == Life::Off {
        return None;
    }
    let verb = scene.verb("is filed", "would be filed");
    let read = if marks_seen(scene) { " and marked as read" } else { "" };
    let name = shown(&folder.raw);
    let title = format!("{} {verb} in \"{name}\"{read}{}.", scene.mail(), scene.life_clause());
    Some(hides(scene, &name, title))
}

/// The last part of a folder name, whatever separates its parts.
fn is_blind_folder(name: &str) -> bool {
    let name = name.to_lowercase();
    let last = name.rsplit(['/', '.']).next().unwrap_or_default();
    BLIND_FOLDERS.contains(&last.trim()) || BLIND_FOLDERS.contains(&name.trim())
}

fn marks_seen(scene: &Scene<'_>) -> bool {
    let span = scene.act.effect.span;
    let command = String::from_utf8_lossy(scene.script().bytes(span.start, span.end)).to_lowercase();
    (command.contains(":flags") && command.contains("\\seen")) || scene.around.marks_seen(scene.act)
}

/// Filters throw spam away every day, so hiding alone is little; all mail, or mail marked as read, is more.
/// Words that name alarms only make it surer.
fn hides(scene: &Scene<'_>, place: &str, title: String) -> Draft {
    let draft = scene.draft(&place.to_lowercase(), place);
    let all = scene.act.effect.reach == Reach::Always;
    let stealth = all || marks_seen(scene);
    let life = scene.life();
    let weight = Weight { stealth, life, ..Weight::new(Gain::Hide, Destination::Nobody) };
    let confidence = draft.confidence.min(Confidence::Medium);
    let alarming = names_alarms(&scene.act.effect.conditions);
    Draft {
        check_id: "sieve.hides-mail",
        title,
        severity: weight.severity(),
        confidence: if alarming { surer(confidence) } else { confidence },
        effects: vec!["hide".to_owned()],
        ..draft
    }
}

/// A mailbox that refuses everything loses mail without anybody noticing inside; refusing some of it is a
/// filter.
pub(super) fn refusal(scene: &Scene<'_>) -> Option<Draft> {
    let all = scene.act.effect.reach == Reach::Always && scene.act.effect.local_copy == LocalCopy::Lost;
    let draft = || Draft {
        check_id: "sieve.refuses-mail",
        title: format!("All mail to {} is refused; no copy stays.", scene.mailbox()),
        severity: Severity::Low,
        ..scene.draft("(the sender)", "(the sender)")
    };
    all.then(draft)
}

/// Header fields that decide whom a reader believes and answers.
pub(super) fn headers(scene: &Scene<'_>) -> Option<Draft> {
    const TRUSTED: [&str; 4] = ["from", "reply-to", "sender", "subject"];
    let is_trusted =
        |name: &str| TRUSTED.contains(&name.trim().to_lowercase().as_str()) || name.contains("${");
    let field = scene.act.effect.targets.iter().find(|target| is_trusted(&target.raw))?;
    if scene.life() == Life::Off {
        return None;
    }
    let (name, life) = (shown(&field.raw), scene.life_clause());
    let verb = scene.verb("has", "would have");
    let weight = Weight { life: scene.life(), ..Weight::new(Gain::Answer, Destination::Nobody) };
    Some(Draft {
        check_id: "sieve.changes-header",
        title: format!("{} {verb} its {name} header changed{life}.", scene.mail()),
        severity: weight.severity(),
        ..scene.draft(&name.to_lowercase(), &name)
    })
}

/// An included script that nobody has seen: one that the administrator keeps, or one that may appear later.
pub(super) fn unseen_include(scene: &Scene<'_>) -> Option<Draft> {
    let target = scene.act.effect.targets.first()?;
    let span = scene.act.effect.span;
    let command = String::from_utf8_lossy(scene.script().bytes(span.start, span.end)).to_lowercase();
    let global = command.contains(":global");
    let present = scene.store.scripts.iter().any(|script| script.name.eq_ignore_ascii_case(&target.raw));
    if (present && !global) || scene.life() == Life::Off {
        return None;
    }
    let name = shown(&target.raw);
    let what = if global { "a global script" } else { "a script the mailbox does not have" };
    let (script, mailbox) = (shown(scene.script().name), scene.mailbox());
    Some(Draft {
        check_id: "sieve.include-unseen",
        title: format!(
            "Script \"{script}\" of {mailbox} includes {what}, \"{name}\", that was not looked at."
        ),
        severity: Weight { life: scene.life(), ..Weight::new(Gain::Answer, Destination::Nobody) }.severity(),
        confidence: Confidence::Low,
        ..scene.draft(&format!("{global} {name}"), &name)
    })
}

/// A command or region that this program does not understand can do anything.
pub(super) fn unknown(scene: &Scene<'_>) -> Option<Draft> {
    let span = scene.act.effect.span;
    let code = String::from_utf8_lossy(scene.script().bytes(span.start, span.end)).trim().to_owned();
    let (script, mailbox) = (shown(scene.script().name), scene.mailbox());
    let head = shown(code.lines().next().unwrap_or_default());
    let weight = Weight { life: scene.life(), ..Weight::new(Gain::NotUnderstood, Destination::Nobody) };
    Some(Draft {
        check_id: "sieve.unknown",
        title: format!(
            "Line {} of script \"{script}\" of {mailbox} is not understood; it can do anything.",
            span.line
        ),
        severity: weight.severity(),
        confidence: Confidence::Low,
        effects: vec!["unknown".to_owned()],
        ..scene.draft(&code, &head)
    })
}

/// Scripts that known engines read differently, on a server that does not say which it is.
pub(super) fn disagreements(store: &Store<'_>, acts: &[Act]) -> Vec<Draft> {
    let engines = store.dialects.len();
    let leaves = |act: &&Act| {
        let kind = act.effect.kind;
        matches!(
            kind,
            EffectKind::Redirect
                | EffectKind::Notify
                | EffectKind::Report
                | EffectKind::Pipe
                | EffectKind::Execute
                | EffectKind::Filter
        )
    };
    let partly = acts.iter().filter(leaves).filter(|act| act.read_by.len() < engines);
    let scripts: BTreeSet<usize> = partly.map(|act| act.holder).collect();
    scripts.into_iter().map(|script| disagreement(store, script)).collect()
}

fn disagreement(store: &Store<'_>, number: usize) -> Draft {
    let script = &store.scripts[number];
    let (name, mailbox) = (shown(script.name), store.mailbox);
    let life = if script.runs() { Life::Acting } else { Life::Asleep };
    let weight = Weight { life, ..Weight::new(Gain::NotUnderstood, Destination::Nobody) };
    Draft {
        check_id: "sieve.engines-disagree",
        title: format!("Script \"{name}\" of {mailbox} does different things on different mail servers."),
        severity: weight.severity(),
        state: if script.runs() { State::Active } else { State::Dormant },
        conditions: "the server does not say which Sieve engine it runs".to_owned(),
        content: vec![script.source.to_vec()],
        ..of_script(store, number)
    }
}

/// Says how many findings are not listed.
pub(super) fn too_many(store: &Store<'_>, surplus: usize) -> Option<Draft> {
    let longest = (0..store.scripts.len()).max_by_key(|number| store.scripts[*number].source.len())?;
    let mailbox = store.mailbox;
    let lines = store.scripts[longest].last_line();
    Some(Draft {
        check_id: "sieve.too-many",
        title: format!("The scripts of {mailbox} do {surplus} more things than a report can list."),
        severity: Severity::High,
        conditions: format!("the longest script has {lines} lines; the worst of what they do is listed"),
        content: store.scripts.iter().map(|script| script.source.to_vec()).collect(),
        ..of_script(store, longest)
    })
}

fn of_script(store: &Store<'_>, number: usize) -> Draft {
    let script = &store.scripts[number];
    let name = shown(script.name);
    let read =
        format!("read script \"{name}\" by hand and replace it with one that says plainly what it does");
    let excerpt = script.lines(0, 0).chars().take(Evidence::MAX_EXCERPT).collect();
    Draft {
        check_id: "",
        title: String::new(),
        severity: Severity::Medium,
        confidence: Confidence::Low,
        state: State::Active,
        mailbox: store.mailbox.to_owned(),
        surface: store.surface.to_owned(),
        locator: Locator { script: Some(script.name.to_owned()), ..Locator::default() },
        identity: vec![script.name.to_owned()],
        content: Vec::new(),
        effects: vec!["unknown".to_owned()],
        beneficiary: Beneficiary { kind: BeneficiaryKind::Unresolvable, value: name.clone(), person: None },
        path: vec![store.mailbox.to_owned(), format!("Sieve script \"{name}\"")],
        conditions: String::new(),
        evidence: vec![Evidence { excerpt, ..script.seen.evidence.clone() }],
        remediation: on_surface(store.surface, read, "put the saved script back".to_owned(), None),
    }
}
