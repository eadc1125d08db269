//! Scripts as trees, and their text: as an engine gets it, or with every question about the message
//! answered, so that nothing in it is open any more.

use crate::chance::Chance;
use crate::laboratory::Message;

/// The words of a pattern around its places for strings. A `%` before a letter or digit encodes something.
fn around_strings(pattern: &str) -> impl Iterator<Item = &str> {
    let is_place = |at: usize| !pattern[at + 1..].starts_with(|next: char| next.is_ascii_alphanumeric());
    let places = pattern.match_indices('%').map(|(at, _)| at).filter(move |at| is_place(*at));
    let mut from = 0;
    places.chain([pattern.len()]).map(move |at| {
        let words = &pattern[from..at];
        from = (at + 1).min(pattern.len());
        words
    })
}

/// How many strings a pattern takes.
pub(crate) fn string_count(pattern: &str) -> usize {
    around_strings(pattern).count() - 1
}

/// A piece of a string.
#[derive(Debug, Clone)]
pub(crate) enum Atom {
    Plain(&'static str),
    /// Written as it stands.
    Raw(&'static str),
    /// Written in hexadecimal digits.
    Hex(&'static str),
    Variable(&'static str),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    pub(crate) atoms: Vec<Atom>,
    pub(crate) multiline: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Test {
    True,
    False,
    Not(Box<Test>),
    AnyOf(Vec<Test>),
    AllOf(Vec<Test>),
    Exists(&'static str),
    /// Match type, header, key.
    Header(&'static str, &'static str, Text),
    /// Address part, match type, header, key; the header holds one address.
    Address(&'static str, &'static str, &'static str, Text),
    /// Address part, match type, envelope part, key.
    Envelope(&'static str, &'static str, &'static str, Text),
    Body(&'static str),
    SizeOver(usize),
    Year(&'static str, &'static str),
    Ihave(&'static str),
    /// Comparator and match type, value, key.
    Compare(&'static str, Text, Text),
    /// A test before its arguments, and those; the message does not matter.
    Constant(&'static str, Option<Text>, Text),
    /// A whole test with a `%` for each string, whose answer is not in the script.
    Asked(&'static str, Vec<Text>),
    /// The same on nothing but strings.
    OfStrings(&'static str, Vec<Text>),
}

#[derive(Debug, Clone)]
pub(crate) enum Statement {
    /// A command before its last argument, and that argument if it has one.
    Act(&'static str, Option<Text>),
    /// A whole command with a `%` for each string.
    Whole(&'static str, Vec<Text>),
    /// Modifiers, name, value.
    Set(&'static str, &'static str, Text),
    If(Vec<(Test, Vec<Statement>)>, Option<Vec<Statement>>),
    EveryPart(Vec<Statement>),
    Break,
    Stop,
    Return,
    Global(&'static str),
    /// Tags, number of the script.
    Include(&'static str, usize),
}

/// A script, number 0, and those it includes.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) scripts: Vec<Vec<Statement>>,
    pub(crate) noise: u64,
    pub(crate) withheld: Vec<&'static str>,
    /// Written by the older drafts of two standards, which exclude the newer ones.
    pub(crate) old: bool,
}

/// What the scripts require, but for what a case withholds.
pub(crate) const CAPABILITIES: [&str; 24] = [
    "variables",
    "encoded-character",
    "fileinto",
    "copy",
    "include",
    "body",
    "envelope",
    "subaddress",
    "relational",
    "date",
    "ihave",
    "imap4flags",
    "reject",
    "vacation",
    "enotify",
    "foreverypart",
    "mime",
    "vnd.dovecot.pipe",
    "vnd.dovecot.report",
    "editheader",
    "mailbox",
    "extracttext",
    "environment",
    "duplicate",
];

/// Required too, but seldom asked for by `ihave`.
pub(crate) const MORE_CAPABILITIES: [&str; 14] = [
    "regex",
    "comparator-i;ascii-numeric",
    "index",
    "mboxmetadata",
    "servermetadata",
    "special-use",
    "spamtest",
    "spamtestplus",
    "virustest",
    "vacation-seconds",
    "vnd.dovecot.debug",
    "vnd.dovecot.environment",
    "vnd.dovecot.execute",
    "vnd.dovecot.filter",
];

/// The older drafts and what each excludes.
const OLDER: [(&str, &str); 2] = [("imapflags", "imap4flags"), ("notify", "enotify")];

impl Case {
    pub(crate) fn script_name(&self, number: usize) -> String {
        format!("{}-{number}", self.name)
    }

    /// The text of a script; with a message, everything that depends on it is replaced by its answer.
    pub(crate) fn text(&self, number: usize, answers: Option<&Message>) -> Vec<u8> {
        let mut writer = Writer {
            text: self.required(number),
            chance: Chance::new(self.noise),
            answers,
            case: self,
            loops: 0,
        };
        writer.block(&self.scripts[number]);
        writer.text.into_bytes()
    }

    fn required(&self, number: usize) -> String {
        let mut chance = Chance::new(self.noise ^ number as u64);
        let mut text = String::new();
        let older = |one: &&str| OLDER.iter().find(|(_, new)| self.old && new == one).map(|(old, _)| *old);
        let all = CAPABILITIES.iter().chain(&MORE_CAPABILITIES).filter(|one| !self.withheld.contains(one));
        for capability in all.map(|one| older(one).unwrap_or(one)) {
            let joint = match (text.is_empty(), chance.one_in(9)) {
                (true, _) => "require [",
                (false, true) => "];\nrequire [",
                (false, false) => ", ",
            };
            text.push_str(joint);
            text.push_str(&format!("\"{capability}\""));
        }
        text.push_str("];\n");
        text
    }

    /// Whether `text` with a message leaves nothing open.
    pub(crate) fn can_be_answered(&self) -> bool {
        let loops = |one: &Statement| matches!(one, Statement::EveryPart(_));
        let changes = |one: &Statement| match one {
            Statement::Act(command, _) => {
                command.starts_with("addheader") || command.starts_with("extracttext")
            }
            Statement::Whole(command, _) => {
                const OPEN: [&str; 10] = [
                    "denotify",
                    "fileinto :specialuse",
                    "addheader",
                    "deleteheader",
                    "extracttext",
                    "execute",
                    "filter",
                    "include",
                    "foreverypart",
                    "pipe :",
                ];
                OPEN.iter().any(|open| command.starts_with(open))
            }
            Statement::If(arms, _) => arms.iter().any(|(test, _)| asks(test)),
            _ => false,
        };
        let breaks = |one: &Statement| matches!(one, Statement::Break) || is_tangled(one);
        let any =
            |wanted: &dyn Fn(&Statement) -> bool| self.scripts.iter().any(|script| holds(script, wanted));
        !any(&breaks) && !any(&changes) && (self.scripts.len() == 1 || !any(&loops))
    }
}

/// Whether a variable is set to nothing but itself, or flags are taken from the variable that they change: what
/// the engine makes of that is left open.
fn is_tangled(statement: &Statement) -> bool {
    let names = |text: &Text, name: &str| {
        let reference = format!("${{{name}}}").to_lowercase();
        text.atoms.iter().map(written).any(|atom| {
            let atom = atom.to_lowercase().replace("${hex:24}", "$");
            atom.contains(&reference) || atom == format!("${{global.{name}}}").to_lowercase()
        })
    };
    match statement {
        Statement::Set("", name, text) => text.atoms.len() < 3 && names(text, name),
        Statement::Act(command, Some(text)) if command.contains("flag \"") => {
            !command.starts_with("addflag") && command.split('"').nth(1).is_some_and(|name| names(text, name))
        }
        _ => false,
    }
}

fn asks(test: &Test) -> bool {
    match test {
        Test::Asked(..) => true,
        // Whether an installation switches these on is not in the script.
        Test::Ihave(name) => matches!(*name, "editheader" | "vnd.dovecot.pipe" | "vnd.dovecot.report"),
        // Flags at the beginning are not known to the library.
        Test::Constant(how, None, _) => !how.contains('"'),
        Test::Not(inner) => asks(inner),
        Test::AnyOf(tests) | Test::AllOf(tests) => tests.iter().any(asks),
        _ => false,
    }
}

fn holds(block: &[Statement], wanted: &dyn Fn(&Statement) -> bool) -> bool {
    block.iter().any(|statement| {
        wanted(statement)
            || match statement {
                Statement::If(arms, otherwise) => {
                    arms.iter().any(|(_, body)| holds(body, wanted))
                        || otherwise.as_ref().is_some_and(|body| holds(body, wanted))
                }
                Statement::EveryPart(body) => holds(body, wanted),
                _ => false,
            }
    })
}

struct Writer<'a> {
    text: String,
    chance: Chance,
    answers: Option<&'a Message>,
    case: &'a Case,
    loops: usize,
}

impl Writer<'_> {
    fn block(&mut self, block: &[Statement]) {
        for statement in block {
            self.statement(statement);
            self.text.push('\n');
        }
    }

    fn braces(&mut self, block: &[Statement]) {
        self.gap();
        self.text.push('{');
        self.gap();
        self.block(block);
        self.text.push('}');
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Act(command, argument) => {
                self.words(command);
                if let Some(argument) = argument {
                    self.gap();
                    self.string(argument);
                }
                self.end();
            }
            Statement::Whole(command, strings) => {
                self.filled(command, strings);
                self.end();
            }
            Statement::Set(modifiers, name, value) => {
                self.words(&format!("set {modifiers}"));
                self.text.push_str(&format!(" \"{name}\" "));
                self.string(value);
                self.end();
            }
            Statement::If(arms, otherwise) => self.chain(arms, otherwise.as_deref()),
            Statement::EveryPart(block) => {
                // The messages have one part, and that part has none.
                self.words(match (self.answers, self.loops) {
                    (None, _) => "foreverypart",
                    (Some(_), 0) => "if true",
                    (Some(_), _) => "if false",
                });
                self.loops += 1;
                self.braces(block);
                self.loops -= 1;
            }
            Statement::Break => self.command("break"),
            Statement::Stop => self.command("stop"),
            Statement::Return => self.command("return"),
            Statement::Global(name) => self.command(&format!("global \"{name}\"")),
            Statement::Include(tags, number) => {
                let name = self.case.script_name(*number);
                self.command(&format!("include {tags} \"{name}\""));
            }
        }
    }

    fn command(&mut self, words: &str) {
        self.text.push_str(words);
        self.end();
    }

    fn end(&mut self) {
        if self.chance.one_in(6) {
            self.gap();
        }
        self.text.push(';');
    }

    fn chain(&mut self, arms: &[(Test, Vec<Statement>)], otherwise: Option<&[Statement]>) {
        for (number, (test, block)) in arms.iter().enumerate() {
            self.words(if number == 0 { "if" } else { "elsif" });
            self.gap();
            self.test(test);
            self.braces(block);
        }
        if let Some(block) = otherwise {
            self.words("else");
            self.braces(block);
        }
    }

    /// Blank space in one of its forms, some of which look like code.
    fn gap(&mut self) {
        const GAPS: [&str; 10] = [
            " ",
            " ",
            " ",
            "\r\n\t",
            "\r",
            " /* } ; \" */ ",
            " # redirect \"never@x.example\";\n",
            " /***/ ",
            "/* **/",
            " # \r stop;\n",
        ];
        let gap = self.chance.of(&GAPS);
        self.text.push_str(
            if self.text.ends_with(|last: char| last.is_alphanumeric()) && gap.starts_with('/') {
                " "
            } else {
                ""
            },
        );
        self.text.push_str(gap);
    }

    /// Keywords and tags in some mixture of cases; strings in them stay as they are.
    fn words(&mut self, words: &str) {
        let strange = self.chance.one_in(5);
        let (mut quoted, mut escaped) = (false, false);
        for letter in words.chars() {
            quoted ^= letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            let upper = strange && !quoted && self.chance.one_in(2);
            self.text.push(if upper { letter.to_ascii_uppercase() } else { letter });
        }
    }

    fn string(&mut self, text: &Text) {
        if text.multiline {
            let body: String = text.atoms.iter().map(written).collect();
            self.text.push_str(&format!("text:\r\n{body}\r\n.\r\n"));
            return;
        }
        self.text.push('"');
        for atom in &text.atoms {
            let atom = written(atom);
            if self.chance.one_in(8) && !atom.is_empty() && !atom.contains(['$', '\\']) {
                self.text.push('\\');
            }
            self.text.push_str(&atom);
        }
        self.text.push('"');
    }

    /// The words with a string for each `%`.
    fn filled(&mut self, words: &str, strings: &[Text]) {
        let mut strings = strings.iter();
        for (number, words) in around_strings(words).enumerate() {
            if number > 0
                && let Some(string) = strings.next()
            {
                self.string(string);
            }
            self.words(words);
        }
    }

    fn listed(&mut self, name: &str, tests: &[Test]) {
        self.words(name);
        self.text.push('(');
        for (number, test) in tests.iter().enumerate() {
            self.text.push_str(if number == 0 { "" } else { ", " });
            self.test(test);
        }
        self.text.push(')');
    }

    fn test(&mut self, test: &Test) {
        match test {
            Test::True => self.words("true"),
            Test::False => self.words("false"),
            Test::Not(inner) => {
                self.words("not");
                self.gap();
                self.test(inner);
            }
            Test::AnyOf(tests) => self.listed("anyof", tests),
            Test::AllOf(tests) => self.listed("allof", tests),
            Test::Ihave(name) => self.text.push_str(&format!("ihave \"{name}\"")),
            Test::Compare(how, value, key) => {
                self.words(&format!("string {how}"));
                self.gap();
                self.string(value);
                self.text.push(' ');
                self.string(key);
            }
            Test::Constant(how, value, key) => {
                self.words(how);
                if let Some(value) = value {
                    self.text.push(' ');
                    self.string(value);
                }
                self.text.push(' ');
                self.string(key);
            }
            Test::Asked(question, strings) | Test::OfStrings(question, strings) => {
                self.filled(question, strings);
            }
            _ => match self.answers {
                Some(message) => self.answer(test, message),
                None => self.question(test),
            },
        }
    }

    fn question(&mut self, test: &Test) {
        let (words, key) = match test {
            Test::Exists(header) => (format!("exists \"{header}\""), None),
            Test::Header(kind, header, key) => (format!("header {kind} \"{header}\""), Some(key)),
            Test::Address(part, kind, header, key) => {
                (format!("address {part} {kind} \"{header}\""), Some(key))
            }
            Test::Envelope(part, kind, name, key) => {
                (format!("envelope {part} {kind} \"{name}\""), Some(key))
            }
            Test::Body(key) => (format!("body :contains \"{key}\""), None),
            Test::SizeOver(limit) => (format!("size :over {limit}"), None),
            Test::Year(relation, year) => {
                (format!("currentdate :value \"{relation}\" \"year\" \"{year}\""), None)
            }
            _ => (String::new(), None),
        };
        self.words(&words);
        if let Some(key) = key {
            self.text.push(' ');
            self.string(key);
        }
    }

    fn answer(&mut self, test: &Test, message: &Message) {
        match test {
            Test::Exists(header) => self.decided(message.header(header).is_some()),
            Test::Header(kind, header, key) => self.compared(message.header(header), kind, key),
            Test::Address(part, kind, header, key) => {
                self.compared(
                    message.header(header).and_then(|address| address_part(address, part)),
                    kind,
                    key,
                );
            }
            Test::Envelope(part, kind, name, key) => {
                let address = if *name == "from" { message.sender } else { message.recipient };
                self.compared(address_part(address, part), kind, key);
            }
            Test::Body(key) => self.decided(message.body.contains(key)),
            Test::SizeOver(limit) => self.decided(message.text().len() > *limit),
            Test::Year(relation, year) => {
                let past = year.parse::<u32>().unwrap() < 2024;
                self.decided(past == relation.starts_with('g'));
            }
            _ => {}
        }
    }

    /// Not by `true` and `false`: the compiler leaves out what stands beside those, and its match variables with it.
    fn decided(&mut self, holds: bool) {
        self.text.push_str(if holds { "string :is \"1\" \"1\"" } else { "string :is \"1\" \"0\"" });
    }

    fn compared(&mut self, value: Option<&str>, kind: &str, key: &Text) {
        let Some(value) = value else { return self.decided(false) };
        self.text.push_str(&format!("string :comparator \"i;ascii-casemap\" {kind} \"{value}\" "));
        self.string(key);
    }
}

fn written(atom: &Atom) -> String {
    match atom {
        Atom::Plain(text) | Atom::Raw(text) => (*text).to_owned(),
        Atom::Hex(text) => {
            let digits: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            format!("${{hex:{}}}", digits.join(" "))
        }
        Atom::Variable(name) => format!("${{{name}}}"),
    }
}

/// RFC 5228 §2.7.4 and RFC 5233: none where the address has no such part.
fn address_part<'a>(address: &'a str, part: &str) -> Option<&'a str> {
    let (local, domain) = address.rsplit_once('@')?;
    match part {
        ":localpart" => Some(local),
        ":domain" => Some(domain),
        ":user" => Some(local.split('+').next().unwrap_or(local)),
        ":detail" => local.split_once('+').map(|(_, detail)| detail),
        _ => Some(address),
    }
}
