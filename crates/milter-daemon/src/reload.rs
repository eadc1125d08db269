//! A new policy: the new one whole, or the old one and a clear complaint.

use std::sync::Arc;

use chrono::Utc;
use mailwarden_ledger::{Event, EventKind};
use mailwarden_policy::Diagnostic;
use mailwarden_settings::SettingsError;
use serde_json::json;
use tokio::sync::watch;

use crate::record::Recorder;
use crate::service_manager;
use crate::snapshot::{Snapshot, Snapshots};

/// What `systemctl status` shows after a refused reload.
const REFUSED: &str = "the new policy is refused and the old one is in force; see the log";

/// What `systemctl status` shows otherwise.
pub(crate) fn in_force(summary: &str) -> String {
    format!("policy in force: {summary}")
}

pub(crate) fn show(warnings: &[Diagnostic]) {
    for warning in warnings {
        tracing::warn!("{}: {}", warning.location(), warning.message);
    }
}

/// Reads the policy again whenever it is asked to: the new one whole, or the old one and a clear complaint.
pub(crate) async fn on_demand(
    snapshots: Arc<Snapshots>,
    recorder: Recorder,
    mut demands: watch::Receiver<u64>,
) {
    while demands.changed().await.is_ok() {
        service_manager::reloading();
        let reading = Arc::clone(&snapshots);
        // Compiling a million addresses takes a second; sessions go on meanwhile.
        match tokio::task::spawn_blocking(move || reading.read_again()).await {
            Ok(Ok((snapshot, warnings))) => {
                show(&warnings);
                record_policy(&recorder, &snapshot, "reload").await;
                let summary = snapshot.policy.summary();
                snapshots.replace(snapshot);
                tracing::info!(policy = summary, "the new policy is in force");
                service_manager::ready(&in_force(&summary));
            }
            Ok(Err(error)) => {
                refuse_policy(&recorder, &error).await;
                service_manager::ready(REFUSED);
            }
            Err(error) => {
                tracing::error!(%error, "the policy reader failed; the old policy stays in force");
                service_manager::ready(REFUSED);
            }
        }
    }
}

pub(crate) async fn record_policy(recorder: &Recorder, snapshot: &Snapshot, why: &str) {
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

/// Whom the ledger names for what the gate does by itself.
pub(crate) fn actor() -> String {
    format!("mailwarden-milter uid={}", rustix::process::getuid().as_raw())
}
