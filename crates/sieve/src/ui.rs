//! The comments by which mail programs remember their rules.

use crate::effects::{Role, Target, UiRule, UiView, Visible};
use crate::lexer::TokenKind;
use crate::tree::Tree;
use std::rc::Rc;

/// What the program that wrote a script remembers in it and shows of it.
#[derive(Debug, Default)]
pub(crate) struct Ui {
    family: Option<&'static str>,
    marks: Vec<RuleMark>,
    /// The record of all rules that some programs put at the end.
    appendix: Option<String>,
    /// Top-level commands, as far as a program may treat their insides in a way of its own.
    rules: Vec<Rule>,
}

/// A rule and the offset from which it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RuleMark {
    from: usize,
    rule: Option<UiRule>,
    /// The program's own record of the rule, from which it shows and rewrites it.
    record: Option<Rc<str>>,
}

#[derive(Debug)]
struct Rule {
    end: usize,
    nested: bool,
    off: bool,
}

/// Programs that write their scripts anew from a database, or from records of their own in the script.
const REWRITING: [&str; 14] = [
    "afterlogic",
    "egroupware",
    "smartsieve",
    "zimbra",
    "jmap-vacation",
    "ingo",
    "sogo",
    "nextcloud",
    "snappymail",
    "rainloop",
    "fastmail",
    "proton",
    "avelsieve",
    "roundcube-kep14",
];

impl Ui {
    /// Text inside strings is not a comment and never a rule. `name` is the script's: some programs are
    /// known by nothing else.
    pub(crate) fn of(name: &str, script: &[u8], tree: &Tree) -> Self {
        let mut ui = Self { family: by_name(name).or_else(|| by_commands(script, tree)), ..Self::default() };
        let mut record = None;
        for token in &tree.tokens {
            let lines = match token.kind {
                TokenKind::LineComment | TokenKind::BlockComment => token.bytes(script),
                _ => continue,
            };
            let text = String::from_utf8_lossy(lines);
            ui.family = generator(&text).or(ui.family);
            ui.append(&text);
            if let Some(found) = record_in(&text) {
                record = Some(Rc::from(found));
            }
            if let Some(rule) = named_rule(&text, ui.family, record.as_deref()) {
                ui.family = ui.family.or(rule.as_ref().map(|rule| rule.ui));
                if rule.is_none() {
                    record = None;
                }
                ui.marks.push(RuleMark { from: token.start, rule, record: record.clone() });
            }
        }
        if ui.family.is_some() {
            ui.rules = rules(script, tree);
        }
        ui
    }

    /// SmartSieve, Websieve and EGroupware list their rules again behind a mark, and read nothing else.
    fn append(&mut self, comment: &str) {
        match &mut self.appendix {
            Some(appendix) => {
                let json = comment.trim_start_matches('#').starts_with('{');
                self.family = if json { Some("egroupware") } else { self.family };
                appendix.push_str(comment);
            }
            None if comment.contains(APPENDIX) => self.appendix = Some(String::new()),
            None => {}
        }
    }

    fn mark_at(&self, offset: usize) -> Option<&RuleMark> {
        let after = self.marks.partition_point(|mark| mark.from <= offset);
        after.checked_sub(1).map(|at| &self.marks[at])
    }

    /// The rule that holds at `offset`.
    pub(crate) fn rule_at(&self, offset: usize) -> Option<UiRule> {
        self.mark_at(offset).and_then(|mark| mark.rule.clone())
    }

    /// How the program treats the effect at `offset` that concerns `targets`.
    pub(crate) fn view(&self, offset: usize, targets: &[Target]) -> Option<UiView> {
        let ui = self.family?;
        let rule = self.rules.get(self.rules.partition_point(|rule| rule.end <= offset));
        let (visible, why) = self.visibility(ui, offset, rule, targets);
        Some(UiView {
            ui,
            visible,
            why,
            enabled: rule.is_none_or(|rule| !rule.off),
            rewritten: REWRITING.contains(&ui),
        })
    }

    fn visibility(
        &self,
        ui: &str,
        offset: usize,
        rule: Option<&Rule>,
        targets: &[Target],
    ) -> (Visible, &'static str) {
        let mark = self.mark_at(offset);
        let named = mark.is_some_and(|mark| mark.rule.is_some());
        match ui {
            "roundcube" | "roundcube-sieverules" if !named => {
                (Visible::No, "it stands before the first named rule; such code is kept but not shown")
            }
            "roundcube" | "roundcube-sieverules" if rule.is_some_and(|rule| rule.nested) => (
                Visible::No,
                "rules with an `if` inside are dropped from the list, and deleted at the next save",
            ),
            "nextcloud" | "snappymail" | "rainloop" | "avelsieve" => {
                match mark.and_then(|mark| mark.record.as_deref()) {
                    None => (Visible::No, "it stands outside the blocks that this program reads"),
                    Some(record) if is_recorded(record, targets) => (Visible::Yes, ""),
                    Some(_) => (Visible::No, "the program shows its own record, which names another target"),
                }
            }
            "smartsieve" | "egroupware" => match &self.appendix {
                Some(appendix) if is_recorded(appendix, targets) => (Visible::Yes, ""),
                _ => (Visible::No, "the program shows its own record, which names no such target"),
            },
            "afterlogic" => {
                (Visible::Unknown, "the program shows what its own comments say, not the code beside them")
            }
            "jmap-vacation" => (Visible::Unknown, "the server writes this script from its vacation settings"),
            "sogo" | "ingo" | "proton" | "fastmail" => {
                (Visible::Unknown, "the program shows its own database, not this script")
            }
            _ if named => (Visible::Yes, ""),
            _ => (Visible::Unknown, "no rule of this program names it"),
        }
    }
}

/// Scripts that carry no mark but their name.
fn by_name(name: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 6] = [
        ("sogo", "sogo"),
        ("ingo", "ingo"),
        ("rainloop.user", "rainloop"),
        ("Open-Xchange", "open-xchange"),
        ("vacation", "jmap-vacation"),
        ("urn:ietf:params:jmap:vacationresponse", "jmap-vacation"),
    ];
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, ui)| *ui)
}

/// Zimbra has commands of its own and no other mark.
fn by_commands(script: &[u8], tree: &Tree) -> Option<&'static str> {
    const OWN: [&[u8]; 2] = [b"disabled_if", b"tag"];
    let own = |name: &[u8]| OWN.iter().any(|known| known.eq_ignore_ascii_case(name));
    tree.commands.iter().any(|command| own(tree.text(script, command.name))).then_some("zimbra")
}

/// Top-level commands in order; what a comment follows in `if false # ...` is switched off.
fn rules(script: &[u8], tree: &Tree) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for command in &tree.commands {
        if command.depth == 0 {
            let test = command.test.map(|test| &tree.tests[test as usize]);
            let name = test.and_then(|test| test.name).map(|name| tree.text(script, name));
            let off = name.is_some_and(|name| name.eq_ignore_ascii_case(b"false"))
                || tree.text(script, command.name).eq_ignore_ascii_case(b"disabled_if");
            rules.push(Rule { end: command.end, nested: false, off });
        } else if let Some(rule) = rules.last_mut() {
            rule.nested |= command.has_block;
        }
    }
    rules
}

/// Everything that leaves by address must be in the record as it is in the code.
fn is_recorded(record: &str, targets: &[Target]) -> bool {
    let plain = record.replace("\\/", "/");
    let outward = targets
        .iter()
        .filter(|target| matches!(target.role, Role::Recipient | Role::Cc | Role::Bcc | Role::Mailbox));
    outward.into_iter().all(|target| plain.contains(target.raw.as_str()) || plain.contains(target.text()))
}

/// The record a comment holds: JSON as it is, or in base64.
fn record_in(comment: &str) -> Option<String> {
    for mark in ["# FILTER:", "# DATA:"] {
        if let Some(json) = comment.strip_prefix(mark) {
            return Some(json.trim().to_owned());
        }
    }
    if let Some(rest) = comment.split_once("#START_SIEVE_RULE") {
        return decoded(rest.1.split("END_SIEVE_RULE").next().unwrap_or_default());
    }
    let (_, rest) = comment.split_once("BEGIN:HEADER")?;
    decoded(rest.split("END:HEADER").next().unwrap_or_default())
}

/// RFC 4648 §4; line ends and padding are skipped.
fn decoded(text: &str) -> Option<String> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        held = (held << 6 | digit(byte)?) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The value of `"Name":"..."` in a record.
fn recorded_name(record: &str) -> Option<String> {
    let (_, rest) = record.split_once("\"Name\":").or_else(|| record.split_once("\"name\":"))?;
    let mut characters = rest.trim_start().strip_prefix('"')?.chars();
    let mut name = String::new();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Some(name),
            '\\' => match characters.next()? {
                'u' => {
                    let digits: String = characters.by_ref().take(4).collect();
                    name.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
                }
                other => name.push(other),
            },
            other => name.push(other),
        }
    }
    None
}

/// Behind this comment SmartSieve and its kin keep their rules in a notation of their own.
const APPENDIX: &str = "##PSEUDO script start";

/// A comment by which a program signs the whole script.
fn generator(comment: &str) -> Option<&'static str> {
    const SIGNATURES: [(&str, &str); 14] = [
        (APPENDIX, "smartsieve"),
        ("#sieve_filter:", "afterlogic"),
        ("#sieve filter", "afterlogic"),
        ("SieveRules Plugin", "roundcube-sieverules"),
        ("Generated by Ingo", "ingo"),
        ("This is SnappyMail sieve script", "snappymail"),
        ("RAINLOOP:SIEVE", "rainloop"),
        ("Generated by OX Sieve Bundle", "open-xchange"),
        ("### Nextcloud Mail:", "nextcloud"),
        ("# EDITOR Roundcube", "roundcube-kep14"),
        ("# USER Management Script", "kep14"),
        ("#AVELSIEVE_VERSION", "avelsieve"),
        ("# Generated: Do not run this script on spam messages", "proton"),
        ("Sieve generated for ", "fastmail"),
    ];
    SIGNATURES.iter().find(|(text, _)| comment.contains(text)).map(|(_, ui)| *ui)
}

/// `Some(None)` ends the rule before without beginning another.
fn named_rule(comment: &str, family: Option<&'static str>, record: Option<&str>) -> Option<Option<UiRule>> {
    let named = |ui: &'static str, name: &str| Some(Some(UiRule { ui, name: name.trim().to_owned() }));
    let text = comment.trim_end();
    if let Some(rest) = text.strip_prefix("# rule:[") {
        let ui = family.filter(|ui| *ui == "roundcube-sieverules").unwrap_or("roundcube");
        return named(ui, rest.strip_suffix(']').unwrap_or(rest));
    }
    if let Some(name) = text.strip_prefix("# Filter:") {
        return named("sievelib", name);
    }
    if let Some(name) = text.strip_prefix("#SCRIPTNAME:") {
        return named("kmail", name);
    }
    if let Some((_, name)) = text.strip_prefix("## Flag:").and_then(|rest| rest.split_once("Rulename:")) {
        return named("open-xchange", name);
    }
    if let Some((_, name)) = text.strip_prefix("###").and_then(|rest| rest.split_once("Sieve generated for "))
    {
        return named("fastmail", name.trim_end_matches(['{', ' ']));
    }
    match family? {
        "nextcloud" => nextcloud_rule(text),
        "snappymail" => block_rule(text, "snappymail", record),
        "rainloop" => block_rule(text, "rainloop", record),
        "avelsieve" if text.contains("START_SIEVE_RULE") => named("avelsieve", ""),
        "ingo" => ingo_rule(text),
        "zimbra" => text.strip_prefix("# ").and_then(|name| named("zimbra", name)),
        _ => None,
    }
}

fn nextcloud_rule(text: &str) -> Option<Option<UiRule>> {
    if text.starts_with("### Nextcloud Mail: Vacation") {
        return Some(Some(UiRule { ui: "nextcloud", name: "Vacation Responder".to_owned() }));
    }
    if text.starts_with("###") {
        return Some(None);
    }
    let name = text.strip_prefix("# ")?;
    let bookkeeping = name.starts_with("FILTER:") || name.starts_with("DATA:");
    (!bookkeeping).then(|| Some(UiRule { ui: "nextcloud", name: name.trim().to_owned() }))
}

/// The id stands in the comment; the name the user sees is inside its base64.
fn block_rule(text: &str, ui: &'static str, record: Option<&str>) -> Option<Option<UiRule>> {
    if text.contains("END:FILTER") {
        return Some(None);
    }
    let (_, rest) = text.split_once("BEGIN:FILTER:")?;
    let id = || rest.lines().next().unwrap_or_default().trim().to_owned();
    Some(Some(UiRule { ui, name: record.and_then(recorded_name).unwrap_or_else(id) }))
}

fn ingo_rule(text: &str) -> Option<Option<UiRule>> {
    let name = text.strip_prefix("# ")?;
    let heading = name.starts_with("Generated by Ingo") || name == "Sieve Filter";
    (!heading).then(|| Some(UiRule { ui: "ingo", name: name.trim().to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, parser::parse};

    fn ui_of(script: &str) -> Ui {
        Ui::of("", script.as_bytes(), &parse(script.as_bytes(), Dialect::Pigeonhole))
    }

    fn rule_of(script: &str, command: &str) -> Option<(&'static str, String)> {
        ui_of(script).rule_at(script.find(command).unwrap()).map(|rule| (rule.ui, rule.name))
    }

    fn view_of(script: &str, command: &str, target: &str) -> UiView {
        let target = Target { raw: target.to_owned(), address: None, role: Role::Recipient };
        ui_of(script).view(script.find(command).unwrap(), &[target]).unwrap()
    }

    #[test]
    fn roundcube_hides_what_stands_before_its_rules_and_nested_ones() {
        let script = "discard;\r\n# rule:[A]\r\nif true\r\n{\r\n\tkeep;\r\n}\r\n\
                      # rule:[B]\r\nif true\r\n{\r\nif true { stop; }\r\n}\r\n\
                      # rule:[C]\r\nif false # true\r\n{\r\n\tredirect \"a@b\";\r\n}\r\n";
        assert_eq!(view_of(script, "discard", "").visible, Visible::No);
        assert_eq!(view_of(script, "keep", "").visible, Visible::Yes);
        assert_eq!(view_of(script, "stop", "").visible, Visible::No);
        let redirect = view_of(script, "redirect", "a@b");
        assert!(!redirect.enabled && redirect.visible == Visible::Yes && !redirect.rewritten);
        assert!(view_of(script, "keep", "").enabled);
    }

    #[test]
    fn records_tell_the_name_and_whether_code_was_slipped_in() {
        // {"ID":"1","Name":"Caf\u00e9","Enabled":true,"ActionValue":"a@x.example"}
        let header = "eyJJRCI6IjEiLCJOYW1lIjoiQ2FmXHUwMGU5IiwiRW5hYmxlZCI6dHJ1ZSwiQWN0aW9uVmFsdWUi\r\n\
                      OiJhQHguZXhhbXBsZSJ9";
        let script = format!(
            "# This is SnappyMail sieve script.\r\n/*\r\nBEGIN:FILTER:1\r\nBEGIN:HEADER\r\n{header}\r\n\
             END:HEADER\r\n*/\r\nredirect \"a@x.example\";\r\n/* END:FILTER */\r\nstop;"
        );
        assert_eq!(rule_of(&script, "redirect"), Some(("snappymail", "Caf\u{e9}".to_owned())));
        assert_eq!(view_of(&script, "redirect", "a@x.example").visible, Visible::Yes);
        let slipped = view_of(&script, "redirect", "evil@z.example");
        assert!(slipped.visible == Visible::No && slipped.rewritten);
        assert_eq!(view_of(&script, "stop", "").visible, Visible::No);
    }

    #[test]
    fn a_list_at_the_end_is_all_that_some_programs_show() {
        let list = "redirect \"a@x.example\";\nredirect \"evil@z.example\";\n##PSEUDO script start\n";
        for (ui, rules) in [
            ("smartsieve", "#rule&&1&&ENABLED&&&&&&&&address&&a@x.example&&0\n"),
            ("egroupware", "#{\"rules\":[{\"action_arg\":\"a@x.example\"}]}\n"),
        ] {
            let script = format!("{list}{rules}");
            let shown = view_of(&script, "redirect", "a@x.example");
            assert_eq!((shown.ui, shown.visible, shown.rewritten), (ui, Visible::Yes, true));
            assert_eq!(view_of(&script, "redirect", "evil@z.example").visible, Visible::No);
        }
    }

    #[test]
    fn zimbra_names_rules_by_comments_and_switches_them_off_by_a_command() {
        let script =
            "# Correo\nif true { redirect \"a@x.example\"; }\n# Old\ndisabled_if true { discard; }\n";
        assert_eq!(rule_of(script, "redirect"), Some(("zimbra", "Correo".to_owned())));
        assert!(view_of(script, "redirect", "a@x.example").enabled);
        let off = view_of(script, "discard", "");
        assert!(!off.enabled && off.rewritten);
    }

    #[test]
    fn afterlogic_and_vacation_scripts_are_known() {
        let script =
            "#sieve filter\n#sieve_filter:1;0;0;x;3;y\nredirect \"a@x.example\";\n#end sieve filter\n";
        let view = view_of(script, "redirect", "a@x.example");
        assert_eq!((view.ui, view.visible, view.rewritten), ("afterlogic", Visible::Unknown, true));
        let tree = parse(b"keep;", Dialect::Stalwart);
        let view = Ui::of("vacation", b"keep;", &tree).view(0, &[]).unwrap();
        assert_eq!((view.ui, view.rewritten), ("jmap-vacation", true));
    }

    #[test]
    fn scripts_of_databases_come_back() {
        let tree = parse(b"keep;", Dialect::Pigeonhole);
        let view = Ui::of("sogo", b"keep;", &tree).view(0, &[]).unwrap();
        assert!(view.rewritten && view.visible == Visible::Unknown);
        assert!(Ui::of("mine", b"keep;", &tree).view(0, &[]).is_none());
    }

    #[test]
    fn rules_are_named_by_the_comment_before_them() {
        let script =
            "require \"copy\";\r\n# rule:[Holiday]\r\nif true\r\n{\r\n\tkeep;\r\n}\r\n# Filter: x\nstop;";
        assert_eq!(rule_of(script, "require"), None);
        assert_eq!(rule_of(script, "keep"), Some(("roundcube", "Holiday".to_owned())));
        assert_eq!(rule_of(script, "stop"), Some(("sievelib", "x".to_owned())));
    }

    #[test]
    fn text_in_strings_names_nothing() {
        assert_eq!(rule_of("redirect \"\n# rule:[x]\n\"; keep;", "keep"), None);
    }

    #[test]
    fn ingo_and_nextcloud_name_rules_by_plain_comments() {
        let ingo = "# Sieve Filter\n# Generated by Ingo (x)\n# Forwards\nredirect \"a@b\";";
        assert_eq!(rule_of(ingo, "redirect"), Some(("ingo", "Forwards".to_owned())));
        let nextcloud = "### Nextcloud Mail: Filters ### DON'T EDIT ###\n# FILTER: []\n# Copy\nkeep;\n\
                         ### Nextcloud Mail: Filters ### DON'T EDIT ###\nstop;";
        assert_eq!(rule_of(nextcloud, "keep"), Some(("nextcloud", "Copy".to_owned())));
        assert_eq!(rule_of(nextcloud, "stop"), None);
    }
}
