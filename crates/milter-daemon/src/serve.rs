//! Opens everything the configuration names, and serves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use mailwarden_ledger::{Event, EventKind, Journal, JournalBounds, Ledger, VendorRegister};
use mailwarden_policy::render;
use mailwarden_settings::{Settings, SettingsError};
use milter_proto::CloseReason;
use milter_proto::listen::{ListenAddress, Listener, SocketAccess};
use milter_proto::server::{Counters, Options, PeerAddress, Server, ServerEvents};
use serde_json::json;
use tokio::sync::watch;

use crate::GateError;
use crate::conversation::{Conversation, wanted};
use crate::memory::GateMemory;
use crate::metrics::{self, Metrics};
use crate::record::Recorder;
use crate::snapshot::{self, Snapshots};

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

/// Serves until told to stop. `ready` is called once, with the address, when mail can come.
///
/// # Errors
/// Something the configuration names cannot be used; nothing was served then.
pub async fn run(
    overrides: &Overrides,
    control: Control,
    ready: impl FnOnce(&str) + Send,
) -> Result<(), GateError> {
    let settings = overrides.settings()?;
    let (first, warnings) = snapshot::read(&settings, overrides.policy.as_deref())?;
    for warning in &warnings {
        tracing::warn!("{}: {}", warning.location(), warning.message);
    }
    let counters = Arc::new(Counters::default());
    let recorder = open_records(&settings, Arc::clone(&counters)).await?;
    let listener = listen(&settings).await?;
    let address = bound_address(&settings, &listener);
    serve_metrics(&settings, &recorder).await?;
    let summary = first.policy.summary();
    record_policy(&recorder, &first, "start").await;
    let snapshots = Snapshots::new(first, overrides.config.clone(), overrides.policy.clone());
    let reloads = tokio::spawn(reload_on_demand(Arc::clone(&snapshots), recorder.clone(), control.reload));
    let floods = tokio::spawn(watch_floods(recorder.clone()));
    let making = recorder.clone();
    let server = Server::new(listener, wanted_or_configuration()?, move |_: &PeerAddress| {
        Conversation::new(snapshots.current(), making.clone())
    })
    .with_options(options(&settings))
    .with_counters(counters)
    .with_events(Arc::new(Log));
    tracing::info!(address, policy = summary, "the gate is open");
    ready(&address);
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
        url: url.clone(),
        source,
    })?;
    let url = settings.journal_url();
    let bounds = JournalBounds { max_age: settings.journal.keep, max_rows: settings.journal.max_rows };
    let journal = Journal::open(&url, bounds).await.map_err(|source| GateError::Ledger {
        what: "gate journal",
        url: url.clone(),
        source,
    })?;
    let url = settings.vendors_url();
    let register = VendorRegister::open(&url).await.map_err(|source| GateError::Ledger {
        what: "vendor register",
        url: url.clone(),
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

async fn listen(settings: &Settings) -> Result<Listener, GateError> {
    let address: ListenAddress = settings.gate.listen.parse()?;
    let access = SocketAccess { mode: socket_mode(settings)?, group: socket_group(settings)? };
    address.bind(access).await.map_err(|source| GateError::Bind { address: address.to_string(), source })
}

fn bound_address(settings: &Settings, listener: &Listener) -> String {
    listener.tcp_address().map_or_else(|| settings.gate.listen.clone(), |address| format!("inet:{address}"))
}

fn socket_mode(settings: &Settings) -> Result<u32, GateError> {
    let written = &settings.gate.socket_mode;
    u32::from_str_radix(written, 8).ok().filter(|mode| *mode <= 0o777).ok_or_else(|| {
        GateError::Configuration(format!(
            "`socket_mode = \"{written}\"` is not an octal mode such as \"0660\""
        ))
    })
}

/// Groups are looked up in /etc/group: the group of a mail server is a local one.
fn socket_group(settings: &Settings) -> Result<Option<u32>, GateError> {
    let wanted = settings.gate.socket_group.as_str();
    if wanted.is_empty() {
        return Ok(None);
    }
    let groups = std::fs::read_to_string("/etc/group")
        .map_err(|error| GateError::Configuration(format!("cannot read /etc/group: {error}")))?;
    let id = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id = fields.nth(1)?;
        (name == wanted).then(|| id.parse().ok()).flatten()
    });
    id.map(Some).ok_or_else(|| {
        GateError::Configuration(format!("`socket_group = \"{wanted}\"`: /etc/group has no such group"))
    })
}

async fn serve_metrics(settings: &Settings, recorder: &Recorder) -> Result<(), GateError> {
    let address = &settings.metrics.listen;
    if address.is_empty() {
        return Ok(());
    }
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|source| GateError::Metrics { address: address.clone(), source })?;
    metrics::serve(listener, Arc::clone(&recorder.metrics));
    Ok(())
}

/// Reads the policy again whenever it is asked to: the new one whole, or the old one and a clear complaint.
async fn reload_on_demand(snapshots: Arc<Snapshots>, recorder: Recorder, mut demands: watch::Receiver<u64>) {
    while demands.changed().await.is_ok() {
        let reading = Arc::clone(&snapshots);
        // Compiling a million addresses takes a second; sessions go on meanwhile.
        match tokio::task::spawn_blocking(move || reading.read_again()).await {
            Ok(Ok((snapshot, warnings))) => {
                for warning in &warnings {
                    tracing::warn!("{}: {}", warning.location(), warning.message);
                }
                record_policy(&recorder, &snapshot, "reload").await;
                tracing::info!(policy = snapshot.policy.summary(), "the new policy is in force");
                snapshots.replace(snapshot);
            }
            Ok(Err(error)) => refuse_policy(&recorder, &error).await,
            Err(error) => tracing::error!(%error, "the policy reader failed; the old policy stays in force"),
        }
    }
}

async fn record_policy(recorder: &Recorder, snapshot: &snapshot::Snapshot, why: &str) {
    let now = Utc::now();
    recorder.metrics.policy_loaded(now.timestamp());
    let policy = &snapshot.policy;
    let event = Event::new(EventKind::PolicyLoaded, now, actor(), "policy")
        .because(why)
        .with(json!({ "digest": policy.digest(), "summary": policy.summary() }));
    if let Err(error) = recorder.ledger.append(event).await {
        tracing::error!(%error, "the policy load could not be recorded in the ledger");
    }
}

async fn refuse_policy(recorder: &Recorder, error: &SettingsError) {
    tracing::error!("the new policy is refused and the old one stays in force:\n{}", error.render(false));
    recorder.metrics.policy_rejected();
    let first_line = match error {
        SettingsError::Invalid(diagnostics) => diagnostics
            .first()
            .map_or_else(String::new, |first| format!("{}: {}", first.location(), first.message)),
        other => render_line(&other.render(false)),
    };
    let event = Event::new(EventKind::PolicyRejected, Utc::now(), actor(), "policy")
        .because("reload")
        .with(json!({ "error": first_line }));
    if let Err(error) = recorder.ledger.append(event).await {
        tracing::error!(%error, "the refused policy could not be recorded in the ledger");
    }
}

fn render_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn actor() -> String {
    format!("mailwarden-milter uid={}", rustix::process::getuid().as_raw())
}

/// What concerns the server rather than one message, for the log. Strangers on the port are worth a debug line
/// only: they are counted.
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
    settings.gate.listen.parse::<ListenAddress>()?;
    socket_mode(&settings)?;
    socket_group(&settings)?;
    Ok(format!("{}ok: {}", render(&warnings, false), snapshot.policy.summary()))
}
