//! An edit of one policy file: shown, checked, and put in place of the old text.

use std::fmt::Write as _;
use std::path::Path;

use mailwarden_collect::replace::replace;
use mailwarden_policy::{Policy, Source};
use mailwarden_settings::SettingsError;

use crate::failure::Failure;
use crate::output::shown;

/// One file as it is, and as it will be.
pub(crate) struct PolicyEdit {
    /// As it is.
    pub(crate) source: Source,
    /// As it will be.
    pub(crate) after: String,
}

impl PolicyEdit {
    /// The policy with the edit; it has to be one that the gate takes.
    pub(crate) fn check(&self, sources: &[Source]) -> Result<Policy, Failure> {
        let changed: Vec<Source> = sources
            .iter()
            .map(|source| match source.name == self.source.name {
                true => Source::new(source.name.clone(), self.after.clone().into_bytes()),
                false => source.clone(),
            })
            .collect();
        let compiled = Policy::compile(&changed).map(|(policy, _)| policy);
        compiled.map_err(|wrong| Failure::Settings(SettingsError::Invalid(wrong)))
    }

    /// The lines that change, as diff -u shows them.
    pub(crate) fn difference(&self) -> String {
        let before = String::from_utf8_lossy(&self.source.bytes);
        let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), self.after.lines().collect());
        let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let rest = old.len().min(new.len()) - same;
        let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
        let mut out = format!("--- {0}\n+++ {0}\n", self.source.name);
        let (gone, come) = (&old[same..old.len() - tail], &new[same..new.len() - tail]);
        // Where nothing goes or comes, diff names the line before.
        let (from, to) = (same + usize::from(!gone.is_empty()), same + usize::from(!come.is_empty()));
        let _ = writeln!(out, "@@ -{from},{} +{to},{} @@", gone.len(), come.len());
        for line in gone {
            let _ = writeln!(out, "-{}", shown(line));
        }
        for line in come {
            let _ = writeln!(out, "+{}", shown(line));
        }
        out
    }

    /// Who reads meanwhile finds the old text or the new one. Owner and mode stay.
    pub(crate) fn replace(&self) -> Result<(), Failure> {
        let path = Path::new(&*self.source.name);
        // A policy may be a link into a repository; what it names is changed.
        let written = path.canonicalize().and_then(|real| replace(&real, self.after.as_bytes(), &real));
        written.map_err(|error| {
            Failure::Ours(format!("cannot write {}: {error}; look whether it changed", path.display()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_shows_the_lines_that_change_and_no_others() {
        let edit = |before: &str, after: &str| PolicyEdit {
            source: Source::new("p.toml", before.as_bytes()),
            after: after.to_owned(),
        };
        let changed = edit("a\nstate = \"active\"\nb\n", "a\nstate = \"burned\"\nb\n").difference();
        let head = "--- p.toml\n+++ p.toml\n";
        assert_eq!(changed, format!("{head}@@ -2,1 +2,1 @@\n-state = \"active\"\n+state = \"burned\"\n"));
        assert_eq!(edit("a\nb\n", "a\nnew\nb\n").difference(), format!("{head}@@ -1,0 +2,1 @@\n+new\n"));
    }
}
