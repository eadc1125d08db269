//! A package's files in a directory of their own, and the archive that dpkg makes of them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::contents::{MANUAL_PAGES, Package, Source};
use super::control::{Built, conffiles, control};
use super::elf::newest_glibc;
use crate::cargo::workspace;

const MAINTAINER_SCRIPTS: [&str; 4] = ["preinst", "postinst", "prerm", "postrm"];
const KIB: u64 = 1024;

/// What a build of the packages begins with.
pub(super) struct Material {
    /// Stripped programs by their names.
    pub(super) programs: PathBuf,
    /// Files that the programs wrote.
    pub(super) generated: PathBuf,
    /// The manual pages of the commands.
    pub(super) pages: PathBuf,
    pub(super) version: String,
    pub(super) architecture: String,
    /// Seconds since 1970 that files made now bear.
    pub(super) epoch: String,
    /// How dpkg-deb compresses, as options of it.
    pub(super) compression: &'static [&'static str],
}

/// Makes one archive in `output` and names it.
pub(super) fn archive(
    package: &Package,
    material: &Material,
    root: &Path,
    output: &Path,
) -> anyhow::Result<PathBuf> {
    for shipped in package.contents {
        place(shipped.source, &root.join(shipped.path), material)
            .with_context(|| format!("placing {}", shipped.path))?;
    }
    if package.name == "mailwarden" {
        copy_pages(&material.pages, &root.join(MANUAL_PAGES))?;
    }
    write_control(package, material, root)?;
    let file = output.join(format!("{}_{}_{}.deb", package.name, material.version, material.architecture));
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.args(["--root-owner-group", "--threads-max=1"])
        .args(material.compression)
        .arg("--build")
        .arg(root)
        .arg(&file);
    succeed(dpkg.env("SOURCE_DATE_EPOCH", &material.epoch).stdout(Stdio::null()))?;
    Ok(file)
}

fn place(source: Source, place: &Path, material: &Material) -> anyhow::Result<()> {
    if source == Source::Directory {
        return make_directory(place);
    }
    make_directory(place.parent().context("a file has a directory")?)?;
    let (bytes, mode) = match source {
        Source::Program(name) => (fs::read(material.programs.join(name))?, 0o755),
        Source::Generated(name) => (fs::read(material.generated.join(name))?, 0o644),
        Source::Compressed(path) => (compressed(&fs::read(workspace().join(path))?)?, 0o644),
        Source::File(path) => (fs::read(workspace().join(path))?, 0o644),
        Source::Directory => return Ok(()),
    };
    write(place, &bytes, mode)
}

fn write(place: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    fs::write(place, bytes)?;
    Ok(fs::set_permissions(place, fs::Permissions::from_mode(mode))?)
}

/// Directories of a package are readable to all, whatever the umask of who builds it.
fn make_directory(directory: &Path) -> anyhow::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        make_directory(parent)?;
    }
    fs::create_dir(directory)?;
    Ok(fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?)
}

fn copy_pages(from: &Path, to: &Path) -> anyhow::Result<()> {
    make_directory(to)?;
    for page in fs::read_dir(from)? {
        let page = page?;
        write(&to.join(page.file_name()), &fs::read(page.path())?, 0o644)?;
    }
    Ok(())
}

fn write_control(package: &Package, material: &Material, root: &Path) -> anyhow::Result<()> {
    let glibc = package.contents.iter().filter_map(|shipped| match shipped.source {
        Source::Program(name) => fs::read(material.programs.join(name)).ok(),
        _ => None,
    });
    let built = Built {
        version: &material.version,
        architecture: &material.architecture,
        installed_kib: bytes_below(root)?.div_ceil(KIB),
        glibc: glibc.filter_map(|program| newest_glibc(&program)).max(),
    };
    let sums = sums_below(root)?;
    let folder = root.join("DEBIAN");
    make_directory(&folder)?;
    write(&folder.join("control"), control(package, &built).as_bytes(), 0o644)?;
    write(&folder.join("md5sums"), sums.as_bytes(), 0o644)?;
    if let Some(conffiles) = conffiles(package) {
        write(&folder.join("conffiles"), conffiles.as_bytes(), 0o644)?;
    }
    for script in MAINTAINER_SCRIPTS {
        let own = workspace().join(format!("deploy/debian/{}.{script}", package.name));
        if own.is_file() {
            write(&folder.join(script), &fs::read(own)?, 0o755)?;
        }
    }
    Ok(())
}

/// All files below a directory, in the order of their names.
fn files_below(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut entries =
        fs::read_dir(root)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        match path.is_dir() {
            true => files.extend(files_below(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

fn bytes_below(root: &Path) -> anyhow::Result<u64> {
    files_below(root)?.iter().try_fold(0, |sum, file| Ok(sum + fs::metadata(file)?.len()))
}

/// The file `md5sums`, as `dpkg --verify` and debsums read it.
fn sums_below(root: &Path) -> anyhow::Result<String> {
    let files = files_below(root)?;
    let named = files.iter().filter_map(|file| file.strip_prefix(root).ok());
    let output = Command::new("md5sum").args(named).current_dir(root).output().context("starting md5sum")?;
    if !output.status.success() {
        bail!("md5sum: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// As `gzip -9n` writes it: no name and no time, so that two builds are alike.
pub(crate) fn compressed(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut gzip = Command::new("gzip")
        .args(["-9", "-n", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting gzip")?;
    let mut input = gzip.stdin.take().context("gzip has an input")?;
    // In a thread of its own: neither side may wait for the other with a full pipe.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(bytes));
        gzip.wait_with_output()
    })?;
    if !output.status.success() {
        bail!("gzip ended with {}", output.status);
    }
    Ok(output.stdout)
}

/// Runs a command that has to succeed.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("starting {name}"))?;
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_twice_is_the_same_and_comes_back() {
        let text = "word ".repeat(100_000);
        let once = compressed(text.as_bytes()).unwrap();
        assert_eq!(once, compressed(text.as_bytes()).unwrap());
        assert!(once.len() < text.len() / 100);
    }
}
