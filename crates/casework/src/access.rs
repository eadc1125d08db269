//! Access for a time: granted with reason, ticket, approver and end; looked up by whoever finds a real grant.

use chrono::{DateTime, TimeDelta, Utc};
use mailwarden_address::Address;
use mailwarden_policy::Policy;
use mailwarden_policy::raci::{Action, Duty};
use serde::{Deserialize, Serialize};

use crate::approval::{Approval, authorise};
use crate::entry::{Entry, Step};
use crate::refused::Refused;
use crate::reset::{Approving, not_frozen};

/// Nothing temporary lasts longer.
const LONGEST: TimeDelta = TimeDelta::days(365);

/// `access.granted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The number of the grant.
    pub case: String,
    /// The mailbox.
    pub mailbox: Address,
    /// Who gets access.
    pub grantee: Address,
    /// Which rights, in the mail system's own words.
    pub rights: String,
    /// Why.
    pub reason: String,
    /// The ticket.
    pub ticket: String,
    /// Who said yes.
    pub approval: Approval,
    /// Who made it so.
    pub executor: Address,
    /// Until when.
    pub expires: DateTime<Utc>,
}

/// `access.revoked` and `access.expired`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The number of the grant.
    pub case: String,
    /// Who removed it.
    pub by: Address,
}

/// A grant, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What was granted.
    pub granted: Granted,
    /// When.
    pub at: DateTime<Utc>,
    /// When it was removed.
    pub ended: Option<DateTime<Utc>>,
}

impl Grant {
    /// Whether it covers an access that exists now.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.ended.is_none() && self.granted.expires > now
    }

    /// Whether its time is over and nobody has removed it.
    pub fn has_lapsed(&self, now: DateTime<Utc>) -> bool {
        self.ended.is_none() && self.granted.expires <= now
    }
}

/// All grants, oldest first.
pub fn grants(entries: &[Entry]) -> Vec<Grant> {
    let mut grants: Vec<Grant> = Vec::new();
    for entry in entries {
        match entry.kind.as_str() {
            "access.granted" => {
                let granted: Option<Granted> = entry.step();
                grants.extend(granted.map(|granted| Grant { granted, at: entry.at, ended: None }));
            }
            "access.revoked" | "access.expired" => {
                let ended = grants.iter_mut().find(|grant| Some(grant.granted.case.as_str()) == entry.case());
                ended.into_iter().for_each(|grant| grant.ended = grant.ended.or(Some(entry.at)));
            }
            _ => {}
        }
    }
    grants
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Granting<'a> {
    /// The number of the grant, should it be a new one.
    pub case: String,
    /// The mailbox.
    pub mailbox: &'a mailwarden_policy::Mailbox,
    /// Who gets access.
    pub grantee: Address,
    /// Which rights.
    pub rights: String,
    /// Why.
    pub reason: String,
    /// The ticket.
    pub ticket: String,
    /// Until when.
    pub expires: DateTime<Utc>,
    /// Who makes it so.
    pub executor: Address,
    /// Who said yes.
    pub approving: Approving,
}

/// Records an access for a time.
///
/// # Errors
/// The mailbox is frozen, the control model does not allow it, or reason, ticket or end are missing or too
/// far.
pub fn grant(
    policy: &Policy,
    entries: &[Entry],
    granting: Granting<'_>,
    now: DateTime<Utc>,
) -> Result<Step<Granted>, Refused> {
    let mailbox = granting.mailbox;
    not_frozen(entries, &mailbox.address)?;
    if granting.reason.trim().is_empty() || granting.ticket.trim().is_empty() {
        let what = "an access for a time needs a reason and a ticket";
        return Err(Refused::value(what, "give --reason and --ticket"));
    }
    if granting.expires <= now || granting.expires > now + LONGEST {
        let what = format!("an access until {} does not hold", granting.expires.format("%Y-%m-%d %H:%M UTC"));
        return Err(Refused::value(what, "give --expires with a moment within the next 365 days"));
    }
    if policy.person(&granting.grantee).is_some_and(|person| person.has_left(now)) {
        let what = format!("{} has left", granting.grantee);
        return Err(Refused::value(what, "grant it to somebody who is there"));
    }
    let duty = Duty::about_mailbox(policy, Action::GrantAccess, mailbox);
    let approval = granting.approving.of(&granting.case);
    if approval.approver == *policy.person_address(&granting.grantee) {
        let what = format!("{} would approve their own access", approval.approver);
        let may: Vec<String> = duty.approvers().into_iter().map(ToString::to_string).collect();
        return Err(Refused::value(what, format!("ask another of: {}", may.join(", "))));
    }
    duty.may_approve(None, &approval.as_given())?;
    authorise(&duty, None, std::slice::from_ref(&approval), &granting.executor)?;
    let granted = Granted {
        case: granting.case,
        mailbox: mailbox.address.clone(),
        grantee: granting.grantee,
        rights: granting.rights,
        reason: granting.reason,
        ticket: granting.ticket,
        approval,
        executor: granting.executor,
        expires: granting.expires,
    };
    let is_same = |grant: &Grant| {
        grant.is_live(now)
            && grant.granted.mailbox == granted.mailbox
            && grant.granted.grantee == granted.grantee
            && grant.granted.rights == granted.rights
            && grant.granted.expires == granted.expires
    };
    Ok(if grants(entries).iter().any(is_same) { Step::Already } else { Step::Record(granted) })
}

/// Records that an access was removed.
///
/// # Errors
/// There is no such grant, or this person may not.
pub fn revoke(policy: &Policy, grants: &[Grant], case: &str, by: Address) -> Result<Step<Ended>, Refused> {
    let Some(grant) = grants.iter().find(|grant| grant.granted.case == case) else {
        let what = format!("there is no grant {case}");
        return Err(Refused::value(what, "`mailwarden access list` shows them"));
    };
    if grant.ended.is_some() {
        return Ok(Step::Already);
    }
    if let Some(mailbox) = policy.mailbox(&grant.granted.mailbox) {
        Duty::about_mailbox(policy, Action::GrantAccess, mailbox).may_execute(&by)?;
    }
    Ok(Step::Record(Ended { case: case.to_owned(), by }))
}
