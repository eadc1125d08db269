//! What a policy says that can be used, and is unwise: naming, ownership, recovery, credentials, leavers.
//!
//! A lint has an id, a level, a page in docs/reference/lints and a fixture that is both its test and the
//! example of its page. One that is known and accepted is an `[[exception]]` with `lint` and `subject`, until
//! a date.

mod credentials;
mod domains;
mod exceptions;
mod naming;
mod ownership;
mod page;
mod people;
mod recovery;
mod survey;
mod workflows;

use std::ops::Range;

use chrono::{DateTime, Utc};

pub use page::{index_page, page};
use survey::Survey;

use crate::diagnostic::{Diagnostic, Level, Source};
use crate::policy::Policy;
use crate::raw::Text;

/// One lint.
pub struct Lint {
    /// Stable identifier; its page is `docs/reference/lints/ID.md`.
    pub id: &'static str,
    /// An error breaks the control model; a warning weakens it.
    pub level: Level,
    /// What it reports, one sentence.
    pub reports: &'static str,
    /// Why that matters.
    pub because: &'static str,
    /// TOML that is reported, then `# ---- instead ----`, then TOML that is not.
    pub fixture: &'static str,
    check: fn(&Survey<'_>) -> Vec<Note>,
}

/// One thing that a lint reports.
struct Note {
    source: usize,
    span: Range<usize>,
    /// What it speaks of; an exception names it.
    subject: String,
    message: String,
    help: String,
}

impl Note {
    fn at(source: usize, text: &Text, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            source,
            span: text.span(),
            subject: text.get_ref().clone(),
            message: message.into(),
            help: help.into(),
        }
    }

    /// The same about something else than the text it stands at.
    fn about(self, subject: impl ToString) -> Self {
        Self { subject: subject.to_string(), ..self }
    }
}

/// Every lint, family by family.
pub fn lints() -> impl Iterator<Item = &'static Lint> {
    let families: [&'static [Lint]; 8] = [
        naming::LINTS,
        workflows::LINTS,
        ownership::LINTS,
        recovery::LINTS,
        credentials::LINTS,
        domains::LINTS,
        people::LINTS,
        exceptions::LINTS,
    ];
    families.into_iter().flatten()
}

/// Runs every lint over a policy that compiles; `sources` are the texts it was compiled from.
///
/// What an exception of the policy accepts is left out until the exception expires.
pub fn lint(policy: &Policy, sources: &[Source], now: DateTime<Utc>) -> Vec<Diagnostic> {
    let survey = Survey::new(policy, sources, now);
    let mut found = Vec::new();
    for lint in lints() {
        let notes = (lint.check)(&survey).into_iter().filter(|note| !survey.accepts(lint.id, note));
        found.extend(notes.filter_map(|note| diagnostic(lint, note, sources)));
    }
    found.sort_by_key(|found| (found.level, found.source.name.clone(), found.span.start));
    found
}

fn diagnostic(lint: &Lint, note: Note, sources: &[Source]) -> Option<Diagnostic> {
    let source = sources.get(note.source)?;
    let mut diagnostic = Diagnostic::error(lint.id, source, note.span, note.message, note.help);
    diagnostic.level = lint.level;
    Some(diagnostic)
}
