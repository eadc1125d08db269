//! Every format: goldens of one report, and what must hold whatever strangers wrote.

#![allow(clippy::unwrap_used, reason = "what a test cannot read is a failure of the test")]

mod fixture;
mod goldens;
mod hostile;
mod machines;
mod markup;
mod speed;
mod verdicts;

use mailwarden_judge::Report;
use mailwarden_report::{Format, TextStyle};

/// The report as a string.
fn written(report: &Report, format: Format) -> String {
    styled(report, format, TextStyle::default())
}

fn styled(report: &Report, format: Format, style: TextStyle) -> String {
    let mut out = Vec::new();
    mailwarden_report::write(report, format, &mut out, &style).unwrap();
    String::from_utf8(out).unwrap()
}
