//! The stages of an SMTP conversation as the milter protocol cuts it.

use crate::negotiate::Protocol;

/// A command that carries an event of the SMTP conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Stage {
    /// An SMTP client connected.
    Connect,
    /// HELO or EHLO.
    Helo,
    /// MAIL FROM.
    Mail,
    /// RCPT TO, once per recipient.
    Rcpt,
    /// DATA (protocol version 4 and later).
    Data,
    /// One header field.
    Header,
    /// The empty line after the header.
    EndOfHeaders,
    /// A piece of the body.
    Body,
    /// The end of the message: the only stage where a message can be modified.
    EndOfMessage,
    /// An SMTP command the MTA does not know (protocol version 3 and later).
    Unknown,
}

/// How many stages there are.
pub(crate) const STAGES: usize = 10;

impl Stage {
    /// The command byte of this stage.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Connect => b'C',
            Self::Helo => b'H',
            Self::Mail => b'M',
            Self::Rcpt => b'R',
            Self::Data => b'T',
            Self::Header => b'L',
            Self::EndOfHeaders => b'N',
            Self::Body => b'B',
            Self::EndOfMessage => b'E',
            Self::Unknown => b'U',
        }
    }

    /// The stage of a command byte, if it has one.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            b'C' => Self::Connect,
            b'H' => Self::Helo,
            b'M' => Self::Mail,
            b'R' => Self::Rcpt,
            b'T' => Self::Data,
            b'L' => Self::Header,
            b'N' => Self::EndOfHeaders,
            b'B' => Self::Body,
            b'E' => Self::EndOfMessage,
            b'U' => Self::Unknown,
            _ => return None,
        })
    }

    /// The flag by which a filter says it wants no such event. The end of message always comes.
    #[must_use]
    pub const fn no_event_flag(self) -> Protocol {
        match self {
            Self::Connect => Protocol::NO_CONNECT,
            Self::Helo => Protocol::NO_HELO,
            Self::Mail => Protocol::NO_MAIL,
            Self::Rcpt => Protocol::NO_RCPT,
            Self::Data => Protocol::NO_DATA,
            Self::Header => Protocol::NO_HEADERS,
            Self::EndOfHeaders => Protocol::NO_END_OF_HEADERS,
            Self::Body => Protocol::NO_BODY,
            Self::EndOfMessage => Protocol::NONE,
            Self::Unknown => Protocol::NO_UNKNOWN,
        }
    }

    /// The flag by which a filter says it will not answer this event. The end of message is always answered.
    #[must_use]
    pub const fn no_reply_flag(self) -> Protocol {
        match self {
            Self::Connect => Protocol::NR_CONNECT,
            Self::Helo => Protocol::NR_HELO,
            Self::Mail => Protocol::NR_MAIL,
            Self::Rcpt => Protocol::NR_RCPT,
            Self::Data => Protocol::NR_DATA,
            Self::Header => Protocol::NR_HEADER,
            Self::EndOfHeaders => Protocol::NR_END_OF_HEADERS,
            Self::Body => Protocol::NR_BODY,
            Self::EndOfMessage => Protocol::NONE,
            Self::Unknown => Protocol::NR_UNKNOWN,
        }
    }

    /// Whether the stage belongs to one message rather than to the connection.
    #[must_use]
    pub const fn is_message(self) -> bool {
        !matches!(self, Self::Connect | Self::Helo | Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_stage_are_inverse() {
        let stages: Vec<Stage> = (0..=u8::MAX).filter_map(Stage::from_code).collect();
        assert_eq!(stages.len(), STAGES);
        for stage in stages {
            assert_eq!(Stage::from_code(stage.code()), Some(stage));
        }
    }
}
