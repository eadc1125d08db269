//! Everything has an owner, who is still there and has looked at it lately.

use super::survey::Survey;
use super::{Lint, Note};
use crate::control::Seat;
use crate::diagnostic::Level;
use crate::model::MailboxKind;
use crate::raw::{RawFile, Text};

pub(super) static LINTS: &[Lint] = &[
    Lint {
        id: "role-without-owner",
        level: Level::Error,
        reports: "A role, shared, admin or credential mailbox without a business owner.",
        because: "Nobody can say who approves membership and resets. Borrowed control fails at the worst time: \
                  during an offboarding, a breach, or when support@ is locked.",
        fixture: include_str!("fixtures/role-without-owner.toml"),
        check: without_owner,
    },
    Lint {
        id: "review-stale",
        level: Level::Warning,
        reports: "A mailbox of several people whose last review is older than a quarter, or never was.",
        because: "Access granted in an emergency and never reviewed is how entitlement rots.",
        fixture: include_str!("fixtures/review-stale.toml"),
        check: stale,
    },
    Lint {
        id: "licensed-seat",
        level: Level::Warning,
        reports: "A licensed seat that holds neither credentials nor a calendar.",
        because: "Most addresses are queues and need no licence. Cost should follow the surface that holds \
                  credentials, not the number of queues.",
        fixture: include_str!("fixtures/licensed-seat.toml"),
        check: licensed,
    },
    Lint {
        id: "leaver-named",
        level: Level::Error,
        reports: "A record that still names somebody who has left.",
        because: "An approver, a contact or a user who left is ghost access: nothing breaks, and mail, resets and \
                  approvals go to somebody outside.",
        fixture: include_str!("fixtures/leaver-named.toml"),
        check: leavers,
    },
];

fn without_owner(survey: &Survey<'_>) -> Vec<Note> {
    let needs = |kind| !matches!(kind, MailboxKind::Human | MailboxKind::Calendar);
    let wrong =
        survey.mailboxes().filter(|(_, _, mailbox)| needs(mailbox.kind) && mailbox.business_owner.is_none());
    wrong
        .map(|(file, raw, mailbox)| {
            let message = format!("nobody owns `{}`", mailbox.address);
            let help =
                "add `business_owner = \"first.last@your.domain\"`: who approves membership and resets";
            Note::at(file, &raw.address, message, help)
        })
        .collect()
}

fn stale(survey: &Survey<'_>) -> Vec<Note> {
    let reviewed = |kind| !matches!(kind, MailboxKind::Human | MailboxKind::Calendar);
    let wrong = survey.mailboxes().filter(|(_, _, mailbox)| reviewed(mailbox.kind)).filter_map(
        |(file, raw, mailbox)| {
            let message = match mailbox.last_reviewed {
                None => format!("`{}` was never reviewed", mailbox.address),
                Some(at) if survey.is_stale(at) => {
                    format!("`{}` was last reviewed on {}", mailbox.address, at.format("%Y-%m-%d"))
                }
                Some(_) => return None,
            };
            let help = "look at its users, owner and rules, then write `last_reviewed` with the day";
            Some(Note::at(file, &raw.address, message, help))
        },
    );
    wrong.collect()
}

fn licensed(survey: &Survey<'_>) -> Vec<Note> {
    let queue = |kind| matches!(kind, MailboxKind::Role | MailboxKind::Shared);
    let wrong = survey
        .mailboxes()
        .filter(|(_, _, mailbox)| mailbox.seat == Some(Seat::Licensed) && queue(mailbox.kind));
    wrong
        .filter_map(|(file, raw, mailbox)| {
            let message =
                format!("`{}` has a licence and holds neither credentials nor a calendar", mailbox.address);
            let help = "write `seat = \"shared\"`, or give it the kind it has: credential or calendar";
            let span = raw.seat.as_ref()?.span();
            Some(Note { span, ..Note::at(file, &raw.address, message, help) })
        })
        .collect()
}

fn leavers(survey: &Survey<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    for (at, file) in survey.files.iter().enumerate() {
        for (part, text) in references(file) {
            let Ok(address) = text.get_ref().parse() else { continue };
            let Some(person) = survey.policy.person(&address).filter(|_| survey.has_left(&address)) else {
                continue;
            };
            let left = person.left.map(|left| left.format("%Y-%m-%d").to_string()).unwrap_or_default();
            let message = format!("{} left on {left} and is still {part}", person.name);
            notes.push(Note::at(at, text, message, "name whoever does this now"));
        }
    }
    notes
}

/// Every place of a file that gives somebody a part to play. Their own records, and the mailbox that keeps
/// their mail, give them none.
fn references(file: &RawFile) -> Vec<(&'static str, &Text)> {
    let client = file.client.get_ref();
    let mut all =
        vec![("the client's owner", &client.owner), ("emergency approver", &client.emergency_approver)];
    all.extend(client.escalation_contacts.iter().map(|text| ("an escalation contact", text)));
    for domain in &file.domain {
        all.extend(domain.admin_queue.iter().map(|text| ("the admin queue", text)));
        all.extend(domain.registrar_admins.iter().map(|text| ("registrar admin", text)));
        all.extend(domain.dns_admins.iter().map(|text| ("DNS admin", text)));
    }
    for mailbox in &file.mailbox {
        all.extend(mailbox.business_owner.iter().map(|text| ("a business owner", text)));
        all.extend(mailbox.authorised_users.iter().map(|text| ("an authorised user", text)));
        all.extend(mailbox.reset_approvers.iter().map(|text| ("a reset approver", text)));
        all.extend(mailbox.recovery_contact.iter().map(|text| ("a recovery contact", text)));
        all.extend(mailbox.escalation_contact.iter().map(|text| ("an escalation contact", text)));
    }
    all.extend(file.scope.iter().map(|scope| ("the mailbox of a scope", &scope.get_ref().deliver_to)));
    for vendor in &file.vendor {
        let vendor = vendor.get_ref();
        all.extend(vendor.deliver_to.iter().map(|text| ("a vendor's route", text)));
        all.extend(vendor.login_holders.iter().map(|text| ("in possession of a vendor login", text)));
        all.extend(vendor.account_owner.iter().map(|text| ("the owner of a vendor account", text)));
    }
    all.extend(
        file.person.iter().filter_map(|person| Some(("a successor", person.get_ref().successor.as_ref()?))),
    );
    all
}
