//! What happens to mailboxes outside of Mailwarden and is recorded here: made, invited, delegated, forwarded.
//!
//! The owner sets the lasting password; an operator who makes a mailbox for somebody in a hurry logs the
//! exception with the day on which it is put right.

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entry::{Entry, Step};
use crate::refused::Refused;

/// What can be recorded: the least that an audit asks for. Each is the kind of a ledger event.
pub const KINDS: [(&str, &str); 18] = [
    (
        "mailbox.created",
        "made; payload: pattern = owner-first | operator-created, and follow_up for the latter",
    ),
    ("mailbox.owner-controlled", "an operator-created mailbox is its owner's now"),
    ("mailbox.disabled", "locked"),
    ("mailbox.deleted", "removed"),
    ("invite.sent", "a setup link was sent to its owner"),
    ("invite.resent", "sent again; the old link is void"),
    ("invite.cancelled", "taken back"),
    ("invite.accepted", "the owner set the password"),
    ("recovery-code.regenerated", "a new recovery code; the old one is void"),
    ("delegation.added", "somebody got access"),
    ("delegation.removed", "somebody lost access"),
    ("forwarding.enabled", "mail goes elsewhere as well"),
    ("forwarding.disabled", "it no longer does"),
    ("catch-all.enabled", "a domain takes every local part"),
    ("catch-all.disabled", "it no longer does"),
    ("routing.changed", "mail goes elsewhere"),
    ("admin.changed", "somebody may administer, or no longer"),
    ("dns.changed", "MX, SPF, DKIM, DMARC, registrar"),
];

/// Changes whose prior state has to be known: without it there is no way back.
const NEED_PRIOR_STATE: [&str; 3] = ["routing.changed", "admin.changed", "dns.changed"];

/// A record as somebody hands it in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// One of [`KINDS`].
    pub kind: String,
    /// The mailbox, domain or invitation.
    pub subject: String,
    /// The ticket or approval.
    pub reason: String,
    /// When it happened; now, where it is left out.
    #[serde(default)]
    pub at: Option<DateTime<Utc>>,
    /// What was there before.
    #[serde(default)]
    pub prior_state: Option<Value>,
    /// The rest.
    #[serde(default)]
    pub payload: Value,
    /// The number that the other system gave it: handed in twice, it is recorded once.
    #[serde(default)]
    pub id: Option<String>,
}

/// An operator-created mailbox that is not its owner's yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FollowUp {
    /// The mailbox.
    pub mailbox: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it has to be put right.
    pub due: DateTime<Utc>,
    /// Why it was made so.
    pub reason: String,
}

/// An invitation that nobody has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PendingInvite {
    /// The mailbox.
    pub mailbox: String,
    /// When it was sent last.
    pub sent: DateTime<Utc>,
}

/// Checks a record, and turns it into the event to write.
///
/// # Errors
/// The kind is not known, or something that an audit asks for is missing.
pub fn record(
    entries: &[Entry],
    record: Record,
    actor: &str,
    now: DateTime<Utc>,
) -> Result<Step<Entry>, Refused> {
    if !KINDS.iter().any(|(kind, _)| *kind == record.kind) {
        let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        let what = format!("`{}` is nothing that is recorded by hand", record.kind.escape_default());
        return Err(Refused::value(what, format!("one of: {}", known.join(", "))));
    }
    if record.reason.trim().is_empty() {
        return Err(Refused::value("nothing says why", "give `reason`: the ticket or the approval"));
    }
    if record.subject.trim().is_empty() {
        return Err(Refused::value("nothing says about what", "give `subject`: the mailbox or domain"));
    }
    if NEED_PRIOR_STATE.contains(&record.kind.as_str()) && record.prior_state.is_none() {
        return Err(Refused::value("without the state before there is no way back", "give `prior_state`"));
    }
    let at = record.at.unwrap_or(now);
    if at > now {
        return Err(Refused::value(format!("{at} is in the future"), "record what has happened"));
    }
    if record.kind.starts_with("mailbox.") && Address::parse(&record.subject).is_err() {
        let what = format!("`{}` is no mailbox", record.subject.escape_default());
        return Err(Refused::value(what, "give `subject` as an address"));
    }
    if record.kind == "mailbox.created" {
        check_pattern(&record.payload, at)?;
    }
    if is_recorded(entries, &record) {
        return Ok(Step::Already);
    }
    let mut payload = record.payload;
    if let (Some(id), Value::Object(members)) = (&record.id, object(&mut payload)) {
        members.insert("id".to_owned(), Value::String(id.clone()));
    }
    Ok(Step::Record(Entry {
        kind: record.kind,
        at,
        actor: actor.to_owned(),
        subject: record.subject,
        reason: Some(record.reason),
        prior_state: record.prior_state,
        payload,
    }))
}

fn object(value: &mut Value) -> &mut Value {
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    value
}

fn check_pattern(payload: &Value, at: DateTime<Utc>) -> Result<(), Refused> {
    match payload["pattern"].as_str() {
        Some("owner-first") => Ok(()),
        Some("operator-created") => match follow_up(payload) {
            Some(due) if due > at => Ok(()),
            _ => {
                let what =
                    "an operator who makes a mailbox for somebody holds its password until that is put right";
                Err(Refused::value(what, "give `payload.follow_up`: the day it becomes the owner's"))
            }
        },
        _ => Err(Refused::value(
            "nothing says who set the first password",
            "give `payload.pattern`: owner-first, or operator-created with `follow_up`",
        )),
    }
}

fn follow_up(payload: &Value) -> Option<DateTime<Utc>> {
    let text = payload["follow_up"].as_str()?;
    text.parse().ok().or_else(|| format!("{text}T00:00:00Z").parse().ok())
}

fn is_recorded(entries: &[Entry], record: &Record) -> bool {
    entries.iter().filter(|entry| entry.kind == record.kind).any(|entry| match &record.id {
        Some(id) => entry.payload["id"].as_str() == Some(id),
        None => {
            record.at == Some(entry.at)
                && entry.subject == record.subject
                && entry.payload == record.payload
                && entry.prior_state == record.prior_state
        }
    })
}

/// Operator-created mailboxes that are not their owners' yet, the most urgent first.
pub fn follow_ups(entries: &[Entry]) -> Vec<FollowUp> {
    let mut open: Vec<FollowUp> = Vec::new();
    for entry in entries {
        match entry.kind.as_str() {
            "mailbox.created" => {
                let due = follow_up(&entry.payload);
                open.extend(due.map(|due| FollowUp {
                    mailbox: entry.subject.clone(),
                    since: entry.at,
                    due,
                    reason: entry.reason.clone().unwrap_or_default(),
                }));
            }
            "mailbox.owner-controlled" | "mailbox.deleted" => {
                open.retain(|follow_up| !crate::swept::same(&follow_up.mailbox, &entry.subject));
            }
            _ => {}
        }
    }
    open.sort_by_key(|follow_up| follow_up.due);
    open
}

/// Invitations that nobody has accepted, the oldest first.
pub fn pending_invites(entries: &[Entry]) -> Vec<PendingInvite> {
    let mut open: Vec<PendingInvite> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.kind.starts_with("invite.")) {
        open.retain(|invite| !crate::swept::same(&invite.mailbox, &entry.subject));
        if matches!(entry.kind.as_str(), "invite.sent" | "invite.resent") {
            open.push(PendingInvite { mailbox: entry.subject.clone(), sent: entry.at });
        }
    }
    open.sort_by_key(|invite| invite.sent);
    open
}
