//! Reading files that their owners may have prepared: never through a link, never a pipe or device, never
//! more than a bound.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

/// What stands at a path, without following a link. Nothing there is no error.
pub(crate) fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file where a directory was expected is as absent as nothing at all.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The bytes of a regular file, at most `most` of them.
pub(crate) fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    read_at_most(&open(path, OFlags::NOFOLLOW)?, most)
}

fn open(path: &Path, more: OFlags) -> io::Result<File> {
    // A pipe that a user put in place of a file would be waited for without end.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | more;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    regular(options.open(path)?)
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
}

/// Where the files of a machine stand: here, or copied below a directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    root: Option<PathBuf>,
}

impl Tree {
    /// Files that were copied from another machine, each at its own path below `root`.
    pub(crate) fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: Some(root.into()) }
    }

    /// A regular file, by its path on its own machine. Links are followed as they are there; in a copy none leads
    /// out of it (openat2(2), RESOLVE_IN_ROOT).
    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        let Some(root) = &self.root else { return open(path, OFlags::empty()) };
        let directory = File::open(root)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let below = path.strip_prefix("/").unwrap_or(path);
        regular(File::from(openat2(directory, below, flags, Mode::empty(), inside)?))
    }

    /// Its bytes, and whether there are more than `most`.
    pub(crate) fn read(&self, path: &Path, most: u64) -> io::Result<(Vec<u8>, bool)> {
        let mut bytes = Vec::new();
        self.open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        let is_cut = bytes.len() as u64 > most;
        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok((bytes, is_cut))
    }

    /// The names in a directory, at most `most`, sorted; `None` where there are more. An absent directory has none.
    pub(crate) fn names(&self, directory: &Path, most: usize) -> io::Result<Option<Vec<PathBuf>>> {
        let Some(root) = &self.root else { return list(directory, most) };
        let place = root.join(directory.strip_prefix("/").unwrap_or(directory));
        let inside = match (place.canonicalize(), root.canonicalize()) {
            (Err(error), _) if is_absent(&error) => return Ok(Some(Vec::new())),
            (place, root) => place?.starts_with(root?),
        };
        if !inside {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "a link leads out of the copy"));
        }
        let names = list(&place, most)?.unwrap_or_default();
        let back = |path: PathBuf| path.file_name().map(|name| directory.join(name));
        Ok(Some(names.into_iter().filter_map(back).collect()))
    }
}

fn read_at_most(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {most} bytes")));
    }
    Ok(bytes)
}

/// The names in a directory, sorted; an absent directory has none. `None` where there are more than `most`.
pub(crate) fn list(directory: &Path, most: usize) -> io::Result<Option<Vec<PathBuf>>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Some(Vec::new())),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry?.path());
        if paths.len() > most {
            return Ok(None);
        }
    }
    paths.sort();
    Ok(Some(paths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_another_machine_is_never_left() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("copy");
        std::fs::create_dir_all(root.join("etc/postfix")).unwrap();
        std::fs::write(directory.path().join("secret"), "secret").unwrap();
        std::fs::write(root.join("etc/postfix/virtual"), "a b\n").unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, root.join(name)).unwrap();
        link("../secret", "up");
        link("/etc/postfix/virtual", "absolute");
        link("/dev/zero", "device");
        link("..", "outside");
        let tree = Tree::below(&root);
        let read = |path: &str| tree.read(Path::new(path), 2);
        assert_eq!(read("/etc/postfix/virtual").unwrap(), (b"a ".to_vec(), true));
        assert_eq!(read("/absolute").unwrap().0, b"a ", "a link means what it means on its own machine");
        assert!(read("/up").is_err() && read("/../secret").is_err() && read("/device").is_err());
        assert!(tree.names(Path::new("/outside"), 9).is_err());
        assert_eq!(tree.names(Path::new("/etc/postfix"), 9).unwrap().unwrap().len(), 1);
        assert!(Tree::default().read(Path::new("/dev/zero"), 2).is_err());
    }

    #[test]
    fn only_regular_files_are_read_and_never_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "12345").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(read(&at("file"), 5).unwrap(), b"12345");
        assert!(read(&at("file"), 4).unwrap_err().to_string().contains("longer than 4"));
        assert!(read(&at("link"), 5).is_err());
        assert!(read(&at("pipe"), 5).unwrap_err().to_string().contains("regular"));
        assert!(read(directory.path(), 5).is_err());
        assert_eq!(list(directory.path(), 3).unwrap().unwrap().len(), 3);
        assert_eq!(list(directory.path(), 2).unwrap(), None);
        assert_eq!(list(&at("absent"), 2).unwrap(), Some(Vec::new()));
        assert!(look(&at("absent/below")).unwrap().is_none());
    }
}
