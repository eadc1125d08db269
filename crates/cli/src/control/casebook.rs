//! Policy, ledger and clock of one command.

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_casework::{Entry, Refused, Step, to_entry};
use mailwarden_ledger::{
    Event, EventFilter, EventKind, Ledger, LedgerError, Reference, StoredEvent, is_case_id, shown_url,
};
use mailwarden_policy::{Mailbox, Policy};
use mailwarden_settings::{Settings, load_policy};
use serde::Serialize;

use super::actor::{Actor, actor, address};
use crate::arguments::Common;
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

/// What every command of the control model works on.
pub(crate) struct Casebook {
    pub(crate) settings: Settings,
    pub(crate) policy: Policy,
    pub(crate) now: DateTime<Utc>,
    ledger: Ledger,
}

impl Casebook {
    /// Opens policy and ledger.
    pub(crate) async fn open(common: &Common) -> Result<Self, Failure> {
        let settings = common.settings()?;
        let (policy, _) = load_policy(&common.policy_directory(&settings))?;
        let name = shown_url(&settings.ledger.url);
        let failed = |error| Failure::Ledger(format!("cannot open the ledger {name}"), error);
        let ledger = Ledger::open(&settings.ledger.url).await.map_err(failed)?;
        Ok(Self { settings, policy, now: Utc::now(), ledger })
    }

    /// The person who acts.
    pub(crate) fn actor(&self, named: Option<&str>) -> Result<Actor, Failure> {
        actor(&self.policy, named, self.now)
    }

    /// A mailbox of the policy, by any of its addresses.
    pub(crate) fn mailbox(&self, text: &str) -> Result<&Mailbox, Failure> {
        let address = address(text)?;
        self.policy.mailbox(&address).ok_or_else(|| {
            Failure::Usage(format!(
                "no mailbox of the policy is {address}\n  add a [[mailbox]] with its owner"
            ))
        })
    }

    /// A person, by any of their addresses.
    pub(crate) fn person(&self, text: &str) -> Result<Address, Failure> {
        Ok(self.policy.person_address(&address(text)?).clone())
    }

    /// Everything on record whose kind begins so.
    pub(crate) async fn entries(&self, kinds: &str) -> Result<Vec<Entry>, Failure> {
        let failed = |error| Failure::Ledger("cannot read the ledger".to_owned(), error);
        entries_of(&self.ledger, kinds, None).await.map_err(failed)
    }

    /// Records an entry; returns once it is durable.
    pub(crate) async fn record(&self, entry: Entry) -> Result<u64, Failure> {
        let failed = |error| Failure::Ledger("cannot write the ledger".to_owned(), error);
        let kind = entry.kind.clone();
        let event = to_event(entry).ok_or_else(|| Failure::Ours(format!("`{kind}` is no kind of event")))?;
        Ok(self.ledger.append(event).await.map_err(failed)?.index)
    }

    /// Records a step and says so; a step that is on record already says that.
    pub(crate) async fn take<T: Serialize>(
        &self,
        kind: &str,
        actor: &Actor,
        subject: &str,
        ticket: Option<&str>,
        step: Result<Step<T>, Refused>,
    ) -> Result<Option<T>, Failure> {
        match step.map_err(refused)? {
            Step::Already => {
                output::complain("this is on record already; nothing was changed");
                Ok(None)
            }
            Step::Record(step) => {
                let ticket = ticket.map(str::to_owned);
                let entry = to_entry(kind, self.now, &actor.recorded(), subject, ticket, &step);
                let index = self.record(entry).await?;
                output::complain(&format!("recorded: {kind} as entry {index}"));
                Ok(Some(step))
            }
        }
    }

    /// Ends; what was recorded is durable already.
    pub(crate) async fn close(self, outcome: Outcome) -> Result<Outcome, Failure> {
        let failed = |error| Failure::Ledger("cannot close the ledger".to_owned(), error);
        self.ledger.close().await.map_err(failed)?;
        Ok(outcome)
    }

    /// The ledger itself, for what is not a case.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

/// What the control model refuses is the caller's to mend.
pub(crate) fn refused(refused: Refused) -> Failure {
    Failure::Usage(shown(&refused.to_string()))
}

/// A new number for a case, short enough to be read over a telephone.
pub(crate) fn number(prefix: &str) -> String {
    format!("{prefix}-{}", Reference::new().as_str())
}

/// A moment from the command line: RFC 3339, or a day, which begins at midnight UTC.
pub(crate) fn moment(text: &str) -> Result<DateTime<Utc>, Failure> {
    let day = || format!("{text}T00:00:00Z").parse();
    text.parse::<DateTime<Utc>>().or_else(|_| day()).map_err(|_| {
        let what = shown(text);
        Failure::Usage(format!(
            "`{what}` is no moment\n  write 2026-01-31T17:00:00Z, or 2026-01-31 for midnight UTC"
        ))
    })
}

/// Entries of these kinds, in their order.
pub(crate) async fn entries_of(
    ledger: &Ledger,
    kinds: &str,
    subject: Option<&str>,
) -> Result<Vec<Entry>, LedgerError> {
    let filter = EventFilter {
        kind_prefix: Some(kinds.to_owned()),
        subject: subject.map(str::to_owned),
        ..EventFilter::default()
    };
    entries_matching(ledger, filter).await
}

/// Entries in their order, those whose detail was erased left out.
pub(crate) async fn entries_matching(
    ledger: &Ledger,
    mut filter: EventFilter,
) -> Result<Vec<Entry>, LedgerError> {
    let mut entries = Vec::new();
    loop {
        let events = ledger.events(&filter).await?;
        let Some(last) = events.last() else { return Ok(entries) };
        filter.after = Some(last.index);
        entries.extend(events.into_iter().filter_map(entry));
    }
}

/// An entry as the ledger takes it; nothing, where its kind is no dotted name.
pub(crate) fn to_event(entry: Entry) -> Option<Event> {
    let kind = entry.kind.parse::<EventKind>().ok()?;
    // What belongs to a case says so in its leaf: then the case leaves the ledger whole, and provably so.
    let case = entry.case().filter(|case| is_case_id(case)).map(str::to_owned);
    let mut event = Event::new(kind, entry.at, entry.actor, entry.subject).with(entry.payload);
    event.case = case;
    event.reason = entry.reason;
    event.prior_state = entry.prior_state;
    Some(event)
}

fn entry(event: StoredEvent) -> Option<Entry> {
    let detail = event.detail?;
    Some(Entry {
        kind: event.kind.as_str().to_owned(),
        at: event.at,
        actor: event.actor,
        subject: detail.subject,
        reason: event.reason,
        prior_state: detail.prior_state,
        payload: detail.payload,
    })
}
