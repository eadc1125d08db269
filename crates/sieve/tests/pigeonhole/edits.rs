//! Effects of generated scripts switched off by every method, the results run by the engine.

use crate::chance::Chance;
use crate::compare::contradictions;
use crate::differential::{seeds, store_included};
use crate::generate::case;
use crate::laboratory::{Actions, Laboratory, Verdict};
use crate::messages::MESSAGES;
use crate::script::Case;
use sieve_analysis::edit::{Disabled, Method, Refusal, apply, disable_by, inverse};
use sieve_analysis::{Dialect, Effect, EffectKind, Reach, analyse};
use std::collections::BTreeSet;

const METHODS: [Method; 2] = [Method::Wrapped, Method::Flat];

/// Some effect of the script that is not dead.
fn chosen(script: &[u8], chance: &mut Chance) -> Option<Effect> {
    let analysis = analyse(script, Dialect::Pigeonhole, true);
    let live: Vec<_> = analysis
        .effects
        .into_iter()
        .filter(|effect| effect.reach != Reach::Dead && effect.kind != EffectKind::Include)
        .collect();
    (!live.is_empty()).then(|| live[chance.below(live.len())].clone())
}

fn lost(before: &BTreeSet<String>, after: &BTreeSet<String>) -> BTreeSet<String> {
    before.difference(after).cloned().collect()
}

/// What the run after the edit did that the run before did not, or failed to do without need.
fn unwanted(effect: &Effect, before: &Actions, after: &Actions) -> Vec<String> {
    let mut wrong = Vec::new();
    let concerns = |kinds: &[EffectKind]| kinds.contains(&effect.kind);
    let mut compare =
        |kinds: &[EffectKind], what: &str, before: &BTreeSet<String>, after: &BTreeSet<String>| {
            let new = lost(after, before);
            if !new.is_empty() {
                wrong.push(format!("{what}: {new:?} is new"));
            }
            let gone = lost(before, after);
            if gone.len() > usize::from(concerns(kinds)) * effect.targets.len().max(1) {
                wrong.push(format!("{what}: {gone:?} is gone"));
            }
        };
    compare(&[EffectKind::Redirect], "redirect", &before.redirects, &after.redirects);
    compare(&[EffectKind::Notify], "notify", &before.notified, &after.notified);
    compare(&[EffectKind::Pipe], "pipe", &before.programs, &after.programs);
    compare(&[EffectKind::Report], "report", &before.reported, &after.reported);
    let kept: BTreeSet<String> = std::iter::once("INBOX".to_owned()).collect();
    // The flat method may put a `keep` in the place of the command.
    let folders = if after.folders.is_subset(&before.folders) {
        after.folders.clone()
    } else {
        lost(&after.folders, &kept)
    };
    compare(&[EffectKind::Fileinto, EffectKind::Keep], "folder", &before.folders, &folders);
    for (kind, was, is) in [
        (EffectKind::Discard, before.discarded, after.discarded),
        (EffectKind::Reject, before.rejected, after.rejected),
        (EffectKind::Vacation, before.answered, after.answered),
    ] {
        if is && !was || was && !is && effect.kind != kind {
            wrong.push(format!("{} changed", kind.name()));
        }
    }
    wrong
}

struct Trial<'a> {
    laboratory: &'a Laboratory,
    case: &'a Case,
    script: &'a [u8],
    effect: &'a Effect,
}

impl Trial<'_> {
    fn verdicts(&self, disabled: &Disabled) -> Vec<String> {
        let mut wrong = Vec::new();
        if apply(&disabled.script, &inverse(self.script, &disabled.edits)) != self.script {
            wrong.push("the inverse does not restore the script".to_owned());
        }
        if !self.laboratory.compiles(&disabled.script) {
            wrong.push("the engine refuses the result".to_owned());
        }
        let analysis = analyse(&disabled.script, Dialect::Pigeonhole, true);
        for message in &MESSAGES[..2] {
            let before = self.laboratory.run_script(self.script, message);
            let after = self.laboratory.run_script(&disabled.script, message);
            if before.finished && after.finished {
                wrong.extend(unwanted(self.effect, &before, &after));
                wrong.extend(contradictions(&analysis, &after));
            } else if before.finished {
                wrong.push("the result fails where the script ran".to_owned());
            }
        }
        wrong
    }

    fn report(&self, disabled: &Disabled, wrong: &[String]) -> String {
        format!(
            "{}: {} at {}\n{}\n{}\n--- becomes\n{}",
            self.case.name,
            self.effect.kind.name(),
            self.effect.span.start,
            wrong.join("\n"),
            String::from_utf8_lossy(self.script),
            String::from_utf8_lossy(&disabled.script)
        )
    }
}

#[test]
fn switched_off_effects_of_generated_scripts_are_gone_and_nothing_else_is() {
    let Some(laboratory) = Laboratory::open() else { return };
    let (mut edited, mut refused) = (0, 0);
    for seed in seeds() {
        let case = case(seed ^ 0x00ed_1700);
        if case.scripts.len() > 1 {
            continue;
        }
        store_included(&case, &laboratory);
        let script = case.text(0, None);
        if laboratory.verdict(&script) == Verdict::None {
            continue;
        }
        let mut chance = Chance::new(seed);
        let Some(effect) = chosen(&script, &mut chance) else { continue };
        match disable_by(&script, Dialect::Pigeonhole, &effect, chance.of(&METHODS)) {
            Ok(disabled) => {
                edited += 1;
                let trial = Trial { laboratory: &laboratory, case: &case, script: &script, effect: &effect };
                let wrong = trial.verdicts(&disabled);
                assert!(wrong.is_empty(), "{}", trial.report(&disabled, &wrong));
            }
            Err(Refusal::NotAccepted) => {}
            Err(_) => refused += 1,
        }
    }
    println!("edited {edited}, refused {refused}");
    assert!(edited > 10 * refused, "edited {edited}, refused {refused}");
}
