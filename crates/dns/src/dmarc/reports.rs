//! Where reports go, and whether they arrive.

use mailwarden_address::{Address, Domain};
use mailwarden_evidence::dns::{Name, RecordType};

use super::record::Record;
use super::{draft, is_dmarc, takes_mail};
use crate::case::Case;
use crate::checks;
use crate::subject::Role;
use crate::text::quoted;

/// Most reporting addresses of one record that are looked at; senders may stop at two.
const MAX_URIS: usize = 10;

pub(super) fn look(case: &mut Case<'_>, own: &Name, record: &Record) {
    if record.uris("rua").is_empty()
        && (case.subject.role == Role::Sending || !case.subject.dmarc_reports.is_empty())
    {
        let draft = draft(case, own, format!("The DMARC record of {own} asks nobody for reports."));
        case.found(&checks::DMARC_NO_REPORTS, own, draft);
    }
    for tag in ["rua", "ruf"] {
        let uris: Vec<String> = record.uris(tag).iter().take(MAX_URIS).map(|uri| (*uri).to_owned()).collect();
        for uri in uris {
            one(case, own, tag, &uri);
        }
    }
}

fn one(case: &mut Case<'_>, own: &Name, tag: &str, uri: &str) {
    let text = uri.split('!').next().unwrap_or_default();
    let (scheme, rest) = text.split_at(text.find(':').map_or(0, |at| at + 1));
    let address = Address::parse(rest).ok().filter(|_| scheme.eq_ignore_ascii_case("mailto:"));
    let Some(address) = address else {
        let title = format!("{tag} of {own} holds {}, which is no mailto address.", quoted(uri));
        let draft = draft(case, own, title).found(uri);
        case.found(&checks::DMARC_SYNTAX, format!("{own} {tag} {}", quoted(uri)), draft);
        return;
    };
    let Some(domain) = Name::parse(address.domain().as_str()) else { return };
    authorised(case, own, tag, &address, &domain);
    if takes_mail(case, &domain) == Some(false) {
        let title = format!("Reports ({tag}) of {own} go to {address}, whose domain takes no mail.");
        let draft = draft(case, own, title).found(uri).seen_at(&domain, RecordType::Mx);
        case.found(&checks::DMARC_UNRECEIVABLE, format!("{tag} {address}"), draft);
    }
    let named = case.subject.dmarc_reports.contains(&address)
        || case.subject.dmarc.as_ref().is_some_and(|meant| meant.contains(&address.to_string()));
    if !case.subject.is_ours(domain.as_str()) && !named {
        let what = if tag == "ruf" { "Samples of messages (ruf)" } else { "Reports (rua)" };
        let title = format!("{what} of {own} go outside to {address}, which the policy does not name.");
        let fix = format!("name {address} in `dmarc_reports` of the domain, or take it out of the record");
        let draft = draft(case, own, title).found(uri).fix(fix);
        case.found(&checks::DMARC_OUTSIDE, format!("{tag} {address}"), draft);
    }
}

/// RFC 9990 §4: reports to another organisation need its word.
fn authorised(case: &mut Case<'_>, own: &Name, tag: &str, address: &Address, domain: &Name) {
    let organisation = |text: &str| Domain::parse(text).map(|domain| domain.organisation());
    if organisation(domain.as_str()).ok() == organisation(&case.subject.organisation).ok() {
        return;
    }
    let asked = format!("{}._report._dmarc.{domain}", case.subject.name);
    let Some(name) = Name::parse(&asked) else { return };
    let Some(texts) = case.texts(&name) else { return };
    if texts.iter().any(|text| is_dmarc(text)) {
        return;
    }
    let title =
        format!("Reports ({tag}) of {own} to {address} are not sent: {domain} did not agree to take them.");
    let fix = format!("{name}. TXT \"v=DMARC1\"");
    let draft = draft(case, own, title).fix(fix).seen_at(&name, RecordType::Txt);
    case.found(&checks::DMARC_UNAUTHORISED, format!("{tag} {address}"), draft);
}
