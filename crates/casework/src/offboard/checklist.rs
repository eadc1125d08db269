//! The checklist: sections A to E of the runbook, with one item for each thing that the policy says the
//! leaver touched.

use mailwarden_address::Address;
use mailwarden_policy::{Person, Policy, VendorLogin};
use serde::{Deserialize, Serialize};

/// What passes an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// A sweep after containment, in which every surface whose name begins so was looked at completely and
    /// shows nothing of the leaver.
    Sweep(Vec<String>),
    /// A policy that no longer names the leaver in this part.
    Policy(String),
    /// No machine can see it: a named person says so.
    Word,
}

/// One item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name, e.g. `B1` or `C1 sales@example.test`.
    pub id: String,
    /// What is to be done.
    pub text: String,
    /// What passes it.
    pub proof: Proof,
}

fn item(id: impl Into<String>, text: impl Into<String>, proof: Proof) -> Item {
    Item { id: id.into(), text: text.into(), proof }
}

fn swept(surfaces: &[&str]) -> Proof {
    Proof::Sweep(surfaces.iter().map(|surface| (*surface).to_owned()).collect())
}

/// The items for one person.
pub fn checklist(policy: &Policy, person: &Person) -> Vec<Item> {
    let mut items = vec![
        item("A1", "Disable mailbox access immediately", Proof::Word),
        item("A2", "Revoke active sessions", Proof::Word),
        item("A3", "Revoke app passwords and OAuth tokens", Proof::Word),
        item("A4", "Remove admin roles immediately, no grace period", Proof::Policy("admin role".to_owned())),
        item("B1", "Remove or review forwarding rules", swept(&["managesieve.", "imap.metadata"])),
        item("B2", "Review aliases routing to external addresses", swept(&["postfix."])),
        item("B3", "Review catch-all and any exceptions", swept(&["postfix."])),
        item("B4", "Review shared mailboxes and delegated access", swept(&["imap.acl"])),
    ];
    items.extend(secrets(policy, person));
    items.push(item("D1", "Retain audit logs per retention policy", Proof::Word));
    items.push(item(
        "D2",
        "Record the offboarding ticket: who, when, actions taken, approvals",
        Proof::Policy("case".to_owned()),
    ));
    items.extend(ownership(policy, person));
    items
}

/// Section C: every secret that the leaver may know, and every login that is theirs.
fn secrets(policy: &Policy, person: &Person) -> Vec<Item> {
    let is_theirs = |address: &Address| person.addresses.contains(address);
    let mut items = Vec::new();
    for mailbox in policy.mailboxes() {
        let touched = mailbox.authorised_users.iter().any(is_theirs)
            || mailbox.business_owner.as_ref().is_some_and(is_theirs);
        if touched && mailbox.shared_login_allowed {
            let text = format!("Rotate the shared login of {}", mailbox.address);
            items.push(item(format!("C1 {}", mailbox.address), text, Proof::Word));
        }
        for service in mailbox.service_credentials.iter().filter(|_| touched) {
            let text = format!("Rotate the service credential `{service}` of {}", mailbox.address);
            items.push(item(format!("C2 {} {service}", mailbox.address), text, Proof::Word));
        }
    }
    for vendor in policy.vendors() {
        let Some(account) = &vendor.account else { continue };
        if !account.login_holders.iter().chain(&account.account_owner).any(is_theirs) {
            continue;
        }
        let text = match account.login {
            Some(VendorLogin::Shared) => format!("Rotate the shared login at {}", vendor.organisation),
            _ => format!("Remove their login at {}", vendor.organisation),
        };
        items.push(item(format!("C3 {}", vendor.address), text, Proof::Word));
    }
    if items.is_empty() {
        // The runbook asks; that the policy knows of none is no proof that there is none.
        let text = "Rotate shared mailbox and service credentials (the policy knows of none they touched)";
        items.push(item("C1", text, Proof::Word));
    }
    items
}

/// Section E: what needs a new owner. That the policy names somebody else passes it.
fn ownership(policy: &Policy, person: &Person) -> Vec<Item> {
    let named = still_named(policy, person);
    let of = |part: &str| -> Vec<&Named> { named.iter().filter(|named| named.part == part).collect() };
    let mut items =
        vec![item("E1", "Confirm new owners for role mailboxes", Proof::Policy("role".to_owned()))];
    for owned in of("role") {
        let text = format!("Name a new {} for {}", owned.field, owned.record);
        items.push(item(
            format!("E1 {} {}", owned.record, owned.field),
            text,
            Proof::Policy("role".to_owned()),
        ));
    }
    let text = "Confirm registrar and DNS admin emails are current and controlled";
    items.push(item("E2", text, Proof::Policy("registrar".to_owned())));
    items
}

/// A place of the policy that gives somebody a part to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The mailbox, domain, vendor or client.
    pub record: String,
    /// As what.
    pub field: &'static str,
    /// `role`, `registrar`, `secret` or `admin role`.
    pub part: &'static str,
}

/// Everything that the policy still gives this person: nothing is left of it when an offboarding ends.
pub fn still_named(policy: &Policy, person: &Person) -> Vec<Named> {
    let is_theirs =
        |address: &Address| person.addresses.contains(address) || person.external_addresses.contains(address);
    let mut named = Vec::new();
    let mut add = |record: String, field: &'static str, part: &'static str| {
        named.push(Named { record, field, part });
    };
    for client in policy.clients() {
        let one = [(&client.owner, "owner"), (&client.emergency_approver, "emergency approver")];
        for (_, field) in one.iter().filter(|(address, _)| is_theirs(address)) {
            add(client.name.clone(), field, "role");
        }
        if client.escalation_contacts.iter().any(is_theirs) {
            add(client.name.clone(), "escalation contact", "role");
        }
    }
    for domain in policy.domains() {
        let name = || domain.name.to_string();
        if domain.admin_queue.as_ref().is_some_and(is_theirs) {
            add(name(), "admin queue", "role");
        }
        if domain.factsheet.registrar_admins.iter().any(is_theirs) {
            add(name(), "registrar admin", "registrar");
        }
        if domain.factsheet.dns_admins.iter().any(is_theirs) {
            add(name(), "DNS admin", "registrar");
        }
    }
    for mailbox in policy.mailboxes().iter().filter(|mailbox| !is_theirs(&mailbox.address)) {
        let name = || mailbox.address.to_string();
        let contacts = [
            (&mailbox.business_owner, "business owner"),
            (&mailbox.recovery_contact, "recovery contact"),
            (&mailbox.escalation_contact, "escalation contact"),
        ];
        for (_, field) in contacts.iter().filter(|(address, _)| address.as_ref().is_some_and(is_theirs)) {
            add(name(), field, "role");
        }
        if mailbox.authorised_users.iter().any(is_theirs) {
            add(name(), "authorised user", "role");
        }
        if mailbox.reset_approvers.iter().any(is_theirs) {
            add(name(), "reset approver", "role");
        }
    }
    for scope in policy.scopes().iter().filter(|scope| is_theirs(&scope.deliver_to)) {
        add(scope.domain.to_string(), "mailbox of the scope", "role");
    }
    for vendor in policy.vendors() {
        let account = vendor.account.as_deref();
        if account.is_some_and(|account| account.login_holders.iter().any(is_theirs)) {
            add(vendor.address.to_string(), "login holder", "secret");
        }
        if account.is_some_and(|account| account.account_owner.as_ref().is_some_and(is_theirs)) {
            add(vendor.address.to_string(), "account owner", "role");
        }
        if vendor.deliver_to.as_ref().is_some_and(is_theirs) {
            add(vendor.address.to_string(), "route", "role");
        }
    }
    for other in policy.people().iter().filter(|other| other.successor.as_ref().is_some_and(is_theirs)) {
        add(other.name.clone(), "successor", "role");
    }
    let administers = person.roles.contains(&mailwarden_policy::PersonRole::AgencyAdmin);
    if administers || person.senior {
        add(person.name.clone(), "agency admin", "admin role");
    }
    named
}
