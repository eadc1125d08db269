//! What the MTA sends. Everything is bytes as they came: addresses, names and values are never decoded here.

use std::net::IpAddr;

use thiserror::Error;

use crate::frame::Frame;
use crate::negotiate::{Actions, Offer, Protocol};
use crate::stage::Stage;

/// The command byte of the option negotiation.
pub const OPTNEG: u8 = b'O';
/// The command byte of a macro list.
pub const MACRO: u8 = b'D';
/// The command byte of ABORT.
pub const ABORT: u8 = b'A';
/// The command byte of QUIT.
pub const QUIT: u8 = b'Q';
/// The command byte of QUIT_NC: this SMTP connection is over, another follows on the same socket.
pub const QUIT_NC: u8 = b'K';

/// One command of the MTA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// The option negotiation, always first.
    Negotiate(Offer),
    /// Macros for the command that follows.
    Macros(MacroList<'a>),
    /// An SMTP client connected.
    Connect(Connect<'a>),
    /// HELO or EHLO, with the name the client gave.
    Helo(&'a [u8]),
    /// MAIL FROM.
    Mail(Mail<'a>),
    /// RCPT TO.
    Rcpt(Rcpt<'a>),
    /// DATA.
    Data,
    /// One header field.
    Header(Header<'a>),
    /// The end of the header.
    EndOfHeaders,
    /// A piece of the body.
    Body(&'a [u8]),
    /// The end of the message; may carry the last piece of the body.
    EndOfMessage(&'a [u8]),
    /// The message is over without an end. Never answered.
    Abort,
    /// The connection is over. Never answered.
    Quit,
    /// The SMTP connection is over, the socket stays. Never answered.
    QuitNewConnection,
    /// An SMTP command the MTA does not know.
    Unknown(&'a [u8]),
}

/// A list of macros and the command they belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacroList<'a> {
    /// The command byte the macros announce; not necessarily one that is known.
    pub command: u8,
    /// Names and values, each ended by a NUL. May be odd, or empty.
    pub pairs: &'a [u8],
}

impl<'a> MacroList<'a> {
    /// Names with their values. A last name without a value has none and is left out; such lists exist.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut strings = strings(self.pairs);
        std::iter::from_fn(move || Some((strings.next()?, strings.next()?)))
    }
}

/// The client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The client's host name, or its address in brackets where the name is unknown.
    pub hostname: &'a [u8],
    /// The client's address.
    pub client: ClientAddress<'a>,
}

/// Where the client connected from, as the MTA wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAddress<'a> {
    /// The MTA does not say.
    Unknown,
    /// IPv4.
    Inet {
        /// The port; 0 where there was no connection, as for mail from sendmail(1).
        port: u16,
        /// The address in text.
        address: &'a [u8],
    },
    /// IPv6. Sendmail writes an `IPv6:` prefix, Postfix none.
    Inet6 {
        /// The port.
        port: u16,
        /// The address in text.
        address: &'a [u8],
    },
    /// A Unix-domain socket.
    Local {
        /// The socket's path.
        path: &'a [u8],
    },
}

impl ClientAddress<'_> {
    /// The IP address, with Sendmail's prefix removed; `None` for other families and for unreadable text.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        let (Self::Inet { address, .. } | Self::Inet6 { address, .. }) = self else { return None };
        let text = std::str::from_utf8(address).ok()?;
        match text.split_at_checked(5) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("ipv6:") => rest.parse().ok(),
            _ => text.parse().ok(),
        }
    }

    /// The client's port, if there is one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Inet { port, .. } | Self::Inet6 { port, .. } => Some(*port),
            Self::Unknown | Self::Local { .. } => None,
        }
    }
}

/// MAIL FROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mail<'a> {
    /// The argument as the client wrote it, usually with angle brackets. Empty or `<>` is the null sender.
    pub sender: &'a [u8],
    /// ESMTP arguments.
    pub arguments: Arguments<'a>,
}

/// RCPT TO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rcpt<'a> {
    /// The argument as the client wrote it. May lack brackets and may carry a source route.
    pub recipient: &'a [u8],
    /// ESMTP arguments.
    pub arguments: Arguments<'a>,
}

impl<'a> Rcpt<'a> {
    /// The spelling under which the MTA records this recipient, and the one a deletion must use.
    ///
    /// Postfix compares a deletion case-sensitively with the argument minus brackets and source route; any
    /// other spelling, such as that of `{rcpt_addr}`, deletes nothing, silently.
    #[must_use]
    pub fn recorded(&self) -> &'a [u8] {
        without_route(without_brackets(self.recipient))
    }
}

fn without_brackets(argument: &[u8]) -> &[u8] {
    argument.strip_prefix(b"<").and_then(|rest| rest.strip_suffix(b">")).unwrap_or(argument)
}

/// RFC 5321 §4.1.2 A-d-l: `@one,@two:` before the mailbox. A colon inside an address literal is not its end.
fn without_route(path: &[u8]) -> &[u8] {
    if path.first() != Some(&b'@') {
        return path;
    }
    let mut in_literal = false;
    for (position, byte) in path.iter().enumerate() {
        match byte {
            b'[' => in_literal = true,
            b']' => in_literal = false,
            b':' if !in_literal => return &path[position + 1..],
            _ => {}
        }
    }
    path
}

/// ESMTP arguments, NUL-separated as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arguments<'a>(&'a [u8]);

impl<'a> Arguments<'a> {
    /// Arguments from NUL-terminated strings.
    #[must_use]
    pub const fn from_terminated(strings: &'a [u8]) -> Self {
        Self(strings)
    }

    /// Each argument, such as `SIZE=100`.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        strings(self.0)
    }

    /// Whether an argument of this keyword is there, with or without a value. Keywords ignore case.
    #[must_use]
    pub fn has(&self, keyword: &str) -> bool {
        self.iter().any(|argument| keyword_of(argument).eq_ignore_ascii_case(keyword.as_bytes()))
    }

    /// The value of an argument, such as `8BITMIME` for `BODY`.
    #[must_use]
    pub fn value(&self, keyword: &str) -> Option<&'a [u8]> {
        let found =
            self.iter().find(|argument| keyword_of(argument).eq_ignore_ascii_case(keyword.as_bytes()))?;
        found.get(keyword.len() + 1..)
    }

    /// The bytes as they came.
    #[must_use]
    pub const fn as_terminated(&self) -> &'a [u8] {
        self.0
    }
}

fn keyword_of(argument: &[u8]) -> &[u8] {
    argument.split(|byte| *byte == b'=').next().unwrap_or(argument)
}

/// One header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The field's name.
    pub name: &'a [u8],
    /// The value. Folded lines are joined by LF and keep their blanks; the blank after the colon is there
    /// only where leading blanks were negotiated.
    pub value: &'a [u8],
}

/// A command that does not hold what it must. The peer broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommandError {
    /// No command has this byte.
    #[error("the MTA sent an unknown command, byte {0:#04x}")]
    Unknown(u8),
    /// The payload is not what the command demands.
    #[error("the MTA sent a malformed {command}: {problem}")]
    Malformed {
        /// The command's name.
        command: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

const fn malformed(command: &'static str, problem: &'static str) -> CommandError {
    CommandError::Malformed { command, problem }
}

impl<'a> Command<'a> {
    /// Reads a command out of a frame.
    ///
    /// # Errors
    /// An unknown command byte, or a payload that cannot be what it claims.
    pub fn parse(frame: Frame<'a>) -> Result<Self, CommandError> {
        let payload = frame.payload;
        match frame.code {
            OPTNEG => parse_offer(payload).map(Self::Negotiate),
            MACRO => parse_macros(payload).map(Self::Macros),
            ABORT => Ok(Self::Abort),
            QUIT => Ok(Self::Quit),
            QUIT_NC => Ok(Self::QuitNewConnection),
            code => match Stage::from_code(code) {
                Some(stage) => parse_stage(stage, payload),
                None => Err(CommandError::Unknown(code)),
            },
        }
    }

    /// The stage of the conversation this command carries, if any.
    #[must_use]
    pub const fn stage(&self) -> Option<Stage> {
        Some(match self {
            Self::Connect(_) => Stage::Connect,
            Self::Helo(_) => Stage::Helo,
            Self::Mail(_) => Stage::Mail,
            Self::Rcpt(_) => Stage::Rcpt,
            Self::Data => Stage::Data,
            Self::Header(_) => Stage::Header,
            Self::EndOfHeaders => Stage::EndOfHeaders,
            Self::Body(_) => Stage::Body,
            Self::EndOfMessage(_) => Stage::EndOfMessage,
            Self::Unknown(_) => Stage::Unknown,
            Self::Negotiate(_) | Self::Macros(_) | Self::Abort | Self::Quit | Self::QuitNewConnection => {
                return None;
            }
        })
    }
}

fn parse_stage(stage: Stage, payload: &[u8]) -> Result<Command<'_>, CommandError> {
    Ok(match stage {
        Stage::Connect => Command::Connect(parse_connect(payload)?),
        Stage::Helo => Command::Helo(sole_string("HELO", payload)?),
        Stage::Mail => {
            let (sender, arguments) = parse_envelope(payload);
            Command::Mail(Mail { sender, arguments })
        }
        Stage::Rcpt => {
            let (recipient, arguments) = parse_envelope(payload);
            Command::Rcpt(Rcpt { recipient, arguments })
        }
        Stage::Data => Command::Data,
        Stage::Header => Command::Header(parse_header(payload)?),
        Stage::EndOfHeaders => Command::EndOfHeaders,
        Stage::Body => Command::Body(payload),
        Stage::EndOfMessage => Command::EndOfMessage(payload),
        Stage::Unknown => Command::Unknown(sole_string("UNKNOWN", payload)?),
    })
}

/// Twelve octets; what follows them is for versions to come.
fn parse_offer(payload: &[u8]) -> Result<Offer, CommandError> {
    let too_short = malformed("OPTNEG", "fewer than 12 octets");
    let (version, rest) = payload.split_first_chunk::<4>().ok_or(too_short)?;
    let (actions, rest) = rest.split_first_chunk::<4>().ok_or(too_short)?;
    let protocol = rest.first_chunk::<4>().ok_or(too_short)?;
    Ok(Offer {
        version: u32::from_be_bytes(*version),
        actions: Actions::from_bits(u32::from_be_bytes(*actions)),
        protocol: Protocol::from_bits(u32::from_be_bytes(*protocol)),
    })
}

/// Postfix sends the bare command byte where it has no macro to tell.
fn parse_macros(payload: &[u8]) -> Result<MacroList<'_>, CommandError> {
    let (&command, pairs) = payload.split_first().ok_or(malformed("MACRO", "no command byte"))?;
    Ok(MacroList { command, pairs })
}

fn parse_connect(payload: &[u8]) -> Result<Connect<'_>, CommandError> {
    let (hostname, rest) = first_string(payload).ok_or(malformed("CONNECT", "host name without end"))?;
    let (&family, rest) = rest.split_first().ok_or(malformed("CONNECT", "no address family"))?;
    if family == b'U' {
        return Ok(Connect { hostname, client: ClientAddress::Unknown });
    }
    let (port, rest) = rest.split_first_chunk::<2>().ok_or(malformed("CONNECT", "no port"))?;
    let port = u16::from_be_bytes(*port);
    let address = sole_string("CONNECT", rest)?;
    let client = match family {
        b'4' => ClientAddress::Inet { port, address },
        b'6' => ClientAddress::Inet6 { port, address },
        b'L' => ClientAddress::Local { path: address },
        _ => return Err(malformed("CONNECT", "unknown address family")),
    };
    Ok(Connect { hostname, client })
}

/// A null sender from sendmail(1) may come as an empty payload, so nothing here can fail.
fn parse_envelope(payload: &[u8]) -> (&[u8], Arguments<'_>) {
    let (address, rest) = first_string(payload).unwrap_or((payload, &[]));
    (address, Arguments(rest))
}

fn parse_header(payload: &[u8]) -> Result<Header<'_>, CommandError> {
    let (name, rest) = first_string(payload).ok_or(malformed("HEADER", "name without end"))?;
    Ok(Header { name, value: sole_string("HEADER", rest)? })
}

/// The string before the first NUL and what follows it.
pub(crate) fn first_string(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = payload.iter().position(|byte| *byte == 0)?;
    Some((&payload[..end], &payload[end + 1..]))
}

/// The string that ends a payload. Its NUL may be missing, but nothing may follow it: a second string there
/// means the two sides do not agree on what this command is.
fn sole_string<'a>(command: &'static str, payload: &'a [u8]) -> Result<&'a [u8], CommandError> {
    match first_string(payload) {
        None => Ok(payload),
        Some((text, [])) => Ok(text),
        Some(_) => Err(malformed(command, "octets after the last string")),
    }
}

/// NUL-terminated strings one after the other; the last may lack its NUL.
fn strings(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (text, remaining) = first_string(rest).unwrap_or((rest, &[]));
        rest = remaining;
        Some(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(code: u8, payload: &[u8]) -> Result<Command<'_>, CommandError> {
        Command::parse(Frame { code, payload })
    }

    #[test]
    fn an_offer_longer_than_twelve_octets_is_read() {
        let payload = [0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff, 9, 9];
        let Ok(Command::Negotiate(offer)) = parse(OPTNEG, &payload) else { panic!("no offer") };
        assert_eq!((offer.version, offer.actions.bits(), offer.protocol.bits()), (6, 0x1ff, 0x1f_ffff));
        assert!(parse(OPTNEG, &payload[..11]).is_err());
    }

    #[test]
    fn connect_knows_four_families() {
        let client = |payload| match parse(b'C', payload) {
            Ok(Command::Connect(connect)) => Some(connect.client),
            _ => None,
        };
        assert_eq!(client(b"h\0U"), Some(ClientAddress::Unknown));
        let inet = client(b"h\x004\x00\x19192.0.2.1\0").unwrap();
        assert_eq!((inet.ip(), inet.port()), (Some("192.0.2.1".parse().unwrap()), Some(25)));
        assert_eq!(client(b"h\0L\0\0/run/s\0"), Some(ClientAddress::Local { path: b"/run/s" }));
        for six in [&b"h\x006\0\0IPv6:2001:db8::1\0"[..], b"h\x006\0\x002001:db8::1\0"] {
            assert_eq!(client(six).unwrap().ip(), Some("2001:db8::1".parse().unwrap()));
        }
    }

    #[test]
    fn a_broken_connect_is_refused() {
        for payload in [&b""[..], b"h", b"h\0", b"h\x004", b"h\x004\0", b"h\0X\0\0a\0", b"h\x004\0\0a\0b\0"] {
            assert!(parse(b'C', payload).is_err(), "{payload:?}");
        }
    }

    #[test]
    fn an_empty_mail_payload_is_the_null_sender() {
        for payload in [&b""[..], b"\0"] {
            let Ok(Command::Mail(mail)) = parse(b'M', payload) else { panic!("no MAIL") };
            assert_eq!(mail.sender, b"");
            assert_eq!(mail.arguments.iter().count(), 0);
        }
    }

    #[test]
    fn esmtp_arguments_are_kept_and_found_by_keyword() {
        let Ok(Command::Mail(mail)) = parse(b'M', b"<User@Ext.Test>\0SIZE=100\0body=8BITMIME\0SMTPUTF8\0")
        else {
            panic!("no MAIL")
        };
        assert_eq!(mail.sender, b"<User@Ext.Test>");
        assert_eq!(mail.arguments.value("BODY"), Some(&b"8BITMIME"[..]));
        assert!(mail.arguments.has("smtputf8") && !mail.arguments.has("SIZ"));
        assert_eq!(mail.arguments.value("SMTPUTF8"), None);
    }

    #[test]
    fn the_recorded_recipient_loses_brackets_and_route_only() {
        let recorded = |recipient| Rcpt { recipient, arguments: Arguments::default() }.recorded();
        assert_eq!(recorded(b"<Up.Case@Scope.Test.>"), b"Up.Case@Scope.Test.");
        assert_eq!(recorded(b"<@a.b,@c.d:x@e.f>"), b"x@e.f");
        assert_eq!(recorded(b"<@[IPv6:::1]:x@e.f>"), b"x@e.f");
        assert_eq!(recorded(b"x@e.f"), b"x@e.f");
        assert_eq!(recorded(b"<\"a:b\"@e.f>"), b"\"a:b\"@e.f");
        assert_eq!(recorded(b"<@e.f>"), b"@e.f");
        assert_eq!(recorded(b"<"), b"<");
    }

    #[test]
    fn macro_lists_may_be_bare_odd_or_hold_empty_values() {
        let pairs = |payload| match parse(MACRO, payload) {
            Ok(Command::Macros(list)) => list.iter().collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(pairs(b"H"), []);
        assert_eq!(pairs(b"M{mail_addr}\0\0i\0Q1\0"), [(&b"{mail_addr}"[..], &b""[..]), (b"i", b"Q1")]);
        assert_eq!(pairs(b"Mi\0Q1\0odd\0"), [(&b"i"[..], &b"Q1"[..])]);
        assert_eq!(pairs(b"Mi\0Q1"), [(&b"i"[..], &b"Q1"[..])]);
        assert!(parse(MACRO, b"").is_err());
    }

    #[test]
    fn headers_may_be_empty_but_not_ambiguous() {
        let header = |payload| match parse(b'L', payload) {
            Ok(Command::Header(header)) => Ok((header.name, header.value)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        assert_eq!(header(b"X-E\0\0"), Ok((&b"X-E"[..], &b""[..])));
        assert_eq!(header(b"Subject\0a\n b\xff\0"), Ok((&b"Subject"[..], &b"a\n b\xff"[..])));
        assert!(header(b"X-E").is_err());
        assert!(header(b"X-E\0a\0b\0").is_err());
    }

    #[test]
    fn an_unknown_command_is_named() {
        assert_eq!(parse(b'G', b"ET / HTTP"), Err(CommandError::Unknown(b'G')));
    }
}
