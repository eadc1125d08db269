//! Rules of Rspamd's metadata_exporter, which hand messages, or what is known of them, to somebody else. By default a
//! rule takes every message, whole.

/// The files that hold such rules, below Rspamd's configuration directory.
pub(super) const FILES: [&str; 3] = [
    "local.d/metadata_exporter.conf",
    "override.d/metadata_exporter.conf",
    "modules.local.d/metadata_exporter.conf",
];
/// Programs that Rspamd runs and that can do anything with a message.
pub(super) const PROGRAMS: [&str; 3] = ["rspamd.local.lua", "lua/rspamd.local.lua", "lua.local.d"];
/// Where a rule sends something.
const DESTINATIONS: [&str; 3] = ["url", "mail_to", "smtp"];

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exporters {
    /// Line, rule and destination of each.
    pub(super) rules: Vec<(u32, String, String)>,
    /// Lines that lead elsewhere and were not followed.
    pub(super) not_followed: Vec<u32>,
}

/// Reads settings as Rspamd writes them: `name { ... }`, `key = value;`, `#` and `/* */` comments, several to a line.
pub(super) fn read(text: &str) -> Exporters {
    let mut found = Exporters::default();
    let mut blocks: Vec<String> = Vec::new();
    for (line, word) in statements(text) {
        let word = word.trim();
        if word.starts_with('.') {
            found.not_followed.push(line);
        } else if let Some(head) = word.strip_suffix('{') {
            let name = head.trim().trim_end_matches(['=', ':']).trim().trim_matches('"').to_owned();
            blocks.push(name);
        } else if word == "}" {
            blocks.pop();
        } else if let Some((key, value)) = word.split_once(['=', ':', ' ']) {
            let key = key.trim().trim_matches('"').to_lowercase();
            if DESTINATIONS.contains(&key.as_str()) {
                let rule = blocks.last().cloned().unwrap_or_default();
                found.rules.extend(values(value).into_iter().map(|value| (line, rule.clone(), value)));
            }
        }
    }
    found
}

/// One value, or each of a list.
fn values(text: &str) -> Vec<String> {
    let bare = text.trim().trim_start_matches(['=', ':']).trim().trim_matches(['[', ']']);
    let values = bare.split(',').map(|value| value.trim().trim_matches(['"', '\'']).to_owned());
    values.filter(|value| !value.is_empty()).collect()
}

/// Statements with the line each begins on: up to a semicolon, a brace or the end of a line, outside quotes and lists.
fn statements(text: &str) -> Vec<(u32, String)> {
    let (mut found, mut word, mut line, mut from) = (Vec::new(), String::new(), 1_u32, 1_u32);
    let (mut quoted, mut lists, mut block_comment, mut comment) = (false, 0_usize, false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_end = c == '\n';
        line += u32::from(is_end);
        if block_comment {
            block_comment = !(c == '*' && chars.next_if_eq(&'/').is_some());
            continue;
        }
        if comment && !is_end {
            continue;
        }
        comment = false;
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => comment = true,
            '/' if !quoted && chars.peek() == Some(&'*') => block_comment = true,
            '[' if !quoted => lists += 1,
            ']' if !quoted => lists = lists.saturating_sub(1),
            _ => {}
        }
        let splits = !quoted && lists == 0 && matches!(c, ';' | '\n' | '{' | '}');
        if (comment || block_comment) && !quoted {
            continue;
        }
        if c == '{' && splits {
            word.push(c);
        } else if !splits {
            if word.trim().is_empty() {
                from = line;
            }
            word.push(if is_end { ' ' } else { c });
            continue;
        }
        let done = std::mem::take(&mut word);
        if !done.trim().is_empty() {
            found.push((from, done));
        }
        if c == '}' {
            found.push((line, "}".to_owned()));
        }
    }
    if !word.trim().is_empty() {
        found.push((from, word));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rules_are_found_with_their_line_and_comments_are_not() {
        let text = "# url = \"http://no.example/\";\nrules {\n  SPY {\n    backend = \"http\"; url = \"https://x.example/in?a=b\";\n  }\n\
                    \n  MAIL { backend = send_mail; mail_to = [\"a@b.test\", \"c@d.test\"];\n /* smtp = \"no\"; */ smtp = \"mx.b.test\" }\n}\n\
                    .include \"/etc/x.conf\"\n";
        let found = read(text);
        let said: Vec<String> =
            found.rules.iter().map(|(line, rule, to)| format!("{line} {rule} {to}")).collect();
        assert_eq!(
            said,
            ["4 SPY https://x.example/in?a=b", "7 MAIL a@b.test", "7 MAIL c@d.test", "8 MAIL mx.b.test"]
        );
        assert_eq!(found.not_followed, [10]);
        assert_eq!(read("enabled = false;\n"), Exporters::default());
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(url|mail_to|=|[\"{};#\n*/\\[\\], ]|x){0,80}") {
            let lines = u32::try_from(text.lines().count()).unwrap() + 1;
            prop_assert!(read(&text).rules.iter().all(|(line, ..)| (1..=lines).contains(line)));
        }
    }
}
