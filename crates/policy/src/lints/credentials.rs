//! Logins that are shared, addresses that receive credentials, bills that travel by rule.

use super::survey::Survey;
use super::{Lint, Note};
use crate::control::{BillingRoute, VendorLogin};
use crate::diagnostic::Level;
use crate::model::MailboxKind;
use crate::policy::ReceiveOnly;

const REASONS: &str = "named logins are the rule; where the system knows one user only write \"legacy\", where its \
                       owner is one human being \"single-owner\", where named users are a declined upsell \
                       \"paid-upsell\"";

pub(super) static LINTS: &[Lint] = &[
    Lint {
        id: "shared-without-reason",
        level: Level::Error,
        reports: "A shared login, of a mailbox or at a vendor, without one of the three reasons.",
        because: "Whenever somebody leaves, nobody knows what they still have access to. Saving a seat is how \
                  shared credentials sprawl.",
        fixture: include_str!("fixtures/shared-without-reason.toml"),
        check: shared,
    },
    Lint {
        id: "credential-may-send",
        level: Level::Error,
        reports: "A credential mailbox that is not receive-only.",
        because: "Where password resets and second factors land, nothing is sent from: it keeps the address out of \
                  strangers' sight, and a message from it is a forgery at once.",
        fixture: include_str!("fixtures/credential-may-send.toml"),
        check: may_send,
    },
    Lint {
        id: "receive-only-sender",
        level: Level::Error,
        reports: "A receive-only address that somebody is said to write from.",
        because: "Receiving and sending are separate decisions. The gate refuses what comes from a receive-only \
                  address, so its mail would not leave.",
        fixture: include_str!("fixtures/receive-only-sender.toml"),
        check: senders,
    },
    Lint {
        id: "billing-by-rule",
        level: Level::Error,
        reports: "Bills that reach whoever pays by a forwarding rule that is not written down.",
        because: "A rule on the owner's mailbox is brittle and invisible, and goes when the owner goes. Ask the \
                  vendor's support first: most add a billing address on request.",
        fixture: include_str!("fixtures/billing-by-rule.toml"),
        check: billing,
    },
];

fn shared(survey: &Survey<'_>) -> Vec<Note> {
    let mailboxes = survey
        .mailboxes()
        .filter(|(_, _, mailbox)| mailbox.shared_login_allowed && mailbox.shared_login_reason.is_none());
    let mut notes: Vec<Note> = mailboxes
        .map(|(file, raw, mailbox)| {
            let message = format!("`{}` has a shared login and no reason for it", mailbox.address);
            Note::at(file, &raw.address, message, format!("add `shared_login_reason`: {REASONS}"))
        })
        .collect();
    for (file, raw, vendor) in survey.vendors() {
        let Some(account) = &vendor.account else { continue };
        if account.login == Some(VendorLogin::Shared) && account.shared_reason.is_none() {
            let message = format!("the login at {} is shared and no reason is given", vendor.organisation);
            notes.push(Note::at(file, &raw.address, message, format!("add `shared_reason`: {REASONS}")));
        }
    }
    notes
}

fn may_send(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = survey.mailboxes().filter(|(_, _, mailbox)| {
        mailbox.kind == MailboxKind::Credential && survey.policy.receive_only(&mailbox.address).is_none()
    });
    wrong
        .map(|(file, raw, mailbox)| {
            let message = format!("`{}` holds credentials and may send", mailbox.address);
            Note::at(file, &raw.address, message, "add `receive_only = true`")
        })
        .collect()
}

fn senders(survey: &Survey<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    for (file, raw, person) in survey.people() {
        for text in &raw.addresses {
            let Ok(address) = text.get_ref().parse() else { continue };
            let Some(why) = survey.policy.receive_only(&address) else { continue };
            let message = format!("{} is said to write from `{address}`, which never sends", person.name);
            notes.push(Note::at(file, text, message, format!("remove it here, or change {}", named(&why))));
        }
    }
    for (file, raw, mailbox) in survey.mailboxes() {
        if survey.policy.receive_only(&mailbox.address).is_some() {
            continue;
        }
        for text in &raw.aliases {
            let Ok(alias) = text.get_ref().parse() else { continue };
            let Some(why) = survey.policy.receive_only(&alias) else { continue };
            let message = format!("`{}` sends, and its alias `{alias}` never may", mailbox.address);
            let help = format!("give the alias to a receive-only mailbox, or change {}", named(&why));
            notes.push(Note::at(file, text, message, help));
        }
    }
    notes
}

fn named(why: &ReceiveOnly<'_>) -> String {
    format!("the {} `{}`", why.kind(), why.object())
}

fn billing(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = survey.vendors().filter_map(|(file, raw, vendor)| {
        let account = vendor.account.as_ref()?;
        let by_rule = account.billing_route == Some(BillingRoute::ForwardRule);
        (by_rule && account.billing_rule.is_none()).then_some(())?;
        let message = format!("bills of {} travel by a rule that is not on record", vendor.organisation);
        let help = "add `billing_rule` with the mailbox it stands in and what it matches, or a better route: \
                    \"support-added\", \"ap-recipient\", \"ap-owner\"";
        let note = Note::at(file, &raw.address, message, help);
        Some(Note { span: raw.billing_route.as_ref()?.span(), ..note })
    });
    wrong.collect()
}
