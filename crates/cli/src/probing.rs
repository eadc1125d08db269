//! Which logins a sweep tries, and for whom: accounts of people who have left. Those that a lookup finds locked come on
//! top while the rounds are made.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_collect::Credentials;
use mailwarden_collect::probe::{ProbePlan, Service};
use mailwarden_policy::Policy;
use mailwarden_settings::{Probe, Settings};

use crate::failure::Failure;
use crate::rounds::server;

/// What `[probe]` asks for; nothing without it.
pub(crate) fn plan(
    settings: &Settings,
    policy: &Policy,
    credentials: &Credentials,
) -> Result<Option<ProbePlan>, Failure> {
    let Some(probe) = &settings.probe else { return Ok(None) };
    let servers = servers(settings, probe);
    let table = probe.passwords.as_ref().map(|source| source.read_table(&settings.directory)).transpose()?;
    let has_master = probe.master && !credentials.master_user.is_empty();
    if servers.is_empty() || (table.is_none() && !has_master) {
        return Err(Failure::Usage(
            "[probe] has nothing to try\n  it needs a server (imap, pop3, submission or managesieve) and a credential: \
             `passwords`, or `master = true` with [login]"
                .to_owned(),
        ));
    }
    let passwords = table.unwrap_or_default().into_iter();
    Ok(Some(ProbePlan {
        servers,
        accounts: closed(policy, Utc::now()),
        passwords: passwords.map(|(account, password)| (account.to_lowercase(), password)).collect(),
        master: has_master.then(|| credentials.clone()),
    }))
}

fn servers(settings: &Settings, probe: &Probe) -> BTreeMap<Service, mailwarden_collect::Server> {
    let named = [
        (Service::Imap, &probe.imap),
        (Service::Pop3, &probe.pop3),
        (Service::Submission, &probe.submission),
        (Service::ManageSieve, &probe.managesieve),
    ];
    let configured = named.into_iter().filter_map(|(service, of)| of.as_ref().map(|of| (service, of)));
    configured.map(|(service, of)| (service, server(settings, of))).collect()
}

/// The addresses with us of everybody who has left, but for those that belong to somebody else by now.
fn closed(policy: &Policy, now: DateTime<Utc>) -> BTreeSet<String> {
    let addresses = policy.people().iter().flat_map(|person| &person.addresses);
    let ours = addresses.filter(|address| policy.is_ours(address.domain()));
    ours.filter(|address| policy.leaver(address, now).is_some()).map(Address::key).collect()
}

#[cfg(test)]
mod tests {
    use mailwarden_policy::Source;

    use super::*;

    #[test]
    fn an_address_that_was_handed_on_is_no_closed_account() {
        let text: &[u8] = br#"
            [client]
            name = "Acme"
            owner = "jane@acme.test"
            emergency_approver = "jane@acme.test"
            [[domain]]
            name = "acme.test"
            profile = "sending"
            admin_queue = "jane@acme.test"
            [[person]]
            name = "Jane"
            addresses = ["jane@acme.test"]
            [[person]]
            name = "Bob"
            addresses = ["bob@acme.test", "sales@acme.test", "bob@home.test"]
            left = 2026-01-01T00:00:00Z
            [[mailbox]]
            address = "sales@acme.test"
            kind = "role"
            business_owner = "jane@acme.test"
        "#;
        let policy = Policy::compile(&[Source::new("p.toml", text)]).unwrap().0;
        let before = "2025-12-31T00:00:00Z".parse().unwrap();
        assert_eq!(closed(&policy, Utc::now()), ["bob@acme.test".to_owned()].into());
        assert!(closed(&policy, before).is_empty());
    }
}
