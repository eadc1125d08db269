//! One session without I/O: frames in, events out, answers back as bytes.
//!
//! The protocol numbers nothing, so a reply too many is taken for the answer to the next command and
//! everything after it is off by one. The session therefore counts for the application: every event it hands
//! out must be answered once before the next frame is taken, and it alone knows whether an answer becomes a
//! reply.

use std::sync::Arc;

use thiserror::Error;

use crate::command::{Command, CommandError, Connect, Header, Mail, Rcpt};
use crate::edit::Edit;
use crate::filter::Context;
use crate::frame::{Frame, FrameError};
use crate::macros::{MacroError, MacroLimits, Macros};
use crate::negotiate::{
    Actions, Negotiated, NegotiationError, Offer, Protocol, Wanted, negotiate, write_answer,
};
use crate::reply::Reply;
use crate::smtp_reply::SmtpReply;
use crate::stage::Stage;
use crate::verdict::{Answer, AnswerKind, EndOfMessage, FinalVerdict, Stop};

/// What a frame means for the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Both sides agreed. Nothing to answer.
    Negotiated,
    /// Nothing for the application: the session has dealt with it.
    Handled,
    /// To be answered by [`Session::answer`].
    Connect(Connect<'a>),
    /// To be answered by [`Session::answer`].
    Helo(&'a [u8]),
    /// To be answered by [`Session::answer`].
    Mail(Mail<'a>),
    /// To be answered by [`Session::answer`].
    Rcpt(Rcpt<'a>),
    /// To be answered by [`Session::answer`].
    Data,
    /// To be answered by [`Session::answer`].
    Header(Header<'a>),
    /// To be answered by [`Session::answer`].
    EndOfHeaders,
    /// To be answered by [`Session::answer`].
    Body(&'a [u8]),
    /// To be answered by [`Session::finish`].
    EndOfMessage {
        /// The last piece of the body, where the MTA sends it here; empty otherwise or when not wanted.
        last_chunk: &'a [u8],
    },
    /// To be answered by [`Session::answer`].
    Unknown(&'a [u8]),
    /// The SMTP connection is over and another will follow: what was known of the client is void.
    NewConnection,
    /// The session is over; close the socket.
    Quit,
}

/// An event, and whether a message was given up before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// A message had begun and will have no end: aborted, or a new one began over it.
    pub message_abandoned: bool,
    /// The event.
    pub event: Event<'a>,
}

/// The session cannot go on; close the socket, and the MTA applies its default action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SessionError {
    /// The peer sent an impossible length.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer sent a command that cannot be read.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The peer sent too many macros.
    #[error(transparent)]
    Macros(#[from] MacroError),
    /// The peer sent a command before the negotiation.
    #[error("the MTA sent command {0:#04x} before the option negotiation")]
    NotNegotiated(u8),
    /// The peer negotiated a second time.
    #[error("the MTA negotiated options twice in one session")]
    NegotiatedTwice,
    /// The two sides have too little in common: a matter of configuration.
    #[error(transparent)]
    Negotiation(#[from] NegotiationError),
    /// The application did not answer an event before the next frame: its own mistake.
    #[error("an event of stage {0:?} was not answered before the next frame was taken")]
    AnswerOwed(Stage),
}

/// The application's answer cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// No event waits for this kind of answer. Nothing was written.
    #[error("no event waits for this answer; each event is answered once, the end of a message by finish()")]
    NotOwed,
    /// Only header fields and body can be skipped. Nothing was written and the event still waits.
    #[error("stage {0:?} cannot be skipped")]
    CannotSkip(Stage),
    /// The MTA does not allow the edit. A temporary refusal was written instead, and the session goes on: a
    /// message that should have been changed is not let through unchanged.
    #[error("an edit needs {0}, which was not negotiated; the message was refused for now")]
    EditNotNegotiated(Actions),
}

/// One session with an MTA.
#[derive(Debug)]
pub struct Session {
    wanted: Arc<Wanted>,
    limits: MacroLimits,
    negotiated: Option<Negotiated>,
    macros: Macros,
    owed: Option<Owed>,
    /// A refusal that no reply could carry yet, for everything until the connection ends.
    connection_stop: Option<Stop>,
    message: Message,
}

/// An event that waits for its answer.
#[derive(Debug, Clone, Copy)]
struct Owed {
    stage: Stage,
    reply_expected: bool,
}

/// What is known of the message under way; gone with it.
#[derive(Debug, Default)]
struct Message {
    open: bool,
    headers_skipped: bool,
    body_skipped: bool,
    /// A refusal that no reply could carry yet.
    stop: Option<Stop>,
}

impl Session {
    /// A session in which nothing was said yet.
    #[must_use]
    pub fn new(wanted: Arc<Wanted>, limits: MacroLimits) -> Self {
        Self {
            wanted,
            limits,
            negotiated: None,
            macros: Macros::default(),
            owed: None,
            connection_stop: None,
            message: Message::default(),
        }
    }

    /// Takes one frame. Replies that need no application are appended to `out`.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn receive<'a>(&mut self, frame: Frame<'a>, out: &mut Vec<u8>) -> Result<Received<'a>, SessionError> {
        if let Some(owed) = self.owed {
            return Err(SessionError::AnswerOwed(owed.stage));
        }
        let Some(agreed) = self.negotiated else { return self.receive_first(frame, out) };
        match Command::parse(frame)? {
            Command::Negotiate(_) => Err(SessionError::NegotiatedTwice),
            Command::Macros(list) => {
                self.macros.store(&list, &self.limits)?;
                Ok(received(false, Event::Handled))
            }
            Command::Abort => Ok(received(self.end_message(), Event::Handled)),
            Command::Quit => Ok(received(self.end_message(), Event::Quit)),
            Command::QuitNewConnection => Ok(received(self.end_connection(), Event::NewConnection)),
            staged => Ok(self.receive_staged(staged, &agreed, out)),
        }
    }

    /// Answers the event at hand.
    ///
    /// # Errors
    /// No event waits, it waits for [`finish`](Self::finish), or it cannot be skipped.
    pub fn answer(&mut self, answer: impl Into<Answer>, out: &mut Vec<u8>) -> Result<(), AnswerError> {
        let Answer(answer) = answer.into();
        let owed = self.owed.filter(|owed| owed.stage != Stage::EndOfMessage).ok_or(AnswerError::NotOwed)?;
        match answer {
            AnswerKind::Continue => write_if(owed.reply_expected, Reply::Continue, out),
            AnswerKind::Skip => self.skip(owed, out)?,
            AnswerKind::Stop(stop) if owed.reply_expected => write_stop(&stop, out),
            AnswerKind::Stop(stop) => self.carry(owed.stage, stop),
        }
        self.owed = None;
        Ok(())
    }

    /// Answers the end of a message; with it the message is over.
    ///
    /// # Errors
    /// No end of message waits, or an edit was not negotiated.
    pub fn finish(&mut self, end: &EndOfMessage, out: &mut Vec<u8>) -> Result<(), AnswerError> {
        let (Some(Owed { stage: Stage::EndOfMessage, .. }), Some(agreed)) = (self.owed, self.negotiated)
        else {
            return Err(AnswerError::NotOwed);
        };
        let written = write_end(end, &agreed, out);
        self.owed = None;
        self.end_message();
        written
    }

    /// What is known around the event that waits for an answer; `None` when none does.
    #[must_use]
    pub fn context(&self) -> Option<Context<'_>> {
        let (owed, negotiated) = (self.owed?, self.negotiated.as_ref()?);
        Some(Context::new(owed.stage, &self.macros, negotiated))
    }

    /// What was agreed with the MTA, once it was.
    #[must_use]
    pub const fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub const fn message_open(&self) -> bool {
        self.message.open
    }

    fn receive_first<'a>(
        &mut self,
        frame: Frame<'a>,
        out: &mut Vec<u8>,
    ) -> Result<Received<'a>, SessionError> {
        match Command::parse(frame) {
            Ok(Command::Negotiate(offer)) => self.negotiate(&offer, out),
            Ok(Command::Quit) => Ok(received(false, Event::Quit)),
            _ => Err(SessionError::NotNegotiated(frame.code)),
        }
    }

    fn negotiate<'a>(&mut self, offer: &Offer, out: &mut Vec<u8>) -> Result<Received<'a>, SessionError> {
        let agreed = negotiate(&self.wanted, offer)?;
        write_answer(&self.wanted, &agreed, out);
        self.negotiated = Some(agreed);
        Ok(received(false, Event::Negotiated))
    }

    fn receive_staged<'a>(
        &mut self,
        command: Command<'a>,
        agreed: &Negotiated,
        out: &mut Vec<u8>,
    ) -> Received<'a> {
        let Some(stage) = command.stage() else { return received(false, Event::Handled) };
        let message_abandoned = self.begin(stage);
        let reply_expected = !agreed.protocol.contains(stage.no_reply_flag());
        if self.answered_without_application(stage, agreed, reply_expected, out) {
            // Only a refusal given before can answer an end of message: the application has not seen its end.
            let refused_at_end = stage == Stage::EndOfMessage && self.end_message();
            return received(message_abandoned || refused_at_end, Event::Handled);
        }
        self.owed = Some(Owed { stage, reply_expected });
        received(message_abandoned, self.event(command))
    }

    /// A MAIL over an open message ends that one, as Sendmail sends no ABORT between messages; so does a new
    /// connection. A HELO in between does not: Postfix sends its ABORT after it.
    fn begin(&mut self, stage: Stage) -> bool {
        let abandoned = match stage {
            Stage::Connect => self.end_connection(),
            Stage::Mail => self.end_message(),
            _ => false,
        };
        self.macros.begin(stage);
        self.message.open |= stage.is_message();
        abandoned
    }

    /// Commands that need no verdict: the message or the connection was refused already, or the application
    /// does not want the event and the MTA cannot leave it out.
    fn answered_without_application(
        &self,
        stage: Stage,
        agreed: &Negotiated,
        reply_expected: bool,
        out: &mut Vec<u8>,
    ) -> bool {
        let stop = self.connection_stop.as_ref().or(self.message.stop.as_ref());
        let unwanted = self.wanted.wanted_protocol().contains(stage.no_event_flag()) || self.skipped(stage);
        match stop {
            Some(stop) if reply_expected => write_stop(stop, out),
            Some(_) => {}
            None if unwanted && agreed.protocol.contains(Protocol::SKIP) && is_content(stage) => {
                write_if(reply_expected, Reply::Skip, out);
            }
            None if unwanted => write_if(reply_expected, Reply::Continue, out),
            None => return false,
        }
        true
    }

    fn event<'a>(&self, command: Command<'a>) -> Event<'a> {
        match command {
            Command::Connect(connect) => Event::Connect(connect),
            Command::Helo(name) => Event::Helo(name),
            Command::Mail(mail) => Event::Mail(mail),
            Command::Rcpt(rcpt) => Event::Rcpt(rcpt),
            Command::Data => Event::Data,
            Command::Header(header) => Event::Header(header),
            Command::EndOfHeaders => Event::EndOfHeaders,
            Command::Body(chunk) => Event::Body(chunk),
            Command::EndOfMessage(chunk) => {
                let wanted =
                    !self.skipped(Stage::Body) && !self.wanted.wanted_protocol().contains(Protocol::NO_BODY);
                Event::EndOfMessage { last_chunk: if wanted { chunk } else { &[] } }
            }
            Command::Unknown(line) => Event::Unknown(line),
            Command::Negotiate(_)
            | Command::Macros(_)
            | Command::Abort
            | Command::Quit
            | Command::QuitNewConnection => Event::Handled,
        }
    }

    const fn skipped(&self, stage: Stage) -> bool {
        match stage {
            Stage::Header => self.message.headers_skipped,
            Stage::Body => self.message.body_skipped,
            _ => false,
        }
    }

    fn skip(&mut self, owed: Owed, out: &mut Vec<u8>) -> Result<(), AnswerError> {
        match owed.stage {
            Stage::Header => self.message.headers_skipped = true,
            Stage::Body => self.message.body_skipped = true,
            stage => return Err(AnswerError::CannotSkip(stage)),
        }
        let can_skip = self.negotiated.is_some_and(|agreed| agreed.protocol.contains(Protocol::SKIP));
        write_if(owed.reply_expected, if can_skip { Reply::Skip } else { Reply::Continue }, out);
        Ok(())
    }

    /// Keeps a refusal for the next command that is answered. An unknown command is nothing anyone could
    /// still refuse afterwards.
    fn carry(&mut self, stage: Stage, stop: Stop) {
        match stage {
            Stage::Unknown => {}
            Stage::Connect | Stage::Helo => self.connection_stop = Some(stop),
            _ => self.message.stop = Some(stop),
        }
    }

    /// Forgets the message; true when one was open.
    fn end_message(&mut self) -> bool {
        self.macros.end_message();
        std::mem::take(&mut self.message).open
    }

    fn end_connection(&mut self) -> bool {
        let abandoned = self.end_message();
        self.macros.end_connection();
        self.connection_stop = None;
        abandoned
    }
}

const fn received(message_abandoned: bool, event: Event<'_>) -> Received<'_> {
    Received { message_abandoned, event }
}

const fn is_content(stage: Stage) -> bool {
    matches!(stage, Stage::Header | Stage::Body)
}

fn write_if(reply_expected: bool, reply: Reply<'_>, out: &mut Vec<u8>) {
    if reply_expected {
        reply.encode(out);
    }
}

fn write_stop(stop: &Stop, out: &mut Vec<u8>) {
    match stop {
        Stop::Refuse(reply) => write_refusal(reply, out),
        Stop::Discard => Reply::Discard.encode(out),
    }
}

fn write_refusal(reply: &SmtpReply, out: &mut Vec<u8>) {
    Reply::SmtpReply(reply.wire()).encode(out);
}

/// CONTINUE accepts at the end of a message just as ACCEPT does, and leaves no state in the MTA that could
/// leak into the next one.
fn write_end(end: &EndOfMessage, agreed: &Negotiated, out: &mut Vec<u8>) -> Result<(), AnswerError> {
    match &end.verdict {
        FinalVerdict::Refuse(reply) => write_refusal(reply, out),
        FinalVerdict::Discard => Reply::Discard.encode(out),
        FinalVerdict::Accept => {
            let may = |edit: &&Edit| agreed.actions.contains(edit.action_of(agreed.actions));
            if let Some(edit) = end.edits.iter().find(|edit| !may(edit)) {
                write_refusal(&SmtpReply::local_trouble(), out);
                return Err(AnswerError::EditNotNegotiated(edit.action()));
            }
            write_edits(&end.edits, agreed, out);
            Reply::Continue.encode(out);
        }
    }
    Ok(())
}

/// The pieces of a body come last and together: Postfix takes anything between them for a broken protocol.
fn write_edits(edits: &[Edit], agreed: &Negotiated, out: &mut Vec<u8>) {
    let leading_space = agreed.protocol.contains(Protocol::HEADER_LEADING_SPACE);
    let bodies = edits.iter().filter(|edit| edit.is_body());
    for edit in edits.iter().filter(|edit| !edit.is_body()).chain(bodies) {
        edit.encode(agreed.actions, leading_space, out);
    }
}
