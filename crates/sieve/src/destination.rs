//! Addresses and URIs as engines read them, reduced to what a person needs: who receives.

use crate::effects::Role;

/// The bare address in `raw`, its domain in lower case, or none if `raw` does not hold exactly one.
///
/// Engines accept display names, angle brackets, comments, folding and the ideographic full stop; they
/// all mean the same mailbox.
#[must_use]
pub fn bare_address(raw: &str) -> Option<String> {
    if let Some((local, domain)) = plain_parts(raw.trim()) {
        return Some(format!("{local}@{}", domain.to_ascii_lowercase()));
    }
    let plain = without_comments(raw)?;
    let inner = angle_part(&plain)?;
    let compact = without_blanks(&inner);
    let at = last_unquoted_at(&compact)?;
    let (local, domain) = (&compact[..at], &compact[at + 1..]);
    let domain = domain.replace(['\u{3002}', '\u{ff0e}', '\u{ff61}'], ".").to_lowercase();
    let sound = !local.is_empty() && !domain.is_empty() && !domain.contains([',', ';', ':', '<', '>']);
    let literal = domain.starts_with('[') && domain.ends_with(']');
    let lonely = !local.starts_with('"') && local.contains(['@', ',', ';', '<', '>', ':']);
    ((sound || literal) && !lonely).then(|| format!("{}@{domain}", local_part(local)))
}

/// The parts of an address that needs no second look: dot-atoms of ASCII letters, digits and few marks.
fn plain_parts(raw: &str) -> Option<(&str, &str)> {
    let (local, domain) = raw.split_once('@')?;
    let atoms = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+.".contains(&byte);
        let dotted = text.starts_with('.') || text.ends_with('.') || text.contains("..");
        !text.is_empty() && !dotted && text.bytes().all(plain)
    };
    (atoms(local) && atoms(domain)).then_some((local, domain))
}

/// RFC 5322 §3.4.1: quotes are no part of the name. They stay only where it could not be written without.
fn local_part(written: &str) -> String {
    let quoted = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let (mut name, mut escaped) = (String::with_capacity(written.len()), false);
    for character in quoted.unwrap_or(written).chars() {
        escaped = quoted.is_some() && character == '\\' && !escaped;
        if !escaped {
            name.push(character);
        }
    }
    let is_atom = |part: &str| {
        let special = |character: char| " \t\r\n()<>[]:;@\\,\"".contains(character) || character.is_control();
        !part.is_empty() && !part.contains(special)
    };
    if name.split('.').all(is_atom) {
        return name;
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// RFC 5322 §3.2.2: comments nest and count as white space. None when one is not closed.
fn without_comments(raw: &str) -> Option<String> {
    let (mut plain, mut depth, mut quoted, mut escaped) =
        (String::with_capacity(raw.len()), 0_usize, false, false);
    for character in raw.chars() {
        let was_escaped = std::mem::take(&mut escaped);
        match character {
            _ if was_escaped => {}
            '\\' => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            plain.push(character);
        }
    }
    (depth == 0 && !quoted).then_some(plain)
}

/// What stands between the angle brackets outside quotes, or everything when there are none.
fn angle_part(plain: &str) -> Option<String> {
    let Some(open) = unquoted(plain, '<').last() else { return Some(plain.to_owned()) };
    let inner = &plain[open + 1..];
    let close = unquoted(inner, '>').next()?;
    inner[close + 1..].trim().is_empty().then(|| inner[..close].to_owned())
}

fn without_blanks(text: &str) -> String {
    let (mut compact, mut quoted) = (String::with_capacity(text.len()), false);
    for character in text.chars() {
        quoted ^= character == '"';
        if quoted || !character.is_whitespace() {
            compact.push(character);
        }
    }
    compact
}

/// Offsets of `wanted` outside quoted strings.
fn unquoted(text: &str, wanted: char) -> impl Iterator<Item = usize> + '_ {
    let (mut quoted, mut escaped) = (false, false);
    text.char_indices().filter_map(move |(at, character)| {
        let was_escaped = std::mem::take(&mut escaped);
        match character {
            _ if was_escaped => None,
            '\\' if quoted => {
                escaped = true;
                None
            }
            '"' => {
                quoted = !quoted;
                None
            }
            _ => (character == wanted && !quoted).then_some(at),
        }
    })
}

fn last_unquoted_at(text: &str) -> Option<usize> {
    unquoted(text, '@').last()
}

/// A recipient named by a `mailto:` URI, and the header field that names it.
pub(crate) type Recipient = (String, Role);

/// RFC 6068: the recipients of a `mailto:` URI, those in its `to`, `cc` and `bcc` fields included.
/// None when the URI is of another scheme.
pub(crate) fn mailto_recipients(uri: &str) -> Option<Vec<Recipient>> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.trim().eq_ignore_ascii_case("mailto") {
        return None;
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let (to, fields) = rest.split_once('?').unwrap_or((rest, ""));
    let mut recipients = addresses(to, Role::Recipient);
    for field in fields.split('&') {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        if let Some(role) = recipient_field(&percent_decoded(name)) {
            recipients.extend(addresses(value, role));
        }
    }
    Some(recipients)
}

fn recipient_field(name: &str) -> Option<Role> {
    const FIELDS: [(&str, Role); 3] = [("to", Role::Recipient), ("cc", Role::Cc), ("bcc", Role::Bcc)];
    FIELDS.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, role)| *role)
}

/// Commas part addresses whether encoded or not: a header field made of them is parsed again.
fn addresses(list: &str, role: Role) -> Vec<Recipient> {
    let decoded = percent_decoded(list);
    let mut cuts: Vec<usize> = unquoted(&decoded, ',').collect();
    cuts.push(decoded.len());
    let mut from = 0;
    let mut found = Vec::new();
    for cut in cuts {
        let address = decoded[from..cut].trim();
        if !address.is_empty() {
            found.push((address.to_owned(), role));
        }
        from = cut + 1;
    }
    found
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match pair.and_then(hex_byte) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_byte(pair: &[u8]) -> Option<u8> {
    let digits = pair.iter().all(u8::is_ascii_hexdigit).then(|| std::str::from_utf8(pair).ok())??;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_however_it_is_written() {
        for raw in [
            "a@x.example",
            " a@X.Example\r\n",
            "Bob <a@x.example>",
            "\"B, <b@y>\" <a@x.example>",
            "a(c)@x.example",
            "a @ x.example",
            "<a@x.example>",
            "a@x\u{3002}example",
            "a@(c (d))x.example",
        ] {
            assert_eq!(bare_address(raw).as_deref(), Some("a@x.example"), "{raw}");
        }
        assert_eq!(bare_address("\"a\\b\"@x").as_deref(), Some("ab@x"));
        assert_eq!(bare_address(".a@x").as_deref(), Some("\".a\"@x"));
        assert_eq!(bare_address(r#""a\"b"@x"#).as_deref(), Some(r#""a\"b"@x"#));
        assert_eq!(bare_address("\"a b\"@x").as_deref(), Some("\"a b\"@x"));
        assert_eq!(bare_address("\"a@b\"@[1.2.3.4]").as_deref(), Some("\"a@b\"@[1.2.3.4]"));
        for raw in ["", "a", "a@", "@x", "a@x, b@y", "a@x (", "<a@x> b", "<@r:a@x>"] {
            assert_eq!(bare_address(raw), None, "{raw}");
        }
    }

    #[test]
    fn mailto_fields_add_recipients() {
        let found =
            mailto_recipients("MAILTO:a%40x,b@y?To=c@z&subject=s&%62cc=d%40x,e@x&cc=\"f,g\"@h").unwrap();
        let texts: Vec<_> = found.iter().map(|(address, role)| (address.as_str(), *role)).collect();
        use Role::*;
        assert_eq!(
            texts,
            [
                ("a@x", Recipient),
                ("b@y", Recipient),
                ("c@z", Recipient),
                ("d@x", Bcc),
                ("e@x", Bcc),
                ("\"f,g\"@h", Cc)
            ]
        );
        assert_eq!(mailto_recipients("xmpp:a@x"), None);
    }
}
