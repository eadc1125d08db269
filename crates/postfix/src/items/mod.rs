//! What is compared, by subject.

pub(crate) mod safety;
pub(crate) mod scopes;
pub(crate) mod services;
pub(crate) mod socket;

/// A line for a person's shell that sets parameters of main.cf.
fn set(parameter: &str, value: &str) -> String {
    format!("postconf -e '{parameter} = {value}'")
}

/// The same for one service of master.cf.
fn set_for(service: &str, parameter: &str, value: &str) -> String {
    format!("postconf -P '{service}/{parameter}={value}'")
}

/// How an empty value is shown.
fn shown(value: &str) -> &str {
    if value.is_empty() { "(empty)" } else { value }
}
