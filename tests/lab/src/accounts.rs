//! System users and groups, read from the files: Debian's packages create theirs there.

use std::path::Path;

use crate::error::{LabError, Result};
use crate::process::read_lossy;

/// The numeric id of a system user, in the tree that begins at `root`.
pub(crate) fn user_id(root: &Path, name: &str) -> Result<u32> {
    find(&root.join("etc/passwd"), name)
}

/// The numeric id of a system group, in the tree that begins at `root`.
pub(crate) fn group_id(root: &Path, name: &str) -> Result<u32> {
    find(&root.join("etc/group"), name)
}

fn find(file: &Path, name: &str) -> Result<u32> {
    id_in(&read_lossy(file), name).ok_or_else(|| {
        let place = format!("{name} in {}", file.display());
        LabError::configuration(place, "not there; install the Debian package")
    })
}

/// Both files read `name:x:ID:...`.
fn id_in(text: &str, name: &str) -> Option<u32> {
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))
        .and_then(|fields| fields.get(2)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_third_field_of_the_exact_name() {
        let text =
            "postfix-old:x:7:7::/:/bin/false\npostfix:x:104:112::/var/spool/postfix:/usr/sbin/nologin\n";
        assert_eq!(id_in(text, "postfix"), Some(104));
        assert_eq!(id_in(text, "post"), None);
    }
}
