//! SARIF 2.1.0, for the tools that gather results of code and configuration checks.
//!
//! What stands in a file or a script has a physical location with its line and bytes; everything has a logical
//! one, because a grant on a folder is in no file. What could not be looked at is a notification of an
//! invocation that did not succeed, so that an empty list of results is never read as a clean one.

use std::collections::BTreeMap;
use std::io;

use mailwarden_judge::{Finding, Report, Severity, Status};
use serde_json::{Map, Value, json};

use crate::gaps::{Gap, by_cause};
use crate::json::write_document;
use crate::phrases::{self, rfc3339};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(crate) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    write_document(&json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [run(report)] }), out)
}

fn run(report: &Report) -> Value {
    let rules = rules(report);
    let (name, version) = phrases::tool_parts(&report.tool);
    json!({
        "tool": { "driver": {
            "name": name,
            "version": version,
            "rules": rules.iter().map(|(id, finding)| rule(id, finding)).collect::<Vec<_>>(),
        }},
        "automationDetails": { "id": format!("mailwarden/sweep/{}", report.run_id) },
        "invocations": [invocation(report)],
        "columnKind": "unicodeCodePoints",
        "results": report.findings.iter().map(|finding| result(finding, &rules)).collect::<Vec<_>>(),
    })
}

/// One example of each check, in the order of the identifiers.
fn rules(report: &Report) -> BTreeMap<&str, &Finding> {
    report.findings.iter().map(|finding| (finding.check_id.as_str(), finding)).collect()
}

fn rule(id: &str, finding: &Finding) -> Value {
    let techniques = finding.attack.iter().map(|attack| format!("attack/{}", attack.technique));
    json!({
        "id": id,
        "properties": { "tags": techniques.collect::<Vec<_>>() },
    })
}

fn invocation(report: &Report) -> Value {
    let gaps = by_cause(report);
    let unrecorded = report.coverage.is_empty();
    let mut notifications: Vec<Value> = gaps.iter().map(notification).collect();
    if unrecorded {
        notifications.push(message("error", "It is not recorded what was looked at."));
    }
    json!({
        "executionSuccessful": notifications.is_empty(),
        "startTimeUtc": rfc3339(report.started),
        "endTimeUtc": rfc3339(report.finished),
        "toolExecutionNotifications": notifications,
    })
}

fn notification(gap: &Gap<'_>) -> Value {
    message("error", &gap.sentence())
}

fn message(level: &str, text: &str) -> Value {
    json!({ "level": level, "message": { "text": text } })
}

fn result(finding: &Finding, rules: &BTreeMap<&str, &Finding>) -> Value {
    let index = rules.keys().position(|id| *id == finding.check_id);
    let mut result = json!({
        "ruleId": finding.check_id,
        "ruleIndex": index,
        "kind": "fail",
        "level": level(finding.severity),
        "rank": rank(finding.severity),
        "message": { "text": finding.title },
        "baselineState": baseline_state(finding.status),
        "partialFingerprints": {
            format!("mailwarden/v{}", finding.fingerprint_version): finding.fingerprint,
            "mailwardenContent/v1": finding.content_hash,
        },
        "locations": [location(finding)],
        "properties": properties(finding),
    });
    if let Some(suppression) = &finding.suppression {
        let until = phrases::day(suppression.expires);
        let why = format!("{} (accepted by {} until {until})", suppression.reason, suppression.approver);
        result["suppressions"] = json!([{ "kind": "external", "status": "accepted", "justification": why }]);
    }
    result
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// SARIF's priority, 0 to 100: it has fewer levels than we have severities.
fn rank(severity: Severity) -> f64 {
    match severity {
        Severity::Critical => 100.0,
        Severity::High => 80.0,
        Severity::Medium => 50.0,
        Severity::Low => 20.0,
        Severity::Info => 5.0,
    }
}

fn baseline_state(status: Status) -> &'static str {
    match status {
        Status::New => "new",
        Status::Changed => "updated",
        Status::Unchanged | Status::Accepted => "unchanged",
        Status::Resolved => "absent",
    }
}

fn location(finding: &Finding) -> Value {
    let place = phrases::place_line(&finding.locator);
    let whole = format!("{}/{}/{place}", finding.mailbox, finding.surface.id);
    let mut location = json!({
        "logicalLocations": [{ "fullyQualifiedName": whole, "name": finding.mailbox, "kind": "resource" }],
    });
    if let Some(uri) = artifact(finding) {
        location["physicalLocation"] = json!({ "artifactLocation": { "uri": uri } });
        if let Some(region) = region(finding) {
            location["physicalLocation"]["region"] = region;
        }
    }
    location
}

/// A relative reference: a script is found under its mailbox, a table under its path.
fn artifact(finding: &Finding) -> Option<String> {
    let locator = &finding.locator;
    let script =
        locator.script.as_ref().map(|script| ["sieve", &finding.mailbox, script].map(escaped).join("/"));
    script.or_else(|| locator.file.as_ref().map(|file| format!("table/{}", escaped(file))))
}

/// RFC 3986 §2.3: everything but unreserved characters is escaped, slashes too, so that a hostile name stays one
/// segment and cannot climb out.
fn escaped(segment: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~');
    segment.bytes().fold(String::with_capacity(segment.len()), |mut out, byte| {
        // A dot alone or doubled would be a step in the path.
        if unreserved(byte) || (byte == b'.' && !matches!(segment, "." | "..")) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

fn region(finding: &Finding) -> Option<Value> {
    let line = finding.locator.line?;
    let mut region = Map::new();
    region.insert("startLine".to_owned(), json!(line));
    if let Some((start, end)) = finding.locator.span {
        region.insert("byteOffset".to_owned(), json!(start));
        region.insert("byteLength".to_owned(), json!(end.saturating_sub(start)));
    }
    if let Some(evidence) = finding.evidence.first() {
        region.insert("snippet".to_owned(), json!({ "text": evidence.excerpt }));
    }
    Some(Value::Object(region))
}

fn properties(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity,
        "confidence": finding.confidence,
        "state": finding.state,
        "mailbox": finding.mailbox,
        "owner": finding.owner,
        "surface": finding.surface,
        "beneficiary": finding.beneficiary,
        "effects": finding.effects,
        "path": finding.path,
        "conditions": finding.conditions,
        "remediation": finding.remediation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_one_segment() {
        assert_eq!(escaped("../x y?#%"), "..%2Fx%20y%3F%23%25");
        assert_eq!((escaped(".."), escaped(".")), ("%2E%2E".to_owned(), "%2E".to_owned()));
    }
}
