//! What leads from one node to another, and what proves it.

use mailwarden_evidence::Evidence;
use serde::Serialize;

use crate::Locator;

/// What a link gives to the node it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// The same thing under another name: a person and their address, a mailbox and its login.
    Is,
    /// Can be sent as.
    SendsAs,
    /// Runs.
    Runs,
    /// Gets the mail, or a copy of it.
    ReceivesCopy,
    /// Can plant, change or delete mail, but not read it.
    Changes,
    /// Can read, or can give itself the right to read.
    Reads,
    /// Can log in as.
    LogsInAs,
}

impl Power {
    /// In a sentence, after "can".
    pub fn verb(self) -> &'static str {
        match self {
            Self::Is => "is",
            Self::SendsAs => "send as",
            Self::Runs => "run on",
            Self::ReceivesCopy => "receive",
            Self::Changes => "change",
            Self::Reads => "read",
            Self::LogsInAs => "log in as",
        }
    }
}

/// Whether a link acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acting {
    /// It acts now.
    Now,
    /// It acts where a condition holds that this run could not see.
    Perhaps,
    /// One step from acting, such as an inactive script.
    Dormant,
}

/// What proves a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Proof {
    /// A collector saw it.
    Observation {
        /// The surface.
        surface: String,
        /// The evidence.
        evidence: Evidence,
    },
    /// The policy says so, and the gate does so.
    Policy {
        /// By which record.
        record: String,
    },
    /// It is so on every server of this kind.
    Protocol,
}

/// A directed link: whoever gets what `from` stands for has `power` by way of `to`.
#[derive(Debug, Clone, Serialize)]
pub struct Link {
    #[serde(skip)]
    pub(super) from: usize,
    #[serde(skip)]
    pub(super) to: usize,
    /// What it gives.
    pub power: Power,
    /// The step in a path; empty where the two ends say it all.
    pub label: String,
    /// Whether it acts.
    pub acting: Acting,
    /// When it acts; empty means always.
    pub condition: String,
    /// What proves it.
    pub proof: Proof,
    /// Where it is written.
    pub locator: Locator,
}

impl Link {
    pub(super) fn new(from: usize, to: usize, power: Power, label: impl Into<String>, proof: Proof) -> Self {
        Self {
            from,
            to,
            power,
            label: label.into(),
            acting: Acting::Now,
            condition: String::new(),
            proof,
            locator: Locator::default(),
        }
    }

    pub(super) fn only_if(self, acting: Acting, condition: impl Into<String>) -> Self {
        Self { acting: self.acting.max(acting), condition: condition.into(), ..self }
    }

    pub(super) fn at(self, locator: Locator) -> Self {
        Self { locator, ..self }
    }

    /// The step with what makes it uncertain.
    pub fn step(&self) -> String {
        match self.acting {
            _ if self.label.is_empty() => String::new(),
            Acting::Now => self.label.clone(),
            Acting::Perhaps => format!("{}, if {}", self.label, self.condition),
            Acting::Dormant => format!("{}, not acting: {}", self.label, self.condition),
        }
    }
}
