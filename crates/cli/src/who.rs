//! `mailwarden who`: one screen that answers who owns an address, who may reset it, and who must approve.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_policy::{Client, Mailbox, MailboxKind, Person, Policy, Recipient};
use mailwarden_settings::load_policy;
use serde::Serialize;

use crate::arguments::{Common, Who};
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

/// The answer. Absent values stay visible as "nobody on record": a blank is an answer too.
#[derive(Debug, Serialize)]
struct Answer {
    schema: &'static str,
    asked: String,
    /// What the address is: a mailbox, an alias, part of a scope, a vendor's, a person's.
    is: String,
    mailbox: String,
    client: String,
    kind: Option<&'static str>,
    owner: Option<String>,
    reset: Option<ResetAuthority>,
    recovery: Option<Recovery>,
    operator_team: Option<String>,
    authorised_users: Vec<String>,
    receive_only: bool,
    last_reviewed: Option<DateTime<Utc>>,
    emergency_approver: String,
    exceptions: Vec<String>,
}

/// Who may reset a mailbox, by its kind. Nobody may request, approve and execute the same reset.
#[derive(Debug, Serialize)]
struct ResetAuthority {
    path: &'static str,
    approvers: Vec<String>,
    approval: &'static str,
    executor: &'static str,
}

#[derive(Debug, Serialize)]
struct Recovery {
    contact: String,
    /// The contact lies inside the system it would recover.
    loops: bool,
}

pub(crate) fn run(common: &Common, who: &Who) -> Result<Outcome, Failure> {
    let address: Address = who
        .address
        .parse()
        .map_err(|error| Failure::Usage(format!("`{}` is not an address: {error}", shown(&who.address))))?;
    let settings = common.settings()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let Some(answer) = answer(&policy, &address) else {
        output::complain(&format!(
            "{address}: no record of the policy knows it\n  add a [[mailbox]] or [[person]]"
        ));
        return Ok(Outcome::Findings);
    };
    output::answer(who.json, &answer, text)?;
    Ok(Outcome::Clean)
}

fn answer(policy: &Policy, address: &Address) -> Option<Answer> {
    let (is, target) = describe(policy, address)?;
    let mailbox = policy.mailbox(&target);
    let client = client_of(policy, &target)?;
    Some(Answer {
        schema: "mailwarden.who/1",
        asked: address.to_string(),
        is,
        mailbox: mailbox.map_or_else(|| target.to_string(), |mailbox| mailbox.address.to_string()),
        client: client.name.clone(),
        kind: mailbox.map(|mailbox| mailbox.kind.as_str()),
        owner: mailbox.and_then(|mailbox| mailbox.business_owner.as_ref()).map(|owner| name(policy, owner)),
        reset: mailbox.map(|mailbox| reset_authority(policy, client, mailbox)),
        recovery: mailbox.and_then(|mailbox| mailbox.recovery_contact.as_ref()).map(|contact| Recovery {
            contact: name(policy, contact),
            loops: policy.is_under_ours(contact.domain()),
        }),
        operator_team: mailbox.and_then(|mailbox| mailbox.operator_team.clone()),
        authorised_users: mailbox.map_or_else(Vec::new, |mailbox| names(policy, &mailbox.authorised_users)),
        receive_only: policy.receive_only(address).is_some(),
        last_reviewed: mailbox.and_then(|mailbox| mailbox.last_reviewed),
        emergency_approver: name(policy, &client.emergency_approver),
        exceptions: exceptions(policy, client),
    })
}

/// What the address is, and the mailbox that its mail reaches.
fn describe(policy: &Policy, address: &Address) -> Option<(String, Address)> {
    match policy.recipient(address) {
        Recipient::Vendor(vendor, scope) => {
            let route = policy.vendor_route(vendor, scope).clone();
            let state = format!("{:?}", vendor.state).to_lowercase();
            let is = format!(
                "the address given to {} in the scope {}, {state}",
                vendor.organisation, scope.domain
            );
            Some((is, route))
        }
        Recipient::InScope(scope) => {
            Some((format!("part of the scope {}", scope.domain), scope.deliver_to.clone()))
        }
        Recipient::Mailbox(mailbox) if mailbox.address == *address => {
            Some(("a mailbox".to_owned(), address.clone()))
        }
        Recipient::Mailbox(mailbox) => {
            Some((format!("an alias of {}", mailbox.address), mailbox.address.clone()))
        }
        Recipient::Unknown => {
            let person = policy.person(address)?;
            Some((format!("an address of {}", describe_person(person)), address.clone()))
        }
    }
}

fn client_of<'p>(policy: &'p Policy, address: &Address) -> Option<&'p Client> {
    let index = policy
        .mailbox(address)
        .map(|mailbox| mailbox.client)
        .or_else(|| policy.person(address).map(|person| person.client))
        .or_else(|| policy.domain(address.domain()).map(|domain| domain.client))?;
    policy.clients().get(index)
}

fn reset_authority(policy: &Policy, client: &Client, mailbox: &Mailbox) -> ResetAuthority {
    let listed = names(policy, &mailbox.reset_approvers);
    let owner = mailbox.business_owner.as_ref().map(|owner| name(policy, owner));
    let client_owner = name(policy, &client.owner);
    let (path, approval, executor, default) = match mailbox.kind {
        MailboxKind::Human | MailboxKind::Calendar => {
            ("user-driven self-service", "none for a routine reset", "the user", Vec::new())
        }
        MailboxKind::Role | MailboxKind::Shared => (
            "approved by the business owner",
            "one approver, before execution",
            "an operator",
            owner.into_iter().collect(),
        ),
        MailboxKind::Admin | MailboxKind::Credential => (
            "break-glass, with verification out of band",
            "two approvers, before execution",
            "a senior operator only",
            owner.into_iter().chain([client_owner]).collect(),
        ),
    };
    let mut approvers = if listed.is_empty() { default } else { listed };
    approvers.dedup();
    ResetAuthority { path, approvers, approval, executor }
}

fn exceptions(policy: &Policy, client: &Client) -> Vec<String> {
    policy
        .exceptions()
        .iter()
        .filter(|exception| policy.clients().get(exception.client).is_some_and(|of| of.name == client.name))
        .map(|exception| {
            let until = exception.expires.format("%Y-%m-%d");
            format!("{} until {until}: {}", exception.fingerprint, exception.reason)
        })
        .collect()
}

fn names(policy: &Policy, addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(|address| name(policy, address)).collect()
}

fn name(policy: &Policy, address: &Address) -> String {
    match policy.person(address) {
        Some(person) => format!("{} <{address}>", describe_person(person)),
        None => address.to_string(),
    }
}

fn describe_person(person: &Person) -> String {
    match person.left {
        Some(left) => format!("{} (leaves or left {})", person.name, left.format("%Y-%m-%d")),
        None => person.name.clone(),
    }
}

fn text(answer: &Answer) -> String {
    let mut out = format!("{} is {}\n", shown(&answer.asked), shown(&answer.is));
    let nobody = || "nobody on record".to_owned();
    let list = |values: &[String]| if values.is_empty() { nobody() } else { values.join(", ") };
    let mut line = |label: &str, value: String| {
        let _ = writeln!(out, "  {label:<20} {}", shown(&value));
    };
    line("mail reaches", answer.mailbox.clone());
    line("client", answer.client.clone());
    line("kind", answer.kind.unwrap_or("not in the policy").to_owned());
    line("owner", answer.owner.clone().unwrap_or_else(nobody));
    if let Some(reset) = &answer.reset {
        line("reset", reset.path.to_owned());
        line("must approve", format!("{} ({})", list(&reset.approvers), reset.approval));
        line("executes", reset.executor.to_owned());
    }
    line("emergency approver", answer.emergency_approver.clone());
    line(
        "recovery goes to",
        match &answer.recovery {
            Some(recovery) if recovery.loops => {
                format!("{}  LOOP: inside the system it recovers", recovery.contact)
            }
            Some(recovery) => recovery.contact.clone(),
            None => nobody(),
        },
    );
    line("operated by", answer.operator_team.clone().unwrap_or_else(nobody));
    line("may read it", list(&answer.authorised_users));
    line("may send", if answer.receive_only { "no, receive-only" } else { "yes" }.to_owned());
    let never = || "never".to_owned();
    let reviewed = answer.last_reviewed.map_or_else(never, |at| at.format("%Y-%m-%d").to_string());
    line("last review", reviewed);
    line(
        "open exceptions",
        if answer.exceptions.is_empty() { "none".to_owned() } else { answer.exceptions.join("; ") },
    );
    out
}
