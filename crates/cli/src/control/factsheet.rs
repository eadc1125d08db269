//! `mailwarden factsheet`: the day-zero sheet of a domain.

use std::fmt::Write as _;

use mailwarden_address::Domain;
use mailwarden_policy::factsheet::{Sheet, sheet};
use mailwarden_settings::load_policy_about;
use serde::Serialize;

use crate::arguments::Common;
use crate::dns::{Observed, last_observed};
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

#[derive(Debug, clap::Args)]
pub(crate) struct FactsheetArguments {
    /// The domain
    domain: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The sheet of the policy, and beside it what was seen.
#[derive(Debug, Serialize)]
struct Filled {
    #[serde(flatten)]
    sheet: Sheet,
    /// What `mailwarden dns check` last found, where it ever looked.
    seen: Option<Observed>,
}

/// Exit code 1 where something is missing: an onboarding is not done before.
pub(crate) async fn run(common: &Common, arguments: &FactsheetArguments) -> Result<Outcome, Failure> {
    let name = Domain::parse(&arguments.domain).map_err(|error| {
        Failure::Usage(format!("`{}` is not a domain: {error}", shown(&arguments.domain)))
    })?;
    let settings = common.settings()?;
    let policy = load_policy_about(&common.policy_directory(&settings), name.as_str())?;
    let Some(domain) = policy.domain(&name) else {
        return Err(Failure::Usage(format!("no [[domain]] of the policy is {name}")));
    };
    let seen = last_observed(&settings, name.as_str()).await;
    let filled = Filled { sheet: sheet(&policy, domain), seen };
    output::answer(arguments.json, &filled, text)?;
    Ok(if filled.sheet.missing.is_empty() { Outcome::Clean } else { Outcome::Findings })
}

fn text(filled: &Filled) -> String {
    let mut out = of_policy(&filled.sheet);
    if let Some(seen) = &filled.seen {
        let _ =
            writeln!(out, "\nSeen in the name service, unchanged since {}:", seen.since.format("%Y-%m-%d"));
        for (what, value) in &seen.published {
            let value = if value.is_empty() { "none".to_owned() } else { shown(value) };
            let _ = writeln!(out, "  {:<34} {value}", shown(what));
        }
    }
    out
}

fn of_policy(sheet: &Sheet) -> String {
    let mut out = "CLIENT DOMAIN FACTSHEET\n".to_owned();
    for line in &sheet.lines {
        let value = line.value.as_deref().map_or("MISSING".to_owned(), shown);
        let _ = writeln!(out, "  {:<34} {value}", line.label);
    }
    if !sheet.missing.is_empty() {
        let _ = writeln!(out, "\nStill missing: {}", sheet.missing.join(", "));
    }
    out
}
