//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mailwarden_evidence::Profile;
use mailwarden_judge::Severity;
use mailwarden_settings::Settings;

use crate::approve::Approved;
use crate::check::Check;
use crate::control::access::AccessCommand;
use crate::control::factsheet::FactsheetArguments;
use crate::control::offboard::OffboardCommand;
use crate::control::policy::PolicyCommand;
use crate::control::record::RecordArguments;
use crate::control::reset::ResetCommand;
use crate::control::review::ReviewArguments;
use crate::failure::Failure;
use crate::manual::Manual;
use crate::notify::NotifyArguments;
use crate::sieve_arguments::SieveCommand;

/// Who can this mail reach, who owns it, who can reset it, and who let it be so?
#[derive(Debug, Parser)]
#[command(name = "mailwarden", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done and clean; 1 findings or a failed check; 2 wrong usage or \
configuration; 3 not everything could be looked at; 4 something could not be reached or is our fault.";

/// Where configuration and policy are.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Configuration file [default: /etc/mailwarden/mailwarden.toml, where it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Policy directory or file, before the one in the configuration
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) policy: Option<PathBuf>,
    /// Ledger, before the one in the configuration: sqlite:/PATH or postgres://USER@HOST/DATABASE
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) ledger: Option<String>,
}

impl Common {
    /// The settings with the command line's values in place.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let mut settings = Settings::load(self.config.as_deref())?;
        if let Some(url) = &self.ledger {
            settings.use_ledger(url);
        }
        Ok(settings)
    }

    /// Where the policy is.
    pub(crate) fn policy_directory(&self, settings: &Settings) -> PathBuf {
        self.policy.clone().unwrap_or_else(|| settings.policy_directory())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Validate configuration and policy, and run the lints
    Check(Check),
    /// The checks of the rounds, or one of them in full
    #[command(after_help = "Examples:\n  mailwarden checks\n  mailwarden checks sieve.redirect-external")]
    Checks(Checks),
    /// Who owns an address, who may reset it, who must approve
    #[command(
        after_help = "Examples:\n  mailwarden who support@example.com\n  mailwarden who --json ops@example.com"
    )]
    Who(Who),
    /// The gate's decision about a message, with its trace; no mail server is needed
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// What Postfix needs
    #[command(subcommand)]
    Postfix(PostfixCommand),
    /// What domains have to publish, and what they do
    #[command(subcommand)]
    Dns(crate::dns::DnsCommand),
    /// Sieve scripts
    #[command(subcommand)]
    Sieve(SieveCommand),
    /// Make the rounds: look at mailboxes and maps, report what outlives a password
    #[command(after_help = SWEEP_EXAMPLES)]
    Sweep(Sweep),
    /// Make the rounds and write down what was seen, to be judged elsewhere
    #[command(after_help = COLLECT_EXAMPLES)]
    Collect(Collect),
    /// Judge what `mailwarden collect` wrote; no mail server is needed
    #[command(after_help = "Example:\n  mailwarden judge --input mx1.jsonl --format html > report.html")]
    Judge(Judge),
    /// Where mail to an address ends, or what a person can still read, receive, send as and log in as
    #[command(after_help = REACH_EXAMPLES)]
    Reach(Reach),
    /// Plan the removal of findings; with --apply, make it so that it can be undone
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke(Revoke),
    /// Put back what a change replaced, byte for byte
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore(Restore),
    /// The audit ledger
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// The gate's recent decisions
    #[command(subcommand)]
    Gate(GateCommand),
    /// Vendor addresses: who was given them, what they heard, and whether they are in use
    #[command(subcommand)]
    Vendors(VendorsCommand),
    /// Render a saved report in another format
    #[command(after_help = "Example:\n  mailwarden report out/report.json --format html > report.html")]
    Report(Rerender),
    /// Tell whom the configuration names what is new in a saved report
    #[command(after_help = "Example:\n  mailwarden notify out/report.json --dry-run")]
    Notify(NotifyArguments),
    /// Policy files: import, new, schema
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// What was collected about a domain on day zero, and what is missing
    #[command(after_help = "Example:\n  mailwarden factsheet example.com")]
    Factsheet(FactsheetArguments),
    /// Password resets, from the request to the sweep that ends them
    #[command(subcommand)]
    Reset(ResetCommand),
    /// Access to a mailbox for a time
    #[command(subcommand)]
    Access(AccessCommand),
    /// Offboarding, from containment to the sweep that ends it
    #[command(subcommand)]
    Offboard(OffboardCommand),
    /// What lapsed, what is stale, what is due
    #[command(after_help = "Example:\n  mailwarden review --json")]
    Review(ReviewArguments),
    /// Record what happened to mailboxes elsewhere
    Record(RecordArguments),
    /// Shell completions on standard output
    #[command(after_help = "Example:\n  mailwarden completions bash > /etc/bash_completion.d/mailwarden")]
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// The manual page on standard output, or a page for every command into a directory
    #[command(after_help = "Example:\n  mailwarden man --output /usr/local/share/man/man1")]
    Man(Manual),
}

const EXPLAIN_EXAMPLES: &str = "Examples:
  mailwarden explain --from a@vendor.example --rcpt shop@saas.example.com --header-from 'Shop <a@vendor.example>'
  mailwarden explain --from '' --rcpt jane@example.com --message suspicious.eml";

const SWEEP_EXAMPLES: &str = "Examples:
  mailwarden sweep --all
  mailwarden sweep sales@example.com --format json
  mailwarden sweep --all --output /var/lib/mailwarden/reports --severity high
  mailwarden sweep --all --baseline last/report.json --fail-on new
  mailwarden sweep --all --profile full --limit-rate 20 --output reports --resume

\"Clean\" is printed only when every surface asked for was looked at completely.";

const COLLECT_EXAMPLES: &str = "Examples:
  mailwarden collect --all --profile full --output mx1.jsonl
  mailwarden collect --all --output mx1.jsonl --resume
  mailwarden judge --input mx1.jsonl
  mailwarden collect --all --share --run week-47 --output week-47.jsonl

An interrupted file is continued with --resume: no mailbox is lost, none is looked at twice. With --share the same
command on several machines divides the mailboxes among them, and each writes the whole; who dies is replaced by the
others. It needs [ledger] in PostgreSQL.";

const REACH_EXAMPLES: &str = "Examples:
  mailwarden reach sales@example.com
  mailwarden reach 'Bob Leaver' --input /var/lib/mailwarden/reports
  mailwarden reach bob@example.com --format svg > bob.svg

Without --input everything is looked at now. Exit code 3: the answer has parts that are not known; they are listed.";

const REVOKE_EXAMPLES: &str = "Examples:
  mailwarden revoke 3f2a9c41d0b7e865 --input /var/lib/mailwarden/reports
  mailwarden revoke 3f2a9c41 --apply --ticket OFF-12 --approved-by jane@example.com

Nothing is changed without --apply. Before a change its prior state is in the ledger; `mailwarden restore` puts it back.";

const RESTORE_EXAMPLES: &str = "Example:
  mailwarden restore chg-0198c1f2a7 --apply --approved-by jane@example.com --ticket OFF-12";

#[derive(Debug, Args)]
pub(crate) struct Checks {
    /// Only this check
    pub(crate) id: Option<String>,
    /// Output
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub(crate) format: TextOrJson,
}

#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// An address, or the name of a person of the policy
    #[arg(value_name = "ADDRESS|PERSON")]
    pub(crate) asked: String,
    /// A directory that `sweep --output` wrote, or what `collect` wrote, instead of looking now
    #[arg(long, value_name = "PATH")]
    pub(crate) input: Option<PathBuf>,
    /// Output
    #[arg(long, value_enum, default_value_t = ReachFormat::Text)]
    pub(crate) format: ReachFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReachFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// A picture
    Svg,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Fingerprints of findings, or unique beginnings of at least 8 characters
    #[arg(value_name = "FINDING", required = true)]
    pub(crate) findings: Vec<String>,
    /// The report that has them, or its directory, instead of the ledger
    #[arg(long, value_name = "PATH")]
    pub(crate) input: Option<PathBuf>,
    /// Deactivate the whole Sieve script instead of switching off the one effect
    #[arg(long)]
    pub(crate) deactivate: bool,
    /// Make more changes than this only when told so
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) max_changes: usize,
    /// Change a script although the server would not take the original back
    #[arg(long)]
    pub(crate) accept_final: bool,
    #[command(flatten)]
    pub(crate) approved: Approved,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The change, as `revoke` and `ledger show --kind change` name it
    #[arg(value_name = "CHANGE")]
    pub(crate) change: String,
    /// Put it back although the object was changed by somebody else since
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) approved: Approved,
}

#[derive(Debug, Args)]
pub(crate) struct Who {
    /// A mailbox, alias, vendor or personal address
    pub(crate) address: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The envelope sender (MAIL FROM); empty for the null sender
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    pub(crate) from: String,
    /// An envelope recipient (RCPT TO); may be given several times
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(crate) rcpt: Vec<String>,
    /// The value of the From field; may be given several times
    #[arg(long, value_name = "VALUE", conflicts_with = "message")]
    pub(crate) header_from: Vec<String>,
    /// Take the header fields from this message
    #[arg(long, value_name = "FILE")]
    pub(crate) message: Option<PathBuf>,
    /// The authenticated login
    #[arg(long, value_name = "LOGIN")]
    pub(crate) auth: Option<String>,
    /// The client's address
    #[arg(long, value_name = "IP")]
    pub(crate) client: Option<IpAddr>,
    /// As if submitted through sendmail(1)
    #[arg(long)]
    pub(crate) local: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PostfixCommand {
    /// Print the main.cf lines for the scopes of the policy
    #[command(after_help = "Example:\n  mailwarden postfix render >> /etc/postfix/main.cf && postfix reload")]
    Render(PostfixRender),
    /// Compare a live instance with what the scopes and the gate need; changes nothing
    #[command(after_help = POSTFIX_CHECK_EXAMPLES)]
    Check(PostfixCheck),
}

const POSTFIX_CHECK_EXAMPLES: &str = "Examples:
  mailwarden postfix check
  mailwarden postfix check --instance /etc/postfix-mx --format json

Exit codes: 0 everything as it should be; 1 something is wrong; 2 no such instance, or wrong configuration;
3 something could not be looked at, nothing wrong; 4 postconf answered nothing that could be read.";

#[derive(Debug, Args)]
pub(crate) struct PostfixRender {
    /// Where Postfix reaches the gate, as Postfix writes it [default: the gate's own listen address]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) milter: Option<String>,
    /// How Postfix comes to take a scope's recipients
    #[arg(long, value_enum, default_value_t = RecipeChoice::Relay)]
    pub(crate) recipe: RecipeChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecipeChoice {
    /// relay_domains: without the gate mail waits
    Relay,
    /// virtual_alias_domains: without the gate mail reaches the mailbox unjudged
    VirtualAlias,
}

#[derive(Debug, Args)]
pub(crate) struct PostfixCheck {
    /// Configuration directory of the instance [default: that of the configuration, else /etc/postfix]
    #[arg(long, value_name = "DIR")]
    pub(crate) instance: Option<PathBuf>,
    /// Where Postfix reaches the gate, as Postfix writes it [default: the gate's own listen address]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) milter: Option<String>,
    /// Output
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub(crate) format: TextOrJson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextOrJson {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Sweep {
    #[command(flatten)]
    pub(crate) looking: Looking,
    #[command(flatten)]
    pub(crate) judging: Judging,
    /// Continue a sweep into the same --output directory that was interrupted
    #[arg(long, requires = "output")]
    pub(crate) resume: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Collect {
    #[command(flatten)]
    pub(crate) looking: Looking,
    /// The file to write; it holds scripts and addresses and is readable by its owner only
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Continue a file whose collecting was interrupted
    #[arg(long)]
    pub(crate) resume: bool,
    /// Make these rounds together with other sweepers, through the ledger's PostgreSQL
    #[arg(long, conflicts_with = "resume")]
    pub(crate) share: bool,
    /// The name under which sweepers meet [default: the day, UTC]
    #[arg(long, value_name = "NAME", requires = "share", value_parser = run_name)]
    pub(crate) run: Option<String>,
}

/// Longest name of a run.
const MAX_RUN_NAME: usize = 64;

fn run_name(text: &str) -> Result<String, String> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.:@".contains(&octet);
    match !text.is_empty() && text.len() <= MAX_RUN_NAME && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("give at most {MAX_RUN_NAME} letters, digits, and `-_.:@`")),
    }
}

#[derive(Debug, Args)]
pub(crate) struct Judge {
    /// A file that `mailwarden collect` wrote, on this machine or another
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    #[command(flatten)]
    pub(crate) judging: Judging,
}

/// What is looked at, and how fast.
#[derive(Debug, Default, Args)]
pub(crate) struct Looking {
    /// Mailboxes to look at
    #[arg(value_name = "MAILBOX", required_unless_present_any = ["all", "surfaces"], conflicts_with = "all")]
    pub(crate) mailboxes: Vec<String>,
    /// Every mailbox that the policy or the server's account list names, and the mail system itself
    #[arg(long)]
    pub(crate) all: bool,
    /// The mail system as well, beside named mailboxes
    #[arg(long)]
    pub(crate) system: bool,
    /// What must have been looked at before anything is called clean [default: all that is configured]
    #[arg(long, value_enum)]
    pub(crate) profile: Option<ProfileChoice>,
    /// Only this surface, e.g. imap.acl; may be given several times
    #[arg(long, value_name = "ID", conflicts_with = "profile")]
    pub(crate) surface: Vec<String>,
    /// List every surface, with what this configuration covers and why it does not cover the rest, and look at
    /// nothing
    #[arg(long, conflicts_with_all = ["mailboxes", "all"])]
    pub(crate) surfaces: bool,
    /// Most logins a second at one server, before the one in the configuration
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) limit_rate: Option<f64>,
}

impl Looking {
    /// Named mailboxes and the mail system, every surface.
    pub(crate) fn of(mailboxes: &[String]) -> Self {
        Self { mailboxes: mailboxes.to_vec(), system: true, ..Self::default() }
    }

    /// Every mailbox and the mail system, every surface.
    pub(crate) fn everything() -> Self {
        Self { all: true, system: true, ..Self::default() }
    }
}

/// How it is judged and said.
#[derive(Debug, Args)]
pub(crate) struct Judging {
    /// text, json, jsonl, csv, html, ocsf, sarif or defectdojo
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub(crate) format: mailwarden_report::Format,
    /// Also write report.json and report.html into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// The lowest severity that makes the exit code 1
    #[arg(long, value_enum, default_value_t = SeverityChoice::Info, value_name = "LEVEL")]
    pub(crate) severity: SeverityChoice,
    /// A saved report to compare with
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// What makes the exit code 1: any open finding, or only what is new or changed
    #[arg(long, value_enum, default_value_t = FailOn::Any)]
    pub(crate) fail_on: FailOn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileChoice {
    /// All that IMAP and ManageSieve show
    Remote,
    /// All that the mail host shows: doveadm, files, Postfix
    Host,
    /// Both
    Full,
}

impl From<ProfileChoice> for Profile {
    fn from(choice: ProfileChoice) -> Self {
        match choice {
            ProfileChoice::Remote => Self::Remote,
            ProfileChoice::Host => Self::Host,
            ProfileChoice::Full => Self::Full,
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "a number above 0, such as 5 or 0.5".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Any open finding
    Any,
    /// New or changed findings only
    New,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SeverityChoice {
    /// Everything
    Info,
    /// Low and worse
    Low,
    /// Medium and worse
    Medium,
    /// High and worse
    High,
    /// Critical only
    Critical,
}

impl From<SeverityChoice> for Severity {
    fn from(choice: SeverityChoice) -> Self {
        match choice {
            SeverityChoice::Info => Self::Info,
            SeverityChoice::Low => Self::Low,
            SeverityChoice::Medium => Self::Medium,
            SeverityChoice::High => Self::High,
            SeverityChoice::Critical => Self::Critical,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Print events, and refusals summed by rule and policy object
    #[command(after_help = "Examples:\n  mailwarden ledger show --kind policy --limit 20\n  \
        mailwarden ledger show --case OFF-2026-014 --format json")]
    Show(LedgerShow),
    /// Check that nothing was altered, removed, cut off or forked
    #[command(after_help = LEDGER_VERIFY_EXAMPLES)]
    Verify(LedgerVerify),
    /// Sign the present state and print the signed note
    #[command(
        after_help = "Example:\n  mailwarden ledger checkpoint > /media/stick/ledger-$(date +%F).note\n\n\
        Refused when the ledger does not go on from the last checkpoint."
    )]
    Checkpoint(LedgerSign),
    /// Sign the present state and take the note off the machine: file, system log, command
    #[command(after_help = "Examples:\n  mailwarden ledger anchor\n  \
        mailwarden ledger anchor --file /mnt/other-machine/ledger-anchors")]
    Anchor(LedgerAnchoring),
    /// Write one case with its proofs, to be checked by `mailwarden-verify` without the ledger
    #[command(
        after_help = "Examples:\n  mailwarden ledger export OFF-2026-014 --output OFF-2026-014.json\n  \
        mailwarden-verify OFF-2026-014.json --key ledger.pub"
    )]
    Export(LedgerExport),
    /// Erase what entries tell about persons; the proof stays, and so does who erased it
    #[command(after_help = "Examples:\n  mailwarden ledger erase 4711 4715 --reason GDPR-17\n  \
        mailwarden ledger erase --expired")]
    Erase(LedgerErase),
    /// Print the public key that checkpoints are checked with
    #[command(after_help = "Example:\n  mailwarden ledger key > ledger.pub")]
    Key,
}

const LEDGER_VERIFY_EXAMPLES: &str = "Examples:
  mailwarden ledger verify
  mailwarden ledger verify --key ledger.pub --anchor /media/stick/ledger.note --anchor /var/log/auth.log

Without an anchor from outside, whoever can write the database could have rewritten all of it.
Exit codes: 0 intact; 1 something is altered, missing, cut off or forked; 2 wrong usage or configuration;
4 the database could not be read.";

/// How an answer is printed.
#[derive(Debug, Args)]
pub(crate) struct LedgerOutput {
    /// Output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = TextOrJson::Text)]
    format: TextOrJson,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl LedgerOutput {
    pub(crate) fn is_json(&self) -> bool {
        self.json || self.format == TextOrJson::Json
    }
}

#[derive(Debug, Args)]
pub(crate) struct LedgerShow {
    /// Only events whose kind begins so, e.g. policy or gate.refusals
    #[arg(long, value_name = "PREFIX")]
    pub(crate) kind: Option<String>,
    /// Only events of this case
    #[arg(long, value_name = "ID")]
    pub(crate) case: Option<String>,
    /// Only events about this, e.g. a mailbox
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) subject: Option<String>,
    /// No more than the newest N events
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) output: LedgerOutput,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerVerify {
    /// Public keys of the ledger, one a line [default: that of the configured key, where it can be read]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// A file with checkpoints that were kept elsewhere: notes, or a system log; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) anchor: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) output: LedgerOutput,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerSign {
    #[command(flatten)]
    pub(crate) output: LedgerOutput,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerAnchoring {
    /// Also append the note to this file; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) output: LedgerOutput,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerExport {
    /// The case
    pub(crate) case: String,
    /// Where to write the bundle [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerErase {
    /// Entries whose details are erased
    #[arg(value_name = "ENTRY", required_unless_present = "expired", conflicts_with = "expired")]
    pub(crate) entries: Vec<u64>,
    /// Why: a ticket
    #[arg(long, value_name = "TICKET", required_unless_present = "expired")]
    pub(crate) reason: Option<String>,
    /// Every detail that [ledger.keep_details] keeps no longer
    #[arg(long)]
    pub(crate) expired: bool,
    #[command(flatten)]
    pub(crate) output: LedgerOutput,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    /// Look up the reference that a refusal names
    #[command(after_help = "Example:\n  mailwarden gate show 3F7K9Q2XWD1A")]
    Show(GateShow),
}

#[derive(Debug, Args)]
pub(crate) struct GateShow {
    /// The reference
    pub(crate) reference: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VendorsCommand {
    /// Every vendor address of the policy, and every other that took mail
    #[command(
        after_help = "Examples:\n  mailwarden vendors list\n  mailwarden vendors list --unexpected --json"
    )]
    List(VendorsList),
    /// One vendor address: its record, and whom it heard from
    #[command(after_help = "Example:\n  mailwarden vendors show acme@saas.example.com")]
    Show(VendorsShow),
    /// Take mail for it again
    #[command(after_help = "Example:\n  mailwarden vendors activate acme@saas.example.com --apply")]
    Activate(VendorsChange),
    /// Refuse its mail for now: the vendor may try again
    #[command(
        after_help = "Example:\n  mailwarden vendors pause acme@saas.example.com --reason T-17 --apply"
    )]
    Pause(VendorsChange),
    /// Refuse its mail for good
    #[command(
        after_help = "Example:\n  mailwarden vendors burn acme@saas.example.com --reason 'leaked' --apply"
    )]
    Burn(VendorsChange),
}

#[derive(Debug, Args)]
pub(crate) struct VendorsList {
    /// Only those that heard from an organisation they never dealt with
    #[arg(long)]
    pub(crate) unexpected: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VendorsShow {
    /// The vendor address
    pub(crate) address: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VendorsChange {
    /// The vendor address
    pub(crate) address: String,
    /// Why: a ticket or an approval, for the ledger
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Who was given the address, where the policy has no record of it yet
    #[arg(long, value_name = "NAME")]
    pub(crate) organisation: Option<String>,
    /// Record the change in the ledger and make it; without this it is only shown
    #[arg(long)]
    pub(crate) apply: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rerender {
    /// A report saved as JSON
    pub(crate) file: PathBuf,
    /// text, json, jsonl, csv, html, ocsf, sarif or defectdojo
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub(crate) format: mailwarden_report::Format,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// The commands that do something, with the words that lead to them.
    fn leaves(command: &clap::Command, path: &str) -> Vec<(String, String)> {
        let named = |sub: &&clap::Command| sub.get_name() != "help";
        let subcommands: Vec<_> = command.get_subcommands().filter(named).collect();
        if subcommands.is_empty() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            return vec![(path.to_owned(), help)];
        }
        subcommands.iter().flat_map(|sub| leaves(sub, &format!("{path} {}", sub.get_name()))).collect()
    }

    /// The words of a line as a shell reads them, up to a pipe or a redirection.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in line.chars() {
            match (quote, c) {
                (None, '\'' | '"') => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (Some(open), _) if c == open => quote = None,
                (None, '|' | '>' | '&' | ';') => break,
                (None, ' ') => words.extend(word.take()),
                _ => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    #[test]
    fn every_command_shows_an_example_that_is_right() {
        for (path, help) in leaves(&Arguments::command(), "mailwarden") {
            let starts = |line: &&str| line.trim_start().starts_with("mailwarden ");
            let piped = help.lines().filter_map(|line| Some(&line[line.find("| mailwarden ")? + 2..]));
            let examples: Vec<&str> = help.lines().filter(starts).chain(piped).collect();
            assert!(examples.iter().any(|line| line.trim().starts_with(&path)), "no example of `{path}`");
            for example in examples {
                let parsed = Arguments::try_parse_from(words(example.trim()));
                assert!(parsed.is_ok(), "{example}\n{}", parsed.unwrap_err());
            }
        }
    }
}
