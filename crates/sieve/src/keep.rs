//! Whether the owner's store receives a message too, exactly.
//!
//! RFC 5228 §2.10.2: the message is kept unless an action cancels the implicit keep; `keep` and
//! `fileinto` store it themselves. What happens on a run is two facts: was the implicit keep cancelled,
//! was the message stored. Both only ever become true, so the past of an effect is a set of such pairs,
//! its future is one too, and the copy follows from every past joined with every future.

use crate::conditions::Place;
use crate::effects::LocalCopy;

/// A set of pairs (cancelled, stored); bit `cancelled + 2 * stored` stands for a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fates(u8);

/// What an action does to the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Transfer {
    pub(crate) cancels: bool,
    pub(crate) stores: bool,
    /// It may do so or not.
    pub(crate) uncertain: bool,
}

impl Transfer {
    /// Of something that may do anything.
    pub(crate) const ANYTHING: Self = Self { cancels: true, stores: true, uncertain: true };

    fn bits(self) -> u8 {
        u8::from(self.cancels) | u8::from(self.stores) << 1
    }

    pub(crate) fn is_nothing(self) -> bool {
        self.bits() == 0
    }
}

impl Fates {
    /// Nothing has happened.
    pub(crate) const START: Self = Self(1);
    const NONE: Self = Self(0);

    fn pairs(self) -> impl Iterator<Item = u8> {
        (0..4).filter(move |pair| self.0 & (1 << pair) != 0)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn after(self, transfer: Transfer) -> Self {
        let done = |set: Self, bits: u8| Self(set.pairs().fold(0, |all, pair| all | 1 << (pair | bits)));
        if !transfer.uncertain {
            return done(self, transfer.bits());
        }
        (0..4)
            .filter(|bits| bits & !transfer.bits() == 0)
            .fold(Self::NONE, |all, bits| all.or(done(self, bits)))
    }

    fn is_none(self) -> bool {
        self.0 == 0
    }

    fn joined(self, future: Self) -> LocalCopy {
        let mut outcomes =
            self.pairs().flat_map(|past| future.pairs().map(move |next| is_copied(past | next)));
        let first = outcomes.next().unwrap_or(false);
        match outcomes.all(|outcome| outcome == first) {
            false => LocalCopy::Depends,
            true if first => LocalCopy::Kept,
            true => LocalCopy::Lost,
        }
    }
}

fn is_copied(pair: u8) -> bool {
    pair & 2 != 0 || pair & 1 == 0
}

/// What happened in order, as far as it matters for keeping.
#[derive(Debug)]
pub(crate) enum Trace {
    /// An action: the number of its effect if it was recorded, what had happened before, what it does.
    Act { effect: Option<usize>, past: Fates, transfer: Transfer },
    /// One of several ways; those that cannot be taken are marked false.
    Fork(Vec<(bool, Vec<Trace>)>),
    /// An included script: `return` inside leads behind it.
    Call(Vec<Trace>),
    /// A loop and everything that may happen in its rounds.
    Loop(Vec<Trace>, Transfer),
    /// The script ends.
    Stop,
    /// The script ends with an error: the engine keeps the message and does nothing else (measured).
    Abort(Place),
    /// On some messages, or on some servers, it does.
    PerhapsAbort(Place),
    /// The included script ends.
    Return,
    /// The loop ends.
    Break,
}

/// What lies ahead of a place: what may still happen on ways that end well, and whether some way does not.
#[derive(Clone, Copy)]
struct Ahead {
    fates: Fates,
    /// Where the nearest of those that do not ends.
    aborts: Option<Place>,
}

impl Ahead {
    const END: Self = Self { fates: Fates::START, aborts: None };
    const NOWHERE: Self = Self { fates: Fates::NONE, aborts: None };

    fn abort(place: Place) -> Self {
        Self { fates: Fates::NONE, aborts: Some(place) }
    }

    fn or(self, other: Self) -> Self {
        Self { fates: self.fates.or(other.fates), aborts: self.aborts.or(other.aborts) }
    }

    fn after(self, transfer: Transfer) -> Self {
        Self { fates: self.fates.after(transfer), ..self }
    }
}

/// What became of an effect in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) copy: LocalCopy,
    /// Every way behind it ends with an error, so the engine never does it.
    pub(crate) undone: bool,
    /// Some way does, here.
    pub(crate) fails_at: Option<Place>,
}

/// Where the three ways out of a block lead.
#[derive(Clone, Copy)]
struct Exits {
    behind: Ahead,
    returned: Ahead,
    broken: Ahead,
}

/// Tells of every effect in the trace what became of it.
pub(crate) fn settle(trace: &[Trace], settled: &mut dyn FnMut(usize, Settled)) {
    backwards(trace, Exits { behind: Ahead::END, returned: Ahead::END, broken: Ahead::END }, settled);
}

/// Walks from the end to the beginning; returns what lies ahead of the block's first action.
fn backwards(trace: &[Trace], exits: Exits, settled: &mut dyn FnMut(usize, Settled)) -> Ahead {
    let mut future = exits.behind;
    for step in trace.iter().rev() {
        future = match step {
            Trace::Act { effect, past, transfer } => {
                let ahead = future.after(*transfer);
                if let Some(effect) = effect {
                    let undone = ahead.fates.is_none() && ahead.aborts.is_some();
                    let copy = past.joined(ahead.fates);
                    settled(*effect, Settled { copy, undone, fails_at: ahead.aborts });
                }
                ahead
            }
            Trace::Fork(ways) => ways.iter().fold(Ahead::NOWHERE, |all, (open, way)| {
                let ahead = backwards(way, Exits { behind: future, ..exits }, settled);
                if *open { all.or(ahead) } else { all }
            }),
            Trace::Call(body) => {
                backwards(body, Exits { behind: future, returned: future, broken: future }, settled)
            }
            Trace::Loop(body, rounds) => {
                let after_round = future.after(Transfer { uncertain: true, ..*rounds });
                let ahead = backwards(body, Exits { behind: after_round, broken: future, ..exits }, settled);
                ahead.or(future)
            }
            Trace::Stop => Ahead::END,
            Trace::Abort(place) => Ahead::abort(*place),
            Trace::PerhapsAbort(place) => Ahead::abort(*place).or(future),
            Trace::Return => exits.returned,
            Trace::Break => exits.broken,
        };
    }
    future
}

/// Everything the actions in a trace may do, together.
pub(crate) fn anything_in(trace: &[Trace]) -> Transfer {
    let mut all = Transfer::default();
    for step in trace {
        let inner = match step {
            Trace::Act { transfer, .. } => *transfer,
            Trace::Fork(ways) => {
                ways.iter().map(|(_, way)| anything_in(way)).fold(Transfer::default(), either)
            }
            Trace::Call(body) => anything_in(body),
            Trace::Loop(_, rounds) => *rounds,
            Trace::Stop | Trace::Abort(_) | Trace::PerhapsAbort(_) | Trace::Return | Trace::Break => {
                Transfer::default()
            }
        };
        all = either(all, inner);
    }
    Transfer { uncertain: true, ..all }
}

fn either(a: Transfer, b: Transfer) -> Transfer {
    Transfer { cancels: a.cancels || b.cancels, stores: a.stores || b.stores, uncertain: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REDIRECT: Transfer = Transfer { cancels: true, stores: false, uncertain: false };
    const KEEP: Transfer = Transfer { cancels: true, stores: true, uncertain: false };

    #[test]
    fn the_copy_follows_from_past_and_future() {
        let nothing = Fates::START;
        assert_eq!(nothing.joined(nothing), LocalCopy::Kept);
        assert_eq!(nothing.joined(nothing.after(REDIRECT)), LocalCopy::Lost);
        assert_eq!(nothing.after(REDIRECT).joined(nothing.after(KEEP)), LocalCopy::Kept);
        let maybe = nothing.or(nothing.after(KEEP));
        assert_eq!(nothing.after(REDIRECT).joined(maybe), LocalCopy::Depends);
        assert_eq!(nothing.joined(nothing.after(Transfer::ANYTHING)), LocalCopy::Depends);
    }
}
