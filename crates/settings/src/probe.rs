//! `[probe]`: logins that a sweep tries for accounts that ought to be closed.

use serde::Deserialize;

use crate::SecretSource;
use crate::settings::MailServer;

/// `[probe]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Probe {
    /// Test passwords: on each line an account, a blank and a password that the administrator set for it. A person's
    /// own password has no place there.
    pub passwords: Option<SecretSource>,
    /// Whether the master user of `[login]` is tried for accounts without a test password; never by submission.
    pub master: bool,
    /// Where IMAP is tried.
    pub imap: Option<MailServer>,
    /// Where POP3 is tried.
    pub pop3: Option<MailServer>,
    /// Where submission is tried. No message is sent.
    pub submission: Option<MailServer>,
    /// Where ManageSieve is tried.
    pub managesieve: Option<MailServer>,
}
