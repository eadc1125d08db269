//! The policy in force. A reload swaps it whole or leaves it; a message keeps the one it began with.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use mailwarden_gate::{Modes, SenderLogins};
use mailwarden_policy::{Diagnostic, Policy};
use mailwarden_settings::{Network, Settings, SettingsError, load_policy};

/// What decisions are made from.
pub(crate) struct Snapshot {
    pub(crate) policy: Policy,
    pub(crate) modes: Modes,
    pub(crate) sender_logins: SenderLogins,
    pub(crate) own_networks: Vec<Network>,
}

impl Snapshot {
    /// Whether an address is that of one of our own hosts.
    pub(crate) fn is_own_host(&self, client: IpAddr) -> bool {
        self.own_networks.iter().any(|network| network.contains(client))
    }
}

/// Holds the snapshot in force and knows where it came from.
pub(crate) struct Snapshots {
    current: ArcSwap<Snapshot>,
    config: Option<PathBuf>,
    policy_override: Option<PathBuf>,
}

/// A snapshot with what was remarkable about its texts.
pub(crate) type Loaded = (Snapshot, Vec<Diagnostic>);

impl Snapshots {
    pub(crate) fn new(
        snapshot: Snapshot,
        config: Option<PathBuf>,
        policy_override: Option<PathBuf>,
    ) -> Arc<Self> {
        Arc::new(Self { current: ArcSwap::from_pointee(snapshot), config, policy_override })
    }

    pub(crate) fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    pub(crate) fn replace(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }

    /// Reads everything again. Nothing is in force yet.
    pub(crate) fn read_again(&self) -> Result<Loaded, SettingsError> {
        let settings = Settings::load(self.config.as_deref())?;
        read(&settings, self.policy_override.as_deref())
    }
}

/// Reads the policy that the settings, or the command line, name.
pub(crate) fn read(settings: &Settings, policy_override: Option<&Path>) -> Result<Loaded, SettingsError> {
    let directory = policy_override.map_or_else(|| settings.policy_directory(), Path::to_owned);
    let (policy, warnings) = load_policy(&directory)?;
    let snapshot = Snapshot {
        policy,
        modes: settings.gate.rules,
        sender_logins: settings.sender_logins()?,
        own_networks: settings.gate.own_networks.clone(),
    };
    Ok((snapshot, warnings))
}
