//! The two kinds of list in main.cf: words, and words that may be groups in braces.

/// The entries of a list: separated by commas and blanks, but not inside braces.
pub(crate) fn split(value: &str) -> Vec<&str> {
    let mut entries = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in value.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 && is_separator(c) => {
                entries.push(&value[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    entries.push(&value[start..]);
    entries.retain(|entry| !entry.is_empty());
    entries
}

/// The inside of an entry in braces, or the entry.
pub(crate) fn inside(entry: &str) -> &str {
    entry.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(entry).trim()
}

fn is_separator(c: char) -> bool {
    c == ',' || c.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn groups_are_kept_together() {
        let value = "inet:a:1, { inet:b:2, default_action=accept } unix:/c";
        assert_eq!(split(value), ["inet:a:1", "{ inet:b:2, default_action=accept }", "unix:/c"]);
        assert_eq!(inside("{ inet:b:2, x=y }"), "inet:b:2, x=y");
        assert_eq!(split(" ,\n "), [""; 0]);
    }

    proptest! {
        #[test]
        fn nothing_but_separators_is_lost(value in "[a-c{},\\s]{0,40}") {
            let kept: usize = split(&value).iter().map(|entry| entry.len()).sum();
            let lost = value.chars().filter(|c| is_separator(*c)).count();
            prop_assert!(kept + lost >= value.len() && kept <= value.len());
        }
    }
}
