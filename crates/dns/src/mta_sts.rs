//! MTA-STS (RFC 8461): the record, the policy it announces, and whether the policy names our hosts.

use data_encoding::HEXLOWER;
use mailwarden_evidence::dns::{Answer, Question, RecordType};
use mailwarden_policy::MtaStsMode;
use sha2::{Digest, Sha256};

use crate::case::{Case, Draft};
use crate::checks::{self, Check};
use crate::mx;
use crate::subject::Subject;
use crate::text::{has_version, quoted, tags, value};

/// A week: RFC 8461 §3.2 suggests weeks.
const MAX_AGE: u64 = 604_800;
/// An attacker who can cut the connection for this long makes senders forget.
const SHORT_AGE: u64 = 86_400;
/// Most lines of a policy that are read.
const MAX_LINES: usize = 200;

/// The policy to serve at `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`.
pub(crate) fn policy(subject: &Subject) -> Option<String> {
    let mode = subject.mta_sts.filter(|_| subject.receives())?;
    let mut text = format!("version: STSv1\r\nmode: {}\r\n", mode.as_str());
    subject.mx.iter().for_each(|host| text.push_str(&format!("mx: {host}\r\n")));
    text.push_str(&format!("max_age: {MAX_AGE}\r\n"));
    Some(text)
}

/// The record that announces it. The id follows from the policy, so that it changes when the policy does.
pub(crate) fn record(subject: &Subject) -> Option<String> {
    let digest = Sha256::digest(policy(subject)?.as_bytes());
    let id = HEXLOWER.encode(&digest[..10]);
    Some(format!("v=STSv1; id={id}"))
}

/// What a served policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Served {
    mode: String,
    mx: Vec<String>,
    max_age: u64,
}

fn read(body: &str) -> Result<Served, String> {
    let mut served = Served { mode: String::new(), mx: Vec::new(), max_age: 0 };
    let (mut version, mut age) = (false, false);
    for line in body.lines().take(MAX_LINES).filter(|line| !line.trim().is_empty()) {
        let (key, value) =
            line.split_once(':').ok_or_else(|| format!("{} is no `key: value`", quoted(line)))?;
        let value = value.trim();
        match key.trim() {
            "version" => version = value == "STSv1",
            "mode" => value.clone_into(&mut served.mode),
            "mx" => served.mx.push(value.to_ascii_lowercase()),
            "max_age" => {
                served.max_age =
                    value.parse().map_err(|_| format!("max_age {} is no number", quoted(value)))?;
                age = true;
            }
            _ => {}
        }
    }
    match () {
        () if !version => Err("it has no `version: STSv1`".to_owned()),
        () if !age => Err("it has no max_age".to_owned()),
        () if !matches!(served.mode.as_str(), "enforce" | "testing" | "none") => {
            Err(format!("its mode {} is none", quoted(&served.mode)))
        }
        () if served.mx.is_empty() && served.mode != "none" => Err("it names no mx".to_owned()),
        () => Ok(served),
    }
}

/// RFC 8461 §4.1: a star stands for exactly one label.
fn names(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(rest) => host.split_once('.').is_some_and(|(_, parent)| parent == rest),
        None => pattern == host,
    }
}

pub(crate) fn look(case: &mut Case<'_>) {
    if case.subject.is_wildcard || !case.subject.receives() {
        return;
    }
    let Some(name) = case.subject.name.child("_mta-sts") else { return };
    let Some(texts) = case.texts(&name) else { return };
    let records: Vec<&String> = texts.iter().filter(|text| has_version(text, "v", "STSv1")).collect();
    case.publish(format!("MTA-STS {}", case.subject.name), texts.join(" | "));
    let fix =
        record(case.subject).map_or("remove the record".to_owned(), |text| format!("{name}. TXT \"{text}\""));
    let draft = |title: String| Draft::new(title).fix(&fix).seen_at(&name, RecordType::Txt);
    match records.as_slice() {
        [] if !texts.is_empty() => {
            let title = format!("The MTA-STS record of {name} cannot be read: {}.", quoted(&texts[0]));
            case.found(&checks::STS_SYNTAX, &name, draft(title).found(&texts[0]));
        }
        [] if case.subject.mta_sts.is_some() => {
            case.found(&checks::STS_MISSING, &name, draft(format!("{name} has no MTA-STS record.")));
        }
        [] => {}
        [text] => {
            if !has_id(text) {
                let title = format!("The MTA-STS record of {name} has no proper id: {}.", quoted(text));
                case.found(&checks::STS_SYNTAX, &name, draft(title).found(text.as_str()));
            }
            served(case);
        }
        several => {
            let title = format!("{name} has {} MTA-STS records; senders use none.", several.len());
            case.found(&checks::STS_SYNTAX, &name, draft(title).found(texts.join("\n")));
        }
    }
}

/// RFC 8461 §3.1: 1 to 32 letters and digits.
fn has_id(text: &str) -> bool {
    let tags = tags(text).unwrap_or_default();
    let good = |id: &str| (1..=32).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_alphanumeric());
    value(&tags, "id").is_some_and(good)
}

fn served(case: &mut Case<'_>) {
    let domain = case.subject.name.clone();
    let question = Question::MtaStsPolicy { domain: domain.clone() };
    let wanted = policy(case.subject);
    let fix = match &wanted {
        Some(text) => {
            format!("serve at https://mta-sts.{domain}/.well-known/mta-sts.txt as text/plain:\n{text}")
        }
        None => format!(
            "serve a policy at https://mta-sts.{domain}/.well-known/mta-sts.txt, or remove _mta-sts.{domain}"
        ),
    };
    let found = |case: &mut Case<'_>, check: &'static Check, subject: String, title: String, seen: &str| {
        let draft = Draft::new(title).fix(&fix).found(seen).answered(question.clone());
        case.found(check, subject, draft);
    };
    let answer = case.ask(question.clone());
    let (content_type, body) = match answer {
        Some(Answer::Https { status: 200, content_type, body }) => (content_type, body),
        Some(Answer::Https { status, .. }) => {
            let title = format!("The MTA-STS policy of {domain} is not served: the server answers {status}.");
            return found(case, &checks::STS_UNSERVED, domain.to_string(), title, &status.to_string());
        }
        Some(Answer::Wrong { reason }) => {
            let title = format!("The MTA-STS policy of {domain} is not served: {}.", quoted(reason));
            return found(case, &checks::STS_UNSERVED, domain.to_string(), title, reason);
        }
        _ => return,
    };
    if content_type != "text/plain" {
        let title = format!(
            "The MTA-STS policy of {domain} is served as {}, not as text/plain.",
            quoted(content_type)
        );
        found(case, &checks::STS_UNSERVED, domain.to_string(), title, content_type);
    }
    let served = match read(body) {
        Ok(served) => served,
        Err(why) => {
            let title = format!("The MTA-STS policy of {domain} cannot be read: {why}.");
            return found(case, &checks::STS_SYNTAX, format!("{domain} policy"), title, body);
        }
    };
    case.publish(format!("MTA-STS policy {domain}"), body.to_owned());
    let mode = case.subject.mta_sts.map_or("none", MtaStsMode::as_str);
    if case.subject.mta_sts.is_some() && served.mode != mode {
        let title = format!("The MTA-STS policy of {domain} is in mode {}; {mode} is meant.", served.mode);
        found(case, &checks::STS_MODE, domain.to_string(), title, &served.mode);
    }
    if served.max_age < SHORT_AGE && served.mode != "none" {
        let title = format!("The MTA-STS policy of {domain} is forgotten after {} seconds.", served.max_age);
        found(case, &checks::STS_AGE, domain.to_string(), title, &served.max_age.to_string());
    }
    for host in mx::hosts(case).iter().filter(|_| served.mode != "none") {
        if !served.mx.iter().any(|pattern| names(pattern, host.as_str())) {
            let title = format!("The MTA-STS policy of {domain} does not name the MX host {host}.");
            found(case, &checks::STS_HOST, host.to_string(), title, &served.mx.join(" "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_label() {
        assert!(names("*.example.test", "mx.example.test"));
        assert!(!names("*.example.test", "a.mx.example.test"));
        assert!(!names("*.example.test", "example.test"));
        assert!(names("mx.example.test", "mx.example.test"));
    }

    #[test]
    fn policies_are_read_as_the_rfc_writes_them() {
        let good = "version: STSv1\nmode: enforce\nmx: *.example.test\nmax_age: 604800\n";
        assert_eq!(read(good).unwrap().mx, ["*.example.test"]);
        for (body, expected) in [
            ("", "it has no `version: STSv1`"),
            ("<html>", "`<html>` is no `key: value`"),
            ("version: STSv1\nmode: enforce\nmax_age: 1", "it names no mx"),
            ("version: STSv1\nmode: strict\nmx: a\nmax_age: 1", "its mode `strict` is none"),
            ("version: STSv1\nmode: none", "it has no max_age"),
            ("version: STSv1\nmode: none\nmax_age: x", "max_age `x` is no number"),
        ] {
            assert_eq!(read(body).unwrap_err(), expected);
        }
        assert!(has_id("v=STSv1; id=20260101T000000;"));
        assert!(!has_id("v=STSv1; id=2026-01-01"));
    }
}
