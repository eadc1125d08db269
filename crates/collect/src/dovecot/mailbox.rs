//! One mailbox on the mail host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use mailwarden_evidence::{CoverageState, Fact, SYSTEM};

use super::conf::Conf;
use super::doveadm::{self, DovecotPlan, Fields};
use super::logins::{self, Logins};
use super::places::{self, PlaceKind, expanded, filled};
use super::scripts::{self, Store, Walk};
use super::{MAILBOX_SURFACES, SYSTEM_SURFACES, acl, binary, system};
use crate::harvest::{Place, named};
use crate::{CollectError, Harvest};

/// Most compiled scripts of one mailbox that are compared with their source; each costs two processes.
const MAX_BINARIES: usize = 64;
/// Most folders asked about one by one, where the mail format has no files to read.
pub(super) const MAX_FOLDERS: usize = 2000;

/// What is known of the whole host before the mailboxes are looked at one by one.
#[derive(Debug)]
pub struct Local {
    plan: DovecotPlan,
    conf: Conf,
    users: BTreeMap<String, Fields>,
    listed: BTreeSet<String>,
    logins: Logins,
    global_acl_gaps: Vec<String>,
}

impl Local {
    /// Looks at the mail system as a whole. `listed` are the accounts that the server iterates, `mailboxes`
    /// all that will be visited.
    pub async fn prepare(
        plan: &DovecotPlan,
        listed: &BTreeSet<String>,
        mailboxes: &[String],
    ) -> (Harvest, Result<Self, CollectError>) {
        let source = plan.source();
        let mut harvest = Harvest::default();
        let conf = match plan.ask("doveconf", ["-n"]).await {
            Ok(text) => Conf::parse(&text),
            Err(error) => return (Self::nothing(plan, &error), Err(error)),
        };
        system::sessions(plan, &source, &mut harvest).await;
        system::posture(&conf, &source, &mut harvest);
        system::credentials(&conf, plan, &source, &mut harvest);
        let users = match doveadm::users(plan, mailboxes).await {
            Ok(users) => users,
            Err(error) => return (Self::nothing(plan, &error), Err(error)),
        };
        let missing: Vec<String> =
            listed.iter().filter(|login| !users.contains_key(*login)).cloned().collect();
        system::aliasing(&users, &missing, !listed.is_empty(), &source, &mut harvest);
        let some_login = users.keys().next().map(String::as_str);
        system::global_scripts(&conf, plan, some_login, &source, &mut harvest).await;
        let global_acl_gaps = system::global_acl(&conf, &source, &mut harvest);
        let logins = logins::ask(plan, &conf, &users).await;
        let host = Self { plan: plan.clone(), conf, users, listed: listed.clone(), logins, global_acl_gaps };
        (harvest, Ok(host))
    }

    pub(super) fn homes(&self) -> Vec<PathBuf> {
        self.users.values().filter_map(|fields| fields.get("home")).map(PathBuf::from).collect()
    }

    pub(super) fn locked(&self) -> Vec<String> {
        self.users.keys().filter(|login| self.logins.locks(login)).cloned().collect()
    }

    /// The rows of a host that does not answer; `account` of the system is the account list's own.
    fn nothing(plan: &DovecotPlan, error: &CollectError) -> Harvest {
        let surfaces = SYSTEM_SURFACES.into_iter().filter(|id| *id != "account");
        doveadm::failed(plan, SYSTEM, &surfaces.collect::<Vec<_>>(), error)
    }

    /// Looks at one mailbox.
    pub async fn visit(&self, mailbox: &str) -> Harvest {
        let source = self.plan.source();
        let at = |surface: &'static str| Place { mailbox, surface, source: &source };
        let mut harvest = Harvest::default();
        let Some(fields) = self.users.get(mailbox) else {
            let reason = "the user database does not know it: mail for it is refused, files of it may remain";
            for surface in MAILBOX_SURFACES {
                harvest.cover(&at(surface), CoverageState::Denied, reason);
            }
            return harvest;
        };
        self.account(mailbox, fields, &at("account"), &mut harvest);
        self.logins.observe(mailbox, &at("account.state"), &mut harvest);
        self.scripts(mailbox, fields, &source, &mut harvest).await;
        self.acls(mailbox, fields, &at("imap.acl"), &mut harvest).await;
        harvest
    }

    /// A permissive user database knows every name, so only the server's own list or a home that exists
    /// proves an account.
    fn account(&self, mailbox: &str, fields: &Fields, place: &Place<'_>, harvest: &mut Harvest) {
        let home = fields.get("home").map(PathBuf::from);
        if self.listed.contains(mailbox) || home.is_some_and(|home| home.is_dir()) {
            let excerpt = format!("the user database knows {mailbox}");
            let fact = Fact::Account { login: mailbox.to_owned() };
            harvest.observe(place, fact, excerpt.as_bytes(), &excerpt);
            return harvest.cover(place, CoverageState::Collected, "");
        }
        let reason = "the user database answers for it, but neither lists it nor is there a home: a static \
                      user database answers for anybody";
        harvest.cover(place, CoverageState::Partial, reason);
    }

    async fn scripts(&self, mailbox: &str, fields: &Fields, source: &str, harvest: &mut Harvest) {
        let stored = Place { mailbox, surface: "managesieve.scripts", source };
        let odd = Place { mailbox, surface: "sieve.files", source };
        let mut walk = match self.store(mailbox, fields) {
            Ok(Some(store)) => {
                let (mailbox, source) = (mailbox.to_owned(), source.to_owned());
                walked(store, mailbox, source).await
            }
            Ok(None) => Walk::default(),
            Err(gap) => Walk { stored_gaps: vec![gap.clone()], odd_gaps: vec![gap], ..Walk::default() },
        };
        self.places_of_user(mailbox, fields, &odd, &mut walk).await;
        let binaries = std::mem::take(&mut walk.binaries);
        if binaries.len() > MAX_BINARIES {
            walk.odd_gaps.push(format!("compiled scripts beyond the first {MAX_BINARIES}"));
        }
        for (compiled, script) in binaries.into_iter().take(MAX_BINARIES) {
            let different = binary::difference(&self.plan, Some(mailbox), &compiled, &script).await;
            system::report_difference(&mut walk.odd, &odd, &compiled, different, &mut walk.odd_gaps);
        }
        harvest.absorb(walk.stored);
        harvest.absorb(walk.odd);
        cover(harvest, &stored, &walk.stored_gaps);
        cover(harvest, &odd, &walk.odd_gaps);
    }

    /// The paths of a mailbox's own store; none where the store is no directory.
    fn store(&self, mailbox: &str, fields: &Fields) -> Result<Option<Store>, String> {
        let Ok(personal) = places::personal(&self.conf, fields) else { return Ok(None) };
        let home = fields.get("home").map_or("", String::as_str);
        let fill = |path: &str| {
            filled(path, mailbox, home).ok_or_else(|| format!("{path} (a variable that is not known here)"))
        };
        let binaries = personal.binaries.as_deref().map(fill).transpose()?;
        Ok(Some(Store { directory: fill(&personal.directory)?, active: fill(&personal.active)?, binaries }))
    }

    /// Stores that depend on the user: dictionaries, and administrators' scripts below a home.
    async fn places_of_user(&self, mailbox: &str, fields: &Fields, odd: &Place<'_>, walk: &mut Walk) {
        let mut all = places::global(&self.conf);
        let personal = places::personal(&self.conf, fields).err();
        let is_personal = |setting: &str| personal.as_ref().is_some_and(|own| own.setting == setting);
        all.extend(personal.clone());
        for place in &all {
            match &place.kind {
                PlaceKind::Files(path) if path.contains('%') || path.starts_with('~') => {
                    let home = fields.get("home").map_or("", String::as_str);
                    match filled(path, mailbox, home) {
                        Some(path) => add(walk, scripts::walk_global(&path, place.runs, odd)),
                        None => {
                            walk.odd_gaps.push(format!("{} = {path} (an unknown variable)", place.setting));
                        }
                    }
                }
                PlaceKind::Dictionary { uri, name } => {
                    let home = fields.get("home").map_or("", String::as_str);
                    match expanded(uri, mailbox, home) {
                        Some(uri) => self.dictionary(mailbox, (&uri, name, place.runs), odd, walk).await,
                        None => {
                            walk.odd_gaps.push(format!("{} = {uri} (an unknown variable)", place.setting));
                        }
                    }
                }
                PlaceKind::Other(what) if is_personal(&place.setting) => {
                    let gap = format!("{} = {what} (this kind of store is not read)", place.setting);
                    walk.stored_gaps.push(gap.clone());
                    walk.odd_gaps.push(gap);
                }
                PlaceKind::Files(_) | PlaceKind::Other(_) => {}
            }
        }
    }

    /// A dictionary holds the number of a script under its name, and the script under the number.
    async fn dictionary(
        &self,
        mailbox: &str,
        (uri, name, runs): (&str, &str, bool),
        odd: &Place<'_>,
        walk: &mut Walk,
    ) {
        let number = match self.look_up(mailbox, uri, &format!("priv/sieve/name/{name}")).await {
            Ok(Some(number)) => number,
            Ok(None) => return,
            Err(gap) => return walk.odd_gaps.push(gap),
        };
        match self.look_up(mailbox, uri, &format!("priv/sieve/data/{number}")).await {
            Ok(Some(source)) => {
                let place = format!("dict:{uri};name={name}");
                scripts::observe(&mut walk.odd, odd, place, runs, source.into_bytes());
            }
            Ok(None) => walk.odd_gaps.push(format!("{uri}: script {number} is named and missing")),
            Err(gap) => walk.odd_gaps.push(gap),
        }
    }

    async fn look_up(&self, mailbox: &str, uri: &str, key: &str) -> Result<Option<String>, String> {
        #[derive(serde::Deserialize)]
        struct Value {
            value: String,
        }
        /// No such key (EX_NOHOST of sysexits, as doveadm uses it).
        const NOT_FOUND: i32 = 68;
        let arguments = ["-f", "json", "dict", "get", "-u", mailbox, "--", uri, key];
        let ran = self.plan.run("doveadm", arguments).await.map_err(|error| error.to_string())?;
        if !ran.success {
            let gap = format!("{uri} {key} ({})", ran.complaint());
            return if ran.code == Some(NOT_FOUND) { Ok(None) } else { Err(gap) };
        }
        let values: Vec<Value> = serde_json::from_slice(ran.stdout.trim_ascii())
            .map_err(|error| format!("{uri} {key} (no JSON: {error})"))?;
        Ok(values.into_iter().next().map(|value| value.value))
    }

    async fn acls(&self, mailbox: &str, fields: &Fields, place: &Place<'_>, harvest: &mut Harvest) {
        if !self.has_acl() {
            let reason = "the acl plugin is not loaded, so folders cannot be shared";
            return harvest.cover(place, CoverageState::Unsupported, reason);
        }
        membership(mailbox, fields, place, harvest);
        let mut gaps = self.global_acl_gaps.clone();
        let location = self.mail_location(fields);
        let home = fields.get("home").map_or("", String::as_str);
        let root = acl::maildir_root(&location).and_then(|root| filled(root, mailbox, home));
        match root {
            Some(root) => gaps.extend(acl::read_maildir(&root, self.separator(), harvest, place)),
            None => gaps.extend(self.acls_by_doveadm(mailbox, harvest, place).await),
        }
        cover(harvest, place, &gaps);
    }

    fn has_acl(&self) -> bool {
        self.conf.plugin("acl").is_some()
            || self.conf.plugin("acl_driver").is_some()
            || self.conf.anywhere("acl").is_some()
    }

    fn mail_location(&self, fields: &Fields) -> String {
        if let Some(location) =
            fields.get("mail").map(String::as_str).or_else(|| self.conf.top("mail_location"))
        {
            return location.to_owned();
        }
        let driver = self.conf.top("mail_driver").unwrap_or_default();
        let path = fields.get("mail_path").map(String::as_str).or_else(|| self.conf.top("mail_path"));
        format!("{driver}:{}", path.unwrap_or_default())
    }

    /// The character between folder names, as IMAP shows it.
    fn separator(&self) -> &str {
        let blocks = self.conf.blocks("namespace");
        let inbox = blocks.iter().find(|block| block.get("inbox") == Some("yes"));
        inbox.and_then(|block| block.get("separator")).unwrap_or(".")
    }

    /// For formats without a directory a folder: one process for each.
    async fn acls_by_doveadm(&self, mailbox: &str, harvest: &mut Harvest, place: &Place<'_>) -> Vec<String> {
        #[derive(serde::Deserialize)]
        struct Listed {
            mailbox: String,
        }
        let listed = match self.plan.ask("doveadm", ["-f", "json", "mailbox", "list", "-u", mailbox]).await {
            Ok(output) => output,
            Err(error) => return vec![error.to_string()],
        };
        let Ok(folders) = serde_json::from_str::<Vec<Listed>>(listed.trim()) else {
            return vec!["`doveadm mailbox list` gave no JSON".to_owned()];
        };
        let mut gaps = Vec::new();
        if folders.len() > MAX_FOLDERS {
            gaps.push(format!("folders beyond the first {MAX_FOLDERS}"));
        }
        for Listed { mailbox: folder } in folders.into_iter().take(MAX_FOLDERS) {
            let arguments = ["-f", "json", "acl", "get", "-u", mailbox, "--", &folder];
            let granted = match self.plan.ask("doveadm", arguments).await {
                Ok(output) => output,
                Err(error) => {
                    gaps.push(format!("{folder} ({error})"));
                    continue;
                }
            };
            match serde_json::from_str::<Vec<acl::Granted>>(granted.trim()) {
                Ok(rows) => gaps.extend(acl::observe_rows(&folder, rows, harvest, place)),
                Err(_) => gaps.push(format!("{folder} (no JSON)")),
            }
        }
        gaps
    }
}

/// That a login is in no group is worth knowing too.
pub(super) fn membership(mailbox: &str, fields: &Fields, place: &Place<'_>, harvest: &mut Harvest) {
    let listed = fields.get("acl_groups").map_or("", String::as_str);
    let groups: Vec<String> =
        listed.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect();
    let excerpt = format!("groups of {mailbox}: {}", groups.join(", "));
    let fact = Fact::Membership { login: mailbox.to_owned(), groups };
    harvest.observe(place, fact, excerpt.as_bytes(), &excerpt);
}

fn add(walk: &mut Walk, more: Walk) {
    walk.odd.absorb(more.odd);
    walk.odd_gaps.extend(more.odd_gaps);
    walk.binaries.extend(more.binaries);
}

pub(super) fn cover(harvest: &mut Harvest, place: &Place<'_>, gaps: &[String]) {
    if gaps.is_empty() {
        return harvest.cover(place, CoverageState::Collected, "");
    }
    let reason = format!("not or not wholly read: {}", named(gaps));
    harvest.cover(place, CoverageState::Partial, reason);
}

/// Files are read on a thread of their own: a disk that hangs must not hold up the connections.
async fn walked(store: Store, mailbox: String, source: String) -> Walk {
    let walk = tokio::task::spawn_blocking(move || {
        let at = |surface: &'static str| Place { mailbox: &mailbox, surface, source: &source };
        scripts::walk(&store, &at("managesieve.scripts"), &at("sieve.files"))
    });
    walk.await.unwrap_or_else(|_| {
        let gap = "reading the files failed".to_owned();
        Walk { stored_gaps: vec![gap.clone()], odd_gaps: vec![gap], ..Walk::default() }
    })
}
