//! The MTA's side of the codec: commands encoded, replies decoded. For tests, benches and fake MTAs.

use thiserror::Error;

use crate::command::{ABORT, ClientAddress, Command, Connect, MACRO, OPTNEG, QUIT, QUIT_NC, first_string};
use crate::frame::{Frame, write_frame, write_string};
use crate::negotiate::{Actions, Offer, Protocol};
use crate::reply::Reply;

/// A reply that an MTA would take for a broken protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// No reply has this byte.
    #[error("unknown reply {0:#04x}")]
    Unknown(u8),
    /// The payload is not what the reply demands.
    #[error("malformed reply {0:?}")]
    Malformed(char),
}

/// A filter's answer to the option negotiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiationAnswer {
    /// The version the filter will speak.
    pub version: u32,
    /// What the filter may do.
    pub actions: Actions,
    /// Which steps the filter wants left out or changed.
    pub protocol: Protocol,
    /// Macro lists by stage number.
    pub macros: Vec<(u32, Vec<u8>)>,
}

impl Command<'_> {
    /// The command byte.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Negotiate(_) => OPTNEG,
            Self::Macros(_) => MACRO,
            Self::Abort => ABORT,
            Self::Quit => QUIT,
            Self::QuitNewConnection => QUIT_NC,
            staged => staged.stage().map_or(0, crate::Stage::code),
        }
    }

    /// Appends the command's frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_frame(out, self.code(), |out| self.write_payload(out));
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        match self {
            Self::Negotiate(offer) => write_offer(offer, out),
            Self::Macros(list) => {
                out.push(list.command);
                out.extend_from_slice(list.pairs);
            }
            Self::Connect(connect) => write_connect(connect, out),
            Self::Helo(text) | Self::Unknown(text) => write_string(out, text),
            Self::Mail(mail) => {
                write_string(out, mail.sender);
                out.extend_from_slice(mail.arguments.as_terminated());
            }
            Self::Rcpt(rcpt) => {
                write_string(out, rcpt.recipient);
                out.extend_from_slice(rcpt.arguments.as_terminated());
            }
            Self::Header(header) => {
                write_string(out, header.name);
                write_string(out, header.value);
            }
            Self::Body(chunk) | Self::EndOfMessage(chunk) => out.extend_from_slice(chunk),
            Self::Data | Self::EndOfHeaders | Self::Abort | Self::Quit | Self::QuitNewConnection => {}
        }
    }
}

fn write_offer(offer: &Offer, out: &mut Vec<u8>) {
    for number in [offer.version, offer.actions.bits(), offer.protocol.bits()] {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn write_connect(connect: &Connect<'_>, out: &mut Vec<u8>) {
    write_string(out, connect.hostname);
    let (family, port, address) = match connect.client {
        ClientAddress::Unknown => return out.push(b'U'),
        ClientAddress::Inet { port, address } => (b'4', port, address),
        ClientAddress::Inet6 { port, address } => (b'6', port, address),
        ClientAddress::Local { path } => (b'L', 0, path),
    };
    out.push(family);
    out.extend_from_slice(&port.to_be_bytes());
    write_string(out, address);
}

impl Offer {
    /// What Postfix and Sendmail offer today.
    pub const CURRENT: Self =
        Self { version: 6, actions: Actions::from_bits(0x1ff), protocol: Protocol::from_bits(0x1f_ffff) };
}

impl NegotiationAnswer {
    /// Reads the answer to an offer.
    ///
    /// # Errors
    /// Not an answer to an offer, or cut short.
    pub fn decode(frame: Frame<'_>) -> Result<Self, ReplyError> {
        if frame.code != OPTNEG {
            return Err(ReplyError::Unknown(frame.code));
        }
        let (version, rest) = number('O', frame.payload)?;
        let (actions, rest) = number('O', rest)?;
        let (protocol, mut rest) = number('O', rest)?;
        let mut macros = Vec::new();
        while !rest.is_empty() {
            let (stage, remaining) = number('O', rest)?;
            let (names, remaining) = string('O', remaining)?;
            macros.push((stage, names.to_vec()));
            rest = remaining;
        }
        let (actions, protocol) = (Actions::from_bits(actions), Protocol::from_bits(protocol));
        Ok(Self { version, actions, protocol, macros })
    }
}

impl<'a> Reply<'a> {
    /// Reads a reply, as strictly as Postfix does.
    ///
    /// # Errors
    /// An unknown byte, or a payload that an MTA would refuse.
    pub fn decode(frame: Frame<'a>) -> Result<Self, ReplyError> {
        let payload = frame.payload;
        let code = char::from(frame.code);
        let empty = |reply| if payload.is_empty() { Ok(reply) } else { Err(ReplyError::Malformed(code)) };
        match code {
            'c' => empty(Self::Continue),
            'a' => empty(Self::Accept),
            'd' => empty(Self::Discard),
            'r' => empty(Self::Reject),
            't' => empty(Self::Tempfail),
            's' => empty(Self::Skip),
            'p' => empty(Self::Progress),
            '4' => empty(Self::Shutdown),
            'f' => empty(Self::ConnectionFail),
            'y' => sole(code, payload).map(Self::SmtpReply),
            '+' => sole(code, payload).map(Self::AddRecipient),
            '-' => sole(code, payload).map(Self::DeleteRecipient),
            'q' => sole(code, payload).map(Self::Quarantine),
            'b' => Ok(Self::ReplaceBody(payload)),
            'h' => pair(code, payload).map(|(name, value)| Self::AddHeader { name, value }),
            'i' => {
                let (index, rest) = number(code, payload)?;
                pair(code, rest).map(|(name, value)| Self::InsertHeader { index, name, value })
            }
            'm' => {
                let (index, rest) = number(code, payload)?;
                pair(code, rest).map(|(name, value)| Self::ChangeHeader { index, name, value })
            }
            '2' => with_arguments(code, payload)
                .map(|(recipient, arguments)| Self::AddRecipientWith { recipient, arguments }),
            'e' => with_arguments(code, payload)
                .map(|(sender, arguments)| Self::ChangeSender { sender, arguments }),
            _ => Err(ReplyError::Unknown(frame.code)),
        }
    }
}

fn number(code: char, payload: &[u8]) -> Result<(u32, &[u8]), ReplyError> {
    let (number, rest) = payload.split_first_chunk::<4>().ok_or(ReplyError::Malformed(code))?;
    Ok((u32::from_be_bytes(*number), rest))
}

fn string(code: char, payload: &[u8]) -> Result<(&[u8], &[u8]), ReplyError> {
    first_string(payload).ok_or(ReplyError::Malformed(code))
}

fn sole(code: char, payload: &[u8]) -> Result<&[u8], ReplyError> {
    match string(code, payload)? {
        (text, []) => Ok(text),
        _ => Err(ReplyError::Malformed(code)),
    }
}

fn pair(code: char, payload: &[u8]) -> Result<(&[u8], &[u8]), ReplyError> {
    let (name, rest) = string(code, payload)?;
    Ok((name, sole(code, rest)?))
}

fn with_arguments(code: char, payload: &[u8]) -> Result<(&[u8], Option<&[u8]>), ReplyError> {
    match string(code, payload)? {
        (address, []) => Ok((address, None)),
        (address, rest) => Ok((address, Some(sole(code, rest)?))),
    }
}
