//! Data on standard output, talk on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

/// Writes text as it is.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes one JSON value, readable, with a line end.
pub(crate) fn print_json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// The same value for programs or for people.
pub(crate) fn answer<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> io::Result<()> {
    if json { print_json(value) } else { print(&text(value)) }
}

/// Says something that is not data.
pub(crate) fn complain(text: &str) {
    // Where even standard error is gone, the exit code has to do.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Colour is for terminals whose owner did not ask to be spared (no-color.org).
pub(crate) fn colour_on_stdout() -> bool {
    io::stdout().is_terminal() && colour_wanted()
}

pub(crate) fn colour_on_stderr() -> bool {
    io::stderr().is_terminal() && colour_wanted()
}

fn colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The terminal's width as `COLUMNS` gives it, else 80.
pub(crate) fn width() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(80).clamp(40, 200)
}

/// Strangers' text for a terminal: what would be obeyed rather than shown is shown as an escape.
pub(crate) fn shown(text: &str) -> String {
    mailwarden_report::sanitise::visible(text).into_owned()
}
