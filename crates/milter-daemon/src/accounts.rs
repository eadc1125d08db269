//! Users and groups by name. A mail host's own are local ones: /etc/passwd and /etc/group are all that is
//! asked.

use crate::GateError;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// A local user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The groups that /etc/group lists the user in.
    pub(crate) groups: Vec<u32>,
}

/// The user that a setting names; `None` for an empty name.
pub(crate) fn user(setting: &str, name: &str) -> Result<Option<User>, GateError> {
    if name.is_empty() {
        return Ok(None);
    }
    let found = user_in(&read(PASSWD)?, &read(GROUP)?, name);
    found.map(Some).ok_or_else(|| unknown(setting, name, PASSWD, "user"))
}

/// The group that a setting names; `None` for an empty name.
pub(crate) fn group(setting: &str, name: &str) -> Result<Option<u32>, GateError> {
    if name.is_empty() {
        return Ok(None);
    }
    let found = fields_of(&read(GROUP)?, name).and_then(|fields| fields.get(2)?.parse().ok());
    found.map(Some).ok_or_else(|| unknown(setting, name, GROUP, "group"))
}

fn read(path: &str) -> Result<String, GateError> {
    std::fs::read_to_string(path)
        .map_err(|error| GateError::Configuration(format!("cannot read {path}: {error}")))
}

fn unknown(setting: &str, name: &str, path: &str, kind: &str) -> GateError {
    GateError::Configuration(format!(
        "`{setting} = {name:?}`: {path} has no such {kind}; create it or correct the name"
    ))
}

fn user_in(passwd: &str, group: &str, name: &str) -> Option<User> {
    let fields = fields_of(passwd, name)?;
    let member =
        |line: &&str| line.split(':').nth(3).is_some_and(|all| all.split(',').any(|one| one == name));
    let groups = group.lines().filter(member).filter_map(|line| line.split(':').nth(2)?.parse().ok());
    Some(User {
        uid: fields.get(2)?.parse().ok()?,
        gid: fields.get(3)?.parse().ok()?,
        groups: groups.collect(),
    })
}

/// The line of a name, cut at its colons. Both files begin so: name, password, number.
fn fields_of<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_comes_with_the_groups_that_list_it() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nwarden:x:120:130::/nonexistent:/usr/sbin/nologin\n";
        let group = "root:x:0:\nwarden:x:130:\nmail:x:8:postfix,warden\nwardens:x:9:wardenx\n";
        let expected = User { uid: 120, gid: 130, groups: vec![8] };
        assert_eq!(user_in(passwd, group, "warden"), Some(expected));
        assert_eq!(user_in(passwd, group, "ward"), None);
    }

    #[test]
    fn a_name_that_nobody_has_is_shown_with_its_setting() {
        let error = group("socket_group", "no-such-group-here").unwrap_err().to_string();
        assert!(error.contains("socket_group") && error.contains("no-such-group-here"), "{error}");
        assert_eq!(group("socket_group", "").unwrap(), None);
        assert_eq!(group("socket_group", "root").unwrap(), Some(0));
    }
}
