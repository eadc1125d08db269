//! `[clients]`: programs that fetch mail from outside, and logins of people who have left, as the servers' logs say.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::Network;

/// `[clients]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clients {
    /// The files that the lines of Dovecot and Postfix are written to; where none is named, Dovecot is asked for its
    /// `log_path` and Postfix for its `maillog_file`. What was rotated away from them is found beside them.
    pub logs: Vec<PathBuf>,
    /// How many days are looked back, at most 400.
    pub days: u32,
    /// Networks from which one's own people, webmail and sweeps log in. Without them nobody can tell what is outside.
    pub own_networks: Vec<Network>,
    /// Networks of services that fetch mail, by the service's name.
    pub fetchers: BTreeMap<String, Vec<Network>>,
}

impl Default for Clients {
    fn default() -> Self {
        Self { logs: Vec::new(), days: 30, own_networks: Vec::new(), fetchers: BTreeMap::new() }
    }
}

/// Whether an address lies in one of some networks.
pub fn is_within(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}
