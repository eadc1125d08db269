//! `[mailman]`: mailing lists, by the REST interface of Mailman 3.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::SecretSource;
use crate::settings::{duration, half_a_minute};

/// `[mailman]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mailman {
    /// `http://localhost:8001/3.1` for a loopback address only; otherwise https.
    pub url: String,
    /// `admin_user` of `[webservice]` in mailman.cfg.
    pub user: String,
    /// `admin_pass`.
    pub password: SecretSource,
    /// The name the certificate must carry; the URL's host when absent.
    pub tls_name: Option<String>,
    /// A private certification authority, PEM; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// How long one answer may take.
    #[serde(default = "half_a_minute", deserialize_with = "duration")]
    pub timeout: Duration,
}
