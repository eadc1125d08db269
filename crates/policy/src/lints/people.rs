//! Enough people, and different ones.

use super::survey::Survey;
use super::{Lint, Note};
use crate::diagnostic::Level;
use crate::model::PersonRole;
use crate::raci::{Duty, MailboxClass};

pub(super) static LINTS: &[Lint] = &[
    Lint {
        id: "one-admin",
        level: Level::Warning,
        reports: "A client with fewer than two operators who are still there.",
        because: "One admin for everything is a single point of compromise and a single point of failure, and a \
                  bottleneck on the day they are ill.",
        fixture: include_str!("fixtures/one-admin.toml"),
        check: one_admin,
    },
    Lint {
        id: "no-separation",
        level: Level::Error,
        reports: "A privileged reset that can only be done by one person in two parts, or not at all.",
        because: "If the same person can request, approve and execute a privileged reset, the process is a bypass \
                  waiting to happen; if nobody can, it will be bypassed in the emergency.",
        fixture: include_str!("fixtures/no-separation.toml"),
        check: separation,
    },
    Lint {
        id: "approver-without-key",
        level: Level::Error,
        reports: "Approvals that must be signed, and an approver without an SSH key.",
        because: "Where the policy asks for a signature, an approver without a key cannot approve.",
        fixture: include_str!("fixtures/approver-without-key.toml"),
        check: keys,
    },
];

fn one_admin(survey: &Survey<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    for (at, file) in survey.files.iter().enumerate() {
        let admins = survey.policy.staff_of(at).filter(|person| {
            person.roles.contains(&PersonRole::AgencyAdmin)
                && person.left.is_none_or(|left| left > survey.now)
        });
        let admins: Vec<&str> = admins.map(|person| person.name.as_str()).collect();
        // A client without mailboxes, such as an agency's own file, needs nobody to change them.
        if admins.len() < 2 && !file.mailbox.is_empty() {
            let name = &file.client.get_ref().name;
            let who = admins.first().map_or("nobody".to_owned(), |name| format!("only {name}"));
            let message = format!("`{}` has {who} to make changes", name.get_ref());
            let help = "give a second [[person]] `roles = [\"agency-admin\"]`, here or in the agency's file";
            notes.push(Note::at(at, name, message, help));
        }
    }
    notes
}

fn separation(survey: &Survey<'_>) -> Vec<Note> {
    let privileged = survey
        .mailboxes()
        .filter(|(_, _, mailbox)| survey.policy.class_of(mailbox) >= MailboxClass::Executive);
    privileged
        .filter_map(|(file, raw, mailbox)| {
            let action = survey.policy.class_of(mailbox).reset();
            let duty = Duty::about_mailbox(survey.policy, action, mailbox);
            if duty.is_possible() {
                return None;
            }
            let message = if duty.executors.is_empty() {
                format!("nobody may reset `{}`: there is no senior operator", mailbox.address)
            } else {
                let everybody = duty.approvers().into_iter().collect();
                let missing = duty.missing(&everybody);
                let missing = missing.unwrap_or_else(|| "approvers other than the executor".to_owned());
                format!("a reset of `{}` cannot be done by different people: {missing}", mailbox.address)
            };
            let help = "name a senior agency-admin, and an emergency approver or escalation contact who is \
                        neither the owner nor that operator";
            Some(Note::at(file, &raw.address, message, help))
        })
        .collect()
}

fn keys(survey: &Survey<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    for (file, raw, mailbox) in survey.mailboxes() {
        let duty = Duty::about_mailbox(survey.policy, survey.policy.class_of(mailbox).reset(), mailbox);
        if !duty.signature {
            continue;
        }
        let has_key =
            |address| survey.policy.person(address).is_some_and(|person| !person.ssh_keys.is_empty());
        let without: Vec<String> = duty
            .approvers()
            .into_iter()
            .filter(|address| !has_key(address))
            .map(ToString::to_string)
            .collect();
        if !without.is_empty() {
            let message = format!("`{}`: no key on record for {}", mailbox.address, without.join(", "));
            let help = "add `ssh_keys = [\"ssh-ed25519 AAAA...\"]` to the [[person]]";
            notes.push(Note::at(file, &raw.address, message, help));
        }
    }
    notes
}
