//! Loops over the parts of a message (RFC 5703).

use super::{Branch, Done, MAX_REHEARSED, Run, State, unset};
use crate::keep::{Trace, anything_in};
use crate::store::{Changes, MatchState};
use crate::tree::CommandId;
use crate::value::Value;

/// Loops inside more loops than this are not run twice to find what a variable may become: each level would
/// triple the work, and nobody writes a third.
const MAX_LOOP_DEPTH: usize = 2;

impl Run<'_, '_> {
    /// RFC 5703 §3: the block runs once for each MIME part, so what a round changes the next one sees.
    pub(super) fn every_part(&mut self, block: Option<CommandId>) {
        if self.is_rehearsing() && self.loops >= MAX_LOOP_DEPTH {
            // It will be forgotten what this loop does, so nothing more is to be learned of those around it.
            self.rehearsed = MAX_REHEARSED + 1;
            return;
        }
        self.loops += 1;
        if self.loops > MAX_LOOP_DEPTH || !self.is_tried_out(block) {
            self.forget_rounds();
        }
        let outer = std::mem::take(&mut self.trace);
        let before = self.state.clone();
        self.fork(vec![Branch::of(block), Branch::of(None)]);
        self.come_back(&before);
        let body = std::mem::replace(&mut self.trace, outer);
        let rounds = anything_in(&body);
        self.state.fates = self.state.fates.or(before.fates.after(rounds));
        self.trace.push(Trace::Loop(body, rounds));
        self.loops -= 1;
    }

    /// What rounds before may have done is not known.
    fn forget_rounds(&mut self) {
        self.forget(None);
        self.state.matches = MatchState::ANYTHING;
        self.state.maybe = Done::anything();
        self.copied_anywhere = true;
        self.message_changed = true;
    }

    /// Gives variables what they may hold where a round begins; false when that costs too much.
    fn is_tried_out(&mut self, block: Option<CommandId>) -> bool {
        if self.rehearsed > MAX_REHEARSED {
            return false;
        }
        let (Some(first), Some(second)) = (self.rehearse(block), self.rehearse(block)) else { return false };
        for (key, value) in second.iter().filter(|(key, value)| first.get(*key) != Some(*value)) {
            let sender_controlled = value.sender_controlled();
            self.store.set(key.clone(), Value::Unbounded { sender_controlled });
        }
        true
    }

    /// Tries a round without recording it and gives variables the values of before or after it; none when
    /// that took too much.
    fn rehearse(&mut self, block: Option<CommandId>) -> Option<Changes> {
        let (before, mark, conditions) = (self.state.clone(), self.store.mark(), self.conditional);
        let outer = std::mem::take(&mut self.trace);
        self.rehearsing += 1;
        // What is only tried out is not sure.
        self.conditional += 1;
        self.block(block);
        self.rehearsing -= 1;
        self.trace = outer;
        self.conditional = conditions;
        let matches = before.matches.or(&self.state.matches);
        let maybe = before.maybe.clone().or(&self.state.maybe);
        self.state = State { matches, maybe, ..before };
        let changes = self.store.take_back(mark);
        if self.rehearsed > MAX_REHEARSED {
            return None;
        }
        let unknown = self.globals_unknown;
        self.store.join(&[changes.clone(), Changes::new()], |key| unset(key, unknown));
        Some(changes)
    }
}
