//! One [`Report`], one writer per format.
//!
//! JSON and JSONL are the contract that scripts rely on and hold every value exactly. OCSF, SARIF and
//! DefectDojo's import are for other people's tools. Text, HTML and CSV are for people: there, what strangers wrote (script names, folder names, addresses, excerpts, server
//! answers) passes [`sanitise`] before it is shown.

use std::io;

use mailwarden_judge::Report;

mod csv;
mod defectdojo;
mod format;
mod gaps;
mod graph;
mod html;
mod json;
mod jsonl;
mod notice;
mod ocsf;
mod page;
mod phrases;
pub mod sanitise;
mod sarif;
mod tally;
mod text;
mod wrap;

pub use format::{Format, UnknownFormat};
pub use graph::{Ways, picture};
pub use notice::{NOTICE_SCHEMA, Notice, Told};
pub use page::TextStyle;
pub use tally::summary_line;

/// Writes the report in the format. `style` matters to [`Format::Text`] alone.
///
/// # Errors
/// Whatever `out` answers; a report itself cannot fail to be written.
pub fn write(report: &Report, format: Format, out: &mut dyn io::Write, style: &TextStyle) -> io::Result<()> {
    match format {
        Format::Text => text::write(report, out, style),
        Format::Json => json::write(report, out),
        Format::Jsonl => jsonl::write(report, out),
        Format::Csv => csv::write(report, out),
        Format::Html => html::write(report, out),
        Format::Ocsf => ocsf::write(report, out),
        Format::Sarif => sarif::write(report, out),
        Format::Defectdojo => defectdojo::write(report, out),
    }
}
