//! Where mail is handed on: transports, relays, delivery programs, mailboxes that two addresses share, and addresses
//! that are rewritten or said to have moved.

use std::collections::BTreeMap;

use super::entry::{Entry, Use};
use super::ground::{Ground, Place};
use super::result::{Target, targets};
use super::spelled;
use crate::brief::Brief;
use crate::draft::Draft;
use crate::severity::{Act, Destination, Weight};
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind};

/// Transports of Postfix's own that hand mail to no other host.
const OWN_TRANSPORTS: [&str; 7] = ["local", "virtual", "error", "retry", "uucp", "bsmtp", "proxymap"];
/// Delivery agents of the mailbox server itself.
const OWN_AGENTS: [&str; 4] = ["dovecot-lda", "deliver", "cyrdeliver", "lmtpproxyd"];

/// Parameters whose result is the next host alone.
fn is_relay(name: &str) -> bool {
    name.contains("relayhost") || name.ends_with("fallback_relay")
}

/// `transport:nexthop`; either may be empty.
fn parts<'r>(entry: &Entry<'r>) -> (&'r str, &'r str) {
    if is_relay(entry.name) {
        return ("smtp", entry.result);
    }
    entry.result.split_once(':').unwrap_or((entry.result, ""))
}

pub(super) fn judge(ground: &Ground<'_>, entry: &Entry<'_>) -> Option<Draft> {
    let (transport, nexthop) = parts(entry);
    if let Some(command) = ground.program(transport) {
        return Some(runs(entry, "postfix.transport-program", command));
    }
    if transport == "discard" {
        return (is_inbound(entry) && ground.is_ours(entry.key)).then(|| discards(entry));
    }
    let stays = OWN_TRANSPORTS.contains(&transport) || nexthop.starts_with("unix:");
    if stays || ground.place(nexthop) == Place::Own {
        return None;
    }
    let is_outgoing = !is_inbound(entry) || !ground.is_ours(entry.key);
    Some(hands_on(entry, nexthop, is_outgoing))
}

/// Parameters that decide over mail for our own addresses.
fn is_inbound(entry: &Entry<'_>) -> bool {
    let by_key = entry.key.is_some() && entry.name == "transport_maps";
    const OWN: [&str; 7] = [
        "local_transport",
        "virtual_transport",
        "relay_transport",
        "mailbox_transport",
        "mailbox_transport_maps",
        "fallback_transport",
        "fallback_transport_maps",
    ];
    by_key || OWN.contains(&entry.name)
}

fn hands_on(entry: &Entry<'_>, nexthop: &str, is_outgoing: bool) -> Draft {
    let host = shown(nexthop);
    let (check_id, act, what) = if is_outgoing {
        ("postfix.relay-outside", Act::Lookup, "leaves by way of")
    } else {
        ("postfix.transport-outside", Act::Receive, "is handed to the outside host")
    };
    let weight = Weight::new(act, Destination::Unknown);
    Draft {
        check_id,
        title: format!("{} {what} {host}.", subject(entry, is_outgoing)),
        severity: entry.severity(weight),
        beneficiary: Beneficiary { kind: BeneficiaryKind::External, value: host.clone(), person: None },
        ..entry.draft("redirect", &nexthop.to_lowercase(), &host)
    }
}

fn subject(entry: &Entry<'_>, is_outgoing: bool) -> String {
    match entry.key.filter(|key| *key != "*") {
        Some(key) if entry.name.starts_with("sender_dependent") => format!("Mail from {}", shown(key)),
        Some(key) => format!("Mail to {}", shown(key)),
        None if is_outgoing => "Outgoing mail".to_owned(),
        None => format!("Mail that {} delivers", entry.name),
    }
}

fn runs(entry: &Entry<'_>, check_id: &'static str, command: &str) -> Draft {
    let weight = Weight::new(Act::Run, Destination::Nobody);
    Draft {
        check_id,
        title: format!("{} is handed to the program {}.", subject(entry, false), shown(command)),
        severity: entry.severity(weight),
        beneficiary: Beneficiary { kind: BeneficiaryKind::Command, value: shown(command), person: None },
        ..entry.draft("run", command, &shown(command))
    }
}

fn discards(entry: &Entry<'_>) -> Draft {
    let weight = Weight { stealth: true, ..Weight::new(Act::Hide, Destination::Nobody) };
    Draft {
        check_id: "postfix.transport-discards",
        title: format!("{} is thrown away without a word.", subject(entry, false)),
        severity: entry.severity(weight),
        ..entry.draft("hide", "discard", "nobody")
    }
}

/// `mailbox_command`: what delivers to local users instead of Postfix. Only the mailbox server's own agent is
/// nothing to speak of; procmail and maildrop read files that users write.
pub(super) fn program(entry: &Entry<'_>) -> Option<Draft> {
    let command = entry.result.split_ascii_whitespace().next().unwrap_or_default();
    let name = command.rsplit('/').next().unwrap_or_default();
    (!name.is_empty() && !OWN_AGENTS.contains(&name))
        .then(|| runs(entry, "postfix.delivery-program", entry.result))
}

// --- mailboxes ------------------------------------------------------------------------------------------------------

/// Several addresses of `virtual_mailbox_maps` that deliver into one directory: whoever opens it as one of them reads
/// the others' mail.
pub(super) fn shared_mailboxes(brief: &Brief<'_>) -> Vec<Draft> {
    let mut by_path: BTreeMap<(&str, &str), Vec<Entry<'_>>> = BTreeMap::new();
    let entries = brief.observations.iter().filter_map(Entry::of);
    for entry in entries.filter(|entry| entry.purpose == Use::Deposit && entry.result.contains('/')) {
        by_path.entry((entry.parameter, entry.result.trim_end_matches('/'))).or_default().push(entry);
    }
    by_path
        .into_values()
        .filter(|entries| entries.len() > 1)
        .flat_map(|entries| of_path(brief, &entries))
        .collect()
}

/// The address that is named like the directory owns it; all others are reported.
fn of_path(brief: &Brief<'_>, entries: &[Entry<'_>]) -> Vec<Draft> {
    let is_named = |entry: &&Entry<'_>| {
        let local = entry.key.and_then(|key| key.split('@').next()).unwrap_or_default();
        entry.result.split('/').any(|part| part.eq_ignore_ascii_case(local))
    };
    let owner = entries.iter().find(is_named).or(entries.first());
    let Some(owner) = owner.and_then(|owner| owner.key) else { return Vec::new() };
    let others = entries.iter().filter(|entry| entry.key != Some(owner) && !entry.is_pattern());
    others.map(|entry| shares(brief, entry, owner)).collect()
}

fn shares(brief: &Brief<'_>, entry: &Entry<'_>, owner: &str) -> Draft {
    let standing = brief.standing(&entry.mailbox, owner);
    let leaver = standing.left || brief.owner_left(&entry.mailbox);
    let weight = Weight { leaver, ..Weight::new(Act::Read, standing.destination()) };
    Draft {
        check_id: "postfix.mailbox-shared",
        title: format!("{} is delivered into the mailbox of {}.", subject(entry, false), standing.named()),
        severity: entry.severity(weight),
        beneficiary: standing.beneficiary(),
        ..entry.draft("read", &standing.key, &standing.value)
    }
}

// --- other addresses ------------------------------------------------------------------------------------------------

/// canonical(5), generic(5): an address of ours that becomes one outside, or a leaver's.
pub(super) fn rewrite(brief: &Brief<'_>, entry: &Entry<'_>) -> Option<Draft> {
    let ours = entry.is_pattern()
        || brief.standing(&entry.mailbox, &spelled(entry.key?)).kind == BeneficiaryKind::Internal;
    let Some(Target::Address(address)) = targets(entry.result).into_iter().next().filter(|_| ours) else {
        return None;
    };
    if address.rsplit_once('@').is_some_and(|(_, domain)| domain.contains('$')) {
        return None;
    }
    let standing = brief.standing(&entry.mailbox, &spelled(&address.replace('$', "any")));
    let check_id = match standing.kind {
        _ if standing.is_mailbox(&entry.mailbox) => return None,
        BeneficiaryKind::Internal if standing.left => "postfix.rewrite-leaver",
        BeneficiaryKind::Internal => return None,
        _ => "postfix.rewrite-outside",
    };
    let weight = Weight { leaver: standing.left, ..Weight::new(Act::Receive, standing.destination()) };
    let effect = if entry.purpose == Use::Rewrite { "goes to" } else { "is answered to" };
    Some(Draft {
        check_id,
        title: format!("{} is rewritten and {effect} {}.", entry.subject(), standing.named()),
        severity: entry.severity(weight),
        beneficiary: standing.beneficiary(),
        ..entry.draft("redirect", &standing.key, &standing.value)
    })
}

/// relocated(5): the text is told to every correspondent.
pub(super) fn relocated(brief: &Brief<'_>, entry: &Entry<'_>) -> Vec<Draft> {
    let told = targets(entry.result).into_iter().filter_map(|target| match target {
        Target::Address(address) => Some(brief.standing(&entry.mailbox, &address)),
        _ => None,
    });
    let outside = told.filter(|standing| standing.kind == BeneficiaryKind::External);
    let draft = |standing: crate::beneficiary::Standing<'_>| Draft {
        check_id: "postfix.relocated-outside",
        title: format!(
            "Whoever writes to {} is told to write to {}.",
            shown(entry.key.unwrap_or("anybody")),
            standing.named()
        ),
        severity: entry
            .severity(Weight { leaver: standing.left, ..Weight::new(Act::Answer, standing.destination()) }),
        beneficiary: standing.beneficiary(),
        ..entry.draft("answer", &standing.key, &standing.value)
    };
    outside.map(draft).collect()
}
