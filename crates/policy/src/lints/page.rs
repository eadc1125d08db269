//! A lint's page in the documentation, written from the lint itself.

use super::{Lint, lints};
use crate::diagnostic::Level;

/// Between what a fixture shows as wrong and what it shows as right.
const INSTEAD: &str = "# ---- instead ----\n";

impl Lint {
    /// What is reported, and what to write instead.
    pub fn example(&self) -> (&'static str, &'static str) {
        self.fixture.split_once(INSTEAD).unwrap_or((self.fixture, ""))
    }

    /// `error` or `warning`.
    pub fn level_name(&self) -> &'static str {
        match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        }
    }
}

/// The page of one lint, Markdown.
pub fn page(lint: &Lint) -> String {
    let (wrong, right) = lint.example();
    format!(
        "# {id}\n\n{level}. {reports}\n\n## Why\n\n{because}\n\n## Reported\n\n```toml\n{wrong}```\n\n\
         ## Instead\n\n```toml\n{right}```\n\n## Accepting it\n\nWhere it is known and right as it is, say so, \
         with somebody who answers for it and an end:\n\n```toml\n[[exception]]\nlint = \"{id}\"\n\
         subject = \"...\"                # as `mailwarden check --format json` names it\n\
         reason = \"...\"\napprover = \"first.last@your.domain\"\napproved = 2026-01-28             # holds for \
         90 days; at most 365 with `expires`\n```\n",
        id = lint.id,
        level = capital(lint.level_name()),
        reports = lint.reports,
        because = lint.because,
    )
}

/// The page that lists them all.
pub fn index_page() -> String {
    let mut page = String::from(
        "# Lints\n\nWhat `mailwarden check` reports of a policy that can be used. An error breaks the control \
         model, a warning weakens it.\n\n| lint | level | reports |\n|---|---|---|\n",
    );
    for lint in lints() {
        page.push_str(&format!("| [{0}]({0}.md) | {1} | {2} |\n", lint.id, lint.level_name(), lint.reports));
    }
    page
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
