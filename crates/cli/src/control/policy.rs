//! `mailwarden policy`: import, new, schema.

use std::path::PathBuf;

use chrono::Utc;
use clap::{Args, Subcommand};
use mailwarden_address::Domain;
use mailwarden_policy::{MAX_IMPORT_BYTES, import, json_schema, starter};

use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Turn mailbox records (YAML) and domain factsheets (plain text) into TOML
    #[command(after_help = "Example:\n  mailwarden policy import records.yaml factsheet.txt > acme.toml")]
    Import(ImportArguments),
    /// Print the policy of a new client, complete and commented
    #[command(after_help = "Example:\n  mailwarden policy new Acme --domain acme.example > policy/acme.toml")]
    New(NewArguments),
    /// Print the JSON Schema of a policy file, for editors
    #[command(after_help = "Example:\n  mailwarden policy schema > policy.schema.json")]
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Files with records, one after the other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The client's name
    client: String,
    /// Its domain
    #[arg(long, default_value = "client.example")]
    domain: String,
}

pub(crate) fn run(command: &PolicyCommand) -> Result<Outcome, Failure> {
    match command {
        PolicyCommand::Import(arguments) => import_files(arguments),
        PolicyCommand::New(arguments) => {
            let domain = Domain::parse(&arguments.domain).map_err(|error| {
                Failure::Usage(format!("`{}` is not a domain: {error}", shown(&arguments.domain)))
            })?;
            output::print(&starter(&arguments.client, &domain, Utc::now()))?;
            Ok(Outcome::Clean)
        }
        PolicyCommand::Schema => {
            output::print(&json_schema())?;
            Ok(Outcome::Clean)
        }
    }
}

/// Exit code 1 where something has to be finished by hand.
fn import_files(arguments: &ImportArguments) -> Result<Outcome, Failure> {
    let mut clean = true;
    for file in &arguments.files {
        let name = shown(&file.display().to_string());
        let failed = |error: String| Failure::Usage(format!("cannot read {name}: {error}"));
        let size = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
        if size > MAX_IMPORT_BYTES as u64 {
            return Err(failed(format!("it is larger than {MAX_IMPORT_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        let imported = import(&text);
        output::print(&imported.toml)?;
        for note in &imported.notes {
            clean = false;
            output::complain(&format!("{name}: {}", shown(note)));
        }
    }
    Ok(if clean { Outcome::Clean } else { Outcome::Findings })
}
