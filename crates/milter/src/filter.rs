//! The application's side: a value per connection that hears events and gives verdicts.

use std::future::{Future, ready};

use crate::closing::CloseReason;
use crate::command::{Connect, Header, Mail, Rcpt};
use crate::macros::Macros;
use crate::negotiate::Negotiated;
use crate::session::{AnswerError, Event, Session};
use crate::stage::Stage;
use crate::verdict::{ConnectionVerdict, ContentVerdict, EndOfMessage, EventVerdict};

/// What is known around an event.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    stage: Stage,
    macros: &'a Macros,
    negotiated: &'a Negotiated,
}

impl<'a> Context<'a> {
    pub(crate) const fn new(stage: Stage, macros: &'a Macros, negotiated: &'a Negotiated) -> Self {
        Self { stage, macros, negotiated }
    }

    /// The stage of the event.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// What was agreed with the MTA.
    #[must_use]
    pub const fn negotiated(&self) -> &'a Negotiated {
        self.negotiated
    }

    /// The value of a macro, such as `{mail_addr}`, as seen from this stage back to the connection. An empty
    /// value is a value: `{mail_addr}` of the null sender is empty.
    #[must_use]
    pub fn macro_value(&self, name: &str) -> Option<&'a [u8]> {
        self.macros.value(self.stage, name.as_bytes())
    }

    /// The value of a macro in the list that came for exactly this stage.
    #[must_use]
    pub fn macro_at(&self, stage: Stage, name: &str) -> Option<&'a [u8]> {
        self.macros.value_at(stage, name.as_bytes())
    }

    /// The MTA's queue id. Postfix has none before the first recipient is accepted.
    #[must_use]
    pub fn queue_id(&self) -> Option<&'a [u8]> {
        self.macros.queue_id()
    }
}

/// A filter, one value per SMTP connection. Every method has a default that lets everything pass.
///
/// Only what may have to wait is asynchronous: at RCPT and at the end of a message something may have to be
/// durable before the MTA hears of it. State of a message is the filter's to reset: at [`mail`](Self::mail),
/// and when [`abort`](Self::abort) is called. A refusal given at a stage whose reply was negotiated away is
/// not lost: the session gives it at the next command the MTA waits for.
pub trait Filter: Send {
    /// An SMTP client connected.
    fn connect(&mut self, context: &Context<'_>, connect: &Connect<'_>) -> ConnectionVerdict {
        let _ = (context, connect);
        ConnectionVerdict::Continue
    }

    /// HELO or EHLO. May come again at any time.
    fn helo(&mut self, context: &Context<'_>, name: &[u8]) -> ConnectionVerdict {
        let _ = (context, name);
        ConnectionVerdict::Continue
    }

    /// A message begins.
    fn mail(&mut self, context: &Context<'_>, mail: &Mail<'_>) -> EventVerdict {
        let _ = (context, mail);
        EventVerdict::Continue
    }

    /// A recipient. Refusing it refuses this one only.
    fn rcpt(&mut self, context: &Context<'_>, rcpt: &Rcpt<'_>) -> impl Future<Output = EventVerdict> + Send {
        let _ = (context, rcpt);
        ready(EventVerdict::Continue)
    }

    /// The client is about to send the message.
    fn data(&mut self, context: &Context<'_>) -> EventVerdict {
        let _ = context;
        EventVerdict::Continue
    }

    /// A header field.
    fn header(&mut self, context: &Context<'_>, header: &Header<'_>) -> ContentVerdict {
        let _ = (context, header);
        ContentVerdict::Continue
    }

    /// The header is complete.
    fn end_of_headers(&mut self, context: &Context<'_>) -> EventVerdict {
        let _ = context;
        EventVerdict::Continue
    }

    /// A piece of the body.
    fn body(&mut self, context: &Context<'_>, chunk: &[u8]) -> ContentVerdict {
        let _ = (context, chunk);
        ContentVerdict::Continue
    }

    /// The message is complete; the only place for edits.
    fn end_of_message(&mut self, context: &Context<'_>) -> impl Future<Output = EndOfMessage> + Send {
        let _ = context;
        ready(EndOfMessage::accept())
    }

    /// A command that the MTA does not know.
    fn unknown(&mut self, context: &Context<'_>, line: &[u8]) -> ConnectionVerdict {
        let _ = (context, line);
        ConnectionVerdict::Continue
    }

    /// A message that had begun is over without [`end_of_message`](Self::end_of_message), or was refused
    /// before.
    fn abort(&mut self) {}

    /// The connection is over; nothing more will be called. A filter whose task is torn down, because it
    /// panicked or a drain ran out of time, is only dropped.
    fn closed(&mut self, why: &CloseReason) {
        let _ = why;
    }
}

/// Shows one event to a filter and gives its verdict to the session.
///
/// # Errors
/// The verdict cannot be given; see [`AnswerError`]. For an edit that was not negotiated, the session has
/// already refused the message for now, and can go on.
pub async fn dispatch<F: Filter>(
    filter: &mut F,
    session: &mut Session,
    event: &Event<'_>,
    out: &mut Vec<u8>,
) -> Result<(), AnswerError> {
    let Some(context) = session.context() else { return Ok(()) };
    match event {
        Event::Connect(connect) => {
            let verdict = filter.connect(&context, connect);
            session.answer(verdict, out)
        }
        Event::Helo(name) => {
            let verdict = filter.helo(&context, name);
            session.answer(verdict, out)
        }
        Event::Mail(mail) => {
            let verdict = filter.mail(&context, mail);
            session.answer(verdict, out)
        }
        Event::Rcpt(rcpt) => {
            let verdict = filter.rcpt(&context, rcpt).await;
            session.answer(verdict, out)
        }
        Event::Data => {
            let verdict = filter.data(&context);
            session.answer(verdict, out)
        }
        Event::Header(header) => {
            let verdict = filter.header(&context, header);
            session.answer(verdict, out)
        }
        Event::EndOfHeaders => {
            let verdict = filter.end_of_headers(&context);
            session.answer(verdict, out)
        }
        Event::Body(chunk) => {
            let verdict = filter.body(&context, chunk);
            session.answer(verdict, out)
        }
        Event::EndOfMessage { last_chunk } => {
            let end = end_of_message(filter, &context, last_chunk).await;
            session.finish(&end, out)
        }
        Event::Unknown(line) => {
            let verdict = filter.unknown(&context, line);
            session.answer(verdict, out)
        }
        Event::Negotiated | Event::Handled | Event::NewConnection | Event::Quit => Ok(()),
    }
}

/// The end of a message may bring the last piece of the body, whose verdict comes first.
async fn end_of_message<F: Filter>(filter: &mut F, context: &Context<'_>, last_chunk: &[u8]) -> EndOfMessage {
    let body_verdict = match last_chunk {
        [] => ContentVerdict::Continue,
        chunk => filter.body(context, chunk),
    };
    match body_verdict {
        ContentVerdict::Continue | ContentVerdict::Skip => filter.end_of_message(context).await,
        ContentVerdict::Refuse(reply) => EndOfMessage::refuse(reply),
        ContentVerdict::Discard => EndOfMessage::discard(),
    }
}
