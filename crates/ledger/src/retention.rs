//! How long details are kept: what concerns persons is erased when its time is over, the proof stays.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// How long the details of entries are kept, by the beginning of their kind; the longest beginning that fits
/// decides, and a kind that none fits is kept for good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention(pub BTreeMap<String, Duration>);

impl Retention {
    /// Whether the detail of an entry of this kind and time is to be erased now.
    #[must_use]
    pub fn is_over(&self, kind: &str, at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let fitting = self.0.iter().filter(|(beginning, _)| kind.starts_with(beginning.as_str()));
        let Some((_, keep)) = fitting.max_by_key(|(beginning, _)| beginning.len()) else { return false };
        // A time too long to be added up is never over.
        TimeDelta::from_std(*keep)
            .ok()
            .and_then(|keep| at.checked_add_signed(keep))
            .is_some_and(|end| end <= now)
    }

    /// Only what is older than this can be over.
    pub(crate) fn newest_possible(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let shortest = self.0.values().min()?;
        now.checked_sub_signed(TimeDelta::from_std(*shortest).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn the_longest_beginning_decides_and_the_rest_is_kept_for_good() {
        let retention =
            Retention(BTreeMap::from([("gate.".to_owned(), DAY), ("gate.refusals".to_owned(), 10 * DAY)]));
        let now: DateTime<Utc> = "2026-03-11T00:00:00Z".parse().unwrap();
        let days_ago = |days| now - TimeDelta::days(days);
        assert!(retention.is_over("gate.held", days_ago(1), now));
        assert!(!retention.is_over("gate.held", days_ago(1) + TimeDelta::microseconds(1), now));
        assert!(!retention.is_over("gate.refusals", days_ago(9), now));
        assert!(retention.is_over("gate.refusals", days_ago(10), now));
        assert!(!retention.is_over("reset.closed", days_ago(9_999), now));
        assert_eq!(retention.newest_possible(now), Some(days_ago(1)));
        let endless = Retention(BTreeMap::from([(String::new(), Duration::MAX)]));
        assert!(!endless.is_over("gate.held", DateTime::UNIX_EPOCH, now));
    }
}
