//! `mailwarden dns`: what domains have to publish, and what they do.

mod check;
mod look;
mod observed;
mod render;

use clap::{Args, Subcommand, ValueEnum};
use mailwarden_dns::{Role, Subject, subjects};
use mailwarden_policy::Policy;

use crate::arguments::{Common, Judging};
use crate::failure::{Failure, Outcome};
use crate::output::shown;

pub(crate) use observed::{Observed, last_observed};

#[derive(Debug, Subcommand)]
pub(crate) enum DnsCommand {
    /// The records that a domain has to publish for its profile
    #[command(after_help = RENDER_EXAMPLES)]
    Render(Render),
    /// What domains publish and what their hosts say, against their profile
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
}

const RENDER_EXAMPLES: &str = "Examples:
  mailwarden dns render example.com
  mailwarden dns render example.com --format nsupdate --diff
  mailwarden dns render --format table

Exit codes with --diff: 0 everything is published as it should be; 1 something is not; 3 something could not be
looked at.";

const CHECK_EXAMPLES: &str = "Examples:
  mailwarden dns check example.com
  mailwarden dns check --all --format json
  mailwarden dns check --all --surface dns.mx --surface dns.registration
  mailwarden dns check --all --baseline last/report.json --fail-on new

What could not be looked at is said, and is never taken for good.";

#[derive(Debug, Args)]
pub(crate) struct Render {
    /// The domain or scope; every one of the policy when absent
    #[arg(value_name = "DOMAIN")]
    pub(crate) domain: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value_t = RenderFormat::Zone)]
    pub(crate) format: RenderFormat,
    /// Compare with what is published
    #[arg(long)]
    pub(crate) diff: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RenderFormat {
    /// A zone file
    Zone,
    /// A script for nsupdate
    Nsupdate,
    /// A table
    Table,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Domains and scopes to look at
    #[arg(value_name = "DOMAIN", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) domains: Vec<String>,
    /// Every domain and scope of the policy, and every outside domain that holds a recovery address
    #[arg(long)]
    pub(crate) all: bool,
    /// Only this surface, e.g. dns.spf; may be given several times
    #[arg(long, value_name = "ID")]
    pub(crate) surface: Vec<String>,
    #[command(flatten)]
    pub(crate) judging: Judging,
}

pub(crate) async fn run(common: &Common, command: &DnsCommand) -> Result<Outcome, Failure> {
    match command {
        DnsCommand::Render(arguments) => render::run(common, arguments).await,
        DnsCommand::Check(arguments) => check::run(common, arguments).await,
    }
}

/// The domain of the policy that is called so.
fn subject(policy: &Policy, name: &str) -> Result<Subject, Failure> {
    let wanted = name.trim_end_matches('.').to_lowercase();
    subjects(policy).into_iter().find(|subject| subject.label() == wanted).ok_or_else(|| {
        Failure::Usage(format!(
            "no [[domain]] or [[scope]] of the policy is {}\n  add it with its profile",
            shown(name)
        ))
    })
}

/// Every domain and scope of the policy.
fn own(policy: &Policy) -> Vec<Subject> {
    subjects(policy).into_iter().filter(|subject| subject.role != Role::Recovery).collect()
}
