//! `route`: any local part of a scope goes to the scope's one mailbox, or to the vendor's own route.
//!
//! The address it was sent to survives in `Mailwarden-Route:` (a field of that name that the message brought along
//! is removed first) and in ORCPT for delivery status notifications. Required addresses and leavers are routed
//! here too, so that there is one place where recipients change.
//!
//! Example: `anything@saas.example.test` becomes `ops@example.test` with
//! `Mailwarden-Route: anything@saas.example.test -> ops@example.test (route)`.

use std::collections::BTreeSet;

use mailwarden_address::{Address, EnvelopeRecipient};
use mailwarden_policy::Recipient;

use crate::decision::{Action, Edit, ROUTE_HEADER, Refusal, TAG_HEADER, printable};
use crate::facts::{MessageHeaders, Path};
use crate::rules::leaver::{self, Heir};
use crate::rules::{Mode, Rule, required_address};
use crate::{Case, Decision};

/// A recipient that is rewritten.
struct Route<'r> {
    recipient: &'r EnvelopeRecipient,
    from: &'r Address,
    to: Address,
    rule: Rule,
}

/// Where a rule leads, and the policy object that says so.
struct Destination {
    to: Address,
    rule: Rule,
    object: String,
}

/// Refuses what could not be delivered once it was routed. Postfix goes on asking for SMTPUTF8 (RFC 6531) when the
/// recipient it first heard of was not ASCII, even after it was rewritten, and Dovecot's LMTP has none: the message
/// would be accepted and bounce, mostly to a forged sender.
pub(crate) fn recipient(case: &Case<'_>, recipient: &EnvelopeRecipient, decision: &mut Decision) {
    let Some(mode) = case.modes.active(Rule::Route) else { return };
    let Some(address) = recipient.address.as_ref().filter(|address| !address.local().is_ascii()) else {
        return;
    };
    if let Some(scope) = case.policy.scope(address.domain()) {
        let refusal = Refusal {
            rule: Rule::Route,
            code: 553,
            enhanced: (6, 7),
            address: address.to_string(),
            text: "has a local part outside ASCII, which no mailbox behind this scope can take".to_owned(),
        };
        decision.refuse(mode, scope.name(), refusal);
    }
}

/// Rewrites the recipients of an accepted message.
pub(crate) fn message(
    case: &Case<'_>,
    recipients: &[EnvelopeRecipient],
    headers: &MessageHeaders,
    decision: &mut Decision,
) {
    remove_foreign(headers, decision);
    let routes: Vec<Route<'_>> =
        recipients.iter().filter_map(|recipient| route(case, recipient, decision)).collect();
    rewrite(case, &routes, recipients, decision);
}

/// Ours alone: a stranger's field must never pass for one the gate wrote. They go before ours are added.
fn remove_foreign(headers: &MessageHeaders, decision: &mut Decision) {
    let foreign = [(ROUTE_HEADER, headers.foreign_routes()), (TAG_HEADER, headers.foreign_tags())];
    for (name, count) in foreign.into_iter().filter(|(_, count)| *count > 0) {
        decision.edits.insert(0, Edit::RemoveHeaders { name, count });
        decision.step(Rule::Route, || format!("remove {count} foreign {name} fields"));
    }
}

/// Where a recipient has to go, if not where it was sent. A rule that only observes is recorded, and the next one
/// is asked, as if it were not there.
fn route<'r>(
    case: &Case<'_>,
    recipient: &'r EnvelopeRecipient,
    decision: &mut Decision,
) -> Option<Route<'r>> {
    let from = recipient.address.as_ref()?;
    let scope = std::iter::once_with(|| in_scope(case, from)).flatten();
    let mut enforced = None;
    for found in required(case, recipient).into_iter().chain(scope) {
        if case.modes.of(found.rule) == Mode::Enforce {
            enforced = Some(found);
            break;
        }
        record(case, from, &found, decision);
    }
    // The mailbox of a scope may itself belong to a leaver: the route ends at whoever reads mail today.
    let reached = enforced.as_ref().map_or(from, |found| &found.to);
    let inherited = inherit(case, reached, decision);
    let found = match (enforced, inherited) {
        (Some(found), None) => found,
        // The rule that led to the leaver is named; that the leaver's mail is contained is in the notice.
        (Some(found), Some(last)) => Destination { to: last.to, ..found },
        (None, last) => last?,
    };
    if found.to == *from {
        return None;
    }
    record(case, from, &found, decision);
    Some(Route { recipient, from, to: found.to, rule: found.rule })
}

fn required(case: &Case<'_>, recipient: &EnvelopeRecipient) -> Option<Destination> {
    case.modes.active(Rule::RequiredAddress)?;
    let (address, queue) = required_address::queue(case.policy, recipient)?;
    let object = address.domain().to_string();
    Some(Destination { to: queue.clone(), rule: Rule::RequiredAddress, object })
}

fn in_scope(case: &Case<'_>, from: &Address) -> Option<Destination> {
    case.modes.active(Rule::Route)?;
    let (to, object) = match case.policy.recipient(from) {
        Recipient::Vendor(vendor, scope) => {
            (case.policy.vendor_route(vendor, scope), vendor.address.to_text())
        }
        Recipient::InScope(scope) => (&scope.deliver_to, scope.name()),
        Recipient::Mailbox(_) | Recipient::Unknown => return None,
    };
    Some(Destination { to: to.clone(), rule: Rule::Route, object })
}

/// Where mail to a leaver goes instead. Where nobody is left to read it, it is held: in the leaver's mailbox it
/// could still be forwarded.
fn inherit(case: &Case<'_>, reached: &Address, decision: &mut Decision) -> Option<Destination> {
    let mode = case.modes.active(Rule::Leaver)?;
    let person = leaver::leaver(case.policy, reached, case.now)?;
    let object = leaver::person_object(person);
    match leaver::heir(case.policy, reached, case.now) {
        Heir::NotNeeded => None,
        Heir::Missing => {
            let text = format!("<{reached}> has left, and nobody who takes over is on record");
            decision.hold(Rule::Leaver, mode, object, text);
            None
        }
        Heir::Is(to) => {
            let found = Destination { to: to.clone(), rule: Rule::Leaver, object };
            if mode == Mode::Observe {
                record(case, reached, &found, decision);
                return None;
            }
            let text = format!("mail for <{reached}> goes to <{to}>");
            decision.notices.push(leaver::contained(&found.object, &text, mode));
            Some(found)
        }
    }
}

/// Deletes each rewritten recipient once and adds each destination once. A destination that is already a recipient
/// is not added again: Postfix does not filter that duplicate.
fn rewrite(case: &Case<'_>, routes: &[Route<'_>], recipients: &[EnvelopeRecipient], decision: &mut Decision) {
    let rewritten: BTreeSet<&[u8]> = routes.iter().map(|route| &*route.recipient.delete_as).collect();
    let staying = || recipients.iter().filter(|recipient| !rewritten.contains(&*recipient.delete_as));
    let mut present: BTreeSet<&Address> =
        staying().filter_map(|recipient| recipient.address.as_ref()).collect();
    let mut deleted: BTreeSet<&[u8]> = BTreeSet::new();
    for route in routes {
        if deleted.insert(&route.recipient.delete_as) {
            decision.edits.push(Edit::DeleteRecipient { delete_as: route.recipient.delete_as.clone() });
            decision.edits.push(Edit::InsertHeader { name: ROUTE_HEADER, value: header_value(route) });
            if let Some(bare) = bare_spelling(case, route).filter(|bare| !is_needed(bare, staying())) {
                decision.edits.push(Edit::DeleteRecipient { delete_as: bare });
            }
        }
        if present.insert(&route.to) {
            let original = route.from.clone();
            decision.edits.push(Edit::AddRecipient { address: route.to.clone(), original });
        }
    }
}

/// `sendmail postmaster` shows the milter `postmaster@example.test`, but Postfix recorded the recipient as it was
/// written: without a domain. Deleting what is not there does nothing, so both spellings are deleted.
fn bare_spelling(case: &Case<'_>, route: &Route<'_>) -> Option<Vec<u8>> {
    let may_be_bare = case.facts.session.path == Path::Local && route.rule != Rule::Route;
    may_be_bare.then(|| route.from.local().as_bytes().to_vec())
}

/// Whether the bare spelling may be that of a recipient that stays.
fn is_needed<'r>(bare: &[u8], mut staying: impl Iterator<Item = &'r EnvelopeRecipient>) -> bool {
    staying.any(|recipient| recipient.address.as_ref().is_some_and(|a| a.local().as_bytes() == bare))
}

fn record(case: &Case<'_>, from: &Address, found: &Destination, decision: &mut Decision) {
    let text = ["<", &from.to_text(), "> goes to <", &found.to.to_text(), ">"].concat();
    decision.apply(found.rule, case.modes.of(found.rule), Action::Reroute, found.object.clone(), text);
}

fn header_value(route: &Route<'_>) -> String {
    printable([&route.from.to_text(), " -> ", &route.to.to_text(), " (", route.rule.id(), ")"].concat())
}
