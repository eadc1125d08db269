//! Reports on failed TLS (RFC 8460).

use mailwarden_address::Address;
use mailwarden_evidence::dns::RecordType;

use crate::case::{Case, Draft};
use crate::checks;
use crate::subject::Subject;
use crate::text::{has_version, quoted, tags, value};

/// Most addresses of one record that are looked at.
const MAX_URIS: usize = 10;

/// The record that is meant.
pub(crate) fn meant(subject: &Subject) -> Option<String> {
    if subject.tls_reports.is_empty() || !subject.receives() || subject.is_wildcard {
        return None;
    }
    let addresses: Vec<String> =
        subject.tls_reports.iter().map(|address| format!("mailto:{address}")).collect();
    Some(format!("v=TLSRPTv1; rua={}", addresses.join(",")))
}

pub(crate) fn look(case: &mut Case<'_>) {
    if case.subject.is_wildcard || !case.subject.receives() {
        return;
    }
    let Some(name) = case
        .subject
        .name
        .child("_tls")
        .and_then(|name| mailwarden_evidence::dns::Name::parse(&format!("_smtp.{name}")))
    else {
        return;
    };
    let Some(texts) = case.texts(&name) else { return };
    case.publish(format!("TLS-RPT {}", case.subject.name), texts.join(" | "));
    let records: Vec<&String> = texts.iter().filter(|text| has_version(text, "v", "TLSRPTv1")).collect();
    let fix =
        meant(case.subject).map_or("remove the record".to_owned(), |text| format!("{name}. TXT \"{text}\""));
    let draft = |title: String| Draft::new(title).fix(&fix).seen_at(&name, RecordType::Txt);
    match records.as_slice() {
        [] if !texts.is_empty() => {
            let title = format!("The TLS-RPT record of {name} cannot be read: {}.", quoted(&texts[0]));
            case.found(&checks::RPT_SYNTAX, &name, draft(title).found(&texts[0]));
        }
        [] if meant(case.subject).is_some() => {
            case.found(&checks::RPT_MISSING, &name, draft(format!("{name} asks nobody for reports on TLS.")));
        }
        [] => {}
        [text] => addresses(case, &name.to_string(), text, &draft),
        several => {
            let title = format!("{name} has {} TLS-RPT records; senders use none.", several.len());
            case.found(&checks::RPT_SYNTAX, &name, draft(title).found(texts.join("\n")));
        }
    }
}

fn addresses(case: &mut Case<'_>, name: &str, text: &str, draft: &dyn Fn(String) -> Draft) {
    let tags = tags(text).unwrap_or_default();
    let list = value(&tags, "rua").unwrap_or_default();
    let uris: Vec<&str> =
        list.split(',').map(str::trim).filter(|uri| !uri.is_empty()).take(MAX_URIS).collect();
    let good = |uri: &&str| uri.starts_with("https://") || mailto(uri).is_some();
    if uris.is_empty() || !uris.iter().all(good) {
        let title = format!("The TLS-RPT record of {name} names no good address: {}.", quoted(text));
        case.found(&checks::RPT_SYNTAX, name, draft(title).found(text));
    }
    for uri in uris {
        let place = match mailto(uri) {
            Some(address) if case.subject.tls_reports.contains(&address) => continue,
            Some(address) => address.domain().to_string(),
            None => {
                uri.trim_start_matches("https://").split(['/', ':']).next().unwrap_or_default().to_owned()
            }
        };
        if !case.subject.is_ours(&place) {
            let title = format!("Reports on TLS of {name} go outside, to {}.", quoted(uri));
            case.found(&checks::RPT_OUTSIDE, format!("{name} {}", quoted(uri)), draft(title).found(uri));
        }
    }
}

fn mailto(uri: &str) -> Option<Address> {
    Address::parse(uri.strip_prefix("mailto:")?).ok()
}
