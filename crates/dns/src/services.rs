//! Where mail programs are sent, aliases that lead nowhere, and name servers that do not exist.

use mailwarden_evidence::dns::{Name, Rdata, RecordType};

use crate::case::{Case, Draft, Found};
use crate::checks;
use crate::text::quoted;

/// Names at which mail programs and people look for a mail system.
const HOSTS: [&str; 9] =
    ["autodiscover", "autoconfig", "mta-sts", "webmail", "mail", "imap", "pop", "smtp", "lists"];
/// Services by which mail programs find theirs (RFC 6186, RFC 8314, RFC 5804).
const SERVICES: [&str; 8] = [
    "_autodiscover._tcp",
    "_imap._tcp",
    "_imaps._tcp",
    "_pop3._tcp",
    "_pop3s._tcp",
    "_submission._tcp",
    "_submissions._tcp",
    "_sieve._tcp",
];
/// Most targets of one service that are looked at.
const MAX_TARGETS: usize = 10;

pub(crate) fn look(case: &mut Case<'_>) {
    if case.subject.is_wildcard {
        return;
    }
    for label in HOSTS {
        let name = case.subject.name.child(label);
        name.into_iter().for_each(|name| host(case, &name));
    }
    for label in SERVICES {
        let name = Name::parse(&format!("{label}.{}", case.subject.name));
        name.into_iter().for_each(|name| service(case, &name));
    }
}

fn host(case: &mut Case<'_>, name: &Name) {
    let found = case.records(name, RecordType::A);
    let aliases = case.aliases(name, RecordType::A);
    if found != Found::Unknown {
        case.publish(format!("CNAME {name}"), aliases.last().cloned().unwrap_or_default());
    }
    let Some(target) = aliases.last() else { return };
    let Some(target) = Name::parse(target) else {
        let title = format!("{name} is an alias of {}, which is no name.", quoted(target));
        let draft = Draft::new(title).found(target).fix(format!("remove {name}. CNAME"));
        return case.found(&checks::DANGLING_ALIAS, name, draft.seen_at(name, RecordType::A));
    };
    // A server of one zone answers with the alias alone where it leads out of the zone.
    let end = if matches!(found, Found::Records(_)) { found } else { case.records(&target, RecordType::A) };
    let draft = |title: String, fix: String| {
        Draft::new(title).found(target.as_str()).fix(fix).seen_at(name, RecordType::A)
    };
    let fix = format!("remove the record {name}. CNAME {target}.");
    match end {
        Found::NoSuchName => {
            let title = format!("{name} is an alias of {target}, which does not exist.");
            case.found(&checks::DANGLING_ALIAS, name, draft(title, fix));
        }
        Found::Unknown => {}
        Found::Records(_) | Found::NoRecords if case.subject.is_ours(target.as_str()) => {}
        Found::Records(_) | Found::NoRecords => {
            let title = format!("{name} is an alias of {target}, outside the domains of the policy.");
            case.found(&checks::SERVICE_OUTSIDE, name, draft(title, fix));
        }
    }
}

fn service(case: &mut Case<'_>, name: &Name) {
    let Some(records) = case.records(name, RecordType::Srv).known() else { return };
    let mut targets: Vec<String> = records
        .into_iter()
        .filter_map(|record| match record {
            Rdata::Srv { target, port, .. } if !target.is_empty() => Some(format!("{target}:{port}")),
            _ => None,
        })
        .collect();
    targets.sort();
    case.publish(format!("SRV {name}"), targets.join(" | "));
    for target in targets.iter().take(MAX_TARGETS) {
        let host = target.rsplit_once(':').map_or(target.as_str(), |(host, _)| host);
        let Some(at) = Name::parse(host) else { continue };
        let draft = |title: String| {
            let fix = format!("remove the SRV record of {name}., or name a host that exists");
            Draft::new(title).found(target).fix(fix).seen_at(name, RecordType::Srv)
        };
        match case.addresses(&at) {
            Some(addresses) if addresses.is_empty() => {
                let title = format!("The service {name} is at {at}, which does not exist or has no address.");
                case.found(&checks::DANGLING_SERVICE, format!("{name} {at}"), draft(title));
            }
            Some(_) if !case.subject.is_ours(host) => {
                let title = format!("The service {name} is at {at}, outside the domains of the policy.");
                case.found(&checks::SERVICE_OUTSIDE, format!("{name} {at}"), draft(title));
            }
            _ => {}
        }
    }
}

/// Name servers of the organisation.
pub(crate) fn delegation(case: &mut Case<'_>) {
    if !case.subject.is_organisation() {
        return;
    }
    let name = case.subject.name.clone();
    let records = match case.records(&name, RecordType::Ns) {
        Found::Unknown => return,
        Found::NoSuchName => {
            let draft = Draft::new(format!("{name} does not exist in the name service."))
                .fix("look at its registration, and at the name servers that the registrar gives it")
                .seen_at(&name, RecordType::Ns);
            return case.found(&checks::NS_MISSING, &name, draft);
        }
        Found::NoRecords => {
            return case.gap(format!("the resolver knows no name server of {name}"));
        }
        Found::Records(records) => records,
    };
    let mut servers: Vec<String> = records
        .into_iter()
        .filter_map(|record| match record {
            Rdata::Target(target) => Some(target.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    servers.sort();
    case.publish(format!("NS {name}"), servers.join(" | "));
    let verified = case.is_authenticated(&name, RecordType::Ns);
    case.publish(format!("DNSSEC {name}"), if verified { "verified" } else { "not verified" }.to_owned());
    for server in servers.iter().take(MAX_TARGETS) {
        let Some(at) = Name::parse(server) else { continue };
        if case.addresses(&at).is_some_and(|addresses| addresses.is_empty()) {
            let draft =
                Draft::new(format!("The name server {at} of {name} does not exist or has no address."))
                    .fix(format!("remove {at} from the delegation at the registrar and from the zone"))
                    .seen_at(&name, RecordType::Ns);
            case.found(&checks::NS_DANGLING, &at, draft);
        }
    }
}
