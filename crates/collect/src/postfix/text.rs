//! Reading and changing the text of one Postfix table, and building the table anew.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::PostfixPlan;
use crate::CollectError;

/// Largest text that is changed.
const MAX_TEXT: u64 = 64 * 1024 * 1024;

/// Changes texts of one instance on this host.
#[derive(Debug, Clone)]
pub struct TextStore {
    plan: PostfixPlan,
}

impl TextStore {
    /// # Errors
    /// A copy of an instance is nothing to change.
    pub fn new(plan: &PostfixPlan) -> Result<Self, CollectError> {
        match &plan.export {
            None => Ok(Self { plan: plan.clone() }),
            Some(copy) => {
                let cause = format!("{} is a copy", copy.display());
                let next = "change the original";
                Err(CollectError::configuration(&plan.source(), "changing a table", cause, next))
            }
        }
    }

    /// The text; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is too long to be changed.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, CollectError> {
        match self.plan.files.read(Path::new(path), MAX_TEXT) {
            Ok((bytes, false)) => Ok(Some(bytes)),
            Ok((_, true)) => Err(self.failed("reading", path, format!("it is longer than {MAX_TEXT} bytes"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("reading", path, error)),
        }
    }

    /// Puts a text in the place of another, with the same owner and mode, and builds the table: mail follows one or
    /// the other, never half of one.
    ///
    /// # Errors
    /// It cannot be written, or the table cannot be built; then the old text is put back.
    pub async fn put(&self, path: &str, table: &str, source: &[u8]) -> Result<(), CollectError> {
        let real = fs::canonicalize(path).map_err(|error| self.failed("finding", path, error))?;
        let before = fs::read(&real).map_err(|error| self.failed("reading", path, error))?;
        replace(&real, source).map_err(|error| self.failed("writing", path, error))?;
        let Err(error) = self.build(table).await else { return Ok(()) };
        replace(&real, &before).map_err(|error| self.failed("putting back", path, error))?;
        let _ = self.build(table).await;
        Err(error)
    }

    /// Texts that Postfix reads itself need no building.
    async fn build(&self, table: &str) -> Result<(), CollectError> {
        if table.starts_with("texthash:") {
            return Ok(());
        }
        let (program, table) = match table.strip_prefix("aliases ") {
            Some(table) => ("postalias", table),
            None => ("postmap", table),
        };
        if table.starts_with("texthash:") {
            return Ok(());
        }
        self.plan.ask(program, &[table], 64 * 1024).await.map(drop)
    }

    fn failed(&self, doing: &str, path: &str, cause: impl ToString) -> CollectError {
        let doing = format!("{doing} {path}");
        CollectError::configuration(&self.plan.source(), &doing, cause, "run as a user who may change it")
    }
}

/// Written beside its name, flushed, then renamed.
fn replace(path: &Path, source: &[u8]) -> io::Result<()> {
    let old = fs::metadata(path)?;
    let mut name = path.as_os_str().to_owned();
    name.push(".mailwarden-new");
    let temporary = PathBuf::from(name);
    let written = write(&temporary, &old, source).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    path.parent().map_or(Ok(()), |directory| fs::File::open(directory)?.sync_all())
}

fn write(path: &Path, like: &fs::Metadata, source: &[u8]) -> io::Result<()> {
    // Nobody's file is followed or taken over, and nobody reads it before it has its owner and mode.
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(source)?;
    fchown(&file, Some(like.uid()), Some(like.gid()))?;
    file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o7777))?;
    file.sync_all()
}
