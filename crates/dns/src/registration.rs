//! Registrar, expiry and status of our domains, and of every domain that holds a key to ours.

use chrono::TimeDelta;
use mailwarden_evidence::dns::{Answer, Question, Registration};

use crate::case::{Case, Draft};
use crate::checks;
use crate::subject::Role;
use crate::text::quoted;

/// Renew before.
const RENEW_WITHIN: TimeDelta = TimeDelta::days(30);
/// Dates of policy and registry may differ by a time zone.
const SAME_DAY: TimeDelta = TimeDelta::days(2);
/// Status values of a domain that is about to be lost or held back (RFC 8056, RFC 3915).
const BAD_STATUS: [&str; 7] = [
    "pending delete",
    "redemption period",
    "pending restore",
    "server hold",
    "client hold",
    "inactive",
    "pending transfer",
];
/// Status values that lock a registration against transfer.
const LOCKS: [&str; 3] = ["client transfer prohibited", "server transfer prohibited", "transfer prohibited"];

pub(crate) fn look(case: &mut Case<'_>) {
    if !case.subject.is_organisation() {
        return;
    }
    let domain = case.subject.name.clone();
    let question = Question::Registration { domain: domain.clone() };
    let Some(Answer::Registration(registration)) = case.ask(question.clone()) else { return };
    let hangs = match case.subject.recovers.as_slice() {
        [] => String::new(),
        what => format!(" It recovers {}.", what.join(", ")),
    };
    let draft = |title: String| {
        let fix = format!("log in at the registrar of {domain}, renew and lock the domain");
        Draft::new(format!("{title}{hangs}")).fix(fix).answered(question.clone())
    };
    if !registration.registered {
        let draft = draft(format!("The registry knows no domain {domain}: anybody may register it."));
        return case.found(&checks::UNREGISTERED, &domain, draft);
    }
    case.publish(format!("registrar {domain}"), registration.registrar.clone());
    case.publish(format!("status {domain}"), registration.status.join(", "));
    let expires = registration.expires.map(|moment| moment.format("%Y-%m-%d").to_string());
    case.publish(format!("expires {domain}"), expires.unwrap_or_default());
    expiry(case, registration, &draft);
    status(case, registration, &draft);
    if case.subject.role != Role::Recovery {
        against_policy(case, registration, &draft);
    }
}

fn expiry(case: &mut Case<'_>, registration: &Registration, draft: &dyn Fn(String) -> Draft) {
    let domain = case.subject.name.clone();
    let Some(expires) = registration.expires else {
        return case.gap(format!("the registry does not say when {domain} runs out"));
    };
    let day = expires.format("%Y-%m-%d").to_string();
    let (check, title) = match () {
        () if expires <= case.now => {
            (&checks::EXPIRED, format!("The registration of {domain} ran out on {day}."))
        }
        () if expires <= case.now + RENEW_WITHIN => {
            (&checks::EXPIRES, format!("The registration of {domain} runs out on {day}."))
        }
        () => return,
    };
    case.found(check, &domain, draft(title).found(day));
}

fn status(case: &mut Case<'_>, registration: &Registration, draft: &dyn Fn(String) -> Draft) {
    let domain = case.subject.name.clone();
    for bad in registration.status.iter().filter(|status| BAD_STATUS.contains(&status.as_str())) {
        let title = format!("The registry holds {domain} as {}.", quoted(bad));
        case.found(&checks::STATUS, format!("{domain} {bad}"), draft(title).found(bad));
    }
    let locked = registration.status.iter().any(|status| LOCKS.contains(&status.as_str()));
    if !locked && case.subject.role != Role::Recovery {
        let title = format!("The registration of {domain} is not locked against transfer.");
        case.found(&checks::UNLOCKED, &domain, draft(title).found(registration.status.join(", ")));
    }
}

fn against_policy(case: &mut Case<'_>, registration: &Registration, draft: &dyn Fn(String) -> Draft) {
    let domain = case.subject.name.clone();
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    if let Some(meant) = case.subject.registrar.clone().filter(|_| !registration.registrar.is_empty()) {
        let (is, should) = (plain(&registration.registrar), plain(&meant));
        // "Gandi" of the policy is "GANDI SAS" of the registry.
        if !is.contains(&should) && !should.contains(&is) {
            let title = format!(
                "{domain} is registered with {}; the policy says {}.",
                quoted(&registration.registrar),
                quoted(&meant)
            );
            case.found(&checks::REGISTRAR, &domain, draft(title).found(&registration.registrar));
        }
    }
    if let (Some(meant), Some(expires)) = (case.subject.expires, registration.expires)
        && (meant - expires).abs() > SAME_DAY
    {
        let (is, should) = (expires.format("%Y-%m-%d"), meant.format("%Y-%m-%d"));
        let title = format!("The registration of {domain} runs out on {is}; the policy says {should}.");
        let fix = format!("write `registration_expires = {is}`");
        case.found(&checks::EXPIRY_DIFFERS, &domain, draft(title).found(is.to_string()).fix(fix));
    }
}
