//! The gate's decision: facts and policy in, one decision out.
//!
//! [`decide`] is the whole flow. It is asked once for every recipient and once at the end of the message, and gives
//! one [`Decision`] from which the milter answer, the added header, the log line, the metric and the ledger row are
//! all rendered; they cannot disagree.

mod decision;
mod facts;
mod rules;

use chrono::{DateTime, Utc};
pub use decision::{Decision, Edit, ROUTE_HEADER, Reason, Refusal, Step, Verdict};
pub use facts::{AddressHeader, Facts, MessageHeaders, Moment, Path, Session};
use mailwarden_policy::Policy;
pub use rules::{Mode, Modes, Rule};

/// Decides on one recipient, or on a whole message.
///
/// The rules run in a fixed order: a required address is accepted before any other rule can refuse it; what may not
/// be sent is refused before it is asked where it would go; routing comes last.
pub fn decide(policy: &Policy, modes: &Modes, facts: &Facts<'_>, now: DateTime<Utc>) -> Decision {
    let mut decision = Decision::default();
    match facts.moment {
        // RFC 6409 §1 and Postfix's own sendmail(1) path: a recipient that is refused in cleanup keeps the message
        // in the maildrop queue for ever, so everything is decided when the message is complete.
        Moment::Recipient(_) if facts.session.path == Path::Local => {
            decision.trace.push(Step::note("a local submission is decided when the message is complete"));
        }
        Moment::Recipient(recipient) => {
            if !rules::required_address::exempts(policy, modes, recipient, &mut decision) {
                rules::receive_only::envelope(policy, modes, facts.envelope_sender, &mut decision);
                rules::leaver::login(policy, modes, facts.session, now, &mut decision);
                rules::vendor_state::recipient(policy, modes, recipient, &mut decision);
                rules::route::recipient(policy, modes, recipient, &mut decision);
            }
        }
        Moment::Message { recipients, headers } => {
            let only_required = !recipients.is_empty()
                && recipients.iter().all(|recipient| {
                    rules::required_address::exempts(policy, modes, recipient, &mut Decision::default())
                });
            if only_required {
                decision.trace.push(Step::note("every recipient is a required address: nothing is refused"));
            } else {
                refuse_message(policy, modes, facts, headers, recipients, now, &mut decision);
            }
            if decision.is_accepted() {
                rules::route::message(policy, modes, recipients, headers, now, &mut decision);
            }
        }
    }
    decision
}

/// The rules that can refuse a complete message. In the local path the recipients are judged here as well.
fn refuse_message(
    policy: &Policy,
    modes: &Modes,
    facts: &Facts<'_>,
    headers: &MessageHeaders,
    recipients: &[mailwarden_address::EnvelopeRecipient],
    now: DateTime<Utc>,
    decision: &mut Decision,
) {
    if facts.session.path == Path::Local {
        rules::receive_only::envelope(policy, modes, facts.envelope_sender, decision);
        rules::leaver::login(policy, modes, facts.session, now, decision);
        for recipient in recipients {
            if !rules::required_address::exempts(policy, modes, recipient, decision) {
                rules::vendor_state::recipient(policy, modes, recipient, decision);
                rules::route::recipient(policy, modes, recipient, decision);
            }
        }
    }
    rules::receive_only::headers(policy, modes, headers, decision);
}
