//! A report of the rounds, as a case sees it: a saved one, or one that is made now.

use std::path::Path;

use mailwarden_casework::{OpenFinding, Row, Swept};
use mailwarden_judge::Report;

use crate::arguments::{Common, Looking};
use crate::failure::Failure;
use crate::{rerender, sweep};

/// Looks at this now, or takes the saved report.
pub(crate) async fn swept(
    common: &Common,
    report: Option<&Path>,
    looking: &Looking,
) -> Result<Swept, Failure> {
    match report {
        Some(file) => Ok(seen(&rerender::load(file)?)),
        None => Ok(seen(&sweep::now(common, looking).await?)),
    }
}

/// What a case needs of a report.
pub(crate) fn seen(report: &Report) -> Swept {
    let rows = report.coverage.iter().map(|coverage| Row {
        mailbox: coverage.mailbox.clone(),
        surface: coverage.surface.clone(),
        complete: coverage.state.is_complete(),
    });
    let findings = report.open_findings().map(|finding| OpenFinding {
        fingerprint: finding.fingerprint.clone(),
        mailbox: finding.mailbox.clone(),
        surface: finding.surface.id.clone(),
        beneficiary: finding.beneficiary.value.clone(),
        title: finding.title.clone(),
        command: finding.remediation.command.clone(),
    });
    Swept {
        run_id: report.run_id.clone(),
        started: report.started,
        rows: rows.collect(),
        findings: findings.collect(),
    }
}
