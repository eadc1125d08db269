//! The effects of a mailbox's scripts, each once: as all engines and all including scripts together have
//! them.

use std::collections::{BTreeMap, HashSet};

use sieve_analysis::{
    Analysis, Dialect, Effect, EffectKind, LocalCopy, Mailbox, Reach, Role, Script, analyse_at_event,
    analyse_mailbox,
};

use super::store::Store;

/// One effect of one command.
pub(crate) struct Act {
    /// The script that holds the command.
    pub(crate) holder: usize,
    /// The effect where it reaches furthest.
    pub(crate) effect: Effect,
    /// The scripts that lead to it by `include`, outermost first, without the one that holds it.
    pub(crate) via: Vec<String>,
    /// The engines that read it so.
    pub(crate) read_by: Vec<Dialect>,
    /// Whether one of them would run the script as it is.
    pub(crate) accepted: bool,
}

/// Most folders of one script that are looked at one by one; beyond them the folder is taken as not known.
const MAX_FOLDERS: usize = 16;

type Place = (usize, usize, usize, EffectKind, Vec<(String, Role)>);

/// Every act of a store, ordered by script and place.
pub(crate) fn acts(store: &Store<'_>) -> Vec<Act> {
    let scripts: Vec<Script<'_>> = store
        .scripts
        .iter()
        .map(|script| Script { name: script.name, bytes: script.source, active: script.runs() })
        .collect();
    let mailbox = Mailbox { scripts: &scripts, globals: &[] };
    let mut acts: BTreeMap<Place, Act> = BTreeMap::new();
    for dialect in &store.dialects {
        for (number, analysis) in analyse_mailbox(&mailbox, *dialect).into_iter().enumerate() {
            for analysis in occasions(store, &mailbox, number, analysis, *dialect) {
                merge(&mut acts, store, number, &analysis, *dialect);
            }
        }
    }
    understood(store, acts.into_values().collect())
}

/// A script as it is run: at delivery, or by the events of the folders whose annotations name it. An annotation of the
/// server stands for folders that nobody knows, so what depends on the folder stays open, as it is at delivery.
fn occasions(
    store: &Store<'_>,
    mailbox: &Mailbox<'_>,
    number: usize,
    at_delivery: Analysis,
    dialect: Dialect,
) -> Vec<Analysis> {
    let script = &store.scripts[number];
    let is_open = script.active || script.folders.iter().any(|folder| folder.is_empty());
    if is_open || script.folders.is_empty() || script.folders.len() > MAX_FOLDERS {
        return vec![at_delivery];
    }
    let at = |folder: &&str| analyse_at_event(mailbox, number, folder, dialect);
    script.folders.iter().map(at).collect::<Option<Vec<_>>>().unwrap_or_else(|| vec![at_delivery])
}

fn merge(
    acts: &mut BTreeMap<Place, Act>,
    store: &Store<'_>,
    number: usize,
    analysis: &Analysis,
    dialect: Dialect,
) {
    for effect in &analysis.effects {
        let holder = holder(store, number, effect);
        let targets = effect.targets.iter().map(|target| (target.raw.clone(), target.role)).collect();
        let place = (holder, effect.span.start, effect.span.end, effect.kind, targets);
        let via = includers(store.scripts[number].name, effect);
        let (effect, accepted) = (effect.clone(), analysis.accepted);
        let act = Act { holder, effect, via, read_by: vec![dialect], accepted };
        match acts.get_mut(&place) {
            Some(known) => known.join(act),
            None => drop(acts.insert(place, act)),
        }
    }
}

/// The script that holds a command; an included one is found by its name.
fn holder(store: &Store<'_>, number: usize, effect: &Effect) -> usize {
    let by_name = || {
        let same = |name: &str| name == effect.script || name.eq_ignore_ascii_case(&effect.script);
        store.scripts.iter().position(|script| same(script.name))
    };
    if effect.via.is_empty() { number } else { by_name().unwrap_or(number) }
}

fn includers(outermost: &str, effect: &Effect) -> Vec<String> {
    let Some((_, between)) = effect.via.split_last() else { return Vec::new() };
    std::iter::once(outermost.to_owned()).chain(between.iter().cloned()).collect()
}

impl Act {
    /// The same command read again: what reaches further counts, and the copy that stays is the smaller one.
    fn join(&mut self, other: Self) {
        let copy = worse(self.effect.local_copy, other.effect.local_copy);
        if rank(other.effect.reach) > rank(self.effect.reach) {
            self.effect = other.effect;
            self.via = other.via;
        }
        self.effect.local_copy = copy;
        self.accepted |= other.accepted;
        for dialect in other.read_by {
            if !self.read_by.contains(&dialect) {
                self.read_by.push(dialect);
            }
        }
    }
}

fn rank(reach: Reach) -> u8 {
    match reach {
        Reach::Dead => 0,
        Reach::Inactive => 1,
        Reach::Conditional => 2,
        Reach::Always => 3,
    }
}

fn worse(a: LocalCopy, b: LocalCopy) -> LocalCopy {
    match (a, b) {
        _ if a == b => a,
        (LocalCopy::Lost, _) | (_, LocalCopy::Lost) => LocalCopy::Lost,
        _ => LocalCopy::Depends,
    }
}

/// Where the server is not known, a command that one engine understands is judged by that reading, and that
/// the others do not is said by the finding on their disagreement.
fn understood(store: &Store<'_>, acts: Vec<Act>) -> Vec<Act> {
    let engines = store.dialects.len();
    acts.into_iter()
        .filter(|act| act.effect.kind != EffectKind::Unknown || act.read_by.len() == engines)
        .collect()
}

/// What the acts of a store say about one another, gathered once: a script can hold tens of thousands of
/// them.
pub(crate) struct Surroundings<'a> {
    named: HashSet<usize>,
    lost: HashSet<(usize, &'a str)>,
    marked_seen: HashSet<(usize, &'a str)>,
}

impl<'a> Surroundings<'a> {
    pub(crate) fn of(acts: &'a [Act]) -> Self {
        let named = acts.iter().filter(|act| act.effect.rule_name.is_some()).map(|act| act.holder).collect();
        let lost = acts.iter().filter(|act| act.sends_the_only_copy()).map(Act::circumstances).collect();
        let marked_seen = acts.iter().filter(|act| act.marks_seen()).map(Act::circumstances).collect();
        Self { named, lost, marked_seen }
    }

    /// Whether the program that wrote the script's other rules has no name for this one, and so may not show
    /// it.
    pub(crate) fn is_unlisted(&self, act: &Act) -> bool {
        act.effect.rule_name.is_none() && self.named.contains(&act.holder)
    }

    /// Whether the same messages were sent elsewhere without a copy.
    pub(crate) fn sends_the_only_copy(&self, act: &Act) -> bool {
        self.lost.contains(&act.circumstances())
    }

    /// Whether the same messages are marked as read.
    pub(crate) fn marks_seen(&self, act: &Act) -> bool {
        self.marked_seen.contains(&act.circumstances())
    }
}

impl Act {
    fn circumstances(&self) -> (usize, &str) {
        (self.holder, &self.effect.conditions)
    }

    fn sends_the_only_copy(&self) -> bool {
        let leaves = matches!(self.effect.kind, EffectKind::Redirect | EffectKind::Pipe | EffectKind::Reject);
        leaves && self.effect.local_copy == LocalCopy::Lost
    }

    fn marks_seen(&self) -> bool {
        matches!(self.effect.kind, EffectKind::Addflag | EffectKind::Setflag)
            && self.effect.targets.iter().any(|target| target.raw.to_lowercase().contains("\\seen"))
    }
}
