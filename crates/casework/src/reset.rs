//! Password resets: request, verify, approve, execute, confirm, close.
//!
//! The ladder: the user sets a new password with a token of their own; else the business owner approves and
//! an operator executes; else break-glass with verification out of band, different approvers and a temporary
//! secret. The least risky rung that the scenario allows is chosen, never by whoever is in a hurry.

mod log;
mod state;

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_policy::raci::{Action, Duty, MailboxClass};
use mailwarden_policy::{Mailbox, Policy};
use serde::{Deserialize, Serialize};

pub use log::{log_entry, notification};
pub use state::{ResetCase, Stage};

use crate::approval::Approval;
use crate::entry::{Entry, Step};
use crate::refused::Refused;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// The user forgot the password.
    Forgotten,
    /// Something does not work; the user signs in again, or an operator intervenes.
    Access,
    /// Somebody else may be inside.
    Compromise,
    /// The user is locked out and cannot help themselves.
    Lockout,
}

impl Scenario {
    /// The word of the log entry: routine, emergency or compromise response.
    pub fn reset_type(self) -> &'static str {
        match self {
            Self::Forgotten | Self::Access => "routine",
            Self::Compromise => "compromise response",
            Self::Lockout => "emergency",
        }
    }

    /// What it takes for a mailbox of a class. One person's mailbox stays with that person while they can
    /// help themselves; a lockout needs somebody else, and then it needs an approval as well.
    pub fn action(self, class: MailboxClass, has_user: bool) -> Action {
        match self {
            Self::Compromise => Action::ResetCompromise,
            Self::Forgotten | Self::Access if has_user => Action::ResetRoutine,
            Self::Forgotten | Self::Access | Self::Lockout if class == MailboxClass::Personal => {
                Action::ResetRole
            }
            Self::Forgotten | Self::Access | Self::Lockout => class.reset(),
        }
    }
}

/// A rung of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// The user, with a short-lived token; nobody else sees a secret.
    UserDriven,
    /// Approved before it is executed.
    OwnerApproved,
    /// Rare: a temporary secret that must be changed, and verification out of band.
    BreakGlass,
}

impl Rung {
    pub(crate) fn of(action: Action) -> Self {
        match action {
            Action::ResetRoutine => Self::UserDriven,
            Action::ResetRole => Self::OwnerApproved,
            _ => Self::BreakGlass,
        }
    }
}

/// `reset.requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// The case.
    pub case: String,
    /// The mailbox.
    pub mailbox: Address,
    /// What happened.
    pub scenario: Scenario,
    /// The rung of the ladder.
    pub rung: Rung,
    /// Who asks, by the first of their addresses.
    pub requester: Address,
    /// The channel that was registered for them beforehand.
    pub registered_channel: Option<String>,
    /// Who may confirm that it worked: the users of the mailbox and its business owner.
    pub confirmers: Vec<Address>,
    /// One paragraph: why.
    pub reason: String,
    /// The ticket.
    pub ticket: String,
    /// What it takes, as the policy had it on that day.
    pub duty: Duty,
}

/// `reset.verified`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The case.
    pub case: String,
    /// Who verified.
    pub verifier: Address,
    /// How.
    pub method: String,
    /// Over which channel.
    pub channel: String,
}

/// `reset.executed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executed {
    /// The case.
    pub case: String,
    /// Who did it.
    pub executor: Address,
    /// Whether all sessions were revoked.
    pub sessions_revoked: bool,
    /// Whether tokens and app passwords were looked through.
    pub tokens_reviewed: bool,
    /// How long the temporary secret is, where there is one; the secret itself is stored nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporary_length: Option<usize>,
    /// Whether the password has to be changed at the next login.
    pub must_change: bool,
}

/// `reset.confirmed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// The case.
    pub case: String,
    /// Who confirms.
    pub by: Address,
    /// Over which channel they said so.
    pub channel: String,
    /// Whether the temporary secret was replaced.
    pub rotated: bool,
}

/// `reset.closed` and `reset.cancelled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The case.
    pub case: String,
    /// Who closed it.
    pub by: Address,
    /// The sweep that found the mailbox clean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<String>,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<String>,
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The number of the case, should it be a new one.
    pub case: String,
    /// The mailbox.
    pub mailbox: &'a Mailbox,
    /// What happened.
    pub scenario: Scenario,
    /// Who asks.
    pub requester: Address,
    /// Why.
    pub reason: String,
    /// The ticket.
    pub ticket: String,
}

/// Asks for a reset. While a case about the mailbox is open the same request leads to that case, and another
/// one is refused.
///
/// # Errors
/// Another reset of the mailbox is open, or the request says too little.
pub fn request(
    policy: &Policy,
    open: Option<&ResetCase>,
    request: Request<'_>,
) -> Result<Step<Requested>, Refused> {
    let requester = policy.person_address(&request.requester).clone();
    if let Some(open) = open {
        let same = open.requested.scenario == request.scenario && open.requested.requester == requester;
        return if same { Ok(Step::Already) } else { Err(open.frozen()) };
    }
    if request.reason.trim().is_empty() || request.ticket.trim().is_empty() {
        return Err(Refused::value("a reset needs a reason and a ticket", "give --reason and --ticket"));
    }
    let mailbox = request.mailbox;
    let has_user = policy.person(&mailbox.address).is_some();
    let action = request.scenario.action(policy.class_of(mailbox), has_user);
    let person = policy.person(&requester).ok_or_else(|| {
        Refused::value(
            format!("nobody on record is {requester}, so nobody can say that it is really them"),
            "add the [[person]] with their `out_of_band` channel, and let somebody on record ask",
        )
    })?;
    Ok(Step::Record(Requested {
        case: request.case,
        mailbox: mailbox.address.clone(),
        scenario: request.scenario,
        rung: Rung::of(action),
        registered_channel: person.out_of_band.clone(),
        confirmers: confirmers(policy, mailbox),
        requester,
        reason: request.reason,
        ticket: request.ticket,
        duty: Duty::about_mailbox(policy, action, mailbox),
    }))
}

fn confirmers(policy: &Policy, mailbox: &Mailbox) -> Vec<Address> {
    let own = policy.person(&mailbox.address).map(|_| &mailbox.address);
    let all = own.into_iter().chain(&mailbox.authorised_users).chain(&mailbox.business_owner);
    let mut people: Vec<Address> = all.map(|address| policy.person_address(address).clone()).collect();
    people.dedup();
    people
}

/// All cases, oldest first.
pub fn cases(entries: &[Entry]) -> Vec<ResetCase> {
    let mut cases: Vec<ResetCase> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.kind.starts_with("reset.")) {
        if entry.kind == "reset.requested" {
            let opened = entry.step().filter(|asked: &Requested| !cases.iter().any(|c| c.id() == asked.case));
            cases.extend(opened.map(|asked| ResetCase::begin(asked, entry.at, entry.actor.clone())));
        } else if let Some(case) = cases.iter_mut().find(|case| Some(case.id()) == entry.case()) {
            case.apply(entry);
        }
    }
    cases
}

/// The open case about a mailbox.
pub fn open_case<'c>(cases: &'c [ResetCase], mailbox: &Address) -> Option<&'c ResetCase> {
    cases.iter().find(|case| case.is_open() && case.requested.mailbox == *mailbox)
}

/// Refuses a change of a mailbox while a reset of it is open.
///
/// # Errors
/// A reset is open.
pub fn not_frozen(entries: &[Entry], mailbox: &Address) -> Result<(), Refused> {
    open_case(&cases(entries), mailbox).map_or(Ok(()), |case| Err(case.frozen()))
}

/// An approval as somebody gives it to the command.
#[derive(Debug, Clone)]
pub struct Approving {
    /// Who said yes.
    pub approver: Address,
    /// Who writes it down.
    pub recorded_by: Address,
    /// How it was said.
    pub channel: String,
    /// When.
    pub given: DateTime<Utc>,
    /// The verified signature.
    pub signed: Option<crate::approval::Signed>,
}

impl Approving {
    pub(crate) fn of(self, case: &str) -> Approval {
        let Self { approver, recorded_by, channel, given, signed } = self;
        Approval { case: case.to_owned(), approver, recorded_by, channel, given, signed }
    }
}
