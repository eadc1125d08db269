//! Runs a script on every message at once.
//!
//! Each command is visited in order with all values its variables may have there. Tests on constants are
//! decided, the others split the run; branches are joined behind the `if`. Nothing is executed.

use crate::Dialect;
use crate::arguments::{Bound, Reading};
use crate::classes::{Classes, window_of};
use crate::conditions::{Place, Step, path_text, test_text, unless_failing, unless_withdrawn};
use crate::constant::{Fixed, fixed_tests};
use crate::destination::bare_address;
use crate::effects::{
    self, Content, Diagnostic, Effect, EffectKind, LocalCopy, Reach, Role, Severity, Target, TimeWindow,
};
use crate::keep::{Fates, Trace, Transfer, settle};
use crate::provenance::Origins;
use crate::questions::Answer;
use crate::store::{GLOBAL, Key, MatchState, Store};
use crate::strings::Expansion;
use crate::tree::{CommandId, Tree};
use crate::ui::Ui;
use crate::value::Value;
use crate::vocabulary;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

mod branches;
mod done;
mod includes;
mod loops;

use branches::Branch;
pub(crate) use done::Done;

/// How many commands one analysis visits; includes and loops can visit a command more than once. The largest
/// script Pigeonhole takes has fewer.
const MAX_STEPS: usize = 300_000;
/// How many commands one analysis tries out to find what loops make of variables; from there on it does not
/// know. Loops that people write have some tens.
const MAX_REHEARSED: usize = 4_096;
/// How many effects one analysis lists. What a person writes has some hundreds; a script made to have more is
/// reported as unknown from there on.
const MAX_EFFECTS: usize = 16_384;
/// How many bytes all targets together may have, for the same reason.
const MAX_TARGET_BYTES: usize = 4 << 20;
/// How deep blocks may nest over all included scripts together.
const MAX_DEPTH: usize = 400;
/// How many steps on the way to an effect are searched for dates.
const MAX_WINDOW_STEPS: usize = 64;
/// How much of unknown code is shown.
const MAX_CODE_EXCERPT: usize = 80;
/// How many bytes one analysis builds or compares in strings; what would cost more is unknown.
const MAX_WORK: usize = 1 << 22;

/// A script made ready.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(crate) name: &'a str,
    pub(crate) global: bool,
    pub(crate) bytes: &'a [u8],
    pub(crate) tree: Tree,
    ui: Ui,
    /// What the engine knows of each test before it runs; empty where it does not look.
    pub(crate) fixed: Vec<Fixed>,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(name: &'a str, global: bool, bytes: &'a [u8], dialect: Dialect) -> Self {
        let tree = crate::parser::parse(bytes, dialect);
        let ui = Ui::of(name, bytes, &tree);
        let fixed = match dialect {
            Dialect::Pigeonhole => fixed_tests(Reading { script: bytes, tree: &tree, dialect }),
            Dialect::Cyrus | Dialect::Stalwart => Vec::new(),
        };
        Self { name, global, bytes, tree, ui, fixed }
    }
}

/// Everything an `include` can find.
#[derive(Debug)]
pub(crate) struct World<'a> {
    pub(crate) scripts: Vec<Prepared<'a>>,
    /// Whether `scripts` is all there is; else an include not found may still exist.
    pub(crate) complete: bool,
    /// The folder on whose IMAP events the script runs (RFC 6785), when that is known.
    pub(crate) event_folder: Option<&'a str>,
}

impl World<'_> {
    /// A test, or a command without its end, on one line.
    fn text_of(&self, script: usize, start: usize, end: usize) -> String {
        let script = &self.scripts[script];
        let mut text = test_text(script.bytes, &script.tree, start, end);
        if text.ends_with(';') {
            text.pop();
        }
        text
    }
}

/// What a run found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) effects: Vec<Effect>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Runs script number `entry`. `entered_elsewhere` says that another script may have set globals before.
pub(crate) fn evaluate(
    world: &World<'_>,
    entry: usize,
    dialect: Dialect,
    entered_elsewhere: bool,
) -> Findings {
    let mut run = Run::new(world, dialect, entered_elsewhere);
    run.script(entry);
    let mut findings = run.findings;
    let mut texts = PlaceTexts { world, last: None };
    settle(&run.trace, &mut |effect, settled| {
        let effect = &mut findings.effects[effect];
        effect.local_copy = settled.copy;
        let Some(place) = settled.fails_at.filter(|_| !effect.kind.is_immediate()) else { return };
        if effect.reach == Reach::Dead {
            return;
        }
        if settled.undone {
            effect.reach = Reach::Dead;
        } else {
            effect.reach = Reach::Conditional;
            unless_failing(&mut effect.conditions, &texts.of(place));
        }
    });
    withdraw_notices(&mut findings.effects);
    findings.effects.sort_by(|a, b| (&a.via, a.span).cmp(&(&b.via, b.span)));
    findings.effects.dedup();
    crate::identity::name_all(&mut findings.effects);
    findings
}

/// A `denotify` (draft-ietf-sieve-notify-00) takes back notifications before it: all, or those of a name or a
/// priority, which a message may decide.
fn withdraw_notices(effects: &mut [Effect]) {
    let can = |effect: &Effect| matches!(effect.reach, Reach::Always | Reach::Conditional);
    let takes_back = |effect: &Effect| effect.kind == EffectKind::Denotify && can(effect);
    let Some(last) = effects.iter().rposition(takes_back) else { return };
    for effect in effects[..last].iter_mut().filter(|effect| effect.kind == EffectKind::Notify && can(effect))
    {
        effect.reach = Reach::Conditional;
        unless_withdrawn(&mut effect.conditions);
    }
}

/// Whether this run is still going on at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    No,
    Returned,
    Stopped,
}

/// What differs between branches, variables aside.
#[derive(Debug, Clone)]
pub(crate) struct State {
    gone: Gone,
    /// Some way here has already left the script.
    pub(crate) may_have_left: bool,
    /// Where the first of those that failed may have.
    pub(crate) failing: Option<Place>,
    /// At most how many actions were taken.
    pub(crate) actions: usize,
    /// At most how many redirects were among them.
    pub(crate) redirects: usize,
    fates: Fates,
    pub(crate) matches: MatchState,
    /// What every way here has surely done, as far as later actions may conflict with it.
    pub(crate) done: Done,
    /// What some way here may have done.
    pub(crate) maybe: Done,
}

/// How a message went to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Sent {
    /// Without `:copy`.
    #[default]
    Moved,
    PerhapsCopied,
    Copied,
}

/// A script being run.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) script: usize,
    pub(crate) scope: u32,
    pub(crate) globals: HashSet<Rc<[u8]>>,
    pub(crate) expansion: Expansion,
    has_include: bool,
    /// `vnd.dovecot.environment` or `vnd.dovecot.config` gives variables of the server's.
    pub(crate) server_variables: bool,
    /// Some way through it ended everything.
    pub(crate) stopped: bool,
    /// What may have happened where some way through it went back to the includer.
    returned: Option<Fates>,
}

/// An effect before it is known when and with which copy it happens.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) kind: EffectKind,
    pub(crate) targets: Vec<(Value, Role)>,
    pub(crate) list: bool,
    pub(crate) transfer: Transfer,
    pub(crate) content: Option<Content>,
    pub(crate) steps: Vec<effects::Step>,
}

pub(crate) struct Run<'w, 'a> {
    pub(crate) world: &'w World<'a>,
    pub(crate) dialect: Dialect,
    pub(crate) store: Store,
    pub(crate) state: State,
    pub(crate) frames: Vec<Frame>,
    pub(crate) findings: Findings,
    /// How many undecided branches are around the current place.
    pub(crate) conditional: usize,
    /// How many blocks around here the engine does not compile.
    pub(crate) not_compiled: usize,
    /// Set while a loop is tried out.
    rehearsing: usize,
    /// How many commands were run so.
    rehearsed: usize,
    globals_unknown: bool,
    path: Vec<Step>,
    /// What is known about the message on the way here.
    pub(crate) answers: Vec<Answer>,
    /// Something may have changed the message.
    pub(crate) message_changed: bool,
    /// How many regular expressions were compiled.
    pub(crate) expressions: Cell<usize>,
    pub(crate) origins: Origins,
    pub(crate) trace: Vec<Trace>,
    /// The scripts that surely ran, and those that may have.
    included: HashSet<usize>,
    perhaps_included: HashSet<usize>,
    /// Every address that some redirect goes to.
    pub(crate) sent_to: HashMap<String, Sent>,
    /// `redirect :copy` goes to one of them.
    copied_somewhere: bool,
    /// It goes to an address that is no constant, or not one that is surely compared as it is written.
    copied_anywhere: bool,
    /// How many redirects go to addresses not known.
    pub(crate) sent_anywhere: usize,
    /// Whether a diagnostic has named the limits on actions.
    pub(crate) told_of_limit: bool,
    /// How many undecided tests before the current one may keep it from being run.
    pub(crate) doubts: usize,
    scopes: u32,
    steps: usize,
    work: Cell<usize>,
    target_bytes: usize,
    given_up: bool,
    depth: usize,
    loops: usize,
}

impl<'w, 'a> Run<'w, 'a> {
    fn new(world: &'w World<'a>, dialect: Dialect, globals_unknown: bool) -> Self {
        Self {
            world,
            dialect,
            store: Store::default(),
            state: State {
                gone: Gone::No,
                may_have_left: false,
                failing: None,
                actions: 0,
                redirects: 0,
                fates: Fates::START,
                matches: MatchState::Empty,
                done: Done::default(),
                maybe: Done::default(),
            },
            frames: Vec::new(),
            findings: Findings::default(),
            conditional: 0,
            not_compiled: 0,
            rehearsing: 0,
            rehearsed: 0,
            globals_unknown,
            path: Vec::new(),
            answers: Vec::new(),
            message_changed: false,
            expressions: Cell::new(0),
            origins: Origins::default(),
            trace: Vec::new(),
            included: HashSet::new(),
            perhaps_included: HashSet::new(),
            copied_anywhere: false,
            sent_to: HashMap::new(),
            copied_somewhere: false,
            sent_anywhere: 0,
            told_of_limit: false,
            doubts: 0,
            scopes: GLOBAL,
            steps: 0,
            work: Cell::new(0),
            target_bytes: 0,
            given_up: false,
            depth: 0,
            loops: 0,
        }
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.frames[self.frames.len() - 1]
    }

    pub(crate) fn frame_mut(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    pub(crate) fn reading(&self) -> Reading<'w> {
        self.reading_of(self.frame().script)
    }

    pub(crate) fn reading_of(&self, script: usize) -> Reading<'w> {
        let script = &self.world.scripts[script];
        Reading { script: script.bytes, tree: &script.tree, dialect: self.dialect }
    }

    /// Runs a script; tells how it may have ended.
    fn script(&mut self, number: usize) -> Option<Frame> {
        self.scopes += 1;
        let always = self.dialect.expands_without_require();
        self.frames.push(Frame {
            script: number,
            scope: self.scopes,
            globals: HashSet::new(),
            expansion: Expansion { encoded_character: always, variables: always },
            has_include: false,
            server_variables: false,
            stopped: false,
            returned: None,
        });
        let tree = &self.world.scripts[number].tree;
        if self.frames.len() == 1 {
            // In the largest scripts nearly every command is an effect; growing step by step costs more.
            self.findings.effects.reserve(tree.commands.len().min(MAX_EFFECTS));
            self.trace.reserve(tree.block(tree.first).count());
        }
        self.block(tree.first);
        self.unread_regions(tree);
        self.frames.pop()
    }

    /// What could not be read is reported wherever the run ended: another reader may read it.
    fn unread_regions(&mut self, tree: &Tree) {
        let state = self.state.clone();
        self.state.gone = Gone::No;
        self.conditional += 1;
        for (start, end) in tree.unread() {
            self.opaque(start, end, Transfer::default());
        }
        self.conditional -= 1;
        self.state = state;
    }

    fn block(&mut self, first: Option<CommandId>) {
        let path = self.path.len();
        self.depth += 1;
        let mut next = first;
        while let Some(id) = next {
            next = self.command(id);
        }
        self.depth -= 1;
        self.go_back(path);
    }

    /// Runs a command, with the branches that belong to it, and returns the one after.
    fn command(&mut self, id: CommandId) -> Option<CommandId> {
        let reading = self.reading();
        let command = &reading.tree.commands[id as usize];
        self.steps += 1;
        if self.is_rehearsing() {
            self.rehearsed += 1;
            if self.rehearsed > MAX_REHEARSED {
                return None;
            }
        }
        if self.is_exhausted() {
            self.give_up(command.start);
            return None;
        }
        if self.depth > MAX_DEPTH {
            self.gave_up(command.start, command.end);
            return command.next;
        }
        let Some(signature) = vocabulary::command(reading.text(command.name), self.dialect.folds_keywords())
        else {
            self.unknown_command(id);
            return command.next;
        };
        if command.malformed && !command.has_block {
            return command.next;
        }
        let bound = reading.bind(signature, &command.arguments);
        match signature.name {
            "if" => return self.conditional_chain(id),
            "elsif" | "else" => self.perhaps(command.block),
            "require" => self.require(&bound, (command.start, command.end)),
            "stop" => self.leave(Gone::Stopped, Trace::Stop),
            "error" => self.abort(command.start, command.end, "ends with an error here"),
            "return" => self.leave_included(),
            "break" => self.leave(Gone::Returned, Trace::Break),
            "foreverypart" => self.every_part(command.block),
            // Zimbra keeps rules that are switched off so.
            "disabled_if" => self.as_dead(|run| run.block(command.block)),
            "let" => {
                self.action(id, signature, &bound);
                self.assign_expression(&bound);
            }
            "set" => self.set(&bound, (command.start, command.end)),
            "global" => self.declare_globals(&bound),
            "extracttext" => self.extract_text(&bound, (command.start, command.end)),
            "include" => self.include(id, &bound),
            _ => self.action(id, signature, &bound),
        }
        command.next
    }

    fn is_exhausted(&self) -> bool {
        self.steps > MAX_STEPS
            || self.findings.effects.len() >= MAX_EFFECTS
            || self.target_bytes > MAX_TARGET_BYTES
    }

    /// Whether so many more bytes may be looked at.
    pub(crate) fn affords(&self, bytes: usize) -> bool {
        let work = self.work.get().saturating_add(bytes);
        let affords = work <= MAX_WORK;
        if affords {
            self.work.set(work);
        }
        affords
    }

    /// From here to the end of the script nothing is known. Told once: the blocks around end here too.
    fn give_up(&mut self, start: usize) {
        if !std::mem::replace(&mut self.given_up, true) {
            let end = self.reading().script.len();
            self.gave_up(start, end);
        }
        self.state.may_have_left = true;
        self.frame_mut().stopped = true;
    }

    fn gave_up(&mut self, start: usize, end: usize) {
        self.diagnose(
            start,
            end,
            Severity::Warning,
            "more code than one analysis follows; the rest is unknown",
        );
        self.unknown(start, end);
        self.state.may_have_left = true;
        self.frame_mut().stopped = true;
    }

    /// Nobody knows what an unknown command does, and whether its block runs.
    fn unknown_command(&mut self, id: CommandId) {
        let command = &self.reading().tree.commands[id as usize];
        let end = self.reading().tree.tokens[command.name as usize].end;
        self.unknown(command.start, if command.has_block { end } else { command.end });
        self.perhaps(command.block);
    }

    pub(crate) fn unknown(&mut self, start: usize, end: usize) {
        self.opaque(start, end, Transfer::ANYTHING);
    }

    fn opaque(&mut self, start: usize, end: usize, transfer: Transfer) {
        let bytes = self.reading().script.get(start..end.min(start + MAX_CODE_EXCERPT)).unwrap_or_default();
        let code = Value::constant(bytes);
        let draft = Draft {
            kind: EffectKind::Unknown,
            targets: vec![(code, Role::Code)],
            list: false,
            transfer,
            content: None,
            steps: Vec::new(),
        };
        self.record(draft, start, end);
    }

    /// Runs a block that may or may not run.
    fn perhaps(&mut self, block: Option<CommandId>) {
        self.fork(vec![Branch::of(block), Branch::of(None)]);
    }

    fn require(&mut self, bound: &Bound<'_>, place: (usize, usize)) {
        let reading = self.reading();
        let Some(argument) = bound.last() else { return };
        for token in reading.tree.strings_of(argument) {
            if let Some(capability) = self.name(*token) {
                self.enable(&capability);
                self.fail_at_delivery(&capability, place);
            }
        }
    }

    /// Switches on what a capability changes about strings.
    pub(crate) fn enable(&mut self, capability: &[u8]) {
        let frame = self.frame_mut();
        match capability {
            b"variables" => frame.expansion.variables = true,
            b"encoded-character" => frame.expansion.encoded_character = true,
            b"include" => frame.has_include = true,
            b"vnd.dovecot.environment" | b"vnd.dovecot.config" => frame.server_variables = true,
            _ => {}
        }
    }

    /// Whether `global.` names are variables here.
    pub(crate) fn knows_global_namespace(&self) -> bool {
        self.frame().has_include || self.dialect.expands_without_require()
    }

    pub(crate) fn leave(&mut self, gone: Gone, trace: Trace) {
        if self.state.gone == Gone::No {
            self.state.gone = gone;
            let frame = self.frame_mut();
            frame.stopped |= gone == Gone::Stopped;
        }
        self.trace.push(trace);
    }

    /// What is known of a test before anything runs.
    pub(crate) fn fixed(&self, test: u32) -> Fixed {
        let fixed = &self.world.scripts[self.frame().script].fixed;
        fixed.get(test as usize).copied().unwrap_or(Fixed::Open)
    }

    /// Runs something that the engine knows to be dead, so that its effects are named as such.
    pub(crate) fn as_dead<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.state.clone();
        self.state.gone = Gone::Stopped;
        let result = run(self);
        self.state = before;
        result
    }

    /// RFC 6609 §3.3: outside an included script, `return` is `stop`.
    fn leave_included(&mut self) {
        match self.frames.len() {
            1 => self.leave(Gone::Stopped, Trace::Stop),
            _ => {
                if self.state.gone == Gone::No {
                    let before = self.frame().returned.unwrap_or(self.state.fates);
                    self.frame_mut().returned = Some(before.or(self.state.fates));
                }
                self.leave(Gone::Returned, Trace::Return);
            }
        }
    }

    /// After something unknown ran, variables may hold anything.
    fn forget(&mut self, scope: Option<u32>) {
        self.steps += self.store.forget(scope);
    }

    /// The value a variable has when nothing in view has set it.
    pub(crate) fn unset_variable(&self, key: &Key) -> Value {
        unset(key, self.globals_unknown)
    }

    /// Whether a round of a loop is only tried out.
    pub(crate) fn is_rehearsing(&self) -> bool {
        self.rehearsing > 0
    }

    /// Whether this place is inside a loop.
    pub(crate) fn is_in_loop(&self) -> bool {
        self.loops > 0
    }

    /// Whether nothing gets to this place.
    pub(crate) fn is_gone(&self) -> bool {
        self.state.gone != Gone::No
    }

    /// Whether a change of variables counts: not behind a `return`.
    pub(crate) fn can_assign(&self) -> bool {
        self.state.gone != Gone::Returned
    }

    /// Whether some way already went back to an includer and never sees what is set from here on.
    pub(crate) fn has_returned_ways(&self) -> bool {
        self.frames.iter().any(|frame| frame.returned.is_some())
    }

    /// Pigeonhole does nothing for a redirect to an address it already redirects to: behind a `:copy` to
    /// the same address the implicit keep stays (measured).
    pub(crate) fn redirect_transfer(&mut self, address: &Value, copy: bool, plain: Transfer) -> Transfer {
        if self.dialect != Dialect::Pigeonhole || self.state.gone != Gone::No {
            return plain;
        }
        let sure = self.conditional == 0 && !self.state.may_have_left;
        let text = address.as_constant();
        let Some(address) = text.and_then(plain_address) else {
            self.sent_anywhere += usize::from(text.is_some_and(<[u8]>::is_ascii) && self.rehearsing == 0);
            let uncertain = plain.uncertain || (!copy && (self.copied_somewhere || self.copied_anywhere));
            self.copied_anywhere |= copy;
            return Transfer { uncertain, ..plain };
        };
        let sent = self.sent_to.entry(address).or_default();
        if copy {
            self.copied_somewhere = true;
            *sent = (*sent).max(if sure { Sent::Copied } else { Sent::PerhapsCopied });
        }
        match *sent {
            Sent::Copied if !copy => Transfer::default(),
            Sent::PerhapsCopied if !copy => Transfer { uncertain: true, ..plain },
            _ => Transfer { uncertain: plain.uncertain || (self.copied_anywhere && !copy), ..plain },
        }
    }

    /// Notes an effect at its place on the run.
    pub(crate) fn record(&mut self, draft: Draft, start: usize, end: usize) {
        self.note_change(draft.kind);
        let past = self.state.fates;
        if self.state.gone == Gone::No {
            self.state.fates = past.after(draft.transfer);
        }
        let transfer = draft.transfer;
        let effect = (self.rehearsing == 0).then(|| self.push_effect(draft, start, end));
        if effect.is_some() || !transfer.is_nothing() {
            self.trace.push(Trace::Act { effect, past, transfer });
        }
    }

    fn push_effect(&mut self, draft: Draft, start: usize, end: usize) -> usize {
        let script = &self.world.scripts[self.frame().script];
        let form = crate::actions::form_of(&draft);
        let targets = self.targets(&draft);
        self.target_bytes += targets.iter().map(|target| target.raw.len()).sum::<usize>();
        let effect = Effect {
            id: String::new(),
            kind: draft.kind,
            form,
            sender_controlled: draft.targets.iter().any(|(value, _)| value.sender_controlled()),
            ui: script.ui.view(start, &targets),
            targets,
            reach: self.reach(),
            local_copy: LocalCopy::Depends,
            span: script.tree.lines.span(start, end),
            conditions: self.conditions(),
            classes: self.path.last().map(|step| step.so_far.list()).unwrap_or_default(),
            window: self.window(),
            content: draft.content,
            steps: draft.steps,
            rule_name: script.ui.rule_at(start),
            via: self.frames[1..]
                .iter()
                .map(|frame| self.world.scripts[frame.script].name.to_owned())
                .collect(),
            script: script.name.to_owned(),
        };
        self.findings.effects.push(effect);
        self.findings.effects.len() - 1
    }

    fn targets(&self, draft: &Draft) -> Vec<Target> {
        draft
            .targets
            .iter()
            .flat_map(|(value, role)| crate::actions::targets_of(value, *role, self.dialect))
            .collect()
    }

    fn reach(&self) -> Reach {
        if self.state.gone != Gone::No {
            Reach::Dead
        } else if self.conditional > 0 || self.state.may_have_left {
            Reach::Conditional
        } else {
            Reach::Always
        }
    }

    /// The latest beginning and the earliest end on the way; dates as RFC 5260 writes them compare as texts.
    fn window(&self) -> TimeWindow {
        let mut window = TimeWindow::default();
        for step in self.path.iter().take(MAX_WINDOW_STEPS).filter(|step| step.classes == Classes::TIME) {
            let one = window_of(self.reading_of(step.script), step.test, step.negated);
            window.not_before = window.not_before.max(one.not_before);
            window.not_after = match (window.not_after, one.not_after) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        window
    }

    fn conditions(&self) -> String {
        let text = |script, start, end| self.world.text_of(script, start, end);
        let mut conditions = path_text(&self.path, |step| text(step.script, step.start, step.end));
        if let Some(place) = self.state.failing.filter(|_| !self.is_gone()) {
            unless_failing(&mut conditions, &text(place.script, place.start, place.end));
        }
        conditions
    }

    pub(crate) fn diagnose(&mut self, start: usize, end: usize, severity: Severity, message: &str) {
        if self.rehearsing == 0 {
            let span = self.reading().tree.lines.span(start, end);
            self.findings.diagnostics.push(Diagnostic { severity, span, message: message.to_owned() });
        }
    }
}

/// Where the flags for the next delivery are kept. What they are at the beginning is not known: a script
/// run on IMAP events begins with those of the message (RFC 6785 §4.4).
pub(crate) fn flags_key() -> Key {
    (GLOBAL, b"\0flags".as_slice().into())
}

/// The address as Pigeonhole compares it with others: its domain in lower case, its local part as it is
/// (measured). None for letters beyond ASCII, of
/// which not every spelling of one is known to be compared as equal.
pub(crate) fn plain_address(raw: &[u8]) -> Option<String> {
    std::str::from_utf8(raw).ok().filter(|raw| raw.is_ascii()).and_then(bare_address)
}

/// The texts of places; many effects in a row ask for the same one.
struct PlaceTexts<'w, 'a> {
    world: &'w World<'a>,
    last: Option<(Place, String)>,
}

impl PlaceTexts<'_, '_> {
    fn of(&mut self, place: Place) -> String {
        if let Some((last, text)) = &self.last
            && *last == place
        {
            return text.clone();
        }
        let text = self.world.text_of(place.script, place.start, place.end);
        self.last = Some((place, text.clone()));
        text
    }
}

/// RFC 5229 §3: an unknown variable is empty; a global one may have been set by an includer.
fn unset(key: &Key, globals_unknown: bool) -> Value {
    if key.1.first() == Some(&0) {
        return Value::Unbounded { sender_controlled: false };
    }
    if key.0 == GLOBAL && globals_unknown {
        return Value::source(&String::from_utf8_lossy(&key.1), true);
    }
    Value::constant(b"")
}
