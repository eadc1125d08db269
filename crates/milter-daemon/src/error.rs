//! Why the gate does not start, and which exit code says so.

use mailwarden_ledger::{Fault, LedgerError};
use mailwarden_settings::SettingsError;
use milter_proto::listen::{AddressError, BindError};

/// The gate cannot start.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The configuration or the policy is wrong.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// The listen address is wrong.
    #[error("error: the listen address is wrong: {0}")]
    Address(#[from] AddressError),
    /// A value of the configuration cannot be used.
    #[error("error: {0}")]
    Configuration(String),
    /// The socket cannot be opened.
    #[error("error: cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: String,
        /// Why.
        source: BindError,
    },
    /// The metrics address cannot be opened.
    #[error("error: cannot listen for metrics on {address}: {source}\n  change `listen` under [metrics]")]
    Metrics {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// A socket was open and could not be used.
    #[error("error: cannot use the socket of {address}: {error}")]
    Socket {
        /// Where.
        address: String,
        /// Why.
        error: std::io::Error,
    },
    /// The ledger or the journal cannot be opened. Without them nothing can be proved, so nothing is served;
    /// the MTA defers mail meanwhile.
    #[error("error: cannot open the {what} {url}: {source}")]
    Ledger {
        /// Which.
        what: &'static str,
        /// Where.
        url: String,
        /// Why.
        source: LedgerError,
    },
}

impl GateError {
    /// 2 when the admin has to change something, 4 when something could not be reached or is our fault.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Address(_) | Self::Configuration(_) => 2,
            Self::Ledger { source, .. } if source.fault() == Fault::Configuration => 2,
            Self::Bind { .. } | Self::Metrics { .. } | Self::Socket { .. } | Self::Ledger { .. } => 4,
        }
    }
}
