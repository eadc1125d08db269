//! What every check reads.

use mailwarden_address::Address;
use mailwarden_evidence::{Coverage, Observation, SYSTEM};
use mailwarden_policy::{Person, Policy};

use crate::Run;
use crate::beneficiary::Standing;
use crate::coverage::is_complete;

/// One run's facts beside the policy they are judged by.
pub(crate) struct Brief<'a> {
    pub(crate) run: &'a Run,
    pub(crate) policy: &'a Policy,
    pub(crate) observations: &'a [Observation],
    pub(crate) coverage: &'a [Coverage],
}

impl<'a> Brief<'a> {
    /// The client whose approvals hold for a mailbox. Facts of the mail system as a whole belong to a client
    /// only where there is no other.
    pub(crate) fn client_of(&self, mailbox: &str) -> Option<usize> {
        let by_address = |address: Address| {
            let by_mailbox = self.policy.mailbox(&address).map(|record| record.client);
            let by_domain = || self.policy.domain(address.domain()).map(|record| record.client);
            let by_scope = || self.policy.scope(address.domain()).map(|scope| scope.client);
            by_mailbox.or_else(by_domain).or_else(by_scope)
        };
        let only = || (self.policy.clients().len() == 1).then_some(0);
        if mailbox == SYSTEM { only() } else { Address::parse(mailbox).ok().and_then(by_address) }
    }

    /// Whether a person has left by the end of this run.
    pub(crate) fn has_left(&self, person: &Person) -> bool {
        person.has_left(self.run.now)
    }

    /// How an address stands to the organisation that owns a mailbox.
    pub(crate) fn standing(&self, mailbox: &str, text: &str) -> Standing<'a> {
        Standing::of(self.policy, self.client_of(mailbox), text, self.run.now)
    }

    /// Whether a surface of a mailbox was looked at completely in this run.
    pub(crate) fn has_seen_all(&self, mailbox: &str, surface: &str) -> bool {
        is_complete(self.coverage, mailbox, surface)
    }

    /// Whether the person a mailbox belongs to has left.
    pub(crate) fn owner_left(&self, mailbox: &str) -> bool {
        crate::owner::person_of(self.policy, mailbox).is_some_and(|person| self.has_left(person))
    }
}
