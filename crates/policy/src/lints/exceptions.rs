//! What is accepted is accepted by somebody, and not for ever.

use chrono::TimeDelta;

use super::survey::Survey;
use super::{Lint, Note};
use crate::diagnostic::Level;
use crate::raw::{RawException, Timestamp};

/// Nothing is accepted for longer without another look.
const LONGEST: TimeDelta = TimeDelta::days(365);
/// What `RawException` means where only the approval has a date.
const USUAL: TimeDelta = TimeDelta::days(90);

pub(super) static LINTS: &[Lint] = &[
    Lint {
        id: "exception-expired",
        level: Level::Warning,
        reports: "An exception whose time is over.",
        because: "What it accepted is open again. \"Temporary\" exceptions that nobody removes are where access \
                  persists.",
        fixture: include_str!("fixtures/exception-expired.toml"),
        check: expired,
    },
    Lint {
        id: "exception-orphaned",
        level: Level::Error,
        reports: "An exception whose approver has left or is nobody on record.",
        because: "Nobody answers for it any more.",
        fixture: include_str!("fixtures/exception-orphaned.toml"),
        check: orphaned,
    },
    Lint {
        id: "exception-too-long",
        level: Level::Error,
        reports: "An exception that holds for more than a year from now.",
        because: "An exception without an end is a rule that nobody decided on.",
        fixture: include_str!("fixtures/exception-too-long.toml"),
        check: too_long,
    },
];

fn exceptions<'a>(survey: &'a Survey<'_>) -> impl Iterator<Item = (usize, &'a RawException)> {
    let all = survey.files.iter().enumerate();
    all.flat_map(|(at, file)| file.exception.iter().map(move |raw| (at, raw.get_ref())))
}

fn end(raw: &RawException) -> Option<chrono::DateTime<chrono::Utc>> {
    let moment = |timestamp: &Timestamp| timestamp.0;
    let approved = raw.approved.as_ref().map(|at| moment(at.get_ref()));
    raw.expires.as_ref().map(|at| moment(at.get_ref())).or_else(|| Some(approved? + USUAL))
}

fn expired(survey: &Survey<'_>) -> Vec<Note> {
    let over = exceptions(survey).filter_map(|(file, raw)| {
        let end = end(raw).filter(|end| *end <= survey.now)?;
        let message = format!("this exception ended on {}", end.format("%Y-%m-%d"));
        let help = "remove what it accepted and then the exception, or have it approved again with new dates";
        Some(Note::at(file, &raw.reason, message, help))
    });
    over.collect()
}

fn orphaned(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = exceptions(survey).filter_map(|(file, raw)| {
        let approver = raw.approver.get_ref().parse().ok()?;
        let message = match survey.policy.person(&approver) {
            None => format!("nobody on record is `{approver}`, who accepted this"),
            Some(person) if survey.has_left(&approver) => {
                format!("{} accepted this and has left", person.name)
            }
            Some(_) => return None,
        };
        Some(Note::at(file, &raw.approver, message, "have it approved by somebody who answers for it now"))
    });
    wrong.collect()
}

fn too_long(survey: &Survey<'_>) -> Vec<Note> {
    let wrong = exceptions(survey).filter_map(|(file, raw)| {
        let end = end(raw).filter(|end| *end > survey.now + LONGEST)?;
        let message = format!("this exception holds until {}", end.format("%Y-%m-%d"));
        let last = (survey.now + LONGEST).format("%Y-%m-%d").to_string();
        let note = Note::at(file, &raw.reason, message, format!("write a date up to {last}"));
        Some(Note { span: raw.expires.as_ref()?.span(), ..note })
    });
    wrong.collect()
}
