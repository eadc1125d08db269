//! Accounts of the mail server against mailboxes of the policy.

use std::collections::BTreeMap;

use mailwarden_address::Address;
use mailwarden_evidence::{Evidence, Fact, Observation, SYSTEM};
use mailwarden_policy::{Mailbox, Policy};

use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, Severity, State};

const SURFACE: &str = "account";

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    let logins = logins(brief);
    let unregistered = logins.iter().filter(|(login, _)| !is_named(brief.policy, login));
    let mut drafts: Vec<Draft> =
        unregistered.map(|(login, seen)| unregistered_account(login, seen)).collect();
    // Only a whole list can lack something.
    if brief.has_seen_all(SYSTEM, SURFACE) {
        let missing = brief.policy.mailboxes().iter().filter(|mailbox| !has_account(mailbox, &logins));
        drafts.extend(missing.map(missing_account));
    }
    drafts
}

/// Every login once, in lower case, however many lists hold it.
fn logins<'a>(brief: &Brief<'a>) -> BTreeMap<String, &'a Observation> {
    let login = |seen: &'a Observation| match &seen.fact {
        Fact::Account { login } => Some((login.to_lowercase(), seen)),
        _ => None,
    };
    brief.observations.iter().filter_map(login).collect()
}

/// Whether any record of the policy answers for a login.
fn is_named(policy: &Policy, login: &str) -> bool {
    let Ok(address) = Address::parse(login) else { return false };
    let is_scope_mailbox = || policy.scopes().iter().any(|scope| scope.deliver_to == address);
    let is_admin_queue =
        || policy.domains().iter().any(|domain| domain.admin_queue.as_ref() == Some(&address));
    policy.mailbox(&address).is_some()
        || policy.person(&address).is_some()
        || is_scope_mailbox()
        || is_admin_queue()
}

fn has_account(mailbox: &Mailbox, logins: &BTreeMap<String, &Observation>) -> bool {
    let known = |address: &Address| logins.contains_key(&address.key());
    known(&mailbox.address) || mailbox.aliases.iter().any(known)
}

fn unregistered_account(login: &str, seen: &Observation) -> Draft {
    let name = shown(login);
    let advice =
        format!("register {name} in the policy with an owner, or remove the account from the server");
    Draft {
        title: format!("The server has a mailbox that no policy names: {name}."),
        severity: Severity::Medium,
        state: State::Active,
        conditions: "always".to_owned(),
        path: vec![name.clone()],
        evidence: vec![seen.evidence.clone()],
        ..draft("account.unregistered", login, advice)
    }
}

fn missing_account(mailbox: &Mailbox) -> Draft {
    let name = mailbox.address.to_string();
    let advice = format!("create the account {name}, or remove it from the policy");
    Draft {
        title: format!("The policy names {name}, but the server lists no such account."),
        severity: Severity::Low,
        state: State::Orphan,
        conditions: "the whole list of accounts was read".to_owned(),
        path: vec![name.clone()],
        evidence: Vec::<Evidence>::new(),
        ..draft("account.missing", &mailbox.address.key(), advice)
    }
}

fn draft(check_id: &'static str, login: &str, advice: String) -> Draft {
    Draft {
        check_id,
        title: String::new(),
        severity: Severity::Low,
        confidence: Confidence::High,
        state: State::Active,
        mailbox: login.to_owned(),
        surface: SURFACE.to_owned(),
        locator: Locator::default(),
        identity: Vec::new(),
        content: vec![login.as_bytes().to_vec()],
        effects: vec!["read".to_owned()],
        beneficiary: Beneficiary { kind: BeneficiaryKind::Unresolvable, value: shown(login), person: None },
        path: Vec::new(),
        conditions: String::new(),
        evidence: Vec::new(),
        remediation: on_surface(SURFACE, advice, "undo the same change".to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::CoverageState;

    use super::*;
    use crate::testing::{ids, judged, observed};

    fn account(login: &str) -> Observation {
        observed(SYSTEM, SURFACE, Fact::Account { login: login.to_owned() })
    }

    const ALL: [&str; 6] = ["ops", "vault", "jane", "omar", "bob", "sales"];

    #[test]
    fn logins_and_mailboxes_are_compared_both_ways() {
        let mut seen: Vec<Observation> =
            ALL.iter().map(|name| account(&format!("{name}@Example.test"))).collect();
        let covered = [(SYSTEM, SURFACE, CoverageState::Collected)];
        assert_eq!(ids(&judged(&seen, &covered)), Vec::<String>::new());
        seen.pop();
        seen.push(account("ghost@example.test"));
        seen.push(account("root"));
        assert_eq!(
            ids(&judged(&seen, &covered)),
            [
                "account.unregistered ghost@example.test medium",
                "account.unregistered root medium",
                "account.missing sales@example.test low",
            ]
        );
    }

    #[test]
    fn an_incomplete_list_lacks_nothing() {
        let covered = [(SYSTEM, SURFACE, CoverageState::Partial)];
        assert_eq!(ids(&judged(&[account("bob@example.test")], &covered)), Vec::<String>::new());
        let own =
            observed("bob@example.test", SURFACE, Fact::Account { login: "bob@example.test".to_owned() });
        let covered = [("bob@example.test", SURFACE, CoverageState::Collected)];
        assert_eq!(ids(&judged(&[own], &covered)), Vec::<String>::new());
    }
}
