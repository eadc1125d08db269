//! The commands of the control model: each asks a case for a step and records it. What is allowed, `casework`
//! and the policy decide.

pub(crate) mod access;
mod actor;
mod bundle;
mod casebook;
pub(crate) mod factsheet;
pub(crate) mod offboard;
pub(crate) mod policy;
pub(crate) mod record;
pub(crate) mod reset;
pub(crate) mod review;
pub(crate) mod signature;
mod swept;

pub(crate) use actor::by_uid;
pub(crate) use actor::{actor, address};
use casebook::Casebook;
pub(crate) use casebook::{entries_matching, entries_of, to_event};
