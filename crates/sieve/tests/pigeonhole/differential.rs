//! Generated scripts, run by the engine and foretold by the library.
//!
//! A normal run is bounded. `SIEVE_DIFFERENTIAL_SECONDS=3600 cargo test -p sieve-analysis --test
//! pigeonhole generated -- --nocapture` goes on for an hour and begins where the clock says;
//! `SIEVE_DIFFERENTIAL_SEED=N` begins at case N.

use crate::chance::Chance;
use crate::compare::{contradictions, undecided};
use crate::generate::{MESSAGES, case};
use crate::laboratory::{Actions, Laboratory, Message};
use crate::minimise::minimised;
use crate::mutate::mutated;
use crate::script::Case;
use sieve_analysis::{
    Analysis, Dialect, EffectKind, Mailbox, Reach, Script, Severity, analyse, analyse_mailbox,
};
use std::time::{Duration, Instant};

const DEFAULT_SECONDS: u64 = 6;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// The seeds of one run, until its time is over.
pub(crate) fn seeds() -> impl Iterator<Item = u64> {
    let seconds = setting("SIEVE_DIFFERENTIAL_SECONDS");
    let unbounded = seconds.map(|_| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.unwrap().as_secs() << 20
    });
    let first = setting("SIEVE_DIFFERENTIAL_SEED").or(unbounded).unwrap_or(1);
    let (begun, time) = (Instant::now(), Duration::from_secs(seconds.unwrap_or(DEFAULT_SECONDS)));
    (first..).take_while(move |_| begun.elapsed() < time)
}

/// The analysis of script 0 with the scripts it includes.
pub(crate) fn analysis(case: &Case, answers: Option<&Message>) -> Analysis {
    let names: Vec<String> = (0..case.scripts.len()).map(|number| case.script_name(number)).collect();
    let texts: Vec<Vec<u8>> = (0..case.scripts.len()).map(|number| case.text(number, answers)).collect();
    let scripts: Vec<Script<'_>> = names
        .iter()
        .zip(&texts)
        .enumerate()
        .map(|(number, (name, bytes))| Script { name, bytes, active: number == 0 })
        .collect();
    analyse_mailbox(&Mailbox { scripts: &scripts, globals: &[] }, Dialect::Pigeonhole).remove(0)
}

pub(crate) fn store_included(case: &Case, laboratory: &Laboratory) {
    for number in 1..case.scripts.len() {
        laboratory.store(&case.script_name(number), &case.text(number, None));
    }
}

#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    compared: usize,
    answered: usize,
}

/// What would make the engine refuse.
fn errors(analysis: &Analysis) -> Vec<&str> {
    let errors = analysis.diagnostics.iter().filter(|one| one.severity == Severity::Error);
    errors.map(|one| one.message.as_str()).collect()
}

/// What is wrong about one case, on any message.
fn differences(case: &Case, laboratory: &Laboratory, tally: &mut Tally) -> Vec<String> {
    tally.cases += 1;
    store_included(case, laboratory);
    let text = case.text(0, None);
    let compiles = laboratory.compiles(&text);
    let general = analysis(case, None);
    let mut wrong = Vec::new();
    if compiles != general.accepted {
        wrong.push(format!("the engine's verdict is {compiles}; {:?}", errors(&general)));
    }
    for message in MESSAGES.iter().filter(|_| compiles) {
        let actions = laboratory.run_script(&text, message);
        if !actions.finished {
            if actions.failed && case.can_be_answered() && !message.has_parts() {
                wrong.extend(undone(&analysis(case, Some(message)), message));
            }
            continue;
        }
        tally.compared += 1;
        let tell = |what: &str, found: Vec<String>| {
            found.into_iter().map(|one| format!("{what}, {}: {one}", message.sender)).collect::<Vec<_>>()
        };
        wrong.extend(tell("any message", contradictions(&general, &actions)));
        if case.can_be_answered() && !message.has_parts() {
            tally.answered += 1;
            wrong.extend(tell("this message", answered(case, message, &actions)));
        }
    }
    laboratory.forget_stored();
    wrong
}

/// A run that failed did nothing.
fn undone(exact: &Analysis, message: &Message) -> Vec<String> {
    let lively = exact.effects.iter().filter(|effect| effect.reach == Reach::Always);
    let outward = lively.filter(|effect| {
        matches!(
            effect.kind,
            EffectKind::Redirect | EffectKind::Fileinto | EffectKind::Notify | EffectKind::Pipe
        )
    });
    outward.map(|effect| format!("the run for {} failed, but {effect:?}", message.sender)).collect()
}

fn answered(case: &Case, message: &Message, actions: &Actions) -> Vec<String> {
    let exact = analysis(case, Some(message));
    let mut wrong = contradictions(&exact, actions);
    wrong.extend(undecided(&exact));
    wrong
}

fn report(case: &Case, wrong: &[String]) -> String {
    let texts = (0..case.scripts.len()).map(|number| {
        let text = String::from_utf8_lossy(&case.text(number, None)).into_owned();
        format!("--- script {}\n{text}", case.script_name(number))
    });
    let answered = String::from_utf8_lossy(&case.text(0, Some(&MESSAGES[1]))).into_owned();
    format!(
        "{}\n{}--- answered for {}\n{answered}",
        wrong.join("\n"),
        texts.collect::<String>(),
        MESSAGES[1].sender
    )
}

#[test]
fn generated_scripts_do_what_is_foretold() {
    let Some(laboratory) = Laboratory::open() else { return };
    let mut tally = Tally::default();
    for seed in seeds() {
        let case = case(seed);
        let wrong = differences(&case, &laboratory, &mut tally);
        if !wrong.is_empty() {
            let fails = |case: &Case| !differences(case, &laboratory, &mut Tally::default()).is_empty();
            let small = minimised(&case, fails);
            let still = differences(&small, &laboratory, &mut Tally::default());
            panic!("seed {seed}\n{}", report(&small, &still));
        }
    }
    println!("{tally:?}");
    assert!(tally.compared > tally.cases, "too few runs came to their end: {tally:?}");
}

#[test]
fn generated_scripts_with_mistakes_get_the_engines_verdict() {
    let Some(laboratory) = Laboratory::open() else { return };
    let (mut verdicts, mut wrong) = ([0, 0], Vec::new());
    for seed in seeds() {
        let case = case(seed);
        if case.scripts.len() > 1 {
            continue;
        }
        let script = mutated(&case.text(0, None), &mut Chance::new(!seed));
        let compiles = laboratory.compiles(&script);
        verdicts[usize::from(compiles)] += 1;
        let ours = analyse(&script, Dialect::Pigeonhole, true);
        if ours.accepted != compiles {
            let text = String::from_utf8_lossy(&script).into_owned();
            wrong.push(format!(
                "seed {seed}: the engine's verdict is {compiles}; {:?}\n{text}",
                errors(&ours)
            ));
        } else if compiles {
            let actions = laboratory.run_script(&script, &MESSAGES[1]);
            if actions.finished {
                wrong.extend(
                    contradictions(&ours, &actions).into_iter().map(|what| format!("seed {seed}: {what}")),
                );
            }
        }
    }
    println!("refused and taken: {verdicts:?}");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(verdicts.iter().all(|count| *count > 0));
}
