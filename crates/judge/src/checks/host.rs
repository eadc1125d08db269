//! What only the mail host shows: accounts that are locked and still receive, logins that share a home, master
//! users, sessions, Sieve files that are not what they seem, programs that users may run.

use mailwarden_address::Address;
use mailwarden_evidence::{Fact, Observation, SieveOddity};

use super::is_sending;
use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::severity::{Act, Destination, Weight};
use crate::shell::word;
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, Severity, State};

/// Extensions with which a user's own script runs programs of the mail host.
const PROGRAM_EXTENSIONS: [&str; 3] = ["vnd.dovecot.pipe", "vnd.dovecot.filter", "vnd.dovecot.execute"];

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    brief.observations.iter().filter_map(|seen| judge_fact(brief, seen)).collect()
}

fn judge_fact(brief: &Brief<'_>, seen: &Observation) -> Option<Draft> {
    match &seen.fact {
        Fact::LockedAccount { login, how } => Some(locked(brief, seen, login, how)),
        Fact::LoginServices { login, open, refused } => leaver_login(brief, seen, login, open, refused),
        Fact::SharedHome { home, logins } => shared_home(brief, seen, home, logins),
        Fact::MasterUser { ours: true, .. } => None,
        Fact::MasterUser { login, database, services, .. } => {
            Some(master_user(brief, seen, login, (database, services)))
        }
        Fact::Session { login, service, .. } => leaver_session(brief, seen, login, service),
        Fact::SieveFile { path, oddity, detail } => Some(sieve_file(brief, seen, path, *oddity, detail)),
        Fact::Setting { name, value } => user_programs(seen, name, value),
        _ => None,
    }
}

fn is_leaver(brief: &Brief<'_>, login: &str) -> bool {
    let person = Address::parse(login).ok().and_then(|address| brief.policy.person(&address));
    person.is_some_and(|person| brief.has_left(person)) || brief.owner_left(login)
}

fn locked(brief: &Brief<'_>, seen: &Observation, login: &str, how: &str) -> Draft {
    let weight =
        Weight { leaver: is_leaver(brief, login), ..Weight::new(Act::Receive, Destination::InternalPerson) };
    let name = shown(login);
    let advice = format!("remove {name} from the user database, or route its mail to whoever follows");
    Draft {
        title: format!("{name} may not log in, but mail for it is still delivered and its rules still run."),
        severity: weight.severity(),
        mailbox: login.to_owned(),
        conditions: format!("locked by {}{}", shown(how), super::probe::proof(brief, login)),
        content: vec![how.as_bytes().to_vec()],
        effects: vec!["redirect".to_owned()],
        ..draft(super::locked::LOCKED, seen, login, advice)
    }
}

/// A login of somebody who may be here is nothing to report, whatever services it is for.
fn leaver_login(
    brief: &Brief<'_>,
    seen: &Observation,
    login: &str,
    open: &[String],
    refused: &[String],
) -> Option<Draft> {
    if !is_leaver(brief, login) {
        return None;
    }
    let weight = Weight { leaver: true, ..Weight::new(Act::Read, Destination::InternalPerson) };
    let (name, services) = (shown(login), open.iter().map(|service| shown(service)).collect::<Vec<_>>());
    let services = services.join(", ");
    let title = if refused.is_empty() {
        format!("{name} has left and may still log in ({services}).")
    } else {
        let refused = refused.iter().map(|service| shown(service)).collect::<Vec<_>>().join(", ");
        format!("{name} has left and may still log in by {services}; only {refused} refuses.")
    };
    let advice = format!(
        "lock {name} in the password database for every service, then `doveadm auth cache flush {0}` and \
         `doveadm kick {0}`",
        word(login)
    );
    Some(Draft {
        title,
        severity: weight.severity(),
        mailbox: login.to_owned(),
        content: open.iter().map(|service| service.as_bytes().to_vec()).collect(),
        effects: vec!["read".to_owned()],
        path: vec![name, format!("login by {services}")],
        ..draft("account.leaver-login", seen, login, advice)
    })
}

/// The mailbox is the login that the policy knows; the others gain.
fn shared_home(brief: &Brief<'_>, seen: &Observation, home: &str, logins: &[String]) -> Option<Draft> {
    let is_known =
        |login: &&String| Address::parse(login).is_ok_and(|address| brief.policy.mailbox(&address).is_some());
    let owner = logins.iter().find(is_known).or_else(|| logins.first())?;
    let others: Vec<String> =
        logins.iter().filter(|login| *login != owner).map(|login| shown(login)).collect();
    let names = others.join(", ");
    let weight = Weight {
        leaver: logins.iter().any(|login| is_leaver(brief, login)),
        ..Weight::new(Act::Read, Destination::Unknown)
    };
    let advice = format!("remove the logins that are not needed from the user database: {names}");
    Some(Draft {
        title: format!("The mail of {} is also opened by the login {names}.", shown(owner)),
        severity: weight.severity(),
        mailbox: owner.clone(),
        locator: Locator { file: Some(home.to_owned()), ..Locator::default() },
        identity: vec![home.to_owned()],
        content: logins.iter().map(|login| login.as_bytes().to_vec()).collect(),
        effects: vec!["read".to_owned()],
        path: vec![names.clone(), format!("home {}", shown(home)), shown(owner)],
        ..draft("account.shared-home", seen, &names, advice)
    })
}

fn master_user(
    brief: &Brief<'_>,
    seen: &Observation,
    login: &str,
    (database, services): (&str, &[String]),
) -> Draft {
    let weight = Weight { leaver: is_leaver(brief, login), ..Weight::new(Act::Read, Destination::Unknown) };
    let name = shown(login);
    let advice = format!("take {name} out of {}, or change its password", shown(database));
    Draft {
        title: match services {
            [] => {
                format!("The master user {name} may log in as anybody, by every service, and send as them.")
            }
            some => {
                let sends = some.iter().any(|service| is_sending(service));
                let and = if sends { ", and send as them" } else { "" };
                let some = some.iter().map(|service| shown(service)).collect::<Vec<_>>().join(", ");
                format!("The master user {name} may log in as anybody by {some}{and}.")
            }
        },
        severity: weight.severity(),
        locator: Locator {
            file: Some(database.to_owned()),
            key: Some(login.to_owned()),
            ..Locator::default()
        },
        identity: vec![login.to_owned()],
        content: std::iter::once(database)
            .chain(services.iter().map(String::as_str))
            .map(|of| of.as_bytes().to_vec())
            .collect(),
        effects: vec!["read".to_owned()],
        path: vec![name.clone(), format!("master password database {}", shown(database))],
        ..draft("account.master-user", seen, login, advice)
    }
}

/// A session of somebody who may be here is nothing to report.
fn leaver_session(brief: &Brief<'_>, seen: &Observation, login: &str, service: &str) -> Option<Draft> {
    if !is_leaver(brief, login) {
        return None;
    }
    let (name, service) = (shown(login), shown(service));
    let advice = format!("doveadm auth cache flush {0} && doveadm kick {0}", word(login));
    Some(Draft {
        title: format!("{name} has left and still has an open {service} session."),
        severity: Severity::High,
        mailbox: login.to_owned(),
        locator: Locator { key: Some(service.clone()), ..Locator::default() },
        identity: vec![service.clone()],
        content: vec![service.into_bytes()],
        effects: vec!["read".to_owned()],
        ..draft("session.leaver", seen, login, advice)
    })
}

fn sieve_file(brief: &Brief<'_>, seen: &Observation, path: &str, oddity: SieveOddity, detail: &str) -> Draft {
    let (place, mailbox) = (shown(path), shown(&seen.mailbox));
    let (check_id, severity, title, advice) = match oddity {
        SieveOddity::PlainFile => (
            "sieve.plain-file",
            Severity::Low,
            format!("A script that ManageSieve does not list runs for {mailbox}: {place}."),
            format!("read {place}, then remove it or store it by ManageSieve and activate it"),
        ),
        SieveOddity::LinkOutside => (
            "sieve.link-outside",
            Severity::Low,
            format!("The active script of {mailbox} is a link out of its directory: {place}."),
            format!("remove {place}, or activate a stored script"),
        ),
        SieveOddity::BinaryDiffers => (
            "sieve.binary-differs",
            Severity::High,
            format!("The compiled script of {mailbox} does something else than its source: {place}."),
            format!("save {place} as evidence and delete it; the server compiles the source again"),
        ),
    };
    let leaver = brief.owner_left(&seen.mailbox);
    Draft {
        title,
        severity: if leaver && severity == Severity::High { Severity::Critical } else { severity },
        locator: Locator { file: Some(path.to_owned()), ..Locator::default() },
        identity: vec![path.to_owned()],
        content: vec![detail.as_bytes().to_vec()],
        effects: vec!["run".to_owned()],
        beneficiary: Beneficiary { kind: BeneficiaryKind::Command, value: shown(detail), person: None },
        path: vec![mailbox, place, shown(detail)],
        ..draft(check_id, seen, detail, advice)
    }
}

fn user_programs(seen: &Observation, name: &str, value: &str) -> Option<Draft> {
    if name != "sieve_extensions" {
        return None;
    }
    let allowed: Vec<&str> = value
        .split_whitespace()
        .map(|word| word.trim_start_matches('+'))
        .filter(|word| PROGRAM_EXTENSIONS.contains(word))
        .collect();
    let names = allowed.join(", ");
    let advice = format!("move {names} from sieve_extensions to sieve_global_extensions");
    (!allowed.is_empty()).then(|| Draft {
        title: format!("Every user's script may run programs of the mail host: {names}."),
        severity: Severity::Medium,
        locator: Locator { key: Some(name.to_owned()), ..Locator::default() },
        identity: vec![name.to_owned()],
        content: vec![names.clone().into_bytes()],
        effects: vec!["run".to_owned()],
        beneficiary: Beneficiary { kind: BeneficiaryKind::Command, value: names.clone(), person: None },
        path: vec![format!("{name} = {}", shown(value))],
        ..draft("dovecot.user-programs", seen, &names, advice)
    })
}

fn draft(check_id: &'static str, seen: &Observation, who: &str, advice: String) -> Draft {
    Draft {
        check_id,
        title: String::new(),
        severity: Severity::Low,
        confidence: Confidence::High,
        state: State::Active,
        mailbox: seen.mailbox.clone(),
        surface: seen.surface.clone(),
        locator: Locator { key: Some(who.to_owned()), ..Locator::default() },
        identity: Vec::new(),
        content: Vec::new(),
        effects: Vec::new(),
        beneficiary: Beneficiary { kind: BeneficiaryKind::Unresolvable, value: shown(who), person: None },
        path: vec![shown(who)],
        conditions: "always".to_owned(),
        evidence: vec![seen.evidence.clone()],
        remediation: on_surface(&seen.surface, advice, "undo the same change".to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::SYSTEM;

    use super::*;
    use crate::testing::{ids, judged, observed};

    #[test]
    fn what_the_host_shows_is_found_and_what_is_usual_is_not() {
        let word = str::to_owned;
        let login = |name: &str| format!("{name}@example.test");
        let seen = [
            observed(
                &login("jane"),
                "account.state",
                Fact::LockedAccount { login: login("jane"), how: word("nologin") },
            ),
            observed(
                SYSTEM,
                "account.aliasing",
                Fact::SharedHome { home: word("/h/ops"), logins: vec![login("backup"), login("ops")] },
            ),
            observed(
                SYSTEM,
                "dovecot.credentials",
                Fact::MasterUser {
                    login: word("old-admin"),
                    database: word("/m"),
                    ours: false,
                    services: vec![word("imap"), word("smtp")],
                },
            ),
            observed(
                SYSTEM,
                "dovecot.credentials",
                Fact::MasterUser {
                    login: word("sweeper"),
                    database: word("/m"),
                    ours: true,
                    services: vec![],
                },
            ),
            observed(
                &login("sales"),
                "sieve.files",
                Fact::SieveFile {
                    path: word("/h/.dovecot.svbin"),
                    oddity: SieveOddity::BinaryDiffers,
                    detail: word("x@evil.example"),
                },
            ),
            observed(
                SYSTEM,
                "dovecot.posture",
                Fact::Setting { name: word("sieve_extensions"), value: word("+editheader") },
            ),
            observed(
                &login("ops"),
                "imap.acl",
                Fact::SharedFolder { folder: word("shared/jane"), rights: word("lr") },
            ),
        ];
        let report = judged(&seen, &[]);
        assert_eq!(
            ids(&report),
            [
                "sieve.binary-differs x@evil.example high",
                "account.master-user old-admin medium",
                "account.shared-home backup@example.test medium",
                "account.locked-receives jane@example.test low",
            ]
        );
        let master =
            report.findings.iter().find(|finding| finding.check_id.ends_with("master-user")).unwrap();
        assert_eq!(
            master.title,
            "The master user old-admin may log in as anybody by imap, smtp, and send as them."
        );
        let shared = report.findings.iter().find(|finding| finding.check_id.ends_with("home")).unwrap();
        assert_eq!(shared.mailbox, login("ops"), "the login that the policy knows is the owner");
    }

    #[test]
    fn a_session_is_reported_of_those_who_have_left() {
        let session = |login: &str| {
            let fact = Fact::Session {
                login: login.to_owned(),
                service: "imap".to_owned(),
                addresses: vec!["203.0.113.9".to_owned()],
                connections: 1,
            };
            observed(SYSTEM, "dovecot.sessions", fact)
        };
        let report = judged(&[session("bob@example.test"), session("jane@example.test")], &[]);
        let left: Vec<String> = ids(&report);
        assert_eq!(left, ["session.leaver bob@example.test high"]);
    }

    #[test]
    fn programs_in_users_scripts_are_named() {
        let value = "+editheader +vnd.dovecot.pipe".to_owned();
        let fact = Fact::Setting { name: "sieve_extensions".to_owned(), value };
        let report = judged(&[observed(SYSTEM, "dovecot.posture", fact)], &[]);
        assert_eq!(ids(&report), ["dovecot.user-programs vnd.dovecot.pipe medium"]);
    }
}
