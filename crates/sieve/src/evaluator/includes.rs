//! Scripts that run inside others, and the way back (RFC 6609).

use super::{Draft, Gone, Prepared, Run, State};
use crate::Dialect;
use crate::arguments::Bound;
use crate::effects::{EffectKind, Role, Severity};
use crate::keep::{Trace, Transfer};
use crate::store::{Changes, GLOBAL, MatchState};
use crate::tree::CommandId;
use crate::value::Value;

/// Pigeonhole refuses deeper includes, Stalwart far shallower ones.
const MAX_INCLUDE_DEPTH: usize = 10;

impl Run<'_, '_> {
    pub(super) fn include(&mut self, id: CommandId, bound: &Bound<'_>) {
        let reading = self.reading();
        let command = &reading.tree.commands[id as usize];
        let name = bound.last().map_or(Value::constant(b""), |argument| self.argument(argument));
        let found = name.as_constant().and_then(|name| self.find_script(name, bound.has("global")));
        let draft = Draft {
            kind: EffectKind::Include,
            targets: vec![(name.clone(), Role::Script)],
            list: false,
            transfer: Transfer::default(),
            content: None,
            steps: bound.last().map(|argument| self.steps(&[argument])).unwrap_or_default(),
        };
        self.record(draft, command.start, command.end);
        match found {
            Some(number) if bound.has("once") && self.included.contains(&number) => {}
            Some(number) if self.may_enter(number) => {
                match bound.has("once") && self.perhaps_included.contains(&number) {
                    true => self.perhaps_call(number),
                    false => self.call(number),
                }
            }
            Some(_) => {
                self.diagnose(
                    command.start,
                    command.end,
                    Severity::Error,
                    "includes itself, or too deep a chain",
                );
                self.anything_may_happen();
            }
            None => self.not_found(&name, bound.has("optional"), command.start, command.end),
        }
    }

    fn may_enter(&self, number: usize) -> bool {
        self.frames.len() <= MAX_INCLUDE_DEPTH && self.frames.iter().all(|frame| frame.script != number)
    }

    fn find_script(&self, name: &[u8], global: bool) -> Option<usize> {
        let same = |known: &str| match self.dialect {
            Dialect::Stalwart => known.as_bytes().eq_ignore_ascii_case(name),
            Dialect::Pigeonhole | Dialect::Cyrus => known.as_bytes() == name,
        };
        let named = |script: &Prepared<'_>| !script.name.is_empty() && same(script.name);
        self.world.scripts.iter().position(|script| script.global == global && named(script))
    }

    fn not_found(&mut self, name: &Value, optional: bool, start: usize, end: usize) {
        if name.as_constant().is_none() {
            self.diagnose(start, end, Severity::Warning, "includes a script whose name is made at run time");
            self.anything_may_happen();
        } else if self.world.complete {
            self.diagnose(start, end, Severity::Warning, "includes a script that does not exist, yet");
            if !optional {
                self.anything_may_happen();
            }
        } else {
            self.diagnose(
                start,
                end,
                Severity::Warning,
                "includes a script that was not given to this analysis",
            );
            self.anything_may_happen();
        }
    }

    fn anything_may_happen(&mut self) {
        self.forget(Some(GLOBAL));
        self.globals_unknown = true;
        self.message_changed = true;
        let past = self.state.fates;
        self.trace.push(Trace::Act { effect: None, past, transfer: Transfer::ANYTHING });
        self.state.fates = past.after(Transfer::ANYTHING);
        self.state.may_have_left = true;
        self.frame_mut().stopped = true;
    }

    /// A script that runs here unless it ran before.
    fn perhaps_call(&mut self, number: usize) {
        let (before, mark) = (self.state.clone(), self.store.mark());
        let outer = std::mem::take(&mut self.trace);
        self.conditional += 1;
        self.call(number);
        self.conditional -= 1;
        let way = std::mem::replace(&mut self.trace, outer);
        self.trace.push(Trace::Fork(vec![(true, way), (true, Vec::new())]));
        let ends = vec![(self.state.clone(), self.store.take_back(mark)), (before.clone(), Changes::new())];
        self.join(before, ends);
    }

    fn call(&mut self, number: usize) {
        if self.state.gone == Gone::No {
            self.perhaps_included.insert(number);
        }
        if self.state.gone == Gone::No && self.conditional == 0 {
            self.included.insert(number);
        }
        let before = self.state.clone();
        // Pigeonhole keeps match variables for each script apart (measured).
        let apart = self.dialect == Dialect::Pigeonhole;
        if apart {
            self.state.matches = MatchState::Empty;
        }
        let outer = std::mem::take(&mut self.trace);
        let ended = self.script(number);
        if apart {
            self.state.matches = before.matches.clone();
        }
        let body = std::mem::replace(&mut self.trace, outer);
        self.trace.push(Trace::Call(body));
        self.frame_mut().stopped |= ended.as_ref().is_some_and(|frame| frame.stopped);
        if let (Gone::No, Some(fates)) = (before.gone, ended.and_then(|frame| frame.returned)) {
            let others = if self.state.gone == Gone::Stopped { fates } else { self.state.fates };
            self.state.fates = others.or(fates);
            self.state.done = before.done.clone();
            self.state.gone = Gone::No;
        }
        self.come_back(&before);
    }

    /// Behind a loop or an included script, ways that only left that are here again.
    pub(super) fn come_back(&mut self, before: &State) {
        if self.state.gone == Gone::Returned && before.gone == Gone::No {
            self.state.gone = Gone::No;
        }
        self.state.may_have_left = before.may_have_left || self.frame().stopped;
    }
}
