//! What makes Pigeonhole end a run with an error, every row of it measured. Nothing that the run did before
//! is carried out then, and the message is kept.

use crate::Dialect;
use crate::arguments::Bound;
use crate::conditions::Place;
use crate::effects::{EffectKind, Role, Severity};
use crate::evaluator::{Done, Gone, Run};
use crate::flags::is_keyword;
use crate::keep::Trace;
use crate::pigeonhole_address::is_pigeonhole_address;
use crate::pigeonhole_mailto::is_pigeonhole_mailto;
use crate::tree::{Argument, TestId};
use crate::value::Value;

/// How many addresses one run may redirect to, and how many actions it may take, unless an administrator says
/// otherwise.
pub(crate) const MAX_REDIRECTS: usize = 4;
const MAX_ACTIONS: usize = 32;

const TOO_MANY: &str =
    "one message can get here with more redirects or actions than an engine allows unless told otherwise";

/// Whether the run fails at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Never,
    /// A message, or the installation, decides.
    Perhaps,
    /// Whenever the run gets there.
    Surely(&'static str),
}

impl Failure {
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Surely(why), _) | (_, Self::Surely(why)) => Self::Surely(why),
            (Self::Perhaps, _) | (_, Self::Perhaps) => Self::Perhaps,
            (Self::Never, Self::Never) => Self::Never,
        }
    }

    /// The same where the run may not get to the place at all.
    fn if_reached(self) -> Self {
        if self == Self::Never { self } else { Self::Perhaps }
    }
}

/// The failure of a place that wants every value to be sound.
fn unless_sound<'a>(
    values: impl IntoIterator<Item = &'a Value>,
    is_sound: impl Fn(&[u8]) -> bool,
    why: &'static str,
) -> Failure {
    let one = |value: &Value| match value.verdict(&is_sound) {
        Some(true) => Failure::Never,
        Some(false) => Failure::Surely(why),
        None => Failure::Perhaps,
    };
    values.into_iter().map(one).fold(Failure::Never, Failure::or)
}

impl Run<'_, '_> {
    /// Whether the run fails at an action, or at a test that acts.
    pub(crate) fn failure_at_action(&mut self, draft: &ActionDraft<'_>) -> Failure {
        if self.dialect != Dialect::Pigeonhole || self.is_gone() {
            return Failure::Never;
        }
        let refused = self.failure_of(draft);
        match refused {
            // What the engine refuses it does not count.
            Failure::Surely(_) => refused,
            _ => refused.or(self.conflict(draft)).or(self.policy(draft)),
        }
    }

    fn failure_of(&self, draft: &ActionDraft<'_>) -> Failure {
        match draft.kind {
            EffectKind::Redirect | EffectKind::Report => unless_sound(
                draft.targets.iter().take(1).map(|(address, _)| address),
                is_pigeonhole_address,
                "the address is invalid when the engine gets here",
            ),
            EffectKind::Notify => self.refused_notice(draft.bound),
            EffectKind::Fileinto => self.refused_folder(draft),
            EffectKind::Addheader | EffectKind::Deleteheader => self.refused_field(draft),
            EffectKind::Pipe => self.refused_program_arguments(draft.bound),
            EffectKind::Execute | EffectKind::Filter => {
                let arguments = self.refused_program_arguments(draft.bound);
                // As a test it only yields false when the program fails.
                if draft.is_test { arguments } else { arguments.or(Failure::Perhaps) }
            }
            _ => Failure::Never,
        }
    }

    /// What the compiler saw in constants, the run sees in everything.
    fn refused_notice(&self, bound: &Bound<'_>) -> Failure {
        const WHY: &str = "the notification is invalid when the engine gets here";
        let uri = self.members_of(bound.last());
        let mut addresses = self.members_of(bound.value("from"));
        if bound.last().is_none() {
            addresses.extend(self.members_of(bound.value("options")));
        }
        unless_sound(&uri, is_pigeonhole_mailto, WHY).or(unless_sound(&addresses, is_pigeonhole_address, WHY))
    }

    fn refused_folder(&self, draft: &ActionDraft<'_>) -> Failure {
        let folder = draft.targets.iter().take(1).map(|(folder, _)| folder);
        let name = folder.map(|folder| match folder.verdict(is_readable) {
            Some(false) => Failure::Surely("the name of the folder is no UTF-8 when the engine gets here"),
            Some(true) => Failure::Never,
            None if folder.is_whole_text() => Failure::Never,
            None => Failure::Perhaps,
        });
        let flags = self.members_of(draft.bound.value("specialuse"));
        name.fold(special_use(&flags), Failure::or)
    }

    fn refused_field(&self, draft: &ActionDraft<'_>) -> Failure {
        const WHY: &str = "the header field is invalid when the engine gets here";
        let names = self.members_of(draft.bound.at(0));
        let name = unless_sound(&names, is_field_name, WHY);
        if draft.kind == EffectKind::Deleteheader {
            return name;
        }
        // Of the message no NUL comes, of a program one may.
        let values = self.members_of(draft.bound.at(1));
        let value = values.iter().map(|value| match value.verdict(|text| !text.contains(&0)) {
            Some(false) => Failure::Surely(WHY),
            Some(true) => Failure::Never,
            None if value.is_whole_text() => Failure::Never,
            None => Failure::Perhaps,
        });
        value.fold(name, Failure::or)
    }

    fn refused_program_arguments(&self, bound: &Bound<'_>) -> Failure {
        let arguments = self.members_of(bound.at(1));
        let one_line = |text: &[u8]| !text.contains(&b'\n') && !text.contains(&b'\r');
        unless_sound(&arguments, one_line, "a line end in an argument of a program")
    }

    fn members_of(&self, argument: Option<&Argument>) -> Vec<Value> {
        argument.map(|argument| self.members(argument)).unwrap_or_default()
    }

    /// A message is either refused or delivered, answered once, and given to a program once.
    fn conflict(&mut self, draft: &ActionDraft<'_>) -> Failure {
        let program = draft.targets.first().and_then(|(value, _)| value.as_constant());
        let program = program.filter(|_| draft.kind == EffectKind::Pipe);
        let sure = conflicts(&mut self.state.done, draft.kind, program);
        let possible = conflicts(&mut self.state.maybe, draft.kind, program);
        match (sure, possible) {
            (true, _) => Failure::Surely("this action conflicts with one before it"),
            (false, true) => Failure::Perhaps,
            (false, false) => Failure::Never,
        }
    }

    /// How many actions a run may take is the administrator's choice; this is about what is so without it.
    fn policy(&mut self, draft: &ActionDraft<'_>) -> Failure {
        if self.is_rehearsing() || !is_counted(draft.kind) {
            return Failure::Never;
        }
        self.state.actions += 1;
        if draft.kind == EffectKind::Redirect {
            self.count_redirect(draft.targets.first().map(|(address, _)| address));
        }
        let redirects = self.state.redirects.min(self.sent_to.len() + self.sent_anywhere);
        if redirects <= MAX_REDIRECTS && self.state.actions <= MAX_ACTIONS {
            return Failure::Never;
        }
        if !std::mem::replace(&mut self.told_of_limit, true) {
            self.diagnose(draft.place.0, draft.place.1, Severity::Warning, TOO_MANY);
        }
        Failure::Perhaps
    }

    /// The engine counts addresses, each once; what is made from a message may be another one in each round.
    fn count_redirect(&mut self, address: Option<&Value>) {
        // What is surely compared as it is written was counted as one when it was noted.
        if !address.and_then(Value::as_constant).is_some_and(<[u8]>::is_ascii) {
            let most = if self.is_in_loop() { MAX_REDIRECTS + 1 } else { 1 };
            self.state.redirects += most;
            self.sent_anywhere += most;
            return;
        }
        self.state.redirects += 1;
    }

    /// The run fails at a test, where the engine runs the test at all.
    pub(crate) fn fail_at_test(&mut self, name: &str, bound: &Bound<'_>, test: TestId) {
        if self.dialect != Dialect::Pigeonhole || self.is_gone() {
            return;
        }
        let failure = match name {
            "specialuse_exists" => self.unasked_special_use(bound),
            "metadata" => self.unread_annotation(bound.at(1)),
            "metadataexists" => self.unread_annotation(bound.at(1)),
            "servermetadata" | "servermetadataexists" => self.unread_annotation(bound.at(0)),
            _ => return,
        };
        let place = &self.reading().tree.tests[test as usize];
        self.fail(failure, place.start, place.end);
    }

    /// RFC 6785 §3: at delivery Pigeonhole ends a script that requires `imapsieve` before it does anything
    /// (measured).
    pub(crate) fn fail_at_delivery(&mut self, capability: &[u8], (start, end): (usize, usize)) {
        let at_events = matches!(capability, b"imapsieve" | b"vnd.dovecot.imapsieve");
        let concerned = at_events && self.dialect == Dialect::Pigeonhole && !self.is_gone();
        if concerned && self.world.event_folder.is_none() {
            self.diagnose(
                start,
                end,
                Severity::Warning,
                "runs on IMAP events only: at delivery it fails here",
            );
            self.fail(Failure::Perhaps, start, end);
        }
    }

    /// The flags are looked at one after the other until one is not there; those of a folder only when the
    /// folder is there.
    fn unasked_special_use(&self, bound: &Bound<'_>) -> Failure {
        let flags = self.members_of(bound.last());
        let all = special_use(&flags);
        let first = special_use(&flags[..flags.len().min(1)]);
        let named = bound.positional.len() > 1;
        if named || first != all { all.if_reached() } else { all }
    }

    /// An annotation that has a name can be asked for only where the server keeps annotations, and of a
    /// folder only when the folder is there.
    fn unread_annotation(&self, names: Option<&Argument>) -> Failure {
        let any = self.members_of(names).iter().any(|name| name.verdict(is_annotation) != Some(false));
        if any { Failure::Perhaps } else { Failure::Never }
    }

    pub(crate) fn fail(&mut self, failure: Failure, start: usize, end: usize) {
        match failure {
            Failure::Never => {}
            Failure::Surely(why) if self.doubts == 0 => self.abort(start, end, why),
            Failure::Surely(_) | Failure::Perhaps => self.perhaps_abort(start, end),
        }
    }

    /// The engine stops with an error: nothing of what this way did before is carried out, and the message
    /// is kept.
    pub(crate) fn abort(&mut self, start: usize, end: usize, why: &str) {
        if !self.is_gone() {
            self.diagnose(start, end, Severity::Warning, &format!("{why}: nothing on the way here is done"));
        }
        let place = self.failing_place(start, end);
        self.leave(Gone::Stopped, Trace::Abort(place));
    }

    /// On some messages, or on some servers, the engine stops here with an error.
    fn perhaps_abort(&mut self, start: usize, end: usize) {
        let place = self.failing_place(start, end);
        self.trace.push(Trace::PerhapsAbort(place));
        self.state.failing = self.state.failing.or(Some(place));
        self.state.may_have_left = true;
        self.frame_mut().stopped = true;
    }

    fn failing_place(&self, start: usize, end: usize) -> Place {
        Place { script: self.frame().script, start, end }
    }
}

/// An action as far as it decides whether the run fails there.
pub(crate) struct ActionDraft<'a> {
    pub(crate) kind: EffectKind,
    pub(crate) targets: &'a [(Value, Role)],
    pub(crate) bound: &'a Bound<'a>,
    pub(crate) is_test: bool,
    pub(crate) place: (usize, usize),
}

/// The actions of which a run may take only so many.
fn is_counted(kind: EffectKind) -> bool {
    use EffectKind::{Discard, Fileinto, Keep, Notify, Pipe, Redirect, Reject, Report, Vacation};
    matches!(kind, Discard | Fileinto | Keep | Notify | Pipe | Redirect | Reject | Report | Vacation)
}

fn conflicts(done: &mut Done, kind: EffectKind, program: Option<&[u8]>) -> bool {
    match kind {
        EffectKind::Redirect | EffectKind::Keep | EffectKind::Fileinto | EffectKind::Pipe => {
            done.delivered = true;
            let again = program.is_some_and(|program| done.pipe(program));
            done.rejected || again
        }
        EffectKind::Reject => {
            let conflicts = !done.is_nothing();
            done.rejected = true;
            conflicts
        }
        EffectKind::Vacation => {
            let conflicts = done.rejected || done.answered;
            done.answered = true;
            conflicts
        }
        _ => false,
    }
}

fn special_use(flags: &[Value]) -> Failure {
    unless_sound(flags, is_special_use, "the special-use flag is invalid when the engine gets here")
}

/// RFC 6154 §6: a backslash before an atom, which may be empty here.
pub(crate) fn is_special_use(flag: &[u8]) -> bool {
    flag.strip_prefix(b"\\").is_some_and(is_keyword)
}

/// Up to a NUL, which ends the name of a folder.
fn is_readable(folder: &[u8]) -> bool {
    let name = folder.split(|byte| *byte == 0).next().unwrap_or_default();
    std::str::from_utf8(name).is_ok()
}

/// RFC 5322 §2.2; none at all is taken too.
pub(crate) fn is_field_name(name: &[u8]) -> bool {
    name.iter().all(|byte| (33..=126).contains(byte) && *byte != b':')
}

/// RFC 5464 §4.1, loosely: what does not look like an annotation is never asked for.
fn is_annotation(name: &[u8]) -> bool {
    let kept = |prefix: &[u8]| name.len() > prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix);
    kept(b"/private/") || kept(b"/shared/")
}
