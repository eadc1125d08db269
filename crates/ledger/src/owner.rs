//! Whose a new file is.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

const ROOT: u32 = 0;

/// A file that root made in somebody else's directory becomes theirs: the gate and the timers run as the owner of
/// the ledger's directory, and could not open what one command of root's had made first.
///
/// Where root may not give files away it stays root's, and whoever cannot open it says so.
pub(crate) fn give_to_owner_of(directory: &Path, file: &File) {
    let (Ok(made), Ok(around)) = (file.metadata(), fs::metadata(directory)) else { return };
    if made.uid() == ROOT && around.uid() != ROOT {
        let _ = fchown(file, Some(around.uid()), Some(around.gid()));
    }
}
