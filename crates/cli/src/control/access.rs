//! `mailwarden access`: grants for a time.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use mailwarden_casework::access::{self, Grant, Granting};
use mailwarden_casework::reset::Approving;
use serde_json::json;

use super::Casebook;
use super::casebook::{moment, number};
use super::reset::ActAs;
use crate::arguments::Common;
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Record an access for a time; the mail system grants it
    #[command(
        after_help = "Example:\n  mailwarden access grant support@example.com bob@example.com --rights lr \
                            --expires 2026-02-01 --reason 'holiday cover' --ticket T-3 \
                            --approver jane@example.com --channel phone"
    )]
    Grant(GrantArguments),
    /// Record that an access was removed
    #[command(after_help = "Example:\n  mailwarden access revoke A-7K2M9QXZ --ticket T-9")]
    Revoke(RevokeArguments),
    /// What is granted, and what has lapsed
    #[command(after_help = "Example:\n  mailwarden access list support@example.com --all")]
    List(ListArguments),
}

#[derive(Debug, Args)]
pub(crate) struct GrantArguments {
    /// The mailbox
    mailbox: String,
    /// Who gets access
    grantee: String,
    /// Which rights, in the mail system's own words (RFC 4314)
    #[arg(long, default_value = "lrs")]
    rights: String,
    /// Until when
    #[arg(long, value_name = "TIME")]
    expires: String,
    /// Why
    #[arg(long)]
    reason: String,
    /// The ticket
    #[arg(long)]
    ticket: String,
    /// Who said yes
    #[arg(long, value_name = "ADDRESS")]
    approver: String,
    /// How they said it
    #[arg(long)]
    channel: String,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArguments {
    /// The number of the grant
    grant: String,
    /// The ticket
    #[arg(long)]
    ticket: Option<String>,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// One mailbox only
    mailbox: Option<String>,
    /// Those that ended as well
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(common: &Common, command: &AccessCommand) -> Result<Outcome, Failure> {
    let book = Casebook::open(common).await?;
    let outcome = match command {
        AccessCommand::Grant(arguments) => grant(&book, arguments).await,
        AccessCommand::Revoke(arguments) => revoke(&book, arguments).await,
        AccessCommand::List(arguments) => list(&book, arguments).await,
    }?;
    book.close(outcome).await
}

async fn grant(book: &Casebook, arguments: &GrantArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let mailbox = book.mailbox(&arguments.mailbox)?;
    let mut entries = book.entries("reset.").await?;
    entries.extend(book.entries("access.").await?);
    let granting = Granting {
        case: number("A"),
        mailbox,
        grantee: super::actor::address(&arguments.grantee)?,
        rights: arguments.rights.clone(),
        reason: arguments.reason.clone(),
        ticket: arguments.ticket.clone(),
        expires: moment(&arguments.expires)?,
        executor: actor.person.clone(),
        approving: Approving {
            approver: book.person(&arguments.approver)?,
            recorded_by: actor.person.clone(),
            channel: arguments.channel.clone(),
            given: book.now,
            signed: None,
        },
    };
    let subject = mailbox.address.to_string();
    let step = access::grant(&book.policy, &entries, granting, book.now);
    let granted = book.take("access.granted", &actor, &subject, Some(&arguments.ticket), step).await?;
    if let Some(granted) = granted {
        output::print(&format!("{}\n", granted.case))?;
    }
    Ok(Outcome::Clean)
}

async fn revoke(book: &Casebook, arguments: &RevokeArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let grants = access::grants(&book.entries("access.").await?);
    let step = access::revoke(&book.policy, &grants, &arguments.grant, actor.person.clone());
    let grant = grants.iter().find(|grant| grant.granted.case == arguments.grant);
    // A grant removed after its end expired; one removed before it was revoked.
    let lapsed = grant.is_some_and(|grant| grant.has_lapsed(book.now));
    let kind = if lapsed { "access.expired" } else { "access.revoked" };
    let subject = grant.map(|grant| grant.granted.mailbox.to_string()).unwrap_or_default();
    book.take(kind, &actor, &subject, arguments.ticket.as_deref(), step).await?;
    Ok(Outcome::Clean)
}

async fn list(book: &Casebook, arguments: &ListArguments) -> Result<Outcome, Failure> {
    let mailbox = arguments.mailbox.as_deref().map(|mailbox| book.mailbox(mailbox)).transpose()?;
    let mut grants = access::grants(&book.entries("access.").await?);
    grants.retain(|grant| {
        (arguments.all || grant.ended.is_none())
            && mailbox.is_none_or(|mailbox| grant.granted.mailbox == mailbox.address)
    });
    let value = json!({
        "schema": "mailwarden.access/1",
        "grants": grants.iter().map(|grant| json!({
            "grant": grant.granted.case, "mailbox": grant.granted.mailbox, "grantee": grant.granted.grantee,
            "rights": grant.granted.rights, "expires": grant.granted.expires, "lapsed": grant.has_lapsed(book.now),
            "ended": grant.ended, "reason": grant.granted.reason, "approver": grant.granted.approval.approver,
        })).collect::<Vec<_>>(),
    });
    output::answer(arguments.json, &value, |_| text(&grants, book))?;
    Ok(Outcome::Clean)
}

fn text(grants: &[Grant], book: &Casebook) -> String {
    let mut out = String::new();
    for grant in grants {
        let granted = &grant.granted;
        let state = match (grant.ended, grant.has_lapsed(book.now)) {
            (Some(at), _) => format!("ended {}", at.format("%Y-%m-%d")),
            (None, true) => format!("LAPSED {}", granted.expires.format("%Y-%m-%d")),
            (None, false) => format!("until {}", granted.expires.format("%Y-%m-%d")),
        };
        let line = format!(
            "{}  {state}  {} may {} {} ({}, approved by {})",
            granted.case,
            granted.grantee,
            granted.rights,
            granted.mailbox,
            granted.reason,
            granted.approval.approver
        );
        let _ = writeln!(out, "{}", shown(&line));
    }
    if out.is_empty() { "no access is granted for a time\n".to_owned() } else { out }
}
