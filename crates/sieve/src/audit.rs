//! Everything about one script, in several dialects.

use crate::Dialect;
use crate::arguments::Reading;
use crate::check::{Checked, Included, check};
use crate::differences::{Difference, carriage_return_comments, differences};
use crate::effects::{Diagnostic, Effect, EffectKind, Reach, Severity, Target};
use crate::evaluator::{Findings, Prepared, World, evaluate};
use crate::span::Span;
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

impl Analysis {
    /// The place of a remark about the whole script.
    pub(crate) fn start(&self) -> Span {
        Span { start: 0, end: 0, line: 1, column: 1 }
    }
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
    /// Where they differ, and how.
    pub differences: Vec<Difference>,
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
    concluded(script.len(), analyses)
}

fn concluded(bytes: usize, analyses: BTreeMap<Dialect, Analysis>) -> Audit {
    let differences = differences(&analyses);
    Audit {
        bytes,
        covered_bytes: analyses.values().map(|analysis| analysis.covered_bytes).min().unwrap_or(0),
        disagreement: !differences.is_empty(),
        differences,
        dialects: analyses,
    }
}

/// Analyses script number `number` of a mailbox as each dialect reads it, with its includes resolved.
#[must_use]
pub fn audit_in(mailbox: &Mailbox<'_>, number: usize, dialects: &[Dialect]) -> Audit {
    let bytes = mailbox.scripts.get(number).map_or(0, |script| script.bytes.len());
    let of = |dialect: &Dialect| {
        let analyses = analyse_mailbox(mailbox, *dialect);
        analyses.into_iter().nth(number).map(|analysis| (*dialect, analysis))
    };
    concluded(bytes, dialects.iter().filter_map(of).collect())
}

/// Analyses one script as one dialect reads it.
#[must_use]
pub fn analyse(script: &[u8], dialect: Dialect, active: bool) -> Analysis {
    let scripts = vec![Prepared::new("", false, script, dialect)];
    let world = World { scripts, complete: false, event_folder: None };
    let findings = evaluate(&world, 0, dialect, false);
    let problems = checked(&world.scripts[0], dialect).problems;
    conclude(&world.scripts[0], dialect, problems, findings, active)
}

/// Analyses script number `number` of a mailbox as each dialect reads it when an IMAP event of a folder runs it:
/// a message is appended, copied or flagged there (RFC 6785).
#[must_use]
pub fn audit_at_event(mailbox: &Mailbox<'_>, number: usize, folder: &str, dialects: &[Dialect]) -> Audit {
    let bytes = mailbox.scripts.get(number).map_or(0, |script| script.bytes.len());
    let of = |dialect: &Dialect| Some((*dialect, analyse_at_event(mailbox, number, folder, *dialect)?));
    concluded(bytes, dialects.iter().filter_map(of).collect())
}

/// The same in one dialect; none when there is no such script.
#[must_use]
pub fn analyse_at_event(
    mailbox: &Mailbox<'_>,
    number: usize,
    folder: &str,
    dialect: Dialect,
) -> Option<Analysis> {
    mailbox.scripts.get(number)?;
    let active: Vec<Script<'_>> = mailbox
        .scripts
        .iter()
        .enumerate()
        .map(|(other, script)| Script { active: other == number, ..*script })
        .collect();
    let mailbox = Mailbox { scripts: &active, globals: mailbox.globals };
    analyse_all(&mailbox, Some(folder), dialect).into_iter().nth(number)
}

/// Analyses every script of a mailbox with its includes resolved, in the order of `scripts`. What an
/// included script does is listed with the script that includes it.
#[must_use]
pub fn analyse_mailbox(mailbox: &Mailbox<'_>, dialect: Dialect) -> Vec<Analysis> {
    analyse_all(mailbox, None, dialect)
}

fn analyse_all(mailbox: &Mailbox<'_>, event_folder: Option<&str>, dialect: Dialect) -> Vec<Analysis> {
    let personal =
        mailbox.scripts.iter().map(|script| Prepared::new(script.name, false, script.bytes, dialect));
    let global = mailbox.globals.iter().map(|script| Prepared::new(script.name, true, script.bytes, dialect));
    let world = World { scripts: personal.chain(global).collect(), complete: true, event_folder };
    let mut checks: Vec<Checked> = world.scripts.iter().map(|script| checked(script, dialect)).collect();
    refuse_includers(&world, dialect, &mut checks);
    let analyse_one = |(number, script): (usize, &Script<'_>)| {
        let findings = evaluate(&world, number, dialect, !script.active);
        let problems = std::mem::take(&mut checks[number].problems);
        conclude(&world.scripts[number], dialect, problems, findings, script.active)
    };
    mailbox.scripts.iter().enumerate().map(analyse_one).collect()
}

fn checked(script: &Prepared<'_>, dialect: Dialect) -> Checked {
    check(Reading { script: script.bytes, tree: &script.tree, dialect }, &script.fixed)
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
    dialect: Dialect,
    mut diagnostics: Vec<Diagnostic>,
    findings: Findings,
    active: bool,
) -> Analysis {
    diagnostics.extend(findings.diagnostics);
    diagnostics.extend(carriage_return_comments(script.bytes, &script.tree).into_iter().map(|span| {
        let message =
            "a carriage return ends this comment for jsieve (James, Zimbra), which runs what follows";
        Diagnostic { severity: Severity::Warning, span, message: message.to_owned() }
    }));
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    let mut effects = findings.effects;
    diagnostics.extend(too_many_redirects(&effects, dialect));
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

/// Engines stop a run that redirects to too many; how many is the administrator's choice, so that is told
/// and not counted on. What Pigeonhole does then is known and part of the run.
fn too_many_redirects(effects: &[Effect], dialect: Dialect) -> Option<Diagnostic> {
    let limit = dialect.redirect_limit().filter(|_| dialect != Dialect::Pigeonhole)?;
    let sure =
        effects.iter().filter(|effect| effect.kind == EffectKind::Redirect && effect.reach == Reach::Always);
    let mut targets: Vec<&Target> = Vec::new();
    for effect in sure {
        let new = effect.targets.iter().find(|target| !targets.contains(target));
        targets.extend(new);
        if targets.len() > limit {
            let message = format!("more redirects than the {limit} an engine allows unless told otherwise");
            return Some(Diagnostic { severity: Severity::Warning, span: effect.span, message });
        }
    }
    None
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

/// RFC 5228 engines do not end a hash comment at a lone CR, the jsieve of James and Zimbra does: whether
/// a comment of this script holds text that only such an engine would run.
#[must_use]
pub fn hides_code_behind_carriage_return(script: &[u8], tree: &Tree) -> bool {
    !carriage_return_comments(script, tree).is_empty()
}
