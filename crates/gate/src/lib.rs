//! The gate's decision: facts and policy in, one decision out.
//!
//! [`decide`] is the whole flow. It is asked once for every recipient and once at the end of the message, and gives
//! one [`Decision`] from which the milter answer, the added headers, the log line, the metric, the ledger's events
//! and what is remembered are all rendered; they cannot disagree.

mod decision;
mod facts;
mod memory;
mod rules;
mod sender_logins;

use chrono::{DateTime, Utc};
pub use decision::{
    Action, Decision, Edit, Notice, NoticeKind, ROUTE_HEADER, Reason, Refusal, Step, TAG_HEADER, Verdict,
};
pub use facts::{AddressHeader, Facts, MessageHeaders, Moment, Path, Session};
use mailwarden_address::EnvelopeRecipient;
use mailwarden_policy::Policy;
pub use memory::{Forgetful, KnownOrganisation, Lesson, Memory, Remembered};
pub use rules::{Mode, Modes, Rule};
pub use sender_logins::{BadEntry, SenderLogins};

/// Decides on one recipient, or on a whole message.
///
/// The rules run in a fixed order: a required address is accepted before any other rule can refuse it; what may not
/// be sent is refused before it is asked where it would go; routing comes last.
pub fn decide(policy: &Policy, modes: &Modes, facts: &Facts<'_>, now: DateTime<Utc>) -> Decision {
    run(&Case { policy, modes, facts, now }, Decision::default())
}

/// The same decision with its trace. Writing the trace costs more than deciding, so it is written only for somebody
/// who reads it: `mailwarden explain`, and the journal entry of a refusal.
pub fn explain(policy: &Policy, modes: &Modes, facts: &Facts<'_>, now: DateTime<Utc>) -> Decision {
    run(&Case { policy, modes, facts, now }, Decision { is_traced: true, ..Decision::default() })
}

/// What every rule may look at.
#[derive(Clone, Copy)]
struct Case<'c> {
    policy: &'c Policy,
    modes: &'c Modes,
    facts: &'c Facts<'c>,
    now: DateTime<Utc>,
}

fn run(case: &Case<'_>, mut decision: Decision) -> Decision {
    match case.facts.moment {
        // RFC 6409 §1 and Postfix's own sendmail(1) path: a recipient that is refused in cleanup keeps the message
        // in the maildrop queue for ever, so everything is decided when the message is complete.
        Moment::Recipient(_) if case.facts.session.path == Path::Local => {
            decision.note("a local submission is decided when the message is complete");
        }
        Moment::Recipient(recipient) => judge_recipient(case, recipient, &mut decision),
        Moment::Message { recipients, headers } => judge_message(case, recipients, headers, &mut decision),
    }
    decision.settle();
    decision
}

fn judge_recipient(case: &Case<'_>, recipient: &EnvelopeRecipient, decision: &mut Decision) {
    if !rules::required_address::exempts(case, recipient, decision) {
        rules::receive_only::envelope(case, decision);
        rules::leaver::login(case, decision);
        rules::vendor_state::recipient(case, recipient, decision);
        rules::route::recipient(case, recipient, decision);
    }
}

fn judge_message(
    case: &Case<'_>,
    recipients: &[EnvelopeRecipient],
    headers: &MessageHeaders,
    decision: &mut Decision,
) {
    let bound: Vec<&EnvelopeRecipient> =
        recipients.iter().filter(|recipient| !rules::required_address::is_exempt(case, recipient)).collect();
    if bound.is_empty() && !recipients.is_empty() {
        decision.note("every recipient is a required address: nothing is refused");
    } else {
        refuse_message(case, &bound, headers, decision);
    }
    if decision.is_accepted() {
        rules::route::message(case, recipients, headers, decision);
    }
}

/// The rules that can refuse, hold or tag a complete message; `recipients` are those that are not required
/// addresses. In the local path the recipients are judged here as well.
fn refuse_message(
    case: &Case<'_>,
    recipients: &[&EnvelopeRecipient],
    headers: &MessageHeaders,
    decision: &mut Decision,
) {
    if case.facts.session.path == Path::Local {
        rules::receive_only::envelope(case, decision);
        rules::leaver::login(case, decision);
        for recipient in recipients {
            rules::vendor_state::recipient(case, recipient, decision);
            rules::route::recipient(case, recipient, decision);
        }
    }
    rules::receive_only::headers(case, headers, decision);
    rules::sender_identity::message(case, headers, decision);
    rules::vendor_state::message(case, recipients, decision);
    rules::backscatter::message(case, recipients, headers, decision);
    rules::vendor_binding::message(case, recipients, headers, decision);
    rules::live_redirect::message(case, recipients, headers, decision);
}
