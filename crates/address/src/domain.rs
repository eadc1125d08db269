//! Domain names in one canonical form, so that comparing two of them is comparing two strings.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use idna::AsciiDenyList;
use serde::{Deserialize, Serialize};

/// RFC 1035 §2.3.4: 255 octets on the wire, which is 253 characters of text.
const MAX_DOMAIN: usize = 253;
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;
/// A U-label grows or shrinks when it becomes an A-label; beyond this no text can become a domain, and
/// the IDNA tables are not consulted at all.
const MAX_UNICODE_DOMAIN: usize = 1024;

/// A domain name: A-labels, lower case, no trailing dot. Cloning is cheap.
///
/// Underscores are tolerated because real host names contain them; address literals are not domains.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(Arc<str>);

/// Why a text is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Nothing, or only a dot.
    #[error("the domain is empty: write a name such as example.org")]
    Empty,
    /// Longer than DNS allows.
    #[error("the domain is longer than {MAX_DOMAIN} characters")]
    TooLong,
    /// Two dots in a row or a dot at the beginning.
    #[error("the domain has an empty label: remove the surplus dot")]
    EmptyLabel,
    /// One label is longer than DNS allows.
    #[error("a label of the domain is longer than {MAX_LABEL} characters")]
    LabelTooLong,
    /// RFC 1123 §2.1: a label begins and ends with a letter or digit.
    #[error("a label of the domain begins or ends with a hyphen")]
    Hyphen,
    /// A character that no domain name can hold.
    #[error("{0:?} cannot stand in a domain")]
    Character(char),
    /// `[192.0.2.1]` names a machine, not a domain.
    #[error("an address literal is not a domain: write the domain name")]
    AddressLiteral,
    /// UTS #46 refuses it: a disallowed code point, broken bidirectional text, wrong Punycode.
    #[error("the internationalised domain is not valid (UTS #46): check its characters")]
    Internationalised,
}

impl Domain {
    /// Reads a domain name: A-labels or U-labels, any case, ideographic full stops, one trailing dot.
    ///
    /// # Errors
    /// When the text is no domain name; see [`DomainError`].
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if text.starts_with('[') {
            return Err(DomainError::AddressLiteral);
        }
        let ascii = to_ascii(text)?;
        let name = ascii.strip_suffix('.').unwrap_or(&ascii);
        check_name(name)?;
        Ok(Self(lower_case(name)))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this domain is `parent` or lies below it, counted in whole labels.
    #[must_use]
    pub fn is_or_is_under(&self, parent: &Domain) -> bool {
        self.0.strip_suffix(parent.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// The domain one label up; none above a single label.
    #[must_use]
    pub fn parent(&self) -> Option<Domain> {
        self.0.split_once('.').map(|(_, parent)| Self(Arc::from(parent)))
    }

    /// The organisational domain: one label below the public suffix, by the compiled-in Public Suffix List
    /// (RFC 7489 §3.2). A public suffix itself is its own organisation.
    #[must_use]
    pub fn organisation(&self) -> Domain {
        match psl::domain_str(&self.0) {
            Some(organisation) if organisation.len() < self.0.len() => Self(Arc::from(organisation)),
            _ => self.clone(),
        }
    }

    /// The labels, leftmost first.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }
}

/// Punycode is only computed for text outside ASCII. An ASCII name is opaque to DNS, so an `xn--` label that
/// is no valid Punycode stays what it is instead of becoming an error that hides who is meant.
fn to_ascii(text: &str) -> Result<Cow<'_, str>, DomainError> {
    if text.is_ascii() {
        return Ok(Cow::Borrowed(text));
    }
    if text.len() > MAX_UNICODE_DOMAIN {
        return Err(DomainError::TooLong);
    }
    idna::domain_to_ascii_cow(text.as_bytes(), AsciiDenyList::EMPTY)
        .map_err(|_| DomainError::Internationalised)
}

fn check_name(name: &str) -> Result<(), DomainError> {
    if name.is_empty() {
        return Err(DomainError::Empty);
    }
    if name.len() > MAX_DOMAIN {
        return Err(DomainError::TooLong);
    }
    name.as_bytes().split(|byte| *byte == b'.').try_for_each(check_label)
}

/// A label of ASCII.
fn check_label(label: &[u8]) -> Result<(), DomainError> {
    if label.is_empty() {
        return Err(DomainError::EmptyLabel);
    }
    if label.len() > MAX_LABEL {
        return Err(DomainError::LabelTooLong);
    }
    if let Some(bad) =
        label.iter().find(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')))
    {
        return Err(DomainError::Character(char::from(*bad)));
    }
    if label.starts_with(b"-") || label.ends_with(b"-") {
        return Err(DomainError::Hyphen);
    }
    Ok(())
}

fn lower_case(name: &str) -> Arc<str> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Arc::from(name.to_ascii_lowercase())
    } else {
        Arc::from(name)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.0)
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Domain {
    type Error = DomainError;

    fn try_from(text: String) -> Result<Self, DomainError> {
        Self::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.as_str().to_owned()
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A map keyed by `Domain` can be asked with the canonical text.
impl Borrow<str> for Domain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        Domain::parse(text).unwrap().to_string()
    }

    #[test]
    fn the_organisation_stands_one_label_below_the_public_suffix() {
        for (name, organisation) in [
            ("mail.acme.co.uk", "acme.co.uk"),
            ("bounces.acme.example", "acme.example"),
            ("acme.example", "acme.example"),
            ("co.uk", "co.uk"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(Domain::parse(name).unwrap().organisation().as_str(), organisation, "{name}");
        }
    }

    #[test]
    fn every_spelling_of_a_domain_becomes_one() {
        for text in [
            "bücher.example",
            "BÜCHER.Example.",
            "xn--bcher-kva.example",
            "XN--BCHER-KVA.EXAMPLE",
            "bücher。example",
            "bücher．example｡",
            "ｂücher.example",
        ] {
            assert_eq!(canonical(text), "xn--bcher-kva.example", "{text}");
        }
        assert_eq!(canonical("_dmarc.Example.org."), "_dmarc.example.org");
        assert_eq!(canonical("corp。example"), "corp.example");
        assert_eq!(canonical("localhost"), "localhost");
    }

    #[test]
    fn an_ascii_name_with_wrong_punycode_stays_what_dns_sees() {
        assert_eq!(canonical("XN--a.example"), "xn--a.example");
    }

    #[test]
    fn what_is_no_domain_is_refused_with_its_reason() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "abcdefg.".repeat(32));
        let cases = [
            ("", DomainError::Empty),
            (".", DomainError::Empty),
            ("a..example", DomainError::EmptyLabel),
            (".example", DomainError::EmptyLabel),
            ("example..", DomainError::EmptyLabel),
            ("[192.0.2.1]", DomainError::AddressLiteral),
            ("-a.example", DomainError::Hyphen),
            ("a-.example", DomainError::Hyphen),
            ("a b.example", DomainError::Character(' ')),
            ("a@b.example", DomainError::Character('@')),
            ("a\0b.example", DomainError::Character('\0')),
            ("a\u{202e}b.example", DomainError::Internationalised),
            (long_label.as_str(), DomainError::LabelTooLong),
            (long_name.as_str(), DomainError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(Domain::parse(text), Err(error), "{text}");
        }
        assert_eq!(Domain::parse(&"ü".repeat(60_000)), Err(DomainError::TooLong));
    }

    #[test]
    fn under_means_below_a_whole_label() {
        let parent = Domain::parse("open.example").unwrap();
        for (text, under) in [
            ("open.example", true),
            ("a.b.OPEN.example", true),
            ("reopen.example", false),
            ("example", false),
            ("open.example.net", false),
        ] {
            assert_eq!(Domain::parse(text).unwrap().is_or_is_under(&parent), under, "{text}");
        }
    }

    #[test]
    fn parents_end_at_the_last_label() {
        let domain = Domain::parse("a.b.example").unwrap();
        let parent = domain.parent().unwrap();
        assert_eq!(parent.as_str(), "b.example");
        assert_eq!(parent.parent().unwrap().parent(), None);
        assert_eq!(domain.labels().collect::<Vec<_>>(), ["a", "b", "example"]);
    }
}
