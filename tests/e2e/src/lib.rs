//! End-to-end tests on real servers: the programs as they are built, in front of a real Postfix and Dovecot.
//!
//! A [`World`] is a lab of mail servers with the gate in front, configured by what
//! `mailwarden postfix render` prints. The files in `tests/` hold one scenario each. The programs are those
//! named by `MAILWARDEN_BIN` and `MAILWARDEN_MILTER_BIN`, or else are built when the first test asks for
//! them.

mod chance;
mod desk;
mod floor;
mod gate;
mod installation;
mod letters;
mod load;
mod mta;
mod plants;
mod programs;
mod refusal;
mod scrape;
mod sweeping;
mod world;

pub use chance::Chance;
pub use desk::{AS_OLGA, AS_OMAR, login, with};
pub use floor::Floor;
pub use gate::Gate;
pub use installation::{EXAMPLE_POLICY, Installation};
pub use letters::letter;
pub use load::{Load, Sent, Told};
pub use mta::{EVENTS, Edits, Envelope, Event, FilterAddress, Mta, Wire, frame, put_frame};
pub use plants::{found_and_nothing_else, records};
pub use programs::{
    Output, mailwarden, mailwarden_milter, mailwarden_program, mailwarden_reading, mailwarden_verify,
    milter_program,
};
pub use refusal::{reference_of, without_reference};
pub use scrape::Scrape;
pub use sweeping::SweepConfig;
pub use world::{Listen, SOON, World, WorldOptions};
