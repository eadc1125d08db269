//! The answer for people: one screen.

use std::fmt::Write as _;

use super::records::Records;
use super::{Answer, Recovery};
use crate::output::shown;

/// More than this of a list is counted, so that the answer stays on one screen.
const LISTED: usize = 3;

pub(super) fn text(answer: &Answer) -> String {
    let mut out = format!("{} is {}\n", shown(&answer.asked), shown(&answer.is));
    let nobody = || "nobody on record".to_owned();
    let list = |values: &[String]| if values.is_empty() { nobody() } else { some_of(values) };
    let mut line = |label: &str, value: String| {
        let _ = writeln!(out, "  {label:<20} {}", shown(&value));
    };
    line("mail reaches", answer.mailbox.clone());
    line("client", answer.client.clone());
    let kind = answer.kind.unwrap_or("not in the policy");
    line("kind", answer.reset.as_ref().map_or(kind.to_owned(), |reset| format!("{kind}, {}", reset.class)));
    line("owner", answer.owner.clone().unwrap_or_else(nobody));
    if let Some(reset) = &answer.reset {
        line("reset", reset.path.to_owned());
        let approvers =
            if reset.approval.starts_with("none") { "nobody".to_owned() } else { list(&reset.approvers) };
        line("must approve", format!("{approvers} ({})", reset.approval));
        line("executes", list(&reset.executor));
    }
    line("emergency approver", answer.emergency_approver.clone());
    line("recovery goes to", answer.recovery.as_ref().map_or_else(nobody, recovery));
    line("operated by", answer.operator_team.clone().unwrap_or_else(nobody));
    line("may read it", list(&answer.authorised_users));
    line("may send", if answer.receive_only { "no, receive-only" } else { "yes" }.to_owned());
    let never = || "never".to_owned();
    line("last review", answer.last_reviewed.map_or_else(never, |at| at.format("%Y-%m-%d").to_string()));
    line("open exceptions", none_or(&answer.exceptions));
    match &answer.records {
        Some(records) => lines_of(records, &mut line),
        None => line("ledger", "could not be read: sweeps, access and cases are unknown".to_owned()),
    }
    out
}

fn recovery(recovery: &Recovery) -> String {
    match recovery.loops {
        true => format!("{}  LOOP: inside the system it recovers", recovery.contact),
        false => recovery.contact.clone(),
    }
}

fn lines_of(records: &Records, line: &mut impl FnMut(&str, String)) {
    line("access for a time", none_or(&records.access));
    let swept = records.last_sweep.as_ref().map_or("never, of every mailbox".to_owned(), |sweep| {
        format!("{} ({})", sweep.at.format("%Y-%m-%d %H:%M UTC"), sweep.verdict)
    });
    line("last sweep", swept);
    line("open findings", none_or(&records.findings));
    line("open cases", none_or(&records.cases));
}

fn none_or(values: &[String]) -> String {
    if values.is_empty() { "none".to_owned() } else { some_of(values) }
}

fn some_of(values: &[String]) -> String {
    let first = values.iter().take(LISTED).cloned().collect::<Vec<_>>().join("; ");
    match values.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first}; and {more} more"),
    }
}
