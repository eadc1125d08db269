//! `backscatter`: a bounce to an address that never sends answers a message that somebody forged, and is refused.
//!
//! The null sender alone makes no bounce: vendors send codes and receipts with it. A bounce says so itself: by its
//! type (RFC 6522), a field of its author's, or an author such as MAILER-DAEMON.
//!
//! Example: `MAIL FROM:<>`, `From: MAILER-DAEMON@mx.other.test` to `acme@saas.example.test` gets
//! `550 5.7.1 backscatter: <acme@saas.example.test> never sends mail, ...`.

use mailwarden_address::{Address, EnvelopeRecipient};

use crate::decision::Refusal;
use crate::facts::MessageHeaders;
use crate::rules::Rule;
use crate::{Case, Decision};

/// Judges a complete message.
pub(crate) fn message(
    case: &Case<'_>,
    recipients: &[&EnvelopeRecipient],
    headers: &MessageHeaders,
    decision: &mut Decision,
) {
    let Some(mode) = case.modes.active(Rule::Backscatter) else { return };
    if !case.facts.envelope_sender.is_null || !headers.is_bounce() {
        return;
    }
    let never_sends = |recipient: &&EnvelopeRecipient| {
        let address = recipient.address.clone()?;
        case.policy.receive_only(&address).map(|by| (address, by.object()))
    };
    let silent: Vec<(Address, String)> = recipients.iter().filter_map(never_sends).collect();
    let Some((address, object)) = silent.first() else {
        return decision.step(Rule::Backscatter, || "a bounce, and its recipients do send".to_owned());
    };
    if silent.len() < recipients.len() {
        // The others may have sent something: nobody's bounce is lost for the company it comes in.
        let text = format!("a bounce to <{address}>, which never sends mail");
        return decision.tag(Rule::Backscatter, mode, object.clone(), text);
    }
    let refusal = Refusal {
        rule: Rule::Backscatter,
        code: 550,
        enhanced: (7, 1),
        address: address.to_string(),
        text: "never sends mail, so this bounce answers a forged message".to_owned(),
    };
    decision.refuse(mode, object.clone(), refusal);
}
