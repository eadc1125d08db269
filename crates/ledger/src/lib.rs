//! The append-only audit ledger and the gate journal.
//!
//! The **ledger** holds control events: who changed what, when, why, and what was there before. Its entries
//! are the leaves of an RFC 6962 hash tree; signed checkpoints of the tree, taken off the machine, make every
//! later change of the past provable. It never holds traffic: refusals enter it as hourly sums.
//!
//! The **journal** holds the recent decisions of the gate, bounded by age and number, to be looked up by the
//! reference that a refusal names. It may lose its last second in a crash; the ledger loses nothing it
//! acknowledged.

pub mod canonical;
pub mod checkpoint;
mod database;
mod error;
pub mod event;
mod export;
mod journal;
mod ledger;
pub mod merkle;
mod newcomers;
pub mod proof;
mod random;
mod reference;
mod refusals;
mod sqlite;
mod store;
mod tree;
mod vendors;
mod verify;

pub use checkpoint::{Checkpoint, CheckpointKey, NoteError, SignedNote, Verifier};
pub use error::{EventError, Fault, LedgerError};
pub use event::{Detail, Event, EventKind, StoredEvent};
pub use export::{ExportError, ExportedDetail, ExportedEntry};
pub use journal::{Journal, JournalBounds, JournalEntry, MAX_DETAIL_BYTES, MAX_FIELD_BYTES};
pub use ledger::{Ledger, LedgerOptions, MAX_EVENTS_PER_CALL, TreeHead};
pub use merkle::Hash;
pub use newcomers::Newcomers;
pub use proof::{ConsistencyProof, InclusionProof, ProofError};
pub use reference::{NotAReference, REFERENCE_LENGTH, Reference};
pub use refusals::{MAX_OBJECTS_PER_HOUR, OTHER, RefusalSum};
pub use store::{EventFilter, MAX_EVENTS_PER_QUERY, Receipt};
pub use vendors::{
    Heard, MAX_ORGANISATIONS, MAX_UNREGISTERED, OrganisationRecord, VendorRecord, VendorRegister,
};
pub use verify::{Part, Problem, verify};
