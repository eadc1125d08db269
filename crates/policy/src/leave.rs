//! One edit of a policy file: somebody leaves. Every other byte stays as it is.

use chrono::{DateTime, SecondsFormat, Utc};
use mailwarden_address::Address;

use crate::diagnostic::Source;
use crate::raw::{RawFile, RawPerson};
use crate::written::Spanned;

/// Why the edit is not made.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// Nobody in this file has the address.
    #[error("no [[person]] in {0} has the address {1}")]
    NoSuchPerson(String, Address),
    /// The text cannot be read.
    #[error("{0} cannot be read as a policy")]
    Unreadable(String),
}

/// The text of a file in which this person leaves at a moment, and perhaps has a successor.
///
/// # Errors
/// The person does not stand in this file, or the edited text is no policy.
pub fn mark_left(
    source: &Source,
    person: &Address,
    left: DateTime<Utc>,
    successor: Option<&Address>,
) -> Result<String, LeaveError> {
    let unreadable = || LeaveError::Unreadable(source.name.to_string());
    let text = source.utf8().map_err(|_| unreadable())?;
    let file: RawFile = toml::from_str(text).map_err(|_| unreadable())?;
    let holds = |raw: &&RawPerson| {
        raw.addresses.iter().any(|own| own.get_ref().parse::<Address>().is_ok_and(|own| own == *person))
    };
    let raw = file.person.iter().map(Spanned::get_ref).find(holds);
    let raw = raw.ok_or_else(|| LeaveError::NoSuchPerson(source.name.to_string(), person.clone()))?;
    Ok(edited(text, raw, left, successor))
}

fn edited(text: &str, raw: &RawPerson, left: DateTime<Utc>, successor: Option<&Address>) -> String {
    let left_value = left.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut changes = Vec::new();
    let mut added = String::new();
    match &raw.left {
        Some(written) => changes.push((written.span(), left_value)),
        None => added.push_str(&format!("left = {left_value}\n")),
    }
    if let Some(successor) = successor {
        let value = toml::Value::String(successor.to_string()).to_string();
        match &raw.successor {
            Some(written) => changes.push((written.span(), value)),
            None => added.push_str(&format!("successor = {value}\n")),
        }
    }
    // After the line of the name: the one key that every person has, and never an inline table.
    let after_name = raw.name.span().end;
    let line_end = text[after_name..].find('\n').map(|at| after_name + at + 1);
    match line_end {
        Some(at) => changes.push((at..at, added)),
        None => changes.push((text.len()..text.len(), format!("\n{added}"))),
    }
    changes.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut out = text.to_owned();
    for (span, value) in changes {
        out.replace_range(span, &value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../../config/policy/example.toml");

    fn edit(text: &str, person: &str, successor: Option<&str>) -> Result<String, LeaveError> {
        let source = Source::new("a.toml", text.as_bytes());
        let successor = successor.map(|address| address.parse().unwrap());
        let left = "2027-01-31T17:00:00Z".parse().unwrap();
        let person = person.parse().unwrap();
        let text = mark_left(&source, &person, left, successor.as_ref())?;
        let edited = Source::new("a.toml", text.clone().into_bytes());
        let (policy, _) = crate::Policy::compile(&[edited]).expect("still a policy");
        let person = policy.person(&person).unwrap();
        assert_eq!(person.left, Some(left));
        assert_eq!(person.successor, successor.or(person.successor.clone()));
        Ok(text)
    }

    #[test]
    fn only_two_lines_are_new_and_every_other_byte_stays() {
        let text = edit(TEXT, "omar@example.test", Some("jane@example.test")).unwrap();
        let new = ["left = 2027-01-31T17:00:00Z\n", "successor = \"jane@example.test\"\n"].concat();
        assert_eq!(text.replacen(&new, "", 1), TEXT);
    }

    #[test]
    fn a_time_that_stands_there_is_replaced_in_its_place() {
        let text = edit(TEXT, "bob@example.test", None).unwrap();
        assert_eq!(text, TEXT.replace("left = 2026-01-31T17:00:00Z", "left = 2027-01-31T17:00:00Z"));
    }

    #[test]
    fn somebody_else_is_not_edited() {
        assert!(matches!(edit(TEXT, "nobody@example.test", None), Err(LeaveError::NoSuchPerson(..))));
    }
}
