//! `mailwarden review`: the daily or weekly job. What lapsed, what is stale, what somebody promised to put
//! right.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use mailwarden_casework::{access, offboard, provisioning, reset};
use mailwarden_ledger::EventFilter;
use mailwarden_policy::lint;
use mailwarden_settings::policy_sources;
use serde::Serialize;

use super::Casebook;
use crate::arguments::Common;
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

/// A reset that is open for longer freezes a mailbox that nobody works on.
const RESET_OPEN_TOO_LONG: TimeDelta = TimeDelta::hours(24);
/// An invitation that nobody accepts is a mailbox that nobody owns.
const INVITE_OPEN_TOO_LONG: TimeDelta = TimeDelta::days(7);
/// A ledger that was not taken off the machine for longer could have been rewritten.
const UNANCHORED_TOO_LONG: TimeDelta = TimeDelta::days(7);
/// What ends within this time is said before it does.
const SOON: TimeDelta = TimeDelta::days(14);

#[derive(Debug, Args)]
pub(crate) struct ReviewArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One thing to do.
#[derive(Debug, Serialize)]
struct Due {
    /// Which kind: access, exception, review, owner, follow-up, invite, reset, offboarding, waiver, ledger.
    kind: &'static str,
    /// About what.
    subject: String,
    /// Since when, or until when.
    at: Option<DateTime<Utc>>,
    /// What is the matter, and what to do.
    what: String,
    /// It will be due, and is not yet.
    coming: bool,
}

impl Due {
    fn new(kind: &'static str, subject: impl ToString, at: DateTime<Utc>, what: impl Into<String>) -> Self {
        Self { kind, subject: subject.to_string(), at: Some(at), what: what.into(), coming: false }
    }
}

/// Exit code 1 where something is due now.
pub(crate) async fn run(common: &Common, arguments: &ReviewArguments) -> Result<Outcome, Failure> {
    let book = Casebook::open(common).await?;
    let mut due = lapsed_access(&book).await?;
    due.extend(exceptions(&book));
    due.extend(lints(common, &book)?);
    due.extend(promises(&book).await?);
    due.extend(cases(&book).await?);
    due.extend(unanchored(&book).await?);
    let outcome = if due.iter().any(|due| !due.coming) { Outcome::Findings } else { Outcome::Clean };
    let value = serde_json::json!({"schema": "mailwarden.review/1", "at": book.now, "due": due});
    output::answer(arguments.json, &value, |_| text(&due))?;
    book.close(outcome).await
}

async fn lapsed_access(book: &Casebook) -> Result<Vec<Due>, Failure> {
    let grants = access::grants(&book.entries("access.").await?);
    let open = grants.iter().filter(|grant| grant.ended.is_none());
    let due = open.filter(|grant| grant.granted.expires <= book.now + SOON).map(|grant| {
        let granted = &grant.granted;
        let what = format!(
            "{} still has `{}`; remove it, then: mailwarden access revoke {}",
            granted.grantee, granted.rights, granted.case
        );
        let coming = !grant.has_lapsed(book.now);
        Due { coming, ..Due::new("access", &granted.mailbox, granted.expires, what) }
    });
    Ok(due.collect())
}

fn exceptions(book: &Casebook) -> Vec<Due> {
    let now = book.now;
    let findings =
        book.policy.exceptions().iter().map(|one| (one.fingerprint.clone(), one.expires, &one.reason));
    let grants = book
        .policy
        .accepted_grants()
        .iter()
        .map(|one| (format!("{} for {}", one.mailbox, one.grantee), one.expires, &one.reason));
    let ending = findings.chain(grants).filter(|(_, expires, _)| *expires <= now + SOON);
    ending
        .map(|(subject, expires, reason)| {
            let what = format!("the exception ends; put it right or have it approved again ({reason})");
            Due { coming: expires > now, ..Due::new("exception", subject, expires, what) }
        })
        .collect()
}

/// Stale reviews, missing owners, leavers who are still named, registrations that run out.
fn lints(common: &Common, book: &Casebook) -> Result<Vec<Due>, Failure> {
    static REVIEWED: [(&str, &str); 6] = [
        ("review-stale", "review"),
        ("role-without-owner", "owner"),
        ("leaver-named", "owner"),
        ("registration-expires", "domain"),
        ("exception-orphaned", "exception"),
        ("recovery-unwatched", "recovery"),
    ];
    let sources = policy_sources(&common.policy_directory(&book.settings))?;
    let found = lint(&book.policy, &sources, book.now).into_iter().filter_map(|found| {
        let (_, kind) = REVIEWED.iter().find(|(id, _)| *id == found.id)?;
        let what = format!("{}; {}", found.message, found.help);
        Some(Due { kind, subject: found.location(), at: None, what, coming: false })
    });
    Ok(found.collect())
}

async fn promises(book: &Casebook) -> Result<Vec<Due>, Failure> {
    let mut entries = book.entries("mailbox.").await?;
    entries.extend(book.entries("invite.").await?);
    let follow_ups = provisioning::follow_ups(&entries).into_iter().map(|follow_up| {
        let what = format!(
            "an operator still holds its first password ({}); then: mailwarden record mailbox.owner-controlled",
            follow_up.reason
        );
        let coming = follow_up.due > book.now;
        Due { coming, ..Due::new("follow-up", follow_up.mailbox, follow_up.due, what) }
    });
    let invites = provisioning::pending_invites(&entries).into_iter().map(|invite| {
        let coming = invite.sent + INVITE_OPEN_TOO_LONG > book.now;
        Due {
            coming,
            ..Due::new("invite", invite.mailbox, invite.sent, "nobody has accepted it; resend or cancel")
        }
    });
    Ok(follow_ups.chain(invites).collect())
}

async fn cases(book: &Casebook) -> Result<Vec<Due>, Failure> {
    let mut due = Vec::new();
    for case in reset::cases(&book.entries("reset.").await?).iter().filter(|case| case.is_open()) {
        let what = format!("the reset {} is open and freezes the mailbox", case.id());
        let coming = case.requested_at + RESET_OPEN_TOO_LONG > book.now;
        due.push(Due { coming, ..Due::new("reset", &case.requested.mailbox, case.requested_at, what) });
    }
    for case in offboard::cases(&book.entries("offboard.").await?).iter() {
        if case.is_open() {
            let open = case.unresolved(book.now).len();
            let what = format!("the offboarding {} has {open} open item(s)", case.id());
            let coming = !case.is_due(book.now);
            due.push(Due {
                coming,
                ..Due::new("offboarding", &case.opened.person, case.opened.leaves, what)
            });
        }
        // A closed case rests on its waivers: when one ends, what it let stay open is due.
        for (item, (resolution, _)) in &case.resolutions {
            let offboard::Resolution::Waived(waived) = resolution else { continue };
            if waived.expires <= book.now + SOON {
                let what = format!("the waiver of `{item}` in {} ends: {}", case.id(), waived.reason);
                let coming = waived.expires > book.now;
                due.push(Due { coming, ..Due::new("waiver", &case.opened.person, waived.expires, what) });
            }
        }
    }
    Ok(due)
}

async fn unanchored(book: &Casebook) -> Result<Option<Due>, Failure> {
    let failed = |error| Failure::Ledger("cannot read the ledger".to_owned(), error);
    let one = |kind: Option<&str>, newest_first| EventFilter {
        kind_prefix: kind.map(str::to_owned),
        limit: Some(1),
        newest_first,
        ..EventFilter::default()
    };
    let ledger = book.ledger();
    let anchored = ledger.events(&one(Some("ledger.anchored"), true)).await.map_err(failed)?.pop();
    let first = ledger.events(&one(None, false)).await.map_err(failed)?.pop();
    let Some(since) = anchored.or(first).map(|event| event.at) else { return Ok(None) };
    let what = "no checkpoint was taken off this machine since then: nobody else could prove what was here";
    Ok((since + UNANCHORED_TOO_LONG < book.now).then(|| Due::new("ledger", "ledger", since, what)))
}

fn text(due: &[Due]) -> String {
    let mut out = String::new();
    for (title, coming) in [("Due", false), ("Coming", true)] {
        let part: Vec<&Due> = due.iter().filter(|due| due.coming == coming).collect();
        if part.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{title}");
        for due in part {
            let at = due.at.map_or("          ".to_owned(), |at| at.format("%Y-%m-%d").to_string());
            let _ =
                writeln!(out, "  {at}  {:<12} {}\n      {}", due.kind, shown(&due.subject), shown(&due.what));
        }
    }
    if out.is_empty() { "nothing is due\n".to_owned() } else { out }
}
