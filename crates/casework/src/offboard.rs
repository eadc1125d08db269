//! Offboarding: open (sweep first) -> contain -> revoke -> attest -> sweep again -> approve -> close.
//!
//! Every item of the checklist ends as passed by evidence, attested by a named person, or waived with reason,
//! approver and end. What the leaver touched elsewhere is worked out of the policy, not remembered.

mod checklist;
mod state;

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_policy::raci::{Action, Duty};
use mailwarden_policy::{Person, Policy};
use serde::{Deserialize, Serialize};

pub use checklist::{Item, Proof, checklist, still_named};
pub use state::{ItemState, OffboardCase, Resolution};

use crate::entry::{Entry, Step};
use crate::refused::Refused;

/// `offboard.opened`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The case.
    pub case: String,
    /// Who leaves, by the first of their addresses.
    pub person: Address,
    /// Their name.
    pub name: String,
    /// Everything they are reachable as, outside addresses included.
    pub addresses: Vec<Address>,
    /// The mailboxes that are theirs alone.
    pub mailboxes: Vec<Address>,
    /// When they leave, as HR says.
    pub leaves: DateTime<Utc>,
    /// The ticket.
    pub ticket: String,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub requester: Address,
    /// The checklist.
    pub items: Vec<Item>,
    /// What it takes, as the policy had it on that day.
    pub duty: Duty,
}

/// `offboard.contained`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contained {
    /// The case.
    pub case: String,
    /// From when on the gate contains them, as the policy says.
    pub left: DateTime<Utc>,
    /// Where their mail goes.
    pub successor: Option<Address>,
    /// The policy that says so.
    pub policy_digest: String,
}

/// `offboard.passed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The case.
    pub case: String,
    /// The item.
    pub item: String,
    /// What proves it: a sweep or a policy.
    pub evidence: String,
}

/// `offboard.attested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// The case.
    pub case: String,
    /// The item.
    pub item: String,
    /// Who says that it is so.
    pub by: Address,
    /// When it was done.
    pub done: DateTime<Utc>,
    /// What was done.
    pub note: String,
}

/// `offboard.waived`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waived {
    /// The case.
    pub case: String,
    /// The item.
    pub item: String,
    /// Why it may stay open.
    pub reason: String,
    /// Who answers for it.
    pub approver: Address,
    /// Until when.
    pub expires: DateTime<Utc>,
}

/// `offboard.closed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The case.
    pub case: String,
    /// Who closed it.
    pub by: Address,
    /// The sweep it rests on.
    pub sweep: Option<String>,
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Opening<'a> {
    /// The number of the case, should it be a new one.
    pub case: String,
    /// Who leaves.
    pub person: &'a Person,
    /// When, as HR says.
    pub leaves: DateTime<Utc>,
    /// The ticket.
    pub ticket: String,
    /// Why.
    pub reason: String,
    /// Who asks.
    pub requester: Address,
}

/// Opens a case. While one about the person is open, the same time and ticket lead to it.
///
/// # Errors
/// A case is open with another time, or no ticket is given.
pub fn open(
    policy: &Policy,
    existing: Option<&OffboardCase>,
    opening: Opening<'_>,
) -> Result<Step<Opened>, Refused> {
    let Opening { case, person, leaves, ticket, reason, requester } = opening;
    if let Some(existing) = existing {
        if existing.opened.leaves == leaves && existing.opened.ticket == ticket {
            return Ok(Step::Already);
        }
        let what = format!("the offboarding {} of {} is open already", existing.id(), person.name);
        return Err(Refused::order(what, "go on with it: `mailwarden offboard status`"));
    }
    if ticket.trim().is_empty() {
        return Err(Refused::value("an offboarding needs a ticket", "give --ticket"));
    }
    let Some(primary) = person.addresses.first() else {
        return Err(Refused::value(format!("{} has no address", person.name), "add it to the [[person]]"));
    };
    let own = |address: &&Address| policy.mailbox(address).is_some();
    Ok(Step::Record(Opened {
        case,
        person: primary.clone(),
        name: person.name.clone(),
        addresses: person.addresses.iter().chain(&person.external_addresses).cloned().collect(),
        mailboxes: person.addresses.iter().filter(own).cloned().collect(),
        leaves,
        ticket,
        reason,
        requester: policy.person_address(&requester).clone(),
        items: checklist(policy, person),
        duty: Duty::about_person(policy, Action::Offboard, person),
    }))
}

/// All cases, oldest first.
pub fn cases(entries: &[Entry]) -> Vec<OffboardCase> {
    let mut cases: Vec<OffboardCase> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.kind.starts_with("offboard.")) {
        if entry.kind == "offboard.opened" {
            let opened = entry.step().filter(|opened: &Opened| !cases.iter().any(|c| c.id() == opened.case));
            cases.extend(opened.map(|opened| OffboardCase::begin(opened, entry.at, entry.actor.clone())));
        } else if let Some(case) = cases.iter_mut().find(|case| Some(case.id()) == entry.case()) {
            case.apply(entry);
        }
    }
    cases
}

/// The open case about a person, by any of their addresses.
pub fn open_case<'c>(cases: &'c [OffboardCase], person: &Address) -> Option<&'c OffboardCase> {
    cases.iter().find(|case| case.is_open() && case.opened.addresses.contains(person))
}
