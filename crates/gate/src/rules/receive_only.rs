//! `receive-only`: mail whose envelope sender, or any plausible reading of From, Sender or Resent-From, lies in a
//! receive-only domain, scope or mailbox is refused: inbound, on submission and through sendmail(1) alike.
//!
//! A well-formed single mailbox has one reading; a malformed or ambiguous header has all of its readings, because
//! nobody knows which one the reader in front of the screen is shown. The null sender is no exemption.
//!
//! Example: `From: "Billing" <acme@saas.example.test>` gets
//! `550 5.7.1 receive-only: <acme@saas.example.test> only receives mail, ...`.

use mailwarden_address::{Address, EnvelopeSender};
use mailwarden_policy::Policy;

use crate::Decision;
use crate::decision::Refusal;
use crate::facts::MessageHeaders;
use crate::rules::{Mode, Modes, Rule};

/// Judges the envelope sender.
pub(crate) fn envelope(policy: &Policy, modes: &Modes, sender: &EnvelopeSender, decision: &mut Decision) {
    if modes.receive_only == Mode::Off {
        return;
    }
    for address in &sender.readings {
        judge(policy, modes.receive_only, "the envelope sender", address, decision);
    }
    if sender.truncated {
        refuse_unreadable(
            modes.receive_only,
            "the envelope sender has more readings than can be checked",
            decision,
        );
    }
    if sender.readings.is_empty() {
        decision.step(Rule::ReceiveOnly, "the envelope sender names no address");
    }
}

/// Judges every reading of every address header.
pub(crate) fn headers(policy: &Policy, modes: &Modes, headers: &MessageHeaders, decision: &mut Decision) {
    if modes.receive_only == Mode::Off {
        return;
    }
    if headers.is_empty() {
        return refuse_unreadable(
            modes.receive_only,
            "no header field could be read in this message",
            decision,
        );
    }
    for (header, reading) in headers.readings() {
        let place = match reading.readings.len() {
            0 | 1 => header.as_str().to_owned(),
            several => format!("{}, which can be read in {several} ways", header.as_str()),
        };
        for address in &reading.readings {
            judge(policy, modes.receive_only, &place, address, decision);
        }
        if reading.truncated {
            let why = format!("{} has more readings than can be checked", header.as_str());
            refuse_unreadable(modes.receive_only, &why, decision);
        }
    }
    if headers.overflowed() {
        refuse_unreadable(modes.receive_only, "the message has too many author fields", decision);
    }
}

fn judge(policy: &Policy, mode: Mode, place: &str, address: &Address, decision: &mut Decision) {
    let Some(by) = policy.receive_only(address) else {
        return decision.step(Rule::ReceiveOnly, format!("{place}: <{address}> may send"));
    };
    let refusal = Refusal {
        rule: Rule::ReceiveOnly,
        code: 550,
        enhanced: (7, 1),
        address: address.to_string(),
        text: format!("only receives mail and never sends it; found in {place}"),
    };
    decision.step(
        Rule::ReceiveOnly,
        format!("{place}: <{address}> is receive-only by {} {}", by.kind(), by.object()),
    );
    decision.refuse(mode, by.object(), refusal);
}

/// What cannot be judged is not passed: the reader downstream may see an author we could not see.
fn refuse_unreadable(mode: Mode, why: &str, decision: &mut Decision) {
    let refusal = Refusal {
        rule: Rule::ReceiveOnly,
        code: 550,
        enhanced: (6, 0),
        address: String::new(),
        text: format!(
            "{why}, so nobody can tell who it is from; correct the message header and send it again"
        ),
    };
    decision.refuse(mode, "(unreadable header)".to_owned(), refusal);
}
