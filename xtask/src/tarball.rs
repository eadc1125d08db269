//! `cargo xtask tarball`: the programs with what they need, for machines without Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::Args;

use crate::bill;
use crate::cargo::{Profile, Programs, target_directory, workspace};
use crate::package::contents::{BILL, PACKAGES, Shipped, Source};
use crate::package::epoch;
use crate::package::stage::{compressed, succeed};
use crate::talk::say;

/// Arguments of `cargo xtask tarball`.
#[derive(Args)]
pub(crate) struct Options {
    /// Build for this target, e.g. x86_64-unknown-linux-musl; else for this machine, or what the environment names
    #[arg(long)]
    target: Option<String>,
    /// Build with a toolchain that deploy/static/toolchain made
    #[arg(long, value_name = "DIR", requires = "target")]
    toolchain: Option<PathBuf>,
    /// Where it goes [default: out/packages]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let output = options.output.clone().unwrap_or_else(|| workspace().join("out/packages"));
    fs::create_dir_all(&output).with_context(|| format!("making {}", output.display()))?;
    let programs = match (&options.target, Programs::named()) {
        (None, Some(programs)) => programs,
        (target, _) => {
            Programs::build_for(Profile::Release, target.as_deref(), options.toolchain.as_deref())?
        }
    };
    let target = options.target.as_deref().unwrap_or("linux");
    let name = format!("mailwarden-{}-{target}", env!("CARGO_PKG_VERSION"));
    let room = target_directory().join("packages").join(format!("tarball-{}", std::process::id()));
    let made = fill(&programs, &room.join(&name)).and_then(|()| pack(&room, &name, &output));
    let _ = fs::remove_dir_all(&room);
    say(&made?.display().to_string());
    Ok(())
}

/// Programs in `bin`, everything else where the project has it.
fn fill(programs: &Programs, root: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(root.join("bin"))?;
    let mut own = vec!["LICENSE-MIT", "LICENSE-APACHE", "docs/operating/elsewhere.md"];
    for Shipped { source, .. } in PACKAGES.iter().flat_map(|package| package.contents) {
        match source {
            Source::Program(name) => {
                let built = match *name {
                    crate::cargo::MAILWARDEN_MILTER => programs.milter.clone(),
                    name => programs.mailwarden.with_file_name(name),
                };
                let mut strip = Command::new("strip");
                succeed(strip.args(["--strip-all", "-o"]).arg(root.join("bin").join(name)).arg(built))?;
            }
            Source::File(path) | Source::Compressed(path) => own.push(path),
            Source::Generated(_) | Source::Directory => {}
        }
    }
    fs::write(root.join(BILL), bill::text()?)?;
    for path in own.into_iter().filter(|path| !path.starts_with("deploy/debian")) {
        let place = root.join(path);
        fs::create_dir_all(place.parent().context("a file has a directory")?)?;
        fs::copy(workspace().join(path), place).with_context(|| format!("copying {path}"))?;
    }
    Ok(())
}

/// In the order of names, owned by root, of one time: two archives of the same files are alike.
fn pack(room: &Path, name: &str, output: &Path) -> anyhow::Result<PathBuf> {
    let archive = room.join("archive.tar");
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"]);
    tar.arg(format!("--mtime=@{}", epoch()?)).arg("-C").arg(room).arg("-cf").arg(&archive).arg(name);
    succeed(&mut tar)?;
    let file = output.join(format!("{name}.tar.gz"));
    fs::write(&file, compressed(&fs::read(&archive)?)?)?;
    Ok(file)
}
