//! Option negotiation: what the MTA offers, what the filter wants, what both then obey.
//!
//! An answer may hold only what was offered. Sendmail treats an unoffered protocol step as fatal, Postfix an
//! unoffered action or a higher version; both then apply the MTA's default action to the whole session.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

use crate::frame::{BODY_CHUNK, FRAME_SLACK, write_frame, write_string};

/// The oldest protocol version spoken.
pub const MIN_VERSION: u32 = 2;
/// The newest protocol version spoken.
pub const MAX_VERSION: u32 = 6;

/// Sendmail keeps at most this many macros per stage and drops the list beyond.
pub const MAX_REQUESTED_MACROS: usize = 50;

macro_rules! flag_set {
    ($(#[$meta:meta])* $name:ident { $($(#[$flag_meta:meta])* $flag:ident = $bits:expr;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name(u32);

        impl $name {
            /// The empty set.
            pub const NONE: Self = Self(0);
            $($(#[$flag_meta])* pub const $flag: Self = Self($bits);)+

            /// The set with exactly these bits, known or not.
            #[must_use]
            pub const fn from_bits(bits: u32) -> Self { Self(bits) }
            /// The bits as they travel.
            #[must_use]
            pub const fn bits(self) -> u32 { self.0 }
            /// Whether no bit is set.
            #[must_use]
            pub const fn is_empty(self) -> bool { self.0 == 0 }
            /// Whether every bit of `other` is set here. The empty set is not counted as contained.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool { other.0 != 0 && self.0 & other.0 == other.0 }
            /// Both sets together; the `const` form of `|`.
            #[must_use]
            pub const fn union(self, other: Self) -> Self { Self(self.0 | other.0) }
            /// What is here and not in `other`.
            #[must_use]
            pub const fn without(self, other: Self) -> Self { Self(self.0 & !other.0) }
            const NAMES: &'static [(&'static str, u32)] = &[$((stringify!($flag), $bits)),+];
        }

        impl BitOr for $name {
            type Output = Self;
            fn bitor(self, other: Self) -> Self { Self(self.0 | other.0) }
        }
        impl BitAnd for $name {
            type Output = Self;
            fn bitand(self, other: Self) -> Self { Self(self.0 & other.0) }
        }
        impl BitOrAssign for $name { fn bitor_assign(&mut self, other: Self) { self.0 |= other.0; } }
        impl Not for $name { type Output = Self; fn not(self) -> Self { Self(!self.0) } }
        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({:#x}"), self.0)?;
                for (name, _) in Self::NAMES.iter().filter(|(_, bits)| self.0 & bits != 0) {
                    write!(formatter, " {name}")?;
                }
                formatter.write_str(")")
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, formatter)
            }
        }
    };
}

flag_set! {
    /// What a filter may do to a message (`SMFIF_*`).
    Actions {
        /// Add header fields.
        ADD_HEADERS = 0x1;
        /// Replace the body.
        CHANGE_BODY = 0x2;
        /// Add recipients.
        ADD_RCPT = 0x4;
        /// Delete recipients.
        DELETE_RCPT = 0x8;
        /// Change or delete header fields.
        CHANGE_HEADERS = 0x10;
        /// Hold the message in the MTA's quarantine.
        QUARANTINE = 0x20;
        /// Change the envelope sender (version 6).
        CHANGE_SENDER = 0x40;
        /// Add recipients with ESMTP arguments (version 6).
        ADD_RCPT_ARGS = 0x80;
        /// Ask for macros by name (version 6).
        SET_MACROS = 0x100;
    }
}

flag_set! {
    /// Which events are sent and which are answered (`SMFIP_*`).
    Protocol {
        /// Do not send the connection.
        NO_CONNECT = 0x1;
        /// Do not send HELO.
        NO_HELO = 0x2;
        /// Do not send MAIL.
        NO_MAIL = 0x4;
        /// Do not send RCPT.
        NO_RCPT = 0x8;
        /// Do not send the body.
        NO_BODY = 0x10;
        /// Do not send header fields.
        NO_HEADERS = 0x20;
        /// Do not send the end of the header.
        NO_END_OF_HEADERS = 0x40;
        /// Header fields are not answered (version 6).
        NR_HEADER = 0x80;
        /// Do not send unknown commands (version 3).
        NO_UNKNOWN = 0x100;
        /// Do not send DATA (version 4).
        NO_DATA = 0x200;
        /// The filter may answer SKIP (version 6).
        SKIP = 0x400;
        /// Send recipients too that the MTA already refused (version 6).
        RCPT_REJECTED = 0x800;
        /// The connection is not answered (version 6).
        NR_CONNECT = 0x1000;
        /// HELO is not answered (version 6).
        NR_HELO = 0x2000;
        /// MAIL is not answered (version 6).
        NR_MAIL = 0x4000;
        /// RCPT is not answered (version 6).
        NR_RCPT = 0x8000;
        /// DATA is not answered (version 6).
        NR_DATA = 0x1_0000;
        /// Unknown commands are not answered (version 6).
        NR_UNKNOWN = 0x2_0000;
        /// The end of the header is not answered (version 6).
        NR_END_OF_HEADERS = 0x4_0000;
        /// Body chunks are not answered (version 6).
        NR_BODY = 0x8_0000;
        /// Header values keep their leading blank, and none is added to new ones (version 6).
        HEADER_LEADING_SPACE = 0x10_0000;
        /// Body chunks of up to 262,143 octets (Sendmail built for it).
        BODY_256K = 0x1000_0000;
        /// Body chunks of up to 1,048,575 octets (Sendmail built for it).
        BODY_1M = 0x2000_0000;
    }
}

const ACTIONS_V1: u32 = 0x0f;
const ACTIONS_V2: u32 = 0x3f;
const ACTIONS_V6: u32 = 0x1ff;
const PROTOCOL_V1: u32 = 0x3f;
const PROTOCOL_V2: u32 = 0x7f;
const PROTOCOL_V3: u32 = 0x17f;
const PROTOCOL_V4: u32 = 0x37f;
const PROTOCOL_V6: u32 = 0x3fff_ffff;

impl Actions {
    /// Every action that exists in a protocol version.
    #[must_use]
    pub const fn known_in(version: u32) -> Self {
        Self(if version >= 6 { ACTIONS_V6 } else { ACTIONS_V2 })
    }
}

impl Protocol {
    /// Every step that exists in a protocol version, as Sendmail's and Postfix's tables have it.
    #[must_use]
    pub const fn known_in(version: u32) -> Self {
        Self(match version {
            0..=2 => PROTOCOL_V2,
            3 => PROTOCOL_V3,
            4 | 5 => PROTOCOL_V4,
            _ => PROTOCOL_V6,
        })
    }
}

/// What the MTA says in its first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The newest version the MTA speaks.
    pub version: u32,
    /// What the MTA lets a filter do.
    pub actions: Actions,
    /// Which steps the MTA can leave out or change.
    pub protocol: Protocol,
}

/// The stages for which a filter can ask for macros by name.
///
/// The end of the header and the end of the message are one choice on purpose: Sendmail uses the list for the
/// end of message only if one for the end of the header was set, and libmilter before 8.17.2 mixed the two
/// up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MacroStage {
    /// Before CONNECT.
    Connect,
    /// Before HELO.
    Helo,
    /// Before MAIL.
    Mail,
    /// Before RCPT.
    Rcpt,
    /// Before DATA.
    Data,
    /// Before the end of the header and the end of the message alike.
    EndOfMessage,
}

impl MacroStage {
    const fn wire_numbers(self) -> &'static [u32] {
        match self {
            Self::Connect => &[0],
            Self::Helo => &[1],
            Self::Mail => &[2],
            Self::Rcpt => &[3],
            Self::Data => &[4],
            Self::EndOfMessage => &[5, 6],
        }
    }
}

/// What a filter wants. The session answers with as much of it as the MTA offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    actions: Actions,
    optional_actions: Actions,
    protocol: Protocol,
    macros: Vec<(MacroStage, String)>,
}

/// A macro that cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MacroRequestError {
    /// Names are single letters or `{name}` with braces; anything else the MTA would look up in vain.
    #[error(
        "macro {0:?} cannot be asked for: write a single letter, or a name in braces such as {{mail_addr}}"
    )]
    BadName(String),
    /// More names than Sendmail keeps.
    #[error("{0} macros asked for at one stage; Sendmail keeps at most {MAX_REQUESTED_MACROS}")]
    TooMany(usize),
}

impl Wanted {
    /// Wants nothing: every event of the version, no action.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Actions without which the filter cannot do its work: an MTA that does not offer them is turned away.
    #[must_use]
    pub fn require_actions(mut self, actions: Actions) -> Self {
        self.actions |= actions;
        self
    }

    /// Actions that are used when offered.
    #[must_use]
    pub fn prefer_actions(mut self, actions: Actions) -> Self {
        self.optional_actions |= actions;
        self
    }

    /// Protocol steps to leave out or to change. Whatever the MTA cannot do, the session makes up for.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol |= protocol;
        self
    }

    /// Asks for macros at a stage instead of the MTA's default list.
    ///
    /// # Errors
    /// A name that is neither one letter nor in braces, or more names than Sendmail keeps.
    pub fn macros(mut self, stage: MacroStage, names: &[&str]) -> Result<Self, MacroRequestError> {
        if names.len() > MAX_REQUESTED_MACROS {
            return Err(MacroRequestError::TooMany(names.len()));
        }
        if let Some(bad) = names.iter().find(|name| !is_macro_name(name)) {
            return Err(MacroRequestError::BadName((*bad).to_owned()));
        }
        self.macros.retain(|(known, _)| *known != stage);
        self.macros.push((stage, names.join(" ")));
        Ok(self)
    }

    /// The protocol steps wanted.
    #[must_use]
    pub const fn wanted_protocol(&self) -> Protocol {
        self.protocol
    }

    fn all_actions(&self) -> Actions {
        let macros = if self.macros.is_empty() { Actions::NONE } else { Actions::SET_MACROS };
        self.actions | self.optional_actions | macros
    }
}

fn is_macro_name(name: &str) -> bool {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}'));
    match name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(inner) => !inner.is_empty() && plain(inner),
        None => name.len() == 1 && plain(name),
    }
}

/// The MTA cannot give what the filter needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// A version that nobody has spoken for twenty years, or garbage.
    #[error("the MTA offers milter protocol version {0}; at least {MIN_VERSION} is needed")]
    VersionTooOld(u32),
    /// The filter requires actions that were not offered.
    #[error("the MTA does not offer {0}, without which this filter cannot work; allow them in the MTA")]
    ActionsMissing(Actions),
}

/// What both sides obey from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// The protocol version.
    pub version: u32,
    /// What the filter may do.
    pub actions: Actions,
    /// Which steps are left out or changed.
    pub protocol: Protocol,
}

impl Negotiated {
    /// The longest frame a peer may send under this agreement, given the usual cap.
    #[must_use]
    pub fn frame_cap(&self, usual: u32) -> u32 {
        let body = match self.protocol {
            steps if steps.contains(Protocol::BODY_1M) => 1_048_575,
            steps if steps.contains(Protocol::BODY_256K) => 262_143,
            _ => BODY_CHUNK,
        };
        usual.max(body + FRAME_SLACK)
    }
}

/// Finds what both sides can do.
///
/// # Errors
/// The version is too old, or a required action is not offered.
pub fn negotiate(wanted: &Wanted, offer: &Offer) -> Result<Negotiated, NegotiationError> {
    if offer.version < MIN_VERSION {
        return Err(NegotiationError::VersionTooOld(offer.version));
    }
    let version = offer.version.min(MAX_VERSION);
    let actions = offered_actions(offer) & Actions::known_in(version);
    let missing = wanted.actions.without(actions);
    if !missing.is_empty() {
        return Err(NegotiationError::ActionsMissing(missing));
    }
    let protocol = one_body_size(wanted.protocol & offered_protocol(offer) & Protocol::known_in(version));
    Ok(Negotiated { version, actions: actions & wanted.all_actions(), protocol })
}

/// No bits at all is how the oldest MTAs say "the original set", and libmilter reads it so.
fn offered_actions(offer: &Offer) -> Actions {
    if offer.actions.is_empty() { Actions(ACTIONS_V1) } else { offer.actions }
}

fn offered_protocol(offer: &Offer) -> Protocol {
    if offer.protocol.is_empty() { Protocol(PROTOCOL_V1) } else { offer.protocol }
}

/// The two larger body sizes exclude each other; the larger one stays.
fn one_body_size(protocol: Protocol) -> Protocol {
    if protocol.contains(Protocol::BODY_1M) { protocol.without(Protocol::BODY_256K) } else { protocol }
}

/// Writes the answer to the offer, with the macro lists appended when the MTA takes them.
pub(crate) fn write_answer(wanted: &Wanted, agreed: &Negotiated, out: &mut Vec<u8>) {
    write_frame(out, b'O', |out| {
        for number in [agreed.version, agreed.actions.bits(), agreed.protocol.bits()] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        if agreed.actions.contains(Actions::SET_MACROS) {
            write_macro_lists(wanted, out);
        }
    });
}

fn write_macro_lists(wanted: &Wanted, out: &mut Vec<u8>) {
    for (stage, names) in &wanted.macros {
        for number in stage.wire_numbers() {
            out.extend_from_slice(&number.to_be_bytes());
            write_string(out, names.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSTFIX: Offer =
        Offer { version: 6, actions: Actions::from_bits(0x1ff), protocol: Protocol::from_bits(0x1f_ffff) };

    #[test]
    fn the_answer_never_exceeds_the_offer() {
        let wanted = Wanted::new()
            .prefer_actions(Actions::from_bits(u32::MAX))
            .protocol(Protocol::from_bits(u32::MAX));
        let agreed = negotiate(&wanted, &POSTFIX).unwrap();
        assert_eq!(agreed.actions.bits(), 0x1ff);
        assert_eq!(agreed.protocol.bits(), 0x1f_ffff);
        assert_eq!(agreed.version, 6);
    }

    #[test]
    fn a_newer_mta_is_answered_with_our_version_and_an_older_with_its_own() {
        for (offered, answered) in [(2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 6), (u32::MAX, 6)] {
            let agreed = negotiate(&Wanted::new(), &Offer { version: offered, ..POSTFIX }).unwrap();
            assert_eq!(agreed.version, answered);
        }
        let too_old = negotiate(&Wanted::new(), &Offer { version: 1, ..POSTFIX });
        assert_eq!(too_old, Err(NegotiationError::VersionTooOld(1)));
    }

    #[test]
    fn old_versions_know_fewer_steps() {
        let wanted = Wanted::new().protocol(Protocol::from_bits(0x1f_ffff));
        for (version, steps) in [(2, 0x7f), (3, 0x17f), (4, 0x37f), (5, 0x37f), (6, 0x1f_ffff)] {
            let agreed = negotiate(&wanted, &Offer { version, ..POSTFIX }).unwrap();
            assert_eq!(agreed.protocol.bits(), steps, "version {version}");
        }
    }

    #[test]
    fn a_required_action_that_is_not_offered_turns_the_mta_away() {
        let wanted = Wanted::new().require_actions(Actions::ADD_RCPT | Actions::CHANGE_SENDER);
        let old = Offer { version: 2, actions: Actions::from_bits(0x3f), ..POSTFIX };
        assert_eq!(negotiate(&wanted, &old), Err(NegotiationError::ActionsMissing(Actions::CHANGE_SENDER)));
    }

    #[test]
    fn empty_masks_mean_the_original_set() {
        let wanted = Wanted::new()
            .require_actions(Actions::ADD_HEADERS | Actions::DELETE_RCPT)
            .protocol(Protocol::NO_BODY | Protocol::NO_END_OF_HEADERS);
        let bare = Offer { version: 2, actions: Actions::NONE, protocol: Protocol::NONE };
        let agreed = negotiate(&wanted, &bare).unwrap();
        assert_eq!(agreed.protocol, Protocol::NO_BODY);
    }

    #[test]
    fn macro_lists_follow_the_answer_and_the_two_ends_are_identical() {
        let wanted = Wanted::new().macros(MacroStage::EndOfMessage, &["i", "{msg_id}"]).unwrap();
        let mut out = Vec::new();
        write_answer(&wanted, &negotiate(&wanted, &POSTFIX).unwrap(), &mut out);
        assert_eq!(&out[5..17], [0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 0, 0]);
        assert_eq!(&out[17..], b"\0\0\0\x05i {msg_id}\0\0\0\0\x06i {msg_id}\0");
    }

    #[test]
    fn macro_lists_stay_home_when_not_offered() {
        let wanted = Wanted::new().macros(MacroStage::Mail, &["i"]).unwrap();
        let offer = Offer { version: 4, ..POSTFIX };
        let mut out = Vec::new();
        write_answer(&wanted, &negotiate(&wanted, &offer).unwrap(), &mut out);
        assert_eq!(out.len(), 17);
    }

    #[test]
    fn macro_names_are_checked() {
        for bad in ["mail_addr", "", "{}", "{a b}", "{a", "i j", "{a{b}}"] {
            assert!(Wanted::new().macros(MacroStage::Mail, &[bad]).is_err(), "{bad:?}");
        }
        assert!(Wanted::new().macros(MacroStage::Mail, &["i"; 51]).is_err());
    }

    #[test]
    fn a_larger_body_size_raises_the_frame_cap() {
        let wanted = Wanted::new().protocol(Protocol::BODY_1M | Protocol::BODY_256K);
        let offer = Offer { protocol: Protocol::from_bits(0x701f_ffff), ..POSTFIX };
        let agreed = negotiate(&wanted, &offer).unwrap();
        assert_eq!(agreed.protocol, Protocol::BODY_1M);
        assert_eq!(agreed.frame_cap(10), 1_048_575 + FRAME_SLACK);
    }
}
