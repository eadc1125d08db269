//! Mail hosts: which are published, whether they exist, what else the name service says of them.

use std::net::IpAddr;

use mailwarden_evidence::dns::{Name, Rdata, RecordType};

use crate::case::{Case, Draft, Found};
use crate::checks;
use crate::subject::{PROBE, Role, Subject};
use crate::text::quoted;

/// Most mail hosts of one domain that are looked at.
pub(crate) const MAX_HOSTS: usize = 20;

/// The record set that is meant.
pub(crate) fn meant(subject: &Subject) -> Vec<Rdata> {
    if subject.role == Role::Parked {
        return vec![Rdata::Mx { preference: 0, host: String::new() }];
    }
    let steps = (1u16..).map(|step| step.saturating_mul(10));
    let hosts = steps.zip(&subject.mx);
    hosts.map(|(preference, host)| Rdata::Mx { preference, host: host.to_string() }).collect()
}

/// The published hosts with their preference, the preferred first; `None` where they are not known.
pub(crate) fn published(case: &mut Case<'_>) -> Option<Vec<(u16, String)>> {
    let name = case.subject.asked();
    let records = case.records(&name, RecordType::Mx).known()?;
    let mut hosts: Vec<(u16, String)> = records
        .into_iter()
        .filter_map(|record| match record {
            Rdata::Mx { preference, host } => Some((preference, host.to_ascii_lowercase())),
            _ => None,
        })
        .collect();
    hosts.sort();
    Some(hosts)
}

/// The names of the published hosts that can be asked.
pub(crate) fn hosts(case: &mut Case<'_>) -> Vec<Name> {
    let published = published(case).unwrap_or_default();
    let mut hosts: Vec<Name> = Vec::new();
    for host in published.iter().filter(|(_, host)| host_fault(host).is_none()) {
        if let Some(name) = Name::parse(&host.1).filter(|name| !hosts.contains(name)) {
            hosts.push(name);
        }
    }
    hosts.truncate(MAX_HOSTS);
    hosts
}

fn fix(subject: &Subject) -> String {
    let records = meant(subject);
    if records.is_empty() {
        return "name the hosts in `mx` of the domain, then `mailwarden dns render` prints the records"
            .to_owned();
    }
    let lines = records.iter().map(|record| crate::zone::line(&format!("{}.", subject.label()), record));
    lines.collect::<Vec<_>>().join("\n")
}

fn draft(case: &Case<'_>, title: String) -> Draft {
    Draft::new(title).fix(fix(case.subject)).seen_at(&case.subject.asked(), RecordType::Mx)
}

pub(crate) fn look(case: &mut Case<'_>) {
    let Some(published) = published(case) else { return };
    let label = case.subject.label();
    let shown: Vec<String> =
        published.iter().map(|(preference, host)| format!("{preference} {host}.")).collect();
    case.publish(format!("MX {label}"), shown.join(" | "));
    wildcard(case);
    let null = published.iter().any(|(_, host)| host.is_empty());
    if null && published.len() > 1 {
        let draft = draft(case, format!("{label} publishes a null MX beside other MX records."));
        case.found(&checks::MX_NULL_AND, &label, draft.found(shown.join("\n")));
    }
    if case.subject.role == Role::Parked {
        return parked(case, &published, null);
    }
    if null && published.len() == 1 {
        let draft = draft(case, format!("{label} receives mail, and its null MX refuses all of it."));
        case.found(&checks::MX_NULL, &label, draft.found("0 ."));
        return;
    }
    if published.is_empty() {
        missing(case);
    }
    against_policy(case, &published);
    for (_, host) in published.iter().filter(|(_, host)| !host.is_empty()).take(MAX_HOSTS) {
        one_host(case, host);
    }
}

/// Null MX is for domains that neither send nor receive (RFC 7505 §4.2).
fn parked(case: &mut Case<'_>, published: &[(u16, String)], null: bool) {
    if null && published.len() == 1 {
        return;
    }
    let label = case.subject.label();
    let faulty = published.iter().find_map(|(_, host)| Some((host, host_fault(host)?)));
    if let Some((host, why)) = faulty {
        let title = format!("The MX record of {label} names {}: {why}.", quoted(&format!("{host}.")));
        let draft = draft(case, title).found(host);
        return case.found(&checks::MX_NOT_A_HOST, host, draft);
    }
    let title = match published {
        [] => format!("{label} neither sends nor receives, and has no null MX."),
        [(_, host), ..] => {
            format!("{label} neither sends nor receives, and {} is its MX host.", quoted(host))
        }
    };
    let draft = draft(case, title);
    case.found(&checks::MX_PARKED, &label, draft);
}

fn missing(case: &mut Case<'_>) {
    let (label, name) = (case.subject.label(), case.subject.asked());
    let Some(addresses) = case.addresses(&name) else { return };
    let (check, title) = if addresses.is_empty() {
        (&checks::MX_MISSING, format!("{label} receives mail and has no MX record."))
    } else {
        (
            &checks::MX_IMPLICIT,
            format!("{label} has no MX record; its mail goes to its own address {}.", addresses[0]),
        )
    };
    let draft = draft(case, title);
    case.found(check, &label, draft);
}

fn against_policy(case: &mut Case<'_>, published: &[(u16, String)]) {
    let label = case.subject.label();
    let wanted = case.subject.mx.clone();
    if wanted.is_empty() {
        case.gap("the policy names no mail host (`mx`) to compare with".to_owned());
        return;
    }
    for (_, host) in published.iter().filter(|(_, host)| !host.is_empty() && host_fault(host).is_none()) {
        if !wanted.iter().any(|name| name.as_str() == host) {
            let title =
                format!("{} receives the mail of {label}, and the policy does not name it.", quoted(host));
            let draft = draft(case, title).found(host);
            case.found(&checks::MX_UNEXPECTED, host, draft);
        }
    }
    for name in wanted.iter().filter(|_| !published.is_empty()) {
        if !published.iter().any(|(_, host)| host == name.as_str()) {
            let draft = draft(case, format!("{label} does not publish its MX host {name}."));
            case.found(&checks::MX_ABSENT, name, draft);
        }
    }
}

/// Why a text in an MX record names no host.
fn host_fault(host: &str) -> Option<&'static str> {
    if !host.is_empty() && host.bytes().all(|c| c.is_ascii_digit()) {
        return Some("a number is no host; the null MX is written `MX 0 .`");
    }
    if host.parse::<IpAddr>().is_ok() {
        return Some("an address is no host name (RFC 5321 section 5.1)");
    }
    (!host.is_empty() && Name::parse(host).is_none()).then_some("it is no host name")
}

fn one_host(case: &mut Case<'_>, host: &str) {
    if let Some(why) = host_fault(host) {
        let title = format!("The MX record of {} names {}: {why}.", case.subject.label(), quoted(host));
        let draft = draft(case, title).found(host);
        return case.found(&checks::MX_NOT_A_HOST, host, draft);
    }
    let Some(name) = Name::parse(host) else { return };
    let Some(addresses) = case.addresses(&name) else { return };
    if let Some(target) = case.aliases(&name, RecordType::A).last() {
        let title = format!("The MX host {name} is an alias of {}.", quoted(target));
        let draft = draft(case, title).found(target).seen_at(&name, RecordType::A);
        case.found(&checks::MX_ALIAS, &name, draft.fix(format!("give {name} addresses of its own")));
    }
    if addresses.is_empty() {
        let title =
            format!("The MX host {name} of {} does not exist or has no address.", case.subject.label());
        let draft = draft(case, title).seen_at(&name, RecordType::A);
        return case.found(&checks::MX_DANGLING, &name, draft);
    }
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    case.publish(format!("A {name}"), shown.join(" | "));
    for address in addresses {
        reachable(case, &name, address);
        if case.subject.is_ours(name.as_str()) {
            reverse(case, &name, address);
        }
    }
}

fn reachable(case: &mut Case<'_>, host: &Name, address: IpAddr) {
    let inside = match address {
        IpAddr::V4(a) => a.is_private() || a.is_loopback() || a.is_link_local() || a.is_unspecified(),
        IpAddr::V6(a) => {
            a.is_loopback() || a.is_unspecified() || a.is_unique_local() || a.is_unicast_link_local()
        }
    };
    if inside {
        let title = format!("The MX host {host} has the address {address}, which no outside host can reach.");
        let draft =
            Draft::new(title).fix(format!("give {host} a public address")).seen_at(host, RecordType::A);
        case.found(&checks::MX_PRIVATE, format!("{host} {address}"), draft);
    }
}

/// The name asked for the name of an address (RFC 1035 §3.5, RFC 3596 §2.5).
pub(crate) fn reverse_name(address: IpAddr) -> Option<Name> {
    let text = match address {
        IpAddr::V4(a) => {
            let [one, two, three, four] = a.octets();
            format!("{four}.{three}.{two}.{one}.in-addr.arpa")
        }
        IpAddr::V6(a) => {
            let digits = a.octets().into_iter().rev().flat_map(|octet| [octet & 0xf, octet >> 4]);
            digits.map(|digit| format!("{digit:x}.")).collect::<String>() + "ip6.arpa"
        }
    };
    Name::parse(&text)
}

fn reverse(case: &mut Case<'_>, host: &Name, address: IpAddr) {
    let Some(asked) = reverse_name(address) else { return };
    let Some(records) = case.records(&asked, RecordType::Ptr).known() else { return };
    let names: Vec<Name> = records
        .iter()
        .filter_map(|record| match record {
            Rdata::Target(target) => Name::parse(target),
            _ => None,
        })
        .take(MAX_HOSTS)
        .collect();
    let fix = format!("{asked}. PTR {host}.");
    let draft = |title: String| Draft::new(title).fix(&fix).seen_at(&asked, RecordType::Ptr);
    if names.is_empty() {
        let draft = draft(format!("The address {address} of the mail host {host} has no name."));
        return case.found(&checks::MX_REVERSE, format!("{host} {address}"), draft);
    }
    let mut unknown = false;
    for name in &names {
        match case.addresses(name) {
            Some(addresses) if addresses.contains(&address) => return,
            Some(_) => {}
            None => unknown = true,
        }
    }
    if !unknown {
        let title =
            format!("The name {} of {address} ({host}) does not lead back to it.", quoted(names[0].as_str()));
        let draft = draft(title).found(names[0].as_str());
        case.found(&checks::MX_REVERSE, format!("{host} {address}"), draft);
    }
}

fn wildcard(case: &mut Case<'_>) {
    if case.subject.is_wildcard || case.subject.has_wildcard {
        return;
    }
    let Some(probe) = case.subject.name.child(PROBE) else { return };
    let Found::Records(records) = case.records(&probe, RecordType::Mx) else { return };
    let real = |record: &&Rdata| matches!(record, Rdata::Mx { host, .. } if !host.is_empty());
    let Some(Rdata::Mx { host, .. }) = records.iter().find(real) else { return };
    let name = &case.subject.name;
    let title = format!("Every name below {name} receives mail at {} (wildcard MX).", quoted(host));
    let draft = Draft::new(title)
        .found(host)
        .fix(format!("remove the MX record of *.{name}., and publish one for each name that is meant"))
        .seen_at(&probe, RecordType::Mx);
    case.found(&checks::MX_WILDCARD, format!("*.{name}"), draft);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names_are_those_of_the_rfcs() {
        let name = |text: &str| reverse_name(text.parse().unwrap()).unwrap().to_string();
        assert_eq!(name("192.0.2.25"), "25.2.0.192.in-addr.arpa");
        assert_eq!(
            name("2001:db8::1"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }
}
