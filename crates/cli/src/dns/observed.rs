//! What earlier looks at a domain found, as the ledger holds it. Each look is an observation: the first is put on
//! record, and so is each that found something else than the one before, with what was there.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mailwarden_dns::{Evaluation, Subject};
use mailwarden_evidence::{Evidence, Fact, Observation};
use mailwarden_ledger::{Event, EventKind, Ledger, LedgerError, MAX_EVENTS_PER_CALL, shown_url};
use mailwarden_settings::Settings;
use serde::Serialize;
use serde_json::json;

use crate::control::entries_of;
use crate::output::complain;

/// What a domain published when it was last found to have changed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Observed {
    /// The domain.
    pub(crate) domain: String,
    /// Since when.
    pub(crate) since: DateTime<Utc>,
    /// What: a record set's name and type, and its text.
    pub(crate) published: BTreeMap<String, String>,
}

/// The last of each domain. Where the ledger is away, nothing can be told to have changed, and that is said.
pub(super) async fn observed(settings: &Settings) -> Vec<Observed> {
    match read(settings).await {
        Ok(observed) => observed.into_values().collect(),
        Err(error) => {
            let url = shown_url(&settings.ledger.url);
            complain(&format!("warning: earlier looks could not be read from the ledger {url}: {error}"));
            Vec::new()
        }
    }
}

/// The last of one domain, where the ledger is there and has any.
pub(crate) async fn last_observed(settings: &Settings, domain: &str) -> Option<Observed> {
    let ledger = Ledger::open_existing(&settings.ledger.url).await.ok()?;
    last(ledger).await.ok()?.remove(domain)
}

async fn read(settings: &Settings) -> Result<BTreeMap<String, Observed>, LedgerError> {
    last(Ledger::open(&settings.ledger.url).await?).await
}

async fn last(ledger: Ledger) -> Result<BTreeMap<String, Observed>, LedgerError> {
    let mut last = BTreeMap::new();
    for entry in entries_of(&ledger, "dns.", None).await? {
        if let Ok(published) = serde_json::from_value(entry.payload["published"].clone()) {
            let observed = Observed { domain: entry.subject.clone(), since: entry.at, published };
            last.insert(entry.subject, observed);
        }
    }
    ledger.close().await?;
    Ok(last)
}

impl Observed {
    /// As a fact of this run, where this run looks at the domain.
    pub(super) fn observation(&self, looked: &[(Subject, Evaluation)]) -> Option<Observation> {
        looked.iter().find(|(subject, _)| subject.label() == self.domain)?;
        let raw = serde_json::to_vec(&self.published).unwrap_or_default();
        Some(Observation {
            mailbox: self.domain.clone(),
            surface: "dns.mx".to_owned(),
            fact: Fact::DnsBefore { since: self.since, published: self.published.clone() },
            evidence: Evidence::of(&raw, "what was published before", "ledger", self.since),
        })
    }
}

/// Puts on record what is new or different. A check that cannot be recorded is still worth reading.
pub(super) async fn note(
    settings: &Settings,
    looked: &[(Subject, Evaluation)],
    before: &[Observed],
    at: DateTime<Utc>,
) {
    let events: Vec<Event> =
        looked.iter().filter_map(|(subject, evaluation)| event(subject, evaluation, before, at)).collect();
    if let Err(error) = append(settings, events).await {
        let url = shown_url(&settings.ledger.url);
        complain(&format!("warning: what was seen is not recorded in the ledger {url}: {error}"));
    }
}

async fn append(settings: &Settings, events: Vec<Event>) -> Result<(), LedgerError> {
    if events.is_empty() {
        return Ok(());
    }
    let ledger = Ledger::open(&settings.ledger.url).await?;
    for events in events.chunks(MAX_EVENTS_PER_CALL) {
        ledger.append_all(events.to_vec()).await?;
    }
    ledger.close().await
}

fn event(
    subject: &Subject,
    evaluation: &Evaluation,
    before: &[Observed],
    at: DateTime<Utc>,
) -> Option<Event> {
    let domain = subject.label();
    let actor = format!("mailwarden uid={}", rustix::process::getuid().as_raw());
    let Some(before) = before.iter().find(|before| before.domain == domain) else {
        let payload = json!({ "published": evaluation.published });
        let seen = !evaluation.published.is_empty();
        return seen.then(|| Event::new(EventKind::DnsObserved, at, actor, domain).with(payload));
    };
    // What could not be looked at this time is what it was.
    let mut published = before.published.clone();
    published.extend(evaluation.published.clone());
    if published == before.published {
        return None;
    }
    let mut event =
        Event::new(EventKind::DnsChanged, at, actor, domain).with(json!({ "published": published }));
    event.prior_state = Some(json!({ "since": before.since, "published": before.published }));
    Some(event)
}
