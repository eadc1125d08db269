//! Would the engine take the script?
//!
//! Pigeonhole's answers are measured and modelled closely. For the other engines only measured refusals
//! count; what is not known to be refused is taken to run.

use crate::Dialect;
use crate::arguments::{Bound, Reading};
use crate::constant::Fixed;
use crate::effects::{Diagnostic, Severity};
use crate::lexer::TokenKind;
use crate::modifiers::Modifier;
use crate::pigeonhole_address::is_pigeonhole_address;
use crate::span::Span;
use crate::strings::{Piece, is_variable_name, match_number, pieces, text_of};
use crate::tree::{Argument, Command, CommandId, Test, TestId};
use crate::vocabulary::{self, Inner, Signature, differs_only_in_case, pigeonhole_enables, pigeonhole_knows};
use std::borrow::Cow;
use std::collections::HashSet;

use pigeonhole::is_script_name;

mod arguments;
mod pigeonhole;

/// How many problems are listed; after so many the answer is clear.
const MAX_PROBLEMS: usize = 100;
/// How many scripts Pigeonhole compiles into one.
const MAX_INCLUDED: usize = 255;
/// The longest name Pigeonhole reads.
const MAX_IDENTIFIER: usize = 32;

/// What compiling a script would tell.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Everything the engine would object to, and what its administrator decides.
    pub(crate) problems: Vec<Diagnostic>,
    /// The scripts that are compiled with this one.
    pub(crate) included: Vec<Included>,
}

/// An `include` of a constant name that the engine looks at.
#[derive(Debug)]
pub(crate) struct Included {
    pub(crate) name: Vec<u8>,
    pub(crate) global: bool,
    pub(crate) span: Span,
}

impl Checked {
    pub(crate) fn is_refused(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// `fixed` is what is known of each test; empty where the engine does not look.
pub(crate) fn check(reading: Reading<'_>, fixed: &[Fixed]) -> Checked {
    let mut check = Check {
        reading,
        declared: HashSet::new(),
        required: HashSet::new(),
        fixed,
        locals: HashSet::new(),
        problems: Vec::new(),
        included: Vec::new(),
        loops: Vec::new(),
        strange_namespace: false,
        globals: HashSet::new(),
        without_code: Vec::new(),
    };
    check.grammar();
    check.nesting();
    check.tokens();
    check.script();
    Checked { problems: check.problems, included: check.included }
}

struct Check<'t> {
    reading: Reading<'t>,
    declared: HashSet<Vec<u8>>,
    /// Those of them that `require` names.
    required: HashSet<Vec<u8>>,
    /// What is known of each test; empty where the engine does not look.
    fixed: &'t [Fixed],
    /// Variables used so far that were not declared global.
    locals: HashSet<Vec<u8>>,
    problems: Vec<Diagnostic>,
    included: Vec<Included>,
    /// The loops around the command that is looked at, by name.
    loops: Vec<Option<Cow<'t, [u8]>>>,
    /// A variable of a namespace that nobody has was named. Pigeonhole complains and goes on, but not in a
    /// script that includes others (measured).
    strange_namespace: bool,
    globals: HashSet<Vec<u8>>,
    /// Where tests stand that Pigeonhole lets pass, but can make no code of.
    without_code: Vec<(usize, usize)>,
}

impl<'t> Check<'t> {
    fn is_pigeonhole(&self) -> bool {
        self.reading.dialect == Dialect::Pigeonhole
    }

    fn problem(&mut self, severity: Severity, start: usize, end: usize, message: &str) {
        if self.problems.len() < MAX_PROBLEMS {
            let span = self.reading.tree.lines.span(start, end);
            self.problems.push(Diagnostic { severity, span, message: message.to_owned() });
        }
    }

    fn refuse(&mut self, start: usize, end: usize, message: &str) {
        self.problem(Severity::Error, start, end, message);
    }

    /// Refused by Pigeonhole; not known of the others.
    fn refuse_strictly(&mut self, start: usize, end: usize, message: &str) {
        let severity = if self.is_pigeonhole() { Severity::Error } else { Severity::Warning };
        self.problem(severity, start, end, message);
    }

    fn refuse_token(&mut self, token: u32, message: &str) {
        let token = self.reading.tree.tokens[token as usize];
        self.refuse(token.start, token.end, message);
    }

    fn grammar(&mut self) {
        for error in &self.reading.tree.errors {
            self.refuse(error.start, error.end, error.message);
        }
    }

    /// Engines count while they parse, so dead code counts too.
    fn nesting(&mut self) {
        let tree = self.reading.tree;
        let limit = self.reading.dialect.block_limit();
        for command in tree.commands.iter().filter(|command| command.depth as usize > limit) {
            self.refuse(command.start, command.end, "nested deeper than the engine allows");
        }
        // A test stands before the tests inside it, so one pass tells every depth.
        let mut depths = vec![1_usize; tree.tests.len()];
        for (number, test) in tree.tests.iter().enumerate() {
            for inner in tree.test_list(test.first) {
                depths[inner as usize] = depths[number] + 1;
            }
            if depths[number] > self.reading.dialect.test_limit() {
                self.refuse(test.start, test.end, "tests nested deeper than the engine allows");
            }
        }
    }

    fn tokens(&mut self) {
        for token in &self.reading.tree.tokens {
            let bytes = token.bytes(self.reading.script);
            match token.kind {
                TokenKind::Beyond => {
                    self.problem(
                        Severity::Warning,
                        token.start,
                        token.end,
                        "the engine stops reading here, silently",
                    );
                }
                TokenKind::Quoted | TokenKind::MultiLine
                    if bytes.len() > self.reading.dialect.string_limit() =>
                {
                    self.refuse(token.start, token.end, "a string longer than the engine takes");
                }
                _ if self.is_pigeonhole() => self.pigeonhole_token(token.kind, token.start, token.end),
                _ => {}
            }
        }
    }

    fn pigeonhole_token(&mut self, kind: TokenKind, start: usize, end: usize) {
        let bytes = &self.reading.script[start..end];
        let name = matches!(kind, TokenKind::Identifier | TokenKind::Tag);
        let text = matches!(
            kind,
            TokenKind::Quoted | TokenKind::MultiLine | TokenKind::LineComment | TokenKind::BlockComment
        );
        if name && bytes.len() - usize::from(kind == TokenKind::Tag) > MAX_IDENTIFIER {
            self.refuse(start, end, "a name longer than 32 characters");
        } else if text && bytes.contains(&0) {
            self.refuse(start, end, "a NUL in a string or comment");
        }
    }

    fn script(&mut self) {
        let mut header = true;
        let mut previous = "";
        let first = self.reading.tree.first;
        for id in self.reading.tree.block(first) {
            header &= self.name(id) == "require";
            if self.name(id) == "require" || !header {
                self.misplaced_require(id, header);
            }
        }
        self.block(first, &mut previous);
        self.dependencies();
    }

    fn misplaced_require(&mut self, id: CommandId, header: bool) {
        let command = &self.reading.tree.commands[id as usize];
        let strict = self.reading.dialect != Dialect::Stalwart;
        if !header && strict && self.name(id) == "require" {
            self.refuse(command.start, command.end, "`require` after other commands");
        }
    }

    /// Whether not knowing a command or test makes the engine refuse the script.
    fn of_unknown(&self) -> Severity {
        let dialect = self.reading.dialect;
        let tolerated = dialect.tolerates_unknown_with_ihave() && self.declared.contains(b"ihave".as_slice());
        match tolerated || dialect == Dialect::Stalwart {
            true => Severity::Warning,
            false => Severity::Error,
        }
    }

    fn name(&self, id: CommandId) -> &'static str {
        self.signature(&self.reading.tree.commands[id as usize]).map_or("", |signature| signature.name)
    }

    fn signature(&self, command: &Command) -> Option<&'static Signature> {
        vocabulary::command(self.reading.text(command.name), self.reading.dialect.folds_keywords())
    }

    fn block(&mut self, first: Option<CommandId>, previous: &mut &'static str) {
        let tree = self.reading.tree;
        let mut taken = false;
        for id in tree.block(first) {
            let command = &tree.commands[id as usize];
            let name = self.name(id);
            if matches!(name, "else" | "elsif") && !matches!(*previous, "if" | "elsif") {
                self.refuse(command.start, command.end, "`else` or `elsif` without `if`");
            }
            if !matches!(name, "else" | "elsif") {
                taken = false;
            }
            *previous = name;
            if taken && self.is_pigeonhole() {
                self.untaken_branch(command);
                continue;
            }
            taken |= self.command(command) == Fixed::True;
        }
    }

    fn command(&mut self, command: &'t Command) -> Fixed {
        let Some(signature) = self.signature(command) else {
            let severity = self.of_unknown();
            self.problem(severity, command.start, command.end, "an unknown command");
            return self.inner_block(command);
        };
        self.capability(signature, command.start, command.end);
        let bound = self.reading.bind(signature, &command.arguments);
        self.arguments(signature, &bound, command.start, command.end);
        let fixed = self.inner_tests(signature, command.test, command.listed, command.start, command.end);
        self.refuse_without_code(fixed);
        self.block_presence(signature, command);
        self.particular(signature.name, &bound, command);
        let looping = signature.name == "foreverypart";
        if looping {
            self.loops.push(self.loop_name(&bound));
        }
        if self.loops.len() > self.reading.dialect.loop_limit() {
            self.refuse(command.start, command.end, "loops nested deeper than the engine allows");
        }
        if fixed != Fixed::False || !self.is_pigeonhole() || !signature.block {
            self.inner_block(command);
        }
        if looping {
            self.loops.pop();
        }
        fixed
    }

    /// Behind a branch that is always taken, Pigeonhole looks at the others' outside only.
    fn untaken_branch(&mut self, command: &'t Command) {
        let Some(signature) = self.signature(command) else { return };
        let bound = self.reading.bind(signature, &command.arguments);
        self.arguments(signature, &bound, command.start, command.end);
        self.shape(signature, command.test, command.listed, command.start, command.end);
        self.block_presence(signature, command);
    }

    fn inner_block(&mut self, command: &Command) -> Fixed {
        for id in self.reading.tree.block(command.block) {
            if self.name(id) == "require" && self.reading.dialect != Dialect::Stalwart {
                let inner = &self.reading.tree.commands[id as usize];
                self.refuse(inner.start, inner.end, "`require` inside a block");
            }
        }
        self.block(command.block, &mut "");
        Fixed::Open
    }

    fn capability(&mut self, signature: &Signature, start: usize, end: usize) {
        let declared = |name: &&str| self.declared.contains(name.as_bytes());
        if !signature.capabilities.is_empty() && !signature.capabilities.iter().any(declared) {
            self.refuse(start, end, "the capability it needs is not required");
        }
    }

    fn block_presence(&mut self, signature: &Signature, command: &Command) {
        if signature.block && !command.has_block {
            self.refuse(command.start, command.end, "a block is missing");
        } else if !signature.block && command.has_block {
            self.refuse(command.start, command.end, "a block where none belongs");
        }
    }

    fn inner_tests(
        &mut self,
        signature: &Signature,
        first: Option<TestId>,
        listed: bool,
        start: usize,
        end: usize,
    ) -> Fixed {
        self.shape(signature, first, listed, start, end);
        match signature.name {
            "allof" => self.listed_tests(first, Fixed::False),
            "anyof" => self.listed_tests(first, Fixed::True),
            "else" => Fixed::True,
            "not" => self.any_or_all(first, Fixed::True).0.inverted(),
            _ => self.any_or_all(first, Fixed::True).0,
        }
    }

    fn shape(
        &mut self,
        signature: &Signature,
        first: Option<TestId>,
        listed: bool,
        start: usize,
        end: usize,
    ) {
        let loose = self.reading.dialect == Dialect::Stalwart;
        let shape = match signature.inner {
            Inner::None => first.is_none(),
            Inner::One => (first.is_some() && !listed) || (loose && listed),
            Inner::List => (first.is_some() && listed) || loose,
        };
        if !shape {
            self.refuse(start, end, "the wrong number of tests");
        }
    }

    /// `anyof` and `allof`. Of a single test that is left undecided in it Pigeonhole makes the code in place of
    /// the whole, without asking whether that could be done: the branch is then always taken (measured).
    fn listed_tests(&mut self, first: Option<TestId>, end: Fixed) -> Fixed {
        let before = self.without_code.len();
        let (whole, undecided) = self.any_or_all(first, end);
        if undecided <= 1 || whole != Fixed::Open {
            self.without_code.truncate(before);
        }
        whole
    }

    /// `end` is the result that decides the whole; Pigeonhole does not look at the tests behind it.
    /// The second is how many were left undecided.
    fn any_or_all(&mut self, first: Option<TestId>, end: Fixed) -> (Fixed, usize) {
        let tree = self.reading.tree;
        let mut undecided = 0;
        let mut whole = if first.is_some() { end.inverted() } else { Fixed::Open };
        for id in tree.test_list(first) {
            let fixed = self.test(id);
            undecided += usize::from(fixed == Fixed::Open);
            if fixed == end {
                whole = end;
                if self.is_pigeonhole() {
                    break;
                }
            } else if fixed == Fixed::Open && whole != end {
                whole = Fixed::Open;
            }
        }
        (whole, undecided)
    }

    fn test(&mut self, id: TestId) -> Fixed {
        let tree = self.reading.tree;
        let test = &tree.tests[id as usize];
        let fold = self.reading.dialect.folds_keywords();
        let Some(name) = test.name else { return self.any_or_all(test.first, Fixed::True).0 };
        let Some(signature) = vocabulary::test(self.reading.text(name), fold) else {
            let severity = self.of_unknown();
            self.problem(severity, test.start, test.end, "an unknown test");
            return Fixed::Open;
        };
        self.capability(signature, test.start, test.end);
        let bound = self.reading.bind(signature, &test.arguments);
        self.arguments(signature, &bound, test.start, test.end);
        let inner = self.inner_tests(signature, test.first, test.listed, test.start, test.end);
        self.particular_test(signature.name, &bound, test);
        match signature.name {
            "true" => Fixed::True,
            "false" => Fixed::False,
            "not" | "anyof" | "allof" => inner,
            "ihave" => self.ihave(id, &bound),
            _ => Fixed::Open,
        }
    }

    /// RFC 5463 §4: what is there need not be required any more. Stalwart insists (measured).
    fn ihave(&mut self, id: TestId, bound: &Bound<'_>) -> Fixed {
        let fixed = self.fixed.get(id as usize).copied().unwrap_or(Fixed::Open);
        if fixed == Fixed::Open && self.reading.dialect != Dialect::Stalwart {
            for (token, name) in self.names(bound.last()) {
                self.declare(token, name.into_owned());
            }
        }
        fixed
    }

    fn declare(&mut self, token: u32, name: Vec<u8>) {
        if name == b"vnd.dovecot.environment" {
            // It brings the extension it extends (measured).
            self.declared.insert(b"environment".to_vec());
        }
        self.declared.insert(name);
        const RIVALS: [(&[u8], &[u8]); 2] = [(b"notify", b"enotify"), (b"imapflags", b"imap4flags")];
        let both = |(old, new): &(&[u8], &[u8])| self.declared.contains(*old) && self.declared.contains(*new);
        if self.is_pigeonhole() && RIVALS.iter().any(both) {
            self.refuse_token(token, "the old and the new form of an extension together");
        }
    }

    /// Names that the script gives, as the engine reads them.
    fn names(&self, argument: Option<&Argument>) -> Vec<(u32, Cow<'t, [u8]>)> {
        if !self.reading.dialect.reads_names_raw() {
            return self.strings(argument);
        }
        let tokens = argument.map(|argument| self.reading.tree.strings_of(argument)).unwrap_or_default();
        let text = |token: u32| text_of(self.reading.text(token), self.reading.dialect, false);
        tokens.iter().map(|token| (*token, text(*token))).collect()
    }

    fn strings(&self, argument: Option<&Argument>) -> Vec<(u32, Cow<'t, [u8]>)> {
        let tokens = argument.map(|argument| self.reading.tree.strings_of(argument)).unwrap_or_default();
        let encoded = self.reading.dialect.expands_without_require()
            || self.declared.contains(b"encoded-character".as_slice());
        let text = |token: u32| text_of(self.reading.text(token), self.reading.dialect, encoded);
        tokens.iter().map(|token| (*token, text(*token))).collect()
    }

    /// The texts without variables in them.
    fn constants(&self, argument: Option<&Argument>) -> Vec<Cow<'t, [u8]>> {
        self.strings(argument).into_iter().filter_map(|(_, text)| self.whole(text)).collect()
    }

    /// The text of a string without variables in it.
    pub(super) fn constant(&self, argument: Option<&Argument>) -> Option<Cow<'t, [u8]>> {
        let (_, text) = self.strings(argument).into_iter().next()?;
        self.whole(text)
    }

    fn whole(&self, text: Cow<'t, [u8]>) -> Option<Cow<'t, [u8]>> {
        let variables =
            self.reading.dialect.expands_without_require() || self.declared.contains(b"variables".as_slice());
        let whole = !variables
            || pieces(&text, self.reading.dialect).iter().all(|piece| matches!(piece, Piece::Text(_)));
        whole.then_some(text)
    }

    fn require(&mut self, bound: &Bound<'_>) {
        for (token, name) in self.names(bound.last()) {
            let unknown = self.is_pigeonhole() && !pigeonhole_knows(&name);
            if unknown || differs_only_in_case(&name) {
                self.refuse_token(token, "a capability the engine does not have");
            } else if self.is_pigeonhole() && !pigeonhole_enables(&name) {
                let at = self.reading.tree.tokens[token as usize];
                let message = "a capability that only some installations switch on";
                self.problem(Severity::Warning, at.start, at.end, message);
            }
            self.required.insert(name.to_vec());
            self.declare(token, name.into_owned());
        }
    }

    /// What single commands insist on.
    fn particular(&mut self, name: &str, bound: &Bound<'t>, command: &Command) {
        match name {
            "require" => self.require(bound),
            "redirect" | "report" if self.is_pigeonhole() => self.redirect(bound, command),
            "notify" if self.is_pigeonhole() => self.notify(bound, command),
            "extracttext" if self.is_pigeonhole() && self.loops.is_empty() => {
                self.refuse(command.start, command.end, "`extracttext` outside a loop");
            }
            "set" => self.set(bound, command),
            "vacation" if self.is_pigeonhole() => self.vacation(bound, command),
            "break" => self.leave_loop(bound, command),
            "extracttext" => self.set(bound, command),
            "execute" if self.is_pigeonhole() => {
                self.assigned(bound.value("output"), command.start, command.end);
            }
            "deleteheader" if self.is_pigeonhole() => self.comparison(bound, command.start, command.end),
            "include" if self.is_pigeonhole() => self.include(bound, command),
            "setflag" | "addflag" | "removeflag" if bound.positional.len() == 2 => {
                self.flag_variable(bound, command);
            }
            "global" if !self.declared.contains(b"variables".as_slice()) => {
                self.refuse_strictly(command.start, command.end, "`global` without the variables capability");
            }
            _ => {}
        }
    }

    fn flag_variable(&mut self, bound: &Bound<'_>, command: &Command) {
        if self.is_pigeonhole() {
            self.assigned(bound.at(0), command.start, command.end);
        }
        if !self.declared.contains(b"variables".as_slice()) {
            self.refuse_strictly(command.start, command.end, "a variable without the variables capability");
        }
    }

    fn redirect(&mut self, bound: &Bound<'_>, command: &Command) {
        let Some(address) = self.constant(bound.last()) else { return };
        if !is_pigeonhole_address(&address) {
            self.refuse(command.start, command.end, "not one valid address");
        }
    }

    fn vacation(&mut self, bound: &Bound<'_>, command: &Command) {
        let from = bound.value("from");
        if let (Some(_), Some(address)) = (from, self.constant(from))
            && !is_pigeonhole_address(&address)
        {
            self.refuse(command.start, command.end, "not one valid address");
        }
    }

    fn include(&mut self, bound: &Bound<'_>, command: &Command) {
        let name = self.constant(bound.last());
        if name.is_some_and(|name| !is_script_name(&name)) {
            self.refuse(command.start, command.end, "not the name of a script");
        } else if bound.has("personal") && bound.has("global") {
            self.refuse(command.start, command.end, "both `:personal` and `:global`");
        } else if bound.last().is_some() && self.constant(bound.last()).is_none() {
            self.refuse(command.start, command.end, "the name of an included script must be constant");
        } else if let Some(name) = self.constant(bound.last()).filter(|_| self.included.len() < MAX_INCLUDED)
        {
            let span = self.reading.tree.lines.span(command.start, command.end);
            self.included.push(Included { name: name.into_owned(), global: bound.has("global"), span });
        }
    }

    /// Names of loops are compared as they are written (measured).
    fn loop_name(&self, bound: &Bound<'t>) -> Option<Cow<'t, [u8]>> {
        self.names(bound.value("name")).pop().map(|(_, name)| name)
    }

    fn leave_loop(&mut self, bound: &Bound<'t>, command: &Command) {
        let name = self.loop_name(bound);
        if self.loops.is_empty() {
            self.refuse_strictly(command.start, command.end, "`break` outside a loop");
        } else if name.is_some() && !self.loops.contains(&name) {
            self.refuse_strictly(command.start, command.end, "`break` out of a loop that is not around it");
        }
    }

    fn modifiers(&mut self, bound: &Bound<'_>, command: &Command) {
        let mut levels: Vec<u8> = bound
            .tags
            .iter()
            .filter_map(|tag| Modifier::from_tag(tag.row.0.as_bytes()))
            .map(Modifier::precedence)
            .collect();
        levels.sort_unstable();
        if levels.windows(2).any(|pair| pair[0] == pair[1]) {
            self.refuse(command.start, command.end, "two modifiers of the same precedence");
        }
    }

    fn set(&mut self, bound: &Bound<'_>, command: &Command) {
        self.modifiers(bound, command);
        if self.reading.dialect != Dialect::Stalwart {
            self.assigned(bound.at(0), command.start, command.end);
        }
    }

    fn assigned(&mut self, variable: Option<&Argument>, start: usize, end: usize) {
        let names = self.names(variable);
        if names.first().is_some_and(|(_, name)| !self.is_assignable(name)) {
            self.refuse(start, end, "not the name of a variable that can be set");
        }
    }

    fn is_assignable(&self, name: &[u8]) -> bool {
        let namespaced = name.contains(&b'.');
        let global = name.get(..7).is_some_and(|space| space.eq_ignore_ascii_case(b"global."))
            && self.declared.contains(b"include".as_slice())
            && self.is_plain_variable(&name[7..]);
        let dialect = self.reading.dialect;
        is_variable_name(name, dialect) && match_number(name, dialect).is_none() && (!namespaced || global)
    }

    /// A name without dots that is no number.
    fn is_plain_variable(&self, name: &[u8]) -> bool {
        let dialect = self.reading.dialect;
        is_variable_name(name, dialect) && match_number(name, dialect).is_none() && !name.contains(&b'.')
    }

    fn particular_test(&mut self, name: &str, bound: &Bound<'_>, test: &Test) {
        match name {
            "size" if bound.tags.len() != 1 => {
                self.refuse_strictly(test.start, test.end, "`size` wants either `:over` or `:under`");
            }
            "header" | "address" | "date" if bound.has("last") && !bound.has("index") => {
                self.refuse_strictly(test.start, test.end, "`:last` without `:index`");
            }
            "address" if self.is_pigeonhole() => self.address_headers(bound, test),
            "envelope" if self.is_pigeonhole() => self.envelope_parts(bound, test),
            "execute" if self.is_pigeonhole() => self.assigned(bound.value("output"), test.start, test.end),
            _ => {}
        }
        if self.is_pigeonhole() {
            self.comparison(bound, test.start, test.end);
        }
    }

    fn address_headers(&mut self, bound: &Bound<'_>, test: &Test) {
        let known =
            |name: &[u8]| ADDRESS_HEADERS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name));
        if !self.constants(bound.at(0)).iter().all(|name| known(name)) {
            self.refuse(test.start, test.end, "a header field that holds no addresses");
        }
    }

    fn envelope_parts(&mut self, bound: &Bound<'_>, test: &Test) {
        let known = |name: &[u8]| {
            ["from", "to", "auth"].iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
        };
        let named = self.constants(bound.at(0));
        if !named.iter().all(|name| known(name)) {
            self.refuse(test.start, test.end, "an unknown part of the envelope");
        }
        let parts = ["all", "localpart", "domain", "user", "detail"];
        let login = |name: &Cow<'_, [u8]>| name.eq_ignore_ascii_case(b"auth");
        if parts.iter().any(|part| bound.has(part)) && named.iter().any(login) {
            self.refuse(test.start, test.end, "an address part of what is no address");
        }
    }

    /// How values are compared, and which of several.
    fn comparison(&mut self, bound: &Bound<'_>, start: usize, end: usize) {
        self.relation(bound, start, end);
        self.comparator(bound, start, end);
    }

    /// A relation is read as it is written (measured).
    fn relation(&mut self, bound: &Bound<'_>, start: usize, end: usize) {
        for tag in ["count", "value"] {
            if let Some((_, relation)) = self.names(bound.value(tag)).first()
                && !matches!(&**relation, b"gt" | b"ge" | b"lt" | b"le" | b"eq" | b"ne")
            {
                self.refuse(start, end, "an unknown relation");
            }
        }
    }

    /// Variables are not read in the name of a comparator (measured).
    fn comparator(&mut self, bound: &Bound<'_>, start: usize, end: usize) {
        let Some((_, name)) = self.strings(bound.value("comparator")).pop() else { return };
        let numeric = name.eq_ignore_ascii_case(b"i;ascii-numeric")
            && self.declared.contains(b"comparator-i;ascii-numeric".as_slice());
        let basic = name.eq_ignore_ascii_case(b"i;octet") || name.eq_ignore_ascii_case(b"i;ascii-casemap");
        if !basic && !numeric {
            self.refuse(start, end, "an unknown comparator");
        } else if numeric && (bound.has("contains") || bound.has("matches")) {
            self.refuse(start, end, "a numeric comparator compares no parts of strings");
        }
    }
}

/// The header fields in which Pigeonhole's `address` test looks for addresses.
const ADDRESS_HEADERS: [&str; 30] = [
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "resent-from",
    "resent-to",
    "resent-cc",
    "resent-bcc",
    "resent-sender",
    "reply-to",
    "resent-reply-to",
    "errors-to",
    "disposition-notification-to",
    "for-approval",
    "for-handling",
    "for-comment",
    "apparently-to",
    "delivered-to",
    "return-receipt-to",
    "x-admin",
    "read-receipt-to",
    "x-confirm-reading-to",
    "return-receipt-requested",
    "registered-mail-reply-requested-by",
    "mail-followup-to",
    "mail-reply-to",
    "abuse-reports-to",
    "x-complaints-to",
    "x-report-abuse-to",
];
