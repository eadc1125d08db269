//! Names that tell people, roles, shared mailboxes and administrators apart when there is no time to ask.

use super::survey::Survey;
use super::{Lint, Note};
use crate::diagnostic::Level;
use crate::model::MailboxKind;

/// Local parts that RFC 2142 gives to administrators.
const REQUIRED_NAMES: [&str; 4] = ["postmaster", "abuse", "hostmaster", "webmaster"];

pub(super) static LINTS: &[Lint] = &[
    Lint {
        id: "naming-human",
        level: Level::Warning,
        reports: "A person's mailbox that is not called first.last@.",
        because: "A first name alone is taken by the second person of that name, and looks like a role. Under \
                  pressure nobody should have to ask who `jo@` is.",
        fixture: include_str!("fixtures/naming-human.toml"),
        check: human,
    },
    Lint {
        id: "naming-role",
        level: Level::Warning,
        reports: "A role that carries a person's name.",
        because: "A role outlives whoever fills it. When its address is a person's, their leaving takes the role \
                  with them, or leaves their mail to their successor.",
        fixture: include_str!("fixtures/naming-role.toml"),
        check: role,
    },
    Lint {
        id: "naming-shared",
        level: Level::Warning,
        reports: "A shared mailbox whose name does not begin with shared-.",
        because: "Who writes to it should see that several people read it, and who audits it should not have to \
                  guess.",
        fixture: include_str!("fixtures/naming-shared.toml"),
        check: shared,
    },
    Lint {
        id: "naming-admin",
        level: Level::Warning,
        reports: "An administrator identity that is not called admin-something@, or is a person's.",
        because: "Administration is done with an account of its own, never with the account that reads mail, and \
                  never one that leaves with somebody.",
        fixture: include_str!("fixtures/naming-admin.toml"),
        check: admin,
    },
];

fn human(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = survey.mailboxes().filter(|(_, _, mailbox)| {
        mailbox.kind == MailboxKind::Human && !is_first_last(mailbox.address.local())
    });
    wrong
        .map(|(file, raw, mailbox)| {
            let message = format!("`{}` is a person's mailbox and not named first.last", mailbox.address);
            let help =
                format!("call it `first.last@{}`, and keep this as an alias", mailbox.address.domain());
            Note::at(file, &raw.address, message, help)
        })
        .collect()
}

fn is_first_last(local: &str) -> bool {
    let mut names = local.split('.');
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphabetic() || c == '-');
    local.contains('.') && names.all(is_name)
}

fn role(survey: &Survey<'_>) -> Vec<Note> {
    let is_role = |kind| matches!(kind, MailboxKind::Role | MailboxKind::Shared | MailboxKind::Credential);
    let wrong = survey.mailboxes().filter_map(|(file, raw, mailbox)| {
        let person = survey.policy.person(&mailbox.address).filter(|_| is_role(mailbox.kind))?;
        let message = format!("`{}` is a role and an address of {}", mailbox.address, person.name);
        Some(Note::at(file, &raw.address, message, "give the role a name of its own, e.g. billing@"))
    });
    wrong.collect()
}

fn shared(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = survey.mailboxes().filter(|(_, _, mailbox)| {
        mailbox.kind == MailboxKind::Shared && !mailbox.address.local().starts_with("shared-")
    });
    wrong
        .map(|(file, raw, mailbox)| {
            let message = format!("`{}` is shared, and its name does not say so", mailbox.address);
            Note::at(file, &raw.address, message, format!("call it `shared-{}`", mailbox.address))
        })
        .collect()
}

fn admin(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = survey.mailboxes().filter(|(_, _, mailbox)| mailbox.kind == MailboxKind::Admin);
    wrong
        .filter_map(|(file, raw, mailbox)| {
            let local = mailbox.address.local().to_ascii_lowercase();
            let named = local.starts_with("admin-") || REQUIRED_NAMES.contains(&local.as_str());
            let message = match survey.policy.person(&mailbox.address) {
                Some(person) => format!("`{}` administers, and is {}'s own", mailbox.address, person.name),
                None if named => return None,
                None => format!("`{}` administers, and its name does not say so", mailbox.address),
            };
            let help =
                format!("make an identity of its own, e.g. `admin-email@{}`", mailbox.address.domain());
            Some(Note::at(file, &raw.address, message, help))
        })
        .collect()
}
