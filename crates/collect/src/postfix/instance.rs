//! The settings of one instance in Postfix's own words, and single look-ups in its tables. Nothing is changed.

use std::path::Path;

use super::{MAX_PARAMETER, PostfixPlan};
use crate::{CollectError, command};

/// What postconf prints about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `postconf -x`: every parameter with the value in force.
    pub effective: String,
    /// `postconf -n`: what main.cf sets.
    pub set: String,
    /// `postconf -M`: the services of master.cf.
    pub services: String,
    /// `postconf -Px`: what master.cf overrides per service.
    pub overrides: String,
}

/// Reads the settings of an instance.
///
/// # Errors
/// postconf cannot be run, or complains.
pub async fn settings(plan: &PostfixPlan) -> Result<Settings, CollectError> {
    let ask = async |option| {
        let printed = plan.ask("postconf", &[option], MAX_PARAMETER).await?;
        Ok::<_, CollectError>(String::from_utf8_lossy(&printed).into_owned())
    };
    Ok(Settings {
        effective: ask("-x").await?,
        set: ask("-n").await?,
        services: ask("-M").await?,
        overrides: ask("-Px").await?,
    })
}

/// The value of a key in a table, as Postfix itself finds it; `None` when there is none.
///
/// # Errors
/// postmap cannot be run, or complains.
pub async fn lookup(plan: &PostfixPlan, table: &str, key: &str) -> Result<Option<String>, CollectError> {
    let ran = command::run(&plan.argv("postmap", &["-q", key, table]), plan.timeout, MAX_PARAMETER).await?;
    match (ran.success, complains(&ran.stderr)) {
        (true, _) => Ok(Some(String::from_utf8_lossy(&ran.stdout).trim_end().to_owned())),
        (false, false) => Ok(None),
        (false, true) => {
            let doing = format!("looking up {key} in {table}");
            let next = "run postmap -q by hand and correct what it complains about";
            Err(CollectError::configuration(&plan.source(), &doing, ran.complaint(), next))
        }
    }
}

/// A key that is not there and a table that cannot be read both end with 1; only the latter says something. A
/// parameter that stands twice in main.cf is worth a warning on every run and concerns no table.
fn complains(stderr: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stderr);
    text.lines().any(|line| !line.trim().is_empty() && !line.contains("overriding earlier entry"))
}

/// Whether a file of patterns, as `relay_domains = /path` names one, holds a line.
///
/// # Errors
/// It cannot be read.
pub async fn has_line(plan: &PostfixPlan, path: &Path, line: &str) -> Result<bool, CollectError> {
    let read = tokio::fs::read(path).await.map_err(|error| {
        let doing = format!("reading {}", path.display());
        CollectError::configuration(&plan.source(), &doing, error, "run as a user who may read it")
    })?;
    Ok(String::from_utf8_lossy(&read).split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_stands_twice_is_no_complaint_about_a_table() {
        let twice =
            "postmap: warning: /etc/postfix/main.cf, line 28: overriding earlier entry: relay_domains=\n";
        assert!(!complains(twice.as_bytes()) && !complains(b""));
        assert!(complains(format!("{twice}postmap: fatal: open database /x.db: No such file\n").as_bytes()));
    }
}
