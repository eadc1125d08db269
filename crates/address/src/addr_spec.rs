//! One mailbox address: a local part and a domain.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::characters::{is_ascii_atext, is_atext, is_unprintable};
use crate::domain::{Domain, DomainError};

/// Longest local part in bytes. RFC 5321 §4.5.3.1.1 says 64, but bounce addresses (VERP, SRS) are longer in
/// practice and MTAs carry them; §4.5.3.1.3 bounds the whole path at 256.
pub const MAX_LOCAL_PART: usize = 256;

/// A local part of this length or less is folded without allocating; longer ones are rare.
const SHORT_LOCAL: usize = 64;

/// A mailbox address. The local part is kept as its content, without quotes and in its own case.
///
/// Equality, order and hash follow [`Address::key`]: two spellings that differ only in case are one address,
/// because that is how every mail system we stand beside delivers.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    local: Box<str>,
    domain: Domain,
}

/// Why a text is not one address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@` outside quotes.
    #[error("the address has no @: write local@domain")]
    NoDomain,
    /// Nothing before the `@`.
    #[error("the address has nothing before the @")]
    NoLocalPart,
    /// Longer than [`MAX_LOCAL_PART`].
    #[error("the part before the @ is longer than {MAX_LOCAL_PART} bytes")]
    LocalPartTooLong,
    /// A dot at either end, or two in a row.
    #[error("the part before the @ has a surplus dot: quote it or remove the dot")]
    Dot,
    /// A character that needs quotes, or that no address can hold.
    #[error("{0:?} cannot stand in the part before the @ as written")]
    Character(char),
    /// A quoted local part that does not end, or has something after its end.
    #[error("the quoted part before the @ does not end where it should")]
    Quotes,
    /// The part after the `@`.
    #[error("the part after the @: {0}")]
    Domain(#[from] DomainError),
}

impl Address {
    /// Reads an addr-spec strictly: RFC 5321 `Mailbox` without address literals, RFC 6531 for UTF-8.
    ///
    /// # Errors
    /// When the text is anything but one address; see [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Self::parse_with(text, Domain::parse)
    }

    /// The same, where whoever reads many addresses of few domains has a way of their own to read those.
    ///
    /// # Errors
    /// As [`Self::parse`], and those of `read_domain`.
    pub fn parse_with(
        text: &str,
        read_domain: impl FnOnce(&str) -> Result<Domain, DomainError>,
    ) -> Result<Self, AddressError> {
        let (local, domain) = if text.starts_with('"') { split_quoted(text)? } else { split_plain(text)? };
        if local.len() > MAX_LOCAL_PART {
            return Err(AddressError::LocalPartTooLong);
        }
        Ok(Self { local, domain: read_domain(domain)? })
    }

    /// An address from parts that were read elsewhere. None when the local part is too long or holds a
    /// character that must never reach a log or a header.
    pub(crate) fn from_parts(local: &str, domain: Domain) -> Option<Self> {
        let printable = local.chars().all(|c| !is_unprintable(c));
        (printable && local.len() <= MAX_LOCAL_PART).then(|| Self { local: local.into(), domain })
    }

    /// The content of the local part, unquoted, in its own case.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The same text as by `Display`, without the machinery of formatting: for what is written for every message.
    #[must_use]
    pub fn to_text(&self) -> String {
        [&*spelled(&self.local), "@", self.domain.as_str()].concat()
    }

    /// The case-folded lookup key `local@domain`; the last `@` separates.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = String::with_capacity(self.local.len() + 1 + self.domain.as_str().len());
        self.with_folded_local(|local| key.push_str(str::from_utf8(local).unwrap_or(&self.local)));
        key.push('@');
        key.push_str(self.domain.as_str());
        key
    }

    /// Shows the case-folded local part, as it stands in [`Self::key`], for tables that are asked for every message:
    /// it is only built where it is not written so already.
    pub fn with_folded_local<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        let local = self.local.as_bytes();
        if !local.iter().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
            return look(local);
        }
        if !local.is_ascii() || local.len() > SHORT_LOCAL {
            return look(folded(&self.local).collect::<String>().as_bytes());
        }
        let mut folded = [0_u8; SHORT_LOCAL];
        let folded = &mut folded[..local.len()];
        folded.copy_from_slice(local);
        folded.make_ascii_lowercase();
        look(folded)
    }
}

fn split_plain(text: &str) -> Result<(Box<str>, &str), AddressError> {
    let (local, domain) = text.split_once('@').ok_or(AddressError::NoDomain)?;
    if local.is_empty() {
        return Err(AddressError::NoLocalPart);
    }
    if is_ascii_dot_atom(local.as_bytes()) {
        return Ok((local.into(), domain));
    }
    if let Some(bad) = local.chars().find(|&c| c != '.' && !is_atext(c)) {
        return Err(AddressError::Character(bad));
    }
    if local.split('.').any(str::is_empty) {
        return Err(AddressError::Dot);
    }
    Ok((local.into(), domain))
}

/// RFC 5322 §3.2.3 `dot-atom-text`, which is nearly every local part there is.
pub(crate) fn is_ascii_dot_atom(local: &[u8]) -> bool {
    local
        .split(|byte| *byte == b'.')
        .all(|atom| !atom.is_empty() && atom.iter().all(|byte| is_ascii_atext(*byte)))
}

/// RFC 5321 §4.1.2: `Quoted-string "@" Domain`, the quotes and backslashes resolved.
fn split_quoted(text: &str) -> Result<(Box<str>, &str), AddressError> {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return after_quotes(content, &text[at + 1..]),
            '\\' => content.push(chars.next().ok_or(AddressError::Quotes)?.1),
            _ => content.push(c),
        }
    }
    Err(AddressError::Quotes)
}

fn after_quotes(content: String, rest: &str) -> Result<(Box<str>, &str), AddressError> {
    if let Some(bad) = content.chars().find(|&c| is_unprintable(c)) {
        return Err(AddressError::Character(bad));
    }
    let domain = rest.strip_prefix('@').ok_or(AddressError::Quotes)?;
    Ok((content.into(), domain))
}

/// Case folding character by character, so that it does not depend on the neighbours (a Greek final sigma is
/// the same letter).
fn folded(local: &str) -> impl Iterator<Item = char> {
    local.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c })
}

fn needs_quotes(local: &str) -> bool {
    if is_ascii_dot_atom(local.as_bytes()) {
        return false;
    }
    local.split('.').any(str::is_empty) || local.chars().any(|c| c != '.' && !is_atext(c))
}

/// The local part as it is written in an address: quoted where it has to be (RFC 5321 §4.1.2).
fn spelled(local: &str) -> Cow<'_, str> {
    if !needs_quotes(local) {
        return Cow::Borrowed(local);
    }
    let mut quoted = String::with_capacity(local.len() + 2);
    quoted.push('"');
    for c in local.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Cow::Owned(quoted)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&spelled(&self.local))?;
        f.write_char('@')?;
        f.write_str(self.domain.as_str())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.domain == other.domain
            && self.with_folded_local(|own| other.with_folded_local(|others| own == others))
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.with_folded_local(|local| local.hash(state));
        self.domain.hash(state);
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> Ordering {
        // UTF-8 is ordered as the characters are.
        let locals = self.with_folded_local(|own| other.with_folded_local(|others| own.cmp(others)));
        locals.then_with(|| self.domain.cmp(&other.domain))
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_plain_address_keeps_its_case_and_folds_its_key() {
        let address = Address::parse("Vendor.X@Open.Example.").unwrap();
        assert_eq!((address.local(), address.domain().as_str()), ("Vendor.X", "open.example"));
        assert_eq!(address.to_string(), "Vendor.X@open.example");
        assert_eq!(address.key(), "vendor.x@open.example");
    }

    #[test]
    fn the_folded_local_part_is_shown_as_it_stands_in_the_key() {
        let long = format!("{}@a.example", "Ab".repeat(60));
        for text in ["Vendor.X@Open.Example", "plain@a.example", "\"\"@a.example", "ΟΔΟΣ@a.example", &long]
        {
            let address = Address::parse(text).unwrap();
            let shown = address.with_folded_local(<[u8]>::to_vec);
            let key = [shown.as_slice(), b"@", address.domain().as_str().as_bytes()].concat();
            assert_eq!(key, address.key().into_bytes(), "{text}");
        }
    }

    #[test]
    fn a_domain_can_be_read_by_whoever_knows_it_already() {
        let known = Domain::parse("a.example").unwrap();
        let read = |text: &str| if text == "a.example" { Ok(known.clone()) } else { Domain::parse(text) };
        for text in ["Ops@a.example", "ops@A.example", "\"o p\"@b.example"] {
            assert_eq!(Address::parse_with(text, read), Address::parse(text), "{text}");
        }
        assert_eq!(Address::parse_with("ops@a..b", read), Address::parse("ops@a..b"));
    }

    #[test]
    fn quotes_are_resolved_and_put_back_only_where_needed() {
        for (text, local, shown) in [
            (r#""Vendor X"@d.example"#, "Vendor X", r#""Vendor X"@d.example"#),
            (r#""plain"@d.example"#, "plain", "plain@d.example"),
            (r#""a\"b\\c"@d.example"#, r#"a"b\c"#, r#""a\"b\\c"@d.example"#),
            (r#""ops@corp.example"@d.example"#, "ops@corp.example", r#""ops@corp.example"@d.example"#),
            (r#"""@d.example"#, "", r#"""@d.example"#),
            ("用户@例え.jp", "用户", "用户@xn--r8jz45g.jp"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.local(), address.to_string().as_str()), (local, shown), "{text}");
        }
    }

    #[test]
    fn spellings_that_differ_in_case_are_one_address() {
        let spellings = ["OPS@corp.example", "ops@CORP.example.", "\"oPs\"@corp.example"];
        let one: HashSet<Address> = spellings.iter().map(|text| Address::parse(text).unwrap()).collect();
        assert_eq!(one.len(), 1);
        assert_eq!(Address::parse("ΟΔΟΣ@a.example").unwrap(), Address::parse("οδος@a.example").unwrap());
        assert_ne!(Address::parse("a@a.example").unwrap(), Address::parse("b@a.example").unwrap());
    }

    #[test]
    fn configuration_holds_addresses_as_text() {
        use serde::de::value::{Error, StrDeserializer};
        let read = |text| Address::deserialize(StrDeserializer::<Error>::new(text));
        assert_eq!(read("Ops@Corp.example").unwrap().to_string(), "Ops@corp.example");
        let refused = read("ops").unwrap_err().to_string();
        assert_eq!(refused, "the address has no @: write local@domain");
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        let long = format!("{}@d.example", "x".repeat(MAX_LOCAL_PART + 1));
        for (text, error) in [
            ("ops", AddressError::NoDomain),
            ("@d.example", AddressError::NoLocalPart),
            ("a@b@d.example", AddressError::Domain(DomainError::Character('@'))),
            ("a b@d.example", AddressError::Character(' ')),
            ("<a@d.example>", AddressError::Character('<')),
            ("a(c)@d.example", AddressError::Character('(')),
            (".a@d.example", AddressError::Dot),
            ("a..b@d.example", AddressError::Dot),
            ("\"a@d.example", AddressError::Quotes),
            ("\"a\"b@d.example", AddressError::Quotes),
            ("\"a\0\"@d.example", AddressError::Character('\0')),
            ("a\u{200b}@d.example", AddressError::Character('\u{200b}')),
            ("a@[192.0.2.1]", AddressError::Domain(DomainError::AddressLiteral)),
            ("a@d..example", AddressError::Domain(DomainError::EmptyLabel)),
            (long.as_str(), AddressError::LocalPartTooLong),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text:?}");
        }
    }
}
