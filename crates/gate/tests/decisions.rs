//! Decisions on the policy of the demonstration: one test, one sentence an admin may rely on.

use chrono::{DateTime, Utc};
use mailwarden_address::{EnvelopeRecipient, EnvelopeSender};
use mailwarden_gate::{
    Decision, Edit, Facts, MessageHeaders, Mode, Modes, Moment, Path, Rule, Session, decide,
};
use mailwarden_policy::{Policy, Source};
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../../../config/policy/example.toml");
const MORE: &str = r#"
[[scope]]
domain = "tools.example.test"
deliver_to = "bob@example.test"
accept = "registered"

[[vendor]]
address = "slow@tools.example.test"
organisation = "Slow Ltd"
state = "paused"
reply = "write to us next month"

[[vendor]]
address = "abuse@saas.example.test"
organisation = "Confused Ltd"
state = "burned"
"#;

fn policy() -> Policy {
    let text = format!("{EXAMPLE}{MORE}");
    Policy::compile(&[Source::new("p.toml", text.as_bytes())]).expect("valid").0
}

fn before_leaving() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().expect("time")
}

fn after_leaving() -> DateTime<Utc> {
    "2026-06-01T00:00:00Z".parse().expect("time")
}

fn recipients(list: &[&str]) -> Vec<EnvelopeRecipient> {
    list.iter().map(|raw| EnvelopeRecipient::read(raw.as_bytes(), None)).collect()
}

fn headers(fields: &[(&str, &str)]) -> MessageHeaders {
    let mut headers = MessageHeaders::default();
    for (name, value) in fields {
        headers.push(name.as_bytes(), value.as_bytes());
    }
    headers
}

struct Mail<'a> {
    session: Session,
    sender: &'a str,
    modes: Modes,
    now: DateTime<Utc>,
}

impl Default for Mail<'_> {
    fn default() -> Self {
        Self {
            session: Session::default(),
            sender: "<someone@vendor.test>",
            modes: Modes::default(),
            now: before_leaving(),
        }
    }
}

impl Mail<'_> {
    fn rcpt(&self, recipient: &str) -> Decision {
        let recipient = &recipients(&[recipient])[0];
        self.decide(Moment::Recipient(recipient))
    }

    fn message(&self, to: &[&str], fields: &[(&str, &str)]) -> Decision {
        let (recipients, headers) = (recipients(to), headers(fields));
        self.decide(Moment::Message { recipients: &recipients, headers: &headers })
    }

    fn decide(&self, moment: Moment<'_>) -> Decision {
        let envelope_sender = EnvelopeSender::read(self.sender.as_bytes(), None);
        let facts = Facts::new(&self.session, &envelope_sender, moment);
        decide(&policy(), &self.modes, &facts, self.now)
    }
}

fn from(value: &str) -> Vec<(&'static str, &str)> {
    vec![("From", value), ("Subject", "x")]
}

fn refused_by(decision: &Decision) -> Option<(Rule, u16)> {
    decision.refusal().map(|refusal| (refusal.rule, refusal.code))
}

fn added(decision: &Decision) -> Vec<String> {
    decision
        .edits
        .iter()
        .filter_map(|edit| match edit {
            Edit::AddRecipient { address, .. } => Some(address.to_string()),
            _ => None,
        })
        .collect()
}

fn deleted(decision: &Decision) -> Vec<Vec<u8>> {
    decision
        .edits
        .iter()
        .filter_map(|edit| match edit {
            Edit::DeleteRecipient { delete_as } => Some(delete_as.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn any_local_part_of_a_scope_reaches_its_mailbox_once() {
    let mail = Mail::default();
    let to = ["<Any.Thing@saas.example.test>", "<other@saas.example.test>"];
    let decision = mail.message(&to, &from("Shop <shop@vendor.test>"));
    assert!(decision.is_accepted());
    assert_eq!(added(&decision), ["ops@example.test"], "one copy");
    assert_eq!(
        deleted(&decision),
        [b"Any.Thing@saas.example.test".to_vec(), b"other@saas.example.test".to_vec()]
    );
    let values: Vec<_> =
        decision.edits.iter().filter(|edit| matches!(edit, Edit::InsertHeader { .. })).collect();
    assert_eq!(values.len(), 2, "both vendor addresses survive");
}

#[test]
fn a_mailbox_that_is_already_a_recipient_is_not_added_again() {
    let to = ["<shop@saas.example.test>", "<ops@example.test>"];
    let decision = Mail::default().message(&to, &from("shop@vendor.test"));
    assert_eq!(added(&decision), Vec::<String>::new());
    assert_eq!(deleted(&decision), [b"shop@saas.example.test".to_vec()]);
}

#[test]
fn a_route_header_brought_along_is_removed() {
    let fields = [("From", "a@vendor.test"), ("mailwarden-ROUTE", "forged"), ("Mailwarden-Route", "again")];
    let decision = Mail::default().message(&["<jane@example.test>"], &fields);
    assert_eq!(decision.edits, [Edit::RemoveHeaders { name: "Mailwarden-Route", count: 2 }]);
}

#[test]
fn burned_paused_and_unregistered_are_refused_at_rcpt() {
    let mail = Mail::default();
    assert_eq!(refused_by(&mail.rcpt("<Burnt@SAAS.example.test>")), Some((Rule::VendorState, 550)));
    let paused = mail.rcpt("<slow@tools.example.test>");
    assert_eq!(refused_by(&paused), Some((Rule::VendorState, 450)));
    let text = paused.refusal().expect("refused").reply_text("REF");
    assert_eq!(text, "vendor-state: <slow@tools.example.test> write to us next month (reference REF)");
    assert_eq!(refused_by(&mail.rcpt("<nobody@tools.example.test>")), Some((Rule::VendorState, 550)));
    assert_eq!(refused_by(&mail.rcpt("<nobody@saas.example.test>")), None);
}

#[test]
fn receive_only_envelope_senders_are_refused_at_the_first_rcpt() {
    for sender in ["<x@saas.example.test>", "<VAULT@example.test>", "<burnt@saas.example.test>"] {
        let decision = Mail { sender, ..Mail::default() }.rcpt("<jane@example.test>");
        assert_eq!(refused_by(&decision), Some((Rule::ReceiveOnly, 550)), "{sender}");
    }
    assert!(Mail { sender: "<>", ..Mail::default() }.rcpt("<jane@example.test>").is_accepted());
}

#[test]
fn receive_only_authors_are_refused_whatever_the_field_and_the_path() {
    let login = Session { login: Some("omar@example.test".to_owned()), ..Session::default() };
    let local = Session { path: Path::Local, ..Session::default() };
    for session in [Session::default(), login, local] {
        let mail = Mail { session, sender: "<>", ..Mail::default() };
        for field in ["From", "Sender", "Resent-From", "from"] {
            let fields = [("From", "ok@vendor.test"), (field, "Vault <vault@example.test>")];
            let decision = mail.message(&["<jane@example.test>"], &fields);
            assert_eq!(refused_by(&decision), Some((Rule::ReceiveOnly, 550)), "{field}");
        }
    }
}

#[test]
fn a_well_formed_mailbox_has_one_reading() {
    let decision = Mail::default()
        .message(&["<jane@example.test>"], &from("\"vault@example.test via List\" <list@lists.test>"));
    assert!(decision.is_accepted(), "{:?}", decision.verdict);
}

#[test]
fn a_first_line_disguised_by_postfix_is_read_as_from() {
    let fields = [("X-Mailbox-Line", "From : vault@example.test"), ("Subject", "x")];
    let decision = Mail::default().message(&["<jane@example.test>"], &fields);
    assert_eq!(refused_by(&decision), Some((Rule::ReceiveOnly, 550)));
}

#[test]
fn a_message_whose_headers_cannot_be_read_is_not_passed() {
    let decision = Mail::default().message(&["<jane@example.test>"], &[]);
    assert_eq!(refused_by(&decision), Some((Rule::ReceiveOnly, 550)));
    let many: Vec<_> = (0..=MessageHeaders::MAX_ADDRESS_HEADERS).map(|_| ("From", "a@vendor.test")).collect();
    let decision = Mail::default().message(&["<jane@example.test>"], &many);
    assert_eq!(refused_by(&decision), Some((Rule::ReceiveOnly, 550)));
}

#[test]
fn a_saved_message_is_cut_where_the_mta_cuts_it() {
    let seen = |text: &str| {
        let headers = MessageHeaders::of_message(text.as_bytes());
        let read = headers.readings().iter().map(|(header, _)| header.as_str()).collect::<Vec<_>>().join(" ");
        (headers.is_empty(), read)
    };
    assert_eq!(seen("From: a@b.test\r\nX: y\r\n\r\nSender: c@d.test\r\n"), (false, "From".to_owned()));
    assert_eq!(
        seen("Subject: x\nFrom : a@b.test,\n c@d.test\nno field\nSender: e@f.test\n"),
        (false, "From".to_owned())
    );
    assert_eq!(seen(" From: a@b.test\n"), (true, String::new()));
    let folded = MessageHeaders::of_message(b"From: a@b.test,\n\tvault@example.test\n");
    assert_eq!(folded.readings()[0].1.readings.len(), 2);
}

#[test]
fn the_route_header_is_ascii_whatever_the_local_part() {
    let decision = Mail::default().message(&["<caf\u{e9}@saas.example.test>"], &from("a@vendor.test"));
    let value = decision.edits.iter().find_map(|edit| match edit {
        Edit::InsertHeader { value, .. } => Some(value.as_str()),
        _ => None,
    });
    assert_eq!(value, Some("caf\\x{E9}@saas.example.test -> ops@example.test (route)"));
}

#[test]
fn a_local_part_that_no_mailbox_can_take_is_refused_at_rcpt() {
    let decision = Mail::default().rcpt("<caf\u{e9}@saas.example.test>");
    assert_eq!(refused_by(&decision), Some((Rule::Route, 553)));
    assert!(Mail::default().rcpt("<caf\u{e9}@elsewhere.test>").is_accepted(), "not ours to judge");
}

#[test]
fn required_addresses_are_accepted_and_reach_the_watched_mailbox() {
    let mail = Mail { sender: "<x@saas.example.test>", ..Mail::default() };
    for recipient in
        ["<postmaster@example.test>", "<ABUSE@saas.example.test>", "<postmaster@tools.example.test>"]
    {
        assert!(mail.rcpt(recipient).is_accepted(), "{recipient}");
        let decision = mail.message(&[recipient], &from("x@saas.example.test"));
        assert!(decision.is_accepted(), "{recipient}");
        assert_eq!(added(&decision), ["ops@example.test"], "{recipient}");
    }
    let both = mail.message(&["<abuse@example.test>", "<jane@example.test>"], &from("x@saas.example.test"));
    assert_eq!(refused_by(&both), Some((Rule::ReceiveOnly, 550)), "jane@ must not get it under that cover");
}

#[test]
fn local_submissions_are_decided_when_complete() {
    let local = Session { path: Path::Local, ..Session::default() };
    let mail = Mail { session: local, sender: "x@saas.example.test", ..Mail::default() };
    assert!(
        mail.rcpt("burnt@saas.example.test").is_accepted(),
        "a refused RCPT would stay in maildrop for ever"
    );
    let decision = mail.message(&["jane@example.test"], &from("ok@example.test"));
    assert_eq!(refused_by(&decision), Some((Rule::ReceiveOnly, 550)));
    let clean = Mail { sender: "omar@example.test", ..mail };
    let decision = clean.message(&["burnt@saas.example.test"], &from("omar@example.test"));
    assert_eq!(refused_by(&decision), Some((Rule::VendorState, 550)));
}

#[test]
fn a_leavers_mail_goes_to_the_successor_from_the_day_they_left() {
    let before = Mail::default().message(&["<bob@example.test>"], &from("a@vendor.test"));
    assert_eq!(added(&before), Vec::<String>::new());
    let after = Mail { now: after_leaving(), ..Mail::default() };
    assert_eq!(added(&after.message(&["<bob@example.test>"], &from("a@vendor.test"))), ["jane@example.test"]);
    let scope = after.message(&["<slow@tools.example.test>"], &from("a@vendor.test"));
    assert_eq!(added(&scope), ["jane@example.test"], "the scope's mailbox is the leaver's");
    let login = Session { login: Some("bob@example.test".to_owned()), ..Session::default() };
    let submission = Mail { session: login, ..after };
    assert_eq!(refused_by(&submission.rcpt("<jane@example.test>")), Some((Rule::Leaver, 550)));
}

#[test]
fn observe_records_and_changes_nothing() {
    let modes = Modes { receive_only: Mode::Observe, route: Mode::Observe, ..Modes::default() };
    let mail = Mail { modes, ..Mail::default() };
    let decision = mail.message(&["<x@saas.example.test>"], &from("vault@example.test"));
    assert!(decision.is_accepted() && decision.edits.is_empty());
    let observed: Vec<_> = decision.reasons.iter().map(|reason| (reason.rule, reason.mode)).collect();
    assert_eq!(observed, [(Rule::ReceiveOnly, Mode::Observe), (Rule::Route, Mode::Observe)]);
}

#[test]
fn objects_of_reasons_are_the_policys_never_a_strangers() {
    let decision =
        Mail::default().message(&["<jane@example.test>"], &from("evil-local-part@saas.example.test"));
    assert_eq!(decision.reasons[0].object, "saas.example.test");
}

proptest! {
    #[test]
    fn a_recipient_is_never_only_deleted(locals in prop::collection::vec("[a-zA-Z0-9.+_-]{1,12}", 1..8)) {
        let to: Vec<String> = locals.iter().map(|local| format!("<{local}x@saas.example.test>")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let decision = Mail::default().message(&to, &from("a@vendor.test"));
        prop_assume!(decision.is_accepted());
        prop_assert!(deleted(&decision).is_empty() || !added(&decision).is_empty());
    }

    #[test]
    fn no_from_value_makes_a_receive_only_addr_spec_pass(
        prefix in "[a-z \"<>(),:;.@\\\\]{0,12}",
        suffix in "[a-z \"<>(),:;.\\\\]{0,12}",
    ) {
        let value = format!("{prefix} <vault@example.test> {suffix}");
        let decision = Mail::default().message(&["<jane@example.test>"], &from(&value));
        let shown_as_name = value.contains('"');
        prop_assert!(shown_as_name || !decision.is_accepted(), "{value:?} passed");
    }
}
