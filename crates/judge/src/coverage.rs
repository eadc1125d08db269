//! What the coverage of a run lets one say of a place.

use mailwarden_evidence::{Coverage, SYSTEM};

/// The rows that bear on a surface of a mailbox. Facts of the mail system as a whole are covered by its own
/// rows, also where their findings name a mailbox.
pub(crate) fn rows<'a>(
    coverage: &'a [Coverage],
    mailbox: &'a str,
    surface: &'a str,
) -> impl Iterator<Item = &'a Coverage> {
    coverage.iter().filter(move |row| {
        row.surface == surface && (row.mailbox.eq_ignore_ascii_case(mailbox) || row.mailbox == SYSTEM)
    })
}

/// Whether nothing on a surface of a mailbox can have been missed. No row means that nobody looked.
pub(crate) fn is_complete(coverage: &[Coverage], mailbox: &str, surface: &str) -> bool {
    let mut rows = rows(coverage, mailbox, surface).peekable();
    rows.peek().is_some() && rows.all(|row| row.state.is_complete())
}
