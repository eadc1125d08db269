//! `required-address`: postmaster@ and abuse@ are accepted on every domain and scope of ours, whatever the other
//! rules say, and reach the mailbox that people watch (RFC 2142 §4 and §5, RFC 5321 §4.5.1).
//!
//! Example: `abuse@saas.example.test` is accepted even when somebody burned a vendor of that name.

use mailwarden_address::{Address, EnvelopeRecipient};
use mailwarden_policy::Policy;

use crate::Decision;
use crate::rules::{Mode, Modes, Rule};

/// Local parts that every domain must answer for.
const REQUIRED: [&str; 2] = ["postmaster", "abuse"];

/// Whether no other rule may refuse this recipient.
pub(crate) fn exempts(
    policy: &Policy,
    modes: &Modes,
    recipient: &EnvelopeRecipient,
    decision: &mut Decision,
) -> bool {
    if modes.required_address != Mode::Enforce {
        return false;
    }
    let exempt = queue(policy, recipient).is_some();
    if exempt {
        decision.step(Rule::RequiredAddress, "a required address: accepted whatever the other rules say");
    }
    exempt
}

/// The watched mailbox of a required address, and the address it was sent to.
pub(crate) fn queue<'p>(policy: &'p Policy, recipient: &EnvelopeRecipient) -> Option<(Address, &'p Address)> {
    let address = recipient.address.as_ref()?;
    let required = REQUIRED.iter().any(|local| address.local().eq_ignore_ascii_case(local));
    let queue = required.then(|| policy.admin_queue(address.domain())).flatten()?;
    Some((address.clone(), queue))
}
