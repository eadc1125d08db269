//! Who may let a change happen. The responsibility table of the policy decides; here it is asked for every
//! mailbox that a run would change, and nobody's approval counts who has left.

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_evidence::SYSTEM;
use mailwarden_policy::Policy;
use mailwarden_policy::raci::{Action, Duty, Forbidden, GivenApproval};

use crate::Change;

/// What the control model calls all changes made from here.
pub const ACTION: Action = Action::ChangeForwarding;

/// Who acts, and on whose word.
#[derive(Debug, Clone)]
pub struct Mandate {
    /// Whoever executes, by the first of their addresses.
    pub executor: Address,
    /// As the ledger names the executor.
    pub recorded: String,
    /// Who approved.
    pub approvals: Vec<Approval>,
    /// Where that was decided.
    pub ticket: String,
}

/// One person's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Who gave it.
    pub approver: Address,
    /// Whether their signature under these very changes was verified.
    pub signed: bool,
}

/// The right to make certain changes. Only [`authorise`] makes one.
#[derive(Debug, Clone)]
pub struct Authorised {
    mandate: Mandate,
}

impl Authorised {
    /// The executor, as the ledger names them.
    pub fn executor(&self) -> &str {
        &self.mandate.recorded
    }

    /// Ticket and approvals, as the ledger keeps them.
    pub fn reason(&self) -> String {
        let named = |approval: &Approval| match approval.signed {
            true => format!("{} (signed)", approval.approver),
            false => approval.approver.to_string(),
        };
        let approvers: Vec<String> = self.mandate.approvals.iter().map(named).collect();
        match approvers.is_empty() {
            true => self.mandate.ticket.clone(),
            false => format!("{}; approved by {}", self.mandate.ticket, approvers.join(", ")),
        }
    }
}

/// Why a change may not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorised {
    /// The approver is not in the policy.
    #[error("{0} is nobody the policy knows, so they cannot approve; name a [[person]]")]
    UnknownApprover(Address),
    /// The approver has left.
    #[error("{0} has left and cannot approve any more")]
    ApproverLeft(String),
    /// No client answers for the mailbox.
    #[error("no policy names {0} or its domain, so nobody answers for it; register it first")]
    NobodyAnswers(String),
    /// It is of the whole system, and several clients share that.
    #[error("it belongs to no mailbox, and several clients share the system; change it by hand")]
    SeveralClients,
    /// The table says no.
    #[error(transparent)]
    Table(#[from] Forbidden),
}

/// Whether changes may be made.
///
/// # Errors
/// Says what is missing, and who could give it.
pub fn authorise(
    policy: &Policy,
    changes: &[Change],
    mandate: Mandate,
    now: DateTime<Utc>,
) -> Result<Authorised, Unauthorised> {
    let given = |approval: &Approval| present(policy, &approval.approver, now).cloned();
    let approvers = mandate.approvals.iter().map(given).collect::<Result<Vec<Address>, _>>()?;
    let given: Vec<GivenApproval<'_>> = approvers
        .iter()
        .zip(&mandate.approvals)
        .map(|(approver, approval)| GivenApproval {
            approver,
            recorded_by: &mandate.executor,
            signed: approval.signed,
        })
        .collect();
    for change in changes {
        let duty = duty(policy, change.object.mailbox())?;
        duty.authorise(None, &given, &mandate.executor)?;
    }
    Ok(Authorised { mandate })
}

/// The approver, by the first of their addresses.
fn present<'p>(
    policy: &'p Policy,
    approver: &'p Address,
    now: DateTime<Utc>,
) -> Result<&'p Address, Unauthorised> {
    let person = policy.person(approver).ok_or_else(|| Unauthorised::UnknownApprover(approver.clone()))?;
    if person.has_left(now) {
        return Err(Unauthorised::ApproverLeft(person.name.clone()));
    }
    Ok(policy.person_address(approver))
}

fn duty(policy: &Policy, mailbox: &str) -> Result<Duty, Unauthorised> {
    let nobody = || Unauthorised::NobodyAnswers(mailbox.to_owned());
    // What belongs to no mailbox is the whole system's: its only client answers for that, and of several none alone.
    if mailbox == SYSTEM {
        return match policy.clients() {
            [_] => Ok(Duty::about_client(policy, ACTION, 0, mailbox)),
            _ => Err(Unauthorised::SeveralClients),
        };
    }
    let address: Address = mailbox.parse().map_err(|_| nobody())?;
    match policy.mailbox(&address) {
        Some(record) => Ok(Duty::about_mailbox(policy, ACTION, record)),
        None => {
            let client = policy.client_index(address.domain()).ok_or_else(nobody)?;
            Ok(Duty::about_client(policy, ACTION, client, mailbox))
        }
    }
}
