//! Everything about one script, in several dialects.

use crate::Dialect;
use crate::arguments::Reading;
use crate::check::{Checked, Included, check};
use crate::effects::{Diagnostic, Effect, EffectKind, Reach, Severity};
use crate::evaluator::{Findings, Prepared, World, evaluate};
use crate::lexer::TokenKind;
use crate::tree::Tree;
use std::collections::BTreeMap;

/// What one engine makes of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analysis {
    /// Whether the engine would compile it. Where that is not known: true.
    pub accepted: bool,
    /// Everything it can do, ordered by place.
    pub effects: Vec<Effect>,
    /// What is wrong with it or worth knowing.
    pub diagnostics: Vec<Diagnostic>,
    /// Bytes in tokens that were understood.
    pub covered_bytes: usize,
}

/// What several engines make of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The length of the script.
    pub bytes: usize,
    /// Bytes understood in every dialect asked for.
    pub covered_bytes: usize,
    /// One analysis for each dialect.
    pub dialects: BTreeMap<Dialect, Analysis>,
    /// Whether the engines differ in whether they take it or in what it does.
    pub disagreement: bool,
}

/// A script of a mailbox, or one that all mailboxes share.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// Its name as `include` writes it.
    pub name: &'a str,
    /// Its source.
    pub bytes: &'a [u8],
    /// Whether it runs on delivery.
    pub active: bool,
}

/// All scripts that can reach one another.
#[derive(Debug, Clone, Copy)]
pub struct Mailbox<'a> {
    /// The owner's scripts.
    pub scripts: &'a [Script<'a>],
    /// The scripts found by `include :global`.
    pub globals: &'a [Script<'a>],
}

/// Analyses one script as each dialect reads it. Scripts it includes are not known here, so what follows
/// an `include` is conditional.
#[must_use]
pub fn audit(script: &[u8], dialects: &[Dialect], active: bool) -> Audit {
    let analyses: BTreeMap<Dialect, Analysis> =
        dialects.iter().map(|dialect| (*dialect, analyse(script, *dialect, active))).collect();
    Audit {
        bytes: script.len(),
        covered_bytes: analyses.values().map(|analysis| analysis.covered_bytes).min().unwrap_or(0),
        disagreement: disagree(&analyses),
        dialects: analyses,
    }
}

/// Analyses one script as one dialect reads it.
#[must_use]
pub fn analyse(script: &[u8], dialect: Dialect, active: bool) -> Analysis {
    let world = World { scripts: vec![Prepared::new("", false, script, dialect)], complete: false };
    let findings = evaluate(&world, 0, dialect, false);
    let problems = checked(&world.scripts[0], dialect).problems;
    conclude(&world.scripts[0], problems, findings, active)
}

/// Analyses every script of a mailbox with its includes resolved, in the order of `scripts`. What an
/// included script does is listed with the script that includes it.
#[must_use]
pub fn analyse_mailbox(mailbox: &Mailbox<'_>, dialect: Dialect) -> Vec<Analysis> {
    let personal =
        mailbox.scripts.iter().map(|script| Prepared::new(script.name, false, script.bytes, dialect));
    let global = mailbox.globals.iter().map(|script| Prepared::new(script.name, true, script.bytes, dialect));
    let world = World { scripts: personal.chain(global).collect(), complete: true };
    let mut checks: Vec<Checked> = world.scripts.iter().map(|script| checked(script, dialect)).collect();
    refuse_includers(&world, dialect, &mut checks);
    let analyse_one = |(number, script): (usize, &Script<'_>)| {
        let findings = evaluate(&world, number, dialect, !script.active);
        let problems = std::mem::take(&mut checks[number].problems);
        conclude(&world.scripts[number], problems, findings, script.active)
    };
    mailbox.scripts.iter().enumerate().map(analyse_one).collect()
}

fn checked(script: &Prepared<'_>, dialect: Dialect) -> Checked {
    check(Reading { script: script.bytes, tree: &script.tree, dialect })
}

/// Pigeonhole compiles an included script into the one that includes it, so a mistake in it makes both
/// fail (measured). The others read it when they get there.
fn refuse_includers(world: &World<'_>, dialect: Dialect, checks: &mut [Checked]) {
    let mut new: Vec<usize> = (0..checks.len()).filter(|number| checks[*number].is_refused()).collect();
    while let Some(number) = new.pop().filter(|_| dialect == Dialect::Pigeonhole) {
        let refused = &world.scripts[number];
        for (other, check) in checks.iter_mut().enumerate() {
            let reads = |one: &&Included| one.global == refused.global && one.name == refused.name.as_bytes();
            let Some(span) = check.included.iter().find(reads).map(|one| one.span) else { continue };
            if !check.is_refused() {
                new.push(other);
            }
            let message = "includes a script that the engine refuses".to_owned();
            check.problems.push(Diagnostic { severity: Severity::Error, span, message });
        }
    }
}

fn conclude(
    script: &Prepared<'_>,
    mut diagnostics: Vec<Diagnostic>,
    findings: Findings,
    active: bool,
) -> Analysis {
    diagnostics.extend(findings.diagnostics);
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    let mut effects = findings.effects;
    if !active {
        effects.iter_mut().for_each(|effect| effect.reach = Reach::Inactive);
    }
    Analysis {
        accepted: diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error),
        covered_bytes: covered(script, &effects),
        effects,
        diagnostics,
    }
}

/// Bytes outside every region that is reported as unknown.
fn covered(script: &Prepared<'_>, effects: &[Effect]) -> usize {
    let mut regions = script.tree.unread();
    let unknown = effects.iter().filter(|effect| effect.kind == EffectKind::Unknown && effect.via.is_empty());
    regions.extend(unknown.map(|effect| (effect.span.start, effect.span.end)));
    regions.sort_unstable();
    let (mut uncovered, mut reached) = (0, 0);
    for (start, end) in regions {
        uncovered += end.saturating_sub(start.max(reached));
        reached = reached.max(end);
    }
    script.bytes.len() - uncovered
}

fn disagree(analyses: &BTreeMap<Dialect, Analysis>) -> bool {
    let mut all = analyses.values();
    let Some(first) = all.next() else { return false };
    all.any(|other| other.accepted != first.accepted || other.effects != first.effects)
}

/// RFC 5228 engines do not end a hash comment at a lone CR, the jsieve of James and Zimbra does: whether
/// a comment of this script holds text that only such an engine would run.
#[must_use]
pub fn hides_code_behind_carriage_return(script: &[u8], tree: &Tree) -> bool {
    let comments = tree.tokens.iter().filter(|token| token.kind == TokenKind::LineComment);
    comments.map(|token| token.bytes(script)).any(|comment| {
        let text = comment.strip_suffix(b"\n").unwrap_or(comment);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        text.contains(&b'\r')
    })
}
