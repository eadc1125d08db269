//! `mailwarden postfix render`: what main.cf has to say.

use mailwarden_postfix::render::{Recipe, main_cf};
use mailwarden_settings::load_policy;

use crate::arguments::{Common, PostfixRender, RecipeChoice};
use crate::failure::{Failure, Outcome};
use crate::output;

pub(crate) fn run(common: &Common, render: &PostfixRender) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let milter = render.milter.as_deref().unwrap_or(&settings.gate.listen);
    let recipe = match render.recipe {
        RecipeChoice::Relay => Recipe::Relay,
        RecipeChoice::VirtualAlias => Recipe::VirtualAlias,
    };
    output::print(&main_cf(&policy, milter, recipe))?;
    Ok(Outcome::Clean)
}
