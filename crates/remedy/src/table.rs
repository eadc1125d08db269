//! Taking one target out of one entry of a Postfix table's text, and nothing else (postmap(1), aliases(5)).

/// An entry where it stands: the first line and the one behind its last, and what it says.
struct Entry {
    from: usize,
    to: usize,
    /// Everything up to the value, as it is written.
    head: String,
    value: String,
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `key value`.
    Table,
    /// `key: value`.
    Aliases,
}

/// Why a text is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is no text.
    NoText,
    /// The entry, or the target in it, is not there.
    NotThere,
    /// The key stands twice; taking the first away would let the second act.
    Twice,
    /// The value holds quotes or comments, which are not taken apart here.
    NotPlain,
}

impl Refusal {
    pub(crate) fn why(&self) -> &'static str {
        match self {
            Self::NoText => "the text is not UTF-8",
            Self::NotThere => "the text does not hold the entry as it is in force",
            Self::Twice => "the key stands more than once in the text",
            Self::NotPlain => "the entry holds quotes, which are not taken apart safely",
        }
    }
}

/// The text without a target. An entry that leads nowhere else is turned into a comment, so that nothing is lost.
pub(crate) fn without(text: &[u8], dialect: Dialect, key: &str, target: &str) -> Result<Vec<u8>, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| Refusal::NoText)?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let entry = only(&lines, dialect, key)?;
    if entry.value.contains(['"', '\\', '<', '#']) {
        return Err(Refusal::NotPlain);
    }
    let targets: Vec<&str> = listed(&entry.value);
    let kept: Vec<&str> = targets.iter().filter(|one| !one.eq_ignore_ascii_case(target)).copied().collect();
    if kept.len() == targets.len() {
        return Err(Refusal::NotThere);
    }
    let end = if lines[entry.to - 1].ends_with('\n') { "\n" } else { "" };
    let new = match kept.as_slice() {
        [] => lines[entry.from..entry.to].iter().map(|line| format!("# {line}")).collect(),
        kept => format!("{}{}{end}", entry.head, kept.join(", ")),
    };
    Ok([lines[..entry.from].concat(), new, lines[entry.to..].concat()].concat().into_bytes())
}

/// The value of a key; `None` where it has none.
pub(crate) fn value_of(text: &[u8], dialect: Dialect, key: &str) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    entries(&lines, dialect).into_iter().find(|entry| is_key(&entry.head, key)).map(|entry| entry.value)
}

fn listed(value: &str) -> Vec<&str> {
    value.split(|c: char| c == ',' || c.is_whitespace()).filter(|one| !one.is_empty()).collect()
}

fn only(lines: &[&str], dialect: Dialect, key: &str) -> Result<Entry, Refusal> {
    let mut found = entries(lines, dialect).into_iter().filter(|entry| is_key(&entry.head, key));
    let entry = found.next().ok_or(Refusal::NotThere)?;
    if found.next().is_some() { Err(Refusal::Twice) } else { Ok(entry) }
}

/// Keys are folded when a table is made.
fn is_key(head: &str, key: &str) -> bool {
    head.trim().trim_end_matches(':').trim_matches('"').eq_ignore_ascii_case(key)
}

fn entries(lines: &[&str], dialect: Dialect) -> Vec<Entry> {
    let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let mut entries: Vec<Entry> = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !is_blank(line)) {
        if line.starts_with([' ', '\t']) {
            if let Some(entry) = entries.last_mut() {
                // A comment in between keeps an entry from being taken out whole.
                entry.value.push_str(if entry.to == at { " " } else { " # " });
                entry.value.push_str(line.trim());
                entry.to = at + 1;
            }
            continue;
        }
        let end = match dialect {
            Dialect::Table => line.find([' ', '\t']),
            Dialect::Aliases => line.find(':').map(|colon| colon + 1),
        };
        let Some(end) = end else { continue };
        let blanks = line[end..].len() - line[end..].trim_start().len();
        let head = line[..end + blanks].trim_end_matches('\n').to_owned();
        entries.push(Entry { from: at, to: at + 1, head, value: line[end..].trim().to_owned() });
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, dialect: Dialect, key: &str, target: &str) -> String {
        String::from_utf8(without(text.as_bytes(), dialect, key, target).unwrap()).unwrap()
    }

    #[test]
    fn one_target_goes_and_everything_else_stays_byte_for_byte() {
        let text = "# head\nA@x.test\tb@y.test,\n  eve@z.test c@y.test\n\nother@x.test eve@z.test";
        assert_eq!(
            edited(text, Dialect::Table, "a@x.test", "EVE@z.test"),
            "# head\nA@x.test\tb@y.test, c@y.test\n\nother@x.test eve@z.test"
        );
        assert_eq!(
            edited(text, Dialect::Table, "other@x.test", "eve@z.test"),
            "# head\nA@x.test\tb@y.test,\n  eve@z.test c@y.test\n\n# other@x.test eve@z.test"
        );
        assert_eq!(edited("root: bob, eve@z.test\n", Dialect::Aliases, "root", "eve@z.test"), "root: bob\n");
        assert_eq!(value_of(b"a b\n c\n", Dialect::Table, "A").as_deref(), Some("b c"));
        assert_eq!(value_of(b"# a b\n", Dialect::Table, "a"), None);
    }

    #[test]
    fn what_is_not_plain_is_left_alone() {
        let refused = |text: &str| without(text.as_bytes(), Dialect::Aliases, "a", "x@y").unwrap_err();
        assert_eq!(refused("b: x@y\n"), Refusal::NotThere);
        assert_eq!(refused("a: z@y\n"), Refusal::NotThere);
        assert_eq!(refused("a: x@y\nA: b\n"), Refusal::Twice);
        assert_eq!(refused("a: \"|/bin/x\", x@y\n"), Refusal::NotPlain);
        assert_eq!(refused("a: b,\n# c\n x@y\n"), Refusal::NotPlain);
        assert_eq!(without(b"\xff", Dialect::Table, "a", "b"), Err(Refusal::NoText));
    }
}
