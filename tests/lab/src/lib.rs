//! Isolated Postfix, Dovecot and PostgreSQL on loopback for the tests and the demonstration.
//!
//! A [`Lab`] is a temporary directory with a Dovecot and a Postfix of its own in it, on ports of its own, as
//! root and without an init system. Any number runs side by side. It uses the machine's installed programs
//! and leaves their configuration, queues and mailboxes alone; no mail leaves loopback; nothing is left when
//! the lab is dropped or the process that holds it ends.
//!
//! ```no_run
//! use mailwarden_lab::{Lab, LabOptions, packages};
//! use std::time::Duration;
//!
//! # fn main() -> mailwarden_lab::Result<()> {
//! packages::ensure_installed(&mut |step| println!("{step}"))?;
//! let lab = Lab::new(LabOptions::default())?;
//! let mut session = lab.smtp_from_outside()?;
//! session.send("news@vendor.test", &["alice@example.test"], "Subject: hello\n\nhello\n")?;
//! let soon = Duration::from_secs(10);
//! lab.wait_for_message("alice@example.test", soon, |mail| mail.header("Subject") == Some("hello"))?;
//! # Ok(()) }
//! ```

mod accounts;
pub mod ca;
pub mod cyrus;
pub mod directory;
pub mod dovecot;
pub mod elsewhere;
mod error;
pub mod imap;
mod lab;
pub mod mailman;
pub mod managesieve;
pub mod mariadb;
pub mod names;
pub mod outside;
pub mod packages;
pub mod population;
pub mod ports;
pub mod postfix;
pub mod postgresql;
pub mod process;
pub mod processor;
pub mod sendmail;
pub mod slapd;
pub mod smtp;
pub mod wait;
pub mod web;
mod wire;

pub use error::{LabError, Result};
pub use lab::{Lab, LabOptions, MilterAt, OUTSIDE_ADDRESS, OUTSIDE_NAME, OutsideWorld};
pub use postgresql::PostgreSql;
pub use wire::LogicalLine;
