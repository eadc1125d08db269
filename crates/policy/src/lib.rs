//! The control model: who owns which address, what may be sent from it, where its mail goes.
//!
//! A policy is a set of TOML texts, one per client or organisation. [`Policy::compile`] reads them all,
//! reports every mistake with the place in the text and what to write instead, and returns an indexed,
//! immutable value. This crate knows no sockets, clocks, files or mail servers: whoever reads the texts hands
//! them in.

mod compile;
mod control;
mod diagnostic;
mod edit;
pub mod factsheet;
mod import;
mod index;
pub mod leave;
pub mod lints;
mod model;
mod pattern;
mod policy;
pub mod raci;
mod raw;
mod schema;
mod starter;
mod written;

pub use control::{
    AcceptedGrant, AcceptedLint, BillingRoute, Factsheet, MtaStsMode, Published, Seat, SharedReason,
    VendorAccount, VendorLogin,
};
pub use diagnostic::{Diagnostic, Level, Source, render, toml_error};
pub use edit::{EditError, TextEdit, add_vendor, set_vendor_state};
pub use import::{Imported, MAX_IMPORT_BYTES, import};
pub use lints::{Lint, lint, lints};
pub use model::{
    Accept, Client, DomainRecord, Exception, LiveRedirect, Mailbox, MailboxKind, Person, PersonRole, Profile,
    Scope, ShownAddress, UnexpectedSender, Unknown, Vendor, VendorState,
};
pub use pattern::LocalPattern;
pub use policy::{Policy, ReceiveOnly, Recipient};
pub use schema::json_schema;
pub use starter::starter;
