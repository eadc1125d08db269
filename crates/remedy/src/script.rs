//! Switching one effect of a script off.

use sieve_analysis::edit::{Disabled, Method, Refusal, disable_by};
use sieve_analysis::{Dialect, Effect, Reach, analyse};

/// A proved edit and what it does beside its purpose.
pub(crate) struct Edited {
    pub(crate) source: Vec<u8>,
    pub(crate) method: Method,
    pub(crate) side_effects: Vec<String>,
}

/// What came of looking for the effect.
pub(crate) enum Outcome {
    /// It can be switched off.
    Edited(Edited),
    /// It is switched off already.
    Dead,
    /// It cannot be switched off without risk.
    Refused(Refusal),
}

/// Switches the effect at a span off: by the method that leaves the rule intact in the program that shows it,
/// else by the next that stands the proof.
pub(crate) fn switch_off(source: &[u8], dialect: Dialect, span: (usize, usize), kind: &str) -> Outcome {
    let analysis = analyse(source, dialect, true);
    let is_it = |effect: &&Effect| {
        let place = (effect.span.start, effect.span.end) == span && effect.via.is_empty();
        place && (effect.kind.name() == kind || is_program(effect, kind))
    };
    let Some(effect) = analysis.effects.iter().find(is_it) else {
        return Outcome::Refused(Refusal::NoSuchEffect);
    };
    if effect.reach == Reach::Dead {
        return Outcome::Dead;
    }
    let suited = Method::suited_to(effect);
    let methods = [suited, Method::Wrapped, Method::Flat];
    let mut refusal = Refusal::NotProved;
    for method in methods {
        match disable_by(source, dialect, effect, method) {
            Ok(disabled) => return Outcome::Edited(edited(disabled, method)),
            Err(why) => refusal = why,
        }
    }
    Outcome::Refused(refusal)
}

/// Findings share one word for all commands that run programs.
fn is_program(effect: &Effect, kind: &str) -> bool {
    kind == "run" && matches!(effect.kind.name(), "pipe" | "filter" | "execute")
}

fn edited(disabled: Disabled, method: Method) -> Edited {
    let mut side_effects = Vec::new();
    if disabled.local_copies_changed {
        side_effects.push("mail that left no copy here is kept in the mailbox from now on".to_owned());
    }
    if disabled.reach_changed {
        side_effects.push("the whole rule goes off, so rules behind it may act on more messages".to_owned());
    }
    if method == Method::Wrapped {
        side_effects.push("a webmail that rewrites the script may not show the rule any more".to_owned());
    }
    Edited { source: disabled.script, method, side_effects }
}
