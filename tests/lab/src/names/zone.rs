//! Zone files as they are loaded: `OWNER [TTL] [IN] TYPE RDATA`, one record a line, names in full.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::wire;
use crate::error::{LabError, Result};

type Records = BTreeMap<(String, u16), Vec<Vec<u8>>>;

pub(super) fn read(text: &str) -> Result<Records> {
    let mut records = Records::new();
    for line in text.lines() {
        let fields = fields(line).ok_or_else(|| wrong(line))?;
        if fields.is_empty() {
            continue;
        }
        let (owner, kind, rdata) = record(&fields).ok_or_else(|| wrong(line))?;
        records.entry((owner, kind)).or_default().push(rdata);
    }
    Ok(records)
}

fn wrong(line: &str) -> LabError {
    LabError::configuration(format!("zone line {line:?}"), "cannot be read")
}

/// Words and quoted strings; a semicolon outside of them begins a comment (RFC 1035 §5.1).
fn fields(line: &str) -> Option<Vec<Vec<u8>>> {
    let (mut fields, mut field) = (Vec::new(), None::<Vec<u8>>);
    let (mut quoted, mut octets) = (false, line.bytes());
    while let Some(octet) = octets.next() {
        match octet {
            b'"' if quoted => {
                fields.push(field.take().unwrap_or_default());
                quoted = false;
            }
            b'"' => (quoted, field) = (true, Some(Vec::new())),
            b';' if !quoted => break,
            b' ' | b'\t' if !quoted => fields.extend(field.take()),
            b'\\' => {
                let next = octets.next()?;
                let octet = match next {
                    b'0'..=b'9' => {
                        let digits = [next, octets.next()?, octets.next()?];
                        std::str::from_utf8(&digits).ok()?.parse().ok()?
                    }
                    other => other,
                };
                field.get_or_insert_default().push(octet);
            }
            other => field.get_or_insert_default().push(other),
        }
    }
    fields.extend(field);
    (!quoted).then_some(fields)
}

fn record(fields: &[Vec<u8>]) -> Option<(String, u16, Vec<u8>)> {
    let text = |at: usize| std::str::from_utf8(fields.get(at)?).ok();
    let owner = text(0)?.strip_suffix('.')?.to_ascii_lowercase();
    let mut at = 1;
    if text(at)?.bytes().all(|octet| octet.is_ascii_digit()) {
        at += 1;
    }
    if text(at)? == "IN" {
        at += 1;
    }
    let number = |at: usize| text(at)?.parse::<u16>().ok().map(u16::to_be_bytes);
    let octet = |at: usize| text(at)?.parse::<u8>().ok();
    let name = |at: usize| text(at).filter(|name| name.ends_with('.')).map(wire::name);
    let rest = at + 1;
    let (kind, rdata) = match text(at)? {
        "A" => (1, text(rest)?.parse::<Ipv4Addr>().ok()?.octets().to_vec()),
        "AAAA" => (28, text(rest)?.parse::<Ipv6Addr>().ok()?.octets().to_vec()),
        "NS" => (2, name(rest)?),
        "CNAME" => (wire::CNAME, name(rest)?),
        "PTR" => (12, name(rest)?),
        "MX" => (15, [&number(rest)?[..], &name(rest + 1)?].concat()),
        "TXT" => (16, strings(fields.get(rest..)?)?),
        "SRV" => {
            (33, [&number(rest)?[..], &number(rest + 1)?, &number(rest + 2)?, &name(rest + 3)?].concat())
        }
        "TLSA" => {
            (52, [&[octet(rest)?, octet(rest + 1)?, octet(rest + 2)?][..], &hex(text(rest + 3)?)?].concat())
        }
        "CAA" => {
            let tag = text(rest + 1)?.as_bytes();
            let length = u8::try_from(tag.len()).ok()?;
            (257, [&[octet(rest)?, length][..], tag, fields.get(rest + 2)?].concat())
        }
        _ => return None,
    };
    Some((owner, kind, rdata))
}

fn strings(fields: &[Vec<u8>]) -> Option<Vec<u8>> {
    let string = |field: &Vec<u8>| Some([&[u8::try_from(field.len()).ok()?][..], field].concat());
    let strings: Option<Vec<Vec<u8>>> = fields.iter().map(string).collect();
    strings.filter(|strings| !strings.is_empty()).map(|strings| strings.concat())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_octets() {
        let zone =
            "; comment\nA.test. 3600 IN TXT \"v=spf1; \\\"x\\\" \\195\" \"b\"\na.test. MX 0 . ; null\n";
        let records = read(zone).unwrap();
        assert_eq!(records[&("a.test".to_owned(), 16)], [b"\x0dv=spf1; \"x\" \xc3\x01b".to_vec()]);
        assert_eq!(records[&("a.test".to_owned(), 15)], [b"\0\0\0".to_vec()]);
    }

    #[test]
    fn what_no_server_would_load_is_refused() {
        let long = format!("a.test. TXT \"{}\"", "x".repeat(256));
        for line in ["a.test IN A 192.0.2.1", "a.test. MX 10 mx", "a.test. TXT \"open", "a.test. A x", &long]
        {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
