//! What was looked at, and what could not be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SurfaceId;

/// The mailbox column of facts and coverage that belong to the mail system as a whole.
pub const SYSTEM: &str = "(system)";

/// How far one surface of one mailbox was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// The mailbox, or [`SYSTEM`].
    pub mailbox: String,
    /// The surface.
    pub surface: SurfaceId,
    /// How far it was seen.
    pub state: CoverageState,
    /// Why not further, and what to do about it; empty when collected.
    pub reason: String,
    /// The server or command that answered or did not, e.g. `imap 127.0.0.1:143`.
    pub source: String,
}

/// Only [`CoverageState::Collected`] lets a mailbox be called clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CoverageState {
    /// Everything there was.
    Collected,
    /// The server does not have this surface.
    Unsupported,
    /// The server refused, by rights or by policy.
    Denied,
    /// The server could not be reached or answered nonsense.
    Error,
    /// Some of it.
    Partial,
    /// Not asked for in this run.
    Skipped,
}

impl CoverageState {
    /// Whether nothing on the surface can have been missed. A surface that the server does not have has nothing
    /// on it.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Collected | Self::Unsupported)
    }
}
