//! Finding v1: the contract that scripts, reports and offboarding runs rely on.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use mailwarden_evidence::{Evidence, Tier};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The schema name every finding carries.
pub const SCHEMA: &str = "mailwarden.finding/1";
/// The version of the fingerprint recipe; a new recipe gets a new number, so that exceptions never bind by accident.
pub const FINGERPRINT_VERSION: u32 = 1;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth cleaning up.
    Low,
    /// Worth asking about.
    Medium,
    /// Act today.
    High,
    /// Act now.
    Critical,
}

/// How sure the judgement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Part of it could not be resolved.
    Low,
    /// Resolved, with an assumption that is named in the conditions.
    Medium,
    /// Read directly from what is in force.
    High,
}

/// Whether the thing found acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In force now.
    Active,
    /// One step from being in force: an inactive script, a condition that is not yet true.
    Dormant,
    /// Points at something that no longer exists.
    Orphan,
    /// Was in force once.
    Historic,
}

/// Against the previous run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not in the previous run, or there was none.
    New,
    /// The same as before.
    Unchanged,
    /// The same place with other content.
    Changed,
    /// Gone.
    Resolved,
    /// Covered by an exception that has not expired.
    Accepted,
}

/// The person behind a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// Name, or the address when the policy knows no name.
    pub person: String,
    /// The kind of mailbox they own it as.
    pub role: String,
    /// When they left.
    pub left: Option<DateTime<Utc>>,
}

/// The surface a finding was made on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SurfaceRef {
    /// Catalogue id.
    pub id: String,
    /// From where it is seen.
    pub tier: Tier,
}

/// Where exactly. Only the parts that apply are present.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Locator {
    /// Script name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub script: Option<String>,
    /// Line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u32>,
    /// Column in bytes, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<u32>,
    /// First byte and the byte after the last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub span: Option<(usize, usize)>,
    /// Folder name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub folder: Option<String>,
    /// File or table, e.g. `hash:/etc/postfix/virtual`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// Lookup key, annotation or identifier inside it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
}

/// Who gains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Beneficiary {
    /// How it stands to the organisation.
    pub kind: BeneficiaryKind,
    /// The address, login or command.
    pub value: String,
    /// The person behind it, where the policy knows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub person: Option<String>,
}

/// How a beneficiary stands to the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BeneficiaryKind {
    /// An address or login in a domain of the policy.
    Internal,
    /// Outside, in a domain to which forwarding is approved.
    Approved,
    /// Outside.
    External,
    /// Cannot be said: computed from the message, a list, a group, anyone.
    Unresolvable,
    /// A program or file.
    Command,
}

/// How to remove the finding and what that does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Remediation {
    /// What to run or do.
    pub command: String,
    /// How to undo it.
    pub revert: String,
    /// What else changes.
    pub side_effects: String,
    /// Software that would write it again.
    pub regenerated_by: Vec<String>,
}

/// An ATT&CK technique.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attack {
    /// Technique identifier, e.g. `T1114.003`.
    pub technique: String,
    /// Catalogue version.
    pub version: String,
}

/// Why an accepted finding is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Suppression {
    /// The reason given.
    pub reason: String,
    /// Who accepted it.
    pub approver: String,
    /// Until when.
    pub expires: DateTime<Utc>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The run that made it.
    pub run_id: String,
    /// Identity across runs; holds no line numbers and no order.
    pub fingerprint: String,
    /// The recipe of the fingerprint.
    pub fingerprint_version: u32,
    /// Digest of what was found; an exception binds to it as well.
    pub content_hash: String,
    /// The check, e.g. `sieve.redirect-external`.
    pub check_id: String,
    /// One plain sentence.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Whether it acts.
    pub state: State,
    /// Against the previous run.
    pub status: Status,
    /// The mailbox it concerns.
    pub mailbox: String,
    /// Its owner, where the policy knows.
    pub owner: Option<Owner>,
    /// Where it was seen.
    pub surface: SurfaceRef,
    /// Where exactly.
    pub locator: Locator,
    /// What it can do, in standard words: `redirect`, `read`, `post`, `administer`, `run`.
    pub effects: Vec<String>,
    /// Who gains.
    pub beneficiary: Beneficiary,
    /// The way from the mailbox to the beneficiary, each step a plain phrase.
    pub path: Vec<String>,
    /// When it acts.
    pub conditions: String,
    /// What proves it.
    pub evidence: Vec<Evidence>,
    /// First run that saw it, UTC.
    pub first_seen: DateTime<Utc>,
    /// This run, UTC.
    pub last_seen: DateTime<Utc>,
    /// When it was last seen acting, where anything watches that.
    pub observed_use: Option<DateTime<Utc>>,
    /// Techniques.
    pub attack: Vec<Attack>,
    /// What to do.
    pub remediation: Remediation,
    /// Why it is accepted, if it is.
    pub suppression: Option<Suppression>,
}

/// The digest of parts that may hold any bytes: lengths are hashed with them, so that no two lists of parts collide.
pub(crate) fn digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    HEXLOWER.encode(&hasher.finalize()[..16])
}
