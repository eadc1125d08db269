//! `leaver`: from the moment a person has left, mail from their logins is refused, and mail to them goes to the
//! successor, so that nothing left in the mailbox can forward it.
//!
//! Example: `bob@example.test` left on 2026-01-31 with `successor = "jane@example.test"`: his mail reaches jane@.

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_policy::{Person, Policy};

use crate::Decision;
use crate::decision::Refusal;
use crate::facts::Session;
use crate::rules::{Mode, Modes, Rule};

/// Refuses what a leaver's login submits.
pub(crate) fn login(
    policy: &Policy,
    modes: &Modes,
    session: &Session,
    now: DateTime<Utc>,
    decision: &mut Decision,
) {
    let login = session.login.as_deref().and_then(|login| Address::parse(login).ok());
    let Some(login) = login.filter(|_| modes.leaver != Mode::Off) else { return };
    let Some(person) = leaver(policy, &login, now) else { return };
    let refusal = Refusal {
        rule: Rule::Leaver,
        code: 550,
        enhanced: (7, 1),
        address: login.to_string(),
        text: "belongs to a person who has left; this login may not send".to_owned(),
    };
    decision.refuse(modes.leaver, person_object(person), refusal);
}

/// Where mail to a leaver goes.
pub(crate) fn successor<'p>(
    policy: &'p Policy,
    modes: &Modes,
    address: &Address,
    now: DateTime<Utc>,
) -> Option<&'p Address> {
    let person = leaver(policy, address, now).filter(|_| modes.leaver == Mode::Enforce)?;
    person.successor.as_ref().filter(|successor| *successor != address)
}

/// The person who has left and whose own address this is. A leaver's outside address is not ours to contain.
fn leaver<'p>(policy: &'p Policy, address: &Address, now: DateTime<Utc>) -> Option<&'p Person> {
    let person = policy.person(address)?;
    let has_left = person.left.is_some_and(|left| left <= now);
    (has_left && person.addresses.contains(address)).then_some(person)
}

fn person_object(person: &Person) -> String {
    person.addresses.first().map_or_else(|| person.name.clone(), ToString::to_string)
}
