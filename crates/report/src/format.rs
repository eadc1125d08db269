//! The formats by name.

use std::fmt;
use std::str::FromStr;

use crate::sanitise::{clipped, visible};

/// What a report can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// For a person at a terminal.
    Text,
    /// The whole report as one JSON document.
    Json,
    /// One JSON document a line: the run, then each finding, then each coverage.
    Jsonl,
    /// Findings and gaps as rows for a spreadsheet.
    Csv,
    /// One file for a browser, readable offline.
    Html,
    /// OCSF 1.8 Detection Findings as one JSON array.
    Ocsf,
    /// SARIF 2.1.0.
    Sarif,
    /// DefectDojo's generic findings import.
    Defectdojo,
}

impl Format {
    /// Every format, in the order in which they are named to people.
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Json,
        Self::Jsonl,
        Self::Csv,
        Self::Html,
        Self::Ocsf,
        Self::Sarif,
        Self::Defectdojo,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Ocsf => "ocsf",
            Self::Sarif => "sarif",
            Self::Defectdojo => "defectdojo",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A format name that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no report format `{}`; use one of {}", visible(&clipped(.given)), known())]
pub struct UnknownFormat {
    given: String,
}

fn known() -> String {
    Format::ALL.map(Format::name).join(", ")
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(given))
            .ok_or_else(|| UnknownFormat { given: given.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "x\u{1b}ml".parse::<Format>().unwrap_err();
        let expected = "there is no report format `x\\u{1b}ml`; use one of text, json, jsonl, csv, html, \
                        ocsf, sarif, defectdojo";
        assert_eq!(error.to_string(), expected);
    }
}
