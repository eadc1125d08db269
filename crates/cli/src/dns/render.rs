//! `mailwarden dns render`.

use std::fmt::Write as _;

use mailwarden_dns::{Difference, Fares, Rendering, Wanted, diff, render};
use mailwarden_settings::load_policy;

use super::look::{Looked, outside};
use super::{Render, RenderFormat, own, subject};
use crate::arguments::Common;
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

pub(super) async fn run(common: &Common, arguments: &Render) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let subjects = match &arguments.domain {
        Some(name) => vec![subject(&policy, name)?],
        None => own(&policy),
    };
    let renderings: Vec<Rendering> = subjects.iter().map(render).collect();
    if !arguments.diff {
        return print(&renderings, arguments.format, None).map(|()| Outcome::Clean);
    }
    let mut live = Looked::default();
    let questions = renderings.iter().flat_map(|rendering| &rendering.records).map(Wanted::question);
    live.ask(
        &outside(&settings)?,
        questions.collect::<std::collections::BTreeSet<_>>().into_iter().collect(),
    )
    .await;
    let differences: Vec<Difference> =
        renderings.iter().flat_map(|rendering| diff(rendering, &live.answers)).collect();
    if arguments.format == RenderFormat::Nsupdate {
        print(&renderings, arguments.format, Some(&live))?;
    } else {
        output::print(&differences.iter().map(text).collect::<String>())?;
    }
    Ok(outcome(&differences))
}

fn print(renderings: &[Rendering], format: RenderFormat, live: Option<&Looked>) -> Result<(), Failure> {
    let written = |rendering: &Rendering| match format {
        RenderFormat::Zone => rendering.zone(),
        RenderFormat::Nsupdate => rendering.nsupdate(live.map(|live| &live.answers)),
        RenderFormat::Table => rendering.table(),
    };
    let texts: Vec<String> = renderings.iter().map(written).collect();
    Ok(output::print(&texts.join("\n"))?)
}

/// What is good takes one line.
fn text(difference: &Difference) -> String {
    let mark = match difference.fares {
        Fares::Same => "ok       ",
        Fares::Missing => "MISSING  ",
        Fares::Different => "DIFFERENT",
        Fares::Unknown => "unknown  ",
    };
    let mut out = format!("{mark}  {}. {}\n", difference.owner, difference.kind.as_str());
    if difference.fares != Fares::Same {
        let mut lines = |sign: &str, values: &[String]| {
            values.iter().for_each(|value| {
                let _ = writeln!(out, "           {sign} {}", shown(value));
            });
        };
        lines("-", &difference.is);
        lines("+", &difference.should);
    }
    out
}

fn outcome(differences: &[Difference]) -> Outcome {
    let any = |fares: &[Fares]| differences.iter().any(|difference| fares.contains(&difference.fares));
    if any(&[Fares::Missing, Fares::Different]) {
        Outcome::Findings
    } else if any(&[Fares::Unknown]) {
        Outcome::Incomplete
    } else {
        Outcome::Clean
    }
}
