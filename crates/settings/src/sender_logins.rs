//! The files of `sender_login_maps`.

use std::ops::Range;
use std::path::Path;

use mailwarden_gate::SenderLogins;
use mailwarden_policy::{Diagnostic, Source};

use crate::{Settings, SettingsError};

/// Larger tables are refused: the policy directory has the same bound.
const MAX_TABLE_BYTES: u64 = 256 << 20;

impl Settings {
    /// Reads which login may use which sender address: the texts from which `postmap` makes its tables.
    ///
    /// # Errors
    /// A file cannot be read, or a line in it is no entry.
    pub fn sender_logins(&self) -> Result<SenderLogins, SettingsError> {
        let mut logins = SenderLogins::default();
        for written in &self.gate.sender_login_maps {
            let source = read(&self.resolve(written))?;
            let text = source.utf8().map_err(|diagnostic| SettingsError::Invalid(vec![*diagnostic]))?;
            logins.add(text).map_err(|bad| {
                let diagnostic = Diagnostic::error(
                    "config.bad-sender-login",
                    &source,
                    line_span(text, bad.line),
                    bad.problem,
                    "write `address  login, login`, as for Postfix's smtpd_sender_login_maps",
                );
                SettingsError::Invalid(vec![diagnostic])
            })?;
        }
        Ok(logins)
    }
}

fn read(path: &Path) -> Result<Source, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable {
        what: "the sender login table",
        path: path.to_owned(),
        source,
        next: "name the text file that postmap reads, or correct `sender_login_maps` under [gate]",
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.len() > MAX_TABLE_BYTES {
        return Err(unreadable(std::io::Error::other(format!("it is larger than {MAX_TABLE_BYTES} bytes"))));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    Ok(Source::new(path.display().to_string(), bytes))
}

fn line_span(text: &str, line: usize) -> Range<usize> {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let length = text[start..].lines().next().map_or(0, str::len);
    start..start + length
}
