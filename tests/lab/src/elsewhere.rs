//! Servers of other versions, in directory trees of their own: a Debian 13 with its Postfix, and an unpacked
//! Sendmail. They are made once and kept in [`CACHE`]; nothing of them is installed on the machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::{LabError, Result, make_directory, write_file};
use crate::packages::{POSTFIX_PRESET, ensure_slow_installed, require_root};
use crate::process::{exists, run_ok};

/// Where they are kept.
pub const CACHE: &str = "/var/cache/mailwarden-lab";
/// A whole small Debian over a slow line.
const BUILD_LIMIT: Duration = Duration::from_secs(900);
/// What Debian's mirrors answer to when the machine's own sources name none.
const MIRROR: &str = "http://deb.debian.org/debian";
/// Written last: a tree without it was never finished.
const READY: &str = ".mailwarden-lab-ready";

/// A Debian 13 with Postfix 3.10; made when it is not there yet.
pub fn debian_13(progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    make("debian-13", progress, |root, progress| {
        progress("unpacking Debian 13");
        let mut debootstrap = Command::new("/usr/sbin/debootstrap");
        debootstrap
            .args(["--variant=minbase", "--include=ca-certificates", "trixie"])
            .arg(root)
            .arg(mirror());
        run_ok(&mut debootstrap, b"", BUILD_LIMIT)?;
        for file in ["etc/resolv.conf", "etc/hosts"] {
            let from = Path::new("/").join(file);
            fs::copy(&from, root.join(file)).map_err(LabError::io("copying", &from))?;
        }
        write_file(&root.join("usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n")?;
        run_ok(
            Command::new("/bin/chmod").arg("755").arg(root.join("usr/sbin/policy-rc.d")),
            b"",
            BUILD_LIMIT,
        )?;
        progress("installing Postfix in it");
        let within = |script: &str, input: &[u8]| {
            let mut command = inside(root, Path::new("/"), "/bin/sh");
            run_ok(command.args(["-c", script]), input, BUILD_LIMIT).map(drop)
        };
        within("debconf-set-selections", POSTFIX_PRESET.as_bytes())?;
        within(
            "export DEBIAN_FRONTEND=noninteractive; \
             apt-get -q install --yes --no-install-recommends postfix postfix-pcre",
            b"",
        )
    })
}

/// Sendmail 8.17, unpacked: installing it would remove Postfix.
pub fn sendmail(progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    make("sendmail", progress, |root, progress| {
        progress("unpacking Sendmail");
        make_directory(root)?;
        let mut download = Command::new("/usr/bin/apt-get");
        download.args(["-q", "download", "sendmail-bin", "sendmail-base", "sendmail-cf"]).current_dir(root);
        run_ok(&mut download, b"", BUILD_LIMIT)?;
        let unpack = "for package in *.deb; do dpkg -x \"$package\" . || exit 1; done; rm -f -- *.deb";
        run_ok(Command::new("/bin/sh").args(["-c", unpack]).current_dir(root), b"", BUILD_LIMIT).map(drop)
    })
}

/// Makes a tree beside its place and renames it when it is whole; test programs that start together make one.
fn make(
    name: &str,
    progress: &mut dyn FnMut(&str),
    build: impl FnOnce(&Path, &mut dyn FnMut(&str)) -> Result<()>,
) -> Result<PathBuf> {
    let root = Path::new(CACHE).join(name);
    if exists(&root.join(READY)) {
        return Ok(root);
    }
    require_root("making a directory tree for other servers")?;
    ensure_slow_installed(progress)?;
    fs::create_dir_all(CACHE).map_err(LabError::io("making", Path::new(CACHE)))?;
    let turnstile = Path::new(CACHE).join(format!("{name}.lock"));
    let turn = File::create(&turnstile).map_err(LabError::io("opening", &turnstile))?;
    turn.lock().map_err(LabError::io("locking", &turnstile))?;
    if exists(&root.join(READY)) {
        return Ok(root);
    }
    let unfinished = Path::new(CACHE).join(format!("{name}.making"));
    if exists(&unfinished) {
        fs::remove_dir_all(&unfinished).map_err(LabError::io("removing", &unfinished))?;
    }
    build(&unfinished, progress)?;
    write_file(&unfinished.join(READY), "")?;
    fs::rename(&unfinished, &root).map_err(LabError::io("putting in place", &root))?;
    Ok(root)
}

/// The first mirror that the machine's own sources name for Debian itself.
fn mirror() -> String {
    let files =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|file| file.path());
    let texts = files
        .chain([PathBuf::from("/etc/apt/sources.list")])
        .filter_map(|file| fs::read_to_string(file).ok());
    let of = |text: String| {
        text.split_ascii_whitespace().find(|word| word.ends_with("/debian")).map(str::to_owned)
    };
    texts.filter_map(of).next().unwrap_or_else(|| MIRROR.to_owned())
}

/// A program of such a tree, with `shared` at the same place inside as outside. The mounts belong to the
/// process and end with it.
pub(crate) fn inside(root: &Path, shared: &Path, program: &str) -> Command {
    const SCRIPT: &str = r#"
root=$1 shared=$2; shift 2
if [ "$shared" != / ]; then mkdir -p "$root$shared" && mount --bind "$shared" "$root$shared" || exit 1; fi
mount --rbind /dev "$root/dev" && mount -t proc proc "$root/proc" && exec chroot "$root" "$@"
"#;
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", SCRIPT, "inside"]);
    command.arg(root).arg(shared).arg(program);
    command
}
