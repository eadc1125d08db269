//! A policy with enough people, and a ledger in memory.

#![allow(dead_code, reason = "each test program uses a part")]

use chrono::{DateTime, Utc};
use mailwarden_address::{Address, Domain};
use mailwarden_casework::reset::Approving;
use mailwarden_casework::{Entry, OpenFinding, Refused, Row, Step, Swept, to_entry};
use mailwarden_policy::{Policy, Source, starter};
use serde::Serialize;

/// The moment at which the tests begin.
pub(crate) fn start() -> DateTime<Utc> {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

/// Some minutes later.
pub(crate) fn later(minutes: i64) -> DateTime<Utc> {
    start() + chrono::TimeDelta::minutes(minutes)
}

/// Carla owns, Erik stands in, Omar and Olga are senior operators; ops@ is the admin queue, billing@ a role.
pub(crate) fn policy() -> Policy {
    policy_with("")
}

pub(crate) fn policy_with(more: &str) -> Policy {
    let domain = Domain::parse("example.test").unwrap();
    let text = format!("{}\n{more}", starter("Example", &domain, start()));
    let compiled = Policy::compile(&[Source::new("client.toml", text.into_bytes())]);
    compiled.unwrap_or_else(|bad| panic!("{}", mailwarden_policy::render(&bad, false))).0
}

pub(crate) fn address(local: &str) -> Address {
    Address::parse(&format!("{local}@example.test")).unwrap()
}

/// Events in their order, each a minute after the one before.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) entries: Vec<Entry>,
}

impl Book {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        later(i64::try_from(self.entries.len()).unwrap())
    }

    /// Records what a case answers; whether anything was recorded.
    pub(crate) fn take<T: Serialize>(&mut self, kind: &str, step: Result<Step<T>, Refused>) -> bool {
        match step.unwrap_or_else(|refused| panic!("{kind}: {refused}")) {
            Step::Already => false,
            Step::Record(step) => {
                let entry = to_entry(kind, self.now(), "tester", "subject", None, &step);
                self.entries.push(entry);
                true
            }
        }
    }
}

pub(crate) fn by(approver: &str, recorder: &str) -> Approving {
    Approving {
        approver: address(approver),
        recorded_by: address(recorder),
        channel: "phone".to_owned(),
        given: start(),
        signed: None,
    }
}

/// A sweep that looked at everything of a mailbox and the mail system.
pub(crate) fn clean_sweep(mailbox: &str, started: DateTime<Utc>) -> Swept {
    clean_sweep_of(&[mailbox.to_owned()], started)
}

/// A sweep that looked at everything of these mailboxes and the mail system.
pub(crate) fn clean_sweep_of(mailboxes: &[String], started: DateTime<Utc>) -> Swept {
    let row = |mailbox: &str, surface: &str| Row {
        mailbox: mailbox.to_owned(),
        surface: surface.to_owned(),
        complete: true,
    };
    let of_mailboxes = ["managesieve.scripts", "imap.metadata", "imap.acl"];
    let mut rows: Vec<Row> =
        mailboxes.iter().flat_map(|mailbox| of_mailboxes.map(|surface| row(mailbox, surface))).collect();
    rows.push(row("(system)", "postfix.virtual"));
    Swept { run_id: "run-1".to_owned(), started, rows, findings: Vec::new() }
}

pub(crate) fn finding(mailbox: &str, surface: &str, beneficiary: &str) -> OpenFinding {
    OpenFinding {
        fingerprint: "f".to_owned(),
        mailbox: mailbox.to_owned(),
        surface: surface.to_owned(),
        beneficiary: beneficiary.to_owned(),
        title: format!("{mailbox} forwards to {beneficiary}"),
        command: "mailwarden revoke f".to_owned(),
    }
}

/// The sentence of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(step: Result<T, Refused>) -> String {
    step.expect_err("a refusal").to_string()
}
