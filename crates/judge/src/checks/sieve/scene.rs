//! One act with everything around it that a finding tells.

use mailwarden_evidence::{Evidence, SYSTEM};
use sieve_analysis::{Dialect, EffectKind, Form, LocalCopy, Reach};

use super::acts::{Act, Surroundings};
use super::store::{Store, StoredScript};
use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::severity::{Life, Weight};
use crate::shell::{operands, word};
use crate::suspicion::{is_odd_name, surer};
use crate::wording::{joined, shown};
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, Remediation, Severity, State};

/// Longest condition text of a script that a finding repeats, in characters.
const MAX_CONDITIONS: usize = 600;

/// An act, the script that holds it, and what the acts beside it say.
pub(super) struct Scene<'a> {
    pub(super) brief: &'a Brief<'a>,
    pub(super) store: &'a Store<'a>,
    pub(super) around: &'a Surroundings<'a>,
    pub(super) act: &'a Act,
}

impl<'a> Scene<'a> {
    pub(super) fn script(&self) -> &'a StoredScript<'a> {
        &self.store.scripts[self.act.holder]
    }

    pub(super) fn mailbox(&self) -> &'a str {
        self.store.mailbox
    }

    pub(super) fn life(&self) -> Life {
        match self.act.effect.reach {
            Reach::Always | Reach::Conditional => Life::Acting,
            Reach::Inactive => Life::Asleep,
            Reach::Dead => Life::Off,
        }
    }

    /// The weight with what this scene knows: whose mailbox, whether a copy stays, whether it acts.
    pub(super) fn weigh(&self, weight: Weight) -> Severity {
        let lost = self.act.effect.local_copy == LocalCopy::Lost;
        let weight = Weight {
            leaver: weight.leaver || self.brief.owner_left(self.mailbox()),
            stealth: weight.stealth || lost || self.around.is_unlisted(self.act),
            life: self.life(),
            ..weight
        };
        weight.severity()
    }

    /// How sure: a known target is sure, unless it is not known which engine reads the script or whether it
    /// takes it.
    pub(super) fn confidence(&self) -> Confidence {
        let by_form = match self.act.effect.form {
            Form::Exact => Confidence::High,
            Form::Set => Confidence::Medium,
            Form::Template | Form::List | Form::Unbounded => Confidence::Low,
        };
        let doubtful = self.store.dialects.len() > 1 || !self.act.accepted;
        let capped = if doubtful { by_form.min(Confidence::Medium) } else { by_form };
        if self.has_odd_name() { surer(capped) } else { capped }
    }

    fn has_odd_name(&self) -> bool {
        let rule = self.act.effect.rule_name.as_ref();
        is_odd_name(self.script().name) || rule.is_some_and(|rule| is_odd_name(&rule.name))
    }

    /// What a copy clause says; nothing for what does not act.
    pub(super) fn copy_clause(&self) -> &'static str {
        match (self.life(), self.act.effect.local_copy) {
            (Life::Asleep | Life::Off, _) => "",
            (Life::Acting, LocalCopy::Kept) => "; a copy stays",
            (Life::Acting, LocalCopy::Lost) => "; no copy stays",
            (Life::Acting, LocalCopy::Depends) => "; a copy does not always stay",
        }
    }

    /// The end of a title for what does not act now.
    pub(super) fn life_clause(&self) -> String {
        match self.life() {
            Life::Acting => String::new(),
            Life::Asleep => {
                format!(" if the inactive script \"{}\" were activated", shown(self.script().name))
            }
            Life::Off => {
                format!(" by a rule of script \"{}\" that is switched off", shown(self.script().name))
            }
        }
    }

    /// `is forwarded`, `would be forwarded`.
    pub(super) fn verb(&self, acting: &str, otherwise: &str) -> String {
        if self.life() == Life::Acting { acting.to_owned() } else { otherwise.to_owned() }
    }

    /// `Mail to x`, or `Some mail to x` where only some of it is meant.
    pub(super) fn mail(&self) -> String {
        let some = if self.act.effect.reach == Reach::Conditional { "Some mail" } else { "Mail" };
        let to = if self.mailbox() == SYSTEM { "every mailbox" } else { self.mailbox() };
        format!("{some} to {to}")
    }

    fn conditions(&self) -> String {
        let when: String = self.act.effect.conditions.chars().take(MAX_CONDITIONS).collect();
        let when = if when.is_empty() { "on every message".to_owned() } else { format!("when {when}") };
        joined(&[when, self.runs_by(), self.included_by(), self.listing(), self.engines(), self.refusal()])
    }

    fn runs_by(&self) -> String {
        let script = self.script();
        match (script.active, script.folders.as_slice()) {
            (_, []) if self.life() == Life::Asleep => "the script is not the active one".to_owned(),
            (_, []) => String::new(),
            (_, folders) if folders.contains(&"") => {
                "the script runs when mail is stored in any folder".to_owned()
            }
            (_, folders) => {
                let names: Vec<String> = folders.iter().map(|name| format!("\"{}\"", shown(name))).collect();
                format!("the script runs when mail is stored in folder {}", names.join(", "))
            }
        }
    }

    fn included_by(&self) -> String {
        match self.act.via.last() {
            Some(first) => format!("the script is included by \"{}\"", shown(first)),
            None => String::new(),
        }
    }

    fn listing(&self) -> String {
        match &self.act.effect.rule_name {
            Some(rule) => format!("{} shows it as rule \"{}\"", rule.ui, shown(&rule.name)),
            None if self.around.is_unlisted(self.act) => {
                "no rule name, so a webmail may not show it".to_owned()
            }
            None => String::new(),
        }
    }

    fn engines(&self) -> String {
        if self.store.dialects.len() == 1 {
            return String::new();
        }
        let names: Vec<&str> = self.act.read_by.iter().map(|dialect| dialect.name()).collect();
        format!("the server does not say which Sieve engine it runs; read so by {}", names.join(", "))
    }

    fn refusal(&self) -> String {
        let refused = "the server may refuse to run the script as it stands, and may still run an earlier \
                       compiled form";
        if self.act.accepted { String::new() } else { refused.to_owned() }
    }

    fn step(&self) -> String {
        format!("Sieve script \"{}\" line {}", shown(self.script().name), self.act.effect.span.line)
    }

    fn path(&self, target: &str) -> Vec<String> {
        let mut path = vec![self.mailbox().to_owned()];
        path.extend(self.act.via.iter().map(|name| format!("Sieve script \"{}\" (includes)", shown(name))));
        path.extend([self.step(), target.to_owned()]);
        path
    }

    fn locator(&self) -> Locator {
        let span = self.act.effect.span;
        Locator {
            script: Some(self.script().name.to_owned()),
            line: u32::try_from(span.line).ok(),
            column: u32::try_from(span.column).ok(),
            span: Some((span.start, span.end)),
            ..Locator::default()
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        let span = self.act.effect.span;
        let lines = self.script().lines(span.start, span.end);
        let excerpt = lines.chars().take(Evidence::MAX_EXCERPT).collect();
        vec![Evidence { excerpt, ..self.script().seen.evidence.clone() }]
    }

    /// Everything an exception was given for: the command, when it acts, what becomes of the message. A wider
    /// condition around the same command is another content.
    fn content(&self) -> Vec<Vec<u8>> {
        let effect = &self.act.effect;
        let mut content = vec![
            self.script().bytes(effect.span.start, effect.span.end).to_vec(),
            effect.conditions.clone().into_bytes(),
            effect.reach.name().as_bytes().to_vec(),
            effect.local_copy.name().as_bytes().to_vec(),
            effect.form.name().as_bytes().to_vec(),
        ];
        content.extend(effect.targets.iter().map(|target| target.raw.clone().into_bytes()));
        content
    }

    fn remediation(&self) -> Remediation {
        let tool = Tool::of(self.store, self.script());
        let (label, line) = (shown(self.script().name), self.act.effect.span.line);
        let rule = self.act.effect.rule_name.as_ref();
        let by_rule = match rule {
            Some(rule) => format!("remove rule \"{}\" in {}; or ", shown(&rule.name), rule.ui),
            None => String::new(),
        };
        let command = match self.life() {
            Life::Asleep => format!("save the script with {}, then {}", tool.get, tool.delete),
            Life::Acting | Life::Off => format!(
                "{by_rule}save the script with {}, take the command at line {line} out of \"{label}\", and \
                 put it back with {}",
                tool.get, tool.put
            ),
        };
        let revert = format!("put the saved script back with {}", tool.put);
        on_surface(self.store.surface, command, revert, self.act.effect.ui.as_ref())
    }

    /// What all findings on this act share. The key is the identity of who gains.
    pub(super) fn draft(&self, key: &str, target: &str) -> Draft {
        Draft {
            check_id: "",
            title: String::new(),
            severity: Severity::Info,
            confidence: self.confidence(),
            state: if self.life() == Life::Acting { State::Active } else { State::Dormant },
            mailbox: self.mailbox().to_owned(),
            surface: self.store.surface.to_owned(),
            locator: self.locator(),
            identity: vec![
                self.script().name.to_owned(),
                self.act.effect.kind.name().to_owned(),
                key.to_owned(),
            ],
            content: self.content(),
            effects: vec![effect_word(self.act.effect.kind).to_owned()],
            beneficiary: Beneficiary {
                kind: BeneficiaryKind::Unresolvable,
                value: target.to_owned(),
                person: None,
            },
            path: self.path(target),
            conditions: self.conditions(),
            evidence: self.evidence(),
            remediation: self.remediation(),
        }
    }
}

/// Programs share one word whatever command runs them.
fn effect_word(kind: EffectKind) -> &'static str {
    match kind {
        EffectKind::Pipe | EffectKind::Filter | EffectKind::Execute => "run",
        _ => kind.name(),
    }
}

/// The commands that read, write and delete one script.
struct Tool {
    get: String,
    put: String,
    delete: String,
}

impl Tool {
    /// doveadm reaches the scripts of Dovecot only; every server of this surface speaks ManageSieve (RFC
    /// 5804).
    fn of(store: &Store<'_>, script: &StoredScript<'_>) -> Self {
        if store.surface.starts_with("sieve.") {
            return Self::file(script.name);
        }
        if store.surface.starts_with("webmail.") {
            return Self::row(script.name);
        }
        let name = operands(&[script.name]);
        let command = |verb: &str, managesieve: &str| match store.dialects.as_slice() {
            [Dialect::Pigeonhole] => format!("`doveadm sieve {verb} -u {} {name}`", word(store.mailbox)),
            _ => format!("ManageSieve {managesieve} {name} as {}", store.mailbox),
        };
        Self {
            get: command("get", "GETSCRIPT"),
            put: command("put", "PUTSCRIPT"),
            delete: command("delete", "DELETESCRIPT"),
        }
    }

    /// A script that a panel keeps in its database is changed in the panel: the mail server reads it from there.
    fn row(name: &str) -> Self {
        let row = format!("the filter \"{}\"", shown(name));
        let page = |doing: &str| format!("{doing} {row} in the panel's own page for filters");
        Self { get: page("copying"), put: page("saving"), delete: page("delete") }
    }

    /// A script that no protocol reaches is named by its path.
    fn file(path: &str) -> Self {
        let command = |program: &str, more: &str| format!("`{program} {}{more}`", operands(&[path]));
        Self {
            get: command("cp -p", " ~/"),
            put: format!("`cp -p` to {}", shown(path)),
            delete: command("rm", ""),
        }
    }
}
