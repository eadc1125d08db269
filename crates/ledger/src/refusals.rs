//! Refusals, summed so that a stranger who is refused a million times writes no more than one who is refused
//! once.
//!
//! Counts are kept per hour, rule and policy object (a scope, vendor or mailbox: never something a stranger
//! names). They are added up in memory, flushed to the database every few seconds, and entered into the
//! ledger as one event for each hour that has passed.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use crate::event::{Event, EventKind};

/// How many pairs of rule and object an hour may have; what comes after is summed under [`OTHER`].
pub const MAX_OBJECTS_PER_HOUR: usize = 10_000;
/// The name under which the overflow is summed.
pub const OTHER: &str = "(other)";
/// The longest rule name that is counted on its own.
pub(crate) const MAX_RULE_BYTES: usize = 64;
/// The longest object name that is counted on its own; an address has at most 254 bytes (RFC 5321
/// §4.5.3.1.3).
pub(crate) const MAX_OBJECT_BYTES: usize = 255;
/// How many different rules are counted on their own in one hour.
const MAX_RULES_PER_HOUR: usize = 256;
/// How many hours are counted at once: the present one and stragglers of the one before.
const OPEN_HOURS: usize = 2;

/// Whole hours since 1970.
pub(crate) type Hour = i64;

const SECONDS_PER_HOUR: i64 = 3600;

pub(crate) fn hour_of(at: DateTime<Utc>) -> Hour {
    at.timestamp().div_euclid(SECONDS_PER_HOUR)
}

pub(crate) fn hour_start(hour: Hour) -> DateTime<Utc> {
    DateTime::from_timestamp(hour.saturating_mul(SECONDS_PER_HOUR), 0).unwrap_or_default()
}

/// How often one rule refused mail for one policy object in one hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusalSum {
    /// The beginning of the hour.
    pub hour: DateTime<Utc>,
    /// The rule.
    pub rule: String,
    /// The policy object.
    pub object: String,
    /// How often.
    pub count: u64,
}

/// The event that enters the sums of one hour into the ledger.
pub(crate) fn hour_event(hour: Hour, sums: &[(String, String, u64)]) -> Event {
    let total: u64 = sums.iter().map(|(_, _, count)| count).sum();
    let sums: Vec<_> = sums
        .iter()
        .map(|(rule, object, count)| json!({"rule": rule, "object": object, "count": count}))
        .collect();
    let subject = hour_start(hour).format("%Y-%m-%dT%H:00:00Z").to_string();
    Event::new(EventKind::GateRefusals, hour_start(hour + 1), "gate", subject)
        .with(json!({"total": total, "sums": sums}))
}

/// The counts not yet in the database.
#[derive(Debug, Default)]
pub(crate) struct Accumulator {
    hours: BTreeMap<Hour, HourCounts>,
}

#[derive(Debug, Default)]
struct HourCounts {
    rules: HashMap<Box<str>, HashMap<Box<str>, u64>>,
    objects: usize,
}

impl Accumulator {
    pub(crate) fn add(&mut self, hour: Hour, rule: &str, object: &str, count: u64) {
        let hour = self.countable(hour);
        self.hours.entry(hour).or_default().add(rule, object, count);
    }

    /// A clock that jumps must not open hours without end; a stray instant counts in the newest hour.
    fn countable(&self, hour: Hour) -> Hour {
        match self.hours.last_key_value() {
            Some((newest, _)) if self.hours.len() >= OPEN_HOURS && !self.hours.contains_key(&hour) => *newest,
            _ => hour,
        }
    }

    /// Takes the counts. The names stay, so that the limit holds for the hour and not for one flush.
    pub(crate) fn drain(&mut self) -> Vec<(Hour, String, String, u64)> {
        let mut sums = Vec::new();
        for (hour, counts) in &mut self.hours {
            for (rule, objects) in &mut counts.rules {
                for (object, count) in objects.iter_mut().filter(|(_, count)| **count > 0) {
                    sums.push((*hour, rule.to_string(), object.to_string(), std::mem::take(count)));
                }
            }
        }
        while self.hours.len() >= OPEN_HOURS {
            self.hours.pop_first();
        }
        sums
    }
}

impl HourCounts {
    fn add(&mut self, rule: &str, object: &str, count: u64) {
        // The common case allocates nothing.
        if let Some(known) = self.rules.get_mut(rule).and_then(|objects| objects.get_mut(object)) {
            *known = known.saturating_add(count);
            return;
        }
        let rule = if self.has_room_for_rule(rule) { rule } else { OTHER };
        let object = if self.objects < MAX_OBJECTS_PER_HOUR { nameable(object) } else { OTHER };
        let known = self.rules.entry(rule.into()).or_default().entry(object.into()).or_insert_with(|| {
            self.objects += 1;
            0
        });
        *known = known.saturating_add(count);
    }

    fn has_room_for_rule(&self, rule: &str) -> bool {
        let plain = rule.len() <= MAX_RULE_BYTES && !rule.contains(char::is_control);
        plain && (self.rules.len() < MAX_RULES_PER_HOUR || self.rules.contains_key(rule))
    }
}

fn nameable(object: &str) -> &str {
    if object.len() <= MAX_OBJECT_BYTES && !object.contains(char::is_control) { object } else { OTHER }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_refusals_add_up_and_are_taken_once() {
        let mut counts = Accumulator::default();
        counts.add(5, "receive-only", "bills.acme.example", 1);
        counts.add(5, "receive-only", "bills.acme.example", 2);
        counts.add(5, "vendor-state", "acme", 1);
        let mut taken = counts.drain();
        taken.sort();
        let expected = [("receive-only", "bills.acme.example", 3), ("vendor-state", "acme", 1)]
            .map(|(rule, object, count)| (5, rule.to_owned(), object.to_owned(), count));
        assert_eq!(taken, expected);
        assert_eq!(counts.drain(), []);
    }

    #[test]
    fn the_limit_of_objects_holds_across_flushes() {
        let mut counts = Accumulator::default();
        let mut taken = Vec::new();
        for n in 0..MAX_OBJECTS_PER_HOUR + 500 {
            counts.add(5, "route", &format!("object-{n}"), 1);
            if n % 1000 == 0 {
                taken.extend(counts.drain());
            }
        }
        taken.extend(counts.drain());
        let (other, named): (Vec<_>, Vec<_>) = taken.into_iter().partition(|sum| sum.2 == OTHER);
        assert_eq!(named.len(), MAX_OBJECTS_PER_HOUR);
        assert_eq!(other.iter().map(|sum| sum.3).sum::<u64>(), 500);
    }

    #[test]
    fn names_that_are_no_policy_objects_are_summed_together() {
        let mut counts = Accumulator::default();
        counts.add(5, "route", &"x".repeat(MAX_OBJECT_BYTES + 1), 1);
        counts.add(5, "route", "a\u{1b}[31m", 1);
        counts.add(5, &"r".repeat(MAX_RULE_BYTES + 1), "acme", 1);
        let mut taken = counts.drain();
        taken.sort();
        assert_eq!(taken, [(5, OTHER.into(), "acme".into(), 1), (5, "route".into(), OTHER.into(), 2)]);
    }

    #[test]
    fn a_jumping_clock_opens_no_endless_hours() {
        let mut counts = Accumulator::default();
        for hour in 0..1000 {
            counts.add(hour, "route", "acme", 1);
        }
        assert_eq!(counts.drain().iter().map(|sum| sum.3).sum::<u64>(), 1000);
        assert!(counts.hours.len() < OPEN_HOURS);
    }

    #[test]
    fn the_event_of_a_full_hour_fits_into_an_entry() {
        let sums: Vec<_> = (0..=MAX_OBJECTS_PER_HOUR)
            .map(|_| ("r".repeat(MAX_RULE_BYTES), "\"".repeat(MAX_OBJECT_BYTES), u64::from(u32::MAX)))
            .collect();
        assert!(crate::event::Draft::new(&hour_event(490_000, &sums)).is_ok());
    }
}
