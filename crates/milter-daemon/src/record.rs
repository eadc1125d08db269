//! From a decision to everything that remembers it: log line, metric, journal entry, ledger sum.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_gate::{
    Action, AddressHeader, Decision, Edit, Facts, Mode, Moment, NoticeKind, Reason, Step, TAG_HEADER, explain,
};
use mailwarden_ledger::{Journal, JournalEntry, Ledger, Reference};
use serde::Serialize;

use crate::memory::GateMemory;
use crate::metrics::Metrics;
use crate::notices::{NoticeBook, is_told};
use crate::snapshot::Snapshot;

/// What a decision was made about.
pub(crate) struct Circumstances<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) queue_id: Option<&'a [u8]>,
    pub(crate) now: DateTime<Utc>,
}

/// Remembers decisions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) ledger: Ledger,
    pub(crate) journal: Journal,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) memory: Arc<GateMemory>,
    pub(crate) notices: Arc<NoticeBook>,
}

/// Something that the MTA must not hear of unrecorded could not be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotRecorded;

impl Recorder {
    /// Remembers a decision in which a rule applied, and returns the reference it can be looked up by; never waits.
    /// A decision in which nothing applied leaves a metric only, and an empty reference.
    pub(crate) fn record(&self, decision: &Decision, circumstances: &Circumstances<'_>) -> String {
        self.metrics.count(decision, matches!(circumstances.facts.moment, Moment::Message { .. }));
        if decision.reasons.is_empty() {
            return String::new();
        }
        let entry = entry(decision, circumstances);
        let reference = entry.reference.to_string();
        log(decision, &entry);
        self.count_refusal(decision, circumstances.now);
        self.count_observed(decision, circumstances.now);
        self.journal.record(&entry);
        reference
    }

    /// Makes the notices of a decision durable.
    pub(crate) async fn notify(
        &self,
        decision: &Decision,
        circumstances: &Circumstances<'_>,
        reference: &str,
    ) -> Result<(), NotRecorded> {
        let queue_id = circumstances.queue_id.map(String::from_utf8_lossy);
        // A scope is flooded once, however many are refused for it.
        let news: Vec<_> = decision
            .notices
            .iter()
            .filter(|notice| {
                notice.kind != NoticeKind::FloodBegan || self.memory.flood_begins(&notice.object)
            })
            .cloned()
            .collect();
        let recorded = self.notices.record(&self.ledger, &news, queue_id.as_deref(), circumstances.now).await;
        let Err(error) = recorded else { return Ok(()) };
        if news.iter().any(is_told) {
            tracing::error!(%error, reference, "the ledger cannot record this; the mail is refused for now");
            return Err(NotRecorded);
        }
        tracing::error!(%error, reference, "an event is missing from the ledger; mail goes on");
        Ok(())
    }

    /// The ledger gets sums by rule and policy object: a stranger can raise a number, never the number of rows.
    fn count_refusal(&self, decision: &Decision, now: DateTime<Utc>) {
        let Some(refusal) = decision.refusal() else { return };
        let enforced = |reason: &&Reason| reason.rule == refusal.rule && reason.mode == Mode::Enforce;
        if let Some(reason) = decision.reasons.iter().find(enforced) {
            self.ledger.record_refusal(reason.rule.id(), &reason.object, now);
        }
    }

    /// What rules would have done is summed beside what they did, under names of its own: nobody was refused.
    fn count_observed(&self, decision: &Decision, now: DateTime<Utc>) {
        let observed = decision.reasons.iter().filter(|reason| reason.mode == Mode::Observe);
        for reason in observed.filter(|reason| changes_mail(reason.action)) {
            let name = format!("{}.would-{}", reason.rule.id(), reason.action.as_str());
            self.ledger.record_refusal(&name, &reason.object, now);
        }
    }
}

/// Whether a sender or a recipient would notice.
fn changes_mail(action: Action) -> bool {
    match action {
        Action::Refuse | Action::Hold | Action::Tag | Action::Reroute => true,
        Action::Exempt | Action::Record => false,
    }
}

/// The trace is written for what somebody will ask about: not for mail that is merely led to its mailbox.
fn trace(decision: &Decision, circumstances: &Circumstances<'_>) -> Vec<Step> {
    if decision.reasons.iter().all(|reason| reason.action == Action::Reroute) {
        return Vec::new();
    }
    let Snapshot { policy, modes, .. } = circumstances.snapshot;
    explain(policy, modes, circumstances.facts, circumstances.now).trace
}

/// The rest of a journal entry: what happened, and why.
#[derive(Serialize)]
struct Detail<'a> {
    reply: Option<Reply<'a>>,
    reasons: &'a [Reason],
    trace: Vec<Step>,
    login: Option<&'a str>,
}

#[derive(Serialize)]
struct Reply<'a> {
    code: u16,
    enhanced: String,
    address: &'a str,
    text: String,
}

fn entry<'a>(decision: &'a Decision, circumstances: &'a Circumstances<'_>) -> JournalEntry<Detail<'a>> {
    let facts = circumstances.facts;
    let rule = decision.deciding_rule();
    JournalEntry {
        reference: Reference::new(),
        at: circumstances.now,
        rule: rule.map_or_else(String::new, |rule| rule.id().to_owned()),
        verdict: verdict(decision).to_owned(),
        recipient: recipient(facts),
        envelope_sender: Some(envelope_sender(facts)),
        header_from: header_from(facts),
        client: Some(client(facts)),
        queue_id: circumstances.queue_id.map(|id| String::from_utf8_lossy(id).into_owned()),
        detail: Detail {
            reply: decision.refusal().map(|refusal| Reply {
                code: refusal.code,
                enhanced: refusal.enhanced_code(),
                address: &refusal.address,
                text: refusal.sentence(),
            }),
            reasons: &decision.reasons,
            trace: trace(decision, circumstances),
            login: facts.session.login.as_deref(),
        },
    }
}

/// The strongest thing that happened.
fn verdict(decision: &Decision) -> &'static str {
    let any = |wanted: fn(&Edit) -> bool| decision.edits.iter().any(wanted);
    match decision.refusal() {
        Some(_) => "refuse",
        None if any(|edit| matches!(edit, Edit::Hold { .. })) => "hold",
        None if any(|edit| matches!(edit, Edit::InsertHeader { name: TAG_HEADER, .. })) => "tag",
        None if any(|edit| matches!(edit, Edit::DeleteRecipient { .. })) => "reroute",
        None if decision.reasons.iter().any(|reason| reason.mode == Mode::Enforce) => "record",
        None => "observe",
    }
}

/// As the client wrote it, without the angle brackets; empty for the null sender.
fn envelope_sender(facts: &Facts<'_>) -> String {
    let raw = &facts.envelope_sender.raw;
    let inside = raw.strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">")).unwrap_or(raw);
    String::from_utf8_lossy(inside).into_owned()
}

fn recipient(facts: &Facts<'_>) -> Option<String> {
    let shown = |recipient: &mailwarden_address::EnvelopeRecipient| {
        String::from_utf8_lossy(&recipient.delete_as).into_owned()
    };
    match facts.moment {
        Moment::Recipient(recipient) => Some(shown(recipient)),
        Moment::Message { recipients: [only], .. } => Some(shown(only)),
        Moment::Message { recipients: [first, rest @ ..], .. } => {
            Some(format!("{} and {} more", shown(first), rest.len()))
        }
        Moment::Message { recipients: [], .. } => None,
    }
}

fn header_from(facts: &Facts<'_>) -> Option<String> {
    let Moment::Message { headers, .. } = facts.moment else { return None };
    let from = headers.readings().iter().find(|(header, _)| *header == AddressHeader::From)?;
    from.1.readings.first().map(Address::to_text)
}

fn client(facts: &Facts<'_>) -> String {
    match facts.session.client {
        Some(address) => format!("{} [{address}]", facts.session.client_name),
        None => facts.session.client_name.clone(),
    }
}

/// One line a decision. What strangers wrote is shown escaped, by `Debug`.
fn log<D>(decision: &Decision, entry: &JournalEntry<D>) {
    let object = decision.reasons.first().map_or("", |reason| &reason.object);
    let text = decision.reasons.first().map_or("", |reason| &reason.text);
    tracing::info!(
        verdict = entry.verdict,
        rule = entry.rule,
        object,
        reference = %entry.reference,
        queue_id = entry.queue_id.as_deref().unwrap_or("-"),
        envelope_sender = ?entry.envelope_sender.as_deref().unwrap_or(""),
        recipient = ?entry.recipient.as_deref().unwrap_or(""),
        client = ?entry.client.as_deref().unwrap_or(""),
        why = ?text,
        "decision"
    );
}

#[cfg(test)]
mod tests {
    use mailwarden_address::{EnvelopeRecipient, EnvelopeSender};
    use mailwarden_gate::{MessageHeaders, Session, decide};
    use mailwarden_ledger::{JournalBounds, VendorRegister};
    use mailwarden_policy::{Policy, Source};

    use super::*;

    const EXAMPLE: &[u8] = include_bytes!("../../../config/policy/example.toml");

    fn snapshot() -> Snapshot {
        let policy = Policy::compile(&[Source::new("p.toml", EXAMPLE)]).expect("valid").0;
        let (modes, sender_logins) = Default::default();
        Snapshot { policy, modes, sender_logins, own_networks: Vec::new() }
    }

    async fn recorder() -> Recorder {
        let memory = "sqlite::memory:";
        let register = VendorRegister::open(memory).await.expect("register");
        Recorder {
            ledger: Ledger::open(memory).await.expect("ledger"),
            journal: Journal::open(memory, JournalBounds::default()).await.expect("journal"),
            metrics: Arc::new(Metrics::new(Arc::default())),
            memory: Arc::new(GateMemory::new(register)),
            notices: Arc::default(),
        }
    }

    /// Whether a message to `recipient` that one of our mailboxes redirected may go on with a ledger that is gone.
    async fn goes_on(recipient: &str) -> Result<(), NotRecorded> {
        let (snapshot, recorder) = (snapshot(), recorder().await);
        recorder.ledger.close().await.expect("closed");
        let session = Session { is_own_host: true, ..Session::default() };
        let envelope_sender = EnvelopeSender::read(b"<news@vendor.test>", None);
        let recipients = [EnvelopeRecipient::read(recipient.as_bytes(), None)];
        let mut headers = MessageHeaders::default();
        headers.push(b"From", b"news@vendor.test");
        headers.push(b"X-Sieve-Redirected-From", b"sales@example.test");
        let moment = Moment::Message { recipients: &recipients, headers: &headers };
        let facts = Facts::new(&session, &envelope_sender, moment);
        let now = Utc::now();
        let decision = decide(&snapshot.policy, &snapshot.modes, &facts, now);
        assert_eq!(decision.notices.len(), 1, "{decision:?}");
        let circumstances = Circumstances { snapshot: &snapshot, facts: &facts, queue_id: None, now };
        recorder.notify(&decision, &circumstances, "REF").await
    }

    #[tokio::test]
    async fn what_is_only_observed_is_summed_apart_from_what_was_refused() {
        let (mut snapshot, recorder) = (snapshot(), recorder().await);
        let (session, now) = (Session::default(), Utc::now());
        let envelope_sender = EnvelopeSender::read(b"<vault@example.test>", None);
        let recipient = EnvelopeRecipient::read(b"<jane@example.test>", None);
        let facts = Facts::new(&session, &envelope_sender, Moment::Recipient(&recipient));
        for mode in [Mode::Observe, Mode::Observe, Mode::Enforce] {
            snapshot.modes.receive_only = mode;
            let decision = decide(&snapshot.policy, &snapshot.modes, &facts, now);
            assert_eq!(decision.is_accepted(), mode == Mode::Observe, "{decision:?}");
            let circumstances = Circumstances { snapshot: &snapshot, facts: &facts, queue_id: None, now };
            recorder.record(&decision, &circumstances);
        }
        recorder.ledger.flush_refusals(now).await.expect("flushed");
        let sums = recorder.ledger.refusal_sums(now).await.expect("sums");
        let found: Vec<_> = sums.iter().map(|sum| (sum.rule.as_str(), sum.count)).collect();
        assert_eq!(found, [("receive-only", 1), ("receive-only.would-refuse", 2)]);
    }

    #[tokio::test]
    async fn a_containment_that_cannot_be_recorded_does_not_happen_and_other_mail_goes_on() {
        assert_eq!(goes_on("<bob@example.test>").await, Err(NotRecorded), "a leaver's mail");
        assert_eq!(goes_on("<friend@gmail.test>").await, Ok(()), "an event nobody is told of");
    }
}
