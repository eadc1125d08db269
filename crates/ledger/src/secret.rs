//! Files that hold a secret: read whole, refused when others could read them too.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::LedgerError;

/// The longest secret; whoever names a log file by mistake gets no gigabyte in memory.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Reads a file that only its owner may read; `what` names the secret in messages.
pub(crate) fn read_secret_file(what: &str, path: &Path) -> Result<Zeroizing<String>, LedgerError> {
    let failed = |source| LedgerError::File {
        doing: "reading the secret in",
        path: path.into(),
        source: Arc::new(source),
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    let refuse = |problem: String, fix: String| {
        Err(LedgerError::Misplaced { path: path.into(), problem: format!("{what}: {problem}"), fix })
    };
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        let fix = format!("chmod 600 {}", path.display());
        return refuse(format!("others can read this file (mode {mode:03o})"), fix);
    }
    if metadata.len() > MAX_SECRET_BYTES {
        return refuse("the file is too long".to_owned(), "name the file that holds it".to_owned());
    }
    fs::read_to_string(path).map(Zeroizing::new).map_err(failed)
}

/// Reads a secret that is one line.
pub(crate) fn read_secret(what: &str, path: &Path) -> Result<Zeroizing<String>, LedgerError> {
    let text = read_secret_file(what, path)?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.contains(['\r', '\n', '\0']) {
        return Err(LedgerError::Misplaced {
            path: path.into(),
            problem: format!("{what}: the file is not one line that is not empty"),
            fix: "write the secret, and nothing else, into it".to_owned(),
        });
    }
    Ok(Zeroizing::new(line.to_owned()))
}
