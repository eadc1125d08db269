//! `mailwarden judge`: a judgement on what was collected elsewhere.

use mailwarden_settings::load_policy;

use crate::arguments::{Common, Judge};
use crate::failure::{Failure, Outcome};
use crate::{rerender, spool, sweep};

pub(crate) async fn run(common: &Common, judge: &Judge) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let previous = judge.judging.baseline.as_deref().map(rerender::load).transpose()?;
    let collection = spool::load(&judge.input)?;
    if collection.end.is_none() {
        return Err(Failure::Usage(format!(
            "{} is not finished: what it lacks cannot be judged\n  \
             run the same `mailwarden collect` again with --resume",
            judge.input.display()
        )));
    }
    sweep::conclude(&settings, &policy, collection, previous.as_ref(), &judge.judging).await
}
