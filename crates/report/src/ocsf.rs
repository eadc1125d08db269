//! OCSF 1.8.0 Detection Findings (class 2004), one JSON array, for security data lakes and SIEMs.
//!
//! What could not be looked at is an event too, of unknown severity: an array without events would otherwise be
//! read as "all is well".

use std::io;

use chrono::{DateTime, Utc};
use mailwarden_judge::{Attack, Confidence, Finding, Owner, Report, Severity, Status};
use serde_json::{Value, json};

use crate::gaps::by_cause;
use crate::json::write_document;
use crate::phrases;

const OCSF_VERSION: &str = "1.8.0";
const CATEGORY_FINDINGS: u32 = 2;
const CLASS_DETECTION_FINDING: u32 = 2004;

/// What happened to a finding.
#[derive(Clone, Copy)]
enum Activity {
    Create = 1,
    Update = 2,
    Close = 3,
}

pub(crate) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let findings = report.findings.iter().map(|finding| of_finding(report, finding));
    let gaps = by_cause(report);
    let gaps = gaps.iter().map(|gap| of_gap(report, gap.surface, &gap.sentence(), &gap.mailboxes));
    let unrecorded = report.coverage.is_empty();
    let unrecorded = unrecorded.then(|| of_gap(report, "", "It is not recorded what was looked at.", &[]));
    write_document(&Value::Array(findings.chain(gaps).chain(unrecorded).collect()), out)
}

fn of_finding(report: &Report, finding: &Finding) -> Value {
    let mut event = event(report, activity(finding.status), severity_id(finding.severity));
    event["severity"] = json!(phrases::capitalised(phrases::severity_word(finding.severity)));
    event["status_id"] = json!(status_id(finding.status));
    event["status"] = json!(status(finding.status));
    event["confidence_id"] = json!(confidence_id(finding.confidence));
    event["confidence"] = json!(phrases::capitalised(phrases::confidence_word(finding.confidence)));
    event["is_alert"] = json!(matches!(finding.status, Status::New | Status::Changed));
    event["message"] = json!(finding.title);
    event["finding_info"] = finding_info(finding);
    event["resources"] = json!([resource(finding)]);
    event["remediation"] = json!({ "desc": finding.remediation.command });
    event["evidences"] = evidences(finding);
    event["comment"] = json!(finding.suppression.as_ref().map(|one| one.reason.clone()));
    event["unmapped"] = unmapped(finding);
    without_nulls(event)
}

/// The part that every event of the class has.
fn event(report: &Report, activity: Activity, severity_id: u32) -> Value {
    let (name, version) = phrases::tool_parts(&report.tool);
    let activity_id = activity as u32;
    json!({
        "activity_id": activity_id,
        "activity_name": match activity {
            Activity::Create => "Create",
            Activity::Update => "Update",
            Activity::Close => "Close",
        },
        "category_uid": CATEGORY_FINDINGS,
        "category_name": "Findings",
        "class_uid": CLASS_DETECTION_FINDING,
        "class_name": "Detection Finding",
        "type_uid": CLASS_DETECTION_FINDING * 100 + activity_id,
        "severity_id": severity_id,
        "time": milliseconds(report.finished),
        "metadata": {
            "version": OCSF_VERSION,
            "correlation_uid": report.run_id,
            "product": { "name": name, "vendor_name": "Mailwarden", "version": version },
        },
    })
}

fn milliseconds(instant: DateTime<Utc>) -> i64 {
    instant.timestamp_millis()
}

fn activity(status: Status) -> Activity {
    match status {
        Status::New => Activity::Create,
        Status::Unchanged | Status::Changed | Status::Accepted => Activity::Update,
        Status::Resolved => Activity::Close,
    }
}

fn severity_id(severity: Severity) -> u32 {
    match severity {
        Severity::Info => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

fn status_id(status: Status) -> u32 {
    match status {
        Status::New => 1,
        Status::Unchanged | Status::Changed => 2,
        Status::Accepted => 3,
        Status::Resolved => 4,
    }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::New => "New",
        Status::Unchanged | Status::Changed => "In Progress",
        Status::Accepted => "Suppressed",
        Status::Resolved => "Resolved",
    }
}

fn confidence_id(confidence: Confidence) -> u32 {
    match confidence {
        Confidence::Low => 1,
        Confidence::Medium => 2,
        Confidence::High => 3,
    }
}

fn finding_info(finding: &Finding) -> Value {
    json!({
        "uid": finding.fingerprint,
        "title": finding.title,
        "desc": description(finding),
        "types": [finding.check_id],
        "analytic": { "uid": finding.check_id, "name": finding.check_id, "type": "Rule", "type_id": 1 },
        "attacks": finding.attack.iter().map(attack).collect::<Vec<_>>(),
        "first_seen_time": milliseconds(finding.first_seen),
        "last_seen_time": milliseconds(finding.last_seen),
    })
}

fn description(finding: &Finding) -> String {
    let path = phrases::path_line(&finding.path);
    let when = if finding.conditions.is_empty() { "" } else { "; " };
    format!("{path}{when}{}", finding.conditions)
}

/// `T1114.003` is a sub-technique of `T1114`.
fn attack(attack: &Attack) -> Value {
    match attack.technique.split_once('.') {
        Some((technique, _)) => json!({
            "version": attack.version,
            "technique": { "uid": technique },
            "sub_technique": { "uid": attack.technique },
        }),
        None => json!({ "version": attack.version, "technique": { "uid": attack.technique } }),
    }
}

fn resource(finding: &Finding) -> Value {
    json!({
        "uid": finding.mailbox,
        "name": phrases::mailbox(&finding.mailbox),
        "type": "mailbox",
        "owner": finding.owner.as_ref().map(owner),
        "labels": [finding.surface.id],
    })
}

fn owner(owner: &Owner) -> Value {
    json!({ "name": owner.person, "type": owner.role })
}

fn evidences(finding: &Finding) -> Value {
    let one = |evidence| json!({ "data": evidence });
    finding.evidence.iter().map(one).collect()
}

fn unmapped(finding: &Finding) -> Value {
    json!({
        "content_hash": finding.content_hash,
        "state": finding.state,
        "locator": finding.locator,
        "beneficiary": finding.beneficiary,
        "effects": finding.effects,
        "owner_left": finding.owner.as_ref().and_then(|owner| owner.left),
        "revert": finding.remediation.revert,
        "side_effects": finding.remediation.side_effects,
        "regenerated_by": finding.remediation.regenerated_by,
        "suppression": finding.suppression,
    })
}

fn of_gap(report: &Report, surface: &str, sentence: &str, mailboxes: &[&str]) -> Value {
    let mut event = event(report, Activity::Create, 0);
    let resources = mailboxes.iter().map(|mailbox| json!({ "uid": mailbox, "type": "mailbox" }));
    event["severity"] = json!("Unknown");
    event["status_id"] = json!(1);
    event["status"] = json!("New");
    event["message"] = json!(sentence);
    event["finding_info"] = json!({
        "uid": format!("coverage-gap/{}/{surface}", report.run_id),
        "title": sentence,
        "types": ["coverage.gap"],
    });
    event["resources"] = resources.collect();
    without_nulls(event)
}

/// OCSF leaves out what is not known.
fn without_nulls(event: Value) -> Value {
    match event {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(values) => values.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
