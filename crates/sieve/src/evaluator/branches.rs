//! Ways that part at an `if` and come together behind it.

use super::{Gone, Run, State, unset};
use crate::classes::classes_of;
use crate::conditions::Step;
use crate::constant::Fixed;
use crate::keep::Trace;
use crate::outcomes::Outcome;
use crate::store::{Changes, MatchState};
use crate::tree::CommandId;
use crate::vocabulary;

impl Run<'_, '_> {
    /// RFC 5228 §3.1: `if`, its `elsif`s and its `else`; returns the command after them.
    pub(super) fn conditional_chain(&mut self, first: CommandId) -> Option<CommandId> {
        let reading = self.reading();
        let fold = self.dialect.folds_keywords();
        let name = |id: CommandId| {
            let signature = vocabulary::command(reading.text(reading.tree.commands[id as usize].name), fold);
            signature.map_or("", |signature| signature.name)
        };
        let mut branches = Vec::new();
        let mut chain =
            Chain { script: self.frame().script, open: Outcome::True, failed: Vec::new(), decided: false };
        let mut next = Some(first);
        let answers = self.answers.len();
        while let Some(id) = next {
            let is_else = name(id) == "else";
            if id != first && !is_else && name(id) != "elsif" {
                break;
            }
            branches.push(self.chain_branch(id, is_else, &mut chain));
            next = reading.tree.commands[id as usize].next;
            if is_else {
                break;
            }
        }
        self.answers.truncate(answers);
        if chain.open != Outcome::False {
            branches.push(Branch { steps: chain.failed.clone(), ..Branch::of(None) });
        }
        self.fork(branches);
        next
    }

    fn chain_branch(&mut self, id: CommandId, is_else: bool, chain: &mut Chain) -> Branch {
        let command = &self.reading().tree.commands[id as usize];
        let closed = chain.open == Outcome::False;
        let outcome = match command.test {
            _ if is_else => Outcome::True,
            Some(test) if !command.malformed => {
                let doubts = usize::from(matches!(chain.open, Outcome::Maybe(_)));
                (self.conditional, self.doubts) = (self.conditional + doubts, self.doubts + doubts);
                let outcome = self.chain_test(test, command.listed, closed);
                (self.conditional, self.doubts) = (self.conditional - doubts, self.doubts - doubts);
                outcome
            }
            _ => Outcome::Maybe(None),
        };
        let mut steps = chain.failed.clone();
        if let (Outcome::Maybe(_), Some(test)) = (&outcome, command.test) {
            let step = self.step(chain.script, test);
            steps.push(step);
            chain.fail(step);
            // The tests of later branches are asked only where this one failed.
            self.learn(chain.script, test, false);
        }
        let open = !closed && outcome != Outcome::False;
        match &outcome {
            Outcome::True => chain.open = Outcome::False,
            Outcome::Maybe(_) if !closed => chain.open = Outcome::Maybe(None),
            _ => {}
        }
        let matched = if let Outcome::Maybe(matched) = outcome { matched } else { None };
        let matches = Some(matched.unwrap_or_else(|| self.state.matches.clone()));
        let fixed = command.test.map_or(Fixed::Open, |test| self.fixed(test));
        let compiled = !chain.decided && fixed != Fixed::False;
        chain.decided |= fixed == Fixed::True;
        Branch { open, steps, block: command.block, matches, compiled }
    }

    fn step(&self, script: usize, test: u32) -> Step {
        let reading = self.reading();
        let place = &reading.tree.tests[test as usize];
        let classes = classes_of(reading, test);
        Step {
            script,
            test,
            start: place.start,
            end: place.end,
            negated: false,
            classes,
            so_far: classes,
            answers: 0,
        }
    }

    /// A test behind one that always holds is never run; it still has effects to name as dead.
    fn chain_test(&mut self, test: u32, listed: bool, closed: bool) -> Outcome {
        let run = |run: &mut Self| if listed { run.bare_list(test) } else { run.outcome(test) };
        if closed { self.as_dead(run) } else { run(self) }
    }

    /// Runs branches of which one is taken, and joins what they leave behind.
    pub(super) fn fork(&mut self, branches: Vec<Branch>) {
        let before = self.state.clone();
        let certain = branches.iter().filter(|branch| branch.open).count() == 1;
        let (mut ends, mut ways, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for branch in branches {
            let end = self.branch(&branch, certain, &before);
            ways.push((branch.open, end.trace));
            if branch.open {
                if end.state.gone != Gone::No {
                    left.push(branch.steps);
                }
                ends.push((end.state, end.changes));
            }
        }
        self.trace.push(Trace::Fork(ways));
        self.join(before, ends);
        self.note_leavers(&left);
    }

    fn branch(&mut self, branch: &Branch, certain: bool, before: &State) -> BranchEnd {
        let (path, mark) = (self.path.len(), self.store.mark());
        let outer = std::mem::take(&mut self.trace);
        self.state = before.clone();
        if let Some(matches) = &branch.matches {
            self.state.matches = matches.clone();
        }
        if !branch.open {
            self.state.gone = Gone::Stopped;
        } else if !certain {
            self.conditional += 1;
        }
        branch.steps.iter().for_each(|step| self.walk(*step));
        self.not_compiled += usize::from(!branch.compiled);
        self.block(branch.block);
        self.not_compiled -= usize::from(!branch.compiled);
        self.go_back(path);
        self.conditional -= usize::from(branch.open && !certain);
        BranchEnd {
            state: self.state.clone(),
            changes: self.store.take_back(mark),
            trace: std::mem::replace(&mut self.trace, outer),
        }
    }

    /// A way that returned from an included script still hands on its globals, so only ways that
    /// stopped are left out.
    pub(super) fn join(&mut self, before: State, ends: Vec<(State, Changes)>) {
        let any_left = ends.iter().any(|(end, _)| end.gone != Gone::No || end.may_have_left);
        let all_gone = !ends.is_empty() && ends.iter().all(|(end, _)| end.gone != Gone::No);
        let all_stopped = ends.iter().all(|(end, _)| end.gone == Gone::Stopped);
        let going_on: Vec<_> =
            ends.into_iter().filter(|(end, _)| all_stopped || end.gone != Gone::Stopped).collect();
        let joined = going_on.iter().map(|(end, _)| end.clone()).reduce(|a, b| State {
            gone: if a.gone == b.gone { a.gone } else { Gone::No },
            may_have_left: a.may_have_left || b.may_have_left,
            failing: a.failing.or(b.failing),
            actions: a.actions.max(b.actions),
            redirects: a.redirects.max(b.redirects),
            fates: a.fates.or(b.fates),
            matches: a.matches.or(&b.matches),
            done: a.done.and(&b.done),
            maybe: a.maybe.or(&b.maybe),
        });
        self.state = joined.unwrap_or(before.clone());
        self.state.may_have_left |= any_left || before.may_have_left;
        self.state.gone = match (before.gone, all_gone, all_stopped) {
            (Gone::No, false, _) => Gone::No,
            (Gone::No, true, true) => Gone::Stopped,
            (Gone::No, true, false) => Gone::Returned,
            (gone, ..) => gone,
        };
        let changes: Vec<Changes> = going_on.into_iter().map(|(_, changes)| changes).collect();
        let unknown = self.globals_unknown;
        self.store.join(&changes, |key| unset(key, unknown));
    }

    /// Behind `if A { stop; }` the rest of the block runs only when A fails.
    fn note_leavers(&mut self, left: &[Vec<Step>]) {
        for steps in left {
            if let [step] = steps.as_slice() {
                self.walk(Step { negated: !step.negated, ..*step });
            }
        }
    }

    pub(super) fn walk(&mut self, step: Step) {
        let before = self.path.last().map(|last| last.so_far).unwrap_or_default();
        self.path.push(Step { so_far: before.or(step.classes), answers: self.answers.len(), ..step });
        self.learn(step.script, step.test, !step.negated);
    }

    /// Takes steps back, with what they taught.
    pub(super) fn go_back(&mut self, length: usize) {
        if let Some(step) = self.path.get(length) {
            self.answers.truncate(step.answers);
            self.path.truncate(length);
        }
    }
}

/// How far an `if` chain has come.
struct Chain {
    script: usize,
    /// Whether the next branch is reached: surely, perhaps, or never.
    open: Outcome,
    failed: Vec<Step>,
    /// A branch before is always taken, as the compiler sees it.
    decided: bool,
}

/// How many failed tests of a chain the conditions of a later branch name.
const MAX_FAILED_STEPS: usize = 4;

impl Chain {
    fn fail(&mut self, step: Step) {
        if self.failed.len() < MAX_FAILED_STEPS {
            self.failed.push(Step { negated: true, ..step });
        }
    }
}

/// A way that may be taken.
pub(super) struct Branch {
    open: bool,
    steps: Vec<Step>,
    block: Option<CommandId>,
    /// The match variables its test leaves, when a test leads into it.
    matches: Option<MatchState>,
    /// What Pigeonhole does not compile declares nothing.
    compiled: bool,
}

impl Branch {
    pub(super) fn of(block: Option<CommandId>) -> Self {
        Self { open: true, steps: Vec::new(), block, matches: None, compiled: true }
    }
}

struct BranchEnd {
    state: State,
    changes: Changes,
    trace: Vec<Trace>,
}
