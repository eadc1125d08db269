//! The one value from which everything else is rendered.

use mailwarden_address::Address;
use serde::Serialize;

use crate::memory::Lesson;
use crate::rules::{Mode, Rule};

/// The header that keeps the address a message was sent to when its recipient is rewritten.
pub const ROUTE_HEADER: &str = "Mailwarden-Route";

/// The header that says what was remarkable about a message that was let through.
pub const TAG_HEADER: &str = "Mailwarden-Tag";

/// What was decided, why, and what has to change.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Decision {
    /// Take it or not.
    pub verdict: Verdict,
    /// Changes to an accepted message, in the order they are to be made.
    pub edits: Vec<Edit>,
    /// The rules that applied, those that only observe included.
    pub reasons: Vec<Reason>,
    /// What the ledger has to hold before the MTA hears of the decision.
    pub notices: Vec<Notice>,
    /// What is to be remembered once the decision is carried out.
    pub lessons: Vec<Lesson>,
    /// How the decision was reached, step by step; empty unless it was asked for.
    pub trace: Vec<Step>,
    /// Whether the trace was asked for.
    #[serde(skip)]
    pub(crate) is_traced: bool,
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
    /// Keep the message in the MTA's hold queue, for all its recipients, until an administrator releases it.
    Hold {
        /// Why.
        reason: String,
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
    /// What it did, or would have done.
    pub action: Action,
    /// The policy object it applied to: a scope, vendor, mailbox, domain or person. Never a stranger's text.
    pub object: String,
    /// One sentence.
    pub text: String,
}

/// What a rule does to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Keeps other rules from refusing it.
    Exempt,
    /// Does not take it.
    Refuse,
    /// Leaves it in the MTA's hold queue.
    Hold,
    /// Adds a header.
    Tag,
    /// Changes its recipients.
    Reroute,
    /// Records it.
    Record,
}

impl Action {
    /// The word for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exempt => "exempt",
            Self::Refuse => "refuse",
            Self::Hold => "hold",
            Self::Tag => "tag",
            Self::Reroute => "reroute",
            Self::Record => "record",
        }
    }
}

/// Something that the ledger has to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// What happened.
    pub kind: NoticeKind,
    /// The rule.
    pub rule: Rule,
    /// Whether it was enforced.
    pub mode: Mode,
    /// The policy object it is about: a scope, vendor, mailbox or person. Never a stranger's text.
    pub object: String,
    /// One sentence.
    pub text: String,
}

/// What happened that the ledger has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// A message is held.
    Held,
    /// Mail of a leaver is led elsewhere or refused.
    Contained,
    /// A vendor address hears from an organisation it never dealt with, for the first time.
    UnexpectedSender,
    /// A mailbox of ours redirects a message to the outside.
    LiveRedirect,
    /// A scope gets more new local parts than it takes.
    FloodBegan,
}

/// One step on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The rule, or nothing for a remark.
    pub rule: Option<Rule>,
    /// What was looked at and what came of it.
    pub text: String,
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

    /// The rule that decided, or the first that applied.
    pub fn deciding_rule(&self) -> Option<Rule> {
        self.refusal().map(|refusal| refusal.rule).or(self.reasons.first().map(|reason| reason.rule))
    }

    pub(crate) fn step(&mut self, rule: Rule, text: impl FnOnce() -> String) {
        if self.is_traced {
            self.trace.push(Step { rule: Some(rule), text: text() });
        }
    }

    pub(crate) fn note(&mut self, text: &str) {
        if self.is_traced {
            self.trace.push(Step { rule: None, text: text.to_owned() });
        }
    }

    /// A rule wants to refuse. The first enforced refusal stands; an observed one is recorded only.
    pub(crate) fn refuse(&mut self, mode: Mode, object: String, refusal: Refusal) {
        self.apply(refusal.rule, mode, Action::Refuse, object, refusal.sentence());
        if mode == Mode::Enforce && self.is_accepted() {
            self.verdict = Verdict::Refuse(refusal);
        }
    }

    /// A rule wants the message to say something to its readers.
    pub(crate) fn tag(&mut self, rule: Rule, mode: Mode, object: String, text: String) {
        self.apply(rule, mode, Action::Tag, object, text.clone());
        if mode == Mode::Enforce {
            let value = printable(format!("{}; {text}", rule.id()));
            self.edits.push(Edit::InsertHeader { name: TAG_HEADER, value });
        }
    }

    /// A rule wants the message held. The hold is for all its recipients: a milter knows no other.
    pub(crate) fn hold(&mut self, rule: Rule, mode: Mode, object: String, text: String) {
        self.apply(rule, mode, Action::Hold, object.clone(), text.clone());
        if mode == Mode::Enforce {
            self.notices.push(Notice { kind: NoticeKind::Held, rule, mode, object, text: text.clone() });
            if !self.edits.iter().any(|edit| matches!(edit, Edit::Hold { .. })) {
                self.edits.push(Edit::Hold { reason: printable(format!("{}: {text}", rule.id())) });
            }
        }
    }

    /// A rule has done something, or would have.
    pub(crate) fn apply(&mut self, rule: Rule, mode: Mode, action: Action, object: String, text: String) {
        let would = if mode == Mode::Enforce { "" } else { "would " };
        self.step(rule, || format!("{would}{}: {text}", action.as_str()));
        self.reasons.push(Reason { rule, mode, action, object, text });
    }

    /// A message that is not taken is not changed and not held, and teaches nothing but who tried: or else every
    /// attempt would be the first.
    pub(crate) fn settle(&mut self) {
        if !self.is_accepted() {
            self.edits.clear();
            self.lessons.retain(|lesson| matches!(lesson, Lesson::Heard { is_expected: false, .. }));
            self.notices.retain(|notice| !matches!(notice.kind, NoticeKind::Held | NoticeKind::LiveRedirect));
        }
    }
}

/// The longest value of a header that we write; what strangers chose in it is cut.
const LONGEST_VALUE: usize = 900;

/// One line of printable ASCII: parts of it are a stranger's, and a header in UTF-8 would make the message
/// undeliverable to every mail store without SMTPUTF8. Other characters are written as RFC 6533 §3 writes them in
/// addresses, `\x{E9}`.
pub(crate) fn printable(text: String) -> String {
    if text.len() <= LONGEST_VALUE && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if out.len() > LONGEST_VALUE {
            out.push_str("...");
            break;
        }
        match c {
            ' '..='~' => out.push(c),
            other => out.push_str(&format!("\\x{{{:X}}}", u32::from(other))),
        }
    }
    out
}
