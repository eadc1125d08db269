//! Generated scripts, run by the engine and foretold by the library.
//!
//! A normal run is bounded. `SIEVE_DIFFERENTIAL_SECONDS=3600 cargo test -p sieve-analysis --test
//! pigeonhole generated -- --nocapture` goes on for an hour and begins where the clock says;
//! `SIEVE_DIFFERENTIAL_SEED=N` begins at case N.

use crate::chance::Chance;
use crate::compare::{contradictions, undecided};
use crate::generate::{alone, case};
use crate::laboratory::{Actions, Laboratory, Message, Verdict};
use crate::messages::{MESSAGES, message};
use crate::minimise::minimised;
use crate::mutate::mutated;
use crate::script::Case;
use sieve_analysis::{
    Analysis, Dialect, EffectKind, Mailbox, Reach, Script, Severity, analyse, analyse_mailbox,
};
use std::time::{Duration, Instant};

const DEFAULT_SECONDS: u64 = 6;
/// And so many scripts, whichever ends first.
const DEFAULT_SEEDS: usize = 2_000;

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
    // A run without a wish is the same on every machine, as far as its speed lets it go.
    let most = if seconds.is_some() { usize::MAX } else { DEFAULT_SEEDS };
    (first..).take(most).take_while(move |_| begun.elapsed() < time)
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
    failed: usize,
    corrupt: usize,
}

/// What would make the engine refuse.
pub(crate) fn errors(analysis: &Analysis) -> Vec<&str> {
    let errors = analysis.diagnostics.iter().filter(|one| one.severity == Severity::Error);
    errors.map(|one| one.message.as_str()).collect()
}

/// What is wrong about one case, on any message.
fn differences(case: &Case, laboratory: &Laboratory, tally: &mut Tally) -> Vec<String> {
    differences_on(case, &messages(case), laboratory, tally)
}

fn differences_on(
    case: &Case,
    messages: &[Message],
    laboratory: &Laboratory,
    tally: &mut Tally,
) -> Vec<String> {
    tally.cases += 1;
    store_included(case, laboratory);
    let text = case.text(0, None);
    let verdict = laboratory.verdict(&text);
    let compiles = verdict == Verdict::Taken;
    let general = analysis(case, None);
    let mut wrong = Vec::new();
    if verdict != Verdict::None && compiles != general.accepted {
        wrong.push(format!("the engine says {verdict:?}, we say {:?}", errors(&general)));
    }
    for message in messages.iter().filter(|_| compiles) {
        let actions = laboratory.run_script(&text, message);
        if actions.corrupt {
            tally.corrupt += 1;
            continue;
        }
        let exact = (case.can_be_answered() && !message.odd).then(|| analysis(case, Some(message)));
        let mut told = if actions.finished {
            tally.compared += 1;
            contradictions(&general, &actions)
        } else {
            tally.failed += 1;
            not_done(&general, &actions)
        };
        if let Some(exact) = exact {
            tally.answered += 1;
            told.extend(if actions.finished {
                answered(&exact, &actions)
            } else {
                not_done(&exact, &actions)
            });
        }
        let tell = |one| format!("{one}\n  for {:?} {:?} {}", message.headers, message.body, message.sender);
        wrong.extend(told.into_iter().map(tell));
    }
    laboratory.forget_stored();
    wrong
}

/// Two that everybody sees and two that belong to the case.
fn messages(case: &Case) -> Vec<Message> {
    let fixed = (case.noise % MESSAGES.len() as u64) as usize;
    let next = (fixed + 1) % MESSAGES.len();
    vec![MESSAGES[fixed].clone(), MESSAGES[next].clone(), message(case.noise), message(!case.noise)]
}

/// A run that failed did nothing but run programs, write to the log and read scripts, so nothing else is sure.
fn not_done(analysis: &Analysis, actions: &Actions) -> Vec<String> {
    let sure = analysis.effects.iter().filter(|effect| effect.reach == Reach::Always);
    let undone = sure.filter(|effect| {
        use EffectKind::{DebugLog, Execute, Filter, Include};
        !matches!(effect.kind, DebugLog | Execute | Filter | Include)
    });
    let reason = actions.reason.as_str();
    undone
        .map(|effect| format!("failed ({reason}), but always {} {:?}", effect.kind.name(), effect.targets))
        .collect()
}

fn answered(exact: &Analysis, actions: &Actions) -> Vec<String> {
    let mut wrong = contradictions(exact, actions);
    wrong.extend(undecided(exact));
    wrong
}

fn report(case: &Case, wrong: &[String]) -> String {
    let texts = (0..case.scripts.len()).map(|number| {
        let text = String::from_utf8_lossy(&case.text(number, None)).into_owned();
        format!("--- script {}\n{text}", case.script_name(number))
    });
    format!("{}\n{}", wrong.join("\n"), texts.collect::<String>())
}

/// How many failing scripts one run makes small and shows.
const MAX_SHOWN: usize = 8;

#[test]
fn generated_scripts_do_what_is_foretold() {
    let Some(laboratory) = Laboratory::open() else { return };
    let (mut tally, mut failing) = (Tally::default(), Vec::new());
    for seed in seeds() {
        let case = case(seed);
        if differences(&case, &laboratory, &mut tally).is_empty() {
            continue;
        }
        let fails = |case: &Case| !differences(case, &laboratory, &mut Tally::default()).is_empty();
        let small = minimised(&case, fails);
        let still = differences(&small, &laboratory, &mut Tally::default());
        failing.push(format!("seed {seed}\n{}", report(&small, &still)));
        if failing.len() >= MAX_SHOWN {
            break;
        }
    }
    println!("{tally:?}");
    assert!(failing.is_empty(), "{} scripts differ:\n{}", failing.len(), failing.join("\n"));
    assert!(tally.compared > tally.cases, "too few runs came to their end: {tally:?}");
}

/// Each construct alone, with words, an address or a variable where it takes strings.
#[test]
fn every_construct_gets_the_engines_verdict_and_does_what_is_foretold() {
    let Some(laboratory) = Laboratory::open() else { return };
    let mut wrong = Vec::new();
    for case in alone() {
        let found = differences_on(&case, &MESSAGES[1..2], &laboratory, &mut Tally::default());
        wrong.extend(found.into_iter().map(|one| format!("{one}\n{}", report(&case, &[]))));
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
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
        let verdict = laboratory.verdict(&script);
        if verdict == Verdict::None {
            continue;
        }
        let compiles = verdict == Verdict::Taken;
        verdicts[usize::from(compiles)] += 1;
        let ours = analyse(&script, Dialect::Pigeonhole, true);
        if ours.accepted != compiles {
            let text = String::from_utf8_lossy(&script).into_owned();
            wrong.push(format!(
                "seed {seed}: the engine's verdict is {compiles}; {:?}\n{text}",
                errors(&ours)
            ));
        } else if compiles {
            let actions = laboratory.run_script(&script, &message(seed));
            if actions.corrupt {
                continue;
            }
            let found =
                if actions.finished { contradictions(&ours, &actions) } else { not_done(&ours, &actions) };
            let text = String::from_utf8_lossy(&script);
            wrong.extend(found.into_iter().map(|what| format!("seed {seed}: {what}\n{text}")));
        }
    }
    println!("refused and taken: {verdicts:?}");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(verdicts.iter().all(|count| *count > 0));
}
