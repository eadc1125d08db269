//! Whether a server is still asked: not once it has refused the sweeper itself, nor once it has long been gone.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::CollectError;

/// Logins in a row that may be refused for the sweeper's own credentials before it stops trying. More would
/// only raise the server's penalty for this address and fill its log.
const MAX_REFUSED_LOGINS: u32 = 3;
/// Mailboxes in a row that a server may not have been reached for, and for how long, before it counts as gone:
/// ten thousand mailboxes would else wait for it one by one, each with its repetitions.
const MAX_GIVEN_UP: u32 = 8;
const GONE_AFTER: Duration = Duration::from_secs(120);

/// How one server stands.
#[derive(Debug, Default)]
pub(crate) struct Standing(Mutex<History>);

impl Standing {
    /// Whether the server is worth another attempt.
    ///
    /// # Errors
    /// What stands in the coverage of a mailbox for which it is not asked.
    pub(crate) fn check(&self, label: &str) -> Result<(), CollectError> {
        self.history().check(label, Instant::now())
    }

    /// What one attempt says of the server.
    pub(crate) fn learn<T>(&self, outcome: &Result<T, CollectError>) {
        self.history().learn(outcome, Instant::now());
    }

    /// No attempt for a mailbox reached the server.
    pub(crate) fn give_up(&self) {
        self.history().give_up(Instant::now());
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a server has answered so far.
#[derive(Debug, Default)]
struct History {
    refused: u32,
    given_up: u32,
    /// The first of the attempts that found nobody.
    silent_since: Option<Instant>,
}

impl History {
    fn check(&self, label: &str, now: Instant) -> Result<(), CollectError> {
        if self.is_refused() {
            return Err(CollectError::Denied {
                server: label.to_owned(),
                doing: "not tried".to_owned(),
                cause: format!("the master login was refused {MAX_REFUSED_LOGINS} times in a row"),
                next: "check the master user, its password and the login style, then run again".to_owned(),
                credentials: true,
            });
        }
        let silence = self.silent_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if self.given_up >= MAX_GIVEN_UP && silence >= GONE_AFTER {
            let cause = format!("it could not be reached for the {} mailboxes before", self.given_up);
            return Err(CollectError::unreachable(label, "not tried", cause));
        }
        Ok(())
    }

    /// For good: what is still under way says nothing new.
    fn is_refused(&self) -> bool {
        self.refused >= MAX_REFUSED_LOGINS
    }

    /// Any login that got through proves the password, also one refused for the mailbox's own sake.
    fn learn<T>(&mut self, outcome: &Result<T, CollectError>, now: Instant) {
        match outcome {
            Err(error) if error.is_transient() => {
                self.silent_since.get_or_insert(now);
                return;
            }
            Err(error) if error.refuses_credentials() => self.refused += 1,
            Ok(_) | Err(CollectError::Denied { .. }) if !self.is_refused() => self.refused = 0,
            Ok(_) | Err(_) => {}
        }
        (self.given_up, self.silent_since) = (0, None);
    }

    fn give_up(&mut self, now: Instant) {
        self.silent_since.get_or_insert(now);
        self.given_up += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(credentials: bool) -> Result<(), CollectError> {
        let word = || "x".to_owned();
        Err(CollectError::Denied { server: word(), doing: word(), cause: word(), next: word(), credentials })
    }

    fn gone() -> Result<(), CollectError> {
        Err(CollectError::unreachable("s", "connecting", "refused"))
    }

    #[test]
    fn refusals_in_a_row_end_it_for_good() {
        let standing = Standing::default();
        for credentials in [true, true, false, true, true] {
            standing.learn(&denied(credentials));
        }
        assert!(standing.check("imap h:1").is_ok());
        standing.learn(&denied(true));
        assert!(standing.check("imap h:1").unwrap_err().to_string().starts_with("not tried"));
        standing.learn(&Ok(()));
        assert!(standing.check("imap h:1").is_err());
    }

    #[test]
    fn an_unreachable_server_says_nothing_about_the_password() {
        let standing = Standing::default();
        standing.learn(&denied(true));
        standing.learn(&denied(true));
        (0..10).for_each(|_| standing.learn(&gone()));
        assert!(standing.check("imap h:1").is_ok());
    }

    #[test]
    fn a_server_is_gone_after_long_enough_and_often_enough() {
        let (begun, mut history) = (Instant::now(), History::default());
        let at = |seconds| begun + Duration::from_secs(seconds);
        history.learn(&gone(), begun);
        (0..20).for_each(|_| history.give_up(at(5)));
        assert!(history.check("s", at(119)).is_ok(), "a restart takes a while");
        let error = history.check("s", at(120)).unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("20 mailboxes"), "{error}");
        history.learn(&Ok(()), at(121));
        history.give_up(at(122));
        assert!(history.check("s", at(9999)).is_ok(), "an answer begins it anew");

        let mut history = History::default();
        (1..MAX_GIVEN_UP).for_each(|_| history.give_up(begun));
        assert!(history.check("s", at(9999)).is_ok(), "some mailboxes may hang");
    }
}
