//! `mailwarden check`: the configuration, the policy, and the lints.

use chrono::Utc;
use clap::{Args, ValueEnum};
use mailwarden_policy::{Diagnostic, Level, Policy, lint, render};
use mailwarden_settings::{SettingsError, policy_sources};
use serde::Serialize;

use crate::arguments::{Common, TextOrJson};
use crate::failure::{Failure, Outcome};
use crate::output;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 good, or warnings only; 1 a lint that is an error (with --deny warnings: any); \
                        2 the configuration or the policy cannot be used.\n\nExample:\n  \
                        mailwarden check --policy /etc/mailwarden/policy"
)]
pub(crate) struct Check {
    /// Output
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    format: TextOrJson,
    /// What makes the exit code 1 as well
    #[arg(long, value_enum)]
    deny: Option<Deny>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Deny {
    /// Warnings
    Warnings,
}

/// What is said of a policy, for programs.
#[derive(Serialize)]
struct Checked {
    schema: &'static str,
    usable: bool,
    policy: Option<String>,
    errors: usize,
    warnings: usize,
    diagnostics: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    id: &'static str,
    level: &'static str,
    file: String,
    line: usize,
    column: usize,
    message: String,
    fix: String,
}

pub(crate) fn run(common: &Common, check: &Check) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let directory = common.policy_directory(&settings);
    let sources = policy_sources(&directory)?;
    let (policy, mut found) = match Policy::compile(&sources) {
        Ok(compiled) => compiled,
        Err(mistakes) if check.format == TextOrJson::Json => {
            output::print_json(&checked(None, &mistakes))?;
            return Err(Failure::Settings(SettingsError::Invalid(mistakes)));
        }
        Err(mistakes) => return Err(Failure::Settings(SettingsError::Invalid(mistakes))),
    };
    found.extend(lint(&policy, &sources, Utc::now()));
    let summary = format!("{}\npolicy {} in {}\n", policy.summary(), policy.digest(), directory.display());
    match check.format {
        TextOrJson::Json => output::print_json(&checked(Some(policy.digest()), &found))?,
        TextOrJson::Text => {
            if !found.is_empty() {
                output::complain(render(&found, output::colour_on_stderr()).trim_end());
            }
            output::print(&format!("{}: {summary}", verdict(&found)))?;
        }
    }
    let fails =
        |diagnostic: &Diagnostic| diagnostic.level == Level::Error || check.deny == Some(Deny::Warnings);
    Ok(if found.iter().any(fails) { Outcome::Findings } else { Outcome::Clean })
}

fn count(found: &[Diagnostic], level: Level) -> usize {
    found.iter().filter(|diagnostic| diagnostic.level == level).count()
}

fn verdict(found: &[Diagnostic]) -> String {
    match (count(found, Level::Error), count(found, Level::Warning)) {
        (0, 0) => "ok".to_owned(),
        (0, warnings) => format!("ok, {warnings} warning(s)"),
        (errors, warnings) => format!("{errors} error(s), {warnings} warning(s)"),
    }
}

fn checked(policy: Option<&str>, found: &[Diagnostic]) -> Checked {
    let shown = |diagnostic: &Diagnostic| {
        let (line, column) = diagnostic.position();
        Shown {
            id: diagnostic.id,
            level: if diagnostic.level == Level::Error { "error" } else { "warning" },
            file: diagnostic.source.name.to_string(),
            line,
            column,
            message: diagnostic.message.clone(),
            fix: diagnostic.help.clone(),
        }
    };
    Checked {
        schema: "mailwarden.check/1",
        usable: policy.is_some(),
        policy: policy.map(str::to_owned),
        errors: count(found, Level::Error),
        warnings: count(found, Level::Warning),
        diagnostics: found.iter().map(shown).collect(),
    }
}
