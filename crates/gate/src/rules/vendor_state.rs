//! `vendor-state`: mail to a burned, paused or unregistered vendor address is refused at RCPT, with the reply that
//! the policy names.
//!
//! Example: `burnt@saas.example.test` with `state = "burned"` gets
//! `550 5.1.6 vendor-state: <burnt@saas.example.test> is no longer in use`.

use mailwarden_address::{Address, EnvelopeRecipient};
use mailwarden_policy::{Accept, Policy, Recipient, Vendor, VendorState};

use crate::Decision;
use crate::decision::Refusal;
use crate::rules::{Mode, Modes, Rule};

/// Judges one recipient.
pub(crate) fn recipient(
    policy: &Policy,
    modes: &Modes,
    recipient: &EnvelopeRecipient,
    decision: &mut Decision,
) {
    let Some(address) = recipient.address.as_ref().filter(|_| modes.vendor_state != Mode::Off) else {
        return;
    };
    match policy.recipient(address) {
        Recipient::Vendor(vendor, _) => vendor_address(modes.vendor_state, vendor, address, decision),
        Recipient::InScope(scope) if scope.accept == Accept::Registered => {
            let refusal = refusal(address, 550, (1, 1), "is not registered with any vendor");
            decision.refuse(modes.vendor_state, scope.domain.to_string(), refusal);
        }
        Recipient::InScope(_) | Recipient::Mailbox(_) | Recipient::Unknown => {}
    }
}

fn vendor_address(mode: Mode, vendor: &Vendor, address: &Address, decision: &mut Decision) {
    let (code, enhanced, standard) = match vendor.state {
        VendorState::Active => return decision.step(Rule::VendorState, format!("{address} is active")),
        // RFC 7505 §4.1 and RFC 3463: x.1.6, the mailbox has moved and left no forwarding address.
        VendorState::Burned => (550, (1, 6), "is no longer in use"),
        VendorState::Paused => (450, (2, 1), "takes no mail at the moment; try again later"),
    };
    let text = vendor.reply.as_deref().unwrap_or(standard);
    decision.refuse(mode, vendor.address.to_string(), refusal(address, code, enhanced, text));
}

fn refusal(address: &Address, code: u16, enhanced: (u16, u16), text: &str) -> Refusal {
    Refusal { rule: Rule::VendorState, code, enhanced, address: address.to_string(), text: text.to_owned() }
}
