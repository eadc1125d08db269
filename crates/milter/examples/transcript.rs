//! Plays MTA and filter in one process, without a socket, and prints what each says:
//! `cargo run --example transcript --features mta`.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use milter_proto::{
    Arguments, Command, ConnectionVerdict, ContentVerdict, DEFAULT_FRAME_CAP, EndOfMessage, Event,
    EventVerdict, FrameDecoder, Header, MacroLimits, Mail, Offer, Protocol, Rcpt, Session, Wanted,
};

fn main() -> Result<(), Box<dyn Error>> {
    let wanted = Wanted::new().protocol(Protocol::NR_MAIL | Protocol::NR_HEADER);
    let mut session = Session::new(Arc::new(wanted), MacroLimits::default());
    let mut decoder = FrameDecoder::new(DEFAULT_FRAME_CAP);
    let mut out = std::io::stdout();
    for command in [
        Command::Negotiate(Offer::CURRENT),
        Command::Helo(b"client.test"),
        Command::Mail(Mail { sender: b"<a@b.test>", arguments: Arguments::default() }),
        Command::Rcpt(Rcpt { recipient: b"<c@d.test>", arguments: Arguments::default() }),
        Command::Header(Header { name: b"Subject", value: b"hello" }),
        Command::EndOfMessage(b""),
        Command::Quit,
    ] {
        let mut sent = Vec::new();
        command.encode(&mut sent);
        decoder.feed(&sent);
        let mut replies = Vec::new();
        while let Some(frame) = decoder.next_frame()? {
            let event = session.receive(frame, &mut replies)?.event;
            answer(&mut session, &event, &mut replies)?;
        }
        writeln!(out, "MTA     {}\nfilter  {}", sent.escape_ascii(), replies.escape_ascii())?;
    }
    Ok(())
}

fn answer(session: &mut Session, event: &Event<'_>, replies: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    match event {
        Event::Helo(_) => session.answer(ConnectionVerdict::Continue, replies)?,
        Event::Mail(_) | Event::Rcpt(_) => session.answer(EventVerdict::Continue, replies)?,
        Event::Header(_) => session.answer(ContentVerdict::Continue, replies)?,
        Event::EndOfMessage { .. } => session.finish(&EndOfMessage::accept(), replies)?,
        _ => {}
    }
    Ok(())
}
