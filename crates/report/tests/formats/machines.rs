//! Formats of other people's tools: valid by the rules of their makers, and never empty where something was
//! not looked at.

use std::sync::LazyLock;

use insta::assert_snapshot;
use jsonschema::Validator;
use mailwarden_evidence::CoverageState;
use mailwarden_judge::Report;
use mailwarden_report::Format;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixture::{hostile, report, sealed, seen};
use crate::written;

const MACHINES: [Format; 3] = [Format::Ocsf, Format::Sarif, Format::Defectdojo];

/// The schema as its makers publish it (OASIS, SARIF 2.1.0), but for a bracket too many in the pattern of
/// languages, which no strict reader of patterns takes.
static SARIF: LazyLock<Validator> = LazyLock::new(|| {
    let schema = include_str!("schemas/sarif-2.1.0.json").replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$");
    jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap()
});

/// What OCSF 1.8.0 requires of a Detection Finding and of the objects in it that we fill. Its makers publish no
/// JSON Schema; the dictionary says the rest by types.
static OCSF: LazyLock<Validator> = LazyLock::new(|| {
    let named = json!({ "type": "object", "anyOf": [{ "required": ["uid"] }, { "required": ["name"] }] });
    let technique = json!({ "type": "object", "required": ["uid"] });
    let schema = json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": [
                "activity_id", "category_uid", "class_uid", "finding_info", "metadata", "severity_id",
                "status_id", "time", "type_uid",
            ],
            "properties": {
                "activity_id": { "enum": [1, 2, 3] },
                "category_uid": { "const": 2 },
                "class_uid": { "const": 2004 },
                "confidence_id": { "enum": [1, 2, 3] },
                "finding_info": {
                    "required": ["uid"],
                    "properties": {
                        "uid": { "type": "string", "minLength": 1 },
                        "title": { "type": "string" },
                        "types": { "type": "array", "items": { "type": "string" } },
                        "analytic": { "required": ["type_id"], "properties": { "type_id": { "const": 1 } } },
                        "attacks": { "items": { "properties": {
                            "technique": technique, "sub_technique": technique,
                            "version": { "type": "string" },
                        } } },
                        "first_seen_time": { "type": "integer" },
                        "last_seen_time": { "type": "integer" },
                    },
                },
                "metadata": {
                    "required": ["product", "version"],
                    "properties": {
                        "version": { "const": "1.8.0" },
                        "product": { "anyOf": [{ "required": ["name"] }, { "required": ["uid"] }] },
                    },
                },
                "remediation": { "required": ["desc"] },
                "resources": { "type": "array", "items": named },
                "severity_id": { "enum": [0, 1, 2, 3, 4, 5] },
                "status_id": { "enum": [1, 2, 3, 4] },
                "time": { "type": "integer" },
            },
        },
    });
    jsonschema::validator_for(&schema).unwrap()
});

/// What the generic importer reads; it refuses entries without the required three and unknown severities.
static DEFECTDOJO: LazyLock<Validator> = LazyLock::new(|| {
    let schema = json!({
        "type": "object",
        "required": ["findings"],
        "properties": { "findings": { "type": "array", "items": {
            "required": ["title", "severity", "description"],
            "properties": {
                "title": { "type": "string", "minLength": 1, "maxLength": 511 },
                "severity": { "enum": ["Critical", "High", "Medium", "Low", "Info"] },
                "description": { "type": "string", "minLength": 1 },
                "date": { "type": "string", "pattern": "^\\d{4}-\\d{2}-\\d{2}$" },
                "active": { "type": "boolean" },
                "risk_accepted": { "type": "boolean" },
                "line": { "type": "integer", "minimum": 1 },
                "tags": { "type": "array", "items": { "type": "string" } },
            },
        } } },
    });
    jsonschema::validator_for(&schema).unwrap()
});

fn read(report: &Report, format: Format) -> Value {
    serde_json::from_str(&written(report, format)).unwrap()
}

fn assert_valid(report: &Report) {
    for (format, validator) in MACHINES.into_iter().zip([&OCSF, &SARIF, &DEFECTDOJO]) {
        let document = read(report, format);
        let faults: Vec<String> = validator
            .iter_errors(&document)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{format}: {faults:#?}");
    }
}

#[test]
fn ocsf() {
    assert_snapshot!(written(&report(), Format::Ocsf));
}

#[test]
fn sarif() {
    assert_snapshot!(written(&report(), Format::Sarif));
}

#[test]
fn defectdojo() {
    assert_snapshot!(written(&report(), Format::Defectdojo));
}

#[test]
fn each_format_is_valid_and_the_check_can_fail() {
    assert_valid(&report());
    let mut broken = read(&report(), Format::Sarif);
    broken["runs"][0]["results"][0]["level"] = json!("terrible");
    assert!(!SARIF.is_valid(&broken));
    let mut broken = read(&report(), Format::Ocsf);
    broken[0].as_object_mut().unwrap().remove("finding_info");
    assert!(!OCSF.is_valid(&broken));
    let mut broken = read(&report(), Format::Defectdojo);
    broken["findings"][0]["severity"] = json!("critical");
    assert!(!DEFECTDOJO.is_valid(&broken));
}

#[test]
fn what_was_not_looked_at_is_in_every_format() {
    let unseen = sealed(vec![], vec![seen("a@example.org", "imap.acl", CoverageState::Error, "no answer")]);
    for blind in [unseen, sealed(vec![], vec![])] {
        assert_valid(&blind);
        let ocsf = read(&blind, Format::Ocsf);
        assert_eq!(ocsf[0]["severity"], "Unknown", "{ocsf}");
        let sarif = read(&blind, Format::Sarif);
        assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], false, "{sarif}");
        let defectdojo = read(&blind, Format::Defectdojo);
        assert_eq!(defectdojo["findings"][0]["vuln_id_from_tool"], "coverage.gap", "{defectdojo}");
    }
}

#[test]
fn a_clean_run_is_empty_and_successful() {
    let clean = sealed(vec![], vec![seen("a@example.org", "imap.acl", CoverageState::Collected, "")]);
    assert_valid(&clean);
    assert_eq!(read(&clean, Format::Ocsf), json!([]));
    assert_eq!(read(&clean, Format::Defectdojo)["findings"], json!([]));
    assert_eq!(read(&clean, Format::Sarif)["runs"][0]["invocations"][0]["executionSuccessful"], true);
}

proptest! {
    #[test]
    fn whatever_strangers_wrote_the_documents_stay_valid(word in any::<String>()) {
        // Titles and fingerprints are never empty: they are ours.
        assert_valid(&hostile(&format!("x{word}")));
    }
}
