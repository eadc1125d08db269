//! One address per workflow, on the domain where it belongs.

use super::survey::Survey;
use super::{Lint, Note};
use crate::diagnostic::Level;
use crate::model::{Mailbox, MailboxKind};
use mailwarden_address::Address;
use std::collections::BTreeSet;

/// Names that customers are told.
const PUBLIC_NAMES: [&str; 8] =
    ["help", "support", "billing", "contact", "sales", "info", "hello", "invoices"];
/// What joins two workflows in one name.
const JOINERS: [&str; 5] = [",", ";", "&", " and ", " + "];
/// More dotted aliases than this are a scope in disguise.
const MAX_DOTTED_ALIASES: usize = 2;

pub(super) static LINTS: &[Lint] = &[
    Lint {
        id: "workflow-twice",
        level: Level::Warning,
        reports: "Two mailboxes that serve one workflow.",
        because: "Two addresses serve the same workflow only if they reach the same people doing the same work; \
                  then they are aliases of each other. Otherwise they are two workflows, and a queue that is \
                  half watched is a queue that nobody owns.",
        fixture: include_str!("fixtures/workflow-twice.toml"),
        check: twice,
    },
    Lint {
        id: "workflow-mixed",
        level: Level::Warning,
        reports: "One mailbox that serves several workflows.",
        because: "\"Send everything to info@ and we will sort it\" makes a queue that no one owns. Each workflow \
                  has an address, and the address tells what the mail is about.",
        fixture: include_str!("fixtures/workflow-mixed.toml"),
        check: mixed,
    },
    Lint {
        id: "customer-facing-domain",
        level: Level::Warning,
        reports: "An address for customers that is not on the bare domain.",
        because: "What is advertised stands on the primary domain: customers learn one name, and SPF and DKIM are \
                  aligned there.",
        fixture: include_str!("fixtures/customer-facing-domain.toml"),
        check: customer_facing,
    },
    Lint {
        id: "operational-domain",
        level: Level::Warning,
        reports: "A credential mailbox, or one marked as not for customers, on the bare domain.",
        because: "Mail for a credential bucket should look different from mail for customers at first sight, and \
                  the address that holds password resets should not be one that anybody can guess.",
        fixture: include_str!("fixtures/operational-domain.toml"),
        check: operational,
    },
    Lint {
        id: "alias-sprawl",
        level: Level::Warning,
        reports: "Plus or dotted aliases made one by one, where a scope belongs.",
        because: "Sign-up forms reject plus addresses, and anybody can take the tag away; dotted aliases run into \
                  the platform's cap. A scope takes any name, tells which vendor leaked, and needs no alias.",
        fixture: include_str!("fixtures/alias-sprawl.toml"),
        check: aliases,
    },
];

fn twice(survey: &Survey<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let all: Vec<_> = survey.mailboxes().filter(|(_, raw, _)| raw.workflow.is_some()).collect();
    for (at, (file, raw, mailbox)) in all.iter().enumerate() {
        let earlier = all[..at]
            .iter()
            .find(|(_, _, other)| other.client == mailbox.client && same_workflow(other, mailbox));
        let Some((_, _, other)) = earlier else { continue };
        let help = if people(other) == people(mailbox) {
            format!("the same people read both: make it an alias of `{}`", other.address)
        } else {
            "different people read them: name two workflows, or make one queue".to_owned()
        };
        let message = format!("`{}` serves the workflow of `{}`", mailbox.address, other.address);
        notes.push(Note::at(*file, &raw.address, message, help));
    }
    notes
}

fn same_workflow(one: &Mailbox, other: &Mailbox) -> bool {
    let workflow = |mailbox: &Mailbox| mailbox.workflow.as_ref().map(|text| text.trim().to_lowercase());
    workflow(one) == workflow(other)
}

fn people(mailbox: &Mailbox) -> BTreeSet<&Address> {
    mailbox.authorised_users.iter().collect()
}

fn mixed(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = survey.mailboxes().filter_map(|(file, raw, mailbox)| {
        let workflow = mailbox.workflow.as_ref()?;
        JOINERS.iter().any(|joiner| workflow.contains(joiner)).then(|| {
            let message = format!("`{}` serves several workflows: {workflow}", mailbox.address);
            Note::at(file, &raw.address, message, "give each workflow an address and people of its own")
        })
    });
    wrong.collect()
}

fn customer_facing(survey: &Survey<'_>) -> Vec<Note> {
    let faces_customers = |mailbox: &Mailbox| {
        let by_name = || {
            mailbox.kind == MailboxKind::Role
                && PUBLIC_NAMES.contains(&mailbox.address.local().to_ascii_lowercase().as_str())
        };
        mailbox.customer_facing.unwrap_or_else(by_name)
    };
    let wrong = survey
        .mailboxes()
        .filter(|(_, _, mailbox)| faces_customers(mailbox) && !survey.is_bare(mailbox.address.domain()));
    wrong
        .map(|(file, raw, mailbox)| {
            let message = format!("`{}` is for customers and not on the bare domain", mailbox.address);
            let help = "move it to the bare domain, or write `customer_facing = false`";
            Note::at(file, &raw.address, message, help)
        })
        .collect()
}

fn operational(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = survey.mailboxes().filter(|(_, _, mailbox)| {
        let operational = mailbox.kind == MailboxKind::Credential || mailbox.customer_facing == Some(false);
        operational && survey.is_bare(mailbox.address.domain())
    });
    wrong
        .map(|(file, raw, mailbox)| {
            let domain = mailbox.address.domain();
            let message = format!("`{}` is operational and lies on the bare domain", mailbox.address);
            Note::at(file, &raw.address, message, format!("move it to a subdomain, e.g. `ops.{domain}`"))
        })
        .collect()
}

fn aliases(survey: &Survey<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    for (file, raw, mailbox) in survey.mailboxes() {
        let base = mailbox.address.local().to_ascii_lowercase();
        let tagged = |alias: &Address, mark: char| {
            alias.local().to_ascii_lowercase().strip_prefix(&base).is_some_and(|rest| rest.starts_with(mark))
        };
        let plus = mailbox.aliases.iter().filter(|alias| tagged(alias, '+')).count();
        let dotted = mailbox.aliases.iter().filter(|alias| tagged(alias, '.')).count();
        if plus > 0 || dotted > MAX_DOTTED_ALIASES {
            let message = format!("`{}` has {plus} plus and {dotted} dotted aliases", mailbox.address);
            let help = format!(
                "make a [[scope]] such as `vendors.{}` with `deliver_to = \"{}\"`",
                mailbox.address.domain(),
                mailbox.address
            );
            notes.push(Note::at(file, &raw.address, message, help));
        }
    }
    notes
}
