//! The append-only audit ledger and the gate journal.
//!
//! The **ledger** holds control events: who changed what, when, why, and what was there before. Its entries
//! are the leaves of an RFC 6962 hash tree; signed checkpoints of the tree, taken off the machine, make every
//! later change of the past provable. It never holds traffic: refusals enter it as hourly sums.
//!
//! The **journal** holds the recent decisions of the gate, bounded by age and number, to be looked up by the
//! reference that a refusal names. It may lose its last second in a crash; the ledger loses nothing it
//! acknowledged.
//!
//! In the same PostgreSQL several sweepers can share one run of the rounds ([`SharedRun`]).

mod anchor;
mod append;
pub mod canonical;
mod changes;
pub mod checkpoint;
mod error;
pub mod event;
mod export;
mod filter;
mod journal;
mod kept;
mod ledger;
mod newcomers;
mod open;
mod owner;
mod postgres;
mod random;
mod reference;
mod refusals;
mod register;
mod retention;
mod rounds;
mod secret;
mod sqlite;
mod standing;
mod store;
mod sums;
mod tree;
mod vendors;
mod verify;
mod view;

pub use anchor::{ANCHOR_LIMIT, Anchor, AnchorError, SYSLOG_SOCKET};
pub use append::Receipt;
pub use changes::{ChangeOutcome, RecordedChange};
pub use checkpoint::{Checkpoint, CheckpointKey, NoteError, SignedNote, Verifier, notes_in};
pub use error::{EventError, Fault, LedgerError};
pub use event::{Detail, Event, EventKind, StoredEvent, is_case_id};
pub use export::{ExportError, ExportedDetail, ExportedEntry};
pub use filter::{EventFilter, MAX_EVENTS_PER_QUERY};
pub use journal::{Journal, JournalBounds, JournalEntry, MAX_DETAIL_BYTES, MAX_FIELD_BYTES};
pub use ledger::{Anchored, Ledger, LedgerOptions, MAX_ENTRIES_PER_CASE, MAX_EVENTS_PER_CALL, TreeHead};
pub use mailwarden_proof::bundle;
pub use mailwarden_proof::merkle::{self, Hash};
pub use mailwarden_proof::proof::{self, ConsistencyProof, InclusionProof, ProofError};
pub use newcomers::Newcomers;
pub use open::shown_url;
pub use reference::{NotAReference, REFERENCE_LENGTH, Reference};
pub use refusals::{MAX_OBJECTS_PER_HOUR, OTHER, RefusalSum};
pub use register::{MAX_UNREGISTERED, VendorRegister};
pub use retention::Retention;
pub use rounds::{Beginning, Claim, DAYS_KEPT, MAX_CLAIMS, Seen, SharedRun};
pub use standing::Standing;
pub use vendors::{Heard, MAX_ORGANISATIONS, OrganisationRecord, VendorRecord};
pub use verify::{Part, Problem, verify};
