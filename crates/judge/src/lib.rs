//! Observations and policy to findings. No socket, no clock, no file: the same facts give the same findings.
//!
//! [`judge`] runs every check family over the observations of one run and binds the policy's exceptions to
//! what they find; [`compare`] sets a report against the previous one. Coverage passes through untouched:
//! what could not be looked at stays in the report, whatever was found beside it.

mod access;
mod baseline;
mod beneficiary;
mod brief;
pub mod catalogue;
mod checks;
mod coverage;
mod draft;
mod exceptions;
mod finding;
pub mod graph;
mod judgement;
mod owner;
mod remediation;
mod report;
mod schema;
mod severity;
mod shell;
mod suspicion;
mod wording;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;

pub use access::{AccessRecord, against_access};
pub use baseline::compare;
pub use finding::{
    Attack, Beneficiary, BeneficiaryKind, Confidence, FINGERPRINT_VERSION, Finding, Locator, Owner,
    Remediation, SCHEMA, Severity, State, Status, Suppression, SurfaceRef,
};
pub use judgement::{Run, judge};
pub use report::{REPORT_SCHEMA, Report, Verdict};
pub use schema::schema;
