//! How bad a finding is: effect x destination x who has left x stealth x whether it acts.
//!
//! One table gives the base; what follows only moves it:
//! 1. somebody who has left gains, or owns the mailbox: one step up;
//! 2. stealth (the owner keeps no copy, or their mail program does not show the rule), or a private address
//!    of one of our people: one step up, never above high and never for an approved destination. Critical is
//!    kept for those who have left and for what anyone can reach;
//! 3. one step from acting (an inactive script): one step down; switched off inside a script: info.

use crate::Severity;

/// What the beneficiary can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Gets the messages.
    Receive,
    /// Gets a notice that may quote the messages.
    Notice,
    /// Answers in the mailbox's place, or names another address in an answer.
    Answer,
    /// Reads a folder.
    Read,
    /// Gives rights to others.
    Administer,
    /// Plants, changes or deletes messages.
    Change,
    /// Sees that a folder exists, or posts to it.
    Lookup,
    /// Runs on every message.
    Run,
    /// A file receives messages, or names further recipients that were not looked at.
    File,
    /// Messages vanish from the owner's view.
    Hide,
    /// Nobody can say.
    NotUnderstood,
}

/// Who or what gains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A role or shared mailbox of ours.
    InternalRole,
    /// A person of ours.
    InternalPerson,
    /// Outside, approved.
    Approved,
    /// Outside.
    External,
    /// Computed from the message, but inside our domains.
    ComputedInside,
    /// Computed from the message, a list or a group.
    Computed,
    /// A login that the policy does not know.
    Unknown,
    /// Every login.
    Everyone,
    /// Whoever connects.
    Anyone,
    /// Nobody but the one who wrote the rule.
    Nobody,
}

/// All that severity depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) act: Act,
    pub(crate) destination: Destination,
    /// The beneficiary, or the owner of the mailbox, has left.
    pub(crate) leaver: bool,
    /// No copy stays, or the rule is hidden, or the address is a private one.
    pub(crate) stealth: bool,
    pub(crate) life: Life,
}

/// Whether it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Life {
    /// Switched off inside a script.
    Off,
    /// Asleep: one step from acting.
    Asleep,
    /// Acting.
    Acting,
}

impl Weight {
    /// Something that acts in the open and concerns nobody who has left.
    pub(crate) fn new(act: Act, destination: Destination) -> Self {
        Self { act, destination, leaver: false, stealth: false, life: Life::Acting }
    }

    pub(crate) fn severity(self) -> Severity {
        let base = base(self.act, self.destination);
        let by_leaver = if self.leaver { up(base) } else { base };
        let hides = self.stealth && self.destination != Destination::Approved && by_leaver < Severity::High;
        let by_stealth = if hides { up(by_leaver) } else { by_leaver };
        match self.life {
            Life::Acting => by_stealth,
            Life::Asleep => down(by_stealth),
            Life::Off => Severity::Info,
        }
    }
}

fn base(act: Act, destination: Destination) -> Severity {
    use Destination::{
        Anyone, Approved, Computed, ComputedInside, Everyone, External, InternalPerson, InternalRole, Nobody,
        Unknown,
    };
    match (act, destination) {
        (_, Approved) => Severity::Info,
        (Act::Hide, Nobody | InternalRole) => Severity::Info,
        (Act::Read | Act::Administer, Anyone) => Severity::Critical,
        (Act::Administer, Everyone) => Severity::Critical,
        (Act::Read, Everyone) => Severity::High,
        (Act::Change, Anyone | Everyone) => Severity::High,
        (Act::Read | Act::Administer | Act::Change, _) => Severity::Medium,
        (Act::Lookup, _) => Severity::Low,
        (Act::Run, _) => Severity::High,
        (Act::File | Act::NotUnderstood, _) => Severity::Medium,
        (Act::Receive | Act::Notice, InternalRole) => Severity::Info,
        (Act::Receive, InternalPerson) => Severity::Low,
        (Act::Receive, ComputedInside) => Severity::Medium,
        (Act::Receive, External | Computed | Unknown | Everyone | Anyone | Nobody) => Severity::High,
        (Act::Notice, InternalPerson | ComputedInside) => Severity::Low,
        (Act::Notice, _) => Severity::Medium,
        (Act::Answer | Act::Hide, _) => Severity::Low,
    }
}

fn up(severity: Severity) -> Severity {
    match severity {
        Severity::Info => Severity::Low,
        Severity::Low => Severity::Medium,
        Severity::Medium => Severity::High,
        Severity::High | Severity::Critical => Severity::Critical,
    }
}

fn down(severity: Severity) -> Severity {
    match severity {
        Severity::Critical => Severity::High,
        Severity::High => Severity::Medium,
        Severity::Medium => Severity::Low,
        Severity::Low | Severity::Info => Severity::Info,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/severity.md");
    const ACTS: [Act; 11] = [
        Act::Receive,
        Act::Notice,
        Act::Answer,
        Act::Read,
        Act::Administer,
        Act::Change,
        Act::Lookup,
        Act::Run,
        Act::File,
        Act::Hide,
        Act::NotUnderstood,
    ];
    const DESTINATIONS: [Destination; 10] = [
        Destination::InternalRole,
        Destination::InternalPerson,
        Destination::Approved,
        Destination::External,
        Destination::ComputedInside,
        Destination::Computed,
        Destination::Unknown,
        Destination::Everyone,
        Destination::Anyone,
        Destination::Nobody,
    ];

    /// The page is the code: whoever changes the table changes the page.
    fn page() -> String {
        let mut page =
            "# Severity\n\nEffect x destination gives the base; the rest moves it.\n\n| effect |".to_owned();
        for to in DESTINATIONS {
            let _ = write!(page, " {to:?} |");
        }
        let _ = write!(page, "\n|---|{}\n", "---|".repeat(DESTINATIONS.len()));
        for act in ACTS {
            let _ = write!(page, "| {act:?} |");
            for to in DESTINATIONS {
                let _ = write!(page, " {:?} |", base(act, to));
            }
            page.push('\n');
        }
        page.push_str(
            "\n1. Somebody who has left gains, or owns the mailbox: one step up.\n\
             2. Stealth (no copy stays, the rule is hidden, or the address is a private one): one step up, never \
             above high and never for an approved destination.\n\
             3. One step from acting (an inactive script): one step down. Switched off inside a script: info.\n\
             4. Observed use is shown (`observed_use`) and moves nothing yet.\n",
        );
        page
    }

    /// `MAILWARDEN_REWRITE=1 cargo test -p mailwarden-judge severity` writes the page anew.
    #[test]
    fn the_published_table_is_the_one_in_force() {
        if std::env::var_os("MAILWARDEN_REWRITE").is_some() {
            std::fs::create_dir_all(std::path::Path::new(PAGE).parent().unwrap()).unwrap();
            std::fs::write(PAGE, page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(PAGE).unwrap_or_default(), page());
    }

    fn weigh(act: Act, destination: Destination, leaver: bool, stealth: bool, life: Life) -> Severity {
        Weight { act, destination, leaver, stealth, life }.severity()
    }

    #[test]
    fn the_table_and_what_moves_it() {
        use Severity::*;
        for (act, destination, leaver, stealth, life, expected) in [
            (Act::Receive, Destination::External, false, false, Life::Acting, High),
            (Act::Receive, Destination::External, false, true, Life::Acting, High),
            (Act::Receive, Destination::External, true, false, Life::Acting, Critical),
            (Act::Receive, Destination::External, true, true, Life::Asleep, High),
            (Act::Receive, Destination::External, true, true, Life::Off, Info),
            (Act::Receive, Destination::Approved, false, true, Life::Acting, Info),
            (Act::Receive, Destination::Approved, true, false, Life::Acting, Low),
            (Act::Receive, Destination::InternalPerson, false, false, Life::Acting, Low),
            (Act::Receive, Destination::InternalPerson, true, true, Life::Acting, High),
            (Act::Receive, Destination::Computed, false, false, Life::Acting, High),
            (Act::Notice, Destination::External, false, true, Life::Acting, High),
            (Act::Read, Destination::Anyone, false, false, Life::Acting, Critical),
            (Act::Read, Destination::Everyone, false, false, Life::Acting, High),
            (Act::Read, Destination::InternalPerson, true, false, Life::Acting, High),
            (Act::Lookup, Destination::InternalPerson, true, false, Life::Acting, Medium),
            (Act::Run, Destination::Nobody, false, false, Life::Acting, High),
            (Act::Hide, Destination::Nobody, false, true, Life::Acting, Low),
            (Act::NotUnderstood, Destination::Nobody, false, false, Life::Asleep, Low),
        ] {
            assert_eq!(weigh(act, destination, leaver, stealth, life), expected, "{act:?} {destination:?}");
        }
    }

    #[test]
    fn stealth_alone_never_makes_critical() {
        for destination in [Destination::External, Destination::Computed, Destination::InternalPerson] {
            assert!(weigh(Act::Receive, destination, false, true, Life::Acting) < Severity::Critical);
        }
    }
}
