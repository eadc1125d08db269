//! `mailwarden who`: one screen, in less than ten seconds, that answers who owns an address, who may reset
//! it, and who must approve.

mod records;
mod text;

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_policy::raci::{Duty, MailboxClass};
use mailwarden_policy::{Client, Mailbox, Person, Policy, Recipient};
use mailwarden_settings::load_policy_about;
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
    /// What the ledger knows; absent where it could not be read.
    records: Option<records::Records>,
}

/// Who may reset a mailbox, by its kind. Nobody may request, approve and execute the same reset.
#[derive(Debug, Serialize)]
struct ResetAuthority {
    path: &'static str,
    class: &'static str,
    approvers: Vec<String>,
    approval: String,
    executor: Vec<String>,
    out_of_band: bool,
}

#[derive(Debug, Serialize)]
struct Recovery {
    contact: String,
    /// The contact lies inside the system it would recover.
    loops: bool,
}

pub(crate) async fn run(common: &Common, who: &Who) -> Result<Outcome, Failure> {
    let address: Address = who
        .address
        .parse()
        .map_err(|error| Failure::Usage(format!("`{}` is not an address: {error}", shown(&who.address))))?;
    let settings = common.settings()?;
    let directory = common.policy_directory(&settings);
    let policy = load_policy_about(&directory, address.domain().as_str())?;
    let Some(mut answer) = answer(&policy, &address, Utc::now()) else {
        output::complain(&format!(
            "{address}: no record of the policy knows it\n  add a [[mailbox]] or [[person]]"
        ));
        return Ok(Outcome::Findings);
    };
    answer.records = records::read(&settings.ledger.url, &answer.mailbox, Utc::now()).await;
    output::answer(who.json, &answer, text::text)?;
    Ok(Outcome::Clean)
}

fn answer(policy: &Policy, address: &Address, now: DateTime<Utc>) -> Option<Answer> {
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
        reset: mailbox.map(|mailbox| reset_authority(policy, mailbox)),
        recovery: mailbox.and_then(|mailbox| mailbox.recovery_contact.as_ref()).map(|contact| Recovery {
            contact: name(policy, contact),
            loops: policy.is_under_ours(contact.domain()),
        }),
        operator_team: mailbox.and_then(|mailbox| mailbox.operator_team.clone()),
        authorised_users: mailbox.map_or_else(Vec::new, |mailbox| names(policy, &mailbox.authorised_users)),
        receive_only: policy.receive_only(address).is_some(),
        last_reviewed: mailbox.and_then(|mailbox| mailbox.last_reviewed),
        emergency_approver: name(policy, &client.emergency_approver),
        exceptions: exceptions(policy, client, &target, now),
        records: None,
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

fn reset_authority(policy: &Policy, mailbox: &Mailbox) -> ResetAuthority {
    let class = policy.class_of(mailbox);
    let duty = Duty::about_mailbox(policy, class.reset(), mailbox);
    let path = match class {
        MailboxClass::Personal => "user-driven self-service",
        MailboxClass::Role => "approved by the business owner",
        MailboxClass::Executive | MailboxClass::Privileged => "break-glass, with verification out of band",
    };
    let must: Vec<Address> = duty.approvals_from.iter().flat_map(|seat| seat.people.clone()).collect();
    let mut approvers = names(policy, &must);
    approvers.dedup();
    let approval = match (duty.approvals, duty.approvals_from.len()) {
        (0, _) => "none for a routine reset".to_owned(),
        (1, _) => "one approver, before execution".to_owned(),
        (count, seats) if count > seats => {
            let others: Vec<Address> =
                duty.second.iter().filter(|person| !must.contains(person)).cloned().collect();
            format!(
                "{count} approvers, before execution; the other from: {}",
                names(policy, &others).join(", ")
            )
        }
        (count, _) => format!("{count} approvers, before execution"),
    };
    let executor = names(policy, &duty.executors);
    ResetAuthority {
        path,
        class: class.as_str(),
        approvers,
        approval,
        executor,
        out_of_band: duty.out_of_band,
    }
}

/// Those that hold: a lint or access about this mailbox, and findings of the client, whose mailbox only a
/// sweep knows.
fn exceptions(policy: &Policy, client: &Client, mailbox: &Address, now: DateTime<Utc>) -> Vec<String> {
    let is_clients = |at: usize| policy.clients().get(at).is_some_and(|of| of.name == client.name);
    let findings =
        policy.exceptions().iter().filter(|one| is_clients(one.client) && one.expires > now).map(|one| {
            format!("{} until {}: {}", one.fingerprint, one.expires.format("%Y-%m-%d"), one.reason)
        });
    let grants =
        policy.accepted_grants().iter().filter(|one| one.mailbox == *mailbox && one.expires > now).map(
            |one| {
                format!("access of {} until {}: {}", one.grantee, one.expires.format("%Y-%m-%d"), one.reason)
            },
        );
    findings.chain(grants).collect()
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
