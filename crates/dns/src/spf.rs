//! SPF (RFC 7208): the record is read, and walked as a receiver would, counting what that costs.

pub(crate) mod record;
mod walk;

use mailwarden_evidence::dns::{Name, RecordType};

use crate::case::{Case, Draft};
use crate::checks;
use crate::subject::{Role, Subject};
use crate::text::quoted;

use record::{Mechanism, Qualifier, Record, Term};

/// Answers of more than this many octets in all are at risk of being cut short (RFC 7208 §3.4).
const COMFORTABLE: usize = 450;

/// The record of a name that never sends.
pub(crate) const NOBODY: &str = "v=spf1 -all";

/// The record that is meant: the policy's, or one that follows from its profile.
pub(crate) fn meant(subject: &Subject) -> String {
    match (subject.role, &subject.spf) {
        (Role::Sending, Some(spf)) => spf.clone(),
        (Role::Sending, None) => "v=spf1 mx -all".to_owned(),
        _ => NOBODY.to_owned(),
    }
}

/// Whether a text claims to be an SPF record (RFC 7208 §4.5).
pub(crate) fn is_spf(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower == "v=spf1" || lower.starts_with("v=spf1 ")
}

pub(crate) fn look(case: &mut Case<'_>) {
    let name = case.subject.asked();
    if let Some(texts) = case.texts(&name) {
        own_record(case, &name, &texts);
    }
    for host in case.subject.helo_hosts.clone() {
        helo(case, &host);
    }
}

fn own_record(case: &mut Case<'_>, name: &Name, texts: &[String]) {
    let owner = case.subject.label();
    let fix = format!("{owner}. TXT \"{}\"", meant(case.subject));
    for text in texts.iter().filter(|text| text.to_ascii_lowercase().starts_with("spf2.0")) {
        let title = format!("{owner} still publishes a Sender ID record: {}.", quoted(text));
        let draft = Draft::new(title).found(text).fix("remove the record").seen_at(name, RecordType::Txt);
        case.found(&checks::SPF_LEGACY, &owner, draft);
    }
    let records: Vec<&String> = texts.iter().filter(|text| is_spf(text)).collect();
    case.publish(
        format!("SPF {owner}"),
        records.iter().map(|text| text.as_str()).collect::<Vec<_>>().join(" | "),
    );
    let draft = |title: String| Draft::new(title).fix(&fix).seen_at(name, RecordType::Txt);
    match records.as_slice() {
        [] => {
            let claims = texts.iter().find(|text| text.to_ascii_lowercase().contains("v=spf1"));
            match claims {
                Some(text) => {
                    let title = format!("{owner} has a TXT record that is almost SPF: {}.", quoted(text));
                    case.found(&checks::SPF_SYNTAX, &owner, draft(title).found(text));
                }
                None => {
                    let title = format!("{owner} publishes no SPF record.");
                    case.found(&checks::SPF_MISSING, &owner, draft(title));
                }
            }
        }
        [text] => one_record(case, name, text, texts),
        several => {
            let title = format!("{owner} publishes {} SPF records; receivers use none.", several.len());
            let found = several.iter().map(|text| text.as_str()).collect::<Vec<_>>().join("\n");
            case.found(&checks::SPF_MULTIPLE, &owner, draft(title).found(found));
        }
    }
}

fn one_record(case: &mut Case<'_>, name: &Name, text: &str, texts: &[String]) {
    let owner = case.subject.label();
    let fix = format!("{owner}. TXT \"{}\"", meant(case.subject));
    let draft = |title: String| Draft::new(title).found(text).fix(&fix).seen_at(name, RecordType::Txt);
    let total: usize = texts.iter().map(String::len).sum();
    if total > COMFORTABLE {
        let title = format!("The TXT records of {owner} take {total} octets; answers may be cut short.");
        case.found(&checks::SPF_LONG, &owner, draft(title));
    }
    let record = match Record::parse(text) {
        Ok(record) => record,
        Err(reason) => {
            let title = format!("The SPF record of {owner} cannot be read: {reason}.");
            case.found(&checks::SPF_SYNTAX, &owner, draft(title));
            return;
        }
    };
    style(case, &record, &draft);
    if case.subject.role == Role::Sending {
        qualifier_of_all(case, &record, &draft);
        let meant = case.subject.spf.clone();
        if let Some(meant) = meant.filter(|meant| !same(meant, text)) {
            let title =
                format!("The SPF record of {owner} is not the one of the policy, {}.", quoted(&meant));
            case.found(&checks::SPF_DIFFERS, &owner, draft(title));
        }
    } else if !same(NOBODY, text) {
        let title = format!("{owner} never sends, and its SPF record is {}.", quoted(text));
        case.found(&checks::SPF_SENDER, &owner, draft(title));
    }
    walk::cost(case, &owner, name, &record, &draft);
}

fn style(case: &mut Case<'_>, record: &Record, draft: &dyn Fn(String) -> Draft) {
    let owner = case.subject.label();
    if record.has_terms_behind_all() {
        let title = format!("Terms stand behind `all` in the SPF record of {owner} and are never looked at.");
        case.found(&checks::SPF_AFTER_ALL, &owner, draft(title));
    }
    if record.mechanisms().any(|mechanism| matches!(mechanism, Mechanism::Ptr(_))) {
        let title = format!("The SPF record of {owner} uses `ptr`.");
        case.found(&checks::SPF_PTR, &owner, draft(title));
    }
}

fn qualifier_of_all(case: &mut Case<'_>, record: &Record, draft: &dyn Fn(String) -> Draft) {
    let owner = case.subject.label();
    let (check, says) = match record.all() {
        Some(Qualifier::Fail) => return,
        Some(Qualifier::SoftFail) => (&checks::SPF_SOFT, "ends in ~all: failing mail is only marked"),
        Some(Qualifier::Neutral) => {
            (&checks::SPF_PERMISSIVE, "ends in ?all: it says nothing of other senders")
        }
        Some(Qualifier::Pass) => (&checks::SPF_PERMISSIVE, "ends in +all: everybody passes"),
        None if record.redirect().is_some() => return,
        None => (&checks::SPF_PERMISSIVE, "has no `all`: it says nothing of other senders"),
    };
    case.found(check, &owner, draft(format!("The SPF record of {owner} {says}.")));
}

/// Mail with the null sender is checked against the name that the host says in HELO (RFC 7208 §2.4).
fn helo(case: &mut Case<'_>, host: &Name) {
    let Some(texts) = case.texts(host) else { return };
    if texts.iter().any(|text| is_spf(text)) {
        return;
    }
    let title = format!("The mail host {host} has no SPF record for its own name.");
    let draft =
        Draft::new(title).fix(format!("{host}. TXT \"v=spf1 a -all\"")).seen_at(host, RecordType::Txt);
    case.found(&checks::SPF_HELO, host, draft);
}

/// Whether two records say the same, but for spaces and letter case.
fn same(one: &str, other: &str) -> bool {
    let terms =
        |text: &str| text.to_ascii_lowercase().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    terms(one) == terms(other)
}

impl Record {
    fn mechanisms(&self) -> impl Iterator<Item = &Mechanism> {
        self.terms.iter().filter_map(|term| match term {
            Term::Directive(_, mechanism) => Some(mechanism),
            Term::Redirect(_) | Term::Other => None,
        })
    }
}
