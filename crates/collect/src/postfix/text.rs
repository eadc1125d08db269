//! Reading and changing the text of one Postfix table, and building the table anew.

use std::fs;
use std::io;
use std::path::Path;

use super::PostfixPlan;
use crate::CollectError;
use crate::replace::replace;

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
        replace(&real, source, &real).map_err(|error| self.failed("writing", path, error))?;
        let Err(error) = self.build(table).await else { return Ok(()) };
        replace(&real, &before, &real).map_err(|error| self.failed("putting back", path, error))?;
        let _ = self.build(table).await;
        Err(error)
    }

    /// Texts that Postfix reads itself need no building.
    async fn build(&self, table: &str) -> Result<(), CollectError> {
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
