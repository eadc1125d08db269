//! One message on a connection that stays, as Postfix sends it to the gate, header fields unanswered.

use std::hint::black_box;
use std::sync::Arc;

use milter_proto::{
    Actions, ContentVerdict, DEFAULT_FRAME_CAP, Edit, EndOfMessage, Event, EventVerdict, FrameDecoder,
    MacroLimits, Protocol, Session, Wanted,
};

use crate::Work;

const HEADERS: usize = 10;

fn put(sent: &mut Vec<u8>, code: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len() + 1).unwrap_or(u32::MAX);
    sent.extend_from_slice(&length.to_be_bytes());
    sent.push(code);
    sent.extend_from_slice(payload);
}

/// Version 6, every action, every step.
fn offer() -> Vec<u8> {
    let mut sent = Vec::new();
    put(&mut sent, b'O', &[0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff]);
    sent
}

fn message() -> Vec<u8> {
    let mut sent = Vec::new();
    put(&mut sent, b'D', b"Mi\x004QXyZ1\0");
    put(&mut sent, b'M', b"<bounce@vendor7.test>\0");
    put(&mut sent, b'D', b"R{rcpt_addr}\0vendor7@saas.client42.example\0");
    put(&mut sent, b'R', b"<vendor7@saas.client42.example>\0");
    for _ in 0..HEADERS {
        put(&mut sent, b'L', b"X-Header\0a value of the length that values have\0");
    }
    put(&mut sent, b'E', b"");
    sent
}

pub(crate) fn session() -> Work {
    let actions = Actions::ADD_HEADERS;
    let wanted = Wanted::new()
        .require_actions(actions)
        .protocol(Protocol::NR_HEADER | Protocol::NR_MAIL | Protocol::NO_BODY);
    let mut session = Session::new(Arc::new(wanted), MacroLimits::default());
    let mut decoder = FrameDecoder::new(DEFAULT_FRAME_CAP);
    decoder.feed(&offer());
    if let Ok(Some(frame)) = decoder.next_frame() {
        let agreed = session.receive(frame, &mut Vec::new()).is_ok();
        assert!(agreed, "the offer was refused");
    }
    let message = message();
    Box::new(move || {
        let mut out = Vec::new();
        decoder.feed(black_box(&message));
        while let Ok(Some(frame)) = decoder.next_frame() {
            let Ok(received) = session.receive(frame, &mut out) else { return };
            match received.event {
                Event::EndOfMessage { .. } => {
                    let edits = Edit::add_header(b"X-Route", b"vendor7@saas.client42.example");
                    let _ = session.finish(&EndOfMessage::accept_with(edits.into_iter().collect()), &mut out);
                }
                Event::Header(_) => drop(session.answer(ContentVerdict::Continue, &mut out)),
                Event::Mail(_) | Event::Rcpt(_) => drop(session.answer(EventVerdict::Continue, &mut out)),
                _ => {}
            }
        }
        decoder.release();
        assert!(!out.is_empty(), "nothing was answered");
        black_box(&out);
    })
}
