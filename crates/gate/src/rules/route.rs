//! `route`: any local part of a scope goes to the scope's one mailbox, or to the vendor's own route.
//!
//! The address it was sent to survives in `Mailwarden-Route:` (a field of that name that the message brought along
//! is removed first) and in ORCPT for delivery status notifications. Required addresses and leavers are routed
//! here too, so that there is one place where recipients change.
//!
//! Example: `anything@saas.example.test` becomes `ops@example.test` with
//! `Mailwarden-Route: anything@saas.example.test -> ops@example.test (route)`.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use mailwarden_address::{Address, EnvelopeRecipient};
use mailwarden_policy::{Policy, Recipient};

use crate::Decision;
use crate::decision::{Edit, ROUTE_HEADER, Reason, Refusal};
use crate::facts::MessageHeaders;
use crate::rules::{Mode, Modes, Rule, leaver, required_address};

struct Route {
    recipient: EnvelopeRecipient,
    from: Address,
    to: Address,
    rule: Rule,
    object: String,
}

/// Refuses what could not be delivered once it was routed. Postfix goes on asking for SMTPUTF8 (RFC 6531) when the
/// recipient it first heard of was not ASCII, even after it was rewritten, and Dovecot's LMTP has none: the message
/// would be accepted and bounce, mostly to a forged sender.
pub(crate) fn recipient(
    policy: &Policy,
    modes: &Modes,
    recipient: &EnvelopeRecipient,
    decision: &mut Decision,
) {
    let Some(address) = recipient.address.as_ref().filter(|_| modes.route != Mode::Off) else { return };
    if address.local().is_ascii() {
        return;
    }
    if let Some(scope) = policy.scope(address.domain()) {
        let refusal = Refusal {
            rule: Rule::Route,
            code: 553,
            enhanced: (6, 7),
            address: address.to_string(),
            text: "has a local part outside ASCII, which no mailbox behind this scope can take".to_owned(),
        };
        decision.refuse(modes.route, scope.domain.to_string(), refusal);
    }
}

/// Rewrites the recipients of an accepted message.
pub(crate) fn message(
    policy: &Policy,
    modes: &Modes,
    recipients: &[EnvelopeRecipient],
    headers: &MessageHeaders,
    now: DateTime<Utc>,
    decision: &mut Decision,
) {
    if headers.foreign_routes() > 0 {
        // Ours alone: a stranger's field must never pass for one the gate wrote.
        decision.edits.push(Edit::RemoveHeaders { name: ROUTE_HEADER, count: headers.foreign_routes() });
        decision
            .step(Rule::Route, format!("remove {} foreign {ROUTE_HEADER} fields", headers.foreign_routes()));
    }
    let routes: Vec<Route> =
        recipients.iter().filter_map(|recipient| destination(policy, modes, recipient, now)).collect();
    let (enforced, observed): (Vec<_>, Vec<_>) =
        routes.into_iter().partition(|route| mode_of(modes, route.rule) == Mode::Enforce);
    for route in &observed {
        record(route, Mode::Observe, decision);
    }
    apply(&enforced, recipients, decision);
}

fn mode_of(modes: &Modes, rule: Rule) -> Mode {
    match rule {
        Rule::RequiredAddress => modes.required_address,
        Rule::Leaver => modes.leaver,
        _ => modes.route,
    }
}

/// Where a recipient has to go, if not where it was sent.
fn destination(
    policy: &Policy,
    modes: &Modes,
    recipient: &EnvelopeRecipient,
    now: DateTime<Utc>,
) -> Option<Route> {
    let address = recipient.address.as_ref()?;
    let (to, rule, object) = required(policy, modes, recipient)
        .or_else(|| in_scope(policy, modes, address))
        .or_else(|| to_successor(policy, modes, address, now))?;
    // The mailbox of a scope may itself belong to a leaver: the route ends at whoever reads mail today.
    let to = leaver::successor(policy, modes, &to, now).cloned().unwrap_or(to);
    (to != *address).then(|| Route { recipient: recipient.clone(), from: address.clone(), to, rule, object })
}

type Destination = (Address, Rule, String);

fn required(policy: &Policy, modes: &Modes, recipient: &EnvelopeRecipient) -> Option<Destination> {
    let (address, queue) =
        required_address::queue(policy, recipient).filter(|_| modes.required_address != Mode::Off)?;
    Some((queue.clone(), Rule::RequiredAddress, address.domain().to_string()))
}

fn in_scope(policy: &Policy, modes: &Modes, address: &Address) -> Option<Destination> {
    if modes.route == Mode::Off {
        return None;
    }
    match policy.recipient(address) {
        Recipient::Vendor(vendor, scope) => {
            Some((policy.vendor_route(vendor, scope).clone(), Rule::Route, vendor.address.to_string()))
        }
        Recipient::InScope(scope) => Some((scope.deliver_to.clone(), Rule::Route, scope.domain.to_string())),
        Recipient::Mailbox(_) | Recipient::Unknown => None,
    }
}

fn to_successor(
    policy: &Policy,
    modes: &Modes,
    address: &Address,
    now: DateTime<Utc>,
) -> Option<Destination> {
    let successor = leaver::successor(policy, modes, address, now)?;
    Some((successor.clone(), Rule::Leaver, address.to_string()))
}

/// Deletes each rewritten recipient once and adds each destination once. A destination that is already a recipient
/// is not added again: Postfix does not filter that duplicate.
fn apply(routes: &[Route], recipients: &[EnvelopeRecipient], decision: &mut Decision) {
    let rewritten: HashSet<&[u8]> = routes.iter().map(|route| &*route.recipient.delete_as).collect();
    let mut present: HashSet<Address> = recipients
        .iter()
        .filter(|recipient| !rewritten.contains(&*recipient.delete_as))
        .filter_map(|recipient| recipient.address.clone())
        .collect();
    let mut deleted: HashSet<&[u8]> = HashSet::new();
    for route in routes {
        record(route, Mode::Enforce, decision);
        if deleted.insert(&route.recipient.delete_as) {
            decision.edits.push(Edit::DeleteRecipient { delete_as: route.recipient.delete_as.clone() });
            decision.edits.push(Edit::InsertHeader { name: ROUTE_HEADER, value: header_value(route) });
        }
        if present.insert(route.to.clone()) {
            let address = route.to.clone();
            decision.edits.push(Edit::AddRecipient { address, original: route.from.clone() });
        }
    }
}

fn record(route: &Route, mode: Mode, decision: &mut Decision) {
    let text = format!("<{}> goes to <{}>", route.from, route.to);
    decision.step(route.rule, text.clone());
    decision.reasons.push(Reason { rule: route.rule, mode, object: route.object.clone(), text });
}

/// One line of printable ASCII: the local part is a stranger's, and a header in UTF-8 would make the message
/// undeliverable to every mail store without SMTPUTF8. Other characters are written as RFC 6533 §3 writes them in
/// addresses, `\x{E9}`.
fn header_value(route: &Route) -> String {
    let value = format!("{} -> {} ({})", route.from, route.to, route.rule.id());
    value.chars().fold(String::with_capacity(value.len()), |mut out, c| {
        match c {
            ' '..='~' => out.push(c),
            other => out.push_str(&format!("\\x{{{:X}}}", u32::from(other))),
        }
        out
    })
}
