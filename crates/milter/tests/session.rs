//! The session as an MTA sees it: how many replies, which, and what is forgotten when.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it should be")]

mod support;

use std::sync::Arc;

use milter_proto::{
    Actions, AnswerError, Command, ConnectionVerdict, ContentVerdict, Edit, EndOfMessage, Event,
    EventVerdict, FrameDecoder, MacroLimits, MacroStage, NegotiationAnswer, Offer, Protocol, Received,
    Session, SessionError, SmtpReply, Stage, Wanted,
};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{CAP, connect, end, header, macros, mail, rcpt, replies, wire};

/// A session and everything it wrote since it was last looked at.
struct Dialogue {
    session: Session,
    out: Vec<u8>,
}

impl Dialogue {
    fn new(wanted: Wanted, offer: Offer) -> (Self, NegotiationAnswer) {
        let session = Session::new(Arc::new(wanted), MacroLimits::default());
        let mut dialogue = Self { session, out: Vec::new() };
        dialogue
            .receive(&Command::Negotiate(offer), |received| assert_eq!(received.event, Event::Negotiated));
        let mut decoder = FrameDecoder::new(CAP);
        decoder.feed(&std::mem::take(&mut dialogue.out));
        let answer = NegotiationAnswer::decode(decoder.next_frame().unwrap().unwrap()).unwrap();
        (dialogue, answer)
    }

    fn postfix(wanted: Wanted) -> Self {
        Self::new(wanted, Offer::CURRENT).0
    }

    fn try_receive(
        &mut self,
        command: &Command<'_>,
        look: impl FnOnce(&Received<'_>),
    ) -> Result<(), SessionError> {
        let mut decoder = FrameDecoder::new(CAP);
        decoder.feed(&wire(command));
        let received = self.session.receive(decoder.next_frame().unwrap().unwrap(), &mut self.out)?;
        look(&received);
        Ok(())
    }

    fn receive(&mut self, command: &Command<'_>, look: impl FnOnce(&Received<'_>)) {
        self.try_receive(command, look).unwrap();
    }

    /// The application says continue (or accept) to whatever it is asked.
    fn pass(&mut self, command: &Command<'_>) -> Vec<String> {
        self.receive(command, |_| {});
        match self.session.context().map(|context| context.stage()) {
            Some(Stage::EndOfMessage) => self.session.finish(&EndOfMessage::accept(), &mut self.out).unwrap(),
            Some(_) => self.session.answer(EventVerdict::Continue, &mut self.out).unwrap(),
            None => {}
        }
        self.written()
    }

    fn answer(&mut self, command: &Command<'_>, verdict: EventVerdict) -> Vec<String> {
        self.receive(command, |_| {});
        self.session.answer(verdict, &mut self.out).unwrap();
        self.written()
    }

    fn finish(&mut self, end_of_message: &EndOfMessage) -> Result<Vec<String>, AnswerError> {
        self.receive(&end(), |_| {});
        let finished = self.session.finish(end_of_message, &mut self.out);
        finished.map(|()| self.written())
    }

    /// The application is not asked, and these are the replies.
    fn not_shown(&mut self, command: &Command<'_>) -> Vec<String> {
        self.receive(command, |received| assert_eq!(received.event, Event::Handled));
        self.written()
    }

    fn written(&mut self) -> Vec<String> {
        replies(&std::mem::take(&mut self.out))
    }

    fn seen(&self, name: &str) -> Option<String> {
        let value = self.session.context().unwrap().macro_value(name)?;
        Some(String::from_utf8(value.to_vec()).unwrap())
    }
}

fn refuse(text: &str) -> EventVerdict {
    EventVerdict::Refuse(SmtpReply::refused(text))
}

#[test]
fn every_event_is_answered_once_and_the_rest_never() {
    let mut dialogue = Dialogue::postfix(Wanted::new());
    for (command, answered) in [
        (macros(b'C', b"j\0mx\0"), false),
        (connect(), true),
        (macros(b'H', b""), false),
        (Command::Helo(b"client"), true),
        (mail(b"<a@b>"), true),
        (rcpt(b"<c@d>"), true),
        (Command::Data, true),
        (header(b"From", b"a"), true),
        (Command::EndOfHeaders, true),
        (Command::Body(b"x\r\n"), true),
        (end(), true),
        (Command::Abort, false),
        (Command::Abort, false),
        (Command::Unknown(b"FOO"), true),
        (Command::QuitNewConnection, false),
        (connect(), true),
        (Command::Quit, false),
    ] {
        let expected: &[&str] = if answered { &["c"] } else { &[] };
        assert_eq!(dialogue.pass(&command), expected, "{command:?}");
    }
}

#[test]
fn a_missing_answer_stops_the_session_instead_of_losing_step() {
    let mut dialogue = Dialogue::postfix(Wanted::new());
    dialogue.receive(&mail(b"<>"), |_| {});
    let next = dialogue.try_receive(&rcpt(b"<c@d>"), |_| {});
    assert_eq!(next, Err(SessionError::AnswerOwed(Stage::Mail)));
}

#[test]
fn a_second_answer_is_refused_and_writes_nothing() {
    let mut dialogue = Dialogue::postfix(Wanted::new());
    dialogue.pass(&mail(b"<>"));
    let again = dialogue.session.answer(EventVerdict::Continue, &mut dialogue.out);
    assert_eq!(again, Err(AnswerError::NotOwed));
    dialogue.receive(&end(), |_| {});
    let wrong_kind = dialogue.session.answer(EventVerdict::Continue, &mut dialogue.out);
    assert_eq!(wrong_kind, Err(AnswerError::NotOwed));
    assert_eq!(dialogue.written(), [""; 0]);
}

#[test]
fn only_content_can_be_skipped_and_skipping_is_made_up_for() {
    for (offer, reply) in [(Offer::CURRENT, "s"), (Offer { version: 4, ..Offer::CURRENT }, "c")] {
        let (mut dialogue, _) = Dialogue::new(Wanted::new().protocol(Protocol::SKIP), offer);
        dialogue.receive(&mail(b"<>"), |_| {});
        let skip = dialogue.session.answer(ContentVerdict::Skip, &mut dialogue.out);
        assert_eq!(skip, Err(AnswerError::CannotSkip(Stage::Mail)));
        dialogue.session.answer(EventVerdict::Continue, &mut dialogue.out).unwrap();
        dialogue.receive(&Command::Body(b"1"), |_| {});
        dialogue.written();
        dialogue.session.answer(ContentVerdict::Skip, &mut dialogue.out).unwrap();
        assert_eq!(dialogue.written(), [reply]);
        assert_eq!(dialogue.not_shown(&Command::Body(b"2")), [reply]);
        dialogue.receive(&Command::EndOfMessage(b"3"), |received| {
            assert_eq!(received.event, Event::EndOfMessage { last_chunk: b"" });
        });
    }
}

#[test]
fn an_event_that_an_old_mta_sends_all_the_same_is_not_shown() {
    let wanted = Wanted::new().protocol(Protocol::NO_DATA | Protocol::NO_UNKNOWN | Protocol::NR_HEADER);
    let (mut dialogue, answer) = Dialogue::new(wanted, Offer { version: 3, ..Offer::CURRENT });
    assert_eq!(answer.protocol, Protocol::NO_UNKNOWN);
    assert_eq!(dialogue.not_shown(&Command::Data), ["c"]);
    assert_eq!(dialogue.pass(&header(b"X", b"y")), ["c"], "the MTA does not know silence");
}

#[test]
fn a_refusal_at_a_silent_mail_is_given_at_every_rcpt() {
    let mut dialogue = Dialogue::postfix(Wanted::new().protocol(Protocol::NR_MAIL));
    assert_eq!(dialogue.answer(&mail(b"<a@b>"), refuse("not you")), [""; 0]);
    assert_eq!(dialogue.not_shown(&rcpt(b"<c@d>")), ["y 550 5.7.1 not you"]);
    assert_eq!(dialogue.not_shown(&rcpt(b"<e@f>")), ["y 550 5.7.1 not you"]);
    assert_eq!(dialogue.pass(&mail(b"<g@h>")), [""; 0]);
    assert_eq!(dialogue.pass(&rcpt(b"<c@d>")), ["c"], "the next message is judged afresh");
}

#[test]
fn a_refusal_at_a_silent_header_outlives_the_body_and_wins_at_the_end() {
    let silent = Protocol::NR_HEADER | Protocol::NR_BODY | Protocol::NR_END_OF_HEADERS;
    let mut dialogue = Dialogue::postfix(Wanted::new().protocol(silent));
    dialogue.pass(&mail(b"<a@b>"));
    assert_eq!(dialogue.answer(&header(b"From", b"x"), refuse("bad From")), [""; 0]);
    assert_eq!(dialogue.not_shown(&header(b"To", b"y")), [""; 0]);
    assert_eq!(dialogue.not_shown(&Command::EndOfHeaders), [""; 0]);
    assert_eq!(dialogue.not_shown(&Command::Body(b"z")), [""; 0]);
    dialogue.receive(&end(), |received| {
        assert!(received.message_abandoned, "the filter hears that the message is over");
        assert_eq!(received.event, Event::Handled);
    });
    assert_eq!(dialogue.written(), ["y 550 5.7.1 bad From"]);
    assert!(!dialogue.session.message_open());
}

#[test]
fn a_discard_at_a_silent_stage_is_carried_too() {
    let mut dialogue = Dialogue::postfix(Wanted::new().protocol(Protocol::NR_MAIL));
    assert_eq!(dialogue.answer(&mail(b"<a@b>"), EventVerdict::Discard), [""; 0]);
    assert_eq!(dialogue.not_shown(&rcpt(b"<c@d>")), ["d"]);
}

#[test]
fn a_refusal_at_a_silent_connect_holds_for_the_connection() {
    let mut dialogue = Dialogue::postfix(Wanted::new().protocol(Protocol::NR_CONNECT | Protocol::NR_HELO));
    dialogue.receive(&connect(), |_| {});
    let refusal = ConnectionVerdict::Refuse(SmtpReply::try_again("later"));
    dialogue.session.answer(refusal, &mut dialogue.out).unwrap();
    for _ in 0..2 {
        assert_eq!(dialogue.not_shown(&Command::Helo(b"x")), [""; 0]);
        assert_eq!(dialogue.not_shown(&mail(b"<a@b>")), ["y 451 4.7.1 later"]);
        dialogue.pass(&Command::Abort);
    }
    assert_eq!(dialogue.pass(&Command::QuitNewConnection), [""; 0]);
    assert_eq!(dialogue.pass(&connect()), [""; 0]);
    assert_eq!(dialogue.pass(&mail(b"<a@b>")), ["c"]);
}

#[test]
fn macros_live_as_long_as_what_they_describe() {
    let mut dialogue = Dialogue::postfix(Wanted::new());
    dialogue.pass(&macros(b'C', b"{daemon_name}\0mx\0"));
    dialogue.pass(&connect());
    dialogue.pass(&macros(b'M', b"{mail_addr}\0a@b\0"));
    dialogue.pass(&mail(b"<a@b>"));
    dialogue.pass(&macros(b'R', b"i\0Q1\0{rcpt_addr}\0c@d\0"));
    dialogue.receive(&rcpt(b"<c@d>"), |_| {});
    assert_eq!(dialogue.seen("{rcpt_addr}").as_deref(), Some("c@d"));
    dialogue.session.answer(EventVerdict::Continue, &mut dialogue.out).unwrap();
    dialogue.receive(&end(), |_| {});
    assert_eq!(dialogue.seen("{mail_addr}").as_deref(), Some("a@b"));
    assert_eq!(dialogue.seen("{rcpt_addr}"), None);
    assert_eq!(dialogue.session.context().unwrap().queue_id(), Some(&b"Q1"[..]));
    dialogue.session.finish(&EndOfMessage::accept(), &mut dialogue.out).unwrap();

    // Sendmail sends no ABORT between messages, and the macros of MAIL come before it.
    dialogue.pass(&macros(b'M', b"{mail_addr}\0e@f\0"));
    dialogue.receive(&mail(b"<e@f>"), |received| assert!(!received.message_abandoned));
    assert_eq!(dialogue.seen("{mail_addr}").as_deref(), Some("e@f"));
    assert_eq!(dialogue.session.context().unwrap().queue_id(), None);
    assert_eq!(dialogue.seen("{daemon_name}").as_deref(), Some("mx"));
    dialogue.session.answer(EventVerdict::Continue, &mut dialogue.out).unwrap();

    dialogue.pass(&Command::QuitNewConnection);
    dialogue.receive(&connect(), |_| {});
    assert_eq!(dialogue.seen("{daemon_name}"), None);
}

#[test]
fn a_message_given_up_is_told_once() {
    let mut dialogue = Dialogue::postfix(Wanted::new());
    let mut abandoned = Vec::new();
    for command in [
        mail(b"<a@b>"),
        mail(b"<a@b>"),
        Command::Helo(b"again"),
        Command::Abort,
        Command::Abort,
        mail(b"<a@b>"),
        end(),
        Command::Abort,
        mail(b"<a@b>"),
        Command::Quit,
    ] {
        dialogue.receive(&command, |received| abandoned.push(received.message_abandoned));
        match dialogue.session.context().map(|context| context.stage()) {
            Some(Stage::EndOfMessage) => {
                dialogue.session.finish(&EndOfMessage::accept(), &mut dialogue.out).unwrap();
            }
            Some(_) => dialogue.session.answer(EventVerdict::Continue, &mut dialogue.out).unwrap(),
            None => {}
        }
    }
    assert_eq!(abandoned, [false, true, false, true, false, false, false, false, false, true]);
}

#[test]
fn edits_come_before_the_one_final_reply_and_bodies_last() {
    let wanted =
        Wanted::new().require_actions(Actions::from_bits(0xff)).protocol(Protocol::HEADER_LEADING_SPACE);
    let mut dialogue = Dialogue::postfix(wanted);
    let edits = vec![
        Edit::replace_body(b"one ".to_vec()),
        Edit::delete_recipient(b"V@s.test").unwrap(),
        Edit::add_recipient_with(b"box@s.test", b"ORCPT=rfc822;V@s.test").unwrap(),
        Edit::replace_body(b"two".to_vec()),
        Edit::insert_header(1, b"X-Route", b"v").unwrap(),
        Edit::change_sender(b"<>").unwrap(),
        Edit::quarantine(b"why").unwrap(),
    ];
    let expected = [
        "- V@s.test",
        "2 box@s.test ORCPT=rfc822;V@s.test",
        "i 1 X-Route: v",
        "e <> ",
        "q why",
        "b one ",
        "b two",
        "c",
    ];
    assert_eq!(dialogue.finish(&EndOfMessage::accept_with(edits)).unwrap(), expected);
}

#[test]
fn a_refused_message_is_not_edited() {
    let mut dialogue = Dialogue::postfix(Wanted::new().require_actions(Actions::ADD_RCPT));
    let mut end_of_message = EndOfMessage::refuse(SmtpReply::refused("no"));
    end_of_message.edits.push(Edit::add_recipient(b"a@b").unwrap());
    assert_eq!(dialogue.finish(&end_of_message).unwrap(), ["y 550 5.7.1 no"]);
    assert_eq!(dialogue.finish(&EndOfMessage::discard()).unwrap(), ["d"]);
}

#[test]
fn a_message_that_cannot_be_edited_is_not_let_through_unedited() {
    let mut dialogue = Dialogue::postfix(Wanted::new().require_actions(Actions::ADD_RCPT));
    let edits = vec![Edit::add_recipient(b"a@b").unwrap(), Edit::delete_recipient(b"c@d").unwrap()];
    let finished = dialogue.finish(&EndOfMessage::accept_with(edits));
    assert_eq!(finished, Err(AnswerError::EditNotNegotiated(Actions::DELETE_RCPT)));
    assert_eq!(dialogue.written(), ["y 451 4.3.5 Local trouble, try again later"]);
    assert_eq!(dialogue.pass(&mail(b"<>")), ["c"], "the session goes on");
}

#[test]
fn a_recipient_goes_without_arguments_where_the_mta_takes_none() {
    let offer = Offer { version: 2, actions: Actions::from_bits(0x3f), protocol: Protocol::from_bits(0x7f) };
    let wanted = Wanted::new().require_actions(Actions::ADD_RCPT).prefer_actions(Actions::ADD_RCPT_ARGS);
    let edits = vec![Edit::add_recipient_with(b"a@b", b"ORCPT=rfc822;c@d").unwrap()];
    let (mut old, _) = Dialogue::new(wanted.clone(), offer);
    assert_eq!(old.finish(&EndOfMessage::accept_with(edits.clone())).unwrap(), ["+ a@b", "c"]);
    let mut current = Dialogue::postfix(wanted);
    let written = current.finish(&EndOfMessage::accept_with(edits)).unwrap();
    assert!(written[0].starts_with('2') && written[0].contains("ORCPT"), "{written:?}");
}

#[test]
fn nothing_is_taken_before_the_negotiation_and_no_second_one() {
    let mut session = Session::new(Arc::default(), MacroLimits::default());
    let mut dialogue = Dialogue { session, out: Vec::new() };
    assert_eq!(dialogue.try_receive(&connect(), |_| {}), Err(SessionError::NotNegotiated(b'C')));
    let offer = Command::Negotiate(Offer::CURRENT);
    dialogue.receive(&offer, |_| {});
    assert_eq!(dialogue.try_receive(&offer, |_| {}), Err(SessionError::NegotiatedTwice));
    session =
        Session::new(Arc::new(Wanted::new().require_actions(Actions::CHANGE_SENDER)), MacroLimits::default());
    dialogue = Dialogue { session, out: Vec::new() };
    let old = Command::Negotiate(Offer { version: 2, ..Offer::CURRENT });
    assert!(matches!(dialogue.try_receive(&old, |_| {}), Err(SessionError::Negotiation(_))));
    assert_eq!(dialogue.out, b"");
}

#[test]
fn macros_are_asked_for_in_the_answer() {
    let wanted = Wanted::new().macros(MacroStage::Connect, &["j", "{client_addr}"]).unwrap();
    let (_, answer) = Dialogue::new(wanted, Offer::CURRENT);
    assert_eq!(answer.actions, Actions::SET_MACROS);
    assert_eq!(answer.macros, [(0, b"j {client_addr}".to_vec())]);
}

#[test]
fn too_many_macros_end_the_session() {
    let mut dialogue = Dialogue::postfix(Wanted::new());
    let many = b"x\0y\0".repeat(65);
    assert!(matches!(dialogue.try_receive(&macros(b'C', &many), |_| {}), Err(SessionError::Macros(_))));
}

fn any_command() -> impl Strategy<Value = Command<'static>> {
    prop_oneof![
        2 => Just(macros(b'R', b"i\0Q1\0")),
        1 => Just(connect()),
        1 => Just(Command::Helo(b"client")),
        2 => Just(mail(b"<a@b>")),
        2 => Just(rcpt(b"<c@d>")),
        1 => Just(Command::Data),
        2 => Just(header(b"From", b"a")),
        1 => Just(Command::EndOfHeaders),
        2 => Just(Command::Body(b"x")),
        2 => Just(end()),
        1 => Just(Command::EndOfMessage(b"last")),
        2 => Just(Command::Abort),
        1 => Just(Command::QuitNewConnection),
        1 => Just(Command::Unknown(b"FOO")),
    ]
}

/// Answers as `choice` says, within what the stage's types allow.
fn decide(dialogue: &mut Dialogue, stage: Stage, choice: u8) {
    let reply = SmtpReply::refused("no");
    let (session, out) = (&mut dialogue.session, &mut dialogue.out);
    let written = match (stage, choice % 4) {
        (Stage::EndOfMessage, 0) => session.finish(&EndOfMessage::refuse(reply), out),
        (Stage::EndOfMessage, 1) => session.finish(&EndOfMessage::discard(), out),
        (Stage::EndOfMessage, 2) => {
            let edit = Edit::add_header(b"X", b"y").unwrap();
            session.finish(&EndOfMessage::accept_with(vec![edit]), out)
        }
        (Stage::EndOfMessage, _) => session.finish(&EndOfMessage::accept(), out),
        (Stage::Header | Stage::Body, 0) => session.answer(ContentVerdict::Skip, out),
        (_, 1) => session.answer(ConnectionVerdict::Refuse(reply), out),
        (Stage::Mail | Stage::Rcpt | Stage::Header, 2) => session.answer(EventVerdict::Discard, out),
        _ => session.answer(EventVerdict::Continue, out),
    };
    assert!(matches!(written, Ok(()) | Err(AnswerError::EditNotNegotiated(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The MTA's side of the books: it waits for exactly one final reply where it agreed to wait, and takes
    /// any other reply for a broken protocol.
    #[test]
    fn exactly_one_reply_where_one_is_awaited(
        version in 2u32..9, offered_actions: u32, offered: u32, wanted: u32,
        steps in vec((any_command(), any::<u8>()), 0..60),
    ) {
        // An MTA offers no bits that its version does not have.
        let known = Protocol::known_in(version.min(6));
        let offer = Offer {
            version,
            actions: Actions::from_bits(offered_actions),
            protocol: Protocol::from_bits(offered) & known,
        };
        let wanted = Wanted::new()
            .prefer_actions(Actions::ADD_HEADERS)
            .protocol(Protocol::from_bits(wanted));
        let (mut dialogue, answer) = Dialogue::new(wanted, offer);
        prop_assert_eq!(answer.version, version.min(6));
        let granted = if offer.protocol.is_empty() { Protocol::from_bits(0x3f) } else { offer.protocol };
        prop_assert!(answer.protocol.without(granted).is_empty());
        for (command, choice) in steps {
            let stage = command.stage();
            if stage.is_some_and(|stage| answer.protocol.contains(stage.no_event_flag())) {
                continue;
            }
            dialogue.receive(&command, |_| {});
            if let Some(stage) = dialogue.session.context().map(|context| context.stage()) {
                decide(&mut dialogue, stage, choice);
            }
            let written = dialogue.written();
            let awaited = stage.is_some_and(|stage| !answer.protocol.contains(stage.no_reply_flag()));
            let (edits, finals): (Vec<_>, Vec<_>) = written.iter().partition(|reply| reply.starts_with('h'));
            prop_assert_eq!(finals.len(), usize::from(awaited), "{:?} {:?}", command, written);
            prop_assert!(edits.is_empty() || stage == Some(Stage::EndOfMessage));
            let can_skip = answer.protocol.contains(Protocol::SKIP)
                && matches!(stage, Some(Stage::Header | Stage::Body));
            prop_assert!(can_skip || !written.iter().any(|reply| reply == "s"), "{:?}", command);
            if let Some(last) = written.last() {
                prop_assert!(!last.starts_with('h'), "the final reply comes last");
            }
        }
    }
}
