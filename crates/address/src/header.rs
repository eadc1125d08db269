//! Address headers: From, Sender, Resent-From.
//!
//! A well-formed single mailbox has one reading, its addr-spec, whatever its display name looks like:
//! `"ops@corp.example via List" <list@lists.example>` comes from the list. Everything that is malformed, that
//! known readers read differently, or that names several mailboxes, has every reading that any of them could make
//! of it.

use crate::encoded_word::decode_leniently;
use crate::mailbox_list::{self, MailboxList};
pub use crate::readings::MAX_READINGS;
use crate::readings::Readings;
use crate::{Address, other_reader, plain, tokens, views};

/// The longest header value that is parsed. Postfix shows a milter at most 60,000 bytes of a header, so a
/// longer one has been cut or comes from elsewhere.
pub const MAX_HEADER_VALUE: usize = 60_000;
/// The most lexical tokens that the strict reader takes, white space included.
pub const MAX_TOKENS: usize = 1_000;

/// What an address header says, and everything it could be taken to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderReading {
    /// The strict judgement.
    pub verdict: Verdict,
    /// Every address some reader could show or act on, each once; for one well-formed mailbox its addr-spec.
    pub readings: Vec<Address>,
    /// Not every reading is listed ([`MAX_READINGS`], [`MAX_HEADER_VALUE`] or the work spent on one header):
    /// what is missing may be anything, so fail closed.
    pub truncated: bool,
}

/// The strict judgement of an address header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// One well-formed mailbox.
    One(Address),
    /// A well-formed list, or a group with members.
    Many(Vec<Address>),
    /// Not well-formed, or read differently by different readers.
    Ambiguous {
        /// The first thing that made it so.
        reason: AmbiguityReason,
    },
    /// Nothing but white space.
    Empty,
}

/// What made a header ambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AmbiguityReason {
    /// More than [`MAX_HEADER_VALUE`] bytes or [`MAX_TOKENS`] tokens.
    #[error("it is too long")]
    TooLong,
    /// It does not follow the grammar of RFC 5322.
    #[error("it does not follow RFC 5322")]
    Malformed,
    /// Raw bytes that are no UTF-8 (RFC 6532).
    #[error("it holds bytes that are not UTF-8")]
    InvalidUtf8,
    /// NUL, a lone line break, another control character or a direction override, raw or encoded.
    #[error("it holds a control character")]
    ControlCharacter,
    /// A zero-width, exotic-space or direction character.
    #[error("it holds an invisible character")]
    InvisibleCharacter,
    /// A comment, which some readers take for text, anywhere but behind a sole mailbox.
    #[error("it holds a comment")]
    Comment,
    /// A source route, obsolete since RFC 2822.
    #[error("it holds a source route")]
    Route,
    /// `bob@[192.0.2.1]`, or a stray square bracket.
    #[error("it holds an address literal")]
    DomainLiteral,
    /// White space or mixed quoting inside the address.
    #[error("its address is written in an obsolete way")]
    Obsolete,
    /// An encoded word where the address stands.
    #[error("an encoded word stands in its address")]
    EncodedWordInAddress,
    /// An encoded word that is broken or of an unknown charset.
    #[error("an encoded word is malformed")]
    MalformedEncodedWord,
    /// A mailbox without `@`, such as `MAILER-DAEMON`.
    #[error("an address has no domain")]
    NoDomain,
    /// What follows the `@` is no domain name.
    #[error("an address has no valid domain")]
    InvalidDomain,
    /// A group without members, which shows its name only.
    #[error("it is a group without members")]
    EmptyGroup,
    /// Several mailboxes or a group in a header that takes one (RFC 5322 §3.6.2 Sender).
    #[error("it names several mailboxes where one belongs")]
    NotSingle,
    /// Our strict reader and a forgiving one found different addresses.
    #[error("mail readers disagree about its address")]
    ReadersDisagree,
}

impl HeaderReading {
    /// The address that all readers agree on, however oddly it is written.
    ///
    /// `bob @ host.example` is obsolete by grammar, yet nobody can read it as anyone else.
    #[must_use]
    pub fn sole_reading(&self) -> Option<&Address> {
        match self.readings.as_slice() {
            [only] if !self.truncated => Some(only),
            _ => None,
        }
    }

    pub(crate) fn one(address: Address) -> Self {
        let readings = vec![address.clone()];
        Self { verdict: Verdict::One(address), readings, truncated: false }
    }

    /// A list is shown by its first mailbox, its last, or its display names, depending on the reader.
    fn several(addresses: Vec<Address>, value: &[u8]) -> Self {
        let mut readings = Readings::new();
        addresses.iter().for_each(|address| readings.add(address.clone()));
        collect_readings(value, &mut readings);
        let (readings, truncated) = readings.finish();
        Self { verdict: Verdict::Many(addresses), readings, truncated }
    }

    fn ambiguous(reason: AmbiguityReason, value: &[u8]) -> Self {
        let (readings, truncated) = every_reading(value);
        Self { verdict: Verdict::Ambiguous { reason }, readings, truncated }
    }
}

/// Reads the value of the address header `name`, folded or not, as the milter received it.
#[must_use]
pub fn read_address_header(name: &str, value: &[u8]) -> HeaderReading {
    if value.len() > MAX_HEADER_VALUE {
        return HeaderReading::ambiguous(AmbiguityReason::TooLong, value);
    }
    if value.iter().all(u8::is_ascii_whitespace) {
        return HeaderReading { verdict: Verdict::Empty, readings: Vec::new(), truncated: false };
    }
    match plain::mailbox(value) {
        Some(address) => HeaderReading::one(address),
        None => read_thoroughly(name, value),
    }
}

/// Reads any value, with a second reader beside ours.
pub(crate) fn read_thoroughly(name: &str, value: &[u8]) -> HeaderReading {
    match strict_verdict(name, value) {
        Ok(Verdict::One(address)) => HeaderReading::one(address),
        Ok(Verdict::Many(addresses)) => HeaderReading::several(addresses, value),
        Ok(_) => HeaderReading::ambiguous(AmbiguityReason::Malformed, value),
        Err(reason) => HeaderReading::ambiguous(reason, value),
    }
}

fn strict_verdict(name: &str, value: &[u8]) -> Result<Verdict, AmbiguityReason> {
    let text = std::str::from_utf8(value).map_err(|_| AmbiguityReason::InvalidUtf8)?;
    let text = views::unfold(text);
    let list = mailbox_list::parse(&text)?;
    let is_single = list.mailboxes.len() == 1 && list.groups.is_empty();
    if takes_one_mailbox(name) && !is_single {
        return Err(AmbiguityReason::NotSingle);
    }
    let addresses: Vec<Address> = list.mailboxes.into_iter().map(|mailbox| mailbox.address).collect();
    if !other_reader::agrees(&other_reader::addresses(value), &addresses) {
        return Err(AmbiguityReason::ReadersDisagree);
    }
    Ok(match <[Address; 1]>::try_from(addresses) {
        Ok([only]) if is_single => Verdict::One(only),
        Ok(member) => Verdict::Many(member.into()),
        Err(addresses) => Verdict::Many(addresses),
    })
}

/// RFC 5322 §3.6.2 and §3.6.6: `sender` and `resent-sender` are one mailbox, the others are lists.
fn takes_one_mailbox(name: &str) -> bool {
    let name = name.trim();
    name.eq_ignore_ascii_case("Sender") || name.eq_ignore_ascii_case("Resent-Sender")
}

/// Every address that any plausible reader could extract, and whether some may be missing.
fn every_reading(value: &[u8]) -> (Vec<Address>, bool) {
    let mut readings = Readings::new();
    if value.len() > MAX_HEADER_VALUE {
        // Readers show the beginning, and the address tends to stand at the end.
        collect_readings(&value[..MAX_HEADER_VALUE / 2], &mut readings);
        collect_readings(&value[value.len() - MAX_HEADER_VALUE / 2..], &mut readings);
        readings.mark_truncated();
    } else {
        collect_readings(value, &mut readings);
    }
    readings.finish()
}

fn collect_readings(value: &[u8], readings: &mut Readings) {
    views::collect(value, readings);
    for text in other_reader::addresses(value) {
        tokens::collect_whole(&text, readings);
        tokens::collect(&text, readings);
    }
}

/// The addresses that the display name of a header shows, after decoding: what a reader sees first, and what
/// some readers show instead of the address.
///
/// In a header that is not well-formed everything outside the last `<..>` counts as shown. At most
/// [`MAX_READINGS`] are listed, and none for a value longer than [`MAX_HEADER_VALUE`].
#[must_use]
pub fn display_name_addresses(value: &[u8]) -> Vec<Address> {
    if value.len() > MAX_HEADER_VALUE {
        return Vec::new();
    }
    let text = views::unfold(&String::from_utf8_lossy(value));
    let mut readings = Readings::new();
    for shown in shown_texts(&text) {
        views::collect(shown.as_bytes(), &mut readings);
    }
    readings.finish().0
}

/// The address that the display name of a sole mailbox is, whole: `"ops@corp.example" <x@evil.example>`. A name
/// that says more than an address is none.
#[must_use]
pub fn display_name_as_address(value: &[u8]) -> Option<Address> {
    if value.len() > MAX_HEADER_VALUE {
        return None;
    }
    let text = views::unfold(std::str::from_utf8(value).ok()?);
    let MailboxList { mailboxes, groups, comment } = mailbox_list::parse(&text).ok()?;
    let [mailbox] = mailboxes.as_slice() else { return None };
    let shown = match mailbox.display {
        "" if groups.is_empty() => comment?,
        display => display,
    };
    let decoded = decode_leniently(shown);
    let is_decoration =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '(' | ')' | '[' | ']');
    Address::parse(decoded.as_deref().unwrap_or(shown).trim_matches(is_decoration)).ok()
}

fn shown_texts(text: &str) -> Vec<&str> {
    match mailbox_list::parse(text) {
        Ok(MailboxList { mailboxes, groups, comment }) => {
            let displays = mailboxes.into_iter().map(|mailbox| mailbox.display);
            groups.into_iter().chain(displays).chain(comment).collect()
        }
        Err(_) => outside_angles(text),
    }
}

/// What stands outside the last `<..>`; without one, whatever comments show.
fn outside_angles(text: &str) -> Vec<&str> {
    match text.rfind('<') {
        Some(open) => {
            let after = text[open..].find('>').map_or("", |close| &text[open + close + 1..]);
            vec![&text[..open], after]
        }
        None => text.split_once('(').map(|(_, comment)| comment).into_iter().collect(),
    }
}
