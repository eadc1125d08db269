//! What is remembered from earlier mail, as far as a rule asks for it. The decision only looks; whoever calls it
//! keeps the memory, and learns the [`Lesson`]s of the decision once it is carried out.

use std::fmt;

use chrono::{DateTime, Utc};
use mailwarden_address::{Address, Domain};
use serde::Serialize;

/// What is remembered of one vendor address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The organisations it heard from.
    pub organisations: Vec<KnownOrganisation>,
    /// It heard from more than are remembered one by one.
    pub and_others: bool,
}

impl Remembered {
    /// From the names of organisations and whether each was expected. A name that is no domain is left out.
    pub fn of<'n>(organisations: impl Iterator<Item = (&'n str, bool)>, and_others: bool) -> Self {
        let known = |(name, is_expected): (&str, bool)| {
            Some(KnownOrganisation { name: Domain::parse(name).ok()?, is_expected })
        };
        Self { organisations: organisations.filter_map(known).collect(), and_others }
    }

    /// What is remembered of one organisation.
    pub fn organisation(&self, name: &Domain) -> Option<&KnownOrganisation> {
        self.organisations.iter().find(|known| known.name == *name)
    }

    /// Whether any organisation was learned as the one this address was given to.
    pub fn has_expected(&self) -> bool {
        self.organisations.iter().any(|known| known.is_expected)
    }
}

/// An organisation that wrote to a vendor address before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownOrganisation {
    /// Its organisational domain.
    pub name: Domain,
    /// Whether it was taken for the vendor, or for whoever got the address from the vendor.
    pub is_expected: bool,
}

/// Looks things up in what was learned.
pub trait Memory: fmt::Debug + Sync {
    /// What is remembered of a vendor address; none if it never heard from anybody.
    fn vendor(&self, address: &Address) -> Option<Remembered>;
    /// Whether a local part of a scope was new within the hour of `now`.
    fn is_newcomer(&self, scope: &str, address: &Address, now: DateTime<Utc>) -> bool;
    /// How many local parts of a scope were new within the hour of `now`.
    fn newcomers(&self, scope: &str, now: DateTime<Utc>) -> u32;
}

/// The memory of somebody who remembers nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forgetful;

impl Memory for Forgetful {
    fn vendor(&self, _address: &Address) -> Option<Remembered> {
        None
    }

    fn is_newcomer(&self, _scope: &str, _address: &Address, _now: DateTime<Utc>) -> bool {
        false
    }

    fn newcomers(&self, _scope: &str, _now: DateTime<Utc>) -> u32 {
        0
    }
}

/// What is to be remembered of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "lesson")]
pub enum Lesson {
    /// A scope with a limit took a local part that it had not heard of.
    NewLocalPart {
        /// The scope, as the policy writes it.
        scope: String,
        /// The address.
        address: Address,
    },
    /// A vendor address takes mail.
    Heard {
        /// The address.
        address: Address,
        /// Whether it has a record in the policy; those are never forgotten to make room.
        registered: bool,
        /// The organisations that the message names as its author.
        organisations: Vec<Domain>,
        /// Whether they are taken for the vendor itself.
        is_expected: bool,
    },
}
