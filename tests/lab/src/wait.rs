//! Waiting for a condition: the only place in the lab that sleeps.

use std::time::{Duration, Instant};

use crate::error::{LabError, Result};

/// Short enough that nobody notices, long enough that two busy cores are not spent on looking.
const POLL: Duration = Duration::from_millis(20);

/// Asks `condition` until it yields a value; `what` names the condition in the error when `timeout` passes
/// first.
///
/// The condition is asked at least once, and once more after the last sleep.
pub fn wait_until<T>(timeout: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        let left = timeout.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(LabError::Timeout { what: what.to_owned(), waited: timeout });
        }
        std::thread::sleep(left.min(POLL));
    }
}

/// Like [`wait_until`] for a condition that has nothing to hand over.
pub fn wait_for(timeout: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    wait_until(timeout, what, || condition().then_some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_over_what_the_condition_found() {
        let mut asked = 0;
        let found = wait_until(Duration::from_secs(5), "the third question", || {
            asked += 1;
            (asked == 3).then_some("yes")
        });
        assert_eq!(found.unwrap(), "yes");
        assert_eq!(asked, 3);
    }

    #[test]
    fn asks_once_even_without_time_and_names_what_it_waited_for() {
        let mut asked = 0;
        let error = wait_for(Duration::ZERO, "the impossible", || {
            asked += 1;
            false
        })
        .unwrap_err();
        assert_eq!(asked, 1);
        assert!(error.to_string().contains("the impossible"), "{error}");
    }
}
