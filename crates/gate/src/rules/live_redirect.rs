//! `live-redirect`: a Sieve script of one of our mailboxes sends a message to the outside while it is delivered.
//! Dovecot says so in `X-Sieve-Redirected-From`; the field is believed only from our own hosts. It is recorded, and
//! held when the mailbox belongs to a leaver or the policy says so.
//!
//! Example: `X-Sieve-Redirected-From: sales@example.test` to `bob@gmail.example`.

use mailwarden_address::{Address, EnvelopeRecipient};
use mailwarden_policy::LiveRedirect;

use crate::decision::{Action, Notice, NoticeKind};
use crate::facts::{MessageHeaders, Path};
use crate::rules::{Mode, Rule, leaver};
use crate::{Case, Decision};

/// Judges a complete message.
pub(crate) fn message(
    case: &Case<'_>,
    recipients: &[&EnvelopeRecipient],
    headers: &MessageHeaders,
    decision: &mut Decision,
) {
    let Some(mode) = case.modes.active(Rule::LiveRedirect) else { return };
    let Some(mailbox) = headers.redirected_from() else { return };
    let session = case.facts.session;
    if !(session.is_own_host || session.path == Path::Local) {
        return decision.step(Rule::LiveRedirect, || {
            format!("says it was redirected by <{mailbox}>, which only our own hosts may say")
        });
    }
    if !case.policy.is_under_ours(mailbox.domain()) {
        return decision.step(Rule::LiveRedirect, || format!("<{mailbox}> is not ours"));
    }
    for address in recipients.iter().filter_map(|recipient| recipient.address.as_ref()) {
        if !case.policy.is_under_ours(address.domain()) {
            outside(case, mode, mailbox, address, decision);
        }
    }
}

fn outside(case: &Case<'_>, mode: Mode, mailbox: &Address, to: &Address, decision: &mut Decision) {
    let client = case.policy.client_index(mailbox.domain());
    if client.is_some_and(|client| case.policy.is_approved_external(client, to.domain())) {
        return decision.step(Rule::LiveRedirect, || format!("redirected to <{to}>, which is approved"));
    }
    let person = leaver::leaver(case.policy, mailbox, case.now);
    let object = person.map_or_else(|| known_name(case, mailbox), leaver::person_object);
    let text = format!("<{mailbox}> redirects to <{to}>");
    decision.apply(Rule::LiveRedirect, mode, Action::Record, object.clone(), text.clone());
    decision.notices.push(Notice {
        kind: NoticeKind::LiveRedirect,
        rule: Rule::LiveRedirect,
        mode,
        object: object.clone(),
        text: text.clone(),
    });
    if person.is_some() || policy_holds(case, mailbox) {
        decision.hold(Rule::LiveRedirect, mode, object, text);
    }
}

fn known_name(case: &Case<'_>, mailbox: &Address) -> String {
    case.policy
        .mailbox(mailbox)
        .map_or_else(|| mailbox.domain().to_string(), |record| record.address.to_string())
}

fn policy_holds(case: &Case<'_>, mailbox: &Address) -> bool {
    let by_record = case.policy.mailbox(mailbox).map(|record| case.policy.live_redirect(record));
    let by_client = || case.policy.client_of(mailbox.domain()).map(|client| client.live_redirect);
    by_record.or_else(by_client) == Some(LiveRedirect::Hold)
}
