//! `mailwarden report`: a saved run in another format.

use mailwarden_judge::{REPORT_SCHEMA, Report};
use mailwarden_report::TextStyle;

use crate::arguments::Rerender;
use crate::failure::{Failure, Outcome};
use crate::output;

/// The style of a report on this terminal.
pub(crate) fn style() -> TextStyle {
    TextStyle { width: output::width(), colour: output::colour_on_stdout() }
}

/// Reads a saved report.
pub(crate) fn load(path: &std::path::Path) -> Result<Report, Failure> {
    let shown = path.display();
    let bytes =
        std::fs::read(path).map_err(|error| Failure::Usage(format!("cannot read {shown}: {error}")))?;
    let report: Report = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Usage(format!("{shown} is not a report saved as JSON: {error}")))?;
    if report.schema != REPORT_SCHEMA {
        let schema = output::shown(&report.schema);
        return Err(Failure::Usage(format!(
            "{shown} has the schema `{schema}`; this program reads `{REPORT_SCHEMA}`"
        )));
    }
    Ok(report)
}

pub(crate) fn run(rerender: &Rerender) -> Result<Outcome, Failure> {
    let report = load(&rerender.file)?;
    mailwarden_report::write(&report, rerender.format, &mut std::io::stdout().lock(), &style())?;
    Ok(Outcome::Clean)
}
