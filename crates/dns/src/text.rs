//! Strangers' texts: shown safely, and read as the lists of tags that mail records are made of.

/// Longest piece of a stranger's text in a sentence, in characters.
const MAX_SHOWN: usize = 160;

/// A stranger's text for a sentence: in backticks, ASCII only, and cut.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::from("`");
    for character in text.chars().take(MAX_SHOWN) {
        match character {
            '`' => out.push('\''),
            ' '..='~' => out.push(character),
            other => out.extend(other.escape_unicode()),
        }
    }
    out.push_str(if text.chars().count() > MAX_SHOWN { "...`" } else { "`" });
    out
}

/// One `name=value` of a list parted by semicolons; the name in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Reads `name=value; name=value` (RFC 6376 §3.2, which DMARC, MTA-STS and TLS-RPT follow). The error is the
/// part that is none.
pub(crate) fn tags(text: &str) -> Result<Vec<Tag>, String> {
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').ok_or_else(|| part.to_owned())?;
            Ok(Tag { name: name.trim().to_ascii_lowercase(), value: value.trim().to_owned() })
        })
        .collect()
}

/// The value of a tag, the first where it stands twice.
pub(crate) fn value<'t>(tags: &'t [Tag], name: &str) -> Option<&'t str> {
    tags.iter().find(|tag| tag.name == name).map(|tag| tag.value.as_str())
}

/// Whether a text begins with this version tag, with or without spaces around the equals sign.
pub(crate) fn has_version(text: &str, name: &str, version: &str) -> bool {
    let first = text.split(';').next().unwrap_or_default();
    first.split_once('=').is_some_and(|(tag, value)| tag.trim() == name && value.trim() == version)
}

/// A name that is listed once, in the order in which it first stands.
pub(crate) fn twice(tags: &[Tag]) -> Option<&str> {
    let mut names: Vec<&str> = tags.iter().map(|tag| tag.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_cannot_steer_a_terminal_or_a_reader() {
        assert_eq!(quoted("v=spf1 -all"), "`v=spf1 -all`");
        assert_eq!(quoted("a\u{1b}[31m\u{202e}`\n"), "`a\\u{1b}[31m\\u{202e}'\\u{a}`");
        assert_eq!(quoted(&"x".repeat(4096)).len(), MAX_SHOWN + 5);
    }

    #[test]
    fn tags_are_read_with_any_spaces() {
        let read = tags(" v = DMARC1 ;p=reject;; rua=mailto:a@b=c ").unwrap();
        assert_eq!(value(&read, "p"), Some("reject"));
        assert_eq!(value(&read, "rua"), Some("mailto:a@b=c"));
        assert_eq!(tags("v=DMARC1 p=reject; none").unwrap_err(), "none");
        assert!(has_version("v = DMARC1; p=none", "v", "DMARC1"));
        assert!(!has_version("v=DMARC12", "v", "DMARC1"));
        assert_eq!(twice(&tags("a=1;b=2;A=3").unwrap()), Some("a"));
    }
}
