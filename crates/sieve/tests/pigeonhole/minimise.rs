//! Makes a failing case as small as it gets by taking statements away.

use crate::script::{Case, Statement};

/// How many smaller cases are tried; each costs a few runs of the engine.
const MAX_TRIALS: usize = 400;

/// The smallest case found that still fails.
pub(crate) fn minimised(case: &Case, fails: impl Fn(&Case) -> bool) -> Case {
    let mut best = case.clone();
    let mut trials = 0;
    let mut at = 0;
    while trials < MAX_TRIALS {
        let mut smaller = best.clone();
        let mut left = at;
        if !smaller.scripts.iter_mut().any(|script| shrink(script, &mut left)) {
            break;
        }
        trials += 1;
        smaller.name = format!("{}m{trials}", case.name);
        if fails(&smaller) {
            best = smaller;
        } else {
            at += 1;
        }
    }
    best
}

/// Makes the change of that number: every statement can go, every `if` can become one of its blocks.
fn shrink(block: &mut Vec<Statement>, left: &mut usize) -> bool {
    for place in 0..block.len() {
        if *left == 0 {
            block.remove(place);
            return true;
        }
        *left -= 1;
        if *left == 0
            && let Statement::If(arms, _) = &block[place]
        {
            let inner = arms[0].1.clone();
            block.splice(place..=place, inner);
            return true;
        }
        *left = left.saturating_sub(1);
        if inside(&mut block[place], left) {
            return true;
        }
    }
    false
}

fn inside(statement: &mut Statement, left: &mut usize) -> bool {
    match statement {
        Statement::If(arms, otherwise) => {
            arms.iter_mut().any(|(_, body)| shrink(body, left))
                || otherwise.as_mut().is_some_and(|body| shrink(body, left))
        }
        Statement::EveryPart(body) => shrink(body, left),
        _ => false,
    }
}
