//! The rounds: every mailbox, every surface that was asked for, and exactly one coverage row for each.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use mailwarden_evidence::{Coverage, CoverageState, Fact, Observation, SYSTEM};
use tokio::time::{sleep, timeout};

use crate::accounts::{self, AccountsPlan};
use crate::harvest::Place;
use crate::postfix::{self, PostfixPlan};
use crate::{CollectError, Credentials, Dialer, Harvest, Server, imap, managesieve};

/// Logins in a row that may be refused for the sweeper's own credentials before it stops trying. More would
/// only raise the server's penalty for this address and fill its log.
pub const MAX_REFUSED_LOGINS: u32 = 3;
/// Longest pause between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// Most connections to one server, whatever the plan says.
const MAX_CONNECTIONS: usize = 256;

/// What is to be looked at.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The IMAP server, for accounts, grants and annotations.
    pub imap: Option<Server>,
    /// The ManageSieve server, for scripts.
    pub managesieve: Option<Server>,
    /// The sweeper's login on both.
    pub credentials: Credentials,
    /// The Postfix instance on this host.
    pub postfix: Option<PostfixPlan>,
    /// The command that lists accounts; every account it lists is looked at as well.
    pub accounts: Option<AccountsPlan>,
    /// The mailboxes; a name given twice is looked at once.
    pub mailboxes: Vec<String>,
    /// Mailboxes looked at side by side, each with at most one connection to each server.
    pub connections: usize,
    /// How long one mailbox may take on one server, all attempts together.
    pub mailbox_deadline: Duration,
    /// How often an attempt is repeated when the server could not be reached.
    pub retries: u32,
    /// The pause before the first repetition; it doubles each time.
    pub backoff: Duration,
}

impl Plan {
    /// A plan that asks for nothing yet.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            imap: None,
            managesieve: None,
            credentials,
            postfix: None,
            accounts: None,
            mailboxes: Vec::new(),
            connections: 4,
            mailbox_deadline: Duration::from_secs(60),
            retries: 3,
            backoff: Duration::from_millis(250),
        }
    }

    /// Every mailbox and surface that gets a coverage row.
    pub fn requested(&self) -> BTreeSet<(String, String)> {
        let mut surfaces = Vec::new();
        if self.imap.is_some() {
            surfaces.extend(imap::SURFACES);
        }
        if self.managesieve.is_some() {
            surfaces.push(managesieve::SURFACE);
        }
        let rows = self
            .mailboxes
            .iter()
            .flat_map(|mailbox| surfaces.iter().map(move |surface| (mailbox.clone(), *surface)));
        let mut requested: BTreeSet<(String, String)> =
            rows.map(|(mailbox, surface)| (mailbox, surface.to_owned())).collect();
        if self.postfix.is_some() {
            requested.extend(postfix::SURFACES.map(|surface| (SYSTEM.to_owned(), surface.to_owned())));
        }
        if self.accounts.is_some() {
            requested.insert((SYSTEM.to_owned(), "account".to_owned()));
        }
        requested
    }
}

/// How far the rounds have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A mailbox is being looked at.
    Started {
        /// The mailbox.
        mailbox: String,
    },
    /// A server could not be reached; the attempt will be repeated.
    Retrying {
        /// The mailbox.
        mailbox: String,
        /// Why.
        error: CollectError,
        /// After this pause.
        pause: Duration,
    },
    /// A mailbox is done.
    Finished {
        /// The mailbox.
        mailbox: String,
        /// Mailboxes done so far.
        done: usize,
        /// Mailboxes in all.
        total: usize,
    },
}

/// Makes the rounds. Nothing that goes wrong ends them early; it stands in the coverage.
pub async fn run(mut plan: Plan, progress: impl Fn(Progress) + Send + Sync) -> Harvest {
    let accounts = list_accounts(&plan).await;
    plan.mailboxes.extend(accounts.observations.iter().filter_map(login));
    let mailboxes: BTreeSet<String> = plan.mailboxes.iter().cloned().collect();
    let total = mailboxes.len();
    let done = AtomicUsize::new(0);
    let rounds = Rounds {
        imap: plan.imap.clone().map(|server| Round::new("imap", server)),
        managesieve: plan.managesieve.clone().map(|server| Round::new("managesieve", server)),
        plan: &plan,
        progress: &progress,
    };
    let visits = stream::iter(mailboxes).map(|mailbox| {
        let (rounds, done, progress) = (&rounds, &done, &progress);
        async move {
            progress(Progress::Started { mailbox: mailbox.clone() });
            let harvest = rounds.visit(&mailbox).await;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            progress(Progress::Finished { mailbox, done, total });
            harvest
        }
    });
    let visits = visits.buffer_unordered(plan.connections.clamp(1, MAX_CONNECTIONS)).fold(
        Harvest::default(),
        |mut all, harvest| async move {
            all.absorb(harvest);
            all
        },
    );
    let (mut harvest, postfix) = tokio::join!(visits, look_at_postfix(&plan));
    harvest.absorb(accounts);
    harvest.absorb(postfix);
    doubt_empty_script_lists(&mut harvest);
    settle_coverage(&mut harvest, &plan.requested());
    harvest.sort();
    harvest
}

async fn list_accounts(plan: &Plan) -> Harvest {
    match &plan.accounts {
        Some(accounts) => accounts::collect(accounts).await,
        None => Harvest::default(),
    }
}

fn login(seen: &Observation) -> Option<String> {
    match &seen.fact {
        Fact::Account { login } => Some(login.clone()),
        _ => None,
    }
}

async fn look_at_postfix(plan: &Plan) -> Harvest {
    match &plan.postfix {
        Some(postfix) => postfix::collect(postfix).await,
        None => Harvest::default(),
    }
}

struct Rounds<'a> {
    plan: &'a Plan,
    imap: Option<Round>,
    managesieve: Option<Round>,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Rounds<'_> {
    /// Both servers side by side, so that one that hangs does not cost the other's answer.
    async fn visit(&self, mailbox: &str) -> Harvest {
        let credentials = &self.plan.credentials;
        let imap = async {
            let round = self.imap.as_ref()?;
            let attempt = |dialer| async move { imap::collect(dialer, credentials, mailbox).await };
            Some(self.on_server(round, &imap::SURFACES, mailbox, attempt).await)
        };
        let managesieve = async {
            let round = self.managesieve.as_ref()?;
            let attempt = |dialer| async move { managesieve::collect(dialer, credentials, mailbox).await };
            Some(self.on_server(round, &[managesieve::SURFACE], mailbox, attempt).await)
        };
        let (imap, managesieve) = tokio::join!(imap, managesieve);
        let mut harvest = imap.unwrap_or_default();
        harvest.absorb(managesieve.unwrap_or_default());
        harvest
    }

    async fn on_server<'r, F>(
        &self,
        round: &'r Round,
        surfaces: &[&str],
        mailbox: &str,
        attempt: impl Fn(&'r Dialer) -> F,
    ) -> Harvest
    where
        F: Future<Output = Result<Harvest, CollectError>>,
    {
        let dialer = match &round.dialer {
            Ok(dialer) => dialer,
            Err(error) => return Harvest::failed(mailbox, surfaces, &round.label, error),
        };
        let attempts = self.attempts(round, mailbox, || attempt(dialer));
        let outcome = match timeout(self.plan.mailbox_deadline, attempts).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let cause = format!("not finished within {:?}", self.plan.mailbox_deadline);
                Err(CollectError::unreachable(&round.label, "looking at the mailbox", cause))
            }
        };
        outcome.unwrap_or_else(|error| Harvest::failed(mailbox, surfaces, &round.label, &error))
    }

    async fn attempts<F>(
        &self,
        round: &Round,
        mailbox: &str,
        attempt: impl Fn() -> F,
    ) -> Result<Harvest, CollectError>
    where
        F: Future<Output = Result<Harvest, CollectError>>,
    {
        let mut pause = self.plan.backoff;
        let mut left = self.plan.retries;
        loop {
            round.gate.check(&round.label)?;
            let outcome = attempt().await;
            round.gate.learn(&outcome);
            match outcome {
                Err(error) if error.is_transient() && left > 0 => {
                    left -= 1;
                    (self.progress)(Progress::Retrying { mailbox: mailbox.to_owned(), error, pause });
                    sleep(pause).await;
                    pause = pause.saturating_mul(2).min(MAX_BACKOFF);
                }
                settled => return settled,
            }
        }
    }
}

/// One server during the rounds.
struct Round {
    dialer: Result<Dialer, CollectError>,
    label: String,
    gate: LoginGate,
}

impl Round {
    fn new(protocol: &str, server: Server) -> Self {
        let label = format!("{protocol} {}:{}", server.host, server.port);
        Self { dialer: Dialer::new(protocol, server), label, gate: LoginGate::default() }
    }
}

/// Closes for good once the sweeper's credentials have been refused several times in a row.
#[derive(Debug, Default)]
struct LoginGate {
    refused: AtomicU32,
    closed: AtomicBool,
}

impl LoginGate {
    fn check(&self, label: &str) -> Result<(), CollectError> {
        if !self.closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(CollectError::Denied {
            server: label.to_owned(),
            doing: "not tried".to_owned(),
            cause: format!("the master login was refused {MAX_REFUSED_LOGINS} times in a row"),
            next: "check the master user, its password and the login style, then run again".to_owned(),
            credentials: true,
        })
    }

    fn learn(&self, outcome: &Result<Harvest, CollectError>) {
        match outcome {
            Err(error) if error.refuses_credentials() => {
                if self.refused.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_REFUSED_LOGINS {
                    self.closed.store(true, Ordering::Relaxed);
                }
            }
            // Any login that got through proves the password, also one refused for the mailbox's own sake.
            Ok(_) | Err(CollectError::Denied { .. }) => self.refused.store(0, Ordering::Relaxed),
            Err(_) => {}
        }
    }
}

/// A server with a permissive user database answers for a mailbox that does not exist with an empty list of
/// scripts. Empty is only believed of a mailbox that something else has shown to exist.
fn doubt_empty_script_lists(harvest: &mut Harvest) {
    let mut proved: BTreeSet<&str> = BTreeSet::new();
    for seen in &harvest.observations {
        match &seen.fact {
            Fact::SieveScript { .. } => proved.insert(&seen.mailbox),
            Fact::Account { login } => proved.insert(login),
            _ => false,
        };
    }
    for row in harvest.coverage.iter_mut().filter(|row| row.surface == managesieve::SURFACE) {
        if row.state == CoverageState::Collected && !proved.contains(row.mailbox.as_str()) {
            row.state = CoverageState::Partial;
            row.reason =
                "no scripts are listed, and nothing proves that the mailbox exists: a static user database \
                          lets anybody in; look at it over IMAP too, or list the accounts"
                    .to_owned();
        }
    }
}

/// Exactly one row for each mailbox and surface asked for: of several the worst stands, a missing one is an
/// error.
fn settle_coverage(harvest: &mut Harvest, requested: &BTreeSet<(String, String)>) {
    let mut rows: BTreeMap<(String, String), Coverage> = BTreeMap::new();
    for row in std::mem::take(&mut harvest.coverage) {
        let key = (row.mailbox.clone(), row.surface.clone());
        let worse = rows.get(&key).is_none_or(|known| known.state.is_complete() && !row.state.is_complete());
        if worse {
            rows.insert(key, row);
        }
    }
    harvest.coverage = std::mem::take(&mut rows).into_values().collect();
    let known: BTreeSet<(String, String)> =
        harvest.coverage.iter().map(|row| (row.mailbox.clone(), row.surface.clone())).collect();
    for (mailbox, surface) in requested.difference(&known) {
        let place = Place { mailbox, surface, source: "mailwarden" };
        let reason = "no collector reported on this surface; this is a fault of mailwarden, report it";
        harvest.cover(&place, CoverageState::Error, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(credentials: bool) -> Result<Harvest, CollectError> {
        let word = || "x".to_owned();
        Err(CollectError::Denied { server: word(), doing: word(), cause: word(), next: word(), credentials })
    }

    #[test]
    fn the_gate_closes_after_refusals_in_a_row_and_stays_closed() {
        let gate = LoginGate::default();
        gate.learn(&denied(true));
        gate.learn(&denied(true));
        gate.learn(&denied(false));
        gate.learn(&denied(true));
        gate.learn(&denied(true));
        assert!(gate.check("imap h:1").is_ok());
        gate.learn(&denied(true));
        assert!(gate.check("imap h:1").unwrap_err().to_string().starts_with("not tried"));
        gate.learn(&Ok(Harvest::default()));
        assert!(gate.check("imap h:1").is_err());
    }

    #[test]
    fn an_unreachable_server_says_nothing_about_the_password() {
        let gate = LoginGate::default();
        for _ in 0..10 {
            gate.learn(&Err(CollectError::unreachable("s", "d", "c")));
        }
        assert!(gate.check("imap h:1").is_ok());
    }

    #[test]
    fn the_worst_row_stands_and_a_missing_one_is_an_error() {
        let mut harvest = Harvest::default();
        let place = |surface| Place { mailbox: "a", surface, source: "s" };
        harvest.cover(&place("imap.acl"), CoverageState::Collected, "");
        harvest.cover(&place("imap.acl"), CoverageState::Denied, "no");
        let requested = ["imap.acl", "account"].map(|surface| ("a".to_owned(), surface.to_owned()));
        settle_coverage(&mut harvest, &requested.into());
        assert_eq!(harvest.coverage.len(), 2);
        assert_eq!(harvest.coverage_of("a", "imap.acl").unwrap().state, CoverageState::Denied);
        assert_eq!(harvest.coverage_of("a", "account").unwrap().state, CoverageState::Error);
    }

    #[test]
    fn an_empty_script_list_is_believed_only_of_a_proved_account() {
        let mut harvest = Harvest::default();
        for mailbox in ["known", "ghost"] {
            let place = Place { mailbox, surface: managesieve::SURFACE, source: "s" };
            harvest.cover(&place, CoverageState::Collected, "");
        }
        let place = Place { mailbox: SYSTEM, surface: "account", source: "s" };
        harvest.observe(&place, Fact::Account { login: "known".into() }, b"", "");
        doubt_empty_script_lists(&mut harvest);
        assert_eq!(
            harvest.coverage_of("known", managesieve::SURFACE).unwrap().state,
            CoverageState::Collected
        );
        assert_eq!(harvest.coverage_of("ghost", managesieve::SURFACE).unwrap().state, CoverageState::Partial);
    }
}
