//! Strings and variables during a run.

use crate::Dialect;
use crate::arguments::Bound;
use crate::evaluator::Run;
use crate::modifiers::{Modifier, apply_all};
use crate::store::{GLOBAL, Key};
use crate::strings::{Piece, match_number, pieces, text_of};
use crate::tree::Argument;
use crate::value::{Builder, MAX_ALTERNATIVES, Template, Value};
use std::rc::Rc;

/// Stalwart lets any string name parts of the message by these; who sends it chooses them.
const MESSAGE_NAMESPACES: [&[u8]; 6] = [b"header", b"body", b"part", b"envelope", b"t", b"event"];

/// How many different variables in one string are followed.
const MAX_NAMES: usize = 64;

impl Run<'_, '_> {
    /// The value of a string token where the run stands.
    pub(crate) fn string(&self, token: u32) -> Value {
        let expansion = self.frame().expansion;
        let text = text_of(self.reading().text(token), self.dialect, expansion.encoded_character);
        if expansion.variables && text.contains(&b'$') { self.expand(&text) } else { Value::constant(&text) }
    }

    /// The value of an argument that is one string; of a list, all of its members.
    pub(crate) fn argument(&self, argument: &Argument) -> Value {
        let reading = self.reading();
        let values = reading.tree.strings_of(argument).iter().map(|token| self.string(*token));
        values.reduce(|all, value| all.or(&value)).unwrap_or_else(|| Value::constant(b""))
    }

    /// A name that the script gives: of a variable, or of a capability.
    pub(crate) fn name(&self, token: u32) -> Option<Vec<u8>> {
        if self.dialect.reads_names_raw() {
            return Some(text_of(self.reading().text(token), self.dialect, false).into_owned());
        }
        self.string(token).as_constant().map(<[u8]>::to_vec)
    }

    /// The names in an argument.
    pub(crate) fn names(&self, argument: &Argument) -> Vec<Vec<u8>> {
        let tokens = self.reading().tree.strings_of(argument);
        tokens.iter().filter_map(|token| self.name(*token)).collect()
    }

    fn first_name(&self, argument: &Argument) -> Option<Vec<u8>> {
        self.names(argument).into_iter().next()
    }

    /// Every string of an argument by itself.
    pub(crate) fn members(&self, argument: &Argument) -> Vec<Value> {
        self.reading().tree.strings_of(argument).iter().map(|token| self.string(*token)).collect()
    }

    /// Puts values for the references in a text. A variable that occurs twice has one value in both.
    pub(crate) fn expand(&self, text: &[u8]) -> Value {
        let pieces = pieces(text, self.dialect);
        if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) {
            return Value::constant(text);
        }
        let mut names: Vec<&[u8]> = Vec::new();
        for piece in &pieces {
            if let Piece::Variable(name) = piece
                && names.len() <= MAX_NAMES
                && !names.contains(name)
            {
                names.push(name);
            }
        }
        if names.len() > MAX_NAMES {
            return Value::Unbounded { sender_controlled: true };
        }
        let values: Vec<Value> = names.iter().map(|name| self.variable(name)).collect();
        let unbounded =
            || Value::Unbounded { sender_controlled: values.iter().any(Value::sender_controlled) };
        // Asked before anything is built: what is thrown away costs as much as what is kept.
        let least = least_length(&pieces, &names, &values);
        if !self.affords(text.len() + least) {
            return unbounded();
        }
        let built = combine(&pieces, &names, &values);
        if self.affords(built.len().saturating_sub(least)) { built } else { unbounded() }
    }

    /// What `${name}` stands for.
    pub(crate) fn variable(&self, name: &[u8]) -> Value {
        if let Some(number) = match_number(name, self.dialect) {
            let held = number <= self.dialect.match_limit();
            return if held { self.state.matches.value(number) } else { Value::constant(b"") };
        }
        match name.iter().position(|byte| *byte == b'.') {
            None => self.stored(&self.key(name)),
            Some(dot) if name[..dot].eq_ignore_ascii_case(b"global") && self.knows_global_namespace() => {
                self.stored(&(GLOBAL, lowered(&name[dot + 1..])))
            }
            Some(dot) => self.namespaced(name, &name[..dot]),
        }
    }

    pub(crate) fn stored(&self, key: &Key) -> Value {
        self.store.get(key).cloned().unwrap_or_else(|| self.unset_variable(key))
    }

    fn namespaced(&self, name: &[u8], namespace: &[u8]) -> Value {
        let shown = String::from_utf8_lossy(name);
        let of_message = MESSAGE_NAMESPACES.iter().any(|known| known.eq_ignore_ascii_case(namespace));
        match self.dialect {
            Dialect::Stalwart => Value::source(&shown, of_message),
            Dialect::Cyrus => Value::constant(&[b"${", name, b"}"].concat()),
            Dialect::Pigeonhole if self.frame().server_variables && is_of_server(namespace) => {
                Value::source(&shown, false)
            }
            // Complained about, yet compiled: an unknown namespace is empty (measured).
            Dialect::Pigeonhole => Value::constant(b""),
        }
    }

    /// Where a variable of that name is kept: RFC 6609 §3.4, `global` moves it to the common scope.
    pub(crate) fn key(&self, name: &[u8]) -> Key {
        if name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"global.")) {
            return (GLOBAL, lowered(&name[7..]));
        }
        let (name, frame) = (lowered(name), self.frame());
        let scope = if frame.globals.contains(&name) { GLOBAL } else { frame.scope };
        (scope, name)
    }

    pub(crate) fn assign(&mut self, name: &[u8], value: Value) {
        let key = self.key(name);
        self.assign_key(key, &value);
    }

    pub(crate) fn assign_key(&mut self, key: Key, value: &Value) {
        if self.can_assign() {
            let limit = self.dialect.value_limit();
            let value = match value {
                Value::Constant(text) if text.len() <= limit => value.clone(),
                _ => value.map(|template| cut(template, limit)),
            };
            let kept = (key.0 == GLOBAL && self.has_returned_ways()).then(|| self.stored(&key));
            self.store.set(key, kept.map_or(value.clone(), |before| before.or(&value)));
        }
    }

    /// RFC 5229 §4.
    pub(crate) fn set(&mut self, bound: &Bound<'_>, place: (usize, usize)) {
        let (Some(name), Some(given)) = (bound.at(0), bound.at(1)) else { return };
        let value = self.argument(given);
        let mut modifiers = modifiers(bound);
        let mut value = apply_all(&mut modifiers, &value);
        if let Some(name) = self.first_name(name) {
            let key = self.key(&name);
            if modifiers.is_empty() && self.is_nothing_but(given, &key) {
                value = value.or(&Value::constant(b""));
            }
            self.note_origin(key.clone(), Some(given), place, "a variable set here");
            self.assign_key(key, &value);
        }
    }

    /// Whether a string is one reference to a variable and nothing else. Pigeonhole 0.5.19 empties a variable
    /// that is set to itself so (measured); others may not.
    fn is_nothing_but(&self, argument: &Argument, key: &Key) -> bool {
        let expansion = self.frame().expansion;
        let [token] = self.reading().tree.strings_of(argument) else { return false };
        let plain = !self.reading().text(*token).contains(&b'$');
        if plain || self.dialect != Dialect::Pigeonhole || !expansion.variables {
            return false;
        }
        let text = text_of(self.reading().text(*token), self.dialect, expansion.encoded_character);
        matches!(pieces(&text, self.dialect)[..], [Piece::Variable(name)] if self.key(name) == *key)
    }

    /// Whether a variable is named in any of the strings.
    pub(crate) fn mentions(&self, argument: &Argument, key: &Key) -> bool {
        let expansion = self.frame().expansion;
        let named = |token: &u32| {
            let text = text_of(self.reading().text(*token), self.dialect, expansion.encoded_character);
            let is_it = |piece: &Piece<'_>| matches!(piece, Piece::Variable(name) if self.key(name) == *key);
            pieces(&text, self.dialect).iter().any(is_it)
        };
        expansion.variables && self.reading().tree.strings_of(argument).iter().any(named)
    }

    /// RFC 5703 §7: text of the message becomes the value of a variable.
    pub(crate) fn extract_text(&mut self, bound: &Bound<'_>, place: (usize, usize)) {
        let Some(name) = bound.last() else { return };
        if let Some(name) = self.first_name(name) {
            self.note_origin(self.key(&name), None, place, "text of the message taken here");
            let whole = !bound.has("first");
            let value = Value::text_source(&String::from_utf8_lossy(&name), true, whole);
            self.assign(&name, value);
        }
    }

    /// A program's output becomes the value of a variable.
    pub(crate) fn assign_output(&mut self, name: &Argument) {
        if let Some(name) = self.first_name(name) {
            let value = Value::source(&String::from_utf8_lossy(&name), true);
            self.assign(&name, value);
        }
    }

    /// The result of an expression of Stalwart's, which may hold any part of the message.
    pub(crate) fn assign_expression(&mut self, bound: &Bound<'_>) {
        if let Some(name) = bound.at(0).and_then(|name| self.first_name(name)) {
            self.assign(&name, Value::Unbounded { sender_controlled: true });
        }
    }

    /// RFC 6609 §3.4.1. It counts from there on in the text, whether or not it runs, if it is compiled at all.
    pub(crate) fn declare_globals(&mut self, bound: &Bound<'_>) {
        let Some(names) = bound.last().filter(|_| self.not_compiled == 0) else { return };
        for name in self.names(names) {
            self.frame_mut().globals.insert(lowered(&name));
        }
    }
}

fn lowered(name: &[u8]) -> Rc<[u8]> {
    name.iter().map(u8::to_ascii_lowercase).collect()
}

fn modifiers(bound: &Bound<'_>) -> Vec<Modifier> {
    bound.tags.iter().filter_map(|tag| Modifier::from_tag(tag.row.0.as_bytes())).collect()
}

/// Cuts constants to the engine's limit, at a character boundary.
fn cut(template: &Template, limit: usize) -> Template {
    match template.as_constant() {
        Some(text) if text.len() > limit => {
            let boundary = (0..=limit).rev().find(|at| text[*at] & 0xc0 != 0x80).unwrap_or(limit);
            Template::constant(&text[..boundary])
        }
        _ => template.clone(),
    }
}

/// The bytes that each reference brings in once, over all of them.
fn least_length(pieces: &[Piece<'_>], names: &[&[u8]], values: &[Value]) -> usize {
    let length = |piece: &Piece<'_>| match piece {
        Piece::Text(text) => text.len(),
        Piece::Variable(name) => {
            names.iter().position(|known| known == name).map_or(0, |at| values[at].len())
        }
    };
    pieces.iter().map(length).fold(0, usize::saturating_add)
}

/// Every combination of the alternatives, as long as there are few.
fn combine(pieces: &[Piece<'_>], names: &[&[u8]], values: &[Value]) -> Value {
    let unbounded = Value::Unbounded { sender_controlled: values.iter().any(Value::sender_controlled) };
    let alternatives: Option<Vec<Rc<[Template]>>> = values.iter().map(Value::templates).collect();
    let Some(alternatives) = alternatives else { return unbounded };
    let combinations = alternatives.iter().fold(1_usize, |all, one| all.saturating_mul(one.len()));
    if combinations > MAX_ALTERNATIVES {
        return unbounded;
    }
    let built: Option<Vec<Template>> =
        (0..combinations).map(|number| build(pieces, names, &alternatives, number)).collect();
    built.map_or(unbounded, Value::of)
}

/// The combination of that number, counted with the first name as the lowest digit; none if too long.
fn build(
    pieces: &[Piece<'_>],
    names: &[&[u8]],
    alternatives: &[Rc<[Template]>],
    number: usize,
) -> Option<Template> {
    let mut rest = number;
    let chosen: Vec<&Template> = alternatives
        .iter()
        .map(|templates| {
            let template = &templates[rest % templates.len()];
            rest /= templates.len();
            template
        })
        .collect();
    let mut built = Builder::default();
    for piece in pieces {
        match piece {
            Piece::Text(text) => built.text(text),
            Piece::Variable(name) => {
                let place = names.iter().position(|known| known == name)?;
                chosen[place].0.iter().for_each(|part| built.part(part));
            }
        }
        if built.is_oversized() {
            return None;
        }
    }
    Some(built.finished())
}

/// The namespaces of `vnd.dovecot.environment` and `vnd.dovecot.config`.
fn is_of_server(namespace: &[u8]) -> bool {
    [b"env".as_slice(), b"config"].iter().any(|known| known.eq_ignore_ascii_case(namespace))
}
