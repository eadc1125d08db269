//! `.forward` files of local users (local(8)), those for address extensions included.

use std::path::{Path, PathBuf};

use super::MAX_PARAMETER;
use super::look::{Look, Row};
use super::parameters::surface::FORWARD;
use super::source::LogicalLines;
use super::tables::split_list;
use crate::{command, disk};

/// Most users looked at.
const MAX_USERS: usize = 50_000;
/// Most files of one user's directory looked through.
const MAX_FILES: usize = 10_000;
/// Largest `.forward` that local(8) would care for, by far.
const MAX_FORWARD: u64 = 1024 * 1024;

/// A user of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    name: String,
    home: String,
}

/// Reads the forwarding files of every user, where Postfix delivers to users at all.
pub(super) async fn read(look: &mut Look<'_>) {
    let templates = split_list(look.config.value("forward_path"));
    if templates.is_empty() {
        return look.unsupported(FORWARD, "forward_path is empty");
    }
    if look.config.value("mydestination").trim().is_empty() {
        return look.unsupported(FORWARD, "mydestination is empty, so no mail is delivered to local users");
    }
    let users = match users(look).await {
        Ok(users) => users,
        Err(gap) => return look.gap(FORWARD, format!("the users of the machine ({gap})")),
    };
    if users.len() > MAX_USERS {
        look.gap(FORWARD, format!("users beyond the first {MAX_USERS}"));
    }
    for user in users.iter().take(MAX_USERS) {
        for template in &templates {
            files_of(look, user, template);
        }
    }
}

/// The users by `getent`, which also knows those of a directory service; of a copy by its password file.
async fn users(look: &Look<'_>) -> Result<Vec<User>, String> {
    let text = if look.plan.export.is_some() {
        let read = look.plan.files.read(Path::new("/etc/passwd"), MAX_PARAMETER as u64);
        read.map_err(|error| format!("/etc/passwd: {error}"))?.0
    } else {
        let ran = command::run(&["getent", "passwd"], look.plan.timeout, MAX_PARAMETER).await;
        ran.map_err(|error| error.to_string())?.stdout
    };
    Ok(users_in(&String::from_utf8_lossy(&text)))
}

fn users_in(passwd: &str) -> Vec<User> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let (name, home) = (fields.next()?, fields.nth(4)?);
        let is_real = !name.is_empty() && home.starts_with('/') && home.len() > 1;
        is_real.then(|| User { name: name.to_owned(), home: home.trim_end_matches('/').to_owned() })
    };
    passwd.lines().filter_map(user).collect()
}

/// The files of one user that a template can mean. What depends on the recipient's extension is looked for among the
/// names that are there.
fn files_of(look: &mut Look<'_>, user: &User, template: &str) {
    let mut path = template.to_owned();
    for (name, value) in [("home", &user.home), ("user", &user.name)] {
        for spelled in [format!("${{{name}}}"), format!("$({name})"), format!("${name}")] {
            path = path.replace(&spelled, value);
        }
    }
    let Some((fixed, _)) = path.split_once('$') else {
        return file(look, user, Path::new(&path));
    };
    let fixed = Path::new(fixed);
    let (Some(directory), Some(begin)) = (fixed.parent(), fixed.file_name()) else { return };
    let names = match look.plan.files.names(directory, MAX_FILES) {
        Ok(Some(names)) => names,
        Ok(None) => {
            return look.gap(FORWARD, format!("{}: more than {MAX_FILES} files", directory.display()));
        }
        Err(error) => return look.gap(FORWARD, format!("{}: {error}", directory.display())),
    };
    let begin = begin.to_string_lossy().into_owned();
    let is_extension = |path: &&PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.len() > begin.len() && name.starts_with(&begin)
    };
    for found in names.iter().filter(is_extension) {
        file(look, user, found);
    }
}

fn file(look: &mut Look<'_>, user: &User, path: &Path) {
    let (bytes, is_long) = match look.plan.files.read(path, MAX_FORWARD) {
        Ok(read) => read,
        Err(error) if disk::is_absent(&error) => return,
        // local(8) ignores what is no regular file, and so does mail.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            return look.note(format!("{}: {error}; Postfix passes it by", path.display()));
        }
        Err(error) => return look.gap(FORWARD, format!("{}: {error}", path.display())),
    };
    if is_long {
        look.gap(FORWARD, format!("{}: longer than {MAX_FORWARD} bytes", path.display()));
    }
    let table = path.display().to_string();
    for line in LogicalLines::of(&bytes) {
        look.row(&Row {
            surface: FORWARD,
            parameter: "forward_path",
            table: &table,
            key: &user.name,
            result: line.text.trim(),
            line: Some(line.number),
            pending: false,
            raw: line.text.as_bytes(),
            note: "",
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_those_with_a_home() {
        let text = "root:x:0:0:root:/root:/bin/bash\nnobody:x:1:1::/:/bin/false\nodd\nbob:x:2:2::/home/bob/:/bin/sh\n";
        let user = |name: &str, home: &str| User { name: name.to_owned(), home: home.to_owned() };
        assert_eq!(users_in(text), [user("root", "/root"), user("bob", "/home/bob")]);
    }
}
