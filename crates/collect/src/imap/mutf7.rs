//! Modified UTF-7, the encoding of folder names (RFC 3501 section 5.1.3).

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
);

/// The folder name a server means, or `None` if the bytes are not modified UTF-7.
pub(crate) fn decode(wire: &[u8]) -> Option<String> {
    let wire = std::str::from_utf8(wire).ok()?;
    let mut name = String::with_capacity(wire.len());
    let mut rest = wire;
    while let Some(start) = rest.find('&') {
        let (plain, shifted) = rest.split_at(start);
        let end = shifted.find('-')?;
        name.push_str(plain);
        name.push_str(&decode_shift(&shifted[1..end])?);
        rest = &shifted[end + 1..];
    }
    name.push_str(rest);
    Some(name)
}

fn decode_shift(shift: &str) -> Option<String> {
    if shift.is_empty() {
        return Some("&".to_owned());
    }
    let bytes = BASE64.decode(shift).ok()?;
    if bytes.len() % 2 != 0 {
        return None;
    }
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).ok()
}

/// The bytes a server expects for a folder name.
pub(super) fn encode(name: &str) -> String {
    let mut wire = String::with_capacity(name.len());
    let mut shifted = Vec::new();
    for c in name.chars() {
        if matches!(c, ' '..='~') {
            flush(&mut wire, &mut shifted);
            wire.push(c);
            if c == '&' {
                wire.push('-');
            }
        } else {
            shifted.extend(c.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    flush(&mut wire, &mut shifted);
    wire
}

fn flush(wire: &mut String, shifted: &mut Vec<u8>) {
    if !shifted.is_empty() {
        wire.push('&');
        wire.push_str(&BASE64.encode(&shifted));
        wire.push('-');
        shifted.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_the_rfc() {
        let name = "~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}";
        assert_eq!(decode(b"~peter/mail/&U,BTFw-/&ZeVnLIqe-").unwrap(), name);
        assert_eq!(encode(name), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(encode("Jack & Jill"), "Jack &- Jill");
        assert_eq!(decode(b"Entw&APw-rfe").unwrap(), "Entw\u{fc}rfe");
    }

    #[test]
    fn what_is_not_modified_utf7_is_refused() {
        for wire in [&b"a&"[..], b"&AP-", b"&2D0-", b"&!!!-", b"\xff", b"&APw"] {
            assert_eq!(decode(wire), None, "{wire:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_survives(name in "\\PC*") {
            prop_assert_eq!(decode(encode(&name).as_bytes()).unwrap(), name);
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(wire in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(name) = decode(&wire) {
                prop_assert_eq!(decode(encode(&name).as_bytes()).unwrap(), name);
            }
        }
    }
}
