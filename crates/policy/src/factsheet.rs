//! The day-zero sheet of a domain: what has to be known before the first mailbox exists.

use serde::Serialize;

use crate::model::{DomainRecord, Profile};
use crate::policy::Policy;

/// One line of the sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What is asked.
    pub label: &'static str,
    /// The answer, where it is known.
    pub value: Option<String>,
}

/// The sheet of one domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sheet {
    /// Its lines, in the order in which they are collected.
    pub lines: Vec<Line>,
    /// The labels of what is not known yet.
    pub missing: Vec<&'static str>,
}

/// The sheet of a domain, with everything that is known.
pub fn sheet(policy: &Policy, domain: &DomainRecord) -> Sheet {
    let mut lines = own_lines(domain);
    if let Some(client) = policy.clients().get(domain.client) {
        lines.push(line("Emergency approver (client owner)", Some(client.emergency_approver.to_string())));
        lines.push(line("Escalation contacts", joined(&client.escalation_contacts)));
    }
    let missing = lines.iter().filter(|line| line.value.is_none()).map(|line| line.label).collect();
    Sheet { lines, missing }
}

/// What the record of a domain lacks.
pub fn missing(domain: &DomainRecord) -> Vec<&'static str> {
    own_lines(domain).into_iter().filter(|line| line.value.is_none()).map(|line| line.label).collect()
}

fn own_lines(domain: &DomainRecord) -> Vec<Line> {
    let sheet = &domain.factsheet;
    let sends = domain.profile == Profile::Sending;
    let when_sending = |value: Option<String>| if sends { value } else { Some("does not send".to_owned()) };
    let day = |at: &chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d").to_string();
    vec![
        line("Domain", Some(domain.name.to_string())),
        line("Registrar", sheet.registrar.clone()),
        line("Registration expires", sheet.registration_expires.as_ref().map(day)),
        line("DNS provider", sheet.dns_provider.clone()),
        line("Registrar admin email(s)", joined(&sheet.registrar_admins)),
        line("DNS admin email(s)", joined(&sheet.dns_admins)),
        line("MFA enabled at the registrar", sheet.registrar_mfa.map(yes_or_no)),
        line("MFA enabled at the DNS provider", sheet.dns_mfa.map(yes_or_no)),
        line("Inbound email host (MX)", joined(&sheet.mx)),
        line("Outbound sending provider", when_sending(sheet.outbound.clone())),
        line("SPF", sheet.spf.clone()),
        line("DKIM selectors", when_sending(joined(&sheet.dkim_selectors))),
        line("DMARC", sheet.dmarc.clone()),
        line("Catch-all enabled", sheet.catch_all.map(yes_or_no)),
        line("External forwarding destinations", Some(destinations(domain))),
    ]
}

/// No destination is an answer as well: the gate and the rounds treat every other one as not approved.
fn destinations(domain: &DomainRecord) -> String {
    let domains = domain.approved_external_domains.iter().map(|name| format!("*@{name}"));
    let all: Vec<String> =
        domains.chain(domain.approved_external_addresses.iter().map(ToString::to_string)).collect();
    if all.is_empty() { "none approved".to_owned() } else { all.join(", ") }
}

fn line(label: &'static str, value: Option<String>) -> Line {
    Line { label, value: value.filter(|value| !value.trim().is_empty()) }
}

fn joined<T: ToString>(values: &[T]) -> Option<String> {
    let all: Vec<String> = values.iter().map(ToString::to_string).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}
