//! Who may issue certificates (RFC 8659).

use mailwarden_evidence::dns::{Name, Rdata, RecordType};

use crate::case::{Case, Draft};
use crate::checks;
use crate::subject::{Role, Subject};
use crate::text::quoted;

/// Most names that are climbed.
const MAX_CLIMB: usize = 10;

/// The record set that is meant. A domain that never sends and has no web presence needs no certificate; one
/// that has says who issues it.
pub(crate) fn meant(subject: &Subject) -> Vec<Rdata> {
    let record =
        |value: &str| Rdata::Caa { critical: false, tag: "issue".to_owned(), value: value.to_owned() };
    if subject.is_wildcard {
        return Vec::new();
    }
    if !subject.caa_issuers.is_empty() {
        return subject.caa_issuers.iter().map(|issuer| record(issuer)).collect();
    }
    if subject.role == Role::Sending { Vec::new() } else { vec![record(";")] }
}

struct Property {
    critical: bool,
    tag: String,
    value: String,
}

/// The relevant record set: the nearest at or above the name (RFC 8659 §3).
fn relevant(case: &mut Case<'_>) -> Option<(Name, Vec<Property>)> {
    let mut at = case.subject.name.to_string();
    for _ in 0..MAX_CLIMB {
        let name = Name::parse(&at)?;
        let records = case.records(&name, RecordType::Caa).known()?;
        let properties: Vec<Property> = records.into_iter().filter_map(property).collect();
        // The last label is a registry's.
        let above = at.split_once('.').map(|(_, rest)| rest.to_owned()).filter(|rest| rest.contains('.'));
        match above {
            _ if !properties.is_empty() => return Some((name, properties)),
            None => return Some((name, properties)),
            Some(above) => at = above,
        }
    }
    None
}

fn property(record: Rdata) -> Option<Property> {
    match record {
        Rdata::Caa { critical, tag, value } => {
            Some(Property { critical, tag: tag.to_ascii_lowercase(), value })
        }
        _ => None,
    }
}

pub(crate) fn look(case: &mut Case<'_>) {
    if case.subject.is_wildcard {
        return;
    }
    let Some((at, properties)) = relevant(case) else { return };
    let label = case.subject.label();
    let texts: Vec<String> = properties.iter().map(|p| format!("{} \"{}\"", p.tag, p.value)).collect();
    case.publish(format!("CAA {label}"), texts.join(" | "));
    let lines: Vec<String> =
        meant(case.subject).iter().map(|record| crate::zone::line(&format!("{label}."), record)).collect();
    let draft = |title: String| Draft::new(title).fix(lines.join("\n")).seen_at(&at, RecordType::Caa);
    const KNOWN: [&str; 5] = ["issue", "issuewild", "iodef", "issuemail", "issuevmc"];
    for unknown in properties.iter().filter(|p| p.critical && !KNOWN.contains(&p.tag.as_str())) {
        let title = format!("A critical CAA record of {at} has the unknown tag {}.", quoted(&unknown.tag));
        case.found(
            &checks::CAA_SYNTAX,
            format!("{at} {}", quoted(&unknown.tag)),
            draft(title).found(&unknown.tag),
        );
    }
    if lines.is_empty() {
        return;
    }
    let issuers: Vec<&Property> =
        properties.iter().filter(|p| p.tag == "issue" || p.tag == "issuewild").collect();
    if issuers.is_empty() {
        let title = format!("No CAA record says who may issue certificates for {label}.");
        return case.found(&checks::CAA_MISSING, &label, draft(title));
    }
    for property in issuers {
        let issuer = property.value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let named = case
            .subject
            .caa_issuers
            .iter()
            .any(|name| name.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(&issuer));
        // An inherited set is the policy of the domain above, which is checked there.
        if !issuer.is_empty() && !named && at == case.subject.name {
            let title = format!(
                "{} may issue certificates for {label}, and the policy does not name it.",
                quoted(&issuer)
            );
            case.found(&checks::CAA_OUTSIDE, quoted(&issuer), draft(title).found(&property.value));
        }
    }
}
