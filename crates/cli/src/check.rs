//! `mailwarden check`.

use mailwarden_policy::render;
use mailwarden_settings::load_policy;

use crate::arguments::Common;
use crate::failure::{Failure, Outcome};
use crate::output;

pub(crate) fn run(common: &Common) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let directory = common.policy_directory(&settings);
    let (policy, warnings) = load_policy(&directory)?;
    if !warnings.is_empty() {
        output::complain(render(&warnings, output::colour_on_stderr()).trim_end());
    }
    output::print(&format!(
        "ok: {}\npolicy {} in {}\n",
        policy.summary(),
        policy.digest(),
        directory.display()
    ))?;
    Ok(Outcome::Clean)
}
