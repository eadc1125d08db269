//! The log entry of a reset, and what those who must know are told.

use std::fmt::Write as _;

use super::{ResetCase, Rung};
use crate::approval::Approval;

/// The log entry, with every line of the runbook. What did not happen says so.
pub fn log_entry(case: &ResetCase) -> String {
    let asked = &case.requested;
    let executed = case.executed.as_ref().map(|(executed, _)| executed);
    let swept = case.closed.as_ref().and_then(|(closed, _)| closed.sweep.as_ref());
    let yes = |fact: bool| if fact { "Y" } else { "N" };
    let mut out = format!("RESET LOG ENTRY {}\n", case.id());
    let mut line = |label: &str, value: String| {
        let _ = writeln!(out, "- {label}: {value}");
    };
    line("Timestamp (UTC)", case.requested_at.format("%Y-%m-%d %H:%M:%S").to_string());
    line("Mailbox affected", asked.mailbox.to_string());
    line("Reset type", asked.scenario.reset_type().to_owned());
    line("Requester identity", asked.requester.to_string());
    line("Verification method used", verification(case));
    line("Verifier", case.verified.as_ref().map_or("none".to_owned(), |(one, _)| one.verifier.to_string()));
    line("Approver and approval channel", approvals(&case.approvals));
    line("Executor", executed.map_or("not executed".to_owned(), |one| one.executor.to_string()));
    line("Password reset performed (Y/N)", yes(executed.is_some()).to_owned());
    line("Sessions revoked (Y/N)", yes(executed.is_some_and(|one| one.sessions_revoked)).to_owned());
    line(
        "Tokens / app passwords reviewed (Y/N)",
        yes(executed.is_some_and(|one| one.tokens_reviewed)).to_owned(),
    );
    let checked = swept.map_or("N".to_owned(), |run| format!("Y (sweep {run})"));
    line("Forwarding / catch-all checked (Y/N)", checked);
    line("Owner confirmed", case.confirmed.as_ref().map_or("no".to_owned(), |(one, _)| one.by.to_string()));
    line("Ticket ID", asked.ticket.clone());
    line("Reason / notes", asked.reason.clone());
    out
}

fn verification(case: &ResetCase) -> String {
    match &case.verified {
        Some((verified, _)) => format!("{} over {}", verified.method, verified.channel),
        None if case.requested.rung == Rung::UserDriven => "none; the user's own token".to_owned(),
        None => "none yet".to_owned(),
    }
}

fn approvals(approvals: &[Approval]) -> String {
    if approvals.is_empty() {
        return "none required or given".to_owned();
    }
    let one = |approval: &Approval| {
        let signed = if approval.signed.is_some() { ", signed" } else { "" };
        let given = approval.given.format("%Y-%m-%d %H:%M UTC");
        format!("{} over {} on {given}{signed}", approval.approver, approval.channel)
    };
    approvals.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What the business owner, the security contact and everybody else whom the policy names are told.
pub fn notification(case: &ResetCase) -> String {
    let asked = &case.requested;
    let told: Vec<String> = asked.duty.told.iter().map(ToString::to_string).collect();
    let executed = case.executed.as_ref();
    let when = executed.map_or("not yet executed".to_owned(), |(one, at)| {
        format!("executed by {} on {}", one.executor, at.format("%Y-%m-%d %H:%M UTC"))
    });
    format!(
        "To: {}\nSubject: Password reset of {} ({})\n\nA password reset of {} was requested by {} and {when}.\n\
         Why: {} ({})\nApproved by: {}\n\nIf you did not expect this, call your emergency approver now: do not \
         answer by mail.\n",
        told.join(", "),
        asked.mailbox,
        asked.scenario.reset_type(),
        asked.mailbox,
        asked.requester,
        asked.reason,
        asked.ticket,
        approvals(&case.approvals),
    )
}
