//! Counters for Prometheus, and the small HTTP service that shows them.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use mailwarden_gate::{Decision, Mode};
use milter_proto::Garbage;
use milter_proto::server::Counters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule: &'static str,
    mode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    outcome: &'static str,
}

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    accepted: Counter,
    refused: Counter,
    recipients_refused: Counter,
    rules: Family<RuleLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    policy_loaded: Gauge,
}

impl Metrics {
    pub(crate) fn new(connections: Arc<Counters>) -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("mailwarden_gate"),
            accepted: Counter::default(),
            refused: Counter::default(),
            recipients_refused: Counter::default(),
            rules: Family::default(),
            reloads: Family::default(),
            policy_loaded: Gauge::default(),
        };
        metrics.registered(connections)
    }

    fn registered(mut self, connections: Arc<Counters>) -> Self {
        let registry = &mut self.registry;
        registry.register("messages_accepted", "Messages accepted, changed or not", self.accepted.clone());
        registry.register("messages_refused", "Messages refused when complete", self.refused.clone());
        registry.register("recipients_refused", "Recipients refused", self.recipients_refused.clone());
        registry.register("rule_applied", "Times a rule applied, by mode", self.rules.clone());
        registry.register("policy_reloads", "Policy reloads by outcome", self.reloads.clone());
        registry.register(
            "policy_loaded_timestamp_seconds",
            "When the policy in force was loaded",
            self.policy_loaded.clone(),
        );
        registry.register_collector(Box::new(Connections(connections)));
        self
    }

    pub(crate) fn count(&self, decision: &Decision, complete: bool) {
        match (decision.is_accepted(), complete) {
            (true, true) => drop(self.accepted.inc()),
            (false, true) => drop(self.refused.inc()),
            (false, false) => drop(self.recipients_refused.inc()),
            (true, false) => {}
        }
        for reason in &decision.reasons {
            let mode = if reason.mode == Mode::Enforce { "enforce" } else { "observe" };
            self.rules.get_or_create(&RuleLabels { rule: reason.rule.id(), mode }).inc();
        }
    }

    pub(crate) fn policy_loaded(&self, at: i64) {
        self.policy_loaded.set(at);
        self.reloads.get_or_create(&ReloadLabels { outcome: "loaded" }).inc();
    }

    pub(crate) fn policy_rejected(&self) {
        self.reloads.get_or_create(&ReloadLabels { outcome: "rejected" }).inc();
    }

    fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// What the milter server counts, shown at the moment of asking.
struct Connections(Arc<Counters>);

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seen = self.0.snapshot();
        let active = ConstGauge::new(i64::try_from(seen.active).unwrap_or(i64::MAX));
        active.encode(encoder.encode_descriptor(
            "connections_active",
            "Connections open now",
            None,
            active.metric_type(),
        )?)?;
        let garbage: u64 = Garbage::ALL.into_iter().map(|kind| seen.garbage_of(kind)).sum();
        for (name, help, value) in [
            ("connections", "Connections accepted", seen.accepted),
            ("connections_garbage", "Connections closed because they did not speak milter", garbage),
            ("connections_probe", "Connections that were closed without a word", seen.probes),
            ("protocol_errors", "Connections closed for breaking the protocol", seen.protocol_errors),
            ("timeouts", "Connections closed because they were silent too long", seen.timeouts),
            ("io_errors", "Connections lost", seen.io_errors),
            ("answers_replaced", "Answers that became temporary refusals", seen.answers_replaced),
            ("accept_failures", "Connections the system could not accept", seen.accept_failures),
            ("panics", "Connections closed by a defect of the gate", seen.panics),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

/// Serves `/metrics` and `/healthz` until the process ends.
pub(crate) fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let show = move || {
        let metrics = Arc::clone(&metrics);
        async move { metrics.text().map_err(|_| axum::http::StatusCode::INTERNAL_SERVER_ERROR) }
    };
    let routes = Router::new().route("/metrics", get(show)).route("/healthz", get(|| async { "ok\n" }));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "the metrics service ended");
        }
    });
}
