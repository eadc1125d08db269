//! The licences and bans of `deny.toml`, enforced without another tool.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use super::Fault;
use super::metadata::Package;

/// What we read of `deny.toml`; cargo-deny reads the rest.
#[derive(Deserialize)]
pub(super) struct DenyFile {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
}

impl DenyFile {
    pub(super) fn read(path: &Path) -> anyhow::Result<DenyFile> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        DenyFile::parse(&text).with_context(|| format!("reading {}", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<DenyFile> {
        Ok(toml::from_str(text)?)
    }

    /// Packages under terms that nobody allowed.
    pub(super) fn check_licences(&self, packages: &[Package]) -> anyhow::Result<Vec<Fault>> {
        Ok(packages.iter().filter_map(|package| self.licence_fault(package)).collect())
    }

    fn licence_fault(&self, package: &Package) -> Option<Fault> {
        let place = format!("{} {}", package.name, package.version);
        let Some(expression) = &package.license else {
            return Some(Fault::new(place, "names no licence; read its files and choose another package"));
        };
        match Expression::allowed(expression, &self.licenses.allow) {
            Some(true) => None,
            Some(false) => Some(Fault::new(
                place,
                format!("its licence, {expression}, is not allowed by deny.toml; choose another package"),
            )),
            None => Some(Fault::new(place, format!("{expression:?} is no licence expression"))),
        }
    }

    /// Packages of `Cargo.lock` that are banned, on whatever platform they would be built.
    pub(super) fn check_lock(&self, lock: &str) -> anyhow::Result<Vec<Fault>> {
        let lock: Lock = toml::from_str(lock).context("reading Cargo.lock")?;
        let banned = |locked: &Locked| self.bans.deny.iter().find(|ban| ban.name == locked.name);
        let fault = |locked: &Locked| {
            let place = format!("{} {}", locked.name, locked.version);
            Some(Fault::new(place, format!("banned: {}", banned(locked)?.reason)))
        };
        Ok(lock.package.iter().filter_map(fault).collect())
    }
}

/// An SPDX licence expression, read from left to right; `/` is the old way to write OR.
struct Expression<'e> {
    words: Vec<&'e str>,
    at: usize,
    allow: &'e [String],
}

impl<'e> Expression<'e> {
    /// Whether some choice that the expression offers is allowed; `None` when it cannot be read.
    fn allowed(text: &str, allow: &[String]) -> Option<bool> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let mut expression = Expression { words: spaced.split_whitespace().collect(), at: 0, allow };
        let answer = expression.any()?;
        (expression.at == expression.words.len()).then_some(answer)
    }

    fn any(&mut self) -> Option<bool> {
        let mut answer = self.all()?;
        while self.take("OR") {
            // Not `||`, which would leave the rest unread.
            answer |= self.all()?;
        }
        Some(answer)
    }

    fn all(&mut self) -> Option<bool> {
        let mut answer = self.one()?;
        while self.take("AND") {
            answer &= self.one()?;
        }
        Some(answer)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let answer = self.any()?;
            return self.take(")").then_some(answer);
        }
        let name = self.word().filter(|word| !["OR", "AND", "WITH", ")"].contains(word))?;
        if self.take("WITH") {
            let with_exception = format!("{name} WITH {}", self.word()?);
            return Some(self.allow.contains(&with_exception));
        }
        Some(self.allow.iter().any(|allowed| allowed == name))
    }

    fn word(&mut self) -> Option<&'e str>
    where
        'e: 'e,
    {
        let word = self.words.get(self.at).copied()?;
        self.at += 1;
        Some(word)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let there = self.words.get(self.at) == Some(&wanted);
        self.at += usize::from(there);
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC"]
        [bans]
        deny = [{ crate = "aws-lc-sys", reason = "needs cmake" }]
    "#;

    #[test]
    fn one_allowed_choice_is_enough_and_every_duty_counts() {
        let allow = DenyFile::parse(DENY).unwrap().licenses.allow;
        let allowed = |text: &str| Expression::allowed(text, &allow);
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
            "(MIT OR GPL-2.0) AND ISC",
        ] {
            assert_eq!(allowed(good), Some(true), "{good}");
        }
        for bad in [
            "AGPL-3.0-only",
            "MIT AND LGPL-3.0",
            "GPL-2.0 WITH Classpath-exception-2.0",
            "ISC AND (GPL-2.0 OR LGPL-2.1)",
            "MIT AND GPL-2.0 OR AGPL-3.0",
        ] {
            assert_eq!(allowed(bad), Some(false), "{bad}");
        }
        for unreadable in ["", "MIT OR", "(MIT", "MIT)", "MIT ISC", "OR MIT", "MIT WITH"] {
            assert_eq!(allowed(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn a_package_without_or_with_foreign_terms_is_a_fault() {
        let packages = [
            Package::licensed("fine", Some("MIT OR Apache-2.0")),
            Package::licensed("copyleft", Some("AGPL-3.0-only")),
            Package::licensed("silent", None),
        ];
        let faults = DenyFile::parse(DENY).unwrap().check_licences(&packages).unwrap();
        let places: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
        assert_eq!(places, ["copyleft 1.0.0", "silent 1.0.0"]);
    }

    #[test]
    fn a_banned_package_in_the_lock_file_is_a_fault_with_its_reason() {
        let lock = "[[package]]\nname = \"ring\"\nversion = \"0.17.0\"\n\
                    [[package]]\nname = \"aws-lc-sys\"\nversion = \"0.30.0\"\n";
        let faults = DenyFile::parse(DENY).unwrap().check_lock(lock).unwrap();
        assert_eq!(faults, [Fault::new("aws-lc-sys 0.30.0", "banned: needs cmake")]);
    }
}
