//! `mailwarden judge`: a judgement on what was collected elsewhere.

use mailwarden_settings::load_policy;

use crate::arguments::{Common, Judge};
use crate::failure::{Failure, Outcome};
use crate::{rerender, spool, sweep};

pub(crate) async fn run(common: &Common, judge: &Judge) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let previous = judge.judging.baseline.as_deref().map(rerender::load).transpose()?;
    let collection = spool::load_finished(&judge.input)?;
    sweep::conclude(&settings, &policy, collection, previous.as_ref(), &judge.judging).await
}
