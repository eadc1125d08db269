//! What became of logins that were tried for accounts that ought to be closed.

use std::collections::BTreeMap;

use mailwarden_evidence::{Fact, LoginTrial, Observation, TrialCredential};

use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::shell::word;
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, Severity, State};

/// One finding for each account and credential that was let in, with all services that did.
pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    let mut open: BTreeMap<(String, TrialCredential), Vec<(&str, &Observation)>> = BTreeMap::new();
    for seen in brief.observations {
        if let Fact::LoginTried { login, service, credential, trial: LoginTrial::Accepted } = &seen.fact {
            open.entry((login.to_lowercase(), *credential)).or_default().push((service, seen));
        }
    }
    open.into_iter().map(|((login, credential), by)| let_in(&login, credential, &by)).collect()
}

fn let_in(login: &str, credential: TrialCredential, by: &[(&str, &Observation)]) -> Draft {
    let (name, services) = (shown(login), by.iter().map(|(service, _)| shown(service)).collect::<Vec<_>>());
    let services = services.join(", ");
    let (severity, title, conditions) = match credential {
        TrialCredential::TestPassword => (
            Severity::High,
            format!("{name} ought to be closed, and its test password still opens it ({services})."),
            "a login was tried and taken",
        ),
        TrialCredential::MasterUser => (
            Severity::Low,
            format!(
                "{name} ought to be closed, and only passwords keep it shut: {services} lets the master user in."
            ),
            "a login was tried and taken; it says nothing of the owner's own password",
        ),
    };
    let advice = format!(
        "close {name} for {services} in the user and password databases, then `doveadm auth cache flush {0}` and \
         `doveadm kick {0}`",
        word(login)
    );
    let surface = by.first().map_or_else(String::new, |(_, seen)| seen.surface.clone());
    Draft {
        check_id: "account.probe-accepted",
        title,
        severity,
        confidence: Confidence::High,
        state: State::Active,
        mailbox: login.to_owned(),
        locator: Locator { key: Some(credential.words().to_owned()), ..Locator::default() },
        identity: vec![credential.words().to_owned()],
        content: by.iter().map(|(service, _)| service.as_bytes().to_vec()).collect(),
        effects: vec!["read".to_owned()],
        beneficiary: Beneficiary { kind: BeneficiaryKind::Unresolvable, value: name.clone(), person: None },
        path: vec![name, format!("login by {services}")],
        conditions: conditions.to_owned(),
        evidence: by.iter().map(|(_, seen)| seen.evidence.clone()).collect(),
        remediation: on_surface(&surface, advice, "undo the same change".to_owned(), None),
        surface,
    }
}

/// What attempts say of an account that a lookup finds locked; nothing where none was made.
pub(crate) fn proof(brief: &Brief<'_>, login: &str) -> String {
    let refused: Vec<String> = brief
        .observations
        .iter()
        .filter_map(|seen| match &seen.fact {
            Fact::LoginTried { login: tried, service, credential, trial: LoginTrial::Refused }
                if tried.eq_ignore_ascii_case(login) =>
            {
                Some(format!("{} refused {}", shown(service), credential.words()))
            }
            _ => None,
        })
        .collect();
    if refused.is_empty() {
        return String::new();
    }
    format!("; tried: {}, which proves it for that credential alone", refused.join(", "))
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::SYSTEM;

    use super::*;
    use crate::testing::{ids, judged, observed};

    fn tried(login: &str, service: &str, credential: TrialCredential, trial: LoginTrial) -> Observation {
        let (login, service) = (login.to_owned(), service.to_owned());
        observed(SYSTEM, "account.probe", Fact::LoginTried { login, service, credential, trial })
    }

    #[test]
    fn what_opens_is_found_with_all_services_and_what_stays_shut_is_not() {
        use LoginTrial::{Accepted, Refused};
        use TrialCredential::{MasterUser, TestPassword};
        let bob = "bob@example.test";
        let report = judged(
            &[
                tried(bob, "imap", TestPassword, Refused),
                tried("Bob@example.test", "pop3", TestPassword, Accepted),
                tried(bob, "submission", TestPassword, Accepted),
                tried("old@example.test", "imap", MasterUser, Accepted),
                tried("gone@example.test", "imap", TestPassword, Refused),
            ],
            &[],
        );
        assert_eq!(
            ids(&report),
            ["account.probe-accepted bob@example.test high", "account.probe-accepted old@example.test low"]
        );
        let wanted =
            "bob@example.test ought to be closed, and its test password still opens it (pop3, submission).";
        assert_eq!(report.findings[0].title, wanted);
        assert_eq!(report.findings[0].evidence.len(), 2);
    }

    #[test]
    fn a_lock_that_was_tried_says_what_that_proves() {
        let jane = "jane@example.test";
        let locked = Fact::LockedAccount { login: jane.to_owned(), how: "nologin".to_owned() };
        let trial = tried(jane, "pop3", TrialCredential::TestPassword, LoginTrial::Refused);
        let report = judged(&[observed(jane, "account.state", locked), trial], &[]);
        assert_eq!(
            report.findings[0].conditions,
            "locked by nologin; tried: pop3 refused the test password, which proves it for that credential alone"
        );
    }
}
