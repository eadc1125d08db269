//! The one value from which everything else is rendered.

use mailwarden_address::Address;
use serde::Serialize;

use crate::rules::{Mode, Rule};

/// The header that keeps the address a message was sent to when its recipient is rewritten.
pub const ROUTE_HEADER: &str = "Mailwarden-Route";

/// What was decided, why, and what has to change.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Decision {
    /// Take it or not.
    pub verdict: Verdict,
    /// Changes to an accepted message, in the order they are to be made.
    pub edits: Vec<Edit>,
    /// The rules that applied, those that only observe included.
    pub reasons: Vec<Reason>,
    /// How the decision was reached, step by step.
    pub trace: Vec<Step>,
}

/// Take it or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Take it.
    #[default]
    Accept,
    /// Do not take it.
    Refuse(Refusal),
}

/// A refusal as the SMTP client is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// SMTP reply code, 4xx or 5xx.
    pub code: u16,
    /// Enhanced status code without its class, e.g. `(7, 1)` for x.7.1 (RFC 3463).
    pub enhanced: (u16, u16),
    /// The address the rule refuses.
    pub address: String,
    /// One sentence.
    pub text: String,
}

impl Refusal {
    /// The text of the reply: it names the rule, the address, and the reference under which the journal holds the
    /// whole decision.
    pub fn reply_text(&self, reference: &str) -> String {
        format!("{}: {} (reference {reference})", self.rule.id(), self.sentence())
    }

    /// What is refused, and why. A message that cannot be read names no address.
    pub fn sentence(&self) -> String {
        match self.address.as_str() {
            "" => self.text.clone(),
            address => format!("<{address}> {}", self.text),
        }
    }

    /// The enhanced status code with its class.
    pub fn enhanced_code(&self) -> String {
        format!("{}.{}.{}", self.code / 100, self.enhanced.0, self.enhanced.1)
    }
}

/// One change to an accepted message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "edit")]
pub enum Edit {
    /// Remove every field of a name; `count` fields are there.
    RemoveHeaders {
        /// Field name.
        name: &'static str,
        /// How many the message has.
        count: u32,
    },
    /// Add a field at the top.
    InsertHeader {
        /// Field name.
        name: &'static str,
        /// Value, one line without control characters.
        value: String,
    },
    /// Take a recipient away.
    DeleteRecipient {
        /// The exact spelling the MTA recorded; any other spelling is silently ignored by Postfix.
        delete_as: Vec<u8>,
    },
    /// Add a recipient.
    AddRecipient {
        /// The new recipient.
        address: Address,
        /// The address it stands for, for delivery status notifications (RFC 3461 §4.2).
        original: Address,
    },
}

/// A rule that applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The rule.
    pub rule: Rule,
    /// Whether it was enforced.
    pub mode: Mode,
    /// The policy object it applied to: a scope, vendor, mailbox, domain or person. Never a stranger's text.
    pub object: String,
    /// One sentence.
    pub text: String,
}

/// One step on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The rule, or nothing for a remark.
    pub rule: Option<Rule>,
    /// What was looked at and what came of it.
    pub text: String,
}

impl Step {
    pub(crate) fn note(text: impl Into<String>) -> Self {
        Self { rule: None, text: text.into() }
    }
}

impl Decision {
    /// Whether nothing has refused so far.
    pub fn is_accepted(&self) -> bool {
        self.verdict == Verdict::Accept
    }

    /// The refusal, if there is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.verdict {
            Verdict::Accept => None,
            Verdict::Refuse(refusal) => Some(refusal),
        }
    }

    pub(crate) fn step(&mut self, rule: Rule, text: impl Into<String>) {
        self.trace.push(Step { rule: Some(rule), text: text.into() });
    }

    /// A rule wants to refuse. The first enforced refusal stands; an observed one is recorded only.
    pub(crate) fn refuse(&mut self, mode: Mode, object: String, refusal: Refusal) {
        let would = if mode == Mode::Enforce { "refuse" } else { "would refuse" };
        self.step(refusal.rule, format!("{would}: {}", refusal.sentence()));
        self.reasons.push(Reason { rule: refusal.rule, mode, object, text: refusal.sentence() });
        if mode == Mode::Enforce && self.is_accepted() {
            self.verdict = Verdict::Refuse(refusal);
        }
    }
}
