//! What a filter can answer, by kind of stage.
//!
//! What is missing is missing on purpose. There is no ACCEPT before the end of a message: it takes the filter
//! out of the rest of it, and Postfix has let it leak into the next one. There is no SHUTDOWN: at the end of
//! a message Postfix confirms the mail and deletes it. There is no way to answer twice.

use crate::edit::Edit;
use crate::smtp_reply::SmtpReply;

/// The answer to a stage of the connection: CONNECT, HELO, an unknown command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ConnectionVerdict {
    /// Go on.
    #[default]
    Continue,
    /// Refuse the connection or the command. At CONNECT the MTA shows its own text, at HELO Postfix refuses
    /// the next MAIL with this one.
    Refuse(SmtpReply),
}

/// The answer to MAIL, RCPT, DATA and the end of the header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EventVerdict {
    /// Go on.
    #[default]
    Continue,
    /// Refuse: at RCPT this recipient, elsewhere the message.
    Refuse(SmtpReply),
    /// Pretend to take the message, and drop it. The sender never learns.
    Discard,
}

/// The answer to a header field or a piece of the body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ContentVerdict {
    /// Go on.
    #[default]
    Continue,
    /// Enough of this kind: no more header fields, or no more body, for this message. An MTA that cannot skip
    /// sends them all the same; they are then not shown.
    Skip,
    /// Refuse the message.
    Refuse(SmtpReply),
    /// Pretend to take the message, and drop it. The sender never learns.
    Discard,
}

/// The answer at the end of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FinalVerdict {
    /// Take the message, with the edits.
    #[default]
    Accept,
    /// Refuse the message for all its recipients.
    Refuse(SmtpReply),
    /// Pretend to take the message, and drop it for all its recipients. The sender never learns: a filter
    /// that means to hold mail back wants [`Edit::quarantine`] instead.
    Discard,
}

/// Everything a filter says at the end of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndOfMessage {
    /// Changes, applied only when the message is accepted.
    pub edits: Vec<Edit>,
    /// What becomes of the message.
    pub verdict: FinalVerdict,
}

impl EndOfMessage {
    /// Accepts the message as it is.
    #[must_use]
    pub const fn accept() -> Self {
        Self::accept_with(Vec::new())
    }

    /// Accepts the message with changes.
    #[must_use]
    pub const fn accept_with(edits: Vec<Edit>) -> Self {
        Self { edits, verdict: FinalVerdict::Accept }
    }

    /// Refuses the message.
    #[must_use]
    pub const fn refuse(reply: SmtpReply) -> Self {
        Self { edits: Vec::new(), verdict: FinalVerdict::Refuse(reply) }
    }

    /// Drops the message while saying that it was taken.
    #[must_use]
    pub const fn discard() -> Self {
        Self { edits: Vec::new(), verdict: FinalVerdict::Discard }
    }
}

/// Any answer before the end of a message, as the session takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer(pub(crate) AnswerKind);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    Continue,
    Skip,
    Stop(Stop),
}

/// An answer that ends something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    Refuse(SmtpReply),
    Discard,
}

impl From<ConnectionVerdict> for Answer {
    fn from(verdict: ConnectionVerdict) -> Self {
        Self(match verdict {
            ConnectionVerdict::Continue => AnswerKind::Continue,
            ConnectionVerdict::Refuse(reply) => AnswerKind::Stop(Stop::Refuse(reply)),
        })
    }
}

impl From<EventVerdict> for Answer {
    fn from(verdict: EventVerdict) -> Self {
        Self(match verdict {
            EventVerdict::Continue => AnswerKind::Continue,
            EventVerdict::Refuse(reply) => AnswerKind::Stop(Stop::Refuse(reply)),
            EventVerdict::Discard => AnswerKind::Stop(Stop::Discard),
        })
    }
}

impl From<ContentVerdict> for Answer {
    fn from(verdict: ContentVerdict) -> Self {
        Self(match verdict {
            ContentVerdict::Continue => AnswerKind::Continue,
            ContentVerdict::Skip => AnswerKind::Skip,
            ContentVerdict::Refuse(reply) => AnswerKind::Stop(Stop::Refuse(reply)),
            ContentVerdict::Discard => AnswerKind::Stop(Stop::Discard),
        })
    }
}
