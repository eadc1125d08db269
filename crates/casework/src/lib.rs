//! Resets, offboardings, access for a time and provisioning, as state machines over events.
//!
//! A case is a fold over the events of the ledger and nothing else: there is no other state. A command asks
//! the case for a step; the case answers with the step to record, with "that is on record already", or with
//! why not and what to do instead. This crate knows no clock, file, ledger or mail server: whoever calls says
//! what time it is, what the policy is, and what a sweep saw.

pub mod access;
pub mod approval;
mod entry;
pub mod observed;
pub mod offboard;
pub mod provisioning;
mod refused;
pub mod reset;
pub mod secret;
mod swept;

pub use approval::{Approval, Signed, canonical_text};
pub use entry::{Entry, Step, to_entry};
pub use refused::Refused;
pub use swept::{OpenFinding, Row, Swept};
