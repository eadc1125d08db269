//! Whatever arrives, in whatever pieces: no panic, the same events; and every value survives its own bytes.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it should be")]

mod support;

use std::sync::Arc;

use milter_proto::{
    Actions, Arguments, ClientAddress, Command, Connect, ContentVerdict, DEFAULT_FRAME_CAP, EndOfMessage,
    Event, EventVerdict, Frame, FrameDecoder, Header, MacroLimits, MacroList, Mail, NegotiationAnswer, Offer,
    Protocol, Rcpt, Reply, Session, SmtpReply, Stage, Wanted,
};
use proptest::collection::vec;
use proptest::prelude::*;
use support::wire;

/// Octets without NUL, as every string on the wire is.
fn text() -> impl Strategy<Value = Vec<u8>> {
    vec(1u8..=255, 0..40)
}

fn terminated() -> impl Strategy<Value = Vec<u8>> {
    vec(text(), 0..5)
        .prop_map(|strings| strings.into_iter().flat_map(|text| [text, vec![0]].concat()).collect())
}

/// A frame that is a command in shape, with the payload it may or may not deserve.
fn framed() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![8 => proptest::sample::select(b"ODCHMRTLNBEAQKU".to_vec()), 1 => any::<u8>()];
    let payload = prop_oneof![terminated(), vec(any::<u8>(), 0..60)];
    (code, payload).prop_map(|(code, payload)| {
        let length = u32::try_from(payload.len() + 1).unwrap();
        [&length.to_be_bytes()[..], &[code], &payload].concat()
    })
}

fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let opening = wire(&Command::Negotiate(Offer::CURRENT));
    let frames = prop_oneof![
        4 => vec(framed(), 0..20).prop_map(|frames| frames.concat()),
        1 => vec(any::<u8>(), 0..200),
    ];
    (any::<bool>(), frames, vec(any::<u8>(), 0..8)).prop_map(move |(proper, frames, tail)| {
        let opening = if proper { &opening[..] } else { &[] };
        [opening, &frames, &tail].concat()
    })
}

/// Runs the pieces through decoder and session; the trace holds every event and every octet of the replies.
fn run(pieces: &[&[u8]]) -> (Vec<String>, Vec<u8>) {
    let mut decoder = FrameDecoder::new(DEFAULT_FRAME_CAP);
    let wanted = Wanted::new().protocol(Protocol::SKIP | Protocol::NR_MAIL | Protocol::NO_UNKNOWN);
    let mut session = Session::new(Arc::new(wanted), MacroLimits::default());
    let (mut trace, mut out) = (Vec::new(), Vec::new());
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next_frame() {
                Ok(None) => break,
                Ok(Some(frame)) => match step(&mut session, frame, &mut out) {
                    Ok(event) => trace.push(event),
                    Err(error) => return (with(trace, error), out),
                },
                Err(error) => return (with(trace, error.to_string()), out),
            }
        }
        decoder.release();
        assert!(decoder.buffered().len() <= DEFAULT_FRAME_CAP as usize + 4, "an incomplete frame, no more");
    }
    (trace, out)
}

fn with(mut trace: Vec<String>, last: String) -> Vec<String> {
    trace.push(last);
    trace
}

/// Whatever is said, each command is answered once, or not at all where it must not be.
fn step(session: &mut Session, frame: Frame<'_>, out: &mut Vec<u8>) -> Result<String, String> {
    let (code, before) = (frame.code, out.len());
    let seen = answer(session, frame, out);
    let owed = usize::from(seen.is_ok()) * replies_owed(session, code);
    assert_eq!(final_replies(&out[before..]), owed, "replies to {:?}", char::from(code));
    seen
}

fn replies_owed(session: &Session, code: u8) -> usize {
    let Some(agreed) = session.negotiated() else { return 0 };
    match Stage::from_code(code) {
        Some(stage) => usize::from(!agreed.protocol.contains(stage.no_reply_flag())),
        None => usize::from(code == b'O'),
    }
}

/// Replies that an MTA takes for the answer, edits and progress not counted.
fn final_replies(out: &[u8]) -> usize {
    let mut decoder = FrameDecoder::new(u32::MAX);
    decoder.feed(out);
    let mut found = 0;
    while let Some(frame) = decoder.next_frame().unwrap() {
        assert!(!b"a4f".contains(&frame.code), "a reply that must never be sent");
        found += usize::from(b"Ocdrtsy".contains(&frame.code));
    }
    found
}

fn answer(session: &mut Session, frame: Frame<'_>, out: &mut Vec<u8>) -> Result<String, String> {
    let received = session.receive(frame, out).map_err(|error| error.to_string())?;
    let context =
        session.context().map(|context| (context.macro_value("i").map(<[u8]>::to_vec), context.stage()));
    match received.event {
        Event::EndOfMessage { .. } => session.finish(&EndOfMessage::accept(), out).unwrap(),
        Event::Header(_) | Event::Body(_) => session.answer(ContentVerdict::Skip, out).unwrap(),
        Event::Mail(mail) if mail.sender.len() % 2 == 1 => {
            session.answer(EventVerdict::Refuse(SmtpReply::refused("odd")), out).unwrap();
        }
        Event::Negotiated | Event::Handled | Event::NewConnection | Event::Quit => {}
        _ => session.answer(EventVerdict::Continue, out).unwrap(),
    }
    Ok(format!("{received:?} {context:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The subject is the crash itself: nothing a stranger sends may cause one.
    #[test]
    fn arbitrary_octets_never_panic(octets in vec(any::<u8>(), 0..2_000)) {
        run(&[&octets]);
    }

    #[test]
    fn pieces_do_not_change_the_conversation(
        octets in conversation(), cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(octets.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts.into_iter().chain([octets.len()]) {
            pieces.push(&octets[start..cut]);
            start = cut;
        }
        prop_assert_eq!(run(&pieces), run(&[&octets]));
    }

    #[test]
    fn commands_survive_their_bytes(
        first in text(), second in text(), list in terminated(), body in vec(any::<u8>(), 0..300),
        numbers: (u32, u32, u32), port: u16, kind in 0usize..18,
    ) {
        let arguments = Arguments::from_terminated(&list);
        let connect = |client| Command::Connect(Connect { hostname: &first, client });
        let offer = Offer {
            version: numbers.0,
            actions: Actions::from_bits(numbers.1),
            protocol: Protocol::from_bits(numbers.2),
        };
        let command = match kind {
            0 => Command::Negotiate(offer),
            1 => Command::Macros(MacroList { command: b'M', pairs: &list }),
            2 => connect(ClientAddress::Unknown),
            3 => connect(ClientAddress::Inet { port, address: &second }),
            4 => connect(ClientAddress::Inet6 { port, address: &second }),
            5 => connect(ClientAddress::Local { path: &second }),
            6 => Command::Helo(&first),
            7 => Command::Mail(Mail { sender: &first, arguments }),
            8 => Command::Rcpt(Rcpt { recipient: &first, arguments }),
            9 => Command::Data,
            10 => Command::Header(Header { name: &first, value: &second }),
            11 => Command::EndOfHeaders,
            12 => Command::Body(&body),
            13 => Command::EndOfMessage(&body),
            14 => Command::Abort,
            15 => Command::Quit,
            16 => Command::QuitNewConnection,
            _ => Command::Unknown(&first),
        };
        let mut decoder = FrameDecoder::new(DEFAULT_FRAME_CAP);
        decoder.feed(&wire(&command));
        prop_assert_eq!(Command::parse(decoder.next_frame().unwrap().unwrap()), Ok(command));
        prop_assert!(decoder.buffered().is_empty());
    }

    #[test]
    fn replies_survive_their_bytes(
        first in text(), second in text(), body in vec(any::<u8>(), 0..300), index: u32, more: bool,
        kind in 0usize..19,
    ) {
        let arguments = more.then_some(&second[..]);
        let reply = match kind {
            0 => Reply::Continue,
            1 => Reply::Accept,
            2 => Reply::Discard,
            3 => Reply::Reject,
            4 => Reply::Tempfail,
            5 => Reply::Skip,
            6 => Reply::Progress,
            7 => Reply::Shutdown,
            8 => Reply::ConnectionFail,
            9 => Reply::SmtpReply(&first),
            10 => Reply::AddHeader { name: &first, value: &second },
            11 => Reply::InsertHeader { index, name: &first, value: &second },
            12 => Reply::ChangeHeader { index, name: &first, value: &second },
            13 => Reply::AddRecipient(&first),
            14 => Reply::AddRecipientWith { recipient: &first, arguments },
            15 => Reply::DeleteRecipient(&first),
            16 => Reply::ChangeSender { sender: &first, arguments },
            17 => Reply::ReplaceBody(&body),
            _ => Reply::Quarantine(&first),
        };
        let mut out = Vec::new();
        reply.encode(&mut out);
        let mut decoder = FrameDecoder::new(DEFAULT_FRAME_CAP);
        decoder.feed(&out);
        prop_assert_eq!(Reply::decode(decoder.next_frame().unwrap().unwrap()), Ok(reply));
    }

    #[test]
    fn decoding_replies_never_panics(code: u8, payload in vec(any::<u8>(), 0..60)) {
        let _ = Reply::decode(Frame { code, payload: &payload });
        let _ = NegotiationAnswer::decode(Frame { code: b'O', payload: &payload });
    }
}
