//! `cargo xtask bill`: every crate that is linked into the programs, as CycloneDX 1.5.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::check_house::metadata::{self, House, Package};
use crate::package::epoch;
use crate::talk::say;

/// The crates that hold the programs.
const PROGRAMS: [&str; 3] = ["mailwarden", "mailwarden-milter-daemon", "mailwarden-proof"];

/// Arguments of `cargo xtask bill`.
#[derive(Args)]
pub(crate) struct Options {
    /// Where it goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let text = text()?;
    match &options.output {
        Some(file) => fs::write(file, text).with_context(|| format!("writing {}", file.display())),
        None => {
            say(text.trim_end());
            Ok(())
        }
    }
}

/// The bill as it is written into a file.
pub(crate) fn text() -> anyhow::Result<String> {
    let made: i64 = epoch()?.parse().context("SOURCE_DATE_EPOCH is a number of seconds")?;
    Ok(serde_json::to_string_pretty(&bill(&metadata::read()?, &utc(made)))? + "\n")
}

fn bill(house: &House, made: &str) -> Value {
    let linked: BTreeSet<&str> = PROGRAMS
        .into_iter()
        .chain(
            house
                .crates
                .iter()
                .filter(|own| PROGRAMS.contains(&own.name.as_str()))
                .flat_map(|own| own.reaches.iter().map(String::as_str)),
        )
        .collect();
    let mut packages: Vec<&Package> =
        house.packages.iter().filter(|package| linked.contains(package.name.as_str())).collect();
    packages.sort_by_key(|package| (&package.name, &package.version));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": made,
            "component": {
                "type": "application",
                "bom-ref": "mailwarden",
                "name": "mailwarden",
                "version": env!("CARGO_PKG_VERSION"),
                "licenses": [{"expression": env!("CARGO_PKG_LICENSE")}],
            },
        },
        "components": packages.into_iter().map(component).collect::<Vec<_>>(),
    })
}

fn component(package: &Package) -> Value {
    let url = format!("pkg:cargo/{}@{}", package.name, package.version.replace('+', "%2B"));
    let mut component = json!({
        "type": "library",
        "bom-ref": url,
        "name": package.name,
        "version": package.version,
        "purl": url,
    });
    if let Some(licence) = &package.license {
        // Older crates write a slash where SPDX wants OR.
        component["licenses"] = json!([{"expression": licence.replace('/', " OR ").replace("  ", " ")}]);
    }
    component
}

/// RFC 3339, from the days of the proleptic Gregorian calendar.
fn utc(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years begin in March here, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_795_262_400), "2026-11-21T12:00:00Z");
    }

    #[test]
    fn every_linked_crate_is_in_the_bill_once_and_none_of_the_tests() {
        let bill = bill(&metadata::read().unwrap(), "2026-01-01T00:00:00Z");
        let components = bill["components"].as_array().unwrap();
        let names: Vec<&str> = components.iter().map(|one| one["name"].as_str().unwrap()).collect();
        for linked in ["mailwarden", "mailwarden-gate", "sieve-analysis", "rustls", "sqlx", "tokio"] {
            assert!(names.contains(&linked), "{linked}");
        }
        assert!(!names.contains(&"mailwarden-lab") && !names.contains(&"proptest"));
        let references: BTreeSet<_> = components.iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
        assert_eq!(references.len(), components.len());
        assert!(components.iter().all(|one| one["licenses"][0]["expression"].is_string()));
    }
}
