//! `cargo xtask package`: Debian packages of the command and of the gate, made by dpkg-deb alone.

pub(crate) mod contents;
mod control;
mod elf;
mod pages;
pub(crate) mod stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;

use self::contents::{PACKAGES, Source};
use self::stage::{Material, succeed};
use crate::bill;
use crate::cargo::{Profile, Programs, target_directory, workspace};
use crate::talk::{note, say};

/// Says when files were made, in seconds since 1970 (reproducible-builds.org).
const EPOCH: &str = "SOURCE_DATE_EPOCH";
/// As Debian compresses packages.
const THOROUGH: &[&str] = &["-Zxz"];
const QUICK: &[&str] = &["-Zgzip", "-z1"];
const CHANGELOG: &str = "deploy/debian/changelog";

/// Arguments of `cargo xtask package`.
#[derive(Args)]
pub(crate) struct Options {
    /// Where the packages go [default: out/packages]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The packaging's own version, behind the program's
    #[arg(long, default_value = "1")]
    revision: String,
    /// Programs without optimisations, hardly compressed: for tests
    #[arg(long)]
    quick: bool,
}

/// Packages the programs that the environment names, else builds them with all optimisations.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let output = options.output.clone().unwrap_or_else(|| workspace().join("out/packages"));
    fs::create_dir_all(&output).with_context(|| format!("making {}", output.display()))?;
    let programs = match Programs::named() {
        Some(programs) => programs,
        None if options.quick => Programs::build(Profile::Dev)?,
        None => Programs::build(Profile::Release)?,
    };
    let room = target_directory().join("packages").join(std::process::id().to_string());
    let made = make(&programs, &room, options, &output);
    // The staging directory is as big as the programs.
    let _ = fs::remove_dir_all(&room);
    for file in made? {
        say(&file.display().to_string());
    }
    Ok(())
}

fn make(programs: &Programs, room: &Path, options: &Options, output: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let material = Material {
        programs: room.join("programs"),
        generated: room.join("generated"),
        pages: room.join("pages"),
        version: format!("{}-{}", env!("CARGO_PKG_VERSION"), options.revision),
        architecture: architecture()?,
        epoch: epoch()?,
        compression: if options.quick { QUICK } else { THOROUGH },
    };
    note("programs without their symbols");
    strip(programs, &material.programs)?;
    note("manual pages and completions");
    pages::generate(&programs.mailwarden, &material.generated, &material.pages)?;
    note("bill of materials");
    fs::write(material.generated.join(contents::BILL), bill::text()?)?;
    PACKAGES
        .iter()
        .map(|package| stage::archive(package, &material, &room.join(package.name), output))
        .collect()
}

fn architecture() -> anyhow::Result<String> {
    let output = Command::new("dpkg").arg("--print-architecture").output().context("starting dpkg")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// All three programs lie in one folder.
fn strip(programs: &Programs, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let contents = PACKAGES.iter().flat_map(|package| package.contents);
    for shipped in contents {
        let Source::Program(name) = shipped.source else { continue };
        let built = match name {
            crate::cargo::MAILWARDEN_MILTER => programs.milter.clone(),
            name => programs.mailwarden.with_file_name(name),
        };
        if !built.is_file() {
            bail!("{} is not built", built.display());
        }
        let mut strip = Command::new("strip");
        succeed(
            strip.args(["--strip-all", "--remove-section=.comment", "-o"]).arg(folder.join(name)).arg(built),
        )?;
    }
    Ok(())
}

/// When what is made was made: the environment's word, else the date of the newest entry of the changelog.
pub(crate) fn epoch() -> anyhow::Result<String> {
    if let Ok(epoch) = std::env::var(EPOCH) {
        return Ok(epoch);
    }
    let changelog = fs::read_to_string(workspace().join(CHANGELOG))?;
    let date = newest_date(&changelog).with_context(|| format!("{CHANGELOG} has no dated entry"))?;
    let output =
        Command::new("date").args(["--utc", "--date", date, "+%s"]).output().context("starting date")?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?.trim().to_owned()),
        false => bail!("{CHANGELOG}: {date:?} is no date"),
    }
}

fn newest_date(changelog: &str) -> Option<&str> {
    changelog.lines().find_map(|line| Some(line.strip_prefix(" -- ")?.split_once(">  ")?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_changelog_says_when_and_which_version() {
        let changelog = fs::read_to_string(workspace().join(CHANGELOG)).unwrap();
        assert!(changelog.starts_with(&format!("mailwarden ({}-", env!("CARGO_PKG_VERSION"))), "{changelog}");
        assert!(newest_date(&changelog).is_some_and(|date| date.ends_with("+0000")));
    }
}
