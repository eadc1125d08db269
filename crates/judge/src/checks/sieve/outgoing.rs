//! Effects by which something leaves the mailbox.

use mailwarden_address::Domain;
use sieve_analysis::{EffectKind, Form, Role, Target};

use super::scene::Scene;
use crate::beneficiary::Standing;
use crate::draft::Draft;
use crate::severity::{Act, Destination, Life, Weight};
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind, Confidence, Severity};

/// The check of each way out, by how the destination stands.
struct Checks {
    external: &'static str,
    approved: &'static str,
    internal: &'static str,
    computed: &'static str,
}

fn checks(kind: EffectKind) -> Checks {
    match kind {
        EffectKind::Notify => Checks {
            external: "sieve.notify-external",
            approved: "sieve.notify-approved",
            internal: "sieve.notify-internal",
            computed: "sieve.notify-computed",
        },
        EffectKind::Report => Checks {
            external: "sieve.report-external",
            approved: "sieve.report-approved",
            internal: "sieve.report-internal",
            computed: "sieve.report-computed",
        },
        _ => Checks {
            external: "sieve.redirect-external",
            approved: "sieve.redirect-approved",
            internal: "sieve.redirect-internal",
            computed: "sieve.redirect-computed",
        },
    }
}

/// Redirects, reports and notices: one finding for each recipient.
pub(super) fn check(scene: &Scene<'_>) -> Vec<Draft> {
    let effect = &scene.act.effect;
    if effect.targets.is_empty() {
        return vec![computed(scene, "(an address that is not known)")];
    }
    effect.targets.iter().filter_map(|target| check_target(scene, target)).collect()
}

fn check_target(scene: &Scene<'_>, target: &Target) -> Option<Draft> {
    if is_computed(scene, target) {
        return Some(computed(scene, &target.raw));
    }
    let standing = scene.brief.standing(scene.mailbox(), target.text());
    match target.role {
        Role::Method => Some(other_method(scene, &target.raw)),
        _ if standing.is_mailbox(scene.mailbox()) => None,
        _ if standing.kind == BeneficiaryKind::Unresolvable => Some(computed(scene, &target.raw)),
        _ => Some(known(scene, &standing)),
    }
}

/// Whether parts of a target are filled in when a message comes.
fn is_computed(scene: &Scene<'_>, target: &Target) -> bool {
    let open = matches!(scene.act.effect.form, Form::Template | Form::Unbounded);
    target.role == Role::List || (open && target.raw.contains("${"))
}

fn gain(kind: EffectKind) -> Act {
    if kind == EffectKind::Notify { Act::Notice } else { Act::Receive }
}

fn known(scene: &Scene<'_>, standing: &Standing<'_>) -> Draft {
    let kind = scene.act.effect.kind;
    let names = checks(kind);
    let check_id = match standing.kind {
        BeneficiaryKind::Internal => names.internal,
        BeneficiaryKind::Approved => names.approved,
        _ => names.external,
    };
    let destination = standing.destination();
    // A copy that stays inside the house is no loss to it, so only a person's own mailbox makes it worth a
    // question.
    let weight = Weight {
        leaver: standing.left,
        stealth: standing.is_private,
        ..Weight::new(gain(kind), destination)
    };
    let severity = match destination {
        Destination::InternalRole => Severity::Info,
        _ => scene.weigh(weight),
    };
    let to = format!("{} {}", standing.direction(), standing.named());
    Draft {
        check_id,
        title: title(scene, &to),
        severity,
        beneficiary: standing.beneficiary(),
        ..scene.draft(&standing.key, &standing.value)
    }
}

fn title(scene: &Scene<'_>, to: &str) -> String {
    let (mail, life) = (scene.mail(), scene.life_clause());
    match scene.act.effect.kind {
        EffectKind::Notify => {
            let verb = scene.verb("are sent", "would be sent");
            format!("Notices about {} {verb} {to}{life}.", lower_first(&mail))
        }
        EffectKind::Report => {
            let verb = scene.verb("is sent as an abuse report", "would be sent as an abuse report");
            format!("{mail} {verb} {to}{life}.")
        }
        _ => {
            let verb = scene.verb("is forwarded", "would be forwarded");
            format!("{mail} {verb} {to}{life}{}.", scene.copy_clause())
        }
    }
}

fn lower_first(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

fn computed(scene: &Scene<'_>, raw: &str) -> Draft {
    let kind = scene.act.effect.kind;
    let inside = domain_of(raw).is_some_and(|domain| scene.brief.policy.is_ours(&domain));
    let destination = if inside { Destination::ComputedInside } else { Destination::Computed };
    let whose = match (scene.act.effect.sender_controlled, scene.act.effect.form) {
        (true, _) => "to an address the sender chooses",
        (false, Form::List) => "to a list kept outside the script",
        (false, _) => "to an address that is made up at delivery",
    };
    let value = shown(raw);
    Draft {
        check_id: checks(kind).computed,
        title: title(scene, &format!("{whose}: {value}")),
        severity: scene.weigh(Weight::new(gain(kind), destination)),
        confidence: scene.confidence().min(Confidence::Medium),
        beneficiary: Beneficiary { kind: BeneficiaryKind::Unresolvable, value: value.clone(), person: None },
        ..scene.draft(&raw.to_lowercase(), &value)
    }
}

/// The domain of a template, where no part of it is open.
fn domain_of(raw: &str) -> Option<Domain> {
    let (_, domain) = raw.rsplit_once('@')?;
    Domain::parse(domain.trim()).ok()
}

/// RFC 5435: a notice may go by telephone, chat or any other method; all of them lead outside.
fn other_method(scene: &Scene<'_>, uri: &str) -> Draft {
    let value = shown(uri);
    Draft {
        check_id: checks(EffectKind::Notify).external,
        title: title(scene, &format!("outside to {value}")),
        severity: scene.weigh(Weight::new(Act::Notice, Destination::External)),
        beneficiary: Beneficiary { kind: BeneficiaryKind::External, value: value.clone(), person: None },
        ..scene.draft(uri, &value)
    }
}

/// Automatic answers that speak for, or as, an address that is not ours.
pub(super) fn vacation(scene: &Scene<'_>) -> Vec<Draft> {
    let foreign = |target: &Target| {
        let standing = scene.brief.standing(scene.mailbox(), target.text());
        let outside = matches!(standing.kind, BeneficiaryKind::External | BeneficiaryKind::Approved);
        outside.then(|| answers(scene, &standing))
    };
    let spoken = |target: &&Target| matches!(target.role, Role::From | Role::AnswersFor);
    scene.act.effect.targets.iter().filter(spoken).filter_map(foreign).collect()
}

fn answers(scene: &Scene<'_>, standing: &Standing<'_>) -> Draft {
    let (mailbox, named, life) = (scene.mailbox(), standing.named(), scene.life_clause());
    let verb = scene.verb("name", "would name");
    let weight = Weight { leaver: standing.left, ..Weight::new(Act::Answer, standing.destination()) };
    Draft {
        check_id: "sieve.vacation-foreign",
        title: format!("Automatic answers from {mailbox} {verb} the outside address {named}{life}."),
        severity: weight_in_the_open(scene, weight),
        beneficiary: standing.beneficiary(),
        ..scene.draft(&standing.key, &standing.value)
    }
}

/// An answer leaves the message where it is, so what other rules do to the copy says nothing about it.
fn weight_in_the_open(scene: &Scene<'_>, weight: Weight) -> Severity {
    let leaver = weight.leaver || scene.brief.owner_left(scene.mailbox());
    Weight { leaver, life: scene.life(), ..weight }.severity()
}

/// Programs that receive the message, or run because of it.
pub(super) fn programs(scene: &Scene<'_>) -> Vec<Draft> {
    let named: Vec<&str> = scene
        .act
        .effect
        .targets
        .iter()
        .filter(|target| target.role == Role::Program)
        .map(|target| target.raw.as_str())
        .collect();
    let named = if named.is_empty() { vec!["(not known)"] } else { named };
    named.into_iter().map(|program| runs(scene, program)).collect()
}

fn runs(scene: &Scene<'_>, program: &str) -> Draft {
    let (value, life) = (shown(program), scene.life_clause());
    let verb = match (scene.act.effect.kind, scene.life()) {
        (EffectKind::Pipe, Life::Acting) => "is handed to",
        (EffectKind::Pipe, _) => "would be handed to",
        (EffectKind::Filter, Life::Acting) => "is rewritten by",
        (EffectKind::Filter, _) => "would be rewritten by",
        (_, Life::Acting) => "starts",
        (..) => "would start",
    };
    let weight = Weight::new(Act::Run, Destination::Nobody);
    Draft {
        check_id: "sieve.runs-program",
        title: format!("{} {verb} the program {value}{life}.", scene.mail()),
        severity: weight_in_the_open(scene, weight),
        beneficiary: Beneficiary { kind: BeneficiaryKind::Command, value: value.clone(), person: None },
        ..scene.draft(program, &value)
    }
}
