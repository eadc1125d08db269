//! What proves that an entry is in a ledger, and nothing else: the hash tree of RFC 6962, signed checkpoints,
//! exported entries and bundles of them. No database, no network, no clock: an auditor can read all of it.

pub mod bundle;
pub mod entry;
pub mod export;
pub mod merkle;
pub mod note;
pub mod proof;

pub use entry::EventError;
