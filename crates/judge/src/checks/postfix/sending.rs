//! Logins that may send as an address that is not theirs.

use mailwarden_address::Address;

use super::entry::Entry;
use crate::brief::Brief;
use crate::checks::acl::is_authorised;
use crate::draft::Draft;
use crate::severity::{Act, Destination, Weight};
use crate::wording::shown;

/// The logins of a row; those that a pattern fills in belong to each sender.
pub(crate) fn logins<'a>(entry: &Entry<'a>) -> impl Iterator<Item = &'a str> {
    let names = entry.result.split(|c: char| c == ',' || c.is_whitespace());
    names.filter(|name| !name.is_empty() && !name.contains('$'))
}

pub(super) fn judge(brief: &Brief<'_>, entry: &Entry<'_>) -> Vec<Draft> {
    logins(entry).filter_map(|login| judge_login(brief, entry, login)).collect()
}

fn judge_login(brief: &Brief<'_>, entry: &Entry<'_>, login: &str) -> Option<Draft> {
    let standing = brief.standing(&entry.mailbox, login);
    let known = standing.person.is_some() || standing.mailbox.is_some();
    let (check_id, destination) = match (standing.left, known) {
        (true, _) => ("postfix.send-as-leaver", Destination::InternalPerson),
        (false, true) if is_own(entry, login) || is_authorised(brief, &entry.mailbox, login) => return None,
        (false, true) => ("postfix.send-as-internal", Destination::InternalPerson),
        (false, false) if is_own(entry, login) => return None,
        (false, false) => ("postfix.send-as-unknown", Destination::Unknown),
    };
    let weight = Weight { leaver: standing.left, ..Weight::new(Act::Change, destination) };
    let unknown = if known { "" } else { ", whom no policy names" };
    Some(Draft {
        check_id,
        title: format!("{} may be sent by {}{unknown}.", entry.subject(), standing.named()),
        severity: entry.severity(weight),
        beneficiary: standing.beneficiary(),
        ..entry.draft("send", &login.to_lowercase(), &shown(login))
    })
}

/// Whoever is called like the address sends as themselves, with or without the domain.
fn is_own(entry: &Entry<'_>, login: &str) -> bool {
    let Some(key) = entry.key else { return false };
    let local = Address::parse(key).ok().and_then(|_| key.rsplit_once('@')).map(|(local, _)| local);
    key.eq_ignore_ascii_case(login) || local.is_some_and(|local| local.eq_ignore_ascii_case(login))
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::{Fact, Observation, SYSTEM};

    use crate::testing::{ids, judged, observed};

    fn row(key: &str, result: &str) -> Observation {
        let parameter = "smtpd_sender_login_maps".to_owned();
        let (table, key, result) = ("hash:/s".to_owned(), key.to_owned(), result.to_owned());
        let fact = Fact::MapEntry { parameter, table, key, result, line: Some(1), pending: false };
        observed(SYSTEM, "postfix.sender_login_maps", fact)
    }

    #[test]
    fn whoever_sends_as_somebody_else_is_found() {
        for (key, result, expected) in [
            ("jane@example.test", "jane@example.test", ""),
            ("jane@example.test", "jane", ""),
            ("/^(.*)@example\\.test$/", "${1}@example.test", ""),
            ("sales@example.test", "bob@example.test", "postfix.send-as-leaver bob@example.test high"),
            ("jane@example.test", "jane, bob@example.test", "postfix.send-as-leaver bob@example.test high"),
            ("@example.test", "legacy-app", "postfix.send-as-unknown legacy-app medium"),
        ] {
            assert_eq!(ids(&judged(&[row(key, result)], &[])).join(", "), expected, "{key} {result}");
        }
    }
}
