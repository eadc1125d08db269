//! Opens everything the configuration names, and serves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use mailwarden_ledger::{Event, EventKind, Journal, JournalBounds, Ledger, VendorRegister};
use mailwarden_policy::render;
use mailwarden_settings::{Settings, SettingsError};
use milter_proto::CloseReason;
use milter_proto::server::{Counters, Options, PeerAddress, Server, ServerEvents};
use tokio::sync::watch;

use crate::conversation::{Conversation, wanted};
use crate::memory::GateMemory;
use crate::metrics::{self, Metrics};
use crate::record::Recorder;
use crate::reload::{self, actor};
use crate::snapshot::{self, Snapshots};
use crate::sockets::{self, Sockets};
use crate::{GateError, accounts, privileges, service_manager};

/// How often is looked whether a flood has ended.
const FLOOD_WATCH: Duration = Duration::from_secs(10);

/// What the command line puts before the configuration file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The policy directory.
    pub policy: Option<PathBuf>,
    /// The listen address.
    pub listen: Option<String>,
    /// The ledger.
    pub ledger: Option<String>,
}

impl Overrides {
    /// The settings with the command line's values in place.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn settings(&self) -> Result<Settings, SettingsError> {
        let mut settings = Settings::load(self.config.as_deref())?;
        if let Some(listen) = &self.listen {
            settings.gate.listen.clone_from(listen);
        }
        if let Some(url) = &self.ledger {
            settings.use_ledger(url);
        }
        Ok(settings)
    }
}

/// How a running gate is told to do something.
#[derive(Debug, Clone)]
pub struct Control {
    /// True tells it to drain and stop.
    pub stop: watch::Receiver<bool>,
    /// Each change tells it to read the policy again.
    pub reload: watch::Receiver<u64>,
}

/// What has to be ready before the first thread: settings read, sockets open, privileges given up.
pub struct Prepared {
    overrides: Overrides,
    settings: Settings,
    sockets: Sockets,
    confinement: &'static str,
}

/// Opens the sockets, then gives up what only they needed. To be called while the process has one thread.
///
/// # Errors
/// The configuration is wrong, a socket cannot be opened, or a privilege cannot be given up.
pub fn prepare(overrides: Overrides) -> Result<Prepared, GateError> {
    let settings = overrides.settings()?;
    let sockets = Sockets::open(&settings)?;
    privileges::drop_root(&settings)?;
    let confinement = privileges::confine(&settings)?;
    Ok(Prepared { overrides, settings, sockets, confinement })
}

/// Serves until told to stop.
///
/// # Errors
/// Something the configuration names cannot be used; nothing was served then.
pub async fn run(prepared: Prepared, control: Control) -> Result<(), GateError> {
    let Prepared { overrides, settings, sockets, confinement } = prepared;
    let (first, warnings) = snapshot::read(&settings, overrides.policy.as_deref())?;
    reload::show(&warnings);
    let counters = Arc::new(Counters::default());
    let recorder = open_records(&settings, Arc::clone(&counters)).await?;
    let Sockets { milter, address, metrics } = sockets;
    serve_metrics(metrics, &recorder)?;
    let failed = |error| GateError::Socket { address: address.clone(), error };
    let listener = milter.attach().map_err(failed)?;
    let summary = first.policy.summary();
    reload::record_policy(&recorder, &first, "start").await;
    let snapshots = Snapshots::new(first, overrides.config, overrides.policy);
    let reloads = tokio::spawn(reload::on_demand(Arc::clone(&snapshots), recorder.clone(), control.reload));
    let floods = tokio::spawn(watch_floods(recorder.clone()));
    let making = recorder.clone();
    let server = Server::new(listener, wanted_or_configuration()?, move |_: &PeerAddress| {
        Conversation::new(Arc::clone(&snapshots), making.clone())
    })
    .with_options(options(&settings))
    .with_counters(counters)
    .with_events(Arc::new(Log));
    tracing::info!(address, policy = summary, confinement, "the gate is open");
    service_manager::ready(&reload::in_force(&summary));
    let drained = server.run(control.stop).await;
    reloads.abort();
    floods.abort();
    tracing::info!(finished = drained.finished, cut_off = drained.cut_off, "the gate is closed");
    close_records(&recorder).await;
    Ok(())
}

fn wanted_or_configuration() -> Result<milter_proto::Wanted, GateError> {
    wanted().map_err(|error| GateError::Configuration(error.to_string()))
}

fn options(settings: &Settings) -> Options {
    Options {
        max_connections: settings.gate.max_connections,
        idle_timeout: settings.gate.idle_timeout,
        drain_deadline: settings.gate.drain_timeout,
        ..Options::default()
    }
}

async fn open_records(settings: &Settings, counters: Arc<Counters>) -> Result<Recorder, GateError> {
    let url = &settings.ledger.url;
    let ledger = Ledger::open(url).await.map_err(|source| GateError::Ledger {
        what: "ledger",
        url: mailwarden_ledger::shown_url(url),
        source,
    })?;
    let url = settings.journal_url();
    let bounds = JournalBounds { max_age: settings.journal.keep, max_rows: settings.journal.max_rows };
    let journal = Journal::open(&url, bounds).await.map_err(|source| GateError::Ledger {
        what: "gate journal",
        url: mailwarden_ledger::shown_url(&url),
        source,
    })?;
    let url = settings.vendors_url();
    let register = VendorRegister::open(&url).await.map_err(|source| GateError::Ledger {
        what: "vendor register",
        url: mailwarden_ledger::shown_url(&url),
        source,
    })?;
    Ok(Recorder {
        ledger,
        journal,
        metrics: Arc::new(Metrics::new(counters)),
        memory: Arc::new(GateMemory::new(register)),
        notices: Arc::default(),
    })
}

/// Floods end with the hour they came in; somebody has to say so when no mail comes.
async fn watch_floods(recorder: Recorder) {
    let mut ticks = tokio::time::interval(FLOOD_WATCH);
    loop {
        ticks.tick().await;
        let now = Utc::now();
        for scope in recorder.memory.floods_ended(now) {
            let ended = Event::new(EventKind::GateFloodEnded, now, "gate", scope);
            if let Err(error) = recorder.ledger.append(ended).await {
                tracing::error!(%error, "the end of a flood could not be recorded in the ledger");
            }
        }
    }
}

fn serve_metrics(listener: Option<std::net::TcpListener>, recorder: &Recorder) -> Result<(), GateError> {
    let Some(listener) = listener else { return Ok(()) };
    let failed = |error| GateError::Socket { address: "the metrics address".to_owned(), error };
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    metrics::serve(listener, Arc::clone(&recorder.metrics));
    Ok(())
}

async fn close_records(recorder: &Recorder) {
    let stopped = Event::new(EventKind::GateStopped, Utc::now(), actor(), "gate");
    if let Err(error) = recorder.ledger.append(stopped).await {
        tracing::error!(%error, "the stop could not be recorded in the ledger");
    }
    if let Err(error) = recorder.journal.close().await {
        tracing::error!(%error, "the last decisions could not be written to the gate journal");
    }
    if let Err(error) = recorder.memory.register().close().await {
        tracing::error!(%error, "what was learned last could not be written to the vendor register");
    }
    if let Err(error) = recorder.ledger.close().await {
        tracing::error!(%error, "the last refusals could not be written to the ledger");
    }
}

/// What concerns the server rather than one message, for the log. Strangers on the port are worth a debug
/// line only: they are counted.
struct Log;

impl ServerEvents for Log {
    fn connection_closed(&self, peer: &PeerAddress, why: &CloseReason) {
        tracing::debug!(%peer, %why, "connection closed");
    }

    fn answer_replaced(&self, peer: &PeerAddress, why: &milter_proto::AnswerError) {
        tracing::error!(%peer, %why, "an answer could not be given; the message was refused for now");
    }

    fn accept_failed(&self, why: &std::io::Error) {
        tracing::error!(%why, "cannot accept connections; check the limit of open files");
    }
}

/// Checks everything that can be checked without opening a socket: configuration, policy, addresses.
///
/// # Errors
/// As [`run`] would give.
pub fn check(overrides: &Overrides) -> Result<String, GateError> {
    let settings = overrides.settings()?;
    let (snapshot, warnings) = snapshot::read(&settings, overrides.policy.as_deref())?;
    sockets::check(&settings)?;
    accounts::user("user", &settings.gate.user)?;
    Ok(format!("{}ok: {}", render(&warnings, false), snapshot.policy.summary()))
}
