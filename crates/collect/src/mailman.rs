//! Mailing lists of Mailman 3, by its REST interface: who is member, owner or moderator of which list. Nothing but GET
//! is said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use mailwarden_evidence::{CoverageState, Fact, ListMember, ListRole, SYSTEM};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::shown;
use crate::harvest::{Place, named};
use crate::http::Endpoint;
use crate::{CollectError, Harvest};

/// The surface of members.
pub const SURFACE: &str = "lists.members";
/// Entries asked for at once.
const PAGE: usize = 500;
/// Most octets of one answer; an entry has about 600.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Most lists.
const MAX_LISTS: usize = 50_000;
/// Most memberships in all.
const MAX_MEMBERS: usize = 500_000;
/// How long everything may take.
const BUDGET: Duration = Duration::from_secs(600);
/// Longest address that is kept, in characters (RFC 5321 §4.5.3.1).
const MAX_ADDRESS: usize = 320;

/// One Mailman.
#[derive(Debug, Clone)]
pub struct MailmanPlan {
    endpoint: Endpoint,
    /// The URL without a slash at its end.
    url: String,
    user: String,
    password: SecretString,
    timeout: Duration,
}

/// Why not everything was read.
enum Fault {
    /// A bound, or a number that does not fit.
    Bound(String),
    /// There is no page.
    Failed(CollectError),
}

#[derive(serde::Deserialize)]
struct Page<T> {
    total_size: usize,
    #[serde(default = "Vec::new")]
    entries: Vec<T>,
}

#[derive(serde::Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct List {
    list_id: String,
    fqdn_listname: String,
}

#[derive(serde::Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    list_id: String,
    email: String,
    role: String,
    #[serde(default)]
    delivery_mode: String,
}

impl MailmanPlan {
    /// The interface at a URL such as `http://localhost:8001/3.1`; `timeout` is how long one answer may take.
    ///
    /// # Errors
    /// When the URL is neither `https` nor `http` at a loopback address.
    pub fn new(
        url: &str,
        (user, password): (String, SecretString),
        tls: (Option<String>, Option<PathBuf>),
        timeout: Duration,
    ) -> Result<Self, CollectError> {
        let next = "write it as http://localhost:8001/3.1";
        let endpoint = Endpoint::new(("Mailman", "Mailman", next), url, tls)?;
        Ok(Self { endpoint, url: url.trim_end_matches('/').to_owned(), user, password, timeout })
    }

    fn label(&self) -> &str {
        self.endpoint.label()
    }

    fn authorization(&self) -> Option<HeaderValue> {
        let text = STANDARD.encode(format!("{}:{}", self.user, self.password.expose_secret()));
        let mut value = HeaderValue::from_str(&format!("Basic {text}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// One page; Mailman closes the connection after each answer.
    async fn page<T: DeserializeOwned>(&self, what: &str, number: usize) -> Result<Page<T>, CollectError> {
        let doing = format!("reading page {number} of its {what}");
        let path =
            format!("{}/{what}?count={PAGE}&page={number}", self.endpoint.path().trim_end_matches('/'));
        let asked = timeout(self.timeout, self.get(&doing, &path)).await;
        let body = asked.map_err(|_| {
            CollectError::unreachable(self.label(), &doing, format!("no answer within {:?}", self.timeout))
        })??;
        serde_json::from_slice(&body).map_err(|error| {
            CollectError::misbehaved(
                self.label(),
                &doing,
                format!("no page of Mailman ({error}): {}", shown(&body)),
            )
        })
    }

    async fn get(&self, doing: &str, path: &str) -> Result<Vec<u8>, CollectError> {
        let next = "write user and password without control characters";
        let authorization = self.authorization().ok_or_else(|| {
            CollectError::configuration(self.label(), "logging in", "the secret is no header value", next)
        })?;
        let request = (self.endpoint.request("GET", path))
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json")
            .body(Full::new(Bytes::new()))
            .map_err(|error| CollectError::misbehaved(self.label(), doing, error))?;
        let mut sender = self.endpoint.connect().await?;
        let answer = self.endpoint.exchange(&mut sender, request, (doing, "", MAX_ANSWER)).await?;
        match (answer.status, answer.elsewhere) {
            (StatusCode::OK, _) => Ok(answer.body),
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Err(self.denied(doing, answer.status)),
            (status, Some(to)) if status.is_redirection() => {
                let next = "name the URL of Mailman's REST interface itself; redirects are not followed";
                let cause = format!("it sends to {}", shown(to.as_bytes()));
                Err(CollectError::configuration(self.label(), doing, cause, next))
            }
            (status, _) => {
                let cause = format!("HTTP {}: {}", status.as_u16(), shown(&answer.body));
                Err(CollectError::misbehaved(self.label(), doing, cause))
            }
        }
    }

    fn denied(&self, doing: &str, status: StatusCode) -> CollectError {
        CollectError::Denied {
            server: self.label().to_owned(),
            doing: doing.to_owned(),
            cause: format!("HTTP {}", status.as_u16()),
            next: "check user and password against admin_user and admin_pass of [webservice] in mailman.cfg"
                .to_owned(),
            credentials: true,
        }
    }

    /// Everything of a kind, page after page, and why not all of it.
    async fn all<T: DeserializeOwned + Ord>(&self, what: &str, most: usize) -> (BTreeSet<T>, Option<Fault>) {
        let mut found = BTreeSet::new();
        for number in 1.. {
            let page: Page<T> = match self.page(what, number).await {
                Ok(page) => page,
                Err(error) => return (found, Some(Fault::Failed(error))),
            };
            let (total, is_last) = (page.total_size, page.entries.len() < PAGE);
            let before = found.len();
            found.extend(page.entries);
            if found.len() > most {
                return (found, Some(Fault::Bound(format!("{what} beyond the first {most}"))));
            }
            let is_stuck = found.len() == before;
            if is_last || is_stuck || found.len() >= total {
                let short = found.len() != total;
                let gap =
                    || Fault::Bound(format!("{} of {total} {what} (they changed meanwhile)", found.len()));
                let gap = short.then(gap);
                return (found, gap);
            }
        }
        (found, None)
    }
}

/// Reads every list and every membership.
pub async fn collect(plan: &MailmanPlan) -> Harvest {
    let mut look = Look { plan, harvest: Harvest::default(), gaps: Vec::new(), failed: None };
    let until = Instant::now() + BUDGET;
    if timeout_at(until, look.read()).await.is_err() {
        look.gaps.push(format!("what was not read within {BUDGET:?}"));
    }
    look.finish()
}

struct Look<'p> {
    plan: &'p MailmanPlan,
    harvest: Harvest,
    gaps: Vec<String>,
    failed: Option<CollectError>,
}

impl Look<'_> {
    async fn read(&mut self) {
        let (lists, fault) = self.plan.all::<List>("lists", MAX_LISTS).await;
        if !self.goes_on(fault) {
            return;
        }
        let names: BTreeMap<&str, &str> =
            lists.iter().map(|list| (list.list_id.as_str(), list.fqdn_listname.as_str())).collect();
        let (members, fault) = self.plan.all::<Member>("members", MAX_MEMBERS).await;
        self.goes_on(fault);
        let mut nameless = 0_usize;
        for member in members.iter().take(MAX_MEMBERS) {
            match (names.get(member.list_id.as_str()), role(&member.role)) {
                (Some(list), Some(role)) => self.observe(list, role, member),
                (None, Some(_)) => nameless += 1,
                (_, None) => {}
            }
        }
        if nameless > 0 {
            self.gaps.push(format!("{nameless} members of lists that Mailman does not list"));
        }
        let note = format!(
            "{} mailing lists with {} members, owners and moderators were read",
            lists.len(),
            members.len()
        );
        self.harvest.notes.push(note);
    }

    fn goes_on(&mut self, fault: Option<Fault>) -> bool {
        match fault {
            None => true,
            Some(Fault::Bound(gap)) => {
                self.gaps.push(gap);
                true
            }
            Some(Fault::Failed(error)) => {
                self.failed = Some(error);
                false
            }
        }
    }

    fn observe(&mut self, list: &str, role: ListRole, member: &Member) {
        let cut = |text: &str| text.chars().take(MAX_ADDRESS).collect::<String>();
        let (list, address) = (cut(list), cut(&member.email));
        let excerpt = format!("{address} is {} of {list}", role.word());
        let fact = Fact::ListMember(Box::new(ListMember {
            list,
            address,
            role,
            delivery: cut(&member.delivery_mode),
            interface: self.plan.url.clone(),
        }));
        let place = Place { mailbox: SYSTEM, surface: SURFACE, source: self.plan.label() };
        self.harvest.observe(&place, fact, excerpt.as_bytes(), &excerpt);
    }

    fn finish(mut self) -> Harvest {
        let place = Place { mailbox: SYSTEM, surface: SURFACE, source: self.plan.label() };
        match self.failed.take() {
            Some(error) if self.harvest.observations.is_empty() => {
                self.harvest.cover(&place, error.coverage_state(), error.to_string());
            }
            Some(error) => {
                self.harvest.cover(&place, CoverageState::Partial, format!("read in part: {error}"));
            }
            None if self.gaps.is_empty() => self.harvest.cover(&place, CoverageState::Collected, ""),
            None => {
                let reason = format!("not or not wholly read: {}", named(&self.gaps));
                self.harvest.cover(&place, CoverageState::Partial, reason);
            }
        }
        self.harvest
    }
}

/// Somebody who once wrote without being a member is on no list.
fn role(word: &str) -> Option<ListRole> {
    match word {
        "owner" => Some(ListRole::Owner),
        "moderator" => Some(ListRole::Moderator),
        "nonmember" => None,
        _ => Some(ListRole::Member),
    }
}
