//! `mailwarden checks`: what the rounds look for.

use mailwarden_judge::catalogue::{CHECKS, Check, check};

use crate::arguments::{Checks, TextOrJson};
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

pub(crate) fn run(checks: &Checks) -> Result<Outcome, Failure> {
    let json = checks.format == TextOrJson::Json;
    match &checks.id {
        None => output::answer(json, &*CHECKS, |all| all.iter().map(line).collect())?,
        Some(id) => {
            let unknown =
                || Failure::Usage(format!("no check is called `{}`; see `mailwarden checks`", shown(id)));
            output::answer(json, check(id).ok_or_else(unknown)?, Check::page)?;
        }
    }
    Ok(Outcome::Clean)
}

fn line(check: &Check) -> String {
    format!("{:<26} {}\n", check.id, check.what)
}
