//! Phrases that several checks share.

use chrono::{DateTime, Utc};

/// Longest piece of foreign text that goes into a title, a path or a value, in characters. Writers escape it;
/// here it is only kept from growing.
const MAX_SHOWN: usize = 200;

/// Foreign text, cut to a length that can be shown.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.to_owned(),
    }
}

/// A date as titles write it.
pub(crate) fn day(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%d").to_string()
}

/// Sentences joined by a semicolon, without the empty ones.
pub(crate) fn joined(parts: &[String]) -> String {
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("; ")
}
