//! `mailwarden-milter`: arguments and signals; everything else is in the library.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use mailwarden_milter_daemon::{Control, GateError, Overrides, announce_stop, check, prepare, run, runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// The gate: a milter that enforces the address architecture inline.
///
/// SIGHUP reads the policy again; a broken one is refused and the old one stays in force. SIGTERM finishes
/// the messages under way and ends.
#[derive(Parser)]
#[command(name = "mailwarden-milter", version, after_help = EXAMPLES)]
struct Arguments {
    /// Configuration file [default: /etc/mailwarden/mailwarden.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Policy directory, before the one in the configuration
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// Where to listen: inet:HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Ledger, e.g. sqlite:/var/lib/mailwarden/ledger.db; the gate journal is kept beside it
    #[arg(long, value_name = "URL")]
    ledger: Option<String>,
    /// Check configuration and policy, and exit: 0 good, 2 bad
    #[arg(long)]
    check: bool,
    /// Log as JSON, one object a line
    #[arg(long)]
    log_json: bool,
}

const EXAMPLES: &str = "Examples:
  mailwarden-milter --config /etc/mailwarden/mailwarden.toml --check
  mailwarden-milter --policy ./policy --listen inet:127.0.0.1:8891 --ledger sqlite:/tmp/ledger.db

The level of the log is taken from MAILWARDEN_LOG (error, warn, info, debug).
Exit codes: 0 ended as told; 2 wrong usage, configuration or policy; 4 something could not be opened.";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.log_json);
    let overrides = Overrides {
        config: arguments.config,
        policy: arguments.policy,
        listen: arguments.listen,
        ledger: arguments.ledger,
    };
    let outcome = if arguments.check { check(&overrides).map(|text| say(&text)) } else { serve(overrides) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn start_log(json: bool) {
    let filter = EnvFilter::try_from_env("MAILWARDEN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { builder.json().init() } else { builder.with_target(false).with_ansi(false).init() }
}

fn say(text: &str) {
    // A closed standard output is the reader's choice.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn complain(error: &GateError) {
    let _ = writeln!(std::io::stderr(), "{error}");
}

fn serve(overrides: Overrides) -> Result<(), GateError> {
    let prepared = prepare(overrides)?;
    runtime()?.block_on(async { run(prepared, listen_for_signals()?).await })
}

fn listen_for_signals() -> Result<Control, GateError> {
    let install = |kind| {
        signal(kind).map_err(|error| GateError::Configuration(format!("cannot listen for signals: {error}")))
    };
    let (mut terminate, mut interrupt, mut hangup) = (
        install(SignalKind::terminate())?,
        install(SignalKind::interrupt())?,
        install(SignalKind::hangup())?,
    );
    let (stop_sender, stop) = watch::channel(false);
    let (reload_sender, reload) = watch::channel(0_u64);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = hangup.recv() => reload_sender.send_modify(|count| *count += 1),
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        announce_stop();
        // The gate may have ended by itself.
        let _ = stop_sender.send(true);
    });
    Ok(Control { stop, reload })
}
