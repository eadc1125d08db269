//! One change on a live server: snapshot, record, compare, change, read back, record.
//!
//! The order is the promise. The prior state is durable in the ledger before the first byte changes; the object is
//! compared with that state right before the change; what is recorded as applied was read back. Whatever ends
//! the program in between leaves a planned change without an outcome, which `restore` takes like any other.

use chrono::Utc;
use mailwarden_collect::dovecot::SessionStore;
use mailwarden_collect::imap::FolderStore;
use mailwarden_collect::managesieve::ScriptStore;
use mailwarden_collect::postfix::TextStore;
use mailwarden_collect::{CollectError, Dialer, Plan, Server};
use mailwarden_ledger::{Event, EventKind, Ledger, LedgerError};
use mailwarden_panels::{PanelError, RowStore};
use mailwarden_remedy::{AclRow, Object, State, Step, steps};
use mailwarden_settings::Settings;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::approve::Warrant;
use crate::elsewhere::Writer;
use crate::failure::Failure;
use crate::rounds;

/// How to reach the servers that hold objects.
pub(crate) struct Servers {
    imap: Option<Dialer>,
    managesieve: Option<Dialer>,
    plan: Plan,
    settings: Settings,
}

/// A connection that can read and change one kind of object of one mailbox.
pub(crate) enum Store {
    Scripts(Box<ScriptStore>),
    Folders(Box<FolderStore>),
    Sessions(SessionStore),
    Tables(TextStore),
    Rows(Box<RowStore>),
}

/// One transition of one object, with everything the ledger is to know.
pub(crate) struct Transition<'a> {
    pub(crate) object: &'a Object,
    pub(crate) before: &'a State,
    pub(crate) after: &'a State,
    pub(crate) warrant: &'a Warrant,
    /// More for the payload: which finding, or which change this undoes.
    pub(crate) because: Value,
}

/// What became of a transition.
#[derive(Debug)]
pub(crate) enum Done {
    /// Made, read back and recorded under this identifier.
    Applied(String),
    /// The object is not as it was planned from; nothing was changed.
    ChangedMeanwhile,
    /// Tried under this identifier; the object is as it was before.
    Failed(String, String),
    /// Tried under this identifier; nobody knows how the object is now.
    Uncertain(String, String),
}

impl Servers {
    pub(crate) fn of(settings: &Settings) -> Result<Self, Failure> {
        let plan = rounds::everybody(settings)?;
        let dialer = |protocol: &str, server: &Option<Server>| {
            server.clone().map(|server| Dialer::new(protocol, server)).transpose().map_err(unreachable)
        };
        let (imap, managesieve) = (dialer("imap", &plan.imap)?, dialer("managesieve", &plan.managesieve)?);
        Ok(Self { imap, managesieve, plan, settings: settings.clone() })
    }

    pub(crate) async fn open(&self, object: &Object) -> Result<Store, Failure> {
        let missing = |section: &str| Failure::Usage(format!("the configuration has no [{section}]"));
        let mailbox = object.mailbox();
        let credentials = || self.plan.credentials_of(mailbox).map_err(unreachable);
        match object {
            Object::Script { .. } | Object::ActiveScript { .. } => {
                let dialer = self.managesieve.as_ref().ok_or_else(|| missing("managesieve"))?;
                let store = ScriptStore::open(dialer, &credentials()?, mailbox).await;
                store.map(|store| Store::Scripts(Box::new(store))).map_err(unreachable)
            }
            Object::TableText { .. } => {
                let postfix = self.plan.postfix.as_ref().ok_or_else(|| missing("postfix"))?;
                TextStore::new(postfix).map(Store::Tables).map_err(unreachable)
            }
            Object::PanelRow { panel, .. } => {
                let writer = Writer::of(&self.settings, panel)?;
                let writer = writer.ok_or_else(|| missing(&format!("[panel]] {panel} with a `writer")))?;
                writer.open().await.map(|store| Store::Rows(Box::new(store)))
            }
            Object::Sessions { mailbox } => {
                let dovecot = self.plan.dovecot.as_ref().ok_or_else(|| missing("dovecot"))?;
                SessionStore::new(dovecot, mailbox).map(Store::Sessions).map_err(unreachable)
            }
            Object::Acl { .. } | Object::Annotation { .. } | Object::UrlKey { .. } => {
                let dialer = self.imap.as_ref().ok_or_else(|| missing("imap"))?;
                let store = FolderStore::open(dialer, &credentials()?, mailbox).await;
                store.map(|store| Store::Folders(Box::new(store))).map_err(unreachable)
            }
        }
    }
}

/// A panel's words say themselves what to do next.
fn of_panel(error: PanelError) -> CollectError {
    CollectError::Configuration {
        server: "the panel".to_owned(),
        doing: "changing a row".to_owned(),
        cause: error.to_string(),
        next: "look at the row in the panel".to_owned(),
    }
}

fn unreachable(error: CollectError) -> Failure {
    Failure::Ours(error.to_string())
}

impl Store {
    /// The object as it is now.
    pub(crate) async fn read(&mut self, object: &Object) -> Result<State, CollectError> {
        match (self, object) {
            (Self::Scripts(store), Object::Script { name, .. }) => {
                Ok(store.get(name).await?.map_or(State::Absent, |source| State::Script { source }))
            }
            (Self::Scripts(store), Object::ActiveScript { .. }) => {
                Ok(State::Active { name: store.active().await? })
            }
            (Self::Folders(store), Object::Acl { folder, .. }) => {
                let row = |(identifier, rights)| AclRow { identifier, rights };
                let rows = store.acl(folder).await?;
                Ok(rows.map_or(State::Absent, |rows| State::acl(rows.into_iter().map(row).collect())))
            }
            (Self::Folders(store), Object::Annotation { folder, entry, .. }) => {
                Ok(State::Annotation { value: store.annotation(folder, entry).await? })
            }
            (Self::Folders(store), Object::UrlKey { folder, entry, .. }) => {
                Ok(State::Alive { alive: store.annotation(folder, entry).await?.is_some() })
            }
            (Self::Tables(store), Object::TableText { path, .. }) => {
                Ok(store.read(path)?.map_or(State::Absent, |source| State::TableText { source }))
            }
            (Self::Rows(store), Object::PanelRow { place, .. }) => {
                let cells = store.read(place).await.map_err(of_panel)?;
                Ok(cells.map_or(State::Absent, |cells| State::Row { cells }))
            }
            (Self::Sessions(store), _) => Ok(State::Alive { alive: store.is_open().await? }),
            _ => Ok(State::Absent),
        }
    }

    /// What stands in the way of going there, or of coming back, in the server's words; asked before anything is
    /// recorded or changed.
    pub(crate) async fn obstacles(
        &mut self,
        object: &Object,
        before: &State,
        after: &State,
    ) -> Result<Obstacles, CollectError> {
        match (self, object, before, after) {
            (
                Self::Scripts(store),
                Object::Script { name, .. },
                State::Script { source: old },
                State::Script { source: new },
            ) => Ok(Obstacles {
                going: first(store.check(new).await?, store.have_space(name, new.len()).await?),
                returning: first(store.check(old).await?, store.have_space(name, old.len()).await?)
                    .map(|said| format!("the server would not take the original back: {said}")),
            }),
            (_, Object::UrlKey { .. } | Object::Sessions { .. }, ..) => Ok(Obstacles {
                going: None,
                returning: Some("a destroyed key or a closed session cannot be brought back".to_owned()),
            }),
            (Self::Folders(store), _, before, after) => {
                let texts: Vec<&str> = [texts(before), texts(after)].concat();
                let cannot = || "it holds text that cannot be sent back to the server".to_owned();
                let going = (!store.can_send(&texts)).then(cannot);
                Ok(Obstacles { returning: going.clone(), going })
            }
            _ => Ok(Obstacles::default()),
        }
    }

    async fn perform(&mut self, object: &Object, step: &Step) -> Result<(), CollectError> {
        match (self, object, step) {
            (Self::Scripts(store), Object::Script { name, .. }, Step::PutScript(source)) => {
                store.put(name, source).await
            }
            (Self::Scripts(store), _, Step::Activate(name)) => store.activate(name.as_deref()).await,
            (Self::Folders(store), Object::Acl { folder, .. }, Step::DeleteAcl(identifier)) => {
                store.delete_acl(folder, identifier).await
            }
            (Self::Folders(store), Object::Acl { folder, .. }, Step::SetAcl(row)) => {
                store.set_acl(folder, &row.identifier, &row.rights).await
            }
            (Self::Folders(store), Object::Annotation { folder, entry, .. }, Step::SetAnnotation(value)) => {
                store.set_annotation(folder, entry, value.as_deref()).await
            }
            (Self::Folders(store), Object::UrlKey { folder, .. }, Step::End) => store.reset_key(folder).await,
            (Self::Tables(store), Object::TableText { path, table, .. }, Step::PutTable(source)) => {
                store.put(path, table, source).await
            }
            (Self::Rows(store), Object::PanelRow { place, .. }, Step::PutRow { from, to }) => {
                store.put(place, from, to).await.map_err(of_panel)
            }
            (Self::Sessions(store), _, Step::End) => store.kick().await,
            _ => Ok(()),
        }
    }

    /// Which script is active, where that must not change.
    async fn active(&mut self, object: &Object) -> Result<Option<String>, CollectError> {
        match (self, object) {
            (Self::Scripts(store), Object::Script { .. }) => store.active().await,
            _ => Ok(None),
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Scripts(store) => store.close().await,
            Self::Folders(store) => store.close().await,
            Self::Rows(store) => store.close().await,
            Self::Sessions(_) | Self::Tables(_) => {}
        }
    }
}

/// Why a change could not be made, and why it could not be undone.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Obstacles {
    pub(crate) going: Option<String>,
    pub(crate) returning: Option<String>,
}

fn first(a: Result<(), String>, b: Result<(), String>) -> Option<String> {
    a.and(b).err()
}

fn texts(state: &State) -> Vec<&str> {
    match state {
        State::Acl { rows } => rows.iter().flat_map(|row| [&*row.identifier, &*row.rights]).collect(),
        State::Annotation { value } => value.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Makes one transition.
pub(crate) async fn make(
    servers: &Servers,
    ledger: &Ledger,
    transition: &Transition<'_>,
) -> Result<Done, Failure> {
    let object = transition.object;
    let mut store = servers.open(object).await?;
    let now = store.read(object).await.map_err(unreachable)?;
    if now != *transition.before {
        store.close().await;
        return Ok(Done::ChangedMeanwhile);
    }
    let Some(steps) = steps(transition.before, transition.after) else {
        return Err(Failure::Ours(format!("{object} cannot be made to be as it shall be")));
    };
    let active = store.active(object).await.map_err(unreachable)?;
    let id = format!("chg-{}", Uuid::now_v7().simple());
    let recorded = |error| Failure::Ledger("cannot record the change, so it was not made".to_owned(), error);
    record(ledger, Some(&id), transition, EventKind::ChangePlanned, Value::Null).await.map_err(recorded)?;
    let tried = attempt(&mut store, transition, &steps, active.as_deref()).await;
    let done = match tried {
        Ok(()) => Done::Applied(id.clone()),
        Err(why) => aftermath(servers, transition, id.clone(), why).await,
    };
    store.close().await;
    let outcome = match &done {
        Done::Applied(_) => Some((EventKind::ChangeApplied, json!({ "verified": "read back" }))),
        Done::Failed(_, why) => {
            Some((EventKind::ChangeFailed, json!({ "error": cut(why), "object": "as before" })))
        }
        Done::ChangedMeanwhile | Done::Uncertain(..) => None,
    };
    if let Some((kind, more)) = outcome {
        let lost = format!(
            "{object} was changed, but that could not be recorded; the plan is, as {id}: `mailwarden restore {id}` \
             undoes it"
        );
        record(ledger, Some(&id), transition, kind, more)
            .await
            .map_err(|error| Failure::Ledger(lost, error))?;
    }
    Ok(done)
}

/// Compares once more, changes, reads back.
async fn attempt(
    store: &mut Store,
    transition: &Transition<'_>,
    steps: &[Step],
    active: Option<&str>,
) -> Result<(), String> {
    let object = transition.object;
    let said = |error: CollectError| error.to_string();
    // ManageSieve and IMAP have no compare-and-swap; this is as near to the change as a comparison can be.
    if store.read(object).await.map_err(said)? != *transition.before {
        return Err("it was changed by somebody else in this moment".to_owned());
    }
    for step in steps {
        store.perform(object, step).await.map_err(said)?;
    }
    if store.read(object).await.map_err(said)? != *transition.after {
        return Err("read back, it is not as it should be".to_owned());
    }
    if store.active(object).await.map_err(said)?.as_deref() != active {
        return Err("another script is active than before".to_owned());
    }
    Ok(())
}

/// What to make of an attempt that went wrong: looks again over a new connection, and puts back what is half
/// done.
async fn aftermath(servers: &Servers, transition: &Transition<'_>, id: String, why: String) -> Done {
    match put_back(servers, transition).await {
        Ok(Found::AsBefore) => Done::Failed(id, why),
        Ok(Found::AsPlanned) => Done::Applied(id),
        Ok(Found::Otherwise) => Done::Uncertain(id, why),
        Err(error) => Done::Uncertain(id, format!("{why}; looking again: {error}")),
    }
}

enum Found {
    AsBefore,
    AsPlanned,
    Otherwise,
}

async fn put_back(servers: &Servers, transition: &Transition<'_>) -> Result<Found, String> {
    let object = transition.object;
    let said = |error: CollectError| error.to_string();
    let mut store = servers.open(object).await.map_err(|failure| failure.render(false))?;
    let now = store.read(object).await.map_err(said)?;
    if now == *transition.before {
        return Ok(Found::AsBefore);
    }
    if now == *transition.after {
        return Ok(Found::AsPlanned);
    }
    for step in steps(&now, transition.before).unwrap_or_default() {
        store.perform(object, &step).await.map_err(said)?;
    }
    let now = store.read(object).await.map_err(said)?;
    store.close().await;
    Ok(if now == *transition.before { Found::AsBefore } else { Found::Otherwise })
}

/// Records that a transition was agreed to and nobody tried it.
pub(crate) async fn leave(ledger: &Ledger, transition: &Transition<'_>, why: &str) -> Result<(), Failure> {
    let lost =
        |error| Failure::Ledger(format!("cannot record that {} was not tried", transition.object), error);
    let because = json!({ "error": why, "object": "as before" });
    record(ledger, None, transition, EventKind::ChangeNotTried, because).await.map_err(lost)
}

async fn record(
    ledger: &Ledger,
    id: Option<&str>,
    transition: &Transition<'_>,
    kind: EventKind,
    more: Value,
) -> Result<(), LedgerError> {
    let is_plan = kind == EventKind::ChangePlanned;
    let by = &transition.warrant.authorised;
    let reason = by.reason();
    let subject: String = transition.object.mailbox().chars().take(200).collect();
    let mut payload = json!({
        "object": transition.object,
        "before_sha256": transition.before.sha256(),
        "after_sha256": transition.after.sha256(),
        "because": transition.because,
    });
    if let Some(id) = id {
        payload["change"] = json!(id);
    }
    if is_plan && !transition.warrant.signed.is_empty() {
        payload["approvals"] = json!(transition.warrant.signed);
    }
    if !more.is_null() {
        payload["outcome"] = more;
    }
    let event = Event::new(kind, Utc::now(), by.executor(), subject).because(reason).with(payload);
    let event = if is_plan { event.replacing(json!(transition.before)) } else { event };
    ledger.append_all(vec![event]).await.map(drop)
}

fn cut(text: &str) -> String {
    text.chars().take(1000).collect()
}
