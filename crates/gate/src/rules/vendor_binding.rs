//! `vendor-binding`: an address was given to one vendor. When it hears from an organisation that it never dealt
//! with, the local part says who passed it on: that is recorded once, and the mail is tagged, held or refused.
//!
//! The vendor's organisations are those the policy declares (`sender_domains`), or else the first that writes.
//!
//! Example: `acme@saas.example.test` has heard from acme.example only. The first mail from spam.example is an event
//! in the ledger, "acme@saas.example.test, given to Acme Inc, hears from spam.example".

use mailwarden_address::{Address, Domain, EnvelopeRecipient};
use mailwarden_policy::{Recipient, Scope, UnexpectedSender, Vendor};

use crate::decision::{Notice, NoticeKind, Refusal};
use crate::facts::{AddressHeader, MessageHeaders};
use crate::memory::{Lesson, Remembered};
use crate::rules::{Mode, Rule};
use crate::{Case, Decision};

/// More organisations than this in one From are not told apart.
const MAX_ORGANISATIONS: usize = 8;

/// Judges a complete message.
pub(crate) fn message(
    case: &Case<'_>,
    recipients: &[&EnvelopeRecipient],
    headers: &MessageHeaders,
    decision: &mut Decision,
) {
    let Some(mode) = case.modes.active(Rule::VendorBinding) else { return };
    let mut authors = None;
    let mut unexpected = Vec::new();
    let mut bound = 0;
    for address in recipients.iter().filter_map(|recipient| recipient.address.as_ref()) {
        let Some(record) = Record::of(case, address) else { continue };
        let authors = authors.get_or_insert_with(|| author_domains(case, headers));
        bound += 1;
        unexpected.extend(judge(case, mode, &record, authors, decision).then_some(record));
    }
    let alone = bound == recipients.len() && unexpected.len() == bound;
    for record in &unexpected {
        act(case, mode, record, authors.as_deref().unwrap_or_default(), alone, decision);
    }
}

/// A vendor address and what the policy has of it.
struct Record<'c> {
    address: &'c Address,
    vendor: Option<&'c Vendor>,
    scope: &'c Scope,
}

impl<'c> Record<'c> {
    fn of(case: &Case<'c>, address: &'c Address) -> Option<Self> {
        match case.policy.recipient(address) {
            Recipient::Vendor(vendor, scope) => Some(Self { address, vendor: Some(vendor), scope }),
            Recipient::InScope(scope) => Some(Self { address, vendor: None, scope }),
            Recipient::Mailbox(_) | Recipient::Unknown => None,
        }
    }

    fn declared(&self) -> &[Domain] {
        self.vendor.map_or(&[], |vendor| vendor.sender_domains.as_slice())
    }

    /// Never a stranger's text: an unregistered local part goes by its scope.
    fn object(&self) -> String {
        self.vendor.map_or_else(|| self.scope.name(), |vendor| vendor.address.to_string())
    }
}

/// The domains that the message names as its author, its envelope sender's where it names none.
fn author_domains(case: &Case<'_>, headers: &MessageHeaders) -> Vec<Domain> {
    let mut domains: Vec<Domain> = Vec::new();
    let from = headers.of(AddressHeader::From).flat_map(|field| &field.readings);
    for address in from {
        if !domains.contains(address.domain()) && domains.len() < MAX_ORGANISATIONS {
            domains.push(address.domain().clone());
        }
    }
    if domains.is_empty() {
        domains.extend(case.facts.envelope_sender.readings.first().map(|sender| sender.domain().clone()));
    }
    domains
}

/// Whether the authors are unexpected; what is to be remembered is added to the decision.
fn judge(
    case: &Case<'_>,
    mode: Mode,
    record: &Record<'_>,
    authors: &[Domain],
    decision: &mut Decision,
) -> bool {
    let remembered = case.facts.memory.vendor(record.address).unwrap_or_default();
    let organisations: Vec<Domain> = authors.iter().map(Domain::organisation).collect();
    // Our own people may write to a vendor's address; that says nothing about the vendor.
    let expected = organisations.is_empty()
        || authors.iter().all(|author| is_expected(case, record, &remembered, author));
    decision.step(Rule::VendorBinding, || {
        let names: Vec<&str> = organisations.iter().map(Domain::as_str).collect();
        let word = if expected { "expected" } else { "unexpected" };
        format!("<{}> hears from {}, which is {word}", record.address, names.join(", "))
    });
    if !expected && is_first(&remembered, &organisations) {
        decision.notices.push(notice(mode, record, &organisations));
    }
    let ours = authors.iter().any(|author| case.policy.is_under_ours(author));
    if !ours {
        decision.lessons.push(Lesson::Heard {
            address: record.address.clone(),
            registered: record.vendor.is_some(),
            organisations,
            is_expected: expected,
        });
    }
    !expected
}

fn is_expected(case: &Case<'_>, record: &Record<'_>, remembered: &Remembered, author: &Domain) -> bool {
    if case.policy.is_under_ours(author) {
        return true;
    }
    let declared = record.declared();
    if !declared.is_empty() {
        return declared.iter().any(|domain| author.is_or_is_under(domain));
    }
    let known = remembered.organisation(&author.organisation());
    !remembered.has_expected() || known.is_some_and(|known| known.is_expected)
}

/// Once an address has leaked to more organisations than are remembered, one more is no news.
fn is_first(remembered: &Remembered, organisations: &[Domain]) -> bool {
    !remembered.and_others && organisations.iter().any(|name| remembered.organisation(name).is_none())
}

fn notice(mode: Mode, record: &Record<'_>, organisations: &[Domain]) -> Notice {
    let names: Vec<&str> = organisations.iter().map(Domain::as_str).collect();
    let given_to = record.vendor.map_or_else(
        || format!("whoever was given {}", record.address.local()),
        |vendor| vendor.organisation.clone(),
    );
    Notice {
        kind: NoticeKind::UnexpectedSender,
        rule: Rule::VendorBinding,
        mode,
        object: record.object(),
        text: format!("<{}>, given to {given_to}, hears from {}", record.address, names.join(", ")),
    }
}

fn act(
    case: &Case<'_>,
    mode: Mode,
    record: &Record<'_>,
    authors: &[Domain],
    alone: bool,
    decision: &mut Decision,
) {
    let address = record.address;
    let from: Vec<&str> = authors.iter().map(Domain::as_str).collect();
    let text = format!("<{address}> never dealt with {}", from.join(", "));
    match case.policy.unexpected_sender(record.vendor, record.scope) {
        UnexpectedSender::Tag => decision.tag(Rule::VendorBinding, mode, record.object(), text),
        // Others wait for the same message, and a milter cannot refuse one recipient of a complete one.
        UnexpectedSender::Refuse if alone => {
            let refusal = Refusal {
                rule: Rule::VendorBinding,
                code: 550,
                enhanced: (7, 1),
                address: address.to_string(),
                text: "takes mail from its vendor only".to_owned(),
            };
            decision.refuse(mode, record.object(), refusal);
        }
        UnexpectedSender::Hold | UnexpectedSender::Refuse => {
            decision.hold(Rule::VendorBinding, mode, record.object(), text);
        }
    }
}
