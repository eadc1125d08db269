//! The tarball that needs nothing of a machine, made of Debian's packages alone.
//!
//! A build of everything, the standard library included, takes seven minutes of two cores. With `MAILWARDEN_BUILD_TWICE=1`
//! it is built twice, at other places, and compared.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

use mailwarden_lab::packages;

const TARGET: &str = "x86_64-unknown-linux-musl";
const TWICE_VARIABLE: &str = "MAILWARDEN_BUILD_TWICE";
const PROGRAMS: [&str; 3] = ["mailwarden", "mailwarden-milter", "mailwarden-verify"];

fn text_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// The tarball of a build in a target directory of its own, by a toolchain at a place of its own.
fn build(room: &Path) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/static/toolchain");
    text_of(Command::new(script).arg(room.join("toolchain")));
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.args(["tarball", "--target", TARGET, "--toolchain"]).arg(room.join("toolchain"));
    xtask.arg("--output").arg(room).env("CARGO_TARGET_DIR", room.join("target"));
    let said = text_of(&mut xtask);
    // Gigabytes, of which nothing is asked any more.
    std::fs::remove_dir_all(room.join("target")).unwrap();
    PathBuf::from(said.lines().last().unwrap())
}

#[test]
#[ignore = "slow: compiles everything, the standard library too"]
fn static_programs_need_nothing_of_the_machine() {
    packages::ensure_slow_installed(&mut |_| {}).unwrap();
    let room = tempfile::tempdir().unwrap();
    let tarball = build(room.path());
    let unpacked = room.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let mut tar = Command::new("tar");
    text_of(tar.arg("-xf").arg(&tarball).arg("--strip-components=1").arg("-C").arg(&unpacked));
    for program in PROGRAMS {
        let file = unpacked.join("bin").join(program);
        let read = text_of(Command::new("readelf").args(["--wide", "-l", "-d"]).arg(&file));
        assert!(!read.contains("INTERP") && !read.contains("NEEDED"), "{program}: {read}");
        // Where nothing is but what the tarball holds.
        let there = format!("/bin/{program}");
        let version = text_of(Command::new("chroot").arg(&unpacked).args([&there, "--version"]));
        assert!(version.contains(env!("CARGO_PKG_VERSION")), "{program}: {version}");
    }
    if std::env::var_os(TWICE_VARIABLE).is_some() {
        let other_room = tempfile::tempdir().unwrap();
        let other = build(other_room.path());
        let alike = std::fs::read(&tarball).unwrap() == std::fs::read(&other).unwrap();
        assert!(alike, "{} and {} differ", tarball.display(), other.display());
    }
}
