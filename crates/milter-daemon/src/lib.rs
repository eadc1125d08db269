//! The gate daemon: milter events in, one decision out.
//!
//! [`run`] opens everything the configuration names and serves until it is told to stop. `conversation` turns
//! milter events into facts and decides nothing; `render` turns a decision into the milter answer; `record` turns
//! the same decision into log line, metric, journal entry and ledger sum; `notices` makes durable what the MTA must
//! not hear of before; `memory` holds what earlier mail taught; `snapshot` holds the policy in force.

mod conversation;
mod error;
mod memory;
mod metrics;
mod notices;
mod record;
mod render;
mod serve;
mod snapshot;

pub use error::GateError;
pub use serve::{Control, Overrides, check, run};
