//! The MTA's side of the milter protocol, as Postfix speaks it, for load. The frames are made by hand, so that a
//! mistake of the library under test is not shared.

use std::fmt::{self, Write as _};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::SOON;

/// What Postfix 3.7 offers: version, actions, protocol.
const OFFER: [u32; 3] = [6, 0x1ff, 0x1f_ffff];
/// Events, each with the bit that says "do not send it" and the one that says "no reply" (mfdef.h).
const CONNECT: Event = Event { code: b'C', absent: 0x1, silent: 0x1000 };
const HELO: Event = Event { code: b'H', absent: 0x2, silent: 0x2000 };
const MAIL: Event = Event { code: b'M', absent: 0x4, silent: 0x4000 };
const RCPT: Event = Event { code: b'R', absent: 0x8, silent: 0x8000 };
const BODY: Event = Event { code: b'B', absent: 0x10, silent: 0x8_0000 };
const HEADER: Event = Event { code: b'L', absent: 0x20, silent: 0x80 };
const END_OF_HEADERS: Event = Event { code: b'N', absent: 0x40, silent: 0x4_0000 };
const DATA: Event = Event { code: b'T', absent: 0x200, silent: 0x1_0000 };
const END_OF_MESSAGE: Event = Event { code: b'E', absent: 0, silent: 0 };
/// Every event that can be answered.
pub const EVENTS: [Event; 9] =
    [CONNECT, HELO, MAIL, RCPT, BODY, HEADER, END_OF_HEADERS, DATA, END_OF_MESSAGE];
/// How often is looked whether a listener's queue has room.
const QUEUE_LOOK: Duration = Duration::from_millis(2);
const HEADER_FIELDS: usize = 10;
const BODY_OCTETS: usize = 2_000;
/// Replies that end an event; others announce edits.
const FINAL: [u8; 7] = *b"cartdys";

/// Something an MTA tells a filter.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Its command.
    pub code: u8,
    absent: u32,
    silent: u32,
}

impl Event {
    /// Whether it is answered under these protocol flags.
    #[must_use]
    pub fn is_answered(&self, protocol: u32) -> bool {
        protocol & (self.absent | self.silent) == 0
    }
}

/// Where a filter listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterAddress {
    /// A unix socket.
    Unix(PathBuf),
    /// A loopback port.
    Tcp(SocketAddr),
}

/// A path, or an address and a port.
impl fmt::Display for FilterAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(formatter),
            Self::Tcp(address) => address.fmt(formatter),
        }
    }
}

/// A stream of either kind.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

impl FilterAddress {
    /// What the filter there asks for: see [`Mta::agreement`].
    ///
    /// # Errors
    /// When no filter answers.
    pub fn agreement(&self) -> Result<Vec<u8>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mta = Mta::connect(self).await?;
            let agreement = mta.agreement().to_vec();
            mta.quit().await?;
            Ok(agreement)
        })
    }

    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(&self) -> Result<Box<dyn Wire>> {
        Ok(match self {
            Self::Unix(path) => Box::new(knock(path).await?),
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        })
    }
}

/// Waits, as a client that blocks does, where so many others wait already that the kernel takes no more of them at the
/// moment: a Unix socket says so at once.
async fn knock(path: &Path) -> std::io::Result<UnixStream> {
    let until = Instant::now() + SOON;
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                tokio::time::sleep(QUEUE_LOOK).await;
            }
            done => return done,
        }
    }
}

/// The protocol flags of an answer to a negotiation.
pub(crate) fn protocol_of(agreement: &[u8]) -> Result<u32> {
    let flags = agreement.get(8..12).and_then(|octets| octets.try_into().ok());
    Ok(u32::from_be_bytes(flags.context("an agreement of less than twelve octets")?))
}

/// One message of the load: who it is for makes it different from all others.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Its queue id.
    pub queue_id: String,
    /// Its recipients, without angle brackets.
    pub recipients: Vec<String>,
}

/// One connection to a filter, after the negotiation.
pub struct Mta {
    wire: Box<dyn Wire>,
    agreement: Vec<u8>,
    protocol: u32,
    out: Vec<u8>,
    inbox: Vec<u8>,
    read: usize,
}

impl Mta {
    /// Connects and negotiates.
    ///
    /// # Errors
    /// When the filter does not answer as one.
    pub async fn connect(address: &FilterAddress) -> Result<Self> {
        let wire = address.connect().await?;
        let (out, inbox) = (Vec::with_capacity(4_096), Vec::with_capacity(1_024));
        let mut mta = Self { wire, agreement: Vec::new(), protocol: 0, out, inbox, read: 0 };
        mta.put(b'O', &[&offer()]);
        let (code, answer) = mta.exchange().await?;
        ensure!(code == b'O', "the negotiation was answered by {code}: {answer:?}");
        mta.protocol = protocol_of(&answer)?;
        mta.agreement = answer;
        Ok(mta)
    }

    /// What the filter asked for, in its own words: version, actions, protocol flags, lists of macros.
    #[must_use]
    pub fn agreement(&self) -> &[u8] {
        &self.agreement
    }

    /// CONNECT and HELO.
    ///
    /// # Errors
    /// When the filter does not go on.
    pub async fn greet(&mut self) -> Result<()> {
        self.macros(b'C', b"j\0mx.test\0{daemon_name}\0mx.test\0v\0Postfix\0");
        self.event(CONNECT, &[b"mail.vendor.test\0", b"4\x30\x39", b"203.0.113.9\0"]).await?;
        self.macros(b'H', b"");
        self.event(HELO, &[b"mail.vendor.test\0"]).await?;
        self.flush().await
    }

    /// One message from MAIL to its end, and the ABORT that Postfix sends behind each.
    ///
    /// # Errors
    /// When the filter does not take it.
    pub async fn message(&mut self, envelope: &Envelope) -> Result<Edits> {
        self.macros(b'M', b"{mail_addr}\0news@vendor.test\0{mail_host}\0vendor.test\0{mail_mailer}\0smtp\0");
        self.event(MAIL, &[b"<news@vendor.test>\0SIZE=2500\0"]).await?;
        for recipient in &envelope.recipients {
            let of_recipient =
                format!("{{rcpt_addr}}\0{recipient}\0{{rcpt_host}}\0x\0{{rcpt_mailer}}\0relay\0");
            self.macros(b'R', of_recipient.as_bytes());
            self.event(RCPT, &[b"<", recipient.as_bytes(), b">\0"]).await?;
        }
        let queue_id = format!("i\0{}\0", envelope.queue_id);
        self.content(queue_id.as_bytes()).await?;
        self.put(b'E', &[]);
        let mut edits = Edits::default();
        let mut reply = self.exchange().await?;
        while !FINAL.contains(&reply.0) {
            edits.frames.push(reply);
            reply = self.next_reply().await?;
        }
        ensure!(matches!(reply.0, b'c' | b'a'), "the message was answered by {:?}", char::from(reply.0));
        self.put(b'A', &[]);
        Ok(edits)
    }

    async fn content(&mut self, queue_id: &[u8]) -> Result<()> {
        self.macros(b'T', queue_id);
        self.event(DATA, &[]).await?;
        for number in 0..HEADER_FIELDS {
            self.macros(b'L', queue_id);
            let field: [&[u8]; 2] = match number {
                0 => [b"From\0", b"Vendor News <news@vendor.test>\0"],
                1 => [b"To\0", b"us@example.test\0"],
                2 => [b"Subject\0", b"a letter of the load\0"],
                _ => {
                    [b"Received\0", b"from a.vendor.test by b.vendor.test; Thu, 1 Jan 2026 00:00:00 +0000\0"]
                }
            };
            self.event(HEADER, &field).await?;
        }
        self.macros(b'N', queue_id);
        self.event(END_OF_HEADERS, &[]).await?;
        self.macros(b'B', queue_id);
        self.event(BODY, &[&[b'x'; BODY_OCTETS]]).await?;
        self.macros(b'E', queue_id);
        Ok(())
    }

    /// Waits until the filter has closed the connection.
    pub async fn closed(&mut self) {
        let mut octet = [0];
        while self.wire.read(&mut octet).await.is_ok_and(|octets| octets > 0) {}
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// When the filter is gone.
    pub async fn quit(mut self) -> Result<()> {
        self.put(b'Q', &[]);
        self.wire.write_all(&self.out).await.context("saying goodbye")
    }

    fn macros(&mut self, event: u8, pairs: &[u8]) {
        self.put(b'D', &[&[event], pairs]);
    }

    async fn event(&mut self, event: Event, payload: &[&[u8]]) -> Result<()> {
        if self.protocol & event.absent != 0 {
            return Ok(());
        }
        self.put(event.code, payload);
        if !event.is_answered(self.protocol) {
            return Ok(());
        }
        let (code, reply) = self.exchange().await?;
        ensure!(code == b'c', "{} was answered by {code}: {reply:?}", char::from(event.code));
        Ok(())
    }

    fn put(&mut self, code: u8, payload: &[&[u8]]) {
        put_frame(&mut self.out, code, payload);
    }

    /// Sends what is waiting, as Postfix does: when it needs an answer.
    async fn exchange(&mut self) -> Result<(u8, Vec<u8>)> {
        self.flush().await?;
        self.next_reply().await
    }

    async fn flush(&mut self) -> Result<()> {
        self.wire.write_all(&self.out).await.context("writing to the filter")?;
        self.out.clear();
        Ok(())
    }

    async fn next_reply(&mut self) -> Result<(u8, Vec<u8>)> {
        loop {
            let unread = &self.inbox[self.read..];
            if let [a, b, c, d, code, rest @ ..] = unread {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                ensure!((1..=65_536).contains(&length), "a reply of {length} octets");
                if let Some(payload) = rest.get(..length - 1) {
                    let reply = (*code, payload.to_vec());
                    self.read += length + 4;
                    return Ok(reply);
                }
            }
            self.inbox.drain(..self.read);
            self.read = 0;
            let octets = self.wire.read_buf(&mut self.inbox).await.context("reading from the filter")?;
            ensure!(octets > 0, "the filter closed the connection");
        }
    }
}

impl fmt::Debug for Mta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mta(protocol {:x})", self.protocol)
    }
}

/// Appends a frame: its length, its code, its payload.
pub fn put_frame(out: &mut Vec<u8>, code: u8, payload: &[&[u8]]) {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&u32::try_from(length + 1).unwrap_or(u32::MAX).to_be_bytes());
    out.push(code);
    payload.iter().for_each(|part| out.extend_from_slice(part));
}

/// One frame.
#[must_use]
pub fn frame(code: u8, payload: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, code, payload);
    out
}

fn offer() -> Vec<u8> {
    OFFER.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// What a filter wants changed in a message.
#[derive(Debug, Default)]
pub struct Edits {
    frames: Vec<(u8, Vec<u8>)>,
}

impl Edits {
    /// Insists that every edit is about this message: each recipient is taken away, one is added, and the header
    /// names the recipients of this message and of no other.
    ///
    /// # Errors
    /// Something is missing, or belongs to another message.
    pub fn belong_to(&self, envelope: &Envelope) -> Result<()> {
        for recipient in &envelope.recipients {
            let names = |payload: &[u8]| contains(payload, recipient.as_bytes());
            let all = |code| self.frames.iter().filter(move |frame| frame.0 == code);
            ensure!(all(b'-').any(|(_, payload)| names(payload)), "{recipient} stays: {}", self.shown());
            let shown = |(code, payload): &(u8, Vec<u8>)| matches!(code, b'h' | b'i') && names(payload);
            ensure!(self.frames.iter().any(shown), "no header names {recipient}: {}", self.shown());
        }
        let deleted = self.frames.iter().filter(|frame| frame.0 == b'-').count();
        ensure!(deleted == envelope.recipients.len(), "recipients of others: {}", self.shown());
        ensure!(
            self.frames.iter().any(|frame| matches!(frame.0, b'+' | b'2')),
            "nobody added: {}",
            self.shown()
        );
        Ok(())
    }

    fn shown(&self) -> String {
        self.frames.iter().fold(String::new(), |mut text, (code, payload)| {
            let _ = write!(text, "{}{:?} ", char::from(*code), String::from_utf8_lossy(payload));
            text
        })
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
