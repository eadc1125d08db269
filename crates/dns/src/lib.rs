//! What a domain publishes against what its profile needs. No socket and no clock: an evaluation asks
//! [questions](mailwarden_evidence::dns::Question), whoever has a resolver answers them, and it is run again
//! until it wants nothing more. So every recursion (SPF includes, the DMARC tree walk, MX to address to
//! certificate) is decided here, and tested without a network.

mod answers;
mod caa;
mod case;
pub mod checks;
mod der;
mod dkim;
mod dmarc;
mod evaluate;
mod family;
mod mta_sts;
mod mx;
mod recipients;
mod registration;
mod render;
mod services;
mod spf;
mod subject;
mod text;
mod tls_rpt;
mod transport;
mod zone;

pub use answers::Answers;
pub use case::{Deviation, Evaluation, Gap, MAX_QUESTIONS, MAX_RECORDS, MAX_TEXT};
pub use checks::{Check, Weight};
pub use evaluate::{MAX_ROUNDS, concerns, evaluate};
pub use family::Family;
pub use render::{Difference, Fares, Rendering, Wanted, diff, render};
pub use subject::{PROBE, Role, Subject, subjects};
pub use text::quoted;

#[cfg(test)]
mod tests;
