//! What a domain hangs on is known before it is needed.

use super::survey::Survey;
use super::{Lint, Note};
use crate::diagnostic::Level;
use crate::factsheet::missing;
use crate::model::Profile;

pub(super) static LINTS: &[Lint] = &[
    Lint {
        id: "factsheet-incomplete",
        level: Level::Warning,
        reports: "A sending domain whose day-zero factsheet has gaps.",
        because: "The sheet is the difference between a ten-minute fix and three hours on hold with a registrar.",
        fixture: include_str!("fixtures/factsheet-incomplete.toml"),
        check: incomplete,
    },
    Lint {
        id: "admin-queue-unwatched",
        level: Level::Error,
        reports: "postmaster@ and abuse@ that reach a mailbox nobody is on record as reading.",
        because: "Spam complaints, bounce reports and abuse notifications land there (RFC 2142 §4, §5). A queue \
                  without people is the same as no address.",
        fixture: include_str!("fixtures/admin-queue-unwatched.toml"),
        check: unwatched,
    },
    Lint {
        id: "catch-all-domain",
        level: Level::Warning,
        reports: "A catch-all on a domain that is not a scope.",
        because: "It takes every typo and every dictionary attack, and the address says nothing about its scope.",
        fixture: include_str!("fixtures/catch-all-domain.toml"),
        check: catch_all,
    },
    Lint {
        id: "dmarc-subdomains",
        level: Level::Warning,
        reports: "A domain with receive-only subdomains whose DMARC lets them be spoofed.",
        because: "The subdomains have no legitimate sender, so `sp=quarantine` or `sp=reject` costs nothing and \
                  stops mail that pretends to come from them.",
        fixture: include_str!("fixtures/dmarc-subdomains.toml"),
        check: dmarc,
    },
];

fn incomplete(survey: &Survey<'_>) -> Vec<Note> {
    let sending = survey.domains().filter(|(_, _, domain)| domain.profile == Profile::Sending);
    sending
        .filter_map(|(file, raw, domain)| {
            let missing = missing(domain);
            (!missing.is_empty()).then(|| {
                let message = format!("the factsheet of `{}` lacks {}", domain.name, missing.join(", "));
                let help = format!("`mailwarden factsheet {}` prints it with what is missing", domain.name);
                Note::at(file, &raw.name, message, help)
            })
        })
        .collect()
}

fn unwatched(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = survey.domains().filter_map(|(file, raw, domain)| {
        let queue = domain.admin_queue.as_ref()?;
        let watched = survey.policy.mailbox(queue).is_some_and(|mailbox| {
            let readers = mailbox.authorised_users.iter().chain(&mailbox.business_owner);
            readers.into_iter().any(|reader| !survey.has_left(reader))
        }) || survey.policy.person(queue).is_some() && !survey.has_left(queue);
        (!watched).then_some(())?;
        let message = format!("nobody is on record as reading `{queue}`");
        let help = format!("add a [[mailbox]] `{queue}` with `authorised_users`, or name a watched one");
        Some(Note::at(file, raw.admin_queue.as_ref()?, message, help).about(&domain.name))
    });
    wrong.collect()
}

fn catch_all(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = survey.domains().filter_map(|(file, raw, domain)| {
        domain.factsheet.catch_all.filter(|catch_all| *catch_all)?;
        let message = format!("`{}` takes every local part", domain.name);
        let help = format!("turn it off, and make a [[scope]] such as `vendors.{}`", domain.name);
        let note = Note::at(file, &raw.name, message, help);
        Some(Note { span: raw.catch_all.as_ref()?.span(), ..note })
    });
    wrong.collect()
}

fn dmarc(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = survey.domains().filter_map(|(file, raw, domain)| {
        let record = domain.factsheet.dmarc.as_ref()?;
        let below = survey
            .policy
            .scopes
            .iter()
            .find(|scope| scope.domain != domain.name && scope.domain.is_or_is_under(&domain.name))?;
        // RFC 7489 §6.3: `sp` counts for subdomains, `p` where it is absent.
        let policy = tag(record, "sp").or_else(|| tag(record, "p"))?;
        (!matches!(policy.as_str(), "quarantine" | "reject")).then_some(())?;
        let message = format!("anybody may write as `{}`: its policy is `{policy}`", below.domain);
        let help = "add `sp=reject`, or `sp=quarantine` while you watch the reports";
        Some(Note::at(file, raw.dmarc.as_ref()?, message, help).about(&domain.name))
    });
    wrong.collect()
}

fn tag(record: &str, name: &str) -> Option<String> {
    record.split(';').find_map(|part| {
        let (key, value) = part.split_once('=')?;
        (key.trim() == name).then(|| value.trim().to_ascii_lowercase())
    })
}
