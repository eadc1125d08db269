//! `mailwarden collect`: the rounds without a judgement.

use std::path::Path;

use mailwarden_evidence::Tally;
use mailwarden_report::Format;
use mailwarden_settings::load_policy;

use crate::arguments::{Collect, Common};
use crate::failure::{Failure, Outcome};
use crate::output::complain;
use crate::rounds::{self, Wanted};
use crate::spool::Spool;
use crate::{sharing, surfaces};

pub(crate) async fn run(common: &Common, collect: &Collect) -> Result<Outcome, Failure> {
    if collect.looking.surfaces {
        return surfaces::list(&common.settings()?, Format::Text);
    }
    let settings = common.settings()?;
    let wanted = Wanted::of(&settings, &collect.looking)?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let plan = rounds::plan(&settings, &policy, &collect.looking, &wanted)?;
    if collect.share {
        return sharing::run(&settings, collect, &wanted, plan).await;
    }
    let spool = Spool::file(&collect.output, rounds::head(&wanted, &plan), collect.resume)?;
    let tally = rounds::make(plan, &wanted, spool).await?.close()?;
    complain(&summary(&tally, &collect.output));
    Ok(outcome(&tally))
}

/// How much there is of a collection, and where.
pub(crate) fn summary(tally: &Tally, output: &Path) -> String {
    format!(
        "collected: {} mailboxes, {} observations, {} gaps in {}",
        // The mail system is a group too.
        tally.groups.saturating_sub(1),
        tally.observations,
        tally.gaps,
        output.display()
    )
}

pub(crate) fn outcome(tally: &Tally) -> Outcome {
    if tally.gaps > 0 { Outcome::Incomplete } else { Outcome::Clean }
}
