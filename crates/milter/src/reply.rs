//! What a filter sends: one type for every reply and modification of the protocol, and its bytes.
//!
//! This is the codec only. What may be sent when is the session's business, and it never sends
//! [`Shutdown`](Reply::Shutdown) or [`ConnectionFail`](Reply::ConnectionFail).

use crate::frame::{write_frame, write_string};

/// One reply, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Go on.
    Continue,
    /// Take the message (or the connection) without asking again.
    Accept,
    /// Take the message and drop it.
    Discard,
    /// Refuse for good with the MTA's own text.
    Reject,
    /// Refuse for now with the MTA's own text.
    Tempfail,
    /// No more of this kind, please: further header fields, further body.
    Skip,
    /// Still working; restarts the MTA's clock.
    Progress,
    /// 421 and close. At the end of a message Postfix says 250 and loses the mail.
    Shutdown,
    /// The filter failed. Postfix takes it for a broken protocol.
    ConnectionFail,
    /// Refuse with this SMTP reply, without the final NUL.
    SmtpReply(&'a [u8]),
    /// Adds a header field at the end.
    AddHeader {
        /// The name.
        name: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// Inserts a header field.
    InsertHeader {
        /// Before which field.
        index: u32,
        /// The name.
        name: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// Changes a header field; an empty value deletes it.
    ChangeHeader {
        /// Which one of this name, from 1.
        index: u32,
        /// The name.
        name: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// Adds a recipient.
    AddRecipient(&'a [u8]),
    /// Adds a recipient with ESMTP arguments.
    AddRecipientWith {
        /// The address.
        recipient: &'a [u8],
        /// Its arguments, if there are any.
        arguments: Option<&'a [u8]>,
    },
    /// Deletes a recipient.
    DeleteRecipient(&'a [u8]),
    /// Changes the envelope sender.
    ChangeSender {
        /// The address.
        sender: &'a [u8],
        /// Its arguments, if there are any.
        arguments: Option<&'a [u8]>,
    },
    /// A piece of the new body.
    ReplaceBody(&'a [u8]),
    /// Holds the message.
    Quarantine(&'a [u8]),
}

impl Reply<'_> {
    /// The reply byte.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Continue => b'c',
            Self::Accept => b'a',
            Self::Discard => b'd',
            Self::Reject => b'r',
            Self::Tempfail => b't',
            Self::Skip => b's',
            Self::Progress => b'p',
            Self::Shutdown => b'4',
            Self::ConnectionFail => b'f',
            Self::SmtpReply(_) => b'y',
            Self::AddHeader { .. } => b'h',
            Self::InsertHeader { .. } => b'i',
            Self::ChangeHeader { .. } => b'm',
            Self::AddRecipient(_) => b'+',
            Self::AddRecipientWith { .. } => b'2',
            Self::DeleteRecipient(_) => b'-',
            Self::ChangeSender { .. } => b'e',
            Self::ReplaceBody(_) => b'b',
            Self::Quarantine(_) => b'q',
        }
    }

    /// Whether this changes the message, and therefore does not end the MTA's wait.
    #[must_use]
    pub const fn is_modification(&self) -> bool {
        matches!(self.code(), b'h' | b'i' | b'm' | b'+' | b'2' | b'-' | b'e' | b'b' | b'q')
    }

    /// Appends the reply's frame. Strings must not hold a NUL; [`Edit`](crate::Edit) sees to that.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_frame(out, self.code(), |out| self.write_payload(out));
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        match *self {
            Self::SmtpReply(text)
            | Self::AddRecipient(text)
            | Self::DeleteRecipient(text)
            | Self::Quarantine(text) => write_string(out, text),
            Self::ReplaceBody(chunk) => out.extend_from_slice(chunk),
            Self::AddHeader { name, value } => write_strings(out, [name, value]),
            Self::InsertHeader { index, name, value } | Self::ChangeHeader { index, name, value } => {
                out.extend_from_slice(&index.to_be_bytes());
                write_strings(out, [name, value]);
            }
            Self::AddRecipientWith { recipient: address, arguments }
            | Self::ChangeSender { sender: address, arguments } => {
                write_strings(out, std::iter::once(address).chain(arguments));
            }
            _ => {}
        }
    }
}

fn write_strings<'a>(out: &mut Vec<u8>, strings: impl IntoIterator<Item = &'a [u8]>) {
    for text in strings {
        write_string(out, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: Reply<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        reply.encode(&mut out);
        out
    }

    #[test]
    fn bytes_on_the_wire() {
        assert_eq!(wire(Reply::Continue), [0, 0, 0, 1, b'c']);
        assert_eq!(wire(Reply::SmtpReply(b"550 5.7.1 no")), b"\0\0\0\x0ey550 5.7.1 no\0");
        assert_eq!(
            wire(Reply::InsertHeader { index: 1, name: b"X", value: b"v" }),
            b"\0\0\0\x09i\0\0\0\x01X\0v\0"
        );
        assert_eq!(wire(Reply::ChangeSender { sender: b"<>", arguments: None }), b"\0\0\0\x04e<>\0");
        let with = Reply::AddRecipientWith { recipient: b"a", arguments: Some(b"NOTIFY=NEVER") };
        assert_eq!(&wire(with)[4..], b"2a\0NOTIFY=NEVER\0");
        assert_eq!(wire(Reply::ReplaceBody(b"x\0y")), b"\0\0\0\x04bx\0y");
    }
}
