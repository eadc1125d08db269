//! Actions: whom they concern and what becomes of the message.

use crate::Dialect;
use crate::arguments::Bound;
use crate::destination::{bare_address, mailto_recipients};
use crate::effects::{EffectKind, Form, Role, Target};
use crate::evaluator::{Draft, Run};
use crate::failing::ActionDraft;
use crate::keep::Transfer;
use crate::tree::{Argument, CommandId};
use crate::value::{Part, Template, Value};
use crate::vocabulary::Signature;

const NOTHING: Transfer = Transfer { cancels: false, stores: false, uncertain: false };
const CANCELS: Transfer = Transfer { cancels: true, stores: false, uncertain: false };
const STORES: Transfer = Transfer { cancels: true, stores: true, uncertain: false };

impl Run<'_, '_> {
    pub(crate) fn action(&mut self, id: CommandId, signature: &'static Signature, bound: &Bound<'_>) {
        let command = &self.reading().tree.commands[id as usize];
        self.act(signature, bound, (command.start, command.end), false);
    }

    /// Records what a command, or a test that acts, does.
    pub(crate) fn act(
        &mut self,
        signature: &'static Signature,
        bound: &Bound<'_>,
        (start, end): (usize, usize),
        is_test: bool,
    ) {
        let Some(kind) = EffectKind::from_name(signature.name) else {
            self.unknown(start, end);
            return;
        };
        let targets = self.concerned(kind, bound);
        let mut transfer = transfer(kind, bound);
        if let (EffectKind::Redirect, Some((address, _))) = (kind, targets.first()) {
            transfer = self.redirect_transfer(address, bound.has("copy"), transfer);
        }
        let list = kind == EffectKind::Redirect && bound.has("list");
        let arguments: Vec<&Argument> =
            bound.positional.iter().copied().chain(bound.tags.iter().filter_map(|tag| tag.value)).collect();
        let (content, steps) = (self.content(kind, bound), self.steps(&arguments));
        let failure = self.failure_at_action(&ActionDraft {
            kind,
            targets: &targets,
            bound,
            is_test,
            place: (start, end),
        });
        let flags = match kind {
            EffectKind::Setflag | EffectKind::Addflag | EffectKind::Removeflag => {
                Some(targets.iter().map(|(flag, _)| flag.clone()).collect::<Vec<_>>())
            }
            _ => None,
        };
        self.record(Draft { kind, targets, list, transfer, content, steps }, start, end);
        self.fail(failure, start, end);
        if let Some(flags) = flags {
            self.change_flags(kind, bound, &flags);
        }
        // A test in the clothes of an action: it leaves match variables (measured).
        if matches!(kind, EffectKind::Deleteheader | EffectKind::Replaceheader) {
            let patterns = bound.at(1).map(|argument| self.members(argument)).unwrap_or_default();
            self.undecided_match(bound, &patterns, true);
        }
        if let Some(variable) = bound.value("output") {
            self.assign_output(variable);
        }
    }

    fn concerned(&self, kind: EffectKind, bound: &Bound<'_>) -> Vec<(Value, Role)> {
        match kind {
            EffectKind::Redirect if bound.has("list") => self.each(bound.last(), Role::List),
            EffectKind::Redirect | EffectKind::Report => self.each(bound.last(), Role::Recipient),
            EffectKind::Notify => self.notified(bound),
            EffectKind::Vacation => self.answering(bound),
            EffectKind::Fileinto => self.folder(bound),
            EffectKind::ImplicitKeepTarget => self.each(bound.last(), Role::Mailbox),
            EffectKind::Snooze => self.each(bound.value("mailbox"), Role::Mailbox),
            EffectKind::Keep => self.each(bound.value("flags"), Role::Flag),
            EffectKind::Setflag | EffectKind::Addflag | EffectKind::Removeflag => {
                self.each(bound.last(), Role::Flag)
            }
            EffectKind::Pipe | EffectKind::Filter | EffectKind::Execute => {
                self.each(bound.at(0), Role::Program)
            }
            EffectKind::Addheader | EffectKind::Deleteheader => self.each(bound.at(0), Role::Header),
            _ => Vec::new(),
        }
    }

    fn each(&self, argument: Option<&Argument>, role: Role) -> Vec<(Value, Role)> {
        argument
            .map(|argument| self.members(argument))
            .unwrap_or_default()
            .into_iter()
            .map(|value| (value, role))
            .collect()
    }

    /// RFC 8579 and RFC 9042 let a special use or an id choose the folder before the name does.
    fn folder(&self, bound: &Bound<'_>) -> Vec<(Value, Role)> {
        let mut folders = self.each(bound.last(), Role::Mailbox);
        for tag in ["specialuse", "mailboxid"] {
            folders.extend(self.each(bound.value(tag), Role::Mailbox));
        }
        folders
    }

    /// RFC 5435 names a URI; the older draft has `:options` hold the addresses.
    fn notified(&self, bound: &Bound<'_>) -> Vec<(Value, Role)> {
        match bound.last() {
            Some(_) => self.each(bound.last(), Role::Method),
            None => {
                let addresses = self.each(bound.value("options"), Role::Recipient);
                if addresses.is_empty() { self.each(bound.value("method"), Role::Method) } else { addresses }
            }
        }
    }

    fn answering(&self, bound: &Bound<'_>) -> Vec<(Value, Role)> {
        let mut addresses = self.each(bound.value("addresses"), Role::AnswersFor);
        addresses.extend(self.each(bound.value("from"), Role::From));
        addresses
    }
}

/// RFC 5228 §2.10.2 and RFC 3894: what each action does to the implicit keep.
fn transfer(kind: EffectKind, bound: &Bound<'_>) -> Transfer {
    let copy = bound.has("copy");
    match kind {
        EffectKind::Redirect if copy => NOTHING,
        EffectKind::Pipe if copy => NOTHING,
        // With `:try` a program that fails leaves the implicit keep alone.
        EffectKind::Pipe if bound.has("try") => Transfer { uncertain: true, ..CANCELS },
        EffectKind::Redirect
        | EffectKind::Discard
        | EffectKind::Reject
        | EffectKind::Ereject
        | EffectKind::Pipe => CANCELS,
        EffectKind::Keep | EffectKind::Snooze => STORES,
        EffectKind::Fileinto => STORES,
        EffectKind::Unknown => Transfer::ANYTHING,
        _ => NOTHING,
    }
}

/// How well the targets of a draft are known.
pub(crate) fn form_of(draft: &Draft) -> Form {
    if draft.list {
        return Form::List;
    }
    let folders = draft.targets.iter().filter(|(_, role)| *role == Role::Mailbox).count();
    let least = if folders > 1 { Form::Set } else { Form::Exact };
    draft.targets.iter().map(|(value, role)| value_form(value, *role)).max().unwrap_or(Form::Exact).max(least)
}

/// How well a text is known.
pub(crate) fn form_of_text(value: &Value) -> Form {
    value_form(value, Role::Code)
}

fn value_form(value: &Value, role: Role) -> Form {
    let templates = match value {
        Value::Constant(_) => return Form::Exact,
        Value::Alternatives(templates) => templates,
        Value::Unbounded { .. } => return Form::Unbounded,
    };
    let several = if templates.len() > 1 { Form::Set } else { Form::Exact };
    templates.iter().map(|template| template_form(template, role)).max().unwrap_or(Form::Exact).max(several)
}

fn template_form(template: &Template, role: Role) -> Form {
    if template.as_constant().is_some() {
        return Form::Exact;
    }
    match role {
        Role::Method => notification_form(template),
        _ if template.has_text() => Form::Template,
        _ => Form::Unbounded,
    }
}

/// A notification whose text is made from the message may still have constant recipients.
fn notification_form(template: &Template) -> Form {
    let Some(recipients) = mailto_recipients(&marked(template)) else {
        return if template.has_text() { Form::Template } else { Form::Unbounded };
    };
    let holes = |text: &str| text.contains(HOLE_OPENS);
    let only_hole = |text: &str| text.starts_with(HOLE_OPENS) && text.trim_end().ends_with(HOLE_CLOSES);
    recipients
        .iter()
        .map(|(text, _)| match (holes(text), only_hole(text)) {
            (false, _) => Form::Exact,
            (true, true) => Form::Unbounded,
            (true, false) => Form::Template,
        })
        .max()
        .unwrap_or(Form::Exact)
}

/// Noncharacters stand around the names of unknown parts while a URI is taken apart.
const HOLE_OPENS: char = '\u{fdd0}';
const HOLE_CLOSES: char = '\u{fdd1}';

fn marked(template: &Template) -> String {
    let mark = |part: &Part| match part {
        Part::Literal(_) => Template(vec![part.clone()]).display(),
        Part::Source(source) => format!("{HOLE_OPENS}{}{HOLE_CLOSES}", source.name),
    };
    template.0.iter().map(mark).collect()
}

fn unmarked(text: &str) -> String {
    text.replace(HOLE_OPENS, "${").replace(HOLE_CLOSES, "}")
}

/// The targets a value names.
pub(crate) fn targets_of(value: &Value, role: Role, dialect: Dialect) -> Vec<Target> {
    match value {
        Value::Constant(text) => {
            let raw = String::from_utf8_lossy(text);
            named_targets(&raw, &raw, true, role, dialect)
        }
        Value::Alternatives(templates) => {
            templates.iter().flat_map(|template| template_targets(template, role, dialect)).collect()
        }
        Value::Unbounded { .. } => Vec::new(),
    }
}

fn template_targets(template: &Template, role: Role, dialect: Dialect) -> Vec<Target> {
    let marked = if role == Role::Method { marked(template) } else { String::new() };
    named_targets(&template.display(), &marked, template.as_constant().is_some(), role, dialect)
}

/// The targets in a text; `marked` is the same text with its holes marked, `whole` says that it has none.
fn named_targets(raw: &str, marked: &str, whole: bool, role: Role, dialect: Dialect) -> Vec<Target> {
    if role == Role::Method
        && let Some(recipients) = mailto_recipients(marked)
    {
        return recipients
            .into_iter()
            .map(|(text, role)| address_target(&unmarked(&text), role, dialect, !text.contains(HOLE_OPENS)))
            .collect();
    }
    match role {
        Role::Recipient | Role::AnswersFor | Role::From if whole => {
            vec![address_target(raw, role, dialect, true)]
        }
        // Blanks around the name of a folder belong to it.
        Role::Mailbox => {
            let seen = raw.split('\0').next().filter(|_| dialect.nul_ends_targets()).unwrap_or(raw);
            vec![Target { raw: seen.to_owned(), address: None, role }]
        }
        _ => vec![Target { raw: raw.trim().to_owned(), address: None, role }],
    }
}

/// `whole` says that no part of it is unknown; a `${` in it is then just text.
fn address_target(raw: &str, role: Role, dialect: Dialect, whole: bool) -> Target {
    let raw = raw.trim().to_owned();
    let sanitise = || if dialect == Dialect::Stalwart { sanitised(&raw) } else { None };
    let address = if whole { bare_address(&raw).or_else(sanitise) } else { None };
    Target { raw, address, role }
}

/// Stalwart compiles any text and, when it runs, keeps what follows the last `<` without blanks and `>`.
fn sanitised(raw: &str) -> Option<String> {
    let inner = raw.rsplit('<').next()?;
    let compact: String =
        inner.chars().filter(|character| !character.is_whitespace() && *character != '>').collect();
    (compact.matches('@').count() == 1 && compact.contains('.')).then(|| compact.to_lowercase())
}
