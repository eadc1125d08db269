//! The gate daemon: milter events in, one decision out.
//!
//! [`prepare`] opens the sockets and gives up what only they needed; [`run`] opens the rest and serves until it
//! is told to stop. `conversation` turns milter events into facts and decides nothing; `render` turns a decision
//! into the milter answer; `record` turns the same decision into log line, metric, journal entry and ledger sum;
//! `notices` makes durable what the MTA must not hear of before; `memory` holds what earlier mail taught;
//! `snapshot` holds the policy in force.

mod accounts;
mod conversation;
mod error;
mod memory;
mod metrics;
mod notices;
mod privileges;
mod record;
mod reload;
mod render;
mod serve;
mod service_manager;
mod snapshot;
mod sockets;

pub use error::GateError;
pub use serve::{Control, Overrides, Prepared, check, prepare, run};
pub use service_manager::stopping as announce_stop;

use tokio::runtime::{Builder, Runtime};

/// One thread serves: on the two cores of a mail host it is faster than several, and the databases have
/// threads of their own.
///
/// # Errors
/// The system has no descriptors left.
pub fn runtime() -> Result<Runtime, GateError> {
    let cannot = |error| GateError::Configuration(format!("cannot start: {error}"));
    Builder::new_current_thread().enable_all().build().map_err(cannot)
}
