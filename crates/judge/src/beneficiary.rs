//! Who gains, and how they stand to the organisation.

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_policy::{Mailbox, MailboxKind, Person, Policy};

use crate::severity::Destination;
use crate::wording::{day, shown};
use crate::{Beneficiary, BeneficiaryKind};

/// An address or login, and all that the policy knows of it.
#[derive(Debug, Clone)]
pub(crate) struct Standing<'p> {
    /// How it stands to the organisation.
    pub(crate) kind: BeneficiaryKind,
    /// As it was written, cut to a length that can be shown.
    pub(crate) value: String,
    /// Its identity across spellings.
    pub(crate) key: String,
    /// The person behind it.
    pub(crate) person: Option<&'p Person>,
    /// The mailbox of the policy behind it.
    pub(crate) mailbox: Option<&'p Mailbox>,
    /// Whether that person has left.
    pub(crate) left: bool,
    /// Whether it is a private or other outside address known to be a person's.
    pub(crate) is_private: bool,
}

impl<'p> Standing<'p> {
    pub(crate) fn of(policy: &'p Policy, client: Option<usize>, text: &str, now: DateTime<Utc>) -> Self {
        match Address::parse(text.trim()) {
            Ok(address) => Self::of_address(policy, client, text, &address, now),
            Err(_) => Self::of_text(text),
        }
    }

    fn of_address(
        policy: &'p Policy,
        client: Option<usize>,
        text: &str,
        address: &Address,
        now: DateTime<Utc>,
    ) -> Self {
        let leaver = known_as(address, |known| policy.leaver(known, now));
        let person = leaver.or_else(|| known_as(address, |known| present(policy, known, now)));
        let is_ours = policy.is_ours(address.domain());
        let is_approved = client.is_some_and(|client| policy.is_approved_external(client, address.domain()));
        let kind = match (is_ours, is_approved) {
            (true, _) => BeneficiaryKind::Internal,
            (false, true) => BeneficiaryKind::Approved,
            (false, false) => BeneficiaryKind::External,
        };
        Self {
            kind,
            value: shown(text.trim()),
            key: address.key(),
            person,
            mailbox: known_as(address, |known| policy.mailbox(known)),
            left: leaver.is_some(),
            is_private: person.is_some() && !is_ours,
        }
    }

    /// Text that is no address of ours for sure: an address literal, or a spelling only some servers accept.
    /// With a domain part it leaves the organisation; without one nobody can say where it goes.
    fn of_text(text: &str) -> Self {
        let kind = if text.contains('@') { BeneficiaryKind::External } else { BeneficiaryKind::Unresolvable };
        Self {
            kind,
            value: shown(text),
            key: text.to_lowercase(),
            person: None,
            mailbox: None,
            left: false,
            is_private: false,
        }
    }

    /// Whether the address leads back to this mailbox.
    pub(crate) fn is_mailbox(&self, mailbox: &str) -> bool {
        let own = |record: &Mailbox| record.address.key() == mailbox.to_lowercase();
        self.key == mailbox.to_lowercase() || self.mailbox.is_some_and(own)
    }

    /// Where it puts severity. An approval is for the organisation's business, so it covers nobody who has
    /// left.
    pub(crate) fn destination(&self) -> Destination {
        let is_human = self.mailbox.map_or(self.person.is_some(), |record| record.kind == MailboxKind::Human);
        match self.kind {
            BeneficiaryKind::Approved if !self.left => Destination::Approved,
            BeneficiaryKind::Approved | BeneficiaryKind::External => Destination::External,
            BeneficiaryKind::Internal if is_human || self.left => Destination::InternalPerson,
            BeneficiaryKind::Internal => Destination::InternalRole,
            BeneficiaryKind::Unresolvable | BeneficiaryKind::Command => Destination::Computed,
        }
    }

    /// The words between "forwarded" and the address.
    pub(crate) fn direction(&self) -> &'static str {
        match self.destination() {
            Destination::Approved => "to the approved address",
            Destination::External => "outside to",
            Destination::Computed => "to the unresolvable address",
            _ => "inside to",
        }
    }

    pub(crate) fn beneficiary(&self) -> Beneficiary {
        Beneficiary {
            kind: self.kind,
            value: self.value.clone(),
            person: self.person.map(|person| person.name.clone()),
        }
    }

    /// The address, with the person behind it where that says more than the address.
    pub(crate) fn named(&self) -> String {
        format!("{}{}", self.value, self.in_brackets())
    }

    fn in_brackets(&self) -> String {
        let Some(person) = self.person else { return String::new() };
        match (person.left, self.is_private) {
            (Some(left), _) if self.left => format!(" ({}, left {})", person.name, day(left)),
            (Some(left), _) => format!(" ({}, leaves {})", person.name, day(left)),
            (None, true) => format!(" (private address of {})", person.name),
            (None, false) => format!(" ({})", person.name),
        }
    }
}

/// The person behind an address that is no leaver's; of one that was handed on, whoever has it now.
fn present<'p>(policy: &'p Policy, address: &Address, now: DateTime<Utc>) -> Option<&'p Person> {
    policy
        .person(address)
        .and_then(|person| if person.has_left(now) { policy.holder(address) } else { Some(person) })
}

/// A lookup by the address, else by the address without its extension: `bob+x@` is delivered to bob (RFC
/// 5233).
fn known_as<T>(address: &Address, lookup: impl Fn(&Address) -> Option<T>) -> Option<T> {
    let without_extension = || {
        let (base, _) = address.local().split_once('+')?;
        Address::parse(&format!("{base}@{}", address.domain())).ok().and_then(|base| lookup(&base))
    };
    lookup(address).or_else(without_extension)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LATER, example_policy, policy_with};

    fn standing(text: &str) -> (BeneficiaryKind, Option<String>, bool, bool) {
        let policy = example_policy();
        let standing = Standing::of(&policy, Some(0), text, LATER.parse().unwrap());
        (standing.kind, standing.person.map(|person| person.name.clone()), standing.left, standing.is_private)
    }

    #[test]
    fn addresses_stand_where_the_policy_puts_them() {
        use BeneficiaryKind::*;
        let bob = Some("Bob Leaver".to_owned());
        let jane = Some("Jane Doe".to_owned());
        for (text, expected) in [
            ("sales@example.test", (Internal, None, false, false)),
            ("x@saas.example.test", (Internal, None, false, false)),
            ("jane@example.test", (Internal, jane, false, false)),
            ("BOB@Example.test", (Internal, bob.clone(), true, false)),
            ("bob+copy@gmail.example", (External, bob, true, true)),
            ("x@archive.example", (Approved, None, false, false)),
            ("x@sub.archive.example", (Approved, None, false, false)),
            ("x@elsewhere.example", (External, None, false, false)),
            ("bob@[192.0.2.1]", (External, None, false, false)),
            ("bob", (Unresolvable, None, false, false)),
        ] {
            assert_eq!(standing(text), expected, "{text}");
        }
    }

    #[test]
    fn an_address_that_was_handed_on_is_whose_it_is_now() {
        let policy = policy_with(
            "[[person]]\nname = \"Gone\"\naddresses = [\"desk@example.test\"]\nleft = 2026-01-01T00:00:00Z\n\
             [[mailbox]]\naddress = \"desk@example.test\"\nkind = \"role\"\nbusiness_owner = \"jane@example.test\"\n",
        );
        let desk = Standing::of(&policy, Some(0), "desk+x@example.test", LATER.parse().unwrap());
        assert_eq!((desk.named(), desk.left), ("desk+x@example.test (Jane Doe)".to_owned(), false));
    }

    #[test]
    fn nobody_has_left_before_they_leave() {
        let policy = example_policy();
        let before = "2026-01-31T16:59:59Z".parse().unwrap();
        let bob = Standing::of(&policy, Some(0), "bob@gmail.example", before);
        assert!(!bob.left);
        assert_eq!(bob.named(), "bob@gmail.example (Bob Leaver, leaves 2026-01-31)");
    }
}
