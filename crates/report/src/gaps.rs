//! What could not be looked at, told once per cause instead of once per mailbox.

use std::collections::BTreeMap;

use mailwarden_evidence::{Coverage, CoverageState, surface};
use mailwarden_judge::Report;

use crate::phrases;
use crate::sanitise::clipped;

/// Gaps that share surface, state, reason and source.
#[derive(Debug, Clone)]
pub(crate) struct Gap<'a> {
    pub(crate) surface: &'a str,
    pub(crate) state: CoverageState,
    pub(crate) reason: &'a str,
    pub(crate) source: &'a str,
    /// In the order of the report.
    pub(crate) mailboxes: Vec<&'a str>,
}

/// The gaps of a report by cause, those that touch the most mailboxes first.
pub(crate) fn by_cause(report: &Report) -> Vec<Gap<'_>> {
    let mut causes: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for gap in report.gaps() {
        let Coverage { mailbox, surface, state, reason, source } = gap;
        let cause = (surface.as_str(), *state, reason.as_str(), source.as_str());
        causes.entry(cause).or_default().push(mailbox);
    }
    let mut gaps: Vec<_> = causes.into_iter().map(into_gap).collect();
    gaps.sort_by_key(|gap| std::cmp::Reverse(gap.mailboxes.len()));
    gaps
}

type Cause<'a> = (&'a str, CoverageState, &'a str, &'a str);

fn into_gap<'a>(((surface, state, reason, source), mailboxes): (Cause<'a>, Vec<&'a str>)) -> Gap<'a> {
    Gap { surface, state, reason, source, mailboxes }
}

impl Gap<'_> {
    /// The gap in one sentence, for formats that have no table of coverage.
    pub(crate) fn sentence(&self) -> String {
        let state = phrases::coverage_word(self.state);
        let of = match self.mailboxes.as_slice() {
            [only] => phrases::mailbox(only),
            several => phrases::mailboxes(several.len()),
        };
        format!("Could not look at {} of {of} ({state}): {}", clipped(self.surface), clipped(self.why()))
    }

    /// Why, never empty: a gap without a reason is one more thing to know.
    pub(crate) fn why(&self) -> &str {
        if self.reason.is_empty() { "the collector gave no reason" } else { self.reason }
    }

    /// What to do so that the next run can look.
    pub(crate) fn next_step(&self) -> &'static str {
        match self.state {
            CoverageState::Denied => "Give the sweeper's login the rights it lacks, then sweep again.",
            CoverageState::Error => "Make the source answer, then sweep again.",
            CoverageState::Partial => "Remove the cause, then sweep again.",
            CoverageState::Skipped => "Ask for this surface in the next sweep.",
            CoverageState::Collected | CoverageState::Unsupported => "Nothing.",
        }
    }

    /// How a person can look meanwhile, as the surface catalogue says.
    pub(crate) fn by_hand(&self) -> &'static str {
        surface(self.surface).map_or("", |surface| surface.enumerate.as_str())
    }
}
