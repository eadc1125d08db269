//! What is known when a decision is asked for.

use std::net::IpAddr;
use std::sync::LazyLock;

use mailwarden_address::{
    Address, EnvelopeRecipient, EnvelopeSender, HeaderReading, Verdict, read_address_header,
};

use crate::decision::{ROUTE_HEADER, TAG_HEADER};
use crate::memory::{Forgetful, Memory};
use crate::sender_logins::SenderLogins;

/// How a message came to the MTA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Path {
    /// Over SMTP.
    #[default]
    Smtp,
    /// Through sendmail(1), or made by the MTA itself: no recipient can be refused alone.
    Local,
}

/// The session a message comes in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// How it came.
    pub path: Path,
    /// The client's address, if it has one.
    pub client: Option<IpAddr>,
    /// The client's name as the MTA knows it.
    pub client_name: String,
    /// The authenticated login.
    pub login: Option<String>,
    /// Whether the client is one of our own hosts, whose word about earlier steps is believed.
    pub is_own_host: bool,
}

impl Session {
    /// Whether somebody of ours sends: with a login, or on this very machine.
    pub fn is_ours(&self) -> bool {
        self.login.is_some() || self.path == Path::Local
    }
}

/// Everything a decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The session.
    pub session: &'a Session,
    /// The envelope sender; judged at the first recipient, as Postfix's `smtpd_delay_reject` does.
    pub envelope_sender: &'a EnvelopeSender,
    /// What is to be decided.
    pub moment: Moment<'a>,
    /// What is remembered from earlier mail.
    pub memory: &'a dyn Memory,
    /// Which login may use which sender, beside the policy.
    pub sender_logins: &'a SenderLogins,
}

impl<'a> Facts<'a> {
    /// Facts without memory and without a table of logins.
    pub fn new(session: &'a Session, envelope_sender: &'a EnvelopeSender, moment: Moment<'a>) -> Self {
        static NO_TABLE: LazyLock<SenderLogins> = LazyLock::new(SenderLogins::default);
        Self { session, envelope_sender, moment, memory: &Forgetful, sender_logins: &NO_TABLE }
    }
}

/// What is to be decided.
#[derive(Debug, Clone, Copy)]
pub enum Moment<'a> {
    /// Whether one recipient is taken.
    Recipient(&'a EnvelopeRecipient),
    /// Whether the message is taken, and where it goes.
    Message {
        /// The recipients taken so far.
        recipients: &'a [EnvelopeRecipient],
        /// The headers that matter.
        headers: &'a MessageHeaders,
    },
}

/// Header fields from which a mail reader may take the author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressHeader {
    /// RFC 5322 §3.6.2.
    From,
    /// RFC 5322 §3.6.2.
    Sender,
    /// RFC 5322 §3.6.6.
    ResentFrom,
}

impl AddressHeader {
    /// The field name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::From => "From",
            Self::Sender => "Sender",
            Self::ResentFrom => "Resent-From",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        [Self::From, Self::Sender, Self::ResentFrom]
            .into_iter()
            .find(|header| name.trim_ascii().eq_ignore_ascii_case(header.as_str().as_bytes()))
    }
}

/// The headers of one message that matter to the rules, read as they arrive; nothing else is kept.
#[derive(Debug, Clone, Default)]
pub struct MessageHeaders {
    readings: Vec<(AddressHeader, HeaderReading)>,
    /// The first From as it was written, where its display name may show an address.
    shown: Option<Box<[u8]>>,
    redirected_from: Option<Address>,
    is_report: bool,
    seen: usize,
    overflowed: bool,
    foreign_routes: u32,
    foreign_tags: u32,
}

impl MessageHeaders {
    /// More address headers than this in one message are not read; the message is then refused as ambiguous.
    pub const MAX_ADDRESS_HEADERS: usize = 64;

    /// Takes one header field as the milter protocol shows it.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.seen += 1;
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        // Most fields of a message begin with a letter that none of ours begins with.
        match name.trim_ascii_start().first().map(u8::to_ascii_lowercase) {
            Some(b'f' | b's' | b'r') => {
                if let Some(header) = AddressHeader::named(name) {
                    self.push_reading(header, value);
                }
            }
            Some(b'm') if is(ROUTE_HEADER) => self.foreign_routes = self.foreign_routes.saturating_add(1),
            Some(b'm') if is(TAG_HEADER) => self.foreign_tags = self.foreign_tags.saturating_add(1),
            Some(b'c') if is("Content-Type") => self.is_report |= is_report(value),
            Some(b'x') => self.push_extension(name, value),
            _ => {}
        }
    }

    fn push_extension(&mut self, name: &[u8], value: &[u8]) {
        if let Some(from) = disguised_from(name, value) {
            self.push_reading(AddressHeader::From, from);
        } else if name.eq_ignore_ascii_case(b"X-Sieve-Redirected-From") {
            let address = std::str::from_utf8(value).ok().and_then(|text| Address::parse(text.trim()).ok());
            // The topmost is the last step.
            self.redirected_from = self.redirected_from.take().or(address);
        } else if name.eq_ignore_ascii_case(b"X-Failed-Recipients") {
            self.is_report = true;
        }
    }

    /// The headers of a whole message, cut as Postfix cuts them for a milter: the block ends at the first line that
    /// is no header field, and what follows is body to everybody downstream.
    pub fn of_message(message: &[u8]) -> Self {
        let mut headers = Self::default();
        let mut field: Option<(Vec<u8>, Vec<u8>)> = None;
        for line in message.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match (&mut field, field_start(line)) {
                (Some((_, value)), _) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                    value.push(b'\n');
                    value.extend_from_slice(line);
                }
                (_, Some((name, value))) => {
                    headers.push_whole(field.replace((name.to_vec(), value.to_vec())));
                }
                _ => break,
            }
        }
        headers.push_whole(field);
        headers
    }

    fn push_whole(&mut self, field: Option<(Vec<u8>, Vec<u8>)>) {
        if let Some((name, value)) = field {
            self.push(&name, value.trim_ascii());
        }
    }

    fn push_reading(&mut self, header: AddressHeader, value: &[u8]) {
        if self.readings.len() >= Self::MAX_ADDRESS_HEADERS {
            self.overflowed = true;
            return;
        }
        if header == AddressHeader::From && self.shown.is_none() && may_show_an_address(value) {
            self.shown = Some(value.into());
        }
        self.readings.push((header, read_address_header(header.as_str(), value)));
    }

    /// Every address header with its readings, in order.
    pub fn readings(&self) -> &[(AddressHeader, HeaderReading)] {
        &self.readings
    }

    /// The readings of one field, in order.
    pub fn of(&self, wanted: AddressHeader) -> impl Iterator<Item = &HeaderReading> {
        self.readings.iter().filter(move |(header, _)| *header == wanted).map(|(_, reading)| reading)
    }

    /// Whether no From field says anything.
    pub fn is_without_author(&self) -> bool {
        self.of(AddressHeader::From).all(|reading| reading.verdict == Verdict::Empty)
    }

    /// The first From as it was written, where its display name may show an address.
    pub fn shown(&self) -> Option<&[u8]> {
        self.shown.as_deref()
    }

    /// The mailbox whose Sieve script redirected the message, as the message says.
    pub fn redirected_from(&self) -> Option<&Address> {
        self.redirected_from.as_ref()
    }

    /// Whether it is a report about a message sent earlier: RFC 6522 says so in its type, Exim in a field of its
    /// own, and everybody else by the author.
    pub fn is_bounce(&self) -> bool {
        let is_daemon = |address: &Address| {
            ["mailer-daemon", "postmaster"].iter().any(|name| address.local().eq_ignore_ascii_case(name))
        };
        let by_daemon = |reading: &HeaderReading| reading.readings.iter().any(is_daemon);
        // `MAILER-DAEMON` without a domain has no reading, and nobody but a mail server writes it so.
        let nameless = |reading: &HeaderReading| {
            reading.readings.is_empty() && matches!(reading.verdict, Verdict::Ambiguous { .. })
        };
        self.is_report || self.of(AddressHeader::From).any(|reading| by_daemon(reading) || nameless(reading))
    }

    /// Whether the message had more address headers than are read.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether no header field at all was shown.
    pub fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// How many fields named [`ROUTE_HEADER`] the message brought along.
    pub fn foreign_routes(&self) -> u32 {
        self.foreign_routes
    }

    /// How many fields named [`TAG_HEADER`] the message brought along.
    pub fn foreign_tags(&self) -> u32 {
        self.foreign_tags
    }
}

/// A display name can show an address only where there is a second `@`, or something that decodes to one.
fn may_show_an_address(value: &[u8]) -> bool {
    let marks = value.iter().filter(|byte| **byte == b'@').count();
    marks > 1 || !value.is_ascii() || value.windows(2).any(|pair| pair == b"=?")
}

/// RFC 6522 multipart/report about delivery or display.
fn is_report(value: &[u8]) -> bool {
    const TYPE: &[u8] = b"multipart/report";
    let value = value.trim_ascii_start();
    if !value.get(..TYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(TYPE)) {
        return false;
    }
    let has = |wanted: &[u8]| value.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted));
    has(b"delivery-status") || has(b"disposition-notification")
}

/// Name and value of the field that a line begins: RFC 5322 §3.6.8, with the white space before the colon that
/// every MTA tolerates.
fn field_start(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = line[..colon].trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then(|| (name, &line[colon + 1..]))
}

/// Postfix 3.7 turns a first line `From : x` or `From x` into `X-Mailbox-Line: From : x`; readers downstream that
/// undo such lines would see a From.
fn disguised_from<'v>(name: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
    let value = value.trim_ascii_start();
    let is_from = value.len() >= 4 && value[..4].eq_ignore_ascii_case(b"From");
    if !name.eq_ignore_ascii_case(b"X-Mailbox-Line") || !is_from {
        return None;
    }
    let rest = value[4..].trim_ascii_start();
    Some(rest.strip_prefix(b":").unwrap_or(rest))
}
