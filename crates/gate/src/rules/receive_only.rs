//! `receive-only`: mail whose envelope sender, or any plausible reading of From, Sender or Resent-From, lies in a
//! receive-only domain, scope or mailbox is refused: inbound, on submission and through sendmail(1) alike.
//!
//! A well-formed single mailbox has one reading; a malformed or ambiguous header, or one that names several, has
//! all of its readings, because nobody knows which one the reader in front of the screen is shown. The null sender
//! is no exemption, and neither is a message that hides its author from us.
//!
//! Example: `From: "Billing" <acme@saas.example.test>` gets
//! `550 5.7.1 receive-only: <acme@saas.example.test> only receives mail, ...`.

use mailwarden_address::{Address, HeaderReading};

use crate::decision::Refusal;
use crate::facts::{AddressHeader, MessageHeaders};
use crate::rules::{Mode, Rule};
use crate::{Case, Decision};

/// Judges the envelope sender.
pub(crate) fn envelope(case: &Case<'_>, decision: &mut Decision) {
    let Some(mode) = case.modes.active(Rule::ReceiveOnly) else { return };
    let sender = case.facts.envelope_sender;
    for address in &sender.readings {
        judge(case, mode, || "the envelope sender".to_owned(), address, decision);
    }
    if sender.truncated {
        refuse_unreadable(mode, "the envelope sender has more readings than can be checked", decision);
    }
    if sender.readings.is_empty() {
        decision.step(Rule::ReceiveOnly, || "the envelope sender names no address".to_owned());
    }
}

/// Judges every reading of every address header.
pub(crate) fn headers(case: &Case<'_>, headers: &MessageHeaders, decision: &mut Decision) {
    let Some(mode) = case.modes.active(Rule::ReceiveOnly) else { return };
    if headers.is_empty() {
        return refuse_unreadable(mode, "no header field could be read in this message", decision);
    }
    for (header, reading) in headers.readings() {
        field(case, mode, *header, reading, decision);
    }
    if headers.overflowed() {
        refuse_unreadable(mode, "the message has too many author fields", decision);
    }
    // Half of the published ways around such a rule leave a message in which the milter sees no From at all. Our
    // own senders are told so by `sender-identity`.
    if headers.is_without_author() && !case.facts.session.is_ours() {
        refuse_unreadable(mode, "the message has no From field that says anything", decision);
    }
}

fn field(
    case: &Case<'_>,
    mode: Mode,
    header: AddressHeader,
    reading: &HeaderReading,
    decision: &mut Decision,
) {
    let place = || match reading.readings.len() {
        0 | 1 => header.as_str().to_owned(),
        several => format!("{}, which can be read in {several} ways", header.as_str()),
    };
    for address in &reading.readings {
        judge(case, mode, place, address, decision);
    }
    if reading.truncated {
        let why = format!("{} has more readings than can be checked", header.as_str());
        refuse_unreadable(mode, &why, decision);
    }
}

fn judge(
    case: &Case<'_>,
    mode: Mode,
    place: impl Fn() -> String,
    address: &Address,
    decision: &mut Decision,
) {
    let Some(by) = case.policy.receive_only(address) else {
        return decision.step(Rule::ReceiveOnly, || format!("{}: <{address}> may send", place()));
    };
    let place = place();
    let refusal = Refusal {
        rule: Rule::ReceiveOnly,
        code: 550,
        enhanced: (7, 1),
        address: address.to_string(),
        text: format!("only receives mail and never sends it; found in {place}"),
    };
    decision.step(Rule::ReceiveOnly, || {
        format!("{place}: <{address}> is receive-only by {} {}", by.kind(), by.object())
    });
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
