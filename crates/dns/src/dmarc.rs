//! DMARC (RFC 9989): the record, the tree walk that finds what applies, and where its reports go.

mod record;
mod reports;

use mailwarden_evidence::dns::{Name, RecordType};

use crate::case::{Case, Draft, Found};
use crate::checks;
use crate::subject::{Role, Subject};
use crate::text::quoted;

pub(crate) use record::{Policy, Record, is_dmarc};

/// What the organisation's record has to say at least, where names below it never send.
pub(crate) const ORGANISATION: &str = "v=DMARC1; p=reject; sp=reject; np=reject";
/// Most names that a tree walk asks (RFC 9989 §4.10).
const MAX_WALK: usize = 8;

/// The record that is meant: the policy's, or one that follows from its profile.
pub(crate) fn meant(subject: &Subject) -> String {
    if let (Some(dmarc), Role::Sending) = (&subject.dmarc, subject.role) {
        return dmarc.clone();
    }
    let mut text = "v=DMARC1; p=reject".to_owned();
    if subject.is_organisation() {
        text.push_str("; sp=reject; np=reject");
    }
    if subject.role != Role::Sending {
        text.push_str("; adkim=s; aspf=s");
    }
    let receives = |address: &&mailwarden_address::Address| {
        subject.role != Role::Parked || address.domain().as_str() != subject.name.as_str()
    };
    let reports: Vec<String> =
        subject.dmarc_reports.iter().filter(receives).map(|address| format!("mailto:{address}")).collect();
    if !reports.is_empty() {
        text.push_str(&format!("; rua={}", reports.join(",")));
    }
    text
}

/// Where the record stands that has to say something of a domain. Names below a wildcard cannot have one of
/// their own: that of the organisation speaks for them.
pub(crate) fn owner(subject: &Subject) -> Option<Name> {
    let at = if subject.is_wildcard { &subject.organisation } else { subject.name.as_str() };
    Name::parse(&format!("_dmarc.{at}"))
}

/// The names that a walk asks, the own one first (RFC 9989 §4.10 steps 1 to 7).
pub(crate) fn walk(name: &Name) -> Vec<Name> {
    let labels: Vec<&str> = name.as_str().split('.').collect();
    let up_to = if labels.len() < MAX_WALK { labels.len().saturating_sub(1) } else { MAX_WALK - 1 };
    let above = (1..=up_to).rev().map(|count| labels[labels.len() - count..].join("."));
    let texts = std::iter::once(name.to_string()).chain(above);
    texts.filter_map(|text| Name::parse(&text)?.child("_dmarc")).collect()
}

/// What a walk found.
struct Discovery {
    own: Option<Record>,
    /// The name of the organisational domain with its record.
    organisation: Option<(String, Record)>,
    name: Name,
}

impl Discovery {
    /// What applies to mail that says it comes from the name.
    fn effective(&self) -> Option<Policy> {
        let above = || {
            let (at, record) = self.organisation.as_ref()?;
            Some(if at == self.name.as_str() { record.p() } else { record.sp() })
        };
        self.own.as_ref().map(Record::p).or_else(above)
    }

    fn own_is_organisational(&self) -> bool {
        self.organisation.as_ref().is_some_and(|(at, _)| at == self.name.as_str())
    }
}

fn discover(case: &mut Case<'_>, name: &Name) -> Option<Discovery> {
    let mut found: Vec<(String, Record)> = Vec::new();
    for at in walk(name) {
        let texts = case.texts(&at)?;
        let mut records = texts.iter().filter(|text| is_dmarc(text));
        // Several records at one name are as good as none.
        let (Some(text), None) = (records.next(), records.next()) else { continue };
        let domain = at.as_str().strip_prefix("_dmarc.").unwrap_or_default().to_owned();
        if let Ok(record) = Record::parse(text) {
            let ends = record.psd() == Some("n");
            found.push((domain, record));
            if ends {
                break;
            }
        }
    }
    let own = found.iter().find(|(at, _)| at == name.as_str()).map(|(_, record)| record.clone());
    Some(Discovery { own, organisation: organisation(found, name), name: name.clone() })
}

/// RFC 9989 §4.10.2: psd=n ends the walk at the organisation; psd=y lies right above it; else the shortest name
/// that has a record.
fn organisation(found: Vec<(String, Record)>, name: &Name) -> Option<(String, Record)> {
    if let Some(at) = found.iter().position(|(_, record)| record.psd() == Some("n")) {
        return found.into_iter().nth(at);
    }
    let suffix = found.iter().position(|(at, record)| record.psd() == Some("y") && at != name.as_str());
    let eligible = suffix.unwrap_or(found.len());
    eligible.checked_sub(1).and_then(|shortest| found.into_iter().nth(shortest))
}

pub(crate) fn look(case: &mut Case<'_>) {
    let Some(own) = owner(case.subject) else { return };
    let asked = case.subject.asked();
    if !case.subject.is_wildcard {
        own_records(case, &own);
    }
    if let Some(discovery) = discover(case, &asked) {
        applies(case, &own, &discovery);
    }
}

fn own_records(case: &mut Case<'_>, own: &Name) {
    misplaced(case);
    let Some(texts) = case.texts(own) else { return };
    let records: Vec<&String> = texts.iter().filter(|text| is_dmarc(text)).collect();
    let shown = records.iter().map(|text| text.as_str()).collect::<Vec<_>>().join(" | ");
    case.publish(format!("DMARC {}", case.subject.label()), shown.clone());
    match records.as_slice() {
        [] => almost(case, own, &texts),
        [text] => own_record(case, own, text),
        several => {
            let title = format!("{own} holds {} DMARC records; receivers use none.", several.len());
            let draft = draft(case, own, title).found(shown);
            case.found(&checks::DMARC_MULTIPLE, own, draft);
        }
    }
}

fn draft(case: &Case<'_>, own: &Name, title: String) -> Draft {
    let text = if case.subject.is_wildcard { ORGANISATION } else { &meant(case.subject) };
    let fix = format!("{own}. TXT \"{text}\"");
    Draft::new(title).fix(fix).seen_at(own, RecordType::Txt)
}

fn misplaced(case: &mut Case<'_>) {
    let name = case.subject.asked();
    let Some(texts) = case.texts(&name) else { return };
    for text in texts.iter().filter(|text| is_dmarc(text)) {
        let title = format!("A DMARC record stands at {name} itself, where nobody looks: {}.", quoted(text));
        let fix = format!("move it to _dmarc.{}.", case.subject.name);
        let draft = Draft::new(title).found(text).fix(fix).seen_at(&name, RecordType::Txt);
        case.found(&checks::DMARC_LOCATION, &name, draft);
    }
}

fn almost(case: &mut Case<'_>, own: &Name, texts: &[String]) {
    let Some(text) = texts.iter().find(|text| text.to_ascii_lowercase().contains("dmarc1")) else { return };
    let title = format!("{own} has a TXT record that is almost DMARC: {}.", quoted(text));
    let draft = draft(case, own, title).found(text);
    case.found(&checks::DMARC_SYNTAX, own, draft);
}

fn own_record(case: &mut Case<'_>, own: &Name, text: &str) {
    let record = match Record::parse(text) {
        Ok(record) => record,
        Err(reason) => {
            let title = format!("The DMARC record of {own} cannot be read: {reason}.");
            let draft = draft(case, own, title).found(text);
            case.found(&checks::DMARC_SYNTAX, own, draft);
            return;
        }
    };
    for fault in record.faults() {
        let title = format!("The DMARC record of {own} is not as it is meant: {fault}.");
        let draft = draft(case, own, title).found(text);
        case.found(&checks::DMARC_SYNTAX, format!("{own} {fault}"), draft);
    }
    let obsolete = record.obsolete();
    if !obsolete.is_empty() {
        let title = format!("The DMARC record of {own} has removed tags: {}.", obsolete.join(", "));
        let draft = draft(case, own, title).found(text);
        case.found(&checks::DMARC_OBSOLETE, own, draft);
    }
    if record.is_test() {
        let draft =
            draft(case, own, format!("The DMARC record of {own} says t=y: it is only a test.")).found(text);
        case.found(&checks::DMARC_TEST, own, draft);
    }
    let meant = case.subject.dmarc.clone();
    if let Some(meant) =
        meant.filter(|meant| case.subject.role == Role::Sending && !record::same(meant, text))
    {
        let title = format!("The DMARC record of {own} is not the one of the policy, {}.", quoted(&meant));
        let draft = draft(case, own, title).found(text);
        case.found(&checks::DMARC_DIFFERS, own, draft);
    }
    reports::look(case, own, &record);
}

/// What the walk makes of it.
fn applies(case: &mut Case<'_>, own: &Name, discovery: &Discovery) {
    let label = case.subject.label();
    match (discovery.effective(), case.subject.role) {
        (None, _) => {
            let draft = draft(case, own, format!("No DMARC policy applies to {label}."));
            case.found(&checks::DMARC_MISSING, &label, draft);
        }
        (Some(Policy::Reject), _) | (Some(Policy::Quarantine), Role::Sending) => {}
        (Some(Policy::None), Role::Sending) => {
            let draft = draft(case, own, format!("The DMARC policy that applies to {label} is `none`."));
            case.found(&checks::DMARC_NONE, &label, draft);
        }
        (Some(policy), _) => {
            let policy = policy.as_str();
            let title =
                format!("{label} never sends, and the DMARC policy that applies to it is `{policy}`.");
            let draft = draft(case, own, title);
            case.found(&checks::DMARC_RECEIVE_ONLY, &label, draft);
        }
    }
    if let Some(record) = &discovery.own {
        below(case, own, discovery, record);
    }
}

/// What a record says of names below.
fn below(case: &mut Case<'_>, own: &Name, discovery: &Discovery, record: &Record) {
    let label = case.subject.label();
    if !discovery.own_is_organisational() {
        if let Some((at, _)) = discovery.organisation.as_ref().filter(|_| record.speaks_of_subdomains()) {
            let title = format!("sp and np of {own} are ignored; the organisation's record is that of {at}.");
            let draft = draft(case, own, title).fix(format!("set sp and np at _dmarc.{at}."));
            case.found(&checks::DMARC_SP_IGNORED, own, draft);
        }
        return;
    }
    if case.subject.has_silent_names && record.sp() == Policy::None {
        let title = format!("Receive-only names lie below {label}, and its DMARC policy for them is `none`.");
        let draft = draft(case, own, title);
        case.found(&checks::DMARC_SUBDOMAINS, own, draft);
    }
    if record.np() == Policy::None && record.p() != Policy::None {
        let title = format!("Names below {label} that do not exist may be forged: np is `none`.");
        let draft = draft(case, own, title);
        case.found(&checks::DMARC_NONEXISTENT, own, draft);
    }
}

/// Whether a domain takes mail at all; `None` where that is not known.
pub(crate) fn takes_mail(case: &mut Case<'_>, domain: &Name) -> Option<bool> {
    use mailwarden_evidence::dns::Rdata;
    match case.records(domain, RecordType::Mx) {
        Found::Unknown => None,
        Found::NoSuchName => Some(false),
        Found::NoRecords => case.addresses(domain).map(|addresses| !addresses.is_empty()),
        Found::Records(records) => {
            Some(records.iter().any(|record| matches!(record, Rdata::Mx { host, .. } if !host.is_empty())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_asks_eight_names_at_most() {
        let asked = |name: &str| {
            walk(&Name::parse(name).unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(asked("example.com"), ["_dmarc.example.com", "_dmarc.com"]);
        assert_eq!(asked("a.b.example.com").len(), 4);
        let deep = asked("a.b.c.d.e.f.g.h.i.j.mail.example.com");
        assert_eq!(deep.len(), 8);
        assert_eq!(deep[0], "_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com");
        assert_eq!(deep[1], "_dmarc.g.h.i.j.mail.example.com");
        assert_eq!(deep[7], "_dmarc.com");
    }

    #[test]
    fn the_shortest_name_is_the_organisation_unless_psd_says_otherwise() {
        let record = |text: &str| Record::parse(text).unwrap();
        let name = Name::parse("a.b.example.com").unwrap();
        let of = |found: &[(&str, &str)]| {
            let found = found.iter().map(|(at, text)| ((*at).to_owned(), record(text))).collect();
            organisation(found, &name).map(|(at, _)| at)
        };
        let plain = "v=DMARC1; p=none";
        let all = [("a.b.example.com", plain), ("b.example.com", plain), ("example.com", plain)];
        assert_eq!(of(&all).as_deref(), Some("example.com"));
        let psd = [
            ("a.b.example.com", plain),
            ("b.example.com", plain),
            ("example.com", "v=DMARC1; p=none; psd=y"),
        ];
        assert_eq!(of(&psd).as_deref(), Some("b.example.com"));
        let own = [("a.b.example.com", "v=DMARC1; p=none; psd=n")];
        assert_eq!(of(&own).as_deref(), Some("a.b.example.com"));
        assert_eq!(of(&[]), None);
    }
}
