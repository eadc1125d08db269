//! How many mailboxes are looked at on one server at a time: as many as it takes without faults.
//!
//! Few at first, one more for every visit that went well, half after one that the server did not take; from then
//! on one more for every full round, as TCP does with its window (RFC 5681 §3.1).

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::CollectError;

/// With how many a server is first tried.
const FIRST: usize = 4;

/// How wide the way to a server is found to be.
#[derive(Debug, PartialEq, Eq)]
struct Width {
    now: usize,
    most: usize,
    /// The first fault has not been seen yet.
    is_beginning: bool,
    /// Visits that went well since the last change.
    well: usize,
}

impl Width {
    fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { now: FIRST.min(most), most, is_beginning: true, well: 0 }
    }

    fn went_well(&mut self) {
        self.well += 1;
        if self.now < self.most && (self.is_beginning || self.well >= self.now) {
            self.now += 1;
            self.well = 0;
        }
    }

    fn failed(&mut self) {
        self.now = (self.now / 2).max(1);
        self.is_beginning = false;
        self.well = 0;
    }
}

/// The turns at one server.
#[derive(Debug)]
pub(crate) struct Turns {
    permits: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    width: Width,
    /// Turns there are, those taken included.
    turns: usize,
}

/// A visit's turn; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
    permit: Option<SemaphorePermit<'t>>,
}

impl Turns {
    /// At most `most` at a time, and never none.
    pub(crate) fn new(most: usize) -> Self {
        let width = Width::new(most);
        Self { permits: Semaphore::new(width.now), state: Mutex::new(State { turns: width.now, width }) }
    }

    /// Waits until the server may be visited.
    pub(crate) async fn take(&self) -> Turn<'_> {
        // The semaphore is never closed.
        Turn { turns: self, permit: self.permits.acquire().await.ok() }
    }

    /// What one attempt says of the server. A refusal says nothing of how much it takes.
    pub(crate) fn learn<T>(&self, outcome: &Result<T, CollectError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(_) => state.width.went_well(),
            Err(error) if error.is_transient() => state.width.failed(),
            Err(_) => return,
        }
        let more = state.width.now.saturating_sub(state.turns);
        state.turns += more;
        self.permits.add_permits(more);
    }

    /// Whether a turn that ends now is one too many.
    fn gives_up_one(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_too_many = state.turns > state.width.now;
        state.turns -= usize::from(is_too_many);
        is_too_many
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.turns.gives_up_one()
        {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(is_taken: bool) -> Result<(), CollectError> {
        if is_taken { Ok(()) } else { Err(CollectError::unreachable("s", "connecting", "refused")) }
    }

    #[test]
    fn a_server_without_faults_gets_as_many_as_allowed() {
        let mut width = Width::new(9);
        assert_eq!(width.now, FIRST);
        (0..100).for_each(|_| width.went_well());
        assert_eq!(width.now, 9);
    }

    #[test]
    fn a_fault_halves_and_from_then_on_it_takes_a_round_to_grow() {
        let mut width = Width::new(64);
        (0..16).for_each(|_| width.went_well());
        assert_eq!(width.now, 20);
        width.failed();
        assert_eq!(width.now, 10);
        (0..9).for_each(|_| width.went_well());
        assert_eq!(width.now, 10);
        width.went_well();
        assert_eq!(width.now, 11);
        (0..9).for_each(|_| width.failed());
        assert_eq!(width.now, 1, "one is always tried");
    }

    #[tokio::test]
    async fn what_is_taken_away_is_taken_from_turns_that_end() {
        let turns = Turns::new(8);
        (0..4).for_each(|_| turns.learn(&outcome(true)));
        let mut taken = Vec::new();
        for _ in 0..8 {
            taken.push(turns.take().await);
        }
        assert_eq!(turns.permits.available_permits(), 0);
        turns.learn(&outcome(false));
        drop(taken.split_off(4));
        assert_eq!(turns.permits.available_permits(), 0, "four are still taken, and four are enough");
        drop(taken);
        assert_eq!(turns.permits.available_permits(), 4);
    }

    proptest! {
        #[test]
        fn however_it_goes_there_are_between_one_and_the_most(
            most in 0_usize..40, course in prop::collection::vec(any::<bool>(), 0..200)
        ) {
            let turns = Turns::new(most);
            for is_taken in course {
                let free = turns.permits.available_permits();
                prop_assert!((1..=most.max(1)).contains(&free), "{free}");
                let permit = turns.permits.try_acquire().ok();
                let turn = Turn { turns: &turns, permit };
                turns.learn(&outcome(is_taken));
                drop(turn);
            }
        }
    }
}
