//! `vendor-state`: mail to a burned, paused or unregistered vendor address, and more new local parts in an hour
//! than the scope takes, is refused at RCPT with the reply that the policy names. Unregistered addresses may be
//! tagged or held instead.
//!
//! Example: `burnt@saas.example.test` with `state = "burned"` gets
//! `550 5.1.6 vendor-state: <burnt@saas.example.test> is no longer in use`.

use mailwarden_address::{Address, EnvelopeRecipient};
use mailwarden_policy::{Recipient, Scope, Unknown, Vendor, VendorState};

use crate::decision::{Notice, NoticeKind, Refusal};
use crate::memory::Lesson;
use crate::rules::{Mode, Rule};
use crate::{Case, Decision};

/// Judges one recipient.
pub(crate) fn recipient(case: &Case<'_>, recipient: &EnvelopeRecipient, decision: &mut Decision) {
    let Some(mode) = case.modes.active(Rule::VendorState) else { return };
    let Some(address) = recipient.address.as_ref() else { return };
    match case.policy.recipient(address) {
        Recipient::Vendor(vendor, _) => vendor_address(mode, vendor, address, decision),
        Recipient::InScope(scope) if scope.takes_unregistered(address) => {
            flood(case, mode, scope, address, decision);
        }
        Recipient::InScope(scope) if scope.unknown == Unknown::Refuse => {
            let text = scope.unknown_reply.as_deref().unwrap_or("is not registered with any vendor");
            decision.refuse(mode, scope.name(), refusal(address, 550, (1, 1), text));
        }
        Recipient::InScope(_) | Recipient::Mailbox(_) | Recipient::Unknown => {}
    }
}

/// Tags or holds a message to an address that its scope does not know.
pub(crate) fn message(case: &Case<'_>, recipients: &[&EnvelopeRecipient], decision: &mut Decision) {
    let Some(mode) = case.modes.active(Rule::VendorState) else { return };
    for address in recipients.iter().filter_map(|recipient| recipient.address.as_ref()) {
        let Recipient::InScope(scope) = case.policy.recipient(address) else { continue };
        if scope.takes_unregistered(address) {
            continue;
        }
        let text = format!("<{address}> is not registered with any vendor");
        match scope.unknown {
            Unknown::Refuse => {}
            Unknown::Tag => decision.tag(Rule::VendorState, mode, scope.name(), text),
            Unknown::Hold => decision.hold(Rule::VendorState, mode, scope.name(), text),
        }
    }
}

fn vendor_address(mode: Mode, vendor: &Vendor, address: &Address, decision: &mut Decision) {
    let (code, enhanced, standard) = match vendor.state {
        VendorState::Active => {
            return decision.step(Rule::VendorState, || format!("{} is active", vendor.address));
        }
        // RFC 7505 §4.1 and RFC 3463: x.1.6, the mailbox has moved and left no forwarding address.
        VendorState::Burned => (550, (1, 6), "is no longer in use"),
        VendorState::Paused => (450, (2, 1), "takes no mail at the moment; try again later"),
    };
    let text = vendor.reply.as_deref().unwrap_or(standard);
    decision.refuse(mode, vendor.address.to_string(), refusal(address, code, enhanced, text));
}

/// A catch-all is open to anybody who guesses; a limit for local parts that it never heard of stops a dictionary
/// without touching the vendors it knows.
fn flood(case: &Case<'_>, mode: Mode, scope: &Scope, address: &Address, decision: &mut Decision) {
    let Some(limit) = scope.new_per_hour else { return };
    let (memory, name) = (case.facts.memory, scope.name());
    if memory.vendor(address).is_some() || memory.is_newcomer(&name, address, case.now) {
        return decision.step(Rule::VendorState, || format!("{name} heard of <{address}> before"));
    }
    let newcomers = memory.newcomers(&name, case.now);
    decision.step(Rule::VendorState, || {
        format!("<{address}> is new to {name}, which took {newcomers} of {limit} new local parts this hour")
    });
    if newcomers < limit {
        return decision.lessons.push(Lesson::NewLocalPart { scope: name, address: address.clone() });
    }
    decision.notices.push(Notice {
        kind: NoticeKind::FloodBegan,
        rule: Rule::VendorState,
        mode,
        object: name.clone(),
        text: format!("more than {limit} new local parts in an hour"),
    });
    let standard = "is one of too many new addresses; try again later";
    let text = scope.flood_reply.as_deref().unwrap_or(standard);
    decision.refuse(mode, name, refusal(address, 450, (7, 1), text));
}

fn refusal(address: &Address, code: u16, enhanced: (u16, u16), text: &str) -> Refusal {
    Refusal { rule: Rule::VendorState, code, enhanced, address: address.to_string(), text: text.to_owned() }
}
