//! What Pigeonhole alone insists on, construct by construct, as measured.

use super::Check;
use crate::arguments::Bound;
use crate::failing::{is_field_name, is_special_use};
use crate::pigeonhole_address::is_pigeonhole_address;
use crate::pigeonhole_mailto::is_pigeonhole_mailto;
use crate::strings::{Piece, is_variable_name, match_number, names_no_character, pieces};
use crate::tree::{Argument, Command};
use crate::vocabulary::{Signature, number};
use std::borrow::Cow;

/// The longest name of a stored script, in octets: with `.sieve` it is the name of a file.
const MAX_SCRIPT_NAME: usize = 249;
/// The longest name of a program, in characters.
const MAX_PROGRAM_NAME: usize = 128;

impl<'t> Check<'t> {
    pub(super) fn pigeonhole_arguments(
        &mut self,
        signature: &'static Signature,
        bound: &Bound<'t>,
        start: usize,
        end: usize,
    ) {
        self.numbers(bound, start, end);
        self.expansions(signature, bound, start, end);
        if let Some(message) = self.objection(signature.name, bound) {
            self.refuse(start, end, message);
        }
    }

    /// Extensions that others must stand beside, wherever those are required.
    pub(super) fn dependencies(&mut self) {
        let has = |name: &str| self.required.contains(name.as_bytes());
        if self.is_pigeonhole() && has("extracttext") && !(has("variables") && has("foreverypart")) {
            self.refuse(0, 0, "`extracttext` is required without `variables` and `foreverypart`");
        }
        if self.strange_namespace && !self.included.is_empty() {
            self.refuse(0, 0, "a variable of an unknown namespace in a script that includes others");
        }
    }

    fn numbers(&mut self, bound: &Bound<'_>, start: usize, end: usize) {
        let values = bound.tags.iter().filter_map(|tag| tag.value);
        let tokens = bound.positional.iter().copied().chain(values).filter_map(|argument| match argument {
            Argument::Number(token) => Some(*token),
            _ => None,
        });
        if tokens.into_iter().any(|token| number(self.reading.text(token)).is_none()) {
            self.refuse(start, end, "a number that is too large");
        }
    }

    /// Strings of which the engine looks at every part when it compiles.
    fn expansions(&mut self, signature: &Signature, bound: &Bound<'t>, start: usize, end: usize) {
        let (encoded, variables) = (self.has(b"encoded-character"), self.has(b"variables"));
        let named = matches!(signature.name, "require" | "ihave" | "global");
        if named || !(encoded || variables) {
            return;
        }
        let skipped = usize::from(signature.name == "set");
        let values = bound.tags.iter().filter_map(|tag| tag.value);
        let arguments: Vec<&'t Argument> =
            bound.positional.iter().skip(skipped).copied().chain(values).collect();
        for argument in arguments {
            if encoded && self.names(Some(argument)).iter().any(|(_, raw)| self.is_no_text(raw)) {
                self.refuse(start, end, "an encoded character that is none");
            }
            if variables {
                self.note_locals(argument);
            }
        }
    }

    fn is_no_text(&self, raw: &[u8]) -> bool {
        names_no_character(raw, self.reading.dialect)
    }

    fn note_locals(&mut self, argument: &'t Argument) {
        for (_, text) in self.strings(Some(argument)) {
            for piece in pieces(&text, self.reading.dialect) {
                if let Piece::Variable(name) = piece
                    && match_number(name, self.reading.dialect).is_none()
                {
                    self.note_variable(name);
                }
            }
        }
    }

    fn note_variable(&mut self, name: &[u8]) {
        match name.iter().position(|byte| *byte == b'.') {
            Some(dot) => self.strange_namespace |= !self.knows_namespace(&name[..dot]),
            None => drop(self.locals.insert(name.to_ascii_lowercase())),
        }
    }

    fn knows_namespace(&self, namespace: &[u8]) -> bool {
        const NAMESPACES: [(&[u8], &[u8]); 3] = [
            (b"global", b"include"),
            (b"env", b"vnd.dovecot.environment"),
            (b"config", b"vnd.dovecot.config"),
        ];
        NAMESPACES.iter().any(|(name, of)| namespace.eq_ignore_ascii_case(name) && self.has(of))
    }

    pub(super) fn has(&self, capability: &[u8]) -> bool {
        self.declared.contains(capability)
    }

    fn objection(&mut self, name: &str, bound: &Bound<'t>) -> Option<&'static str> {
        match name {
            "setflag" | "addflag" | "removeflag" if bound.positional.len() == 2 => {
                self.note_assigned(bound.at(0));
                None
            }
            "hasflag" if bound.positional.len() == 2 => self.read_flags(bound),
            "extracttext" => {
                self.note_assigned(bound.at(0));
                None
            }
            "set" => {
                self.note_assigned(bound.at(0));
                bound.has("quoteregex").then_some("a tag that does not belong here")
            }
            "global" => self.late_global(bound),
            "fileinto" => self.folder(bound),
            "addheader" | "deleteheader" => {
                let field = self.constant(bound.at(0));
                field.is_some_and(|field| !is_field_name(&field)).then_some("not the name of a header field")
            }
            "pipe" | "filter" | "execute" => {
                self.note_assigned(bound.value("output"));
                self.program(bound)
            }
            "notify" => {
                let method = self.constant(bound.value("method"));
                let mail = method.is_none_or(|method| method.eq_ignore_ascii_case(b"mailto"));
                (!mail).then_some("not the `mailto` method")
            }
            "header" | "address" | "date" if self.is_first_of_none(bound) => Some("`:index` counts from one"),
            "header" | "address" | "exists" => {
                let options = ["anychild", "type", "subtype", "contenttype", "param"];
                let lonely = options.iter().any(|tag| bound.has(tag)) && !bound.has("mime");
                lonely.then_some("a MIME option without `:mime`")
            }
            _ => None,
        }
    }

    fn note_assigned(&mut self, variable: Option<&Argument>) {
        for (_, name) in self.names(variable) {
            self.locals.insert(name.to_ascii_lowercase());
        }
    }

    fn is_first_of_none(&self, bound: &Bound<'_>) -> bool {
        matches!(bound.value("index"), Some(Argument::Number(token)) if number(self.reading.text(*token)) == Some(0))
    }

    /// Match variables can be read, but not set.
    fn read_flags(&mut self, bound: &Bound<'t>) -> Option<&'static str> {
        let dialect = self.reading.dialect;
        let names = self.names(bound.at(0));
        names.iter().for_each(|(_, name)| self.note_variable(name));
        let spaced = |name: &[u8]| name.iter().position(|byte| *byte == b'.');
        let known = |name: &[u8]| spaced(name).is_none_or(|dot| self.knows_namespace(&name[..dot]));
        let variable = |name: &[u8]| is_variable_name(name, dialect) && known(name);
        let sound = |name: &[u8]| variable(name) || match_number(name, dialect).is_some();
        (!names.iter().all(|(_, name)| sound(name))).then_some("not the name of a variable")
    }

    /// What is global already may be named and declared again.
    fn late_global(&mut self, bound: &Bound<'t>) -> Option<&'static str> {
        let names = self.names(bound.last());
        let new: Vec<Vec<u8>> = names.iter().map(|(_, name)| name.to_ascii_lowercase()).collect();
        let used = new.iter().any(|name| self.locals.contains(name) && !self.globals.contains(name));
        self.globals.extend(new);
        if !names.iter().all(|(_, name)| self.is_plain_variable(name)) {
            return Some("not the name of a variable that can be global");
        }
        used.then_some("declared global after its use as a local variable")
    }

    /// Pigeonhole knows one method.
    pub(super) fn notify(&mut self, bound: &Bound<'t>, command: &Command) {
        if let Some(importance) = self.constant(bound.value("importance"))
            && !matches!(&*importance, b"1" | b"2" | b"3")
        {
            self.refuse(command.start, command.end, "an importance other than 1, 2 and 3");
        }
        if bound.last().is_some() && !self.constants(bound.value("options")).iter().all(|one| is_option(one))
        {
            self.refuse(command.start, command.end, "not an option as the engine takes it");
        }
        let mut addresses = self.constants(bound.value("from"));
        if bound.last().is_none() {
            addresses.extend(self.constants(bound.value("options")));
        }
        if !addresses.iter().all(|address| is_pigeonhole_address(address)) {
            self.refuse(command.start, command.end, "not one valid address");
        }
        if self.constant(bound.last()).is_some_and(|uri| !is_pigeonhole_mailto(&uri)) {
            self.refuse(command.start, command.end, "not a `mailto:` URI as the engine takes it");
        }
    }

    fn folder(&self, bound: &Bound<'t>) -> Option<&'static str> {
        let readable = |name: Cow<'_, [u8]>| std::str::from_utf8(&name).is_ok();
        if !self.constant(bound.last()).is_none_or(readable) {
            return Some("not the name of a folder");
        }
        let flag = self.constant(bound.value("specialuse"));
        flag.is_some_and(|flag| !is_special_use(&flag)).then_some("not a special-use flag")
    }

    fn program(&self, bound: &Bound<'t>) -> Option<&'static str> {
        let Some(name) = self.constant(bound.at(0)) else {
            return Some("the name of a program must be constant");
        };
        let is_program = text(&name).is_some_and(|name| name.chars().count() <= MAX_PROGRAM_NAME);
        if !is_program {
            return Some("not the name of a program");
        }
        let broken = |text: &Cow<'_, [u8]>| text.contains(&b'\n') || text.contains(&b'\r');
        self.constants(bound.at(1)).iter().any(broken).then_some("a line end in an argument of a program")
    }
}

/// Names of stored scripts and of programs are not paths, nor anything that is no text (RFC 5804 §1.6; measured: U+00FF
/// counts among what is none).
fn text(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    let odd = |c: char| c.is_control() || matches!(c, '/' | '\u{ff}' | '\u{2028}' | '\u{2029}');
    (!name.is_empty() && !name.contains(odd)).then_some(name)
}

pub(super) fn is_script_name(name: &[u8]) -> bool {
    name.len() <= MAX_SCRIPT_NAME && text(name).is_some()
}

/// RFC 5435 §3.5: a name, which begins with a letter or a digit, and a value on one line.
fn is_option(option: &[u8]) -> bool {
    let Some(equals) = option.iter().position(|byte| *byte == b'=') else { return false };
    let (name, value) = (&option[..equals], &option[equals + 1..]);
    name.first().is_some_and(u8::is_ascii_alphanumeric)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && !value.iter().any(|byte| matches!(byte, b'\r' | b'\n'))
}
