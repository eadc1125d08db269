//! `required-address`: postmaster@ and abuse@ are accepted on every domain and scope of ours, whatever the other
//! rules say, and reach the mailbox that people watch (RFC 2142 §4 and §5, RFC 5321 §4.5.1).
//!
//! Example: `abuse@saas.example.test` is accepted even when somebody burned a vendor of that name.

use mailwarden_address::{Address, EnvelopeRecipient};
use mailwarden_policy::Policy;

use crate::decision::Action;
use crate::rules::{Mode, Rule};
use crate::{Case, Decision};

/// Local parts that every domain must answer for.
const REQUIRED: [&str; 2] = ["postmaster", "abuse"];

/// Whether no other rule may refuse this recipient; said in the decision.
pub(crate) fn exempts(case: &Case<'_>, recipient: &EnvelopeRecipient, decision: &mut Decision) -> bool {
    let Some(mode) = case.modes.active(Rule::RequiredAddress) else { return false };
    let Some((address, _)) = queue(case.policy, recipient) else { return false };
    if mode == Mode::Observe {
        let text = format!("<{address}> is a required address and accepted whatever the other rules say");
        decision.apply(Rule::RequiredAddress, mode, Action::Exempt, address.domain().to_string(), text);
        return false;
    }
    decision.step(Rule::RequiredAddress, || {
        "a required address: accepted whatever the other rules say".to_owned()
    });
    true
}

/// Whether no other rule may refuse this recipient.
pub(crate) fn is_exempt(case: &Case<'_>, recipient: &EnvelopeRecipient) -> bool {
    case.modes.required_address == Mode::Enforce && queue(case.policy, recipient).is_some()
}

/// The watched mailbox of a required address, and the address it was sent to.
pub(crate) fn queue<'p>(policy: &'p Policy, recipient: &EnvelopeRecipient) -> Option<(Address, &'p Address)> {
    let address = recipient.address.as_ref()?;
    let required = REQUIRED.iter().any(|local| address.local().eq_ignore_ascii_case(local));
    let queue = required.then(|| policy.admin_queue(address.domain())).flatten()?;
    Some((address.clone(), queue))
}
