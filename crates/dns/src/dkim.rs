//! DKIM keys (RFC 6376, RFC 8301, RFC 8463).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailwarden_evidence::dns::{Name, RecordType};

use crate::case::{Case, Draft};
use crate::checks;
use crate::der::rsa_bits;
use crate::subject::{PROBE, Role};
use crate::text::{tags, value};

/// The record that says for every selector that nobody signs (RFC 6376 §6.1.2).
pub(crate) const NOBODY: &str = "v=DKIM1; p=";
/// RFC 8301 §3.2: verifiers refuse less.
const FEWEST_BITS: usize = 1024;
/// RFC 8301 §3.2: signers should use this much.
const WANTED_BITS: usize = 2048;
/// RFC 8032: an Ed25519 key.
const ED25519_OCTETS: usize = 32;

pub(crate) fn look(case: &mut Case<'_>) {
    // Below a wildcard no name of ours can stand in the middle; what the wildcard answers there is SPF.
    if case.subject.is_wildcard {
        return;
    }
    if case.subject.role != Role::Sending {
        return silent(case);
    }
    if case.subject.dkim_selectors.is_empty() {
        case.gap("the policy names no dkim_selectors, and selectors cannot be listed".to_owned());
    }
    for selector in case.subject.dkim_selectors.clone() {
        signing(case, &selector);
    }
}

/// What one record says.
#[derive(Debug, PartialEq, Eq)]
enum Key {
    Revoked,
    Rsa(usize),
    Ed25519,
    Unreadable(String),
}

fn read(text: &str) -> (Key, bool) {
    let Ok(tags) = tags(text) else { return (Key::Unreadable("it is no list of tags".to_owned()), false) };
    let testing = value(&tags, "t").is_some_and(|flags| flags.split(':').any(|flag| flag.trim() == "y"));
    (key(&tags), testing)
}

fn key(tags: &[crate::text::Tag]) -> Key {
    let unreadable = |why: &str| Key::Unreadable(why.to_owned());
    if value(tags, "v").is_some_and(|version| version != "DKIM1") {
        return unreadable("its version is not DKIM1");
    }
    let Some(p) = value(tags, "p") else { return unreadable("it has no p") };
    if p.is_empty() {
        return Key::Revoked;
    }
    let packed: String = p.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let Ok(bytes) = STANDARD.decode(packed) else { return unreadable("p is not in base64") };
    match value(tags, "k").unwrap_or("rsa").to_ascii_lowercase().as_str() {
        "rsa" => rsa_bits(&bytes).map_or_else(|| unreadable("p holds no RSA key"), Key::Rsa),
        "ed25519" if bytes.len() == ED25519_OCTETS => Key::Ed25519,
        "ed25519" => unreadable("p holds no Ed25519 key"),
        _ => unreadable("its key type (k) is neither rsa nor ed25519"),
    }
}

fn place(case: &Case<'_>, selector: &str) -> Option<Name> {
    Name::parse(&format!("{selector}._domainkey.{}", case.subject.name))
}

fn signing(case: &mut Case<'_>, selector: &str) {
    let Some(name) = place(case, selector) else { return };
    let Some(texts) = case.texts(&name) else { return };
    case.publish(format!("DKIM {name}"), texts.join(" | "));
    let fix = format!("{name}. TXT \"v=DKIM1; k=rsa; p=<the signer's public key>\"");
    let draft = |title: String| Draft::new(title).fix(&fix).seen_at(&name, RecordType::Txt);
    alias(case, &name);
    let text = match texts.as_slice() {
        [] => {
            let draft = draft(format!("The DKIM selector {name} has no record."));
            return case.found(&checks::DKIM_MISSING, &name, draft);
        }
        [text] => text,
        [text, ..] => {
            let draft = draft(format!("The DKIM selector {name} has {} records.", texts.len()));
            case.found(&checks::DKIM_MULTIPLE, &name, draft.found(texts.join("\n")));
            text
        }
    };
    let (key, testing) = read(text);
    let (check, clause) = match key {
        Key::Unreadable(why) => (&checks::DKIM_SYNTAX, format!("cannot be read: {why}")),
        Key::Revoked => (&checks::DKIM_REVOKED, "is revoked (empty p=)".to_owned()),
        Key::Rsa(bits) if bits < FEWEST_BITS => {
            (&checks::DKIM_WEAK, format!("holds an RSA key of {bits} bits"))
        }
        Key::Rsa(bits) if bits < WANTED_BITS => {
            (&checks::DKIM_SHORT, format!("holds an RSA key of {bits} bits"))
        }
        Key::Rsa(_) | Key::Ed25519 if testing => (&checks::DKIM_TEST, "says t=y: only a test".to_owned()),
        Key::Rsa(_) | Key::Ed25519 => return,
    };
    case.found(check, &name, draft(format!("The DKIM record {name} {clause}.")).found(text));
}

/// Whoever holds the name at the end of an alias holds the key.
fn alias(case: &mut Case<'_>, name: &Name) {
    let Some(target) = case.aliases(name, RecordType::Txt).last() else { return };
    if case.subject.is_ours(target) {
        return;
    }
    let title = format!("The DKIM selector {name} is an alias of {}.", crate::text::quoted(target));
    let fix = format!("remove the alias {name} when that service no longer signs for the domain");
    let draft = Draft::new(title).found(target).fix(fix).seen_at(name, RecordType::Txt);
    case.found(&checks::DKIM_OUTSIDE, name, draft);
}

/// A domain that never sends: no selector may have a key, and every selector should say so.
fn silent(case: &mut Case<'_>) {
    let mut selectors = case.subject.dkim_selectors.clone();
    selectors.push(PROBE.to_owned());
    for selector in selectors {
        let Some(name) = place(case, &selector) else { continue };
        let Some(texts) = case.texts(&name) else { continue };
        let fix = format!("*._domainkey.{}. TXT \"{NOBODY}\"", case.subject.name);
        let draft = |title: String| Draft::new(title).fix(&fix).seen_at(&name, RecordType::Txt);
        let label = case.subject.label();
        let keys: Vec<&String> = texts.iter().filter(|text| read(text).0 != Key::Revoked).collect();
        if let Some(text) = keys.first() {
            let title = format!("{label} never sends, and {name} holds something else than an empty key.");
            case.found(&checks::DKIM_SENDER, &name, draft(title).found(text.as_str()));
        } else if texts.is_empty() && selector == PROBE {
            let title = format!("{label} never sends, and does not say so for every DKIM selector.");
            case.found(&checks::DKIM_NULL, &label, draft(title));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 6376 appendix C, 1024 bits.
    const RFC_KEY: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt\
        IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi\
        tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB";

    #[test]
    fn keys_are_measured() {
        assert_eq!(read(&format!("v=DKIM1; p={RFC_KEY}")), (Key::Rsa(1024), false));
        assert_eq!(read(&format!("v=DKIM1; t=y:s; p={RFC_KEY}")), (Key::Rsa(1024), true));
        assert_eq!(read(NOBODY), (Key::Revoked, false));
        let ed = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        assert_eq!(read(ed), (Key::Ed25519, false));
        for text in
            ["v=DKIM1", "v=DKIM2; p=", "v=DKIM1; p=%%", "k=dsa; p=AAAA", "k=ed25519; p=AAAA", "p=AAAA", "x"]
        {
            assert!(matches!(read(text).0, Key::Unreadable(_)), "{text}");
        }
    }
}
