//! Words of a command line that an administrator will paste.

/// One word for a POSIX shell that stays one word whatever is in it. Control characters are written as
/// escapes, because a terminal would act on them before the shell sees the quotes.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else if text.chars().any(char::is_control) {
        escaped(text)
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Words joined by blanks; `--` stands before them when one would be taken for an option.
pub(crate) fn operands(texts: &[&str]) -> String {
    let words: Vec<String> = texts.iter().map(|text| word(text)).collect();
    let ends_options = texts.iter().any(|text| text.starts_with('-'));
    format!("{}{}", if ends_options { "-- " } else { "" }, words.join(" "))
}

/// The `$'...'` form of POSIX.1-2024 §2.2.4.
fn escaped(text: &str) -> String {
    let mut word = "$'".to_owned();
    for character in text.chars() {
        match character {
            '\'' | '\\' => word.extend(['\\', character]),
            _ if character.is_control() => {
                let mut bytes = [0; 4];
                word.extend(character.encode_utf8(&mut bytes).bytes().map(|byte| format!("\\{byte:03o}")));
            }
            _ => word.push(character),
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_words_stay_one_word() {
        assert_eq!(word("bob@example.test"), "bob@example.test");
        assert_eq!(word(""), "''");
        assert_eq!(word("a; rm -rf /"), "'a; rm -rf /'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word("a\nb'\u{1b}"), r"$'a\012b\'\033'");
        assert_eq!(operands(&["-u", "x"]), "-- -u x");
    }
}
