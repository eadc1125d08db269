//! As much of DER (X.690) as it takes to measure a public key and to read a certificate's end.

use chrono::{DateTime, NaiveDateTime, Utc};

/// One element: its tag, its content, and itself with its header.
#[derive(Debug, Clone, Copy)]
struct Element<'d> {
    tag: u8,
    content: &'d [u8],
    whole: &'d [u8],
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT: u8 = 0x06;
const EXPLICIT_0: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALISED_TIME: u8 = 0x18;

/// rsaEncryption, 1.2.840.113549.1.1.1.
const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// The first element and what follows it.
fn element(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0usize, |length, &digit| length << 8 | usize::from(digit)), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    let whole = bytes.get(..bytes.len() - after.len())?;
    Some((Element { tag, content, whole }, after))
}

fn expect(bytes: &[u8], tag: u8) -> Option<(Element<'_>, &[u8])> {
    element(bytes).filter(|(element, _)| element.tag == tag)
}

/// The bits of an RSA modulus, of a SubjectPublicKeyInfo (RFC 5280) or a bare RSAPublicKey (RFC 8017); DKIM
/// records hold either.
pub(crate) fn rsa_bits(bytes: &[u8]) -> Option<usize> {
    let (outer, _) = expect(bytes, SEQUENCE)?;
    if let Some((modulus, _)) = expect(outer.content, INTEGER) {
        return Some(bits(modulus.content));
    }
    let (algorithm, rest) = expect(outer.content, SEQUENCE)?;
    let (object, _) = expect(algorithm.content, OBJECT)?;
    let (key, _) = expect(rest, BIT_STRING)?;
    let (key, _) = expect(key.content.get(1..)?, SEQUENCE)?;
    let (modulus, _) = expect(key.content, INTEGER)?;
    (object.content == RSA).then(|| bits(modulus.content))
}

fn bits(integer: &[u8]) -> usize {
    let digits = integer.iter().skip_while(|&&digit| digit == 0).copied().collect::<Vec<u8>>();
    digits.first().map_or(0, |first| digits.len() * 8 - first.leading_zeros() as usize)
}

/// What is read of a certificate (RFC 5280 §4.1).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Certificate<'d> {
    /// The end of its validity.
    pub(crate) not_after: DateTime<Utc>,
    /// Its SubjectPublicKeyInfo.
    pub(crate) key: &'d [u8],
}

impl<'d> Certificate<'d> {
    pub(crate) fn read(der: &'d [u8]) -> Option<Self> {
        let (certificate, _) = expect(der, SEQUENCE)?;
        let (signed, _) = expect(certificate.content, SEQUENCE)?;
        let rest = match expect(signed.content, EXPLICIT_0) {
            Some((_, rest)) => rest,
            None => signed.content,
        };
        let (_serial, rest) = expect(rest, INTEGER)?;
        let (_algorithm, rest) = expect(rest, SEQUENCE)?;
        let (_issuer, rest) = expect(rest, SEQUENCE)?;
        let (validity, rest) = expect(rest, SEQUENCE)?;
        let (_subject, rest) = expect(rest, SEQUENCE)?;
        let (key, _) = expect(rest, SEQUENCE)?;
        let (_from, until) = element(validity.content)?;
        Some(Self { not_after: moment(element(until)?.0)?, key: key.whole })
    }
}

fn moment(element: Element<'_>) -> Option<DateTime<Utc>> {
    let text = std::str::from_utf8(element.content).ok()?;
    let full = match element.tag {
        // RFC 5280 §4.1.2.5.1: years from 50 on are those of the last century.
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALISED_TIME => text.to_owned(),
        _ => return None,
    };
    NaiveDateTime::parse_from_str(&full, "%Y%m%d%H%M%SZ").ok().map(|moment| moment.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_whole_is_read() {
        assert!(element(&[0x30, 0x82, 0x01]).is_none());
        assert!(element(&[0x30, 0x05, 0x00]).is_none());
        assert!(element(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_none());
        assert_eq!(bits(&[0x00, 0x80, 0x00]), 16);
        assert_eq!(bits(&[0x01]), 1);
        assert_eq!(bits(&[]), 0);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_end_the_reader(bytes in proptest::collection::vec(0u8..=255, 0..200)) {
            let _ = (rsa_bits(&bytes), Certificate::read(&bytes).map(|read| read.not_after));
        }
    }
}
