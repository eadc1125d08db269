//! `[notify]`: who hears of what a sweep found.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::SecretSource;
use crate::settings::duration;

/// `[notify]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// An https URL that gets a POST of JSON; nobody is told where it is empty.
    pub webhook: String,
    /// Sent as a bearer token.
    pub webhook_token: Option<SecretSource>,
    /// A private certification authority of the webhook, PEM; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// Who gets a letter; nobody where it is empty.
    pub mail_to: Vec<String>,
    /// Who sends it; `sendmail` decides where it is empty.
    pub mail_from: String,
    /// The program that takes the letter.
    pub sendmail: PathBuf,
    /// Findings below this severity are not told: info, low, medium, high or critical.
    pub severity: String,
    /// Findings that are described; of the others the number is told.
    pub max_findings: usize,
    /// How long either way may take.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            webhook: String::new(),
            webhook_token: None,
            ca_file: None,
            mail_to: Vec::new(),
            mail_from: String::new(),
            sendmail: PathBuf::from("/usr/sbin/sendmail"),
            severity: "medium".to_owned(),
            max_findings: 50,
            timeout: Duration::from_secs(10),
        }
    }
}
