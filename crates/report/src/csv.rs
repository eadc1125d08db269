//! Rows for a spreadsheet, as RFC 4180 writes them.
//!
//! The first column says what a row is. What could not be looked at is a row too: a sheet without findings
//! would otherwise be read as clean.

use std::io;

use ::csv::{QuoteStyle, Terminator, WriterBuilder};
use chrono::{DateTime, Utc};
use mailwarden_judge::{Finding, Report};

use crate::gaps::{Gap, by_cause};
use crate::phrases::{self, rfc3339};
use crate::sanitise::visible;

/// The header. Columns are only ever added at the end.
const COLUMNS: [&str; 34] = [
    "record",
    "severity",
    "status",
    "state",
    "confidence",
    "title",
    "mailbox",
    "owner",
    "owner_role",
    "owner_left",
    "check_id",
    "surface",
    "tier",
    "where",
    "effects",
    "beneficiary",
    "beneficiary_kind",
    "beneficiary_person",
    "path",
    "conditions",
    "remediation",
    "revert",
    "side_effects",
    "regenerated_by",
    "attack",
    "first_seen",
    "last_seen",
    "observed_use",
    "accepted_until",
    "accepted_by",
    "accepted_reason",
    "fingerprint",
    "run_id",
    "content_hash",
];

pub(crate) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    // Every cell is quoted: a sheet that is told another separator still cannot split one.
    let mut rows =
        WriterBuilder::new().quote_style(QuoteStyle::Always).terminator(Terminator::CRLF).from_writer(out);
    rows.write_record(COLUMNS)?;
    for finding in &report.findings {
        rows.write_record(finding_row(finding).map(|value| cell(&value)))?;
    }
    for gap in &by_cause(report) {
        for mailbox in &gap.mailboxes {
            rows.write_record(gap_row(report, gap, mailbox).map(|value| cell(&value)))?;
        }
    }
    rows.flush()
}

fn finding_row(finding: &Finding) -> [String; COLUMNS.len()] {
    let owner = finding.owner.as_ref();
    let exception = finding.suppression.as_ref();
    [
        "finding".to_owned(),
        phrases::severity_word(finding.severity).to_owned(),
        phrases::status_word(finding.status).to_owned(),
        phrases::state_word(finding.state).to_owned(),
        phrases::confidence_word(finding.confidence).to_owned(),
        finding.title.clone(),
        finding.mailbox.clone(),
        owner.map(|owner| owner.person.clone()).unwrap_or_default(),
        owner.map(|owner| owner.role.clone()).unwrap_or_default(),
        instant(owner.and_then(|owner| owner.left)),
        finding.check_id.clone(),
        finding.surface.id.clone(),
        phrases::tier_word(finding.surface.tier).to_owned(),
        phrases::place_line(&finding.locator),
        finding.effects.join(" "),
        finding.beneficiary.value.clone(),
        phrases::kind_word(finding.beneficiary.kind).to_owned(),
        finding.beneficiary.person.clone().unwrap_or_default(),
        finding.path.join(" -> "),
        finding.conditions.clone(),
        finding.remediation.command.clone(),
        finding.remediation.revert.clone(),
        finding.remediation.side_effects.clone(),
        finding.remediation.regenerated_by.join(", "),
        finding.attack.iter().map(|attack| attack.technique.as_str()).collect::<Vec<_>>().join(" "),
        rfc3339(finding.first_seen),
        rfc3339(finding.last_seen),
        instant(finding.observed_use),
        instant(exception.map(|exception| exception.expires)),
        exception.map(|exception| exception.approver.clone()).unwrap_or_default(),
        exception.map(|exception| exception.reason.clone()).unwrap_or_default(),
        finding.fingerprint.clone(),
        finding.run_id.clone(),
        finding.content_hash.clone(),
    ]
}

fn gap_row(report: &Report, gap: &Gap<'_>, mailbox: &str) -> [String; COLUMNS.len()] {
    COLUMNS.map(|column| match column {
        "record" => "could-not-look".to_owned(),
        "state" => phrases::coverage_word(gap.state).to_owned(),
        "title" => gap.why().to_owned(),
        "mailbox" => mailbox.to_owned(),
        "surface" => gap.surface.to_owned(),
        "where" => gap.source.to_owned(),
        "remediation" => gap.next_step().to_owned(),
        "last_seen" => rfc3339(report.finished),
        "run_id" => report.run_id.clone(),
        _ => String::new(),
    })
}

fn instant(instant: Option<DateTime<Utc>>) -> String {
    instant.map(rfc3339).unwrap_or_default()
}

/// A cell that no spreadsheet takes for a formula: the apostrophe makes it text. Blanks in front are looked
/// through because some programs trim them; the full-width signs are formula signs in East Asian editions.
/// Tabs and carriage returns, which start a formula too, are written out by then and cannot lead.
fn cell(value: &str) -> String {
    let shown = visible(value);
    let starts_formula =
        shown.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    if starts_formula { format!("'{shown}") } else { shown.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text() {
        assert_eq!(cell("=HYPERLINK(\"x\")"), "'=HYPERLINK(\"x\")");
        assert_eq!(cell("  @SUM(A1)"), "'  @SUM(A1)");
        assert_eq!(cell("\t=1"), r"\t=1");
        assert_eq!(cell("\u{ff1d}1"), "'\u{ff1d}1");
        assert_eq!(cell("bob@example.org"), "bob@example.org");
    }
}
