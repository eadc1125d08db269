//! Raw facts with the evidence that proves them.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::SurfaceId;

/// One raw fact a collector saw.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Observation {
    /// The mailbox looked at, or [`crate::SYSTEM`] for facts of the whole mail system.
    pub mailbox: String,
    /// The surface it was seen on.
    pub surface: SurfaceId,
    /// What was seen.
    pub fact: Fact,
    /// What proves it.
    pub evidence: Evidence,
}

/// What a collector can see. Values are as the server gave them; nothing is judged here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fact {
    /// A Sieve script in the mailbox's script store.
    SieveScript {
        /// Its name as the server lists it (lossy UTF-8).
        name: String,
        /// Whether the server runs it at delivery.
        active: bool,
        /// The exact bytes.
        #[serde(with = "crate::text_or_base64")]
        source: Vec<u8>,
        /// The server's IMPLEMENTATION capability, which tells the dialect.
        implementation: String,
    },
    /// One entry of a folder's access control list (RFC 4314).
    AclEntry {
        /// Folder name in UTF-8.
        folder: String,
        /// Who is granted or denied.
        identifier: AclIdentifier,
        /// The right letters, e.g. `lrs`.
        rights: String,
    },
    /// A METADATA annotation that has a value (RFC 5464).
    Metadata {
        /// Folder name, empty for the server's own annotations.
        folder: String,
        /// Entry name.
        entry: String,
        /// Its value (lossy UTF-8).
        value: String,
    },
    /// One row of a Postfix lookup table in force.
    MapEntry {
        /// The parameter that names the table, e.g. `virtual_alias_maps`.
        parameter: String,
        /// The table as `type:name`.
        table: String,
        /// Lookup key.
        key: String,
        /// Result, unparsed.
        result: String,
        /// Line of the key in the table's source text, where that text exists and holds it.
        line: Option<u32>,
    },
    /// A parameter that names an address itself, such as `always_bcc`.
    Parameter {
        /// Parameter name.
        name: String,
        /// Expanded value.
        value: String,
    },
    /// An account the mail server lists.
    Account {
        /// Login name as the server gives it.
        login: String,
    },
}

/// The identifier of an access control entry, as RFC 4314 and Dovecot's shared-mailbox conventions spell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclIdentifier {
    /// The identifier without its leading minus: a login, `anyone`, `authenticated`, `owner`, `$group`.
    pub name: String,
    /// A leading minus: the rights are taken away.
    pub negative: bool,
}

/// What proves an observation, without holding more of it than a reviewer needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// SHA-256 of the raw answer or file, hexadecimal.
    pub sha256: String,
    /// A short redacted excerpt.
    pub excerpt: String,
    /// Which collector saw it.
    pub collector: String,
    /// When, UTC.
    pub observed_at: DateTime<Utc>,
}

impl Evidence {
    /// Evidence over raw bytes; the excerpt is cut to [`Evidence::MAX_EXCERPT`] characters.
    pub fn of(raw: &[u8], excerpt: &str, collector: &str, observed_at: DateTime<Utc>) -> Self {
        Self {
            sha256: Sha256::digest(raw).iter().map(|byte| format!("{byte:02x}")).collect(),
            excerpt: excerpt.chars().take(Self::MAX_EXCERPT).collect(),
            collector: collector.to_owned(),
            observed_at,
        }
    }

    /// Longest excerpt, in characters.
    pub const MAX_EXCERPT: usize = 400;
}
