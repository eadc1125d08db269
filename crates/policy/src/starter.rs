//! The first policy of a client: complete, commented, and without a lint.

use chrono::{DateTime, Days, Utc};
use mailwarden_address::Domain;

/// A policy to begin with. Names, people and providers in it are examples to be replaced.
pub fn starter(client: &str, domain: &Domain, today: DateTime<Utc>) -> String {
    let renewal = today.checked_add_days(Days::new(365)).unwrap_or(today);
    let name: String = client.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
    include_str!("starter.toml")
        .replace("{CLIENT}", &name)
        .replace("{DOMAIN}", domain.as_str())
        .replace("{TODAY}", &today.format("%Y-%m-%d").to_string())
        .replace("{RENEWAL}", &renewal.format("%Y-%m-%d").to_string())
}
