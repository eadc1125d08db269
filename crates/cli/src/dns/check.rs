//! `mailwarden dns check`: resolver, evaluation, judge, report, ledger, in this order.

use chrono::Utc;
use mailwarden_dns::{Evaluation, Family, Subject, concerns, subjects};
use mailwarden_evidence::{Coverage, CoverageState, Observation};
use mailwarden_judge::{Run, judge};
use mailwarden_settings::{Settings, load_policy};
use uuid::Uuid;

use super::look::{Looked, outside};
use super::observed::{note, observed};
use super::{Check, subject};
use crate::arguments::Common;
use crate::failure::{Failure, Outcome};
use crate::output::shown;
use crate::remembered::remember;
use crate::{rerender, sweep};

pub(super) async fn run(common: &Common, arguments: &Check) -> Result<Outcome, Failure> {
    let asked = families(&arguments.surface)?;
    let settings = common.settings()?;
    let previous = arguments.judging.baseline.as_deref().map(rerender::load).transpose()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let subjects = match arguments.all {
        true => subjects(&policy),
        false => arguments.domains.iter().map(|name| subject(&policy, name)).collect::<Result<_, _>>()?,
    };
    let outside = outside(&settings)?;
    let (families, off) = switched_on(&settings, &asked);
    let started = Utc::now();
    let mut looked = Looked::default();
    let evaluations = looked.at_all(&outside, &subjects, &families, started).await;
    let all: Vec<(Subject, Evaluation)> = subjects.into_iter().zip(evaluations).collect();
    let source = outside.label();
    let mut coverage: Vec<Coverage> = Vec::new();
    for (subject, evaluation) in &all {
        coverage.extend(looked.coverage(&source, (subject, evaluation), &families));
        coverage.extend(
            off.iter().filter(|(family, _)| concerns(*family, subject)).map(|off| skipped(subject, off)),
        );
    }
    let mut observations = looked.observations(&source, &all);
    let before = observed(&settings).await;
    observations
        .extend(before.iter().filter_map(|before| before.observation(&all)).collect::<Vec<Observation>>());
    let run = Run {
        run_id: Uuid::now_v7().to_string(),
        tool: concat!("mailwarden ", env!("CARGO_PKG_VERSION")).to_owned(),
        started,
        now: Utc::now(),
        surfaces: asked.iter().map(|family| family.surface().to_owned()).collect(),
    };
    let report = judge(&run, &policy, &observations, coverage);
    let report = remember(&settings, &policy, report, previous.as_ref()).await;
    note(&settings, &all, &before, started).await;
    sweep::write(&report, &arguments.judging)?;
    Ok(sweep::outcome(&report, &arguments.judging))
}

fn families(surfaces: &[String]) -> Result<Vec<Family>, Failure> {
    if surfaces.is_empty() {
        return Ok(Family::ALL.to_vec());
    }
    let known = || Family::ALL.map(Family::surface).join(", ");
    let family = |id: &String| {
        let unknown = || Failure::Usage(format!("no surface is called `{}`; known: {}", shown(id), known()));
        Family::of(id).ok_or_else(unknown)
    };
    surfaces.iter().map(family).collect()
}

/// A family that the configuration switches off, and how to switch it on.
type Off = (Family, &'static str);

fn switched_on(settings: &Settings, asked: &[Family]) -> (Vec<Family>, Vec<Off>) {
    let why = |family: Family| match family {
        Family::Smtp | Family::Recipients if !settings.dns.smtp => Some("smtp = false under [dns]"),
        Family::Registration if settings.dns.rdap.is_empty() => Some("rdap is empty under [dns]"),
        _ => None,
    };
    let off = asked.iter().filter_map(|family| Some((*family, why(*family)?))).collect();
    (asked.iter().copied().filter(|family| why(*family).is_none()).collect(), off)
}

fn skipped(subject: &Subject, (family, why): &Off) -> Coverage {
    Coverage {
        mailbox: subject.label(),
        surface: family.surface().to_owned(),
        state: CoverageState::Skipped,
        reason: format!("not asked: {why}"),
        source: "configuration".to_owned(),
    }
}
