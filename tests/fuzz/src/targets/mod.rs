//! What is fuzzed.

mod address;
mod milter;

pub use address::{envelope as address_envelope, header as address_header};
pub use milter::{codec as milter_codec, session as milter_session};
