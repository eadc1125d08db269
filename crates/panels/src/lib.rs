//! Panels and webmails keep ways to mail in databases of their own: aliases that go on naming whoever was deleted, app
//! passwords, fetch jobs, hidden copies of webmail identities.
//!
//! What is asked is data: a [`QuerySet`] names, for each query, what its rows give to whom. What a row means is decided
//! here without a database ([`set`], [`row`]); [`collect`] is the thin part that asks, read-only, bounded in time and
//! rows.

mod by_hand;
mod change;
mod connection;
mod error;
mod row;
mod set;
mod shell;
mod sogo;

pub use change::RowStore;
pub use connection::{Engine, Source};
pub use error::PanelError;
pub use set::{BadSet, Form, Named, Query, QuerySet, Revoke, built_in};
pub use shell::{PanelPlan, Seen, collect};
