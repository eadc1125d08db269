//! Makes scripts up.

use crate::chance::Chance;
use crate::constructs::{COMMANDS, OLD_COMMANDS, STRING_TESTS, TESTS};
use crate::script::{Atom, CAPABILITIES, Case, MORE_CAPABILITIES, Statement, Test, Text, string_count};

const NAMES: [&str; 6] = ["a", "b", "A", "long_name", "g", "B"];
const WORDS: [&str; 12] =
    ["evil", "hi there", "x", "Invoice", "pay", "-", "a*b", "alpha", "Q", "42", "\u{e9}", "\u{65e5}?"];
const RAWS: [&str; 18] = [
    "${unicode:e9 40}",
    "${hex:e9}",
    "${a${b}}",
    "${a.b}",
    "${A}",
    "${3}",
    "${hex:24}{a}",
    "$${a}",
    "${a",
    "${unknown}",
    "${${a}}",
    "${${hex:61}}",
    "${:41}",
    "${u:62}",
    "${a-b}",
    "${hex:4}${hex:}",
    "\\\\",
    "${01}",
];
const PATTERNS: [&str; 10] = ["*", "*-*", "?*", "*e*", "a\\\\*b*", "hi*", "*@*", "* *", "??", "*?"];
const KINDS: [&str; 4] = [":is", ":contains", ":matches", ":matches"];

pub(crate) fn case(seed: u64) -> Case {
    let mut maker = Maker { chance: Chance::new(seed), depth: 0, loops: 0, scripts: 1, old: false };
    maker.old = maker.chance.one_in(10);
    maker.scripts += if maker.chance.one_in(3) { 1 + maker.chance.below(2) } else { 0 };
    let scripts = (0..maker.scripts).map(|number| maker.script(number)).collect();
    let withheld = maker.withheld();
    Case { name: format!("s{seed:x}"), scripts, noise: maker.chance.next(), withheld, old: maker.old }
}

/// Every construct in a script of its own.
pub(crate) fn alone() -> impl Iterator<Item = Case> {
    const FILLINGS: [Atom; 3] = [Atom::Plain("evil"), Atom::Plain("q@x.example"), Atom::Variable("a")];
    let single = |pattern: &'static str, filling: &Atom, statement: Statement, old: bool| {
        let name = format!(
            "c{:x}",
            pattern
                .bytes()
                .chain(format!("{filling:?}").bytes())
                .fold(7_u64, |all, byte| all.wrapping_mul(31).wrapping_add(u64::from(byte)))
        );
        let set = Statement::Set("", "a", plain("b@x.example"));
        Case {
            name,
            scripts: vec![vec![set, statement]],
            noise: pattern.len() as u64,
            withheld: Vec::new(),
            old,
        }
    };
    let texts = |pattern: &str, filling: &Atom| {
        vec![Text { atoms: vec![filling.clone()], multiline: false }; string_count(pattern)]
    };
    let fills =
        |pattern: &str, filling: &Atom| string_count(pattern) > 0 || matches!(filling, Atom::Plain("evil"));
    FILLINGS.iter().flat_map(move |filling| {
        let command = move |pattern: &'static str, old: bool| {
            single(pattern, filling, Statement::Whole(pattern, texts(pattern, filling)), old)
        };
        let test = move |pattern: &'static str| {
            let keep = Statement::Act("redirect :copy", Some(plain("z@x.example")));
            let test = Test::Asked(pattern, texts(pattern, filling));
            single(pattern, filling, Statement::If(vec![(test, vec![keep])], None), false)
        };
        let varied = move |pattern: &&&'static str| fills(pattern, filling);
        let commands = COMMANDS.iter().filter(varied).map(move |pattern| command(pattern, false));
        let old = OLD_COMMANDS.iter().filter(varied).map(move |pattern| command(pattern, true));
        let tests = TESTS.iter().chain(&STRING_TESTS).filter(varied).map(move |pattern| test(pattern));
        commands.chain(old).chain(tests)
    })
}

struct Maker {
    chance: Chance,
    depth: usize,
    loops: usize,
    scripts: usize,
    old: bool,
}

impl Maker {
    fn withheld(&mut self) -> Vec<&'static str> {
        match self.chance.below(10) {
            0 => vec![self.chance.of(&CAPABILITIES)],
            1 => vec![self.chance.of(&MORE_CAPABILITIES)],
            2 => (0..8).map(|_| self.chance.of(&MORE_CAPABILITIES)).collect(),
            _ => Vec::new(),
        }
    }

    /// Strings for every `%` of a pattern.
    fn strings(&mut self, pattern: &str) -> Vec<Text> {
        (0..string_count(pattern)).map(|_| self.value()).collect()
    }

    fn whole(&mut self) -> Statement {
        let command = if self.old { self.chance.of(&OLD_COMMANDS) } else { self.chance.of(&COMMANDS) };
        Statement::Whole(command, self.strings(command))
    }

    fn script(&mut self, number: usize) -> Vec<Statement> {
        let mut statements = Vec::new();
        if self.scripts > 1 && self.chance.one_in(2) {
            statements.push(Statement::Global("g"));
        }
        let length = 1 + self.chance.below(7);
        statements.extend((0..length).map(|_| self.statement(number)));
        statements
    }

    fn block(&mut self, number: usize) -> Vec<Statement> {
        self.depth += 1;
        let length = self.chance.below(4);
        let block = (0..length).map(|_| self.statement(number)).collect();
        self.depth -= 1;
        block
    }

    fn statement(&mut self, number: usize) -> Statement {
        match self.chance.below(20) {
            0..=3 if self.depth < 4 => self.chain(number),
            4..=7 => self.set(),
            8 if number + 1 < self.scripts => {
                let later = number + 1 + self.chance.below(self.scripts - number - 1);
                Statement::Include(self.chance.of(&["", ":personal", ":once", ":optional"]), later)
            }
            9 if self.depth < 3 && self.chance.one_in(2) => {
                self.loops += 1;
                let block = self.block(number);
                self.loops -= 1;
                Statement::EveryPart(block)
            }
            10 if self.depth > 0 => self.leave(),
            _ => self.action(),
        }
    }

    fn leave(&mut self) -> Statement {
        match self.chance.below(4) {
            0 if self.loops > 0 => Statement::Break,
            1 => Statement::Return,
            _ => Statement::Stop,
        }
    }

    fn chain(&mut self, number: usize) -> Statement {
        let arms = 1 + self.chance.below(3) / 2;
        let arms = (0..arms).map(|_| (self.test(0), self.block(number))).collect();
        let otherwise = self.chance.one_in(3).then(|| self.block(number));
        Statement::If(arms, otherwise)
    }

    fn set(&mut self) -> Statement {
        const MODIFIERS: [&str; 9] = [
            "",
            "",
            "",
            ":lower",
            ":upper",
            ":upperfirst :lower",
            ":lowerfirst",
            ":quotewildcard",
            ":length",
        ];
        let modifiers = self.chance.of(&MODIFIERS);
        let name = self.chance.of(&NAMES);
        Statement::Set(modifiers, name, self.value())
    }

    fn action(&mut self) -> Statement {
        match self.chance.below(32) {
            28..=31 => self.whole(),
            0..=6 => Statement::Act("redirect", Some(self.address())),
            7..=10 => Statement::Act("redirect :copy", Some(self.address())),
            11..=13 => Statement::Act("fileinto", Some(self.folder())),
            14 => Statement::Act("fileinto :copy", Some(self.folder())),
            15 => Statement::Act("fileinto :flags \"\\\\Seen\"", Some(self.folder())),
            16 | 17 => Statement::Act("keep", None),
            18 => Statement::Act("discard", None),
            19 => Statement::Act("addflag", Some(plain("\\\\Deleted"))),
            20 => Statement::Act("vacation :days 3", Some(self.value())),
            21 => Statement::Act("reject", Some(plain("no"))),
            22 => {
                let uri = self.chance.of(&["mailto:a@x.example?cc=b@x.example", "mailto:c%40x.example"]);
                Statement::Act("notify", Some(plain(uri)))
            }
            23..=25 => self.flags(),
            _ => self.rare(),
        }
    }

    fn flags(&mut self) -> Statement {
        const COMMANDS: [&str; 8] = [
            "setflag",
            "addflag",
            "removeflag",
            "setflag \"a\"",
            "addflag \"a\"",
            "addflag \"A\"",
            "removeflag \"a\"",
            "setflag \"b\"",
        ];
        let command = self.chance.of(&COMMANDS);
        let flags = if self.chance.one_in(3) {
            self.value()
        } else {
            plain(self.chance.of(&["evil", "x", "x evil", "X", "\\\\Seen", "\\\\Bogus x"]))
        };
        Statement::Act(command, Some(flags))
    }

    fn rare(&mut self) -> Statement {
        match self.chance.below(7) {
            0 => Statement::Act("pipe \"prog\"", None),
            4 => Statement::Act("error", Some(plain("x"))),
            5 if self.loops > 0 => Statement::Act("extracttext :lower", Some(plain("a"))),
            6 => Statement::Act("notify", Some(self.value())),
            1 => Statement::Act("pipe :copy \"prog\"", None),
            2 => Statement::Act("report \"abuse\" \"x\"", Some(self.address())),
            _ => Statement::Act("addheader \"X-A\"", Some(plain("set"))),
        }
    }

    fn address(&mut self) -> Text {
        const LOCALS: [&str; 4] = ["a", "b", "evil", "Bob"];
        const DOMAINS: [&str; 4] = ["@x.example", "@y.example", "@X.Example", " @ x.example"];
        let mut atoms = vec![Atom::Plain(self.chance.of(&LOCALS))];
        if self.chance.one_in(2) {
            atoms.push(self.inserted());
        }
        atoms.push(if self.chance.one_in(5) {
            Atom::Hex("@x.example")
        } else {
            Atom::Plain(self.chance.of(&DOMAINS))
        });
        if self.chance.one_in(12) {
            atoms = vec![self.inserted()];
        } else if self.chance.one_in(10) {
            let (before, after) = self.chance.of(&[
                ("Bob <", ">"),
                ("\\\"q@z.example\\\" <", ">"),
                ("(n@z.example) ", ""),
                ("", " (c)"),
            ]);
            atoms.insert(0, Atom::Raw(before));
            atoms.push(Atom::Raw(after));
        }
        if self.chance.one_in(12) { self.lines(atoms) } else { Text { atoms, multiline: false } }
    }

    /// Over several lines, some of which begin with dots.
    fn lines(&mut self, mut atoms: Vec<Atom>) -> Text {
        if self.chance.one_in(4) {
            atoms.push(Atom::Raw(self.chance.of(&["\r\n..x", "\r\n.x", "\r\n. \r\n", "\r\n"])));
        }
        Text { atoms, multiline: true }
    }

    fn folder(&mut self) -> Text {
        let mut atoms = vec![Atom::Plain(self.chance.of(&["Trash", "Junk", "INBOX", "inbox", "a", "Lists"]))];
        if self.chance.one_in(3) {
            atoms.push(self.inserted());
        }
        Text { atoms, multiline: false }
    }

    /// Unknown namespaces make the engine refuse a script or not by what else the scripts around it hold.
    fn raw(&mut self) -> &'static str {
        let raw = self.chance.of(&RAWS);
        if self.scripts > 1 && raw == "${a.b}" { "${A}" } else { raw }
    }

    fn inserted(&mut self) -> Atom {
        match self.chance.below(6) {
            0 => Atom::Raw(self.raw()),
            1 => Atom::Variable(self.chance.of(&["0", "1", "2", "01"])),
            2 if self.scripts > 1 => Atom::Variable(self.chance.of(&["global.g", "g"])),
            3 => Atom::Hex(self.chance.of(&["a", "x", "24"])),
            _ => Atom::Variable(self.chance.of(&NAMES)),
        }
    }

    fn value(&mut self) -> Text {
        let length = 1 + self.chance.below(3);
        let atom = |maker: &mut Self| match maker.chance.one_in(2) {
            true => Atom::Plain(maker.chance.of(&WORDS)),
            false => maker.inserted(),
        };
        let atoms = (0..length).map(|_| atom(self)).collect();
        if self.chance.one_in(40) { self.lines(atoms) } else { Text { atoms, multiline: false } }
    }

    fn key(&mut self, kind: &str) -> Text {
        if kind == ":matches" && !self.chance.one_in(4) {
            return plain(self.chance.of(&PATTERNS));
        }
        if self.chance.one_in(3) { self.value() } else { plain(self.chance.of(&WORDS)) }
    }

    fn flagged(&mut self) -> Test {
        let how =
            self.chance.of(&["hasflag", "hasflag \"a\"", "hasflag :contains \"a\"", "hasflag :contains"]);
        Test::Constant(how, None, plain(self.chance.of(&["evil", "x", "X", "e", "\\\\seen"])))
    }

    fn related(&mut self) -> Test {
        const HOW: [&str; 8] = [
            "string :value \"gt\" :comparator \"i;ascii-numeric\"",
            "string :value \"le\" :comparator \"i;ascii-numeric\"",
            "string :is :comparator \"i;ascii-numeric\"",
            "string :value \"lt\"",
            "string :value \"ge\" :comparator \"i;octet\"",
            "string :count \"eq\"",
            "string :count \"ge\" :comparator \"i;ascii-numeric\"",
            "string :value \"ne\"",
        ];
        const NUMBERS: [&str; 7] = ["1", "2", "01", "10", "x", "", "9a"];
        let how = self.chance.of(&HOW);
        let value = if self.chance.one_in(2) { self.value() } else { plain(self.chance.of(&NUMBERS)) };
        Test::Constant(how, Some(value), plain(self.chance.of(&NUMBERS)))
    }

    fn tests(&mut self, depth: usize) -> Vec<Test> {
        let length = 1 + self.chance.below(3);
        (0..length).map(|_| self.test(depth + 1)).collect()
    }

    fn test(&mut self, depth: usize) -> Test {
        let kind = self.chance.of(&KINDS);
        match self.chance.below(24) {
            0 => Test::True,
            1 => Test::False,
            2 if depth < 3 => Test::Not(Box::new(self.test(depth + 1))),
            3 if depth < 3 => Test::AnyOf(self.tests(depth)),
            4 if depth < 3 => Test::AllOf(self.tests(depth)),
            5 => Test::SizeOver(self.chance.of(&[10, 200, 100_000])),
            6 => Test::Year(self.chance.of(&["ge", "lt"]), self.chance.of(&["2000", "2999"])),
            7 if self.chance.one_in(2) => Test::Ihave(self.chance.of(&CAPABILITIES)),
            7 => Test::Ihave(self.chance.of(&["copy", "nonsense", "vnd.dovecot.none", "${hex:63}opy"])),
            16 | 17 => self.flagged(),
            18 | 19 => self.related(),
            20 => {
                let test = self.chance.of(&TESTS);
                Test::Asked(test, self.strings(test))
            }
            21 | 22 => {
                let test = self.chance.of(&STRING_TESTS);
                Test::OfStrings(test, self.strings(test))
            }
            8 => Test::Body(self.chance.of(&["pay", "zebra"])),
            9 => {
                let part = self.chance.of(&["", ":localpart", ":domain", ":user", ":detail"]);
                Test::Address(part, kind, "From", self.key(kind))
            }
            10 => {
                let part = self.chance.of(&["", ":localpart", ":domain", ":user", ":detail"]);
                Test::Envelope(part, kind, self.chance.of(&["from", "to"]), self.key(kind))
            }
            11 | 12 => {
                let how = match kind {
                    ":is" => self.chance.of(&[":is", ":comparator \"i;ascii-casemap\" :is"]),
                    ":contains" => self.chance.of(&[":contains", ":comparator \"i;octet\" :contains"]),
                    _ => ":matches",
                };
                Test::Compare(how, self.value(), self.key(kind))
            }
            13 => Test::Exists(self.chance.of(&["x-a", "X-B", "from", "x-none"])),
            _ => Test::Header(kind, self.chance.of(&["Subject", "subject", "x-a", "X-B"]), self.key(kind)),
        }
    }
}

fn plain(text: &'static str) -> Text {
    Text { atoms: vec![Atom::Plain(text)], multiline: false }
}
