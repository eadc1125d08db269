//! Secrets come from files or systemd credentials; never from arguments, and never into a log.

use std::collections::BTreeMap;
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

    /// Reads a table of secrets: a name, a blank and the secret to the end of the line. Empty lines and lines
    /// that begin with `#` are passed over.
    ///
    /// # Errors
    /// As [`Self::read`], and for a line without a secret or a name that stands twice.
    pub fn read_table(&self, directory: &Path) -> Result<BTreeMap<String, SecretString>, SettingsError> {
        let path = self.path(directory)?;
        refuse_public(&path)?;
        let text = std::fs::read_to_string(&path).map_err(|source| SettingsError::Unreadable {
            what: "the passwords in",
            path: path.clone(),
            source,
            next: "each line holds a mailbox, a blank and its password",
        })?;
        let mut table = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            // The line itself is never repeated: it holds a password.
            let faulty = |cause: &str| {
                SettingsError::Unusable(format!("{} line {}: {cause}", path.display(), number + 1))
            };
            let (name, secret) =
                line.split_once([' ', '\t']).ok_or_else(|| faulty("a mailbox without a password"))?;
            let secret = secret.trim_matches(['\r', ' ', '\t']);
            if secret.is_empty() {
                return Err(faulty("a mailbox without a password"));
            }
            if table.insert(name.to_owned(), SecretString::from(secret)).is_some() {
                return Err(faulty("the mailbox stands twice"));
            }
        }
        Ok(table)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn table(text: &str, mode: u32) -> Result<BTreeMap<String, SecretString>, SettingsError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passwords");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        SecretSource::File("passwords".into()).read_table(directory.path())
    }

    #[test]
    fn a_table_of_passwords_is_read() {
        let read = table("# ours\njane@e.test a pass word\r\n\nbob@e.test\tx\n", 0o600).unwrap();
        let secret = |name: &str| read[name].expose_secret().to_owned();
        assert_eq!((secret("jane@e.test"), secret("bob@e.test")), ("a pass word".into(), "x".into()));
    }

    #[test]
    fn a_faulty_table_is_refused_and_not_repeated() {
        for (text, mode, word) in [
            ("jane@e.test\n", 0o600, "line 1"),
            ("a x\na secret\n", 0o600, "stands twice"),
            ("a secret\n", 0o644, "everybody"),
        ] {
            let said = table(text, mode).unwrap_err().render(false);
            assert!(said.contains(word) && !said.contains("secret,"), "{said}");
        }
    }
}
