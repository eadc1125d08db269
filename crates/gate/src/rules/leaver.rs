//! `leaver`: from the moment a person has left, mail from their logins is refused, and mail to them goes to the
//! successor, or else to who answers for the mailbox, so that nothing left in the mailbox can forward it.
//!
//! Example: `bob@example.test` left on 2026-01-31 with `successor = "jane@example.test"`: his mail reaches jane@.

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_policy::{Person, Policy};

use crate::decision::{Notice, NoticeKind, Refusal};
use crate::rules::{Mode, Rule};
use crate::{Case, Decision};

/// Successors may have left as well; a chain is followed so far.
const LONGEST_CHAIN: usize = 8;

/// Refuses what a leaver's login submits.
pub(crate) fn login(case: &Case<'_>, decision: &mut Decision) {
    let Some(mode) = case.modes.active(Rule::Leaver) else { return };
    let Some(login) = case.facts.session.login.as_deref() else { return };
    let Some((person, shown)) = leaver_login(case, login) else { return };
    let refusal = Refusal {
        rule: Rule::Leaver,
        code: 550,
        enhanced: (7, 1),
        address: shown,
        text: "belongs to a person who has left; this login may not send".to_owned(),
    };
    if mode == Mode::Enforce {
        decision.notices.push(contained(&person_object(person), "mail from this login is refused", mode));
    }
    decision.refuse(mode, person_object(person), refusal);
}

fn leaver_login<'c>(case: &Case<'c>, login: &str) -> Option<(&'c Person, String)> {
    let by_address = Address::parse(login).ok();
    let person = match &by_address {
        Some(address) => leaver(case.policy, address, case.now)?,
        None => case.policy.unix_user(login).filter(|person| person.has_left(case.now))?,
    };
    Some((person, by_address.map_or_else(|| login.to_owned(), |address| address.to_string())))
}

/// Where mail to a leaver goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heir<'p> {
    /// The address belongs to nobody who has left.
    NotNeeded,
    /// To this address.
    Is(&'p Address),
    /// Nobody who is still there is on record.
    Missing,
}

/// Who gets mail to this address: the successor, else the owner of the mailbox, else the client's owner and
/// emergency approver; whoever of them has not left.
pub(crate) fn heir<'p>(policy: &'p Policy, address: &Address, now: DateTime<Utc>) -> Heir<'p> {
    let Some(mut person) = leaver(policy, address, now) else { return Heir::NotNeeded };
    for _ in 0..LONGEST_CHAIN {
        let Some(successor) = &person.successor else { break };
        match leaver(policy, successor, now) {
            None if successor != address => return Heir::Is(successor),
            None => break,
            Some(next) => person = next,
        }
    }
    let client = policy.clients().get(person.client);
    let owner = policy.mailbox(address).and_then(|mailbox| mailbox.business_owner.as_ref());
    let candidates =
        [owner, client.map(|client| &client.owner), client.map(|client| &client.emergency_approver)];
    let is_there = |candidate: &&Address| leaver(policy, candidate, now).is_none() && *candidate != address;
    candidates.into_iter().flatten().find(is_there).map_or(Heir::Missing, Heir::Is)
}

/// The person who has left and whose own address this is. A leaver's outside address is not ours to contain.
pub(crate) fn leaver<'p>(policy: &'p Policy, address: &Address, now: DateTime<Utc>) -> Option<&'p Person> {
    let person = policy.person(address)?;
    (person.has_left(now) && person.addresses.contains(address)).then_some(person)
}

/// How a person is named in reasons and in the ledger.
pub(crate) fn person_object(person: &Person) -> String {
    person.addresses.first().map_or_else(|| person.name.clone(), ToString::to_string)
}

/// What the ledger has to hold when mail is led elsewhere.
pub(crate) fn contained(object: &str, text: &str, mode: Mode) -> Notice {
    let (kind, rule) = (NoticeKind::Contained, Rule::Leaver);
    Notice { kind, rule, mode, object: object.to_owned(), text: text.to_owned() }
}
