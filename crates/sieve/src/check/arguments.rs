//! Which arguments a command or test takes, and which of its tags beside which.

use super::Check;
use crate::Dialect;
use crate::arguments::{Bound, fits};
use crate::constant::Fixed;
use crate::tree::Argument;
use crate::vocabulary::{Signature, Takes};

impl<'t> Check<'t> {
    pub(super) fn arguments(
        &mut self,
        signature: &'static Signature,
        bound: &Bound<'t>,
        start: usize,
        end: usize,
    ) {
        if !bound.unknown_tags.is_empty() {
            self.refuse_strictly(start, end, "a tag that does not belong here");
        }
        if let Some(tag) = bound.late_tag {
            self.refuse_token(tag, "a tag behind other arguments");
        }
        self.tags(signature, bound);
        if self.is_without_code(signature, bound) {
            self.without_code.push((start, end));
            return;
        }
        let (least, most) = (signature.positional.len() - signature.optional, signature.positional.len());
        let (least, most) = self.notify_arity(signature, bound).unwrap_or((least, most));
        if !(least..=most).contains(&bound.positional.len()) {
            self.refuse_strictly(start, end, "the wrong number of arguments");
            return;
        }
        self.argument_types(signature, bound, start, end);
        if self.is_pigeonhole() {
            self.pigeonhole_arguments(signature, bound, start, end);
        }
    }

    /// Too many arguments of `hasflag` are not looked at, but no code can be made of them (measured).
    fn is_without_code(&self, signature: &Signature, bound: &Bound<'_>) -> bool {
        self.is_pigeonhole()
            && signature.name == "hasflag"
            && self.has(b"variables")
            && bound.positional.len() > signature.positional.len()
            && fits(bound.positional[0], Takes::Strings)
            && fits(bound.positional[1], Takes::Strings)
    }

    /// A test that is decided beforehand needs no code.
    pub(super) fn refuse_without_code(&mut self, fixed: Fixed) {
        for (start, end) in std::mem::take(&mut self.without_code) {
            if fixed == Fixed::Open {
                self.refuse(start, end, "the wrong number of arguments");
            }
        }
    }

    /// The older notify has no positional argument, the newer exactly one.
    fn notify_arity(&self, signature: &Signature, bound: &Bound<'_>) -> Option<(usize, usize)> {
        let has = |name: &[u8]| self.declared.contains(name);
        let newer = has(b"enotify") && !bound.has("method");
        let only_older = self.is_pigeonhole() && has(b"notify") && !has(b"enotify");
        (signature.name == "notify").then_some(match (newer, only_older) {
            (true, _) => (1, 1),
            (false, true) => (0, 0),
            (false, false) => (0, 1),
        })
    }

    fn argument_types(&mut self, signature: &Signature, bound: &Bound<'_>, start: usize, end: usize) {
        let leading =
            matches!(signature.name, "setflag" | "addflag" | "removeflag" | "hasflag" | "specialuse_exists");
        let skipped = if leading { signature.positional.len() - bound.positional.len() } else { 0 };
        for (argument, takes) in
            bound.positional.iter().zip(&signature.positional[skipped.min(signature.positional.len())..])
        {
            let list = matches!(argument, Argument::List { .. });
            let several = self.declared.contains(b"vnd.cyrus.redirect-multiple".as_slice());
            if signature.name == "redirect" && list && self.reading.dialect == Dialect::Cyrus && several {
                continue;
            }
            if !fits(argument, *takes) {
                let measured = signature.name == "redirect" && list;
                match measured {
                    true => self.refuse(start, end, "one string is wanted here, not a list"),
                    false => self.refuse_strictly(start, end, "an argument of the wrong type"),
                }
            }
        }
    }

    fn tags(&mut self, signature: &Signature, bound: &Bound<'_>) {
        let mut seen: Vec<&str> = Vec::new();
        // Pigeonhole's plugin asks once whether `copy` is required; `ihave` comes too late for it (measured).
        let insists = self.is_pigeonhole() && signature.name == "pipe";
        for tag in &bound.tags {
            let (name, capability, takes) = *tag.row;
            let known = if insists { &self.required } else { &self.declared };
            if !capability.is_empty() && !known.contains(capability.as_bytes()) {
                self.refuse_token(tag.token, "the capability this tag needs is not required");
            }
            if takes != Takes::Nothing && !tag.value.is_some_and(|value| fits(value, takes)) {
                self.strict_token(tag.token, "this tag wants another value");
            }
            if seen.contains(&group(name)) && !(self.is_pigeonhole() && may_repeat(signature.name, name)) {
                self.strict_token(tag.token, "this tag contradicts one before it");
            }
            seen.push(group(name));
        }
    }

    fn strict_token(&mut self, token: u32, message: &str) {
        let token = self.reading.tree.tokens[token as usize];
        self.refuse_strictly(token.start, token.end, message);
    }
}

/// Tags that Pigeonhole takes again, the last one counting (measured).
fn may_repeat(name: &str, tag: &str) -> bool {
    match tag {
        "name" | "anychild" => true,
        "last" => matches!(name, "header" | "address" | "date"),
        "once" | "optional" => name == "include",
        "handle" => name == "vacation",
        _ => false,
    }
}

/// Tags of which only one may stand in a place share a group.
fn group(tag: &'static str) -> &'static str {
    match tag {
        "is" | "contains" | "matches" | "regex" | "count" | "value" => "match type",
        "all" | "localpart" | "domain" | "user" | "detail" => "address part",
        "zone" | "originalzone" => "zone",
        "days" | "seconds" => "period",
        "type" | "subtype" | "contenttype" | "param" => "mime option",
        "raw" | "text" | "content" => "body transform",
        "input" | "pipe" => "what a program reads",
        "header" | "uniqueid" => "what makes a duplicate",
        other => other,
    }
}
