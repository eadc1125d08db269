//! `mailwarden explain`: the gate's decision without a mail server, by the same function the gate calls.

use std::fmt::Write as _;

use chrono::Utc;
use mailwarden_address::{EnvelopeRecipient, EnvelopeSender};
use mailwarden_gate::{Decision, Edit, Facts, MessageHeaders, Modes, Moment, Path, SenderLogins, Session};
use mailwarden_policy::Policy;
use mailwarden_settings::{Settings, load_policy};
use serde::Serialize;

use crate::arguments::{Common, Explain};
use crate::failure::{Failure, Outcome};
use crate::memory::Recollection;
use crate::output::{self, shown};

#[derive(Debug, Serialize)]
struct Explanation {
    schema: &'static str,
    accepted: bool,
    recipients: Vec<Explained>,
    message: Option<Explained>,
}

#[derive(Debug, Serialize)]
struct Explained {
    about: String,
    reply: Option<String>,
    decision: Decision,
}

pub(crate) async fn run(common: &Common, explain: &Explain) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let headers = headers(explain)?;
    let session = session(explain, &settings);
    let envelope_sender = EnvelopeSender::read(explain.from.as_bytes(), None);
    let question = Question {
        policy: &policy,
        modes: &settings.gate.rules,
        session: &session,
        envelope_sender: &envelope_sender,
        memory: &Recollection::open(&settings).await?,
        sender_logins: &settings.sender_logins()?,
    };
    let explanation = question.explained(explain, &headers);
    output::answer(explain.json, &explanation, text)?;
    Ok(if explanation.accepted { Outcome::Clean } else { Outcome::Findings })
}

fn session(explain: &Explain, settings: &Settings) -> Session {
    Session {
        path: if explain.local { Path::Local } else { Path::Smtp },
        client: explain.client,
        client_name: String::new(),
        login: explain.auth.clone(),
        is_own_host: explain.local || explain.client.is_some_and(|client| settings.is_own_host(client)),
    }
}

/// What does not change between the recipients and the message.
struct Question<'q> {
    policy: &'q Policy,
    modes: &'q Modes,
    session: &'q Session,
    envelope_sender: &'q EnvelopeSender,
    memory: &'q Recollection,
    sender_logins: &'q SenderLogins,
}

impl Question<'_> {
    fn explained(&self, explain: &Explain, headers: &MessageHeaders) -> Explanation {
        let mut taken = Vec::new();
        let mut recipients = Vec::new();
        for raw in &explain.rcpt {
            let recipient = EnvelopeRecipient::read(raw.as_bytes(), None);
            let decision = self.judge(Moment::Recipient(&recipient));
            if decision.is_accepted() {
                taken.push(recipient);
            }
            recipients.push(explained_one(format!("RCPT TO:<{raw}>"), decision));
        }
        let message = (!taken.is_empty()).then(|| {
            let decision = self.judge(Moment::Message { recipients: &taken, headers });
            explained_one("the message".to_owned(), decision)
        });
        let accepted = recipients.iter().chain(&message).all(|one| one.decision.is_accepted());
        Explanation { schema: "mailwarden.explain/1", accepted, recipients, message }
    }

    fn judge(&self, moment: Moment<'_>) -> Decision {
        let facts = Facts {
            session: self.session,
            envelope_sender: self.envelope_sender,
            moment,
            memory: self.memory,
            sender_logins: self.sender_logins,
        };
        mailwarden_gate::explain(self.policy, self.modes, &facts, Utc::now())
    }
}

fn explained_one(about: String, decision: Decision) -> Explained {
    let reply = decision.refusal().map(|refusal| {
        format!(
            "{} {} {}",
            refusal.code,
            refusal.enhanced_code(),
            refusal.reply_text("none, this is an explanation")
        )
    });
    Explained { about, reply, decision }
}

fn headers(explain: &Explain) -> Result<MessageHeaders, Failure> {
    if let Some(file) = &explain.message {
        let bytes = std::fs::read(file).map_err(|error| {
            Failure::Usage(format!("cannot read the message {}: {error}", file.display()))
        })?;
        return Ok(MessageHeaders::of_message(&bytes));
    }
    // A message without any header would be refused for that alone; the question was another one.
    let mut headers = MessageHeaders::default();
    headers.push(b"Subject", b"(explained)");
    for value in &explain.header_from {
        headers.push(b"From", value.as_bytes());
    }
    Ok(headers)
}

fn text(explanation: &Explanation) -> String {
    let mut out = String::new();
    for one in explanation.recipients.iter().chain(&explanation.message) {
        let verdict = if one.decision.is_accepted() { "accepted" } else { "refused" };
        let _ = writeln!(out, "{}: {verdict}", shown(&one.about));
        if let Some(reply) = &one.reply {
            let _ = writeln!(out, "  reply   {}", shown(reply));
        }
        for edit in &one.decision.edits {
            let _ = writeln!(out, "  change  {}", shown(&describe(edit)));
        }
        for notice in &one.decision.notices {
            let _ = writeln!(out, "  ledger  {}: {}", shown(&notice.object), shown(&notice.text));
        }
        for step in &one.decision.trace {
            let rule = step.rule.map_or("-", mailwarden_gate::Rule::id);
            let _ = writeln!(out, "  why     {rule:<17} {}", shown(&step.text));
        }
    }
    if explanation.message.is_none() {
        out.push_str("no recipient is left, so the message is never sent\n");
    }
    out
}

fn describe(edit: &Edit) -> String {
    match edit {
        Edit::RemoveHeaders { name, count } => format!("remove {count} {name} fields"),
        Edit::InsertHeader { name, value } => format!("add {name}: {value}"),
        Edit::Hold { reason } => format!("hold it: {reason}"),
        Edit::DeleteRecipient { delete_as } => {
            format!("take away the recipient <{}>", String::from_utf8_lossy(delete_as))
        }
        Edit::AddRecipient { address, .. } => format!("add the recipient <{address}>"),
    }
}
