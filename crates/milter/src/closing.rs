//! Why a connection ended, and which peers never were MTAs.

use std::fmt;
use std::io;

use crate::frame::LENGTH_OCTETS;
use crate::session::{AnswerError, SessionError};

/// Why a connection is over.
#[derive(Debug)]
pub enum CloseReason {
    /// The MTA said QUIT.
    Quit,
    /// The MTA ended one SMTP connection and keeps the socket for another.
    NewConnection,
    /// The MTA closed the socket without QUIT, as Postfix does after a refused connection.
    PeerClosed,
    /// The peer closed the socket without a word: a port probe.
    Probe,
    /// The peer spoke something that is not milter.
    Garbage(Garbage),
    /// Nothing was heard for too long.
    IdleTimeout,
    /// The peer did not negotiate in time.
    NegotiationTimeout,
    /// The peer did not take our replies in time.
    WriteTimeout,
    /// The server is stopping, and no message was under way.
    Shutdown,
    /// The session could not go on.
    Session(SessionError),
    /// The filter's answer did not fit its event: a mistake on this side.
    Answer(AnswerError),
    /// The socket failed.
    Io(io::Error),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quit => formatter.write_str("the MTA quit"),
            Self::NewConnection => formatter.write_str("the MTA began another SMTP connection"),
            Self::PeerClosed => formatter.write_str("the MTA closed the connection"),
            Self::Probe => formatter.write_str("the peer connected and closed without a word"),
            Self::Garbage(garbage) => write!(formatter, "the peer is no MTA: {garbage}"),
            Self::IdleTimeout => formatter.write_str("the MTA was silent for too long"),
            Self::NegotiationTimeout => formatter.write_str("the peer did not negotiate in time"),
            Self::WriteTimeout => formatter.write_str("the MTA did not read our replies in time"),
            Self::Shutdown => formatter.write_str("the server is stopping"),
            Self::Session(error) => write!(formatter, "{error}"),
            Self::Answer(error) => write!(formatter, "{error}"),
            Self::Io(error) => write!(formatter, "the connection failed: {error}"),
        }
    }
}

impl From<SessionError> for CloseReason {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

/// What scanners, browsers and misdirected programs send instead of a negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Garbage {
    /// An HTTP request.
    Http,
    /// A TLS ClientHello.
    Tls,
    /// A frame of length zero.
    ZeroLength,
    /// A first length that no negotiation has: random octets, mostly.
    ImpossibleLength,
    /// A frame that is something else than the negotiation.
    NotNegotiation,
}

impl Garbage {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Http, Self::Tls, Self::ZeroLength, Self::ImpossibleLength, Self::NotNegotiation];

    /// A short name, fit for a metric's label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tls => "tls",
            Self::ZeroLength => "zero-length",
            Self::ImpossibleLength => "impossible-length",
            Self::NotNegotiation => "not-negotiation",
        }
    }
}

impl fmt::Display for Garbage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Command byte and three numbers.
const SHORTEST_NEGOTIATION: u32 = 13;
/// Versions to come may append to the offer, but hardly more than this.
const LONGEST_NEGOTIATION: u32 = 1_024;

/// Whether the first octets of a connection can be a negotiation; `Ok(false)` when they are too few to tell.
///
/// Deciding before the first frame is complete means that nothing waits for the gigabytes that an HTTP
/// request seems to announce.
///
/// # Errors
/// The peer speaks something else.
pub fn is_negotiation(first: &[u8]) -> Result<bool, Garbage> {
    if first.first().is_some_and(|byte| *byte != 0) {
        return Err(foreign_protocol(first));
    }
    let Some(prefix) = first.first_chunk::<LENGTH_OCTETS>() else { return Ok(false) };
    match u32::from_be_bytes(*prefix) {
        0 => Err(Garbage::ZeroLength),
        length if length > LONGEST_NEGOTIATION => Err(Garbage::ImpossibleLength),
        length if length < SHORTEST_NEGOTIATION => Err(Garbage::NotNegotiation),
        _ => match first.get(LENGTH_OCTETS) {
            None => Ok(false),
            Some(b'O') => Ok(true),
            Some(_) => Err(Garbage::NotNegotiation),
        },
    }
}

/// A first octet other than zero announces at least 16 MiB: never a negotiation.
fn foreign_protocol(first: &[u8]) -> Garbage {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"TRACE ", b"PRI "];
    match first {
        [0x16, 3, ..] => Garbage::Tls,
        _ if METHODS.iter().any(|method| first.starts_with(method)) => Garbage::Http,
        _ => Garbage::ImpossibleLength,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negotiation_is_recognised_as_soon_as_it_can_be() {
        let offer = [0, 0, 0, 13, b'O', 0, 0];
        for octets in 0..5 {
            assert_eq!(is_negotiation(&offer[..octets]), Ok(false));
        }
        assert_eq!(is_negotiation(&offer), Ok(true));
    }

    #[test]
    fn strangers_are_told_apart() {
        assert_eq!(is_negotiation(b"GET / HTTP/1.1\r\n"), Err(Garbage::Http));
        assert_eq!(is_negotiation(b"G"), Err(Garbage::ImpossibleLength));
        assert_eq!(is_negotiation(&[0x16, 3, 1, 2, 0]), Err(Garbage::Tls));
        assert_eq!(is_negotiation(&[0; 4]), Err(Garbage::ZeroLength));
        assert_eq!(is_negotiation(&[0xff; 4]), Err(Garbage::ImpossibleLength));
        assert_eq!(is_negotiation(&[0, 1, 0, 0]), Err(Garbage::ImpossibleLength));
        assert_eq!(is_negotiation(&[0, 0, 0, 1, b'Q']), Err(Garbage::NotNegotiation));
        assert_eq!(is_negotiation(&[0, 0, 0, 13, b'C']), Err(Garbage::NotNegotiation));
    }
}
