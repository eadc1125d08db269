//! Who acts: the person behind the Unix user, or whoever the policy lets them act for.

use std::process::Command;

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_policy::{Person, Policy};

use crate::failure::Failure;
use crate::output::shown;

/// Who acts, and as which login.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    /// The person, by the first of their addresses.
    pub(crate) person: Address,
    /// The Unix user.
    pub(crate) login: String,
}

impl Actor {
    /// As the ledger names them.
    pub(crate) fn recorded(&self) -> String {
        format!("{} (unix user {})", self.person, self.login)
    }
}

/// The person who acts.
pub(crate) fn actor(policy: &Policy, named: Option<&str>, now: DateTime<Utc>) -> Result<Actor, Failure> {
    let login = login()?;
    let person = match named {
        Some(named) => person_named(policy, named, &login)?,
        None => policy.unix_user(&login).ok_or_else(|| {
            Failure::Usage(format!(
                "the Unix user `{0}` is nobody in the policy, so nobody could tell who did this\n  \
                 add `unix_user = \"{0}\"` to their [[person]], or say who acts with --as ADDRESS",
                shown(&login)
            ))
        })?,
    };
    if let Some(left) = person.left.filter(|left| *left <= now) {
        return Err(Failure::Usage(format!("{} left on {}", shown(&person.name), left.format("%Y-%m-%d"))));
    }
    let address = person.addresses.first().cloned();
    let person = address.ok_or_else(|| Failure::Usage(format!("{} has no address", shown(&person.name))))?;
    Ok(Actor { person, login })
}

fn person_named<'p>(policy: &'p Policy, named: &str, login: &str) -> Result<&'p Person, Failure> {
    let address = address(named)?;
    let person = policy.person(&address).ok_or_else(|| {
        Failure::Usage(format!("nobody in the policy is {address}\n  add a [[person]] with this address"))
    })?;
    let allowed = person.unix_user.as_deref() == Some(login)
        || policy.clients().get(person.client).is_some_and(|client| client.raci.may_act_as(login));
    if allowed {
        return Ok(person);
    }
    Err(Failure::Usage(format!(
        "the Unix user `{0}` may not act as {address}\n  \
         {1} can run this under their own login; or add `{0}` to `act_as` under [raci]",
        shown(login),
        shown(&person.name)
    )))
}

/// Who acts where nobody is named: whoever runs this, by number.
pub(crate) fn by_uid() -> String {
    format!("mailwarden uid={}", rustix::process::getuid().as_raw())
}

/// An address from the command line.
pub(crate) fn address(text: &str) -> Result<Address, Failure> {
    text.parse().map_err(|error| Failure::Usage(format!("`{}` is not an address: {error}", shown(text))))
}

/// The name of the user. The superuser is whoever became it through sudo(8): nobody else can set that
/// variable for uid 0.
fn login() -> Result<String, Failure> {
    if rustix::process::getuid().is_root()
        && let Ok(user) = std::env::var("SUDO_USER")
        && !user.is_empty()
    {
        return Ok(user);
    }
    // Names come from wherever this machine takes them (files, LDAP): id(1) asks them all.
    let output = Command::new("id").arg("-un").output();
    let output = output.map_err(|error| Failure::Ours(format!("cannot run id(1): {error}")))?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || name.is_empty() {
        let uid = rustix::process::getuid().as_raw();
        return Err(Failure::Usage(format!("uid {uid} has no name on this machine")));
    }
    Ok(name)
}
