//! Whom Postfix asks about logins. Where it is not Dovecot, what Dovecot's password databases say of an account proves
//! nothing about who may send.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mailwarden_evidence::Fact;

use super::look::Look;
use super::parameters::surface::SASL;
use crate::command;
use crate::disk::is_absent;

/// Where Cyrus SASL looks for the configuration of a program when Postfix names no place.
const PLACES: [&str; 5] =
    ["/etc/postfix/sasl", "/etc/sasl2", "/usr/lib/sasl2", "/usr/lib64/sasl2", "/var/lib/sasl2"];
/// Debian's word for what saslauthd itself asks.
const SASLAUTHD: &str = "/etc/default/saslauthd";
/// Cyrus SASL's own database.
const SASLDB: &str = "/etc/sasldb2";
/// Most bytes of a configuration, and of what a program prints.
const MAX_CONF: u64 = 1024 * 1024;
const MAX_LISTING: usize = 64 * 1024 * 1024;
/// Most users of one database.
const MAX_USERS: usize = 100_000;

/// One service of Postfix that takes logins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Taker {
    kind: String,
    path: String,
}

/// Looks at every service that takes logins.
pub(super) async fn read(look: &mut Look<'_>) {
    let takers = takers(look);
    if takers.is_empty() {
        return look.unsupported(SASL, "no service of this Postfix takes logins");
    }
    for (taker, services) in takers {
        let services = services.join(", ");
        match taker.kind.as_str() {
            "dovecot" => dovecot(look, &taker.path, &services),
            "cyrus" => cyrus(look, &taker.path, &services).await,
            other => {
                let gap = format!("{services}: smtpd_sasl_type = {other} is not known here");
                look.gap(SASL, gap);
            }
        }
    }
}

/// Each way of asking once, with the services that use it; main.cf itself is one where no service says otherwise.
fn takers(look: &Look<'_>) -> Vec<(Taker, Vec<String>)> {
    let names: BTreeSet<&str> =
        look.config.overrides.iter().map(|(service, _, _)| service.as_str()).collect();
    let mut found: Vec<(Taker, Vec<String>)> = Vec::new();
    let main = look.config.value("smtpd_sasl_auth_enable") == "yes";
    let everywhere = main.then_some("");
    for service in names.into_iter().chain(everywhere) {
        let value = |name: &str| -> String {
            let own = look.config.overrides.iter().find(|(of, known, _)| of == service && known == name);
            own.map_or_else(|| look.config.value(name).to_owned(), |(_, _, value)| value.clone())
        };
        let says_so = service.is_empty()
            || look
                .config
                .overrides
                .iter()
                .any(|(of, name, _)| of == service && name.starts_with("smtpd_sasl_"));
        if !says_so || value("smtpd_sasl_auth_enable") != "yes" {
            continue;
        }
        let or = |value: String, default: &str| if value.is_empty() { default.to_owned() } else { value };
        let taker = Taker {
            kind: or(value("smtpd_sasl_type"), "cyrus"),
            path: or(value("smtpd_sasl_path"), "smtpd"),
        };
        let shown = if service.is_empty() { "main.cf" } else { service };
        match found.iter_mut().find(|(known, _)| *known == taker) {
            Some((_, services)) => services.push(shown.to_owned()),
            None => found.push((taker, vec![shown.to_owned()])),
        }
    }
    found
}

/// A Dovecot on this host answers as the lookups say; another one may answer anything.
fn dovecot(look: &mut Look<'_>, path: &str, services: &str) {
    let Some(host) = path.strip_prefix("inet:") else { return };
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    if !["127.0.0.1", "localhost", "[::1]", ""].contains(&host) {
        let gap = format!(
            "{services}: logins are asked of the Dovecot at {path}, which nobody looked at from here"
        );
        look.gap(SASL, gap);
    }
}

async fn cyrus(look: &mut Look<'_>, path: &str, services: &str) {
    let Some((file, conf)) = configuration(look, path) else {
        observe(look, services, "its configuration was not found");
        return look.gap(SASL, format!("{path}.conf of Cyrus SASL{}", proves_nothing(services)));
    };
    let value = |name: &str| {
        conf.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let method = if value("pwcheck_method").is_empty() { "auxprop" } else { value("pwcheck_method") };
    let plugin = if value("auxprop_plugin").is_empty() { "sasldb" } else { value("auxprop_plugin") };
    let database = if value("sasldb_path").is_empty() { SASLDB } else { value("sasldb_path") };
    let asked = match method {
        "auxprop" => format!("auxprop {plugin}"),
        "saslauthd" => format!("saslauthd{}", mechanisms(look)),
        other => other.to_owned(),
    };
    observe(look, services, &format!("{asked}, by {}", file.display()));
    if method == "auxprop" && plugin.split([' ', ',']).all(|word| word == "sasldb") {
        return list(look, Path::new(database), services).await;
    }
    look.gap(SASL, format!("{asked}, which lists nobody{}", proves_nothing(services)));
}

fn proves_nothing(services: &str) -> String {
    format!(
        " ({services}: smtpd_sasl_type = cyrus, so lookups at Dovecot prove nothing about who may send there)"
    )
}

fn observe(look: &mut Look<'_>, services: &str, asked: &str) {
    let excerpt = format!("{services}: smtpd_sasl_type = cyrus, {asked}");
    let fact = Fact::Setting { name: "smtpd_sasl_type".to_owned(), value: format!("cyrus ({asked})") };
    look.observe(SASL, fact, excerpt.as_bytes(), &excerpt);
}

/// The first `NAME.conf` that is there, and its `name: value` lines.
fn configuration(look: &mut Look<'_>, name: &str) -> Option<(PathBuf, Vec<(String, String)>)> {
    // Debian's Postfix looks beside main.cf, whatever cyrus_sasl_config_path says.
    let beside = look.plan.export.is_none().then(|| look.plan.config_dir.join("sasl"));
    let named = look.config.value("cyrus_sasl_config_path").to_owned();
    let named = named.split(':').filter(|place| !place.is_empty()).map(PathBuf::from);
    for place in beside.into_iter().chain(named).chain(PLACES.iter().map(PathBuf::from)) {
        let file = place.join(format!("{name}.conf"));
        match look.plan.files.read(&file, MAX_CONF) {
            Ok((bytes, _)) => return Some((file, assignments(&String::from_utf8_lossy(&bytes)))),
            Err(error) if is_absent(&error) => {}
            Err(error) => look.gap(SASL, format!("{} ({error})", file.display())),
        }
    }
    None
}

fn assignments(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect()
}

/// What saslauthd asks in its turn, where Debian's file says so.
fn mechanisms(look: &Look<'_>) -> String {
    let Ok((bytes, _)) = look.plan.files.read(Path::new(SASLAUTHD), MAX_CONF) else { return String::new() };
    let text = String::from_utf8_lossy(&bytes);
    let named = text.lines().find_map(|line| line.trim().strip_prefix("MECHANISMS="));
    named.map_or_else(String::new, |value| format!(" -a {}", value.trim().trim_matches('"')))
}

/// Everybody in Cyrus SASL's own database. A service of Postfix that is chrooted opens the one below its queue.
async fn list(look: &mut Look<'_>, database: &Path, services: &str) {
    if look.plan.export.is_some() {
        let gap = format!("{} cannot be listed from a copy{}", database.display(), proves_nothing(services));
        return look.gap(SASL, gap);
    }
    let below = database.strip_prefix("/").unwrap_or(database);
    let chrooted = Path::new(look.config.value("queue_directory")).join(below);
    let there: Vec<PathBuf> =
        [database.to_owned(), chrooted].into_iter().filter(|path| path.exists()).collect();
    if there.is_empty() {
        return look.gap(SASL, format!("{} is not there{}", database.display(), proves_nothing(services)));
    }
    for path in there {
        let argv = ["sasldblistusers2".as_ref(), "-f".as_ref(), path.as_os_str()];
        match command::run(&argv, look.plan.timeout, MAX_LISTING).await {
            Ok(ran) if ran.success => users(look, &path, &String::from_utf8_lossy(&ran.stdout)),
            Ok(ran) => look.gap(SASL, format!("{} ({})", path.display(), ran.complaint())),
            Err(error) => look.gap(SASL, format!("{} ({error}){}", path.display(), proves_nothing(services))),
        }
    }
}

/// `user@realm: property`, one line for each property of a user.
fn users(look: &mut Look<'_>, database: &Path, listing: &str) {
    let names: BTreeSet<&str> = listing.lines().filter_map(|line| Some(line.rsplit_once(": ")?.0)).collect();
    if names.len() > MAX_USERS {
        look.gap(SASL, format!("{}: users beyond the first {MAX_USERS}", database.display()));
    }
    for login in names.into_iter().take(MAX_USERS) {
        let database = database.display().to_string();
        let excerpt = format!("{login} in {database}");
        let fact = Fact::SaslUser { login: login.to_owned(), database };
        look.observe(SASL, fact, excerpt.as_bytes(), &excerpt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_read_without_their_comments() {
        let conf = assignments(
            "# pwcheck_method: x\npwcheck_method: auxprop\n  SASLDB_PATH : /s\nmech_list: plain login\n",
        );
        assert_eq!(conf.len(), 3);
        assert_eq!(conf[1], ("sasldb_path".to_owned(), "/s".to_owned()));
    }
}
