//! Whose mailbox it is.

use mailwarden_address::Address;
use mailwarden_policy::{Person, Policy};

use crate::Owner;

/// The owner as a finding names them.
pub(crate) fn owner_of(policy: &Policy, mailbox: &str) -> Option<Owner> {
    let address = Address::parse(mailbox).ok()?;
    let record = policy.mailbox(&address);
    let role = record.map_or("mailbox", |record| record.kind.as_str()).to_owned();
    match (policy.holder(&address), record.and_then(|record| record.business_owner.as_ref())) {
        (Some(person), _) => Some(Owner { person: person.name.clone(), role, left: person.left }),
        (None, Some(owner)) => Some(Owner { person: owner.to_string(), role, left: None }),
        (None, None) => None,
    }
}

/// The person a mailbox belongs to.
pub(crate) fn person_of<'p>(policy: &'p Policy, mailbox: &str) -> Option<&'p Person> {
    policy.holder(&Address::parse(mailbox).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::example_policy;

    #[test]
    fn a_human_mailbox_is_its_persons_and_a_role_its_business_owners() {
        let policy = example_policy();
        let name = |mailbox: &str| owner_of(&policy, mailbox).map(|owner| (owner.person, owner.role));
        assert_eq!(name("bob@example.test"), Some(("Bob Leaver".to_owned(), "human".to_owned())));
        assert_eq!(name("offers@example.test"), Some(("Jane Doe".to_owned(), "role".to_owned())));
        assert_eq!(name("nobody@example.test"), None);
        assert_eq!(name("(system)"), None);
    }
}
