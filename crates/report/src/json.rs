//! The report as one JSON document: the contract.

use std::io;

use mailwarden_judge::Report;
use serde::Serialize;

use crate::sanitise::is_hidden;

pub(crate) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    write_document(report, out)
}

/// One JSON document of any format.
pub(crate) fn write_document(document: &impl Serialize, out: &mut dyn io::Write) -> io::Result<()> {
    let document = serde_json::to_string_pretty(document)?;
    writeln!(out, "{}", escape_hidden(&document))
}

/// Writes what would hide on a terminal as `\uXXXX`, which every JSON reader turns back into the same
/// character (RFC 8259 §7). Outside of strings a JSON document is printable ASCII and line feeds, so
/// whatever hides stands inside a string; line feeds and tabs inside strings are escaped by the serializer
/// already.
pub(crate) fn escape_hidden(document: &str) -> String {
    let mut escaped = String::with_capacity(document.len());
    for c in document.chars() {
        if c != '\n' && is_hidden(c) { push_escape(&mut escaped, c) } else { escaped.push(c) }
    }
    escaped
}

fn push_escape(escaped: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        escaped.push_str(&format!("\\u{unit:04x}"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_string_reads_back_as_it_was(text in any::<String>()) {
            let escaped = escape_hidden(&serde_json::to_string(&text)?);
            prop_assert!(!escaped.chars().any(is_hidden));
            prop_assert_eq!(serde_json::from_str::<String>(&escaped)?, text);
        }
    }

    #[test]
    fn characters_beyond_the_first_plane_are_surrogate_pairs() {
        assert_eq!(escape_hidden("\"\u{e0041}\u{9b}\""), r#""\udb40\udc41\u009b""#);
    }
}
