//! What concerns all mailboxes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mailwarden_evidence::{CoverageState, Fact, SYSTEM, SieveOddity};

use super::conf::{Block, Conf};
use super::doveadm::{self, DovecotPlan, Fields};
use super::places::{self, PlaceKind};
use super::{acl, binary, scripts};
use crate::Harvest;
use crate::disk;
use crate::harvest::{Place, named};

/// Settings that decide what a user, or a thief with a user's password, could do.
const TELLING: [&str; 22] = [
    "acl",
    "acl_anyone",
    "acl_defaults_from_inbox",
    "acl_globals_only",
    "acl_ignore_namespace",
    "acl_shared_dict",
    "acl_user",
    "auth_cache_size",
    "auth_cache_ttl",
    "auth_master_user_separator",
    "auth_ssl_username_from_cert",
    "auth_username_translation",
    "imap_acl_allow_anyone",
    "imap_metadata",
    "imap_urlauth_host",
    "imapsieve_url",
    "mail_attribute_dict",
    "mail_replica",
    "sieve_extensions",
    "sieve_global_extensions",
    "sieve_max_redirects",
    "sieve_plugins",
];
/// Longest password file.
const MAX_PASSWORD_FILE: usize = 64 * 1024 * 1024;
/// Most master users.
const MAX_MASTERS: usize = 10_000;
/// Most sessions.
const MAX_SESSIONS: usize = 200_000;
/// What `%s`, the service, may stand for in the name of a password file.
const SERVICES: [&str; 8] = ["imap", "pop3", "sieve", "managesieve", "smtp", "submission", "lmtp", "doveadm"];

/// One collector of one surface: what it saw, and what it could not see.
struct Surface<'a> {
    place: Place<'a>,
    gaps: Vec<String>,
}

impl<'a> Surface<'a> {
    fn new(surface: &'a str, source: &'a str) -> Self {
        Self { place: Place { mailbox: SYSTEM, surface, source }, gaps: Vec::new() }
    }

    fn cover(self, harvest: &mut Harvest) {
        if self.gaps.is_empty() {
            return harvest.cover(&self.place, CoverageState::Collected, "");
        }
        let reason = format!("not or not wholly read: {}", named(&self.gaps));
        harvest.cover(&self.place, CoverageState::Partial, reason);
    }
}

/// The settings that tell what could be done.
pub(super) fn posture(conf: &Conf, source: &str, harvest: &mut Harvest) {
    let surface = Surface::new("dovecot.posture", source);
    for name in TELLING {
        let value = conf.plugin(name).or_else(|| conf.anywhere(name));
        if let Some(value) = value {
            let excerpt = format!("{name} = {value}");
            let fact = Fact::Setting { name: name.to_owned(), value: value.to_owned() };
            harvest.observe(&surface.place, fact, excerpt.as_bytes(), &excerpt);
        }
    }
    surface.cover(harvest);
}

/// Master users, and the password databases by their names.
pub(super) fn credentials(conf: &Conf, plan: &DovecotPlan, source: &str, harvest: &mut Harvest) {
    let mut surface = Surface::new("dovecot.credentials", source);
    let mut logins = BTreeSet::new();
    for (at, block) in conf.blocks("passdb").iter().enumerate() {
        let passdb = Passdb::of(block);
        let value = match repeated(&passdb, &mut logins) {
            0 => passdb.label(),
            twice => format!("{} ({twice} logins of an earlier database)", passdb.label()),
        };
        let excerpt = format!("passdb {}: {value}", at + 1);
        let name = format!("passdb {}", at + 1);
        let fact = Fact::Setting { name, value };
        harvest.observe(&surface.place, fact, excerpt.as_bytes(), &excerpt);
        if passdb.is_master {
            masters(&passdb, plan, &mut surface, harvest);
        }
    }
    surface.cover(harvest);
}

/// A password database as far as these rounds care.
struct Passdb {
    driver: String,
    is_master: bool,
    is_deny: bool,
    file: Option<String>,
    /// The services it is asked for.
    services: Vec<&'static str>,
    /// Whether these are all there are.
    is_for_all: bool,
    /// Whoever names a login is let in.
    asks_nothing: bool,
}

impl Passdb {
    fn of(block: &Block<'_>) -> Self {
        let get = |name: &str| block.get(name).or_else(|| block.get(&format!("passdb_{name}")));
        let driver = get("driver").unwrap_or(block.name).to_owned();
        let by_args =
            get("args").and_then(|args| args.split_whitespace().rfind(|word| word.starts_with('/')));
        let file = by_args
            .or_else(|| block.get("passwd_file_path"))
            .or_else(|| block.get("passdb_passwd_file_path"));
        Self {
            is_master: get("master") == Some("yes"),
            is_deny: get("deny") == Some("yes"),
            asks_nothing: asks_nothing(block),
            services: SERVICES.into_iter().filter(|service| is_asked_for(block.protocol, service)).collect(),
            is_for_all: block.protocol.is_empty(),
            file: file.map(str::to_owned).filter(|_| driver == "passwd-file"),
            driver,
        }
    }

    /// Whether it says who somebody is when they log in, rather than who may not or who may be anybody.
    fn is_ordinary(&self) -> bool {
        !self.is_master && !self.is_deny
    }

    fn label(&self) -> String {
        let role = if self.is_master {
            " (master users)"
        } else if self.is_deny {
            " (deny)"
        } else if self.asks_nothing {
            " (nopassword)"
        } else {
            ""
        };
        let scope =
            if self.is_for_all { String::new() } else { format!(" for {}", self.services.join(", ")) };
        format!("{} {}{role}{scope}", self.driver, self.file.as_deref().unwrap_or_default()).trim().to_owned()
    }

    /// The files it may read: one, or one for each service, or the one of a service.
    fn files(&self, service: Option<&str>) -> Option<Vec<PathBuf>> {
        let files = self.files_by_service()?;
        let is_asked = |services: &[&str]| service.is_none_or(|service| services.contains(&service));
        Some(files.into_iter().filter(|(services, _)| is_asked(services)).map(|(_, file)| file).collect())
    }

    /// The files it may read, each with the services whose logins it decides.
    fn files_by_service(&self) -> Option<Vec<(Vec<&'static str>, PathBuf)>> {
        let file = self.file.as_ref()?;
        let by_service = ["%s", "%{protocol}", "%{service}"].into_iter().find(|name| file.contains(name));
        let files: Vec<(Vec<&'static str>, String)> = match by_service {
            Some(name) => {
                self.services.iter().map(|service| (vec![*service], file.replace(name, service))).collect()
            }
            None => vec![(self.services.clone(), file.clone())],
        };
        let known = files.iter().all(|(_, file)| !file.contains('%'));
        known.then(|| files.into_iter().map(|(services, file)| (services, file.into())).collect())
    }
}

/// `protocol imap pop3` holds for both, `protocol !smtp` for all others.
fn is_asked_for(protocols: &str, service: &str) -> bool {
    let mut words = protocols.split_whitespace().peekable();
    words.peek().is_none()
        || words.any(|word| word.strip_prefix('!').map_or(word == service, |other| other != service))
}

/// A field that lets in without a password: among the arguments or the fields of version 2.3, a setting of its own in
/// the block of fields since 2.4.
fn asks_nothing(block: &Block<'_>) -> bool {
    let is_field = |text: &str| text.split([' ', ',']).any(is_switched_on);
    let listed = ["args", "default_fields", "override_fields"].iter().filter_map(|name| block.get(name));
    let own = block.get("nopassword").is_some_and(|value| value != "no");
    listed.into_iter().any(is_field) || own
}

fn is_switched_on(field: &str) -> bool {
    match field.split_once('=') {
        None => field == "nopassword",
        Some((name, value)) => name == "nopassword" && !["n", "no", "0", "false"].contains(&value),
    }
}

/// How many logins of a password file stand in one before it as well, so that each has two passwords; none where that
/// cannot be seen.
fn repeated(passdb: &Passdb, known: &mut BTreeSet<String>) -> usize {
    let files = passdb.files(None).filter(|_| passdb.is_ordinary()).unwrap_or_default();
    let texts = files.iter().filter_map(|file| disk::read(file, MAX_PASSWORD_FILE).ok());
    let mine: BTreeSet<String> =
        texts.flat_map(|bytes| rows(&bytes).map(|(login, _)| login).collect::<Vec<_>>()).collect();
    let twice = mine.iter().filter(|login| known.contains(*login)).count();
    known.extend(mine);
    twice
}

fn masters(passdb: &Passdb, plan: &DovecotPlan, surface: &mut Surface<'_>, harvest: &mut Harvest) {
    let Some(files) = passdb.files_by_service() else {
        return surface
            .gaps
            .push(format!("master users of {}: not a file that can be read here", passdb.label()));
    };
    let mut found: BTreeMap<String, (Vec<String>, BTreeSet<&str>)> = BTreeMap::new();
    for (services, file) in files {
        match disk::read(&file, MAX_PASSWORD_FILE) {
            Ok(bytes) => {
                for (login, _) in rows(&bytes).take(MAX_MASTERS) {
                    let (files, by) = found.entry(login).or_default();
                    files.push(file.display().to_string());
                    by.extend(&services);
                }
            }
            // A file for a service that nobody uses need not exist.
            Err(error) if disk::is_absent(&error) => {}
            Err(error) => surface.gaps.push(format!("{} ({error})", file.display())),
        }
    }
    for (login, (files, by)) in found {
        let database = files.join(", ");
        let all = by.len() == SERVICES.len();
        let services: Vec<String> = by.into_iter().filter(|_| !all).map(str::to_owned).collect();
        let scope = if all { String::new() } else { format!(" for {}", services.join(", ")) };
        let excerpt = format!("master user {login}{scope} in {database}");
        let ours = login == plan.sweeper;
        let fact = Fact::MasterUser { login, database, ours, services };
        harvest.observe(&surface.place, fact, excerpt.as_bytes(), &excerpt);
    }
}

/// Login and password field of each row of a passwd-file.
fn rows(bytes: &[u8]) -> impl Iterator<Item = (String, String)> + '_ {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = String::from_utf8_lossy(line);
        let mut fields = line.trim().splitn(3, ':');
        let login = fields.next().filter(|login| !login.is_empty() && !login.starts_with('#'))?.to_owned();
        Some((login, fields.next().unwrap_or_default().to_owned()))
    })
}

/// Logins that the password files lock, and the password files that could not be read.
#[derive(Debug, Default)]
pub(super) struct Unusable {
    /// How each is locked.
    pub(super) logins: BTreeMap<String, String>,
    /// What could not be read.
    pub(super) gaps: Vec<String>,
}

/// Logins whose password no input can match (the field is `!` or `*`, after its scheme) in any of the files that hold
/// them: a second file with a real password lets them in. What another kind of database holds in that field, only it
/// knows.
pub(super) fn unusable_passwords(conf: &Conf, service: Option<&str>) -> Unusable {
    let (mut found, mut usable) = (Unusable::default(), BTreeSet::new());
    for block in conf.blocks("passdb") {
        let passdb = Passdb::of(&block);
        if passdb.is_master || passdb.is_deny {
            continue;
        }
        if passdb.file.is_some() && passdb.files(service).is_none() {
            found.gaps.push(format!("{}: a file for each user or domain", passdb.label()));
        }
        for file in passdb.files(service).unwrap_or_default() {
            match disk::read(&file, MAX_PASSWORD_FILE) {
                Ok(bytes) => {
                    for (login, password) in rows(&bytes) {
                        if is_unusable(&password) {
                            found.logins.insert(login, "a password that nothing matches".to_owned());
                        } else {
                            usable.insert(login);
                        }
                    }
                }
                // A file for a service that nobody uses need not exist.
                Err(error) if disk::is_absent(&error) => {}
                Err(error) => found.gaps.push(format!("{} ({error})", file.display())),
            }
        }
    }
    found.logins.retain(|login, _| !usable.contains(login));
    found
}

/// Whether every password database that lets people in is a file.
pub(super) fn reads_only_files(conf: &Conf) -> bool {
    let blocks = conf.blocks("passdb");
    let mut databases = blocks.iter().map(Passdb::of).filter(|passdb| !passdb.is_master && !passdb.is_deny);
    databases.all(|passdb| passdb.file.is_some())
}

fn is_unusable(password: &str) -> bool {
    let hash = match password.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((scheme, _)) if scheme.starts_with("PLAIN") => return false,
        Some((_, hash)) => hash,
        None => password,
    };
    hash.starts_with('!') || hash.starts_with('*')
}

/// Who is connected now. It is asked before the rounds begin, so that they do not count themselves.
pub(super) async fn sessions(plan: &DovecotPlan, source: &str, harvest: &mut Harvest) {
    let surface = Surface::new("dovecot.sessions", source);
    let output = match plan.ask("doveadm", ["-f", "tab", "who"]).await {
        Ok(output) => output,
        Err(error) => return harvest.cover(&surface.place, error.coverage_state(), error.to_string()),
    };
    let Some(sessions) = doveadm::sessions(&output) else {
        return harvest.cover(&surface.place, CoverageState::Error, "`doveadm -f tab who` gave no table");
    };
    observe_sessions(sessions, &surface.place, harvest);
}

pub(super) fn observe_sessions(sessions: Vec<doveadm::Session>, place: &Place<'_>, harvest: &mut Harvest) {
    for session in sessions.into_iter().take(MAX_SESSIONS) {
        let addresses = session.ips.trim_matches(['(', ')']).split_whitespace().map(str::to_owned).collect();
        let excerpt = format!("{} on {} from {}", session.username, session.service, session.ips);
        let connections = session.connections.parse().unwrap_or(1);
        let fact =
            Fact::Session { login: session.username, service: session.service, addresses, connections };
        harvest.observe(place, fact, excerpt.as_bytes(), &excerpt);
    }
    harvest.cover(place, CoverageState::Collected, "");
}

/// Logins that open the same home.
pub(super) fn aliasing(
    users: &BTreeMap<String, Fields>,
    missing: &[String],
    accounts_are_listed: bool,
    source: &str,
    harvest: &mut Harvest,
) {
    let mut surface = Surface::new("account.aliasing", source);
    let mut homes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (login, fields) in users {
        match fields.get("home") {
            Some(home) => homes.entry(home.trim_end_matches('/')).or_default().push(login.clone()),
            None => surface.gaps.push(format!("{login} (no home)")),
        }
    }
    if !accounts_are_listed {
        surface.gaps.push("logins beside the named ones (the accounts were not listed)".to_owned());
    }
    surface.gaps.extend(missing.iter().map(|login| format!("{login} (not in the user database)")));
    for (home, logins) in homes.into_iter().filter(|(_, logins)| logins.len() > 1) {
        let excerpt = format!("{home}: {}", named(&logins));
        let fact = Fact::SharedHome { home: home.to_owned(), logins };
        harvest.observe(&surface.place, fact, excerpt.as_bytes(), &excerpt);
    }
    surface.cover(harvest);
}

/// The administrator's own scripts, and the list of grants for the whole server.
pub(super) async fn global_scripts(
    conf: &Conf,
    plan: &DovecotPlan,
    some_login: Option<&str>,
    source: &str,
    harvest: &mut Harvest,
) {
    let mut surface = Surface::new("sieve.global", source);
    for place in places::global(conf) {
        let path = match &place.kind {
            // What depends on the user is looked at with each mailbox.
            PlaceKind::Files(path) if path.contains('%') || path.starts_with('~') => continue,
            PlaceKind::Files(path) => PathBuf::from(path),
            PlaceKind::Dictionary { .. } => continue,
            PlaceKind::Other(what) => {
                surface.gaps.push(format!("{} = {what} (this kind of store is not read)", place.setting));
                continue;
            }
        };
        let walk = scripts::walk_global(&path, place.runs, &surface.place);
        harvest.absorb(walk.odd);
        surface.gaps.extend(walk.odd_gaps);
        for (compiled, script) in walk.binaries {
            let different = binary::difference(plan, some_login, &compiled, &script).await;
            report_difference(harvest, &surface.place, &compiled, different, &mut surface.gaps);
        }
    }
    surface.cover(harvest);
}

pub(super) fn report_difference(
    harvest: &mut Harvest,
    place: &Place<'_>,
    compiled: &Path,
    different: Result<Option<String>, String>,
    gaps: &mut Vec<String>,
) {
    match different {
        Ok(None) => {}
        Ok(Some(detail)) => {
            scripts::observe_odd(harvest, place, compiled, SieveOddity::BinaryDiffers, &detail);
        }
        Err(cause) => gaps.push(format!("{} ({cause})", compiled.display())),
    }
}

/// The list of grants for the whole server, if one is configured. What cannot be read of it is a gap of every
/// mailbox.
pub(super) fn global_acl(conf: &Conf, source: &str, harvest: &mut Harvest) -> Vec<String> {
    let of_driver = conf.plugin("acl").and_then(|value| value.strip_prefix("vfile:"));
    let path = of_driver.and_then(|rest| rest.split(':').next()).or_else(|| conf.plugin("acl_global_path"));
    let Some(path) = path.filter(|path| path.starts_with('/')) else { return Vec::new() };
    let place = Place { mailbox: SYSTEM, surface: "imap.acl", source };
    match disk::read(Path::new(path), MAX_PASSWORD_FILE) {
        Ok(bytes) => acl::read_global(&bytes, harvest, &place),
        Err(error) => vec![format!("{path} ({error})")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_nothing_matches_is_told_from_one_that_begins_alike() {
        for unusable in ["!", "*", "!!", "{CRYPT}!$6$x", "!{SHA512}x"] {
            assert!(is_unusable(unusable), "{unusable}");
        }
        for usable in ["{PLAIN}!secret", "$6$x", "{SHA512-CRYPT}$6$", "", "{PLAIN}*"] {
            assert!(!is_unusable(usable), "{usable}");
        }
    }

    #[test]
    fn password_databases_of_both_versions_name_their_file() {
        let conf = Conf::parse(
            "passdb {\n  args = scheme=PLAIN /etc/users.%s\n  driver = passwd-file\n  master = yes\n}\n\
             passdb passwd-file {\n  passdb_passwd_file_path = /x\n  passdb_deny = yes\n}\n\
             passdb {\n  args = /etc/sql.conf\n  driver = sql\n}\n",
        );
        let all: Vec<Passdb> = conf.blocks("passdb").iter().map(Passdb::of).collect();
        assert!(all[0].is_master && all[1].is_deny);
        for open in [
            "passdb {\n  args = nopassword=y allow_nets=127.0.0.1\n  driver = static\n}\n",
            "passdb {\n  args = /u\n  driver = passwd-file\n  override_fields = nopassword\n}\n",
            "passdb static {\n  fields {\n    nopassword = yes\n  }\n}\n",
        ] {
            assert!(
                Passdb::of(&Conf::parse(open).blocks("passdb")[0]).label().ends_with("(nopassword)"),
                "{open}"
            );
        }
        for closed in [
            "passdb {\n  args = password=nopassword\n  driver = static\n}\n",
            "passdb static {\n  fields {\n    nopassword = no\n  }\n}\n",
        ] {
            assert_eq!(Passdb::of(&Conf::parse(closed).blocks("passdb")[0]).label(), "static", "{closed}");
        }
        assert!(all[0].files(None).unwrap().contains(&PathBuf::from("/etc/users.imap")));
        let of_imap = "protocol imap {\n  passdb {\n    args = /m\n    driver = passwd-file\n    master = yes\n  }\n}\n";
        let of_imap = Conf::parse(of_imap);
        let of_imap = Passdb::of(&of_imap.blocks("passdb")[0]);
        assert_eq!(of_imap.label(), "passwd-file /m (master users) for imap");
        assert_eq!(of_imap.files(Some("imap")).unwrap(), [PathBuf::from("/m")]);
        assert_eq!(of_imap.files(Some("smtp")).unwrap(), Vec::<PathBuf>::new(), "it is not asked there");
        for (protocols, service, asked) in [
            ("", "smtp", true),
            ("imap pop3", "pop3", true),
            ("imap", "smtp", false),
            ("!smtp", "smtp", false),
        ] {
            assert_eq!(is_asked_for(protocols, service), asked, "{protocols} {service}");
        }
        assert_eq!(all[1].files(None).unwrap(), [PathBuf::from("/x")]);
        assert_eq!(all[2].files(None), None);
    }
}
