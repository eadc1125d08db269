//! A second, forgiving reader beside ours: what it would take for the address is a reading too.

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, HeaderValue};

use crate::{Address, Domain};

/// The texts that mail-parser takes for addresses. They may be anything, not only addresses.
pub(crate) fn addresses(value: &[u8]) -> Vec<String> {
    let mut line = value.to_vec();
    // Without the line break that ends the field it reads nothing at all.
    line.extend_from_slice(b"\n");
    let HeaderValue::Address(list) = MessageStream::new(&line).parse_address() else {
        return Vec::new();
    };
    list.iter().filter_map(Addr::address).map(str::to_owned).collect()
}

/// Whether the other reader found these very addresses.
///
/// A quoted local part containing an angle bracket or a parenthesis makes them part ways, although RFC 5322
/// allows it: real readers do as well, and nobody has such an address.
pub(crate) fn agrees(theirs: &[String], ours: &[Address]) -> bool {
    theirs.len() == ours.len() && theirs.iter().zip(ours).all(|(theirs, ours)| is_same(theirs, ours))
}

/// The other reader keeps the quotes of a local part in angle brackets, trims what is in them, and loses the
/// whole local part when it is quoted outside of them (`"bob"@a` becomes `@a`); none of that is a
/// disagreement about who is meant.
fn is_same(theirs: &str, ours: &Address) -> bool {
    let Some((local, domain)) = theirs.rsplit_once('@') else {
        return false;
    };
    let same_local = local.is_empty() || without_quoting(local) == without_quoting(ours.local());
    same_local && Domain::parse(domain).is_ok_and(|domain| domain == *ours.domain())
}

fn without_quoting(local: &str) -> String {
    local.chars().filter(|c| !matches!(c, '"' | '\\') && !c.is_whitespace()).collect()
}
