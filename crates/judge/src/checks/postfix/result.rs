//! The right-hand side of an alias: a list of addresses, programs, files and further lists (aliases(5)).

/// Most targets read from one entry.
const MAX_TARGETS: usize = 10_000;

/// One target of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// An address with a domain.
    Address(String),
    /// A name without a domain: the server's own.
    Local(String),
    /// A program, without its `|`.
    Command(String),
    /// A file.
    File(String),
    /// A file of further targets.
    Include(String),
}

/// The targets of a result. Where a text can be read in two ways, each word counts as a target: one too many
/// shows, one too few hides.
pub(crate) fn targets(result: &str) -> Vec<Target> {
    split(result, |c| c == ',').into_iter().flat_map(of_piece).take(MAX_TARGETS).collect()
}

/// Whether a result may name more targets than are read.
pub(crate) fn is_crowd(result: &str) -> bool {
    // Every target ends with one of these, and a part of them stands inside quotes.
    result.bytes().filter(|byte| b", \t".contains(byte)).nth(MAX_TARGETS - 1).is_some()
        && targets(result).len() >= MAX_TARGETS
}

fn of_piece(piece: &str) -> Vec<Target> {
    let piece = piece.trim();
    if let Some(inner) = quoted_whole(piece).filter(|inner| is_special(inner)) {
        return vec![special(&inner)];
    }
    if is_special(piece) {
        return vec![special(piece)];
    }
    if let Some(address) = angle_address(piece) {
        return vec![address_or_name(address)];
    }
    let words = split(piece, char::is_whitespace).into_iter().filter(|word| !word.is_empty());
    words.map(|word| if is_special(word) { special(word) } else { address_or_name(word) }).collect()
}

fn is_special(text: &str) -> bool {
    text.starts_with('|') || text.starts_with('/') || is_include(text)
}

fn is_include(text: &str) -> bool {
    text.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(":include:"))
}

fn special(text: &str) -> Target {
    if let Some(command) = text.strip_prefix('|') {
        Target::Command(command.trim().trim_matches('"').to_owned())
    } else if is_include(text) {
        Target::Include(text[9..].trim().to_owned())
    } else {
        Target::File(text.to_owned())
    }
}

/// A backslash before a name stops further aliasing; the name is still local.
fn address_or_name(word: &str) -> Target {
    let word = word.strip_prefix('\\').unwrap_or(word);
    if word.contains('@') { Target::Address(word.to_owned()) } else { Target::Local(word.to_owned()) }
}

/// What stands inside when the quotes are around everything.
fn quoted_whole(piece: &str) -> Option<String> {
    let inner = piece.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => text.extend(characters.next()),
            _ => text.push(character),
        }
    }
    Some(text)
}

fn angle_address(piece: &str) -> Option<&str> {
    let inner = piece.strip_suffix('>')?;
    let open = inner.rfind('<')?;
    Some(inner[open + 1..].trim())
}

/// Pieces between separators that stand outside quotes.
fn split(text: &str, is_separator: impl Fn(char) -> bool) -> Vec<&str> {
    let (mut quoted, mut escaped, mut from) = (false, false, 0);
    let mut pieces = Vec::new();
    for (at, character) in text.char_indices() {
        let was_escaped = std::mem::take(&mut escaped);
        match character {
            _ if was_escaped => {}
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if !quoted && is_separator(character) => {
                pieces.push(&text[from..at]);
                from = at + character.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[from..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Target {
        Target::Address(text.to_owned())
    }

    #[test]
    fn results_are_read_as_postfix_reads_them() {
        for (result, expected) in [
            ("a@x, b@y", vec![address("a@x"), address("b@y")]),
            ("a@x b@y", vec![address("a@x"), address("b@y")]),
            ("Bob B <b@y>,c", vec![address("b@y"), Target::Local("c".to_owned())]),
            ("\\alice", vec![Target::Local("alice".to_owned())]),
            ("\"a, b\"@x", vec![address("\"a, b\"@x")]),
            ("\"|/bin/tee \\\"x\\\", y\"", vec![Target::Command("/bin/tee \"x\", y".to_owned())]),
            ("|/bin/tee x", vec![Target::Command("/bin/tee x".to_owned())]),
            ("|\"/bin/tee x, y\"", vec![Target::Command("/bin/tee x, y".to_owned())]),
            ("\":include:/l\"", vec![Target::Include("/l".to_owned())]),
            (":Include:/l, /f", vec![Target::Include("/l".to_owned()), Target::File("/f".to_owned())]),
            ("", vec![]),
            ("\"", vec![Target::Local("\"".to_owned())]),
        ] {
            assert_eq!(targets(result), expected, "{result}");
        }
    }
}
