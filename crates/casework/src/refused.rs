//! Why a step is not taken, and what to do instead.

use mailwarden_policy::raci::Forbidden;

/// A step that the case does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The control model does not allow it.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// Something else comes first.
    #[error("{what}; {next}")]
    Order {
        /// What is missing.
        what: String,
        /// What to do.
        next: String,
    },
    /// The value given cannot be taken.
    #[error("{what}; {next}")]
    Value {
        /// What is wrong.
        what: String,
        /// What to give instead.
        next: String,
    },
    /// A reset is under way, and everything else about the mailbox waits.
    #[error("{mailbox} is frozen while the reset {case} is open; close it first, or cancel it")]
    Frozen {
        /// The mailbox.
        mailbox: String,
        /// The open case.
        case: String,
    },
}

impl Refused {
    pub(crate) fn order(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Order { what: what.into(), next: next.into() }
    }

    pub(crate) fn value(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Value { what: what.into(), next: next.into() }
    }
}
