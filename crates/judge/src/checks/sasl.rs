//! Who may send by passwords that Postfix keeps apart from the mailboxes'.

use mailwarden_address::{Address, Domain};
use mailwarden_evidence::{Fact, Observation, SYSTEM};
use mailwarden_policy::Person;

use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::shell::word;
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, Severity, State};

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    brief.observations.iter().filter_map(|seen| judge_fact(brief, seen)).collect()
}

fn judge_fact(brief: &Brief<'_>, seen: &Observation) -> Option<Draft> {
    match &seen.fact {
        Fact::Setting { name, value } if name == "smtpd_sasl_type" => Some(apart(seen, value)),
        Fact::SaslUser { login, database } => leaver(brief, seen, login, database),
        _ => None,
    }
}

/// No fault, but what a reset and a lock forget.
fn apart(seen: &Observation, value: &str) -> Draft {
    let value = shown(value);
    Draft {
        title: format!("Who sends logs in with a password apart from the mailbox's: {value}."),
        severity: Severity::Info,
        content: vec![value.as_bytes().to_vec()],
        path: vec![format!("smtpd_sasl_type = {value}")],
        ..draft(
            "postfix.separate-passwords",
            seen,
            &value,
            "lock and reset accounts there as well, or set smtpd_sasl_type = dovecot".to_owned(),
        )
    }
}

fn leaver(brief: &Brief<'_>, seen: &Observation, login: &str, database: &str) -> Option<Draft> {
    let (person, confidence) = person_of(brief, login)?;
    let (name, place) = (shown(login), shown(database));
    let address = person.addresses.first().map_or_else(|| login.to_owned(), Address::key);
    let advice = format!("saslpasswd2 -f {} -d {}", word(database), word(login));
    Some(Draft {
        title: format!("{} has left and may still send as the login {name} of {place}.", shown(&person.name)),
        severity: Severity::High,
        confidence,
        mailbox: address,
        locator: Locator {
            file: Some(database.to_owned()),
            key: Some(login.to_owned()),
            ..Locator::default()
        },
        identity: vec![login.to_lowercase(), database.to_owned()],
        content: vec![login.as_bytes().to_vec()],
        path: vec![name, place],
        ..draft("account.leaver-sasl", seen, login, advice)
    })
}

/// A realm is often the host's name, and the login then the name alone.
fn person_of<'p>(brief: &Brief<'p>, login: &str) -> Option<(&'p Person, Confidence)> {
    let left = |person: &&Person| brief.has_left(person);
    let exact = Address::parse(login).ok().and_then(|address| brief.policy.person(&address)).filter(left);
    if let Some(person) = exact {
        return Some((person, Confidence::High));
    }
    let (name, realm) = login.rsplit_once('@')?;
    let is_ours = Domain::parse(realm).is_ok_and(|domain| brief.policy.is_under_ours(&domain));
    let is_theirs =
        |person: &&Person| person.addresses.iter().any(|address| address.local().eq_ignore_ascii_case(name));
    let by_name = brief.policy.people().iter().filter(left).find(is_theirs).filter(|_| is_ours);
    by_name.map(|person| (person, Confidence::Medium))
}

fn draft(check_id: &'static str, seen: &Observation, who: &str, advice: String) -> Draft {
    Draft {
        check_id,
        title: String::new(),
        severity: Severity::Low,
        confidence: Confidence::High,
        state: State::Active,
        mailbox: SYSTEM.to_owned(),
        surface: seen.surface.clone(),
        locator: Locator { key: Some("smtpd_sasl_type".to_owned()), ..Locator::default() },
        identity: Vec::new(),
        content: Vec::new(),
        effects: vec!["send".to_owned()],
        beneficiary: Beneficiary { kind: BeneficiaryKind::Unresolvable, value: shown(who), person: None },
        path: Vec::new(),
        conditions: "always".to_owned(),
        evidence: vec![seen.evidence.clone()],
        remediation: on_surface(&seen.surface, advice, "undo the same change".to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ids, judged, observed};

    #[test]
    fn a_leaver_who_may_still_send_is_found_by_address_and_by_name() {
        for (login, expected) in [
            ("bob@example.test", Some(Confidence::High)),
            ("bob@mx.example.test", Some(Confidence::Medium)),
            ("bob@elsewhere.example", None),
            ("jane@example.test", None),
            ("scanner@example.test", None),
        ] {
            let fact = Fact::SaslUser { login: login.to_owned(), database: "/etc/sasldb2".to_owned() };
            let report = judged(&[observed(SYSTEM, "postfix.sasl", fact)], &[]);
            assert_eq!(report.findings.first().map(|finding| finding.confidence), expected, "{login}");
        }
        let value = "cyrus (auxprop sasldb, by /etc/postfix/sasl/smtpd.conf)".to_owned();
        let fact = Fact::Setting { name: "smtpd_sasl_type".to_owned(), value: value.clone() };
        let report = judged(&[observed(SYSTEM, "postfix.sasl", fact)], &[]);
        assert_eq!(ids(&report), [format!("postfix.separate-passwords {value} info")]);
    }
}
