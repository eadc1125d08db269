//! What Dovecot's configuration lets log in, or copies, beside the one password that everybody thinks of.

use mailwarden_address::Domain;
use mailwarden_evidence::{Fact, Observation, SYSTEM};

use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::severity::{Act, Destination, Weight};
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, Severity, State};

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let mut ordinary = 0_usize;
    for seen in brief.observations {
        let Fact::Setting { name, value } = &seen.fact else { continue };
        if name.starts_with("passdb ") {
            let is_ordinary = !value.contains("(master users)") && !value.contains("(deny)");
            ordinary += usize::from(is_ordinary);
            drafts.extend(database(seen, name, value, is_ordinary && ordinary > 1));
        } else {
            drafts.extend(setting(brief, seen, name, value));
        }
    }
    drafts
}

/// A password database that asks for no password, or one more than people think of.
fn database(seen: &Observation, name: &str, value: &str, is_further: bool) -> Option<Draft> {
    let shown_value = shown(value);
    if value.contains("nopassword") {
        let weight = Weight::new(Act::Read, Destination::Anyone);
        let title = format!("{name} of Dovecot lets anybody log in without a password: {shown_value}.");
        return Some(draft("dovecot.no-password", seen, title, weight, "anybody"));
    }
    // Many servers have a second database on purpose, for people whom the first does not know; two passwords for one
    // login are what a reset forgets.
    let has_two = value.contains("logins of an earlier database");
    let title =
        format!("Dovecot also takes passwords from {shown_value} ({name}), after the first database.");
    is_further.then(|| {
        let weight = Weight::new(Act::Lookup, Destination::Unknown);
        let found = draft("dovecot.further-passwords", seen, title, weight, &shown_value);
        if has_two { found } else { Draft { severity: Severity::Info, ..found } }
    })
}

fn setting(brief: &Brief<'_>, seen: &Observation, name: &str, value: &str) -> Option<Draft> {
    let shown_value = shown(value);
    match name {
        "mail_replica" if !value.is_empty() && !is_own(brief, value) => {
            let weight = Weight::new(Act::Receive, Destination::Unknown);
            let title = format!("Every mailbox is copied elsewhere: {name} = {shown_value}.");
            Some(draft("dovecot.replica", seen, title, weight, &shown_value))
        }
        "auth_ssl_username_from_cert" if value == "yes" => {
            let weight = Weight::new(Act::Lookup, Destination::Unknown);
            let title =
                "A client certificate names who logs in, whatever happens to their password.".to_owned();
            Some(draft("dovecot.certificate-login", seen, title, weight, "whoever holds a certificate"))
        }
        "auth_cache_size" if value.trim_start_matches('0').starts_with(|c: char| c.is_ascii_digit()) => {
            let weight = Weight::new(Act::Hide, Destination::Nobody);
            let title = format!(
                "A changed password goes on working while it is cached (auth_cache_size = {shown_value})."
            );
            Some(draft("dovecot.auth-cache", seen, title, weight, "whoever knows the old password"))
        }
        _ => None,
    }
}

/// `remote:user@host`, `tcp:host:port`: whether the host is one of ours.
fn is_own(brief: &Brief<'_>, value: &str) -> bool {
    let words = value.split([':', '@', '/', ' ']);
    let mut domains = words.filter(|word| word.contains('.')).filter_map(|word| Domain::parse(word).ok());
    domains.any(|domain| brief.policy.is_under_ours(&domain))
}

fn draft(check_id: &'static str, seen: &Observation, title: String, weight: Weight, gains: &str) -> Draft {
    let (name, value) = match &seen.fact {
        Fact::Setting { name, value } => (name.clone(), value.clone()),
        _ => (String::new(), String::new()),
    };
    Draft {
        check_id,
        title,
        severity: weight.severity(),
        confidence: Confidence::High,
        state: State::Active,
        mailbox: SYSTEM.to_owned(),
        surface: seen.surface.clone(),
        locator: Locator { key: Some(name.clone()), ..Locator::default() },
        identity: vec![name.clone(), value.clone()],
        content: vec![value.as_bytes().to_vec()],
        effects: vec!["read".to_owned()],
        beneficiary: Beneficiary {
            kind: BeneficiaryKind::Unresolvable,
            value: gains.to_owned(),
            person: None,
        },
        path: vec![format!("{} = {}", shown(&name), shown(&value)), gains.to_owned()],
        conditions: String::new(),
        evidence: vec![seen.evidence.clone()],
        remediation: on_surface(
            &seen.surface,
            format!("change {} in Dovecot's configuration, then `doveadm reload`", shown(&name)),
            format!("set {} = {} again", shown(&name), shown(&value)),
            None,
        ),
    }
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::{Fact, Observation, SYSTEM};

    use crate::testing::{ids, judged, observed};

    fn setting(name: &str, value: &str) -> Observation {
        let (name, value) = (name.to_owned(), value.to_owned());
        observed(SYSTEM, "dovecot.credentials", Fact::Setting { name, value })
    }

    #[test]
    fn ways_in_beside_the_password_are_found_and_ordinary_settings_are_not() {
        for (name, value, expected) in [
            ("passdb 1", "passwd-file /etc/users", ""),
            ("passdb 1", "passwd-file /etc/masters (master users)", ""),
            ("passdb 1", "static (nopassword)", "dovecot.no-password anybody critical"),
            ("mail_replica", "tcp:mx2.example.test", ""),
            ("mail_replica", "tcp:mx.evil.example:1", "dovecot.replica tcp:mx.evil.example:1 high"),
            ("mail_replica", "", ""),
            ("auth_ssl_username_from_cert", "no", ""),
            (
                "auth_ssl_username_from_cert",
                "yes",
                "dovecot.certificate-login whoever holds a certificate low",
            ),
            ("auth_cache_size", "0", ""),
            ("auth_cache_size", "10 M", "dovecot.auth-cache whoever knows the old password info"),
        ] {
            assert_eq!(ids(&judged(&[setting(name, value)], &[])).join(", "), expected, "{name} = {value}");
        }
        let two = [setting("passdb 1", "sql"), setting("passdb 2", "pam"), setting("passdb 3", "sql (deny)")];
        assert_eq!(ids(&judged(&two, &[])), ["dovecot.further-passwords pam info"]);
        let twice = "passwd-file /u (3 logins of an earlier database)";
        let two = [setting("passdb 1", "sql"), setting("passdb 2", twice)];
        assert_eq!(ids(&judged(&two, &[])), [format!("dovecot.further-passwords {twice} low")]);
    }
}
