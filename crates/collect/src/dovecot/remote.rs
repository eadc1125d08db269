//! A mail host that is asked through doveadm's HTTP API. What the API has no command for is named, one surface at
//! a time, and never taken for empty.

use std::collections::{BTreeMap, BTreeSet};

use mailwarden_evidence::{CoverageState, Fact, SYSTEM};
use serde_json::json;

use super::acl::Granted;
use super::api::{Api, Conversation, Fault, NO_USER, NOT_FOUND};
use super::doveadm::{BATCH, DovecotPlan, Fields, Session};
use super::mailbox::{MAX_FOLDERS, cover, membership};
use super::{MAILBOX_SURFACES, SYSTEM_SURFACES, acl, system};
use crate::harvest::Place;
use crate::{CollectError, Harvest};

/// Most scripts of one mailbox.
const MAX_SCRIPTS: usize = 1000;
/// Most bytes of all scripts of one mailbox.
const MAX_SOURCES: usize = 16 * 1024 * 1024;
/// What the API has no command for.
const UNSEEN: [(&str, &str); 5] = [
    ("account.state", "the API has no `auth lookup`, so locked accounts cannot be told"),
    (
        "sieve.files",
        "the API shows no files: scripts that ManageSieve does not list, links and compiled forms",
    ),
    ("dovecot.posture", "the API does not show the configuration"),
    ("dovecot.credentials", "the API does not show the configuration, nor files of passwords"),
    ("sieve.global", "the API does not show the configuration, nor administrators' scripts"),
];

/// What is known of the whole host before the mailboxes are looked at one by one.
#[derive(Debug)]
pub struct Remote {
    api: Api,
    users: BTreeMap<String, Fields>,
    listed: BTreeSet<String>,
}

#[derive(serde::Deserialize)]
struct Script {
    script: String,
    active: String,
}

#[derive(serde::Deserialize)]
struct Source {
    #[serde(rename = "sieve script")]
    source: String,
}

#[derive(serde::Deserialize)]
struct Listed {
    mailbox: String,
}

impl Remote {
    /// Looks at the mail system as a whole. `listed` are the accounts that the server iterates, `mailboxes`
    /// all that will be visited.
    pub(super) async fn prepare(
        api: &Api,
        listed: &BTreeSet<String>,
        mailboxes: &[String],
    ) -> (Harvest, Result<Self, CollectError>) {
        let users = match users(api, mailboxes).await {
            Ok(users) => users,
            Err(error) => {
                let surfaces = SYSTEM_SURFACES.into_iter().filter(|id| *id != "account");
                let surfaces: Vec<&str> = surfaces.collect();
                return (Harvest::failed(SYSTEM, &surfaces, api.label(), &error), Err(error));
            }
        };
        let mut harvest = Harvest::default();
        leave_unseen(&mut harvest, SYSTEM, &SYSTEM_SURFACES, api.label());
        let place = Place { mailbox: SYSTEM, surface: "dovecot.sessions", source: api.label() };
        match sessions(api, None).await {
            Ok(sessions) => system::observe_sessions(sessions, &place, &mut harvest),
            Err(error) => harvest.cover(&place, error.coverage_state(), error.to_string()),
        }
        let missing: Vec<String> =
            listed.iter().filter(|login| !users.contains_key(*login)).cloned().collect();
        system::aliasing(&users, &missing, !listed.is_empty(), api.label(), &mut harvest);
        (harvest, Ok(Self { api: api.clone(), users, listed: listed.clone() }))
    }

    /// Looks at one mailbox.
    pub(super) async fn visit(&self, mailbox: &str) -> Harvest {
        let at = |surface: &'static str| Place { mailbox, surface, source: self.api.label() };
        let mut harvest = Harvest::default();
        let Some(fields) = self.users.get(mailbox) else {
            let reason = "the user database does not know it: mail for it is refused, files of it may remain";
            for surface in MAILBOX_SURFACES {
                harvest.cover(&at(surface), CoverageState::Denied, reason);
            }
            return harvest;
        };
        leave_unseen(&mut harvest, mailbox, &MAILBOX_SURFACES, self.api.label());
        self.account(mailbox, &at("account"), &mut harvest);
        let mut conversation = self.api.conversation();
        let scripts = scripts(&mut conversation, mailbox, &at("managesieve.scripts"), &mut harvest).await;
        self.settle(&at("managesieve.scripts"), scripts, &mut harvest);
        membership(mailbox, fields, &at("imap.acl"), &mut harvest);
        let grants = self.grants(&mut conversation, mailbox, &at("imap.acl"), &mut harvest).await;
        match grants {
            Err(Fault::Unknown) => {
                let reason = "the acl plugin is not loaded, so folders cannot be shared";
                harvest.cover(&at("imap.acl"), CoverageState::Unsupported, reason);
            }
            settled => self.settle(&at("imap.acl"), settled, &mut harvest),
        }
        harvest
    }

    async fn grants(
        &self,
        conversation: &mut Conversation<'_>,
        mailbox: &str,
        place: &Place<'_>,
        harvest: &mut Harvest,
    ) -> Result<Vec<String>, Fault> {
        let folders: Vec<Listed> = conversation.ask("mailboxList", &json!({ "user": mailbox })).await?;
        let mut gaps = Vec::new();
        if folders.len() > MAX_FOLDERS {
            gaps.push(format!("folders beyond the first {MAX_FOLDERS}"));
        }
        for Listed { mailbox: folder } in folders.into_iter().take(MAX_FOLDERS) {
            if self.is_of_another(conversation, mailbox, &folder).await {
                continue;
            }
            let parameters = json!({ "user": mailbox, "mailbox": folder });
            match conversation.ask::<Granted>("aclGet", &parameters).await {
                Ok(rows) => gaps.extend(acl::observe_rows(&folder, rows, harvest, place)),
                // A node of the hierarchy without a folder behind it is listed too, and opens nothing.
                Err(Fault::Exit(NOT_FOUND))
                    if matches!(guid(conversation, mailbox, &folder).await, Ok(None)) => {}
                Err(Fault::Exit(code)) => {
                    gaps.push(format!("{} (doveadm ended with {code})", shown(&folder)));
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(gaps)
    }

    /// Whether a folder is another mailbox's, shown because it is shared. The API tells no namespaces, and a name
    /// alone is whatever its owner likes: it is another's only where that other one's folder is the very same.
    async fn is_of_another(&self, conversation: &mut Conversation<'_>, mailbox: &str, folder: &str) -> bool {
        let Some((owner, rest)) = self.owner_by_name(mailbox, folder) else { return false };
        let here = guid(conversation, mailbox, folder).await;
        // A conversation is about one user: the process behind it may have become that user.
        let there = guid(&mut self.api.conversation(), owner, rest).await;
        matches!((here, there), (Ok(Some(here)), Ok(Some(there))) if here == there && !here.is_empty())
    }

    /// `shared/LOGIN/FOLDER`, with whatever stands before the login.
    fn owner_by_name<'s>(&'s self, mailbox: &str, folder: &'s str) -> Option<(&'s str, &'s str)> {
        let separators = ['/', '.', '\\'];
        self.users.keys().filter(|login| *login != mailbox).find_map(|login| {
            let local = login.split('@').next().unwrap_or_default();
            [login.as_str(), local].into_iter().filter(|name| !name.is_empty()).find_map(|name| {
                let at = folder.find(name)?;
                let (before, after) = (&folder[..at], &folder[at + name.len()..]);
                let rest = after.strip_prefix(separators);
                let is_component = before.ends_with(separators) && (after.is_empty() || rest.is_some());
                is_component.then_some((login.as_str(), rest.unwrap_or("INBOX")))
            })
        })
    }

    fn settle(&self, place: &Place<'_>, outcome: Result<Vec<String>, Fault>, harvest: &mut Harvest) {
        match outcome {
            Ok(gaps) => cover(harvest, place, &gaps),
            Err(fault) => {
                let error = self.api.error("looking at the mailbox", fault);
                harvest.cover(place, error.coverage_state(), error.to_string());
            }
        }
    }

    /// A permissive user database knows every name, so only the server's own list proves an account.
    fn account(&self, mailbox: &str, place: &Place<'_>, harvest: &mut Harvest) {
        if self.listed.contains(mailbox) {
            let excerpt = format!("the user database knows {mailbox}");
            let fact = Fact::Account { login: mailbox.to_owned() };
            harvest.observe(place, fact, excerpt.as_bytes(), &excerpt);
            return harvest.cover(place, CoverageState::Collected, "");
        }
        let reason =
            "the user database answers for it and does not list it: a static one answers for anybody";
        harvest.cover(place, CoverageState::Partial, reason);
    }
}

/// What makes a folder that folder, whoever looks at it; `None` where there is no folder.
async fn guid(
    conversation: &mut Conversation<'_>,
    mailbox: &str,
    folder: &str,
) -> Result<Option<String>, Fault> {
    #[derive(serde::Deserialize)]
    struct Status {
        guid: String,
    }
    let parameters = json!({ "user": mailbox, "field": ["guid"], "mailboxMask": [folder] });
    match conversation.ask::<Status>("mailboxStatus", &parameters).await {
        // The name is a mask: one with a wildcard in it may be several folders.
        Ok(rows) if rows.len() < 2 => Ok(rows.into_iter().next().map(|row| row.guid)),
        Ok(_) => Ok(Some(String::new())),
        Err(Fault::Exit(NOT_FOUND)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn leave_unseen(harvest: &mut Harvest, mailbox: &str, surfaces: &[&str], source: &str) {
    for (surface, why) in UNSEEN.into_iter().filter(|(surface, _)| surfaces.contains(surface)) {
        let reason = format!("could not look: {why}; run `mailwarden collect` on the mail host");
        harvest.cover(&Place { mailbox, surface, source }, CoverageState::Skipped, reason);
    }
}

/// The fields of every login; a login that the database does not know has none. A batch with one such login is
/// refused as a whole and asked one by one.
async fn users(api: &Api, logins: &[String]) -> Result<BTreeMap<String, Fields>, CollectError> {
    const DOING: &str = "looking up users";
    let mut conversation = api.conversation();
    let mut found = BTreeMap::new();
    for batch in logins.chunks(BATCH) {
        match look_up(&mut conversation, batch).await {
            Ok(users) => found.extend(users),
            Err(Fault::Exit(NO_USER)) => {
                for login in batch {
                    match look_up(&mut conversation, std::slice::from_ref(login)).await {
                        Ok(users) => found.extend(users),
                        Err(Fault::Exit(NO_USER)) => {}
                        Err(fault) => return Err(api.error(DOING, fault)),
                    }
                }
            }
            Err(fault) => return Err(api.error(DOING, fault)),
        }
    }
    Ok(found)
}

/// Only logins that were asked about count, under the very name that was asked.
async fn look_up(
    conversation: &mut Conversation<'_>,
    logins: &[String],
) -> Result<Vec<(String, Fields)>, Fault> {
    let rows: Vec<BTreeMap<String, Fields>> =
        conversation.ask("user", &json!({ "userMask": logins })).await?;
    let mut users: BTreeMap<String, Fields> = rows.into_iter().flatten().collect();
    Ok(logins.iter().filter_map(|login| Some((login.clone(), users.remove(login)?))).collect())
}

/// Who is connected: everybody, or one login.
pub(super) async fn sessions(api: &Api, login: Option<&str>) -> Result<Vec<Session>, CollectError> {
    let parameters = login.map_or_else(|| json!({}), |login| json!({ "mask": [login] }));
    let answer = api.conversation().ask("who", &parameters).await;
    answer.map_err(|fault| api.error("asking who is connected", fault))
}

/// Ends the sessions of one login, and forgets cached passwords first.
pub(super) async fn kick(api: &Api, login: &str) -> Result<(), CollectError> {
    let mut conversation = api.conversation();
    // A server without the cache refuses this, and has nothing to forget.
    let _without_cache =
        conversation.ask::<serde_json::Value>("authCacheFlush", &json!({ "user": [login] })).await;
    match conversation.ask::<serde_json::Value>("kick", &json!({ "mask": [login] })).await {
        Ok(_) | Err(Fault::Exit(NOT_FOUND)) => Ok(()),
        Err(fault) => Err(api.error("ending sessions", fault)),
    }
}

async fn scripts(
    conversation: &mut Conversation<'_>,
    mailbox: &str,
    place: &Place<'_>,
    harvest: &mut Harvest,
) -> Result<Vec<String>, Fault> {
    let listed: Vec<Script> = conversation.ask("sieveList", &json!({ "user": mailbox })).await?;
    let mut gaps = Vec::new();
    if listed.len() > MAX_SCRIPTS {
        gaps.push(format!("scripts beyond the first {MAX_SCRIPTS}"));
    }
    let mut room = MAX_SOURCES;
    for Script { script: name, active } in listed.into_iter().take(MAX_SCRIPTS) {
        let parameters = json!({ "user": mailbox, "scriptname": name });
        let answer = conversation.ask::<Source>("sieveGet", &parameters).await;
        let source = match answer.map(|rows| rows.into_iter().next()) {
            Ok(Some(Source { source })) => source,
            Ok(None) => {
                gaps.push(format!("{} (no script in the answer)", shown(&name)));
                continue;
            }
            Err(Fault::Exit(code)) => {
                gaps.push(format!("{} (doveadm ended with {code})", shown(&name)));
                continue;
            }
            Err(fault) => return Err(fault),
        };
        // JSON has no other way to hold bytes that are no text, and what they were decides what a script does.
        if source.contains('\u{fffd}') {
            gaps.push(format!("{} (it holds bytes that the API cannot show)", shown(&name)));
        }
        let Some(left) = room.checked_sub(source.len()) else {
            gaps.push(format!("{} (more than {MAX_SOURCES} bytes in all)", shown(&name)));
            continue;
        };
        room = left;
        observe_script(harvest, place, name, active == "ACTIVE", source);
    }
    Ok(gaps)
}

fn observe_script(harvest: &mut Harvest, place: &Place<'_>, name: String, active: bool, source: String) {
    let state = if active { "active" } else { "inactive" };
    let excerpt = format!("script `{}`, {state}, {} bytes", shown(&name), source.len());
    let raw = source.into_bytes();
    let implementation = "Dovecot Pigeonhole".to_owned();
    let fact = Fact::SieveScript { name, active, source: raw.clone(), implementation };
    harvest.observe(place, fact, &raw, &excerpt);
}

fn shown(text: &str) -> String {
    crate::error::shown(text.as_bytes())
}

impl DovecotPlan {
    /// Asks an API instead of the programs of this host.
    #[must_use]
    pub fn through(mut self, api: Api) -> Self {
        self.api = Some(Box::new(api));
        self
    }
}
