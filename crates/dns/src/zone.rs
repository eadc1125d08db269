//! Records as a zone file writes them (RFC 1035 §5.1).

use mailwarden_evidence::dns::{Rdata, RecordType};

/// Longest string of a TXT record (RFC 1035 §3.3).
const MAX_STRING: usize = 255;

/// The type of a record's content.
pub(crate) fn kind(rdata: &Rdata) -> RecordType {
    match rdata {
        Rdata::Address(std::net::IpAddr::V4(_)) => RecordType::A,
        Rdata::Address(std::net::IpAddr::V6(_)) => RecordType::Aaaa,
        Rdata::Mx { .. } => RecordType::Mx,
        Rdata::Txt(_) => RecordType::Txt,
        Rdata::Target(_) => RecordType::Cname,
        Rdata::Tlsa { .. } => RecordType::Tlsa,
        Rdata::Caa { .. } => RecordType::Caa,
        Rdata::Srv { .. } => RecordType::Srv,
    }
}

/// A record's content.
pub(crate) fn rdata(rdata: &Rdata) -> String {
    match rdata {
        Rdata::Address(address) => address.to_string(),
        Rdata::Mx { preference, host } => format!("{preference} {host}."),
        Rdata::Txt(strings) => strings.iter().flat_map(|text| strings_of(text)).collect::<Vec<_>>().join(" "),
        Rdata::Target(target) => format!("{target}."),
        Rdata::Tlsa { usage, selector, matching, association } => {
            format!("{usage} {selector} {matching} {association}")
        }
        Rdata::Caa { critical, tag, value } => {
            format!("{} {tag} {}", if *critical { 128 } else { 0 }, quoted(value))
        }
        Rdata::Srv { priority, weight, port, target } => format!("{priority} {weight} {port} {target}."),
    }
}

/// Owner, type and content.
pub(crate) fn line(owner: &str, content: &Rdata) -> String {
    format!("{owner} {} {}", kind(content).as_str(), rdata(content))
}

/// Quoted strings, none longer than the protocol allows.
fn strings_of(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec!["\"\"".to_owned()];
    }
    text.as_bytes().chunks(MAX_STRING).map(octets).collect()
}

fn quoted(text: &str) -> String {
    octets(text.as_bytes())
}

/// RFC 1035 §5.1: `\DDD` for what is not to be read as it stands.
fn octets(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("\\{other:03}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_parted_and_escaped() {
        let text = |text: &str| rdata(&Rdata::Txt(vec![text.to_owned()]));
        assert_eq!(text("v=spf1 -all"), "\"v=spf1 -all\"");
        assert_eq!(text("a\"b\\c;\n\u{fc}"), "\"a\\\"b\\\\c;\\010\\195\\188\"");
        assert_eq!(text(""), "\"\"");
        let long = text(&"x".repeat(300));
        assert_eq!(long, format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(45)));
    }

    #[test]
    fn the_null_mx_is_a_dot() {
        let null = Rdata::Mx { preference: 0, host: String::new() };
        assert_eq!(line("parked.example.", &null), "parked.example. MX 0 .");
    }
}
