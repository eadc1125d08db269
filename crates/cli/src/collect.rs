//! `mailwarden collect`: the rounds without a judgement.

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
    let collected = rounds::make(plan, &wanted, spool).await?;
    let gaps = collected.coverage.iter().filter(|row| !row.state.is_complete()).count();
    complain(&format!(
        "collected: {} mailboxes, {} observations, {gaps} gaps in {}",
        collected.done.len().saturating_sub(1),
        collected.observations.len(),
        collect.output.display()
    ));
    Ok(if gaps > 0 { Outcome::Incomplete } else { Outcome::Clean })
}
