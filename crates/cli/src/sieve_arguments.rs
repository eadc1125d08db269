//! What `mailwarden sieve` is told.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::arguments::TextOrJson;

#[derive(Debug, Subcommand)]
pub(crate) enum SieveCommand {
    /// Every effect of a script, resolved
    #[command(after_help = SIEVE_AUDIT_EXAMPLES)]
    Audit(SieveAudit),
    /// How an effect comes about, step by step
    #[command(
        after_help = "Example:\n  mailwarden sieve explain ~/.dovecot.sieve --effect redirect-1f0c22ab"
    )]
    Explain(SieveExplain),
    /// Switch exactly one effect off; shows what would change unless told to write
    #[command(after_help = SIEVE_DISABLE_EXAMPLES)]
    Disable(SieveDisable),
    /// Take back what `sieve disable` wrote
    #[command(after_help = "Example:\n  mailwarden sieve undo ~/.dovecot.sieve --write")]
    Undo(SieveUndo),
}

const SIEVE_AUDIT_EXAMPLES: &str = "Examples:
  mailwarden sieve audit ~/.dovecot.sieve
  mailwarden sieve audit ~/.dovecot.sieve --dialect all --format json
  mailwarden sieve audit ~/sieve/main.sieve --personal ~/sieve --global /var/lib/dovecot/sieve
  mailwarden sieve audit ~/sieve/sent.sieve --personal ~/sieve --imap-folder Sent";

const SIEVE_DISABLE_EXAMPLES: &str = "Examples:
  mailwarden sieve disable ~/.dovecot.sieve --effect redirect-1f0c22ab
  mailwarden sieve disable ~/.dovecot.sieve --effect redirect-1f0c22ab --method flat --write

The names of effects are those that `mailwarden sieve audit` prints. A change is made only when a second
analysis proves that this effect is gone and every other is as before.";

#[derive(Debug, Args)]
pub(crate) struct SieveExplain {
    /// Script file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Only this effect
    #[arg(long, value_name = "ID")]
    pub(crate) effect: Option<String>,
    /// Whose engine would run it
    #[arg(long, value_enum, default_value_t = DialectChoice::Pigeonhole)]
    pub(crate) dialect: DialectChoice,
}

#[derive(Debug, Args)]
pub(crate) struct SieveDisable {
    /// Script file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The effect, as `mailwarden sieve audit` names it
    #[arg(long, value_name = "ID")]
    pub(crate) effect: String,
    /// Whose engine runs it
    #[arg(long, value_enum, default_value_t = OneDialect::Pigeonhole)]
    pub(crate) dialect: OneDialect,
    /// How; by default as the program that wrote the rule does it, where that is known
    #[arg(long, value_enum)]
    pub(crate) method: Option<DisableMethod>,
    /// Change the file, and keep what takes the change back beside it
    #[arg(long)]
    pub(crate) write: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SieveUndo {
    /// Script file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Change the file
    #[arg(long)]
    pub(crate) write: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OneDialect {
    /// Dovecot
    Pigeonhole,
    /// Cyrus IMAP
    Cyrus,
    /// Stalwart
    Stalwart,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DisableMethod {
    /// As the program that wrote the rule switches it off
    Native,
    /// Put `if false { }` around the command
    Wrapped,
    /// Take the command away, with `keep;` in its place where mail would be lost
    Flat,
}

#[derive(Debug, Args)]
pub(crate) struct SieveAudit {
    /// Script files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Whose engine would run them
    #[arg(long, value_enum, default_value_t = DialectChoice::Pigeonhole)]
    pub(crate) dialect: DialectChoice,
    /// The folder of the mailbox's other scripts, for `include :personal`
    #[arg(long, value_name = "DIR")]
    pub(crate) personal: Option<PathBuf>,
    /// The folder of the server's scripts, for `include :global`
    #[arg(long, value_name = "DIR")]
    pub(crate) global: Option<PathBuf>,
    /// The IMAP folder whose events run the scripts (RFC 6785), where mail is appended, copied or flagged
    #[arg(long, value_name = "FOLDER", requires = "personal")]
    pub(crate) imap_folder: Option<String>,
    /// Output
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub(crate) format: TextOrJson,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DialectChoice {
    /// Dovecot
    Pigeonhole,
    /// Cyrus IMAP
    Cyrus,
    /// Stalwart
    Stalwart,
    /// All of them
    All,
}
