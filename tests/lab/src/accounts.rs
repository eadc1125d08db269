//! System users and groups, read from the files: Debian's packages create theirs there.

use std::path::Path;

use crate::error::{LabError, Result};
use crate::process::read_lossy;

/// The numeric id of a system user.
pub(crate) fn user_id(name: &str) -> Result<u32> {
    find("/etc/passwd", name)
}

/// The numeric id of a system group.
pub(crate) fn group_id(name: &str) -> Result<u32> {
    find("/etc/group", name)
}

fn find(file: &str, name: &str) -> Result<u32> {
    id_in(&read_lossy(Path::new(file)), name).ok_or_else(|| {
        LabError::configuration(format!("{name} in {file}"), "not there; install the Debian package")
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
