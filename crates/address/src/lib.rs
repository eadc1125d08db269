//! Addresses, domains and every reading of an address header.
//!
//! Four kinds of text claim to be an address, and each has its own type so that they cannot be mixed up:
//!
//! * configuration writes a [`Domain`] or an [`Address`] and is read strictly;
//! * the SMTP envelope carries a raw MAIL or RCPT argument, read by [`EnvelopeSender`] and
//!   [`EnvelopeRecipient`] as the MTA reads it;
//! * a header field such as From is read by [`read_address_header`]: a well-formed mailbox has one
//!   reading, anything else has every reading that some mail reader could make of it.
//!
//! Nothing here touches a socket, a clock or a file, and every input is hostile.

mod addr_spec;
mod characters;
mod domain;
mod encoded_word;
mod envelope;
mod header;
mod mailbox_list;
mod other_reader;
mod plain;
mod readings;
mod tokens;
mod views;

pub use addr_spec::{Address, AddressError, MAX_LOCAL_PART};
pub use domain::{Domain, DomainError};
pub use envelope::{EnvelopeRecipient, EnvelopeSender};
pub use header::{
    AmbiguityReason, HeaderReading, MAX_HEADER_VALUE, MAX_READINGS, MAX_TOKENS, Verdict,
    display_name_addresses, display_name_as_address, read_address_header,
};
