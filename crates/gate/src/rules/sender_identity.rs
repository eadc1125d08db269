//! `sender-identity`: whoever sends through us, with a login or on this machine, writes one readable From, and with
//! a login one of their own. A display name that shows another address of ours is tagged, held or refused, as the
//! client's `shown_address` says.
//!
//! Logins own what the policy gives them (their mailbox, its aliases, the other addresses of the same person,
//! mailboxes that list them as authorised users) and what Postfix's sender login table gives them. A login of which
//! neither says anything may not use an address that belongs to somebody else, and nothing more is asked of it.
//!
//! Example: with the login of omar@, `From: jane@example.test` gets
//! `550 5.7.1 sender-identity: <jane@example.test> does not belong to the login omar@example.test`.

use mailwarden_address::{Address, AmbiguityReason, HeaderReading, Verdict};
use mailwarden_policy::ShownAddress;

use crate::decision::Refusal;
use crate::facts::{AddressHeader, MessageHeaders};
use crate::rules::{Mode, Rule};
use crate::{Case, Decision};

/// Judges a complete message.
pub(crate) fn message(case: &Case<'_>, headers: &MessageHeaders, decision: &mut Decision) {
    let Some(mode) = case.modes.active(Rule::SenderIdentity) else { return };
    if let Some(mailbox) = redirected(case, headers) {
        return decision.step(Rule::SenderIdentity, || {
            format!("redirected by <{mailbox}>: the author wrote to it from elsewhere")
        });
    }
    if case.facts.session.is_ours() {
        authors(case, mode, headers, decision);
    }
    shown_address(case, mode, headers, decision);
}

/// A Sieve script of ours passes on a stranger's message as it is.
fn redirected<'h>(case: &Case<'_>, headers: &'h MessageHeaders) -> Option<&'h Address> {
    let session = case.facts.session;
    let trusted = session.is_own_host && session.login.is_none();
    headers.redirected_from().filter(|_| trusted)
}

fn authors(case: &Case<'_>, mode: Mode, headers: &MessageHeaders, decision: &mut Decision) {
    let fields: Vec<&HeaderReading> = headers.of(AddressHeader::From).collect();
    match fields.as_slice() {
        _ if headers.is_without_author() => refuse_form(mode, "the message has no From field", decision),
        [field] => match readable(case, field) {
            Ok(authors) => owned(case, mode, authors, headers, decision),
            Err(why) => refuse_form(mode, &format!("the From field cannot be read: {why}"), decision),
        },
        several => {
            let why = format!("the message has {} From fields where one belongs", several.len());
            refuse_form(mode, &why, decision);
        }
    }
}

/// The addresses that a From names without doubt.
fn readable<'h>(case: &Case<'_>, field: &'h HeaderReading) -> Result<&'h [Address], AmbiguityReason> {
    match &field.verdict {
        Verdict::One(author) => Ok(std::slice::from_ref(author)),
        Verdict::Many(authors) => Ok(authors),
        // Postfix gives a bounce that enters through sendmail(1) the author `MAILER-DAEMON`, without a domain.
        Verdict::Ambiguous { reason: AmbiguityReason::NoDomain }
            if field.readings.is_empty() && case.facts.envelope_sender.is_null =>
        {
            Ok(&[])
        }
        Verdict::Ambiguous { reason } => Err(*reason),
        Verdict::Empty => Ok(&[]),
    }
}

/// With a login, every author has to be its own; on the machine itself nobody logs in.
fn owned(
    case: &Case<'_>,
    mode: Mode,
    authors: &[Address],
    headers: &MessageHeaders,
    decision: &mut Decision,
) {
    let Some(login) = case.facts.session.login.as_deref() else { return };
    for author in authors {
        if owns(case, login, author) || resent(case, login, author, headers) {
            decision.step(Rule::SenderIdentity, || format!("<{author}> belongs to the login {login}"));
        } else {
            refuse_author(mode, login, author, decision);
        }
    }
    for field in headers.of(AddressHeader::Sender) {
        // RFC 5322 §3.6.2: readers show the Sender as the one who wrote on behalf of the author.
        if let Verdict::One(sender) = &field.verdict
            && !owns(case, login, sender)
            && belongs_to_somebody(case, sender)
        {
            refuse_author(mode, login, sender, decision);
        }
    }
}

/// RFC 5322 §3.6.6: who resends a message keeps its author and says in Resent-From who they are. An author of our
/// own is not believed because of it.
fn resent(case: &Case<'_>, login: &str, author: &Address, headers: &MessageHeaders) -> bool {
    let by_login =
        |field: &HeaderReading| matches!(&field.verdict, Verdict::One(by) if owns(case, login, by));
    !case.policy.is_under_ours(author.domain()) && headers.of(AddressHeader::ResentFrom).any(by_login)
}

/// Whether a login may write in the name of an address.
fn owns(case: &Case<'_>, login: &str, author: &Address) -> bool {
    let (policy, table) = (case.policy, case.facts.sender_logins);
    if table.owns(login, author) {
        return true;
    }
    let unix_user = || policy.unix_user(login).and_then(|person| person.addresses.first().cloned());
    match Address::parse(login).ok().or_else(unix_user) {
        Some(own) if policy.may_write_as(&own, author) => true,
        Some(own) if policy.mailbox(&own).is_some() || policy.person(&own).is_some() => false,
        _ if table.names(login) => false,
        _ => !belongs_to_somebody(case, author),
    }
}

fn belongs_to_somebody(case: &Case<'_>, address: &Address) -> bool {
    case.policy.mailbox(address).is_some()
        || case.policy.person(address).is_some()
        || case.facts.sender_logins.owners(address).is_some()
}

/// Readers in front of a screen see the display name first, and some see nothing else. A stranger whose name merely
/// mentions an address of ours (`"ops@... via Helpdesk"`) quotes it, as help desks and mailing lists do; one whose
/// whole name is such an address pretends to be it.
fn shown_address(case: &Case<'_>, mode: Mode, headers: &MessageHeaders, decision: &mut Decision) {
    let Some(value) = headers.shown() else { return };
    let shown = match case.facts.session.is_ours() {
        true => mailwarden_address::display_name_addresses(value),
        false => mailwarden_address::display_name_as_address(value).into_iter().collect(),
    };
    let written: Vec<&Address> = headers.of(AddressHeader::From).flat_map(|field| &field.readings).collect();
    let is_another =
        |address: &&Address| case.policy.is_under_ours(address.domain()) && !written.contains(address);
    let is_single =
        matches!(headers.of(AddressHeader::From).next().map(|f| &f.verdict), Some(Verdict::One(_)));
    if let Some(address) = shown.iter().find(is_another).filter(|_| is_single) {
        act_on_shown(case, mode, address, decision);
    }
}

fn act_on_shown(case: &Case<'_>, mode: Mode, address: &Address, decision: &mut Decision) {
    let action = case.policy.client_of(address.domain()).map(|client| client.shown_address);
    let object = address.domain().to_string();
    let text = format!("the display name shows <{address}>, which is not the author");
    match action.unwrap_or_default() {
        ShownAddress::Ignore => decision.step(Rule::SenderIdentity, || text),
        ShownAddress::Tag => decision.tag(Rule::SenderIdentity, mode, object, text),
        ShownAddress::Hold => decision.hold(Rule::SenderIdentity, mode, object, text),
        ShownAddress::Refuse => {
            let refusal = Refusal {
                rule: Rule::SenderIdentity,
                code: 550,
                enhanced: (7, 1),
                address: address.to_string(),
                text: "is shown in the display name, and is not the author".to_owned(),
            };
            decision.refuse(mode, object, refusal);
        }
    }
}

fn refuse_author(mode: Mode, login: &str, author: &Address, decision: &mut Decision) {
    let refusal = Refusal {
        rule: Rule::SenderIdentity,
        code: 550,
        enhanced: (7, 1),
        address: author.to_string(),
        text: format!("does not belong to the login {login}"),
    };
    decision.refuse(mode, login.to_owned(), refusal);
}

fn refuse_form(mode: Mode, why: &str, decision: &mut Decision) {
    let refusal = Refusal {
        rule: Rule::SenderIdentity,
        code: 550,
        enhanced: (6, 0),
        address: String::new(),
        text: format!("{why}; name one author as `From: name@domain`"),
    };
    decision.refuse(mode, "(author field)".to_owned(), refusal);
}
