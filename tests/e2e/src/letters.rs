//! What is sent.

/// A plain message from `header_from`.
#[must_use]
pub fn letter(header_from: &str, subject: &str) -> String {
    format!("From: {header_from}\nTo: somebody@example.test\nSubject: {subject}\n\nbody of {subject}\n")
}
