//! The `mailto:` URIs that Pigeonhole takes, character by character as measured: RFC 6068, but for commas,
//! which part addresses only when they are encoded or stand in a header field.

use crate::pigeonhole_address::is_pigeonhole_address;

/// Whether the text is such a URI.
pub(crate) fn is_pigeonhole_mailto(uri: &[u8]) -> bool {
    let Some(colon) = uri.iter().position(|byte| *byte == b':') else { return false };
    let (scheme, rest) = (&uri[..colon], &uri[colon + 1..]);
    let (to, fields) = split_once(rest, b'?').unwrap_or((rest, b""));
    scheme.eq_ignore_ascii_case(b"mailto") && is_address_part(to) && are_fields(fields)
}

/// Nobody at all is allowed; an empty name in a list is not.
fn is_address_part(part: &[u8]) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!$'()*+-.@_~".contains(&byte);
    decoded(part, plain).is_some_and(|list| list.is_empty() || are_addresses(&list))
}

fn are_addresses(list: &[u8]) -> bool {
    list.split(|byte| *byte == b',').all(is_pigeonhole_address)
}

fn are_fields(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some((name, after)) = split_once(rest, b'=') else { return is_field_name(rest) };
        let (value, next) = split_once(after, b'&').unwrap_or((after, b""));
        if !is_field_name(name) || !is_field_value(name, value) {
            return false;
        }
        rest = next;
    }
    true
}

fn is_field_name(name: &[u8]) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!$'()*+,-.;@_~".contains(&byte);
    decoded(name, plain)
        .is_some_and(|name| name.iter().all(|byte| (33..=126).contains(byte) && *byte != b':'))
}

fn is_field_value(name: &[u8], value: &[u8]) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!$'()*+,-.:;=@_~".contains(&byte);
    let Some(value) = decoded(value, plain) else { return false };
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    let one_line = || value.iter().all(|byte| matches!(byte, b'\t' | 32..=126));
    match name {
        _ if is(b"body") => true,
        _ if is(b"to") || is(b"cc") => one_line() && are_addresses(&value),
        _ => one_line(),
    }
}

fn split_once(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == mark)?;
    Some((&text[..at], &text[at + 1..]))
}

/// The text with its `%` sequences decoded; none when one is broken or stands for NUL, or when another
/// byte is not `plain`.
fn decoded(text: &[u8], plain: fn(u8) -> bool) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut bytes = text.iter();
    let mut found = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        found.push(match *byte {
            b'%' => {
                let number = digit(bytes.next()?)? * 16 + digit(bytes.next()?)?;
                u8::try_from(number).ok().filter(|byte| *byte != 0)?
            }
            byte if plain(byte) => byte,
            _ => return None,
        });
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::is_pigeonhole_mailto;

    /// Every row was put to `sievec` of Pigeonhole 0.5.19.
    #[test]
    fn the_engines_answers_are_ours() {
        for taken in [
            "mailto:",
            "MAILTO:a@x.example",
            "mailto:a@x.example%2Cb@x.example",
            "mailto:Bob%20%3Ca@x.example%3E",
            "mailto:a%0a@x.example",
            "mailto:a@x.example?",
            "mailto:a@x.example?a",
            "mailto:a@x.example?a=",
            "mailto:a@x.example?=b",
            "mailto:a@x.example?a=b&",
            "mailto:a@x.example?to=b@x.example,c@x.example&cc=d%40x.example",
            "mailto:a@x.example?body=a%0d%0ab%e9",
            "mailto:a@x.example?bcc=nonsense",
            "mailto:a!$'*+-.b~@x.example",
        ] {
            assert!(is_pigeonhole_mailto(taken.as_bytes()), "{taken}");
        }
        for refused in [
            "mailto",
            "mailto :a@x.example",
            " mailto:a@x.example",
            "xmpp:a@x.example",
            "mailto:nonsense",
            "mailto:a@x.example,b@x.example",
            "mailto:a@x.example,",
            "mailto:a@x.example%2C",
            "mailto:a@x.example#b",
            "mailto:a b@x.example",
            "mailto:a%4x@x.example",
            "mailto:a%00b@x.example",
            "mailto:a@x.example?to=",
            "mailto:a@x.example?to=b@x.example,",
            "mailto:a@x.example?cc=nonsense",
            "mailto:a@x.example?to=%22a,b%22@x.example",
            "mailto:a@x.example?cc=Bob <b@x.example>",
            "mailto:a@x.example?&a=b",
            "mailto:a@x.example?subject=%",
            "mailto:a@x.example?subject=a%0d%0ab",
            "mailto:a@x.example?x=%e9",
            "mailto:a@x.example?bcc=a%0ab",
            "mailto:a@x.example?a%20b=c",
            "mailto:a@x.example?a%3ab=c",
        ] {
            assert!(!is_pigeonhole_mailto(refused.as_bytes()), "{refused}");
        }
    }
}
