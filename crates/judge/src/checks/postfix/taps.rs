//! Services and certificates beside the way of a message: filters, milters, policy services, relaying by certificate,
//! rewritten SMTP commands.

use super::entry::Entry;
use super::ground::{Ground, Place};
use crate::draft::Draft;
use crate::severity::{Act, Destination, Weight};
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind, Confidence};

pub(super) fn judge(ground: &Ground<'_>, entry: &Entry<'_>) -> Vec<Draft> {
    endpoints(entry.result).into_iter().filter_map(|endpoint| tap(ground, entry, endpoint)).collect()
}

/// The services of a list; options in braces belong to the service before them.
fn endpoints(value: &str) -> Vec<&str> {
    let words = value.split(|c: char| c == ',' || c.is_whitespace() || c == '{' || c == '}');
    words.filter(|word| !word.is_empty() && !word.contains('=')).collect()
}

fn tap(ground: &Ground<'_>, entry: &Entry<'_>, endpoint: &str) -> Option<Draft> {
    if endpoint.starts_with("unix:") || endpoint.starts_with("local:") {
        return None;
    }
    // content_filter is a transport with the next host, all others are a place to connect to.
    let (service, host) = match entry.name {
        "content_filter" => endpoint.split_once(':').unwrap_or((endpoint, "")),
        _ => ("", endpoint),
    };
    if let Some(command) = ground.program(service) {
        let value = shown(command);
        return Some(found(entry, "postfix.filter-program", Act::Run, BeneficiaryKind::Command, value));
    }
    if ground.place(host) == Place::Own {
        return None;
    }
    // A policy service is told who writes to whom, and no more.
    let act = if entry.name == "check_policy_service" { Act::Notice } else { Act::Receive };
    Some(found(entry, "postfix.filter-outside", act, BeneficiaryKind::External, shown(endpoint)))
}

fn found(entry: &Entry<'_>, check_id: &'static str, act: Act, kind: BeneficiaryKind, value: String) -> Draft {
    let to = if kind == BeneficiaryKind::Command { "the program" } else { "the outside host" };
    let what = if act == Act::Notice {
        "Sender and recipients of every message are told"
    } else {
        "Every message is handed"
    };
    Draft {
        check_id,
        title: format!("{what} to {to} {value} ({}).", shown(entry.parameter)),
        severity: entry.severity(Weight::new(act, Destination::Unknown)),
        beneficiary: Beneficiary { kind, value: value.clone(), person: None },
        ..entry.draft("redirect", &value, &value)
    }
}

/// `relay_clientcerts`: the fingerprint is the key.
pub(super) fn certificate(entry: &Entry<'_>) -> Draft {
    let owner = shown(entry.result);
    Draft {
        check_id: "postfix.relay-certificate",
        title: format!(
            "Whoever holds the certificate of {owner} may send mail to anybody, without a password."
        ),
        severity: entry.severity(Weight::new(Act::Change, Destination::Unknown)),
        beneficiary: Beneficiary { kind: BeneficiaryKind::Unresolvable, value: owner.clone(), person: None },
        ..entry.draft("send", &entry.key.unwrap_or_default().to_lowercase(), &owner)
    }
}

/// `smtpd_command_filter`: a rule can replace the recipient before anything else sees it.
pub(super) fn commands(entry: &Entry<'_>) -> Draft {
    let result = shown(entry.result);
    Draft {
        check_id: "postfix.command-filter",
        title: format!("SMTP commands that match {} become {result}.", shown(entry.key.unwrap_or_default())),
        severity: entry.severity(Weight::new(Act::NotUnderstood, Destination::Nobody)),
        confidence: Confidence::Medium,
        ..entry.draft("redirect", &result.to_lowercase(), &result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_told_from_their_options() {
        let value = "inet:a.test:1, { unix:/s, connect_timeout=2s } unix:/t";
        assert_eq!(endpoints(value), ["inet:a.test:1", "unix:/s", "unix:/t"]);
    }
}
