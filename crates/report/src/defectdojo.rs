//! DefectDojo's generic findings import: one JSON document.
//!
//! A gap is imported as a finding of its own, so that a test without findings is not one without looking.

use std::io;

use mailwarden_judge::{Finding, Report, Status};
use serde_json::{Value, json};

use crate::gaps::{Gap, by_cause};
use crate::json::write_document;
use crate::phrases::{self, capitalised, day};

/// DefectDojo keeps no longer titles.
const MAX_TITLE_CHARS: usize = 500;

pub(crate) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let findings = report.findings.iter().map(|finding| of_finding(report, finding));
    let gaps = by_cause(report);
    let gaps = gaps.iter().map(|gap| of_gap(report, &title(&gap.sentence()), &what_to_do(gap)));
    let unrecorded = report.coverage.is_empty();
    let unrecorded =
        unrecorded.then(|| of_gap(report, "It is not recorded what was looked at.", "Sweep again."));
    let findings: Vec<Value> = findings.chain(gaps).chain(unrecorded).collect();
    write_document(&json!({ "name": report.run_id, "type": report.tool, "findings": findings }), out)
}

fn of_finding(report: &Report, finding: &Finding) -> Value {
    let mut entry = json!({
        "title": title(&finding.title),
        "description": description(finding),
        "severity": capitalised(phrases::severity_word(finding.severity)),
        "date": day(report.finished),
        "mitigation": mitigation(finding),
        "active": !matches!(finding.status, Status::Resolved | Status::Accepted),
        "verified": true,
        "is_mitigated": finding.status == Status::Resolved,
        "risk_accepted": finding.status == Status::Accepted,
        "static_finding": true,
        "dynamic_finding": false,
        "unique_id_from_tool": finding.fingerprint,
        "vuln_id_from_tool": finding.check_id,
        "component_name": finding.mailbox,
        "tags": tags(finding),
    });
    let locator = &finding.locator;
    if let Some(file) = locator.script.as_ref().or(locator.file.as_ref()) {
        entry["file_path"] = json!(file);
    }
    if let Some(line) = locator.line {
        entry["line"] = json!(line);
    }
    entry
}

fn title(title: &str) -> String {
    title.chars().take(MAX_TITLE_CHARS).collect()
}

/// Indented by four blanks, what strangers wrote is code in Markdown and nothing else.
fn description(finding: &Finding) -> String {
    let rows = [
        ("mailbox", phrases::mailbox(&finding.mailbox)),
        ("where", format!("{} ({})", phrases::place_line(&finding.locator), finding.surface.id)),
        ("path", phrases::path_line(&finding.path)),
        ("when", finding.conditions.clone()),
    ];
    let rows = rows.map(|(label, value)| format!("    {label}: {}", one_line(&value)));
    let excerpts = finding.evidence.iter().map(phrases::excerpt);
    let excerpts =
        excerpts.flat_map(|text| text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>());
    rows.into_iter().chain(excerpts).collect::<Vec<_>>().join("\n")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn mitigation(finding: &Finding) -> String {
    let remedy = &finding.remediation;
    let rows = [("do", &remedy.command), ("undo", &remedy.revert), ("beware", &remedy.side_effects)];
    let rows = rows.into_iter().filter(|(_, text)| !text.is_empty());
    rows.map(|(label, text)| format!("    {label}: {}", one_line(text))).collect::<Vec<_>>().join("\n")
}

fn tags(finding: &Finding) -> Vec<&str> {
    let techniques = finding.attack.iter().map(|attack| attack.technique.as_str());
    techniques.chain([finding.surface.id.as_str(), phrases::state_word(finding.state)]).collect()
}

fn what_to_do(gap: &Gap<'_>) -> String {
    format!("{} {}", gap.next_step(), gap.by_hand())
}

fn of_gap(report: &Report, title: &str, mitigation: &str) -> Value {
    json!({
        "title": title,
        "description": format!("    {}", one_line(title)),
        "severity": "Info",
        "date": day(report.finished),
        "mitigation": mitigation.trim(),
        "active": true,
        "verified": true,
        "static_finding": true,
        "dynamic_finding": false,
        "vuln_id_from_tool": "coverage.gap",
        "tags": ["coverage-gap"],
    })
}
