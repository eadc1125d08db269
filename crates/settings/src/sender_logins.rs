//! The files of `sender_login_maps`.

use std::ops::Range;
use std::path::Path;

use mailwarden_gate::SenderLogins;
use mailwarden_policy::{Diagnostic, Source};

use crate::{Settings, SettingsError};

/// Larger tables are refused: the policy directory has the same bound.
const MAX_TABLE_BYTES: u64 = 256 << 20;
/// Types of Postfix tables that are made from the text whose name they bear, or are that text.
const MADE_FROM_TEXT: [&str; 7] = ["btree", "cdb", "dbm", "hash", "lmdb", "sdbm", "texthash"];

impl Settings {
    /// Reads which login may use which sender address: the texts from which `postmap` makes its tables. They may be
    /// named as main.cf names the tables (`hash:/etc/postfix/logins`).
    ///
    /// # Errors
    /// A table has no text, a file cannot be read, or a line in it is no entry.
    pub fn sender_logins(&self) -> Result<SenderLogins, SettingsError> {
        let mut logins = SenderLogins::default();
        for written in &self.gate.sender_login_maps {
            let source = read(&self.resolve(text_of(written)?))?;
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

/// The text behind a table. A gate that confines itself runs no programs, so it cannot ask `postmap`; and a pattern
/// or a server says who owns an address that is asked for, not which addresses somebody owns.
fn text_of(written: &Path) -> Result<&Path, SettingsError> {
    let Some(table) = written.to_str() else { return Ok(written) };
    // proxymap(8) reads a table on behalf of somebody else; the table is the same.
    let behind = table.strip_prefix("proxy:").unwrap_or(table);
    match typed(behind) {
        None => Ok(Path::new(behind)),
        Some((kind, name)) if MADE_FROM_TEXT.contains(&kind) => Ok(Path::new(name)),
        Some((kind, _)) => Err(SettingsError::Unusable(format!(
            "`sender_login_maps` under [gate] names {table:?}: tables of type {kind} have no text to read\n  \
             name a text file of `address  login, login` lines instead, or list the logins as \
             `authorised_users` of their mailbox in the policy"
        ))),
    }
}

/// `type:name`, as main.cf writes tables; a path has a slash or a dot before any colon.
fn typed(written: &str) -> Option<(&str, &str)> {
    let (kind, name) = written.split_once(':')?;
    let is_type = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase());
    is_type.then_some((kind, name))
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
