//! Recovery that still works when the system it recovers does not.

use chrono::TimeDelta;
use mailwarden_address::Address;

use super::survey::Survey;
use super::{Lint, Note};
use crate::diagnostic::Level;
use crate::raw::Text;

/// A renewal is somebody's task this long before.
const RENEW_BEFORE: TimeDelta = TimeDelta::days(30);

pub(super) static LINTS: &[Lint] = &[
    Lint {
        id: "recovery-loop",
        level: Level::Warning,
        reports: "A recovery contact inside the mail system that it recovers.",
        because: "When the system is down, the mail that would bring it back cannot arrive.",
        fixture: include_str!("fixtures/recovery-loop.toml"),
        check: mailbox_loop,
    },
    Lint {
        id: "recovery-unwatched",
        level: Level::Warning,
        reports: "A recovery contact outside that belongs to nobody on record.",
        because: "Resets drift to addresses that nobody reads, on domains that somebody else may register. An \
                  expired domain that still received reset mail is how package owners were taken over.",
        fixture: include_str!("fixtures/recovery-unwatched.toml"),
        check: unwatched,
    },
    Lint {
        id: "registrar-loop",
        level: Level::Error,
        reports: "A registrar or DNS admin address under the domain it administers, or under another of ours.",
        because: "Whoever loses the zone loses MX, and with it the address that could take the zone back. \
                  Everything downstream breaks.",
        fixture: include_str!("fixtures/registrar-loop.toml"),
        check: registrar_loop,
    },
    Lint {
        id: "registration-expires",
        level: Level::Error,
        reports: "A registration that has run out, or will within 30 days.",
        because: "An expired domain is a reset vector for whoever registers it next.",
        fixture: include_str!("fixtures/registration-expires.toml"),
        check: expires,
    },
    Lint {
        id: "no-second-factor",
        level: Level::Warning,
        reports: "A registrar or DNS account without a second factor.",
        because: "One phished password would hand over every mailbox of the domain.",
        fixture: include_str!("fixtures/no-second-factor.toml"),
        check: second_factor,
    },
];

fn mailbox_loop(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = survey.mailboxes().filter_map(|(file, raw, mailbox)| {
        let contact = mailbox.recovery_contact.as_ref()?;
        survey.policy.is_under_ours(contact.domain()).then_some(())?;
        let message = format!("the recovery of `{}` goes to `{contact}`, a system of ours", mailbox.address);
        let help =
            "name an address outside that its owner watches, and list it under their external_addresses";
        Some(Note::at(file, raw.recovery_contact.as_ref()?, message, help).about(&mailbox.address))
    });
    wrong.collect()
}

fn unwatched(survey: &Survey<'_>) -> Vec<Note> {
    let is_known = |contact: &Address| survey.policy.person(contact).is_some();
    let outside = |contact: &Address| !survey.policy.is_under_ours(contact.domain());
    let wrong = survey.mailboxes().filter_map(|(file, raw, mailbox)| {
        let contact = mailbox.recovery_contact.as_ref()?;
        (outside(contact) && !is_known(contact)).then_some(())?;
        let message = format!("nobody on record reads `{contact}`, where `{}` is recovered", mailbox.address);
        let help = format!("add `external_addresses = [\"{contact}\"]` to the [[person]] who reads it");
        Some(Note::at(file, raw.recovery_contact.as_ref()?, message, help).about(&mailbox.address))
    });
    wrong.collect()
}

fn registrar_loop(survey: &Survey<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    for (file, raw, domain) in survey.domains() {
        let registrar = raw.registrar_admins.iter().map(|text| ("registrar", text));
        let zone = raw.dns_admins.iter().map(|text| ("DNS", text));
        for (what, text) in registrar.chain(zone).filter(|(_, text)| is_ours(survey, text)) {
            let message =
                format!("the {what} account of `{}` is recovered through a system of ours", domain.name);
            let help = "use an address on a domain that does not depend on this one";
            notes.push(Note::at(file, text, message, help).about(&domain.name));
        }
    }
    notes
}

fn is_ours(survey: &Survey<'_>, text: &Text) -> bool {
    text.get_ref().parse::<Address>().is_ok_and(|address| survey.policy.is_under_ours(address.domain()))
}

fn expires(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = survey.domains().filter_map(|(file, raw, domain)| {
        let expires = domain.factsheet.registration_expires.filter(|at| *at < survey.now + RENEW_BEFORE)?;
        let verb = if expires <= survey.now { "expired" } else { "expires" };
        let message =
            format!("the registration of `{}` {verb} on {}", domain.name, expires.format("%Y-%m-%d"));
        let note = Note::at(file, &raw.name, message, "renew it, then write the new date");
        Some(Note { span: raw.registration_expires.as_ref()?.span(), ..note })
    });
    wrong.collect()
}

fn second_factor(survey: &Survey<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    for (file, raw, domain) in survey.domains() {
        let accounts = [("registrar", domain.factsheet.registrar_mfa), ("DNS", domain.factsheet.dns_mfa)];
        for (what, _) in accounts.iter().filter(|(_, factor)| *factor == Some(false)) {
            let message = format!("the {what} account of `{}` has no second factor", domain.name);
            let help = format!("turn it on, then write `{}_mfa = true`", what.to_lowercase());
            notes.push(Note::at(file, &raw.name, message, help));
        }
    }
    notes
}
