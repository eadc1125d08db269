//! Writing files in directories whose owners may be hostile to whoever writes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Read, write and execute; a copy is never set-uid.
const PERMISSIONS: u32 = 0o777;

/// Puts `bytes` in the place of `file`, new or not. Readers see the old file or the new one, never half of it; owner
/// and mode are those of `like`, which must be a regular file and no link.
///
/// Root does this in directories of users. Owner and mode are therefore set through the file that was opened, never
/// through its name: between two calls the name could become a link to anything.
///
/// # Errors
///
/// What the system answered; `file` is then as it was, unless its directory alone could not be flushed.
pub fn replace(file: &Path, bytes: &[u8], like: &Path) -> io::Result<()> {
    let known = fs::symlink_metadata(like)?;
    if !known.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let temporary = beside(file);
    let written = write(&temporary, bytes, &known).and_then(|()| fs::rename(&temporary, file));
    if written.is_err() {
        // The reason for the failure matters more than whether the rest could be cleared away.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn beside(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.mailwarden-new"))
}

fn write(path: &Path, bytes: &[u8], like: &fs::Metadata) -> io::Result<()> {
    // What an earlier run left, or somebody put there, is neither followed nor taken over.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    fchown(&file, Some(like.uid()), Some(like.gid()))?;
    file.set_permissions(fs::Permissions::from_mode(like.mode() & PERMISSIONS))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_text_changes_and_the_mode_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script.sieve");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&file, b"new", &file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_the_place_of_what_is_written_beside_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, elsewhere) = (folder.path().join("script.sieve"), folder.path().join("elsewhere"));
        fs::write(&file, "old").unwrap();
        fs::write(&elsewhere, "untouched").unwrap();
        symlink(&elsewhere, beside(&file)).unwrap();
        replace(&file, b"new", &file).unwrap();
        assert_eq!(fs::read(&elsewhere).unwrap(), b"untouched");
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    #[test]
    fn a_link_lends_neither_owner_nor_mode() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("script.sieve"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        symlink("/usr/bin/su", &link).unwrap();
        replace(&file, b"new", &link).unwrap_err();
        assert_eq!(fs::read(&file).unwrap(), b"old");
    }
}
