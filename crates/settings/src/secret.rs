//! Secrets come from files or systemd credentials; never from arguments, and never into a log.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use crate::SettingsError;

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// A file that holds the secret and perhaps a line end; readable by its owner only.
    File(PathBuf),
    /// A systemd credential (`LoadCredential=`), read below `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

impl SecretSource {
    /// Reads the secret.
    ///
    /// # Errors
    /// When the file cannot be read, is empty, is not text, or may be read by everybody on the machine.
    pub fn read(&self, directory: &Path) -> Result<SecretString, SettingsError> {
        let path = self.path(directory)?;
        refuse_public(&path)?;
        let text = std::fs::read_to_string(&path).map_err(|source| SettingsError::Unreadable {
            what: "the secret in",
            path: path.clone(),
            source,
            next: "the file holds the password as UTF-8 text, on one line",
        })?;
        let secret = text.strip_suffix('\n').unwrap_or(&text);
        let secret = secret.strip_suffix('\r').unwrap_or(secret);
        if secret.is_empty() || secret.contains(['\r', '\n', '\0']) {
            return Err(SettingsError::Unusable(format!(
                "the secret in {} must be one line that is not empty",
                path.display()
            )));
        }
        Ok(SecretString::from(secret))
    }

    pub(crate) fn path(&self, directory: &Path) -> Result<PathBuf, SettingsError> {
        match self {
            Self::File(path) => Ok(directory.join(path)),
            Self::Credential(name) => std::env::var_os("CREDENTIALS_DIRECTORY")
                .map(|base| Path::new(&base).join(name))
                .ok_or_else(|| {
                    SettingsError::Unusable(format!(
                        "the credential `{name}` is wanted, but $CREDENTIALS_DIRECTORY is not set\n  \
                         start the program from a unit with LoadCredential={name}:..., or use a file"
                    ))
                }),
        }
    }
}

fn refuse_public(path: &Path) -> Result<(), SettingsError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode());
    match mode {
        Ok(mode) if mode & 0o004 != 0 => Err(SettingsError::Unusable(format!(
            "the secret in {0} can be read by everybody on this machine (mode {1:04o})\n  chmod 600 {0}",
            path.display(),
            mode & 0o7777
        ))),
        _ => Ok(()),
    }
}
