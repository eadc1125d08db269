//! The configuration file, the policy directory and secrets, as both programs read them.
//!
//! Reading a file is all the I/O there is; what a text means is decided by the policy and by the typed tables here.

mod clients;
mod error;
mod mailman;
mod network;
mod notify;
mod policy_files;
mod probe;
mod secret;
mod sender_logins;
mod settings;

pub use clients::{Clients, is_within};
pub use error::SettingsError;
pub use mailman::Mailman;
pub use network::{Network, NotANetwork};
pub use notify::Notify;
pub use policy_files::{load_policy, load_policy_about, policy_sources};
pub use probe::Probe;
pub use secret::SecretSource;
pub use settings::{
    Accounts, DEFAULT_CONFIG, DoveadmApi, Dovecot, Gate, Journal, Keep, Ledger, LedgerAnchor, Login,
    MailServer, Metrics, Panel, PanelWriter, Postfix, Pulls, Settings, Sweep, Tls,
};
