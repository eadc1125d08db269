//! From milter events to facts, and from the decision to its consequences. Nothing is decided here.

use std::sync::Arc;

use chrono::Utc;
use mailwarden_address::{EnvelopeRecipient, EnvelopeSender};
use mailwarden_gate::{Decision, Facts, MessageHeaders, Moment, Path, Session, decide};
use milter_proto::{
    Actions, Connect, ConnectionVerdict, ContentVerdict, Context, EndOfMessage, EventVerdict, Filter, Header,
    MacroRequestError, MacroStage, Mail, Protocol, Rcpt, SmtpReply, Stage, Wanted,
};

use crate::record::{Circumstances, NotRecorded, Recorder};
use crate::render;
use crate::snapshot::{Snapshot, Snapshots};

/// Postfix takes 1,000 recipients a message (`smtpd_recipient_limit`); the gate holds no more than ten times that.
const MAX_RECIPIENTS: usize = 10_000;

/// What the gate asks of an MTA. Few replies make the difference between 20,000 and 45,000 messages a second: what
/// need not be answered is not, and what is not needed is not sent.
pub(crate) fn wanted() -> Result<Wanted, MacroRequestError> {
    let skipped = Protocol::NO_HELO
        | Protocol::NO_BODY
        | Protocol::NO_END_OF_HEADERS
        | Protocol::NO_UNKNOWN
        | Protocol::NO_DATA;
    let silent = Protocol::NR_CONNECT | Protocol::NR_MAIL | Protocol::NR_HEADER;
    Wanted::new()
        .require_actions(
            Actions::ADD_HEADERS | Actions::CHANGE_HEADERS | Actions::ADD_RCPT | Actions::DELETE_RCPT,
        )
        .prefer_actions(Actions::ADD_RCPT_ARGS)
        .prefer_actions(Actions::QUARANTINE)
        .protocol(skipped | silent)
        .macros(MacroStage::Mail, &["i", "{mail_addr}", "{auth_authen}"])?
        .macros(MacroStage::Rcpt, &["i", "{rcpt_addr}"])?
        .macros(MacroStage::EndOfMessage, &["i"])
}

/// One SMTP session. Each message is judged whole by the policy that was in force when it began.
pub(crate) struct Conversation {
    snapshots: Arc<Snapshots>,
    snapshot: Arc<Snapshot>,
    recorder: Recorder,
    session: Session,
    port: Option<u16>,
    message: Option<Message>,
}

/// One message under way.
struct Message {
    envelope_sender: EnvelopeSender,
    smtputf8: bool,
    recipients: Vec<EnvelopeRecipient>,
    headers: MessageHeaders,
}

impl Conversation {
    pub(crate) fn new(snapshots: Arc<Snapshots>, recorder: Recorder) -> Self {
        Self {
            snapshot: snapshots.current(),
            snapshots,
            recorder,
            session: Session::default(),
            port: None,
            message: None,
        }
    }

    /// Postfix invents a session for what comes through sendmail(1): localhost, 127.0.0.1, port 0, and, unlike any
    /// SMTP session, a queue id already at MAIL.
    fn path(&self, context: &Context<'_>) -> Path {
        let invented = self.session.client_name == "localhost"
            && self.session.client.is_some_and(|client| client.is_loopback())
            && self.port == Some(0)
            && context.macro_at(Stage::Mail, "i").is_some();
        if invented { Path::Local } else { Path::Smtp }
    }

    async fn judge_recipient(&mut self, context: &Context<'_>, rcpt: &Rcpt<'_>) -> EventVerdict {
        let Some(message) = self.message.as_ref() else {
            // RCPT without MAIL: the MTA is confused, and nothing is known about the message.
            return EventVerdict::Refuse(SmtpReply::local_trouble());
        };
        if message.recipients.len() >= MAX_RECIPIENTS {
            return EventVerdict::Refuse(SmtpReply::try_again(
                "too many recipients; send the message in parts",
            ));
        }
        let recipient = EnvelopeRecipient::read(rcpt.recipient, context.macro_at(Stage::Rcpt, "{rcpt_addr}"));
        let judged = self.judge(context, message, Moment::Recipient(&recipient)).await;
        let Ok((decision, reference)) = judged else {
            return EventVerdict::Refuse(SmtpReply::local_trouble());
        };
        let verdict = render::recipient(&decision, &reference, message.smtputf8);
        if decision.is_accepted()
            && let Some(message) = self.message.as_mut()
        {
            message.recipients.push(recipient);
        }
        verdict
    }

    async fn judge_message(&mut self, context: &Context<'_>) -> EndOfMessage {
        let Some(message) = self.message.take() else { return render::try_again() };
        let moment = Moment::Message { recipients: &message.recipients, headers: &message.headers };
        let Ok((decision, reference)) = self.judge(context, &message, moment).await else {
            return render::try_again();
        };
        render::message(&decision, &reference, message.smtputf8).unwrap_or_else(|error| {
            tracing::error!(%error, %reference, "an edit cannot be carried out; the message is refused for now");
            render::try_again()
        })
    }

    /// Decides, and makes durable what the MTA must not hear of before. What cannot be recorded must not happen:
    /// the caller then refuses for now.
    async fn judge(
        &self,
        context: &Context<'_>,
        message: &Message,
        moment: Moment<'_>,
    ) -> Result<(Decision, String), NotRecorded> {
        let Snapshot { policy, modes, sender_logins, .. } = &*self.snapshot;
        let facts = Facts {
            session: &self.session,
            envelope_sender: &message.envelope_sender,
            moment,
            memory: &*self.recorder.memory,
            sender_logins,
        };
        let now = Utc::now();
        let decision = decide(policy, modes, &facts, now);
        let circumstances =
            Circumstances { snapshot: &self.snapshot, facts: &facts, queue_id: context.queue_id(), now };
        let reference = self.recorder.record(&decision, &circumstances);
        if !decision.notices.is_empty() {
            self.recorder.notify(&decision, &circumstances, &reference).await?;
        }
        self.recorder.memory.learn(&decision.lessons, now);
        Ok((decision, reference))
    }
}

impl Filter for Conversation {
    fn connect(&mut self, _context: &Context<'_>, connect: &Connect<'_>) -> ConnectionVerdict {
        self.session.client_name = text(connect.hostname);
        self.session.client = connect.client.ip();
        self.session.is_own_host =
            self.session.client.is_some_and(|client| self.snapshot.is_own_host(client));
        self.port = connect.client.port();
        ConnectionVerdict::Continue
    }

    fn mail(&mut self, context: &Context<'_>, mail: &Mail<'_>) -> EventVerdict {
        let macro_of = |name| context.macro_at(Stage::Mail, name);
        self.snapshot = self.snapshots.current();
        self.session.path = self.path(context);
        self.session.login = macro_of("{auth_authen}").filter(|login| !login.is_empty()).map(text);
        self.message = Some(Message {
            envelope_sender: EnvelopeSender::read(mail.sender, macro_of("{mail_addr}")),
            smtputf8: mail.arguments.has("SMTPUTF8"),
            recipients: Vec::new(),
            headers: MessageHeaders::default(),
        });
        EventVerdict::Continue
    }

    fn rcpt(&mut self, context: &Context<'_>, rcpt: &Rcpt<'_>) -> impl Future<Output = EventVerdict> + Send {
        self.judge_recipient(context, rcpt)
    }

    fn header(&mut self, _context: &Context<'_>, header: &Header<'_>) -> ContentVerdict {
        if let Some(message) = self.message.as_mut() {
            message.headers.push(header.name, header.value);
        }
        ContentVerdict::Continue
    }

    fn end_of_message(&mut self, context: &Context<'_>) -> impl Future<Output = EndOfMessage> + Send {
        self.judge_message(context)
    }

    fn abort(&mut self) {
        self.message = None;
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
