//! What the tests share: commands as bytes, and an MTA that speaks over any stream.
#![allow(dead_code, reason = "each test file uses its own part")]

use milter_proto::{
    Arguments, ClientAddress, Command, Connect, FrameDecoder, Header, MacroList, Mail, NegotiationAnswer,
    Offer, Rcpt, Reply,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(crate) const CAP: u32 = 1 << 20;

pub(crate) fn wire(command: &Command<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    command.encode(&mut out);
    out
}

pub(crate) fn wires(commands: &[Command<'_>]) -> Vec<u8> {
    commands.iter().flat_map(wire).collect()
}

pub(crate) fn connect() -> Command<'static> {
    let client = ClientAddress::Inet { port: 4711, address: b"192.0.2.1" };
    Command::Connect(Connect { hostname: b"client.test", client })
}

pub(crate) fn mail(sender: &[u8]) -> Command<'_> {
    Command::Mail(Mail { sender, arguments: Arguments::from_terminated(b"SIZE=100\0") })
}

pub(crate) fn rcpt(recipient: &[u8]) -> Command<'_> {
    Command::Rcpt(Rcpt { recipient, arguments: Arguments::default() })
}

pub(crate) fn header<'a>(name: &'a [u8], value: &'a [u8]) -> Command<'a> {
    Command::Header(Header { name, value })
}

pub(crate) fn macros(command: u8, pairs: &[u8]) -> Command<'_> {
    Command::Macros(MacroList { command, pairs })
}

pub(crate) fn end() -> Command<'static> {
    Command::EndOfMessage(b"")
}

/// Every reply in `bytes`; panics on anything an MTA would not understand.
pub(crate) fn replies(bytes: &[u8]) -> Vec<String> {
    let mut decoder = FrameDecoder::new(CAP);
    decoder.feed(bytes);
    let mut seen = Vec::new();
    while let Some(frame) = decoder.next_frame().unwrap() {
        seen.push(describe(&Reply::decode(frame).unwrap()));
    }
    assert!(decoder.buffered().is_empty(), "half a reply");
    seen
}

/// A reply in a form that is easy to compare: its byte, and its strings.
pub(crate) fn describe(reply: &Reply<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = char::from(reply.code());
    match *reply {
        Reply::SmtpReply(line) | Reply::AddRecipient(line) | Reply::DeleteRecipient(line) => {
            format!("{code} {}", text(line))
        }
        Reply::Quarantine(line) | Reply::ReplaceBody(line) => format!("{code} {}", text(line)),
        Reply::AddHeader { name, value } => format!("{code} {}:{}", text(name), text(value)),
        Reply::InsertHeader { index, name, value } | Reply::ChangeHeader { index, name, value } => {
            format!("{code} {index} {}:{}", text(name), text(value))
        }
        Reply::AddRecipientWith { recipient: address, arguments }
        | Reply::ChangeSender { sender: address, arguments } => {
            format!("{code} {} {}", text(address), text(arguments.unwrap_or_default()))
        }
        _ => code.to_string(),
    }
}

/// The MTA's end of a connection.
pub(crate) struct FakeMta<S> {
    pub(crate) stream: S,
    decoder: FrameDecoder,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FakeMta<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, decoder: FrameDecoder::new(CAP) }
    }

    /// Negotiates as Postfix does.
    pub(crate) async fn negotiated(stream: S) -> Self {
        let mut mta = Self::new(stream);
        mta.negotiate(Offer::CURRENT).await;
        mta
    }

    pub(crate) async fn negotiate(&mut self, offer: Offer) -> NegotiationAnswer {
        self.send(&[Command::Negotiate(offer)]).await;
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return NegotiationAnswer::decode(frame).unwrap();
            }
            assert!(self.fill().await, "closed before the negotiation was answered");
        }
    }

    pub(crate) async fn send(&mut self, commands: &[Command<'_>]) {
        self.stream.write_all(&wires(commands)).await.unwrap();
    }

    /// Sends one command and waits for its reply.
    pub(crate) async fn ask(&mut self, command: Command<'_>) -> String {
        self.send(&[command]).await;
        self.reply().await
    }

    pub(crate) async fn reply(&mut self) -> String {
        self.next_reply().await.expect("closed instead of a reply")
    }

    /// Everything up to the reply that ends the wait.
    pub(crate) async fn replies_to_end(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let reply = self.reply().await;
            let last = !reply.starts_with(['h', 'i', 'm', '+', '2', '-', 'e', 'b', 'q', 'p']);
            seen.push(reply);
            if last {
                return seen;
            }
        }
    }

    /// Waits until the filter has closed, and says what came before.
    pub(crate) async fn closed(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(reply) = self.next_reply().await {
            seen.push(reply);
        }
        seen
    }

    async fn next_reply(&mut self) -> Option<String> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(describe(&Reply::decode(frame).unwrap()));
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// A reset is a close too: the server did not read what it had no use for.
    async fn fill(&mut self) -> bool {
        let mut space = [0; 4096];
        match self.stream.read(&mut space).await {
            Ok(0) | Err(_) => false,
            Ok(octets) => {
                self.decoder.feed(&space[..octets]);
                true
            }
        }
    }
}
