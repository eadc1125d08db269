//! Reading files that their owners may have prepared: never through a link, never a pipe or device, never
//! more than a bound.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// What stands at a path, without following a link. Nothing there is no error.
pub(super) fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file where a directory was expected is as absent as nothing at all.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The bytes of a regular file, at most `most` of them.
pub(super) fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    // A pipe that a user put in place of a file would be waited for without end.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    read_at_most(&file, most)
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
pub(super) fn list(directory: &Path, most: usize) -> io::Result<Option<Vec<PathBuf>>> {
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
    fn only_regular_files_are_read_and_never_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "12345").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
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
