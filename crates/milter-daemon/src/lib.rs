//! The gate daemon: milter events in, one decision out.
//!
//! [`run`] opens everything the configuration names and serves until it is told to stop. `conversation` turns
//! milter events into facts and decides nothing; `render` turns a decision into the milter answer; `record` turns
//! the same decision into log line, metric, journal entry and ledger sum; `snapshot` holds the policy in force.

mod conversation;
mod error;
mod metrics;
mod record;
mod render;
mod serve;
mod snapshot;

pub use error::GateError;
pub use serve::{Control, Overrides, check, run};
