//! The milter codec and session: whatever arrives, no panic, one reply for one command, bounded memory.

use std::sync::Arc;

use milter_proto::{
    Command, ConnectionVerdict, ContentVerdict, DEFAULT_FRAME_CAP, Edit, EndOfMessage, Event, EventVerdict,
    Frame, FrameDecoder, LENGTH_OCTETS, MacroLimits, NegotiationAnswer, Protocol, Reply, Session, SmtpReply,
    Stage, Wanted,
};

/// Commands and replies: what can be read can be written, and reads as the same again.
///
/// # Panics
/// When it does not.
pub fn codec(octets: &[u8]) {
    let mut decoder = FrameDecoder::new(DEFAULT_FRAME_CAP);
    decoder.feed(octets);
    while let Ok(Some(frame)) = decoder.next_frame() {
        if let Ok(command) = Command::parse(frame) {
            let mut written = Vec::new();
            command.encode(&mut written);
            assert_eq!(Command::parse(only_frame(&written)), Ok(command));
        }
        if let Ok(reply) = Reply::decode(frame) {
            let mut written = Vec::new();
            reply.encode(&mut written);
            assert_eq!(Reply::decode(only_frame(&written)), Ok(reply));
        }
        let _ = NegotiationAnswer::decode(frame);
        let _ = milter_proto::is_negotiation(frame.payload);
    }
}

/// The one frame that was just written.
fn only_frame(written: &[u8]) -> Frame<'_> {
    let (code, payload) = (written[LENGTH_OCTETS], &written[LENGTH_OCTETS + 1..]);
    Frame { code, payload }
}

/// A session with an application that answers in every way there is. The first octet chooses what is
/// negotiated.
///
/// # Panics
/// When a command has none or more than one reply, or memory grows with what was sent.
pub fn session(octets: &[u8]) {
    let Some((choice, stream)) = octets.split_first() else { return };
    let mut decoder = FrameDecoder::new(DEFAULT_FRAME_CAP);
    let mut session = Session::new(Arc::new(wanted(*choice)), MacroLimits::default());
    let mut answers = Answers(u32::from(*choice));
    for piece in stream.chunks(1 + usize::from(*choice)) {
        decoder.feed(piece);
        assert!(decoder.buffered().len() <= DEFAULT_FRAME_CAP as usize + LENGTH_OCTETS + piece.len());
        while let Ok(Some(frame)) = decoder.next_frame() {
            if !step(&mut session, frame, &mut answers) {
                return;
            }
        }
        decoder.release();
    }
}

fn wanted(choice: u8) -> Wanted {
    let mut steps = Protocol::NONE;
    for (bit, step) in [
        Protocol::SKIP,
        Protocol::NR_MAIL,
        Protocol::NR_HEADER,
        Protocol::NO_BODY,
        Protocol::NR_CONNECT | Protocol::NR_HELO,
        Protocol::NO_UNKNOWN | Protocol::NO_DATA,
        Protocol::NR_RCPT | Protocol::NR_BODY,
        Protocol::HEADER_LEADING_SPACE,
    ]
    .into_iter()
    .enumerate()
    {
        if choice & (1 << bit) != 0 {
            steps |= step;
        }
    }
    Wanted::new().protocol(steps)
}

/// False when the session is over.
fn step(session: &mut Session, frame: Frame<'_>, answers: &mut Answers) -> bool {
    let code = frame.code;
    let mut out = Vec::new();
    let Ok(received) = session.receive(frame, &mut out) else {
        assert!(out.is_empty(), "a reply to a command that ended the session");
        return false;
    };
    let event = received.event;
    answers.answer(session, &event, &mut out);
    assert_eq!(final_replies(&out), expected(session, code), "replies to {:?}", char::from(code));
    event != Event::Quit
}

/// What a command is owed under what was agreed.
fn expected(session: &Session, code: u8) -> usize {
    let Some(agreed) = session.negotiated() else { return 0 };
    match (code, Stage::from_code(code)) {
        (b'O', _) => 1,
        (_, Some(stage)) => usize::from(!agreed.protocol.contains(stage.no_reply_flag())),
        _ => 0,
    }
}

fn final_replies(mut out: &[u8]) -> usize {
    let mut found = 0;
    while let Some((length, rest)) = out.split_first_chunk::<LENGTH_OCTETS>() {
        let (frame, next) = rest.split_at(u32::from_be_bytes(*length) as usize);
        found += usize::from(b"Ocadrtsy4f".contains(&frame[0]));
        assert!(!b"a4f".contains(&frame[0]), "a reply that must never be sent");
        out = next;
    }
    found
}

/// An application whose answers a number decides.
struct Answers(u32);

impl Answers {
    fn next(&mut self, kinds: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) % kinds
    }

    fn answer(&mut self, session: &mut Session, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Negotiated | Event::Handled | Event::NewConnection | Event::Quit => return,
            Event::EndOfMessage { .. } => {
                // An edit that was not negotiated becomes a refusal, which is a reply all the same.
                let _ = session.finish(&self.end(), out);
                return;
            }
            _ => {}
        }
        let answered = match event {
            Event::Header(_) | Event::Body(_) => session.answer(self.content(), out),
            Event::Connect(_) | Event::Helo(_) | Event::Unknown(_) => session.answer(self.connection(), out),
            _ => session.answer(self.event(), out),
        };
        assert_eq!(answered, Ok(()), "an answer that fits was not taken");
    }

    fn content(&mut self) -> ContentVerdict {
        match self.next(6) {
            0 => ContentVerdict::Skip,
            1 => ContentVerdict::Refuse(SmtpReply::refused("no")),
            2 => ContentVerdict::Discard,
            _ => ContentVerdict::Continue,
        }
    }

    fn connection(&mut self) -> ConnectionVerdict {
        match self.next(8) {
            0 => ConnectionVerdict::Refuse(SmtpReply::try_again("later")),
            _ => ConnectionVerdict::Continue,
        }
    }

    fn event(&mut self) -> EventVerdict {
        match self.next(8) {
            0 => EventVerdict::Refuse(SmtpReply::refused("100% no")),
            1 => EventVerdict::Discard,
            _ => EventVerdict::Continue,
        }
    }

    fn end(&mut self) -> EndOfMessage {
        match self.next(4) {
            0 => EndOfMessage::refuse(SmtpReply::refused("no")),
            1 => EndOfMessage::discard(),
            2 => EndOfMessage::accept_with(Edit::add_header(b"X-A", b"b").into_iter().collect()),
            _ => EndOfMessage::accept(),
        }
    }
}
