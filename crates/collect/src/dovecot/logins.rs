//! By which services a login gets in, and why not by the others.

use std::collections::{BTreeMap, BTreeSet};

use mailwarden_evidence::{CoverageState, Fact};

use super::conf::Conf;
use super::doveadm::{self, DovecotPlan, Fields};
use super::mailbox::cover;
use super::system::{self, Unusable};
use crate::disk;
use crate::harvest::Place;
use crate::{CollectError, Harvest};

/// Largest file that a database's settings name.
const MAX_DATABASE_CONF: usize = 1024 * 1024;
/// Databases that are programs of their own: what they answer may depend on anything they are told.
const PROGRAMS: [&str; 6] = ["pam", "lua", "checkpassword", "bsdauth", "imap", "oauth2"];
/// Sockets of the authentication process that Dovecot's own processes use.
const INTERNAL: [&str; 9] = [
    "auth-login",
    "auth-master",
    "auth-userdb",
    "auth-worker",
    "auth-legacy",
    "login/login",
    "token-login/tokenlogin",
    "login/proxy-notify",
    "auth-token",
];

/// What the password databases say of every login.
#[derive(Debug)]
pub(super) enum Logins {
    /// The services that are asked for, and which of them refuse a login, and how.
    Known { services: Vec<&'static str>, refused: BTreeMap<String, Refused>, gaps: Vec<String> },
    /// No password database answers lookups.
    Unknown(String),
}

/// Which services refuse a login, each with how.
pub(super) type Refused = BTreeMap<&'static str, String>;

impl Logins {
    /// Whether every service refuses a login.
    pub(super) fn locks(&self, mailbox: &str) -> bool {
        let Self::Known { services, refused, .. } = self else { return false };
        refused
            .get(mailbox)
            .is_some_and(|refused| services.iter().all(|service| refused.contains_key(service)))
    }

    /// What is observed of one login, and how far.
    pub(super) fn observe(&self, mailbox: &str, place: &Place<'_>, harvest: &mut Harvest) {
        match self {
            Self::Unknown(reason) => harvest.cover(place, CoverageState::Partial, reason.clone()),
            Self::Known { services, refused, gaps } => {
                let none = Refused::new();
                let refused = refused.get(mailbox).unwrap_or(&none);
                let (fact, excerpt) = fact(mailbox, services, refused);
                harvest.observe(place, fact, excerpt.as_bytes(), &excerpt);
                cover(harvest, place, gaps);
            }
        }
    }
}

fn fact(mailbox: &str, services: &[&'static str], refused: &Refused) -> (Fact, String) {
    let open: Vec<String> =
        services.iter().filter(|service| !refused.contains_key(**service)).map(ToString::to_string).collect();
    let login = mailbox.to_owned();
    if open.is_empty() {
        let how: BTreeSet<&str> = refused.values().map(String::as_str).collect();
        let how = how.into_iter().collect::<Vec<_>>().join(", ");
        let excerpt = format!("{mailbox} is locked by {how} and in the user database");
        return (Fact::LockedAccount { login, how }, excerpt);
    }
    let closed: Vec<String> = refused.iter().map(|(service, how)| format!("{service} ({how})")).collect();
    let excerpt = format!("{mailbox}: login by {}; refused by {}", open.join(", "), closed.join(", "));
    (Fact::LoginServices { login, open, refused: closed }, excerpt)
}

/// Asks the password databases. Where nothing of the configuration depends on the service, one answer holds for all.
pub(super) async fn ask(plan: &DovecotPlan, conf: &Conf, users: &BTreeMap<String, Fields>) -> Logins {
    let logins: Vec<String> = users.keys().cloned().collect();
    let services = services(conf);
    let mut refused: BTreeMap<String, Refused> = BTreeMap::new();
    let mut gaps = Vec::new();
    let is_asked_each = depends_on_service(conf);
    let asked: Vec<Option<&'static str>> =
        if is_asked_each { services.iter().copied().map(Some).collect() } else { vec![None] };
    for service in asked {
        let (found, more) = match refusals(plan, conf, &logins, service).await {
            Ok(found) => found,
            Err(reason) => return Logins::Unknown(reason),
        };
        gaps.extend(more);
        let here: &[&'static str] = service.as_ref().map_or(&services, std::slice::from_ref);
        for (login, how) in found {
            let entry = refused.entry(login).or_default();
            entry.extend(here.iter().map(|service| (*service, how.clone())));
        }
    }
    gaps.sort();
    gaps.dedup();
    Logins::Known { services, refused, gaps }
}

/// The logins that a service refuses, and what could not be read. Where no login at all can be looked up, the databases
/// do not answer such questions (PAM, LDAP binds), and nothing is known.
async fn refusals(
    plan: &DovecotPlan,
    conf: &Conf,
    logins: &[String],
    service: Option<&str>,
) -> Result<(BTreeMap<String, String>, Vec<String>), String> {
    let known =
        doveadm::passwords(plan, logins, service).await.map_err(|error: CollectError| error.to_string())?;
    if known.is_empty() && !logins.is_empty() && !is_closed(conf, service) {
        let by = service.map_or_else(String::new, |service| format!(" for {service}"));
        return Err(format!(
            "no password database answers `doveadm auth lookup`{by}, so locked accounts cannot be told"
        ));
    }
    let Unusable { logins: mut refused, gaps } = system::unusable_passwords(conf, service);
    for login in logins {
        let how = match known.get(login) {
            None => "deny".to_owned(),
            Some(fields) if fields.contains_key("nologin") => match fields.get("reason") {
                Some(reason) => format!("nologin ({reason})"),
                None => "nologin".to_owned(),
            },
            Some(_) => continue,
        };
        refused.insert(login.clone(), how);
    }
    Ok((refused, gaps))
}

/// Whether every ordinary password database is a file, so that finding nobody in them means that there is nobody.
fn is_closed(conf: &Conf, service: Option<&str>) -> bool {
    service.is_some() && system::reads_only_files(conf)
}

/// The services by which a client can log in, by the names that password databases are told. Postfix asks as `smtp`,
/// over a socket that is not one of Dovecot's own.
fn services(conf: &Conf) -> Vec<&'static str> {
    let enabled = enabled(conf);
    let mut found = Vec::new();
    for (protocol, service) in
        [("imap", "imap"), ("pop3", "pop3"), ("sieve", "sieve"), ("submission", "submission")]
    {
        if enabled.contains(protocol) {
            found.push(service);
        }
    }
    if conf.inside("service auth").iter().any(|head| is_for_mta(head)) {
        found.push("smtp");
    }
    if found.is_empty() { vec!["imap"] } else { found }
}

fn is_for_mta(head: &str) -> bool {
    match head.split_once(' ') {
        Some(("inet_listener", _)) => true,
        Some(("unix_listener", name)) => !INTERNAL.contains(&name.trim()),
        _ => false,
    }
}

/// A list at the top until 2.3, a block of switches since 2.4. Version 2.3 leaves its own default out.
fn enabled(conf: &Conf) -> BTreeSet<String> {
    if let Some(listed) = conf.top("protocols") {
        return listed.split_whitespace().map(str::to_owned).collect();
    }
    let switched: BTreeSet<String> = conf.switched_on("protocols").into_iter().map(str::to_owned).collect();
    if switched.is_empty() { ["imap", "pop3"].map(str::to_owned).into() } else { switched }
}

/// Whether a password or user database may answer one service otherwise than another.
fn depends_on_service(conf: &Conf) -> bool {
    let databases = conf.databases();
    databases.iter().any(|(protocol, name, value)| {
        let is_program = name.trim_start_matches("passdb_") == "driver" && PROGRAMS.contains(value);
        *protocol || is_program || names_service(value) || file_names_service(value)
    })
}

/// `%s`, `%{service}` and `%{protocol}`, with or without modifiers.
fn names_service(text: &str) -> bool {
    let spelled = ["%{service", "%{protocol"].iter().any(|name| text.contains(name));
    let modifier = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '.' || c == '-';
    spelled || text.split('%').skip(1).any(|rest| rest.trim_start_matches(modifier).starts_with('s'))
}

/// What a database keeps in a file of its own (SQL, LDAP). One that cannot be read may say anything.
fn file_names_service(value: &str) -> bool {
    let Some(path) = value.split_whitespace().rfind(|word| word.starts_with('/')) else { return false };
    let is_conf = [".conf", ".ext", ".lua"].iter().any(|end| path.ends_with(end));
    is_conf
        && disk::read(std::path::Path::new(path), MAX_DATABASE_CONF)
            .map_or(true, |bytes| names_service(&String::from_utf8_lossy(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_are_those_that_are_enabled() {
        let conf = |more: &str| Conf::parse(more);
        let postfix =
            "service auth {\n  unix_listener /var/spool/postfix/private/auth {\n    mode = 0660\n  }\n}\n";
        let own = "service auth {\n  unix_listener auth-userdb {\n    mode = 0600\n  }\n}\n";
        let listed = |more: &str| services(&conf(&format!("protocols = \" imap lmtp sieve\"\n{more}")));
        assert_eq!(listed(postfix), ["imap", "sieve", "smtp"]);
        assert_eq!(listed(own), ["imap", "sieve"]);
        assert_eq!(
            services(&conf("protocols {\n  imap = yes\n  pop3 = no\n  submission = yes\n}\n")),
            ["imap", "submission"]
        );
        assert_eq!(services(&conf("")), ["imap", "pop3"], "the default of 2.3");
    }

    #[test]
    fn a_configuration_that_cannot_tell_services_apart_is_asked_once() {
        let depends = |text: &str| depends_on_service(&Conf::parse(text));
        for alike in [
            "passdb {\n  args = /etc/users\n  driver = passwd-file\n}\n",
            "passdb {\n  args = username_format=%u /etc/users\n  driver = passwd-file\n}\n",
            "mail_location = maildir:/srv/%s\n",
        ] {
            assert!(!depends(alike), "{alike}");
        }
        for each in [
            "passdb {\n  args = /etc/deny.%s\n  driver = passwd-file\n}\n",
            "passdb {\n  args = /etc/deny.%Ls\n  driver = passwd-file\n}\n",
            "passdb {\n  args = session=yes\n  driver = pam\n}\n",
            "passdb {\n  args = /nonexistent/sql.conf.ext\n  driver = sql\n}\n",
            "passdb x {\n  passdb_sql_query = SELECT p FROM u WHERE s = '%{protocol}'\n}\n",
            "protocol imap {\n  passdb x {\n    driver = static\n  }\n}\n",
        ] {
            assert!(depends(each), "{each}");
        }
    }

    #[test]
    fn a_login_is_locked_only_where_every_service_refuses_it() {
        let how = |services: &[&'static str]| -> Refused {
            services.iter().map(|service| (*service, "nologin".to_owned())).collect()
        };
        let (all, _) = fact("b@e.test", &["imap", "sieve"], &how(&["imap", "sieve"]));
        assert_eq!(all, Fact::LockedAccount { login: "b@e.test".to_owned(), how: "nologin".to_owned() });
        let (one, _) = fact("b@e.test", &["imap", "sieve"], &how(&["imap"]));
        let Fact::LoginServices { open, refused, .. } = one else { panic!("{one:?}") };
        assert_eq!((open, refused), (vec!["sieve".to_owned()], vec!["imap (nologin)".to_owned()]));
    }
}
