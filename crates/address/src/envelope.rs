//! The SMTP envelope: raw MAIL and RCPT arguments, read as the MTA reads them.
//!
//! The MTA's own reading arrives as the macros `{mail_addr}` and `{rcpt_addr}`. It is the one that counts,
//! but Postfix lower-cases it, Sendmail may leave out the domain, and some configurations do not send it: so
//! the argument is read here too, and where the two disagree about a sender both count.

use crate::readings::Readings;
use crate::{Address, Domain, tokens, views};

/// The longest MAIL argument whose odd readings are sought. RFC 5321 §4.5.3.1.3 bounds a path at 256 octets,
/// Postfix a command line at 2,048.
const MAX_PATH: usize = 4_096;

/// The envelope sender of one message: the MAIL argument and every address it can mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeSender {
    /// Whether the MTA treats it as the null sender `<>`. It may still have readings when it was written
    /// oddly: Postfix takes `<(any@scope.example>` for the null sender.
    pub is_null: bool,
    /// Every address it can be read as.
    pub readings: Vec<Address>,
    /// Not every reading is listed: fail closed.
    pub truncated: bool,
    /// The argument as received.
    pub raw: Box<[u8]>,
}

/// One envelope recipient: the RCPT argument, the address it means, and how to delete it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeRecipient {
    /// The address the MTA will use: route stripped, trailing dot removed, quotes resolved, case kept.
    pub address: Option<Address>,
    /// The local part when the argument has no domain, as in `<postmaster>`; `address` is then where the MTA
    /// sends it, if it told us.
    pub bare_local: Option<String>,
    /// The spelling that deletes this recipient: the argument without its angle brackets and leading source
    /// route, nothing else changed. Postfix compares case-sensitively and does nothing, silently, on a
    /// mismatch.
    pub delete_as: Vec<u8>,
}

impl EnvelopeSender {
    /// Reads the MAIL argument beside the MTA's own reading, the `{mail_addr}` macro.
    #[must_use]
    pub fn read(raw: &[u8], mail_addr: Option<&[u8]>) -> Self {
        let argument = without_brackets(raw);
        let is_null = mail_addr.map_or(argument.is_empty(), |macro_text| macro_text.trim_ascii().is_empty());
        let mut readings = Readings::new();
        if raw.len() > MAX_PATH || mail_addr.is_some_and(|text| text.len() > MAX_PATH) {
            readings.mark_truncated();
        } else {
            collect_sender(argument, mail_addr, &mut readings);
        }
        let (readings, truncated) = readings.finish();
        Self { is_null, readings, truncated, raw: raw.into() }
    }
}

fn collect_sender(argument: &[u8], mail_addr: Option<&[u8]>, readings: &mut Readings) {
    let own = mta_reading(argument);
    let differing = mail_addr.filter(|text| !is_echo(text, argument));
    let theirs = differing.map(mta_reading);
    let found = [Some(&own), theirs.as_ref()].into_iter().flatten();
    // Ours first: equal addresses are kept once, in the case that the client wrote.
    for address in found.filter_map(|reading| reading.address.as_ref()) {
        readings.add(address.clone());
        tokens::collect_rerouted(address.local(), readings);
    }
    let agreed = theirs.is_none_or(|theirs| own.address == theirs.address);
    if !(agreed && own.is_plain) {
        views::collect(argument, readings);
        views::collect(mail_addr.unwrap_or_default(), readings);
    }
}

/// Whether the MTA read what stands there, which differs in case at most: it then means the same address.
fn is_echo(mta: &[u8], argument: &[u8]) -> bool {
    mta.eq_ignore_ascii_case(argument)
}

impl EnvelopeRecipient {
    /// Reads the RCPT argument beside the MTA's own reading, the `{rcpt_addr}` macro.
    #[must_use]
    pub fn read(raw: &[u8], rcpt_addr: Option<&[u8]>) -> Self {
        let delete_as = without_route(without_brackets_only(raw)).to_vec();
        let argument = without_brackets(raw);
        let own = mta_reading(argument).address;
        let bare_local = if own.is_none() { bare_local(&delete_as) } else { None };
        let differing = rcpt_addr.filter(|text| !is_echo(text, argument));
        Self { address: preferred(own, differing), bare_local, delete_as }
    }
}

/// The MTA's reading wins where it is another address (a percent hack it resolved, a domain it added), ours
/// where it differs in case only. For a recipient that Postfix itself refuses the macro holds the refusal's
/// text, which is no plain address.
fn preferred(own: Option<Address>, rcpt_addr: Option<&[u8]>) -> Option<Address> {
    let theirs = rcpt_addr.map(mta_reading).filter(|reading| reading.is_plain);
    let theirs = theirs.and_then(|reading| reading.address);
    match (own, theirs) {
        (Some(own), Some(theirs)) if own == theirs => Some(own),
        (own, theirs) => theirs.or(own),
    }
}

fn bare_local(argument: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(argument).ok()?;
    let pieces = Pieces::of(text);
    (pieces.last_at.is_none() && !pieces.content.is_empty()).then_some(pieces.content)
}

/// What the MTA reads in an argument.
#[derive(Debug, PartialEq, Eq)]
struct MtaReading {
    address: Option<Address>,
    /// Whether it is written without anything readers could disagree about: an address, or nothing.
    is_plain: bool,
}

/// An address as Postfix reads it: the last `@` outside quotes separates, comments and unquoted white space
/// do not count, quotes and backslashes are resolved, a trailing dot is dropped.
fn mta_reading(argument: &[u8]) -> MtaReading {
    let Ok(text) = std::str::from_utf8(without_route(argument)) else {
        return MtaReading { address: None, is_plain: false };
    };
    match Address::parse(text) {
        Ok(address) => MtaReading { address: Some(address), is_plain: true },
        Err(_) => MtaReading { address: resolved(text), is_plain: argument.is_empty() },
    }
}

/// The same of what is written oddly.
fn resolved(text: &str) -> Option<Address> {
    let pieces = Pieces::of(text);
    let (local, domain) = pieces.content.split_at(pieces.last_at?);
    Address::from_parts(local, Domain::parse(&domain[1..]).ok()?)
}

/// An argument with its quoting and comments resolved.
#[derive(Default)]
struct Pieces {
    content: String,
    /// Where the last `@` outside quotes stands in `content`.
    last_at: Option<usize>,
}

impl Pieces {
    fn of(text: &str) -> Self {
        let mut pieces = Self::default();
        let (mut quoted, mut depth) = (false, 0_usize);
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => pieces.push_literal(chars.next(), depth),
                '"' if depth == 0 => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted && depth > 0 => depth -= 1,
                _ if depth > 0 => {}
                _ if quoted => pieces.content.push(c),
                _ => pieces.push_unquoted(c),
            }
        }
        pieces
    }

    fn push_literal(&mut self, c: Option<char>, comment_depth: usize) {
        if comment_depth == 0 {
            self.content.extend(c);
        }
    }

    fn push_unquoted(&mut self, c: char) {
        if c == '@' {
            self.last_at = Some(self.content.len());
        }
        if !matches!(c, ' ' | '\t') {
            self.content.push(c);
        }
    }
}

fn without_brackets(raw: &[u8]) -> &[u8] {
    without_brackets_only(raw.trim_ascii()).trim_ascii()
}

fn without_brackets_only(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_prefix(b"<").unwrap_or(raw);
    raw.strip_suffix(b">").unwrap_or(raw)
}

/// RFC 5321 §4.1.2 `A-d-l ":"`, to be ignored (appendix C).
fn without_route(argument: &[u8]) -> &[u8] {
    if !argument.starts_with(b"@") {
        return argument;
    }
    match argument.iter().position(|&b| matches!(b, b':' | b'"')) {
        Some(at) if argument[at] == b':' => &argument[at + 1..],
        _ => argument,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Reading strictly first is a short cut and no other reading.
        #[test]
        fn a_strict_address_is_what_the_mta_reads(
            local in "[a-zA-Z0-9!%+é_-]{1,6}(\\.[a-z]{1,3}){0,2}|\"([a-z @(.,é]|\\\\[\"\\\\a]){0,6}\"",
            domain in "[a-zA-Z0-9é_-]{1,6}(\\.[a-z0-9]{1,4}){0,2}\\.?",
        ) {
            let text = format!("{local}@{domain}");
            if let Ok(strict) = Address::parse(&text) {
                let read = resolved(&text);
                prop_assert_eq!(read.as_ref().map(Address::local), Some(strict.local()), "in its own case");
                prop_assert_eq!(read, Some(strict));
            }
        }
    }
}
