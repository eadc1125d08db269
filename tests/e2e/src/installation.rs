//! The files of one installation: configuration, policy, ledger.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The policy of the demonstration, which is also that of the tests.
pub const EXAMPLE_POLICY: &str = include_str!("../../../config/policy/example.toml");

/// Files of an installation in a directory of its own.
#[derive(Debug)]
pub struct Installation {
    directory: PathBuf,
}

impl Installation {
    /// Writes `mailwarden.toml` and the policy into `directory`: the example, with `additions` at its end.
    ///
    /// `settings` are more lines of the configuration and may begin with keys of `[gate]`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn create(directory: &Path, listen: &str, settings: &str, additions: &str) -> Result<Installation> {
        let installation = Installation { directory: directory.to_owned() };
        fs::create_dir_all(directory.join("policy"))
            .with_context(|| format!("creating {}", directory.join("policy").display()))?;
        installation.write_policy(format!("{EXAMPLE_POLICY}\n{additions}"))?;
        let text = format!(
            "[policy]\ndirectory = \"policy\"\n\n[ledger]\nurl = \"{}\"\nkey = \"ledger-key.pem\"\n\n\
             [gate]\nlisten = \"{listen}\"\nsocket_mode = \"0666\"\n{settings}\n",
            installation.ledger_url()
        );
        installation.write("mailwarden.toml", text)?;
        Ok(installation)
    }

    /// The configuration file, for `--config`.
    #[must_use]
    pub fn config(&self) -> String {
        self.path("mailwarden.toml")
    }

    /// The one file of the policy.
    #[must_use]
    pub fn policy_file(&self) -> String {
        self.path("policy/example.toml")
    }

    /// Replaces the policy, whatever the bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_policy(&self, text: impl AsRef<[u8]>) -> Result<()> {
        self.write("policy/example.toml", text).map(drop)
    }

    /// The ledger, for `--ledger`.
    #[must_use]
    pub fn ledger_url(&self) -> String {
        format!("sqlite:{}", self.path("ledger.db"))
    }

    /// A path inside the installation.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// Writes a file of the installation and names it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<String> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("writing {path}"))?;
        Ok(path)
    }
}
