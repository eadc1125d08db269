//! The rounds: every mailbox, every surface that was asked for, and exactly one coverage row for each.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use mailwarden_evidence::{Coverage, CoverageState, Fact, Observation, SYSTEM};
use secrecy::SecretString;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::accounts::{self, AccountsPlan};
use crate::clients::{self, ClientsPlan};
use crate::dovecot::{self, DovecotPlan, Host};
use crate::harvest::Place;
use crate::mailman::{self, MailmanPlan};
use crate::postfix::{self, PostfixPlan};
use crate::probe::{self, ProbePlan};
use crate::pulls::{self, PullsPlan};
use crate::standing::Standing;
use crate::turns::Turns;
use crate::{CollectError, Credentials, Dialer, Harvest, LoginStyle, Server, imap, managesieve};

/// Longest pause between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// Most connections to one server, whatever the plan says.
const MAX_CONNECTIONS: usize = 256;
/// Mailboxes looked at side by side on the mail host itself: each starts programs, and the host has mail to deliver.
const ON_HOST_AT_ONCE: usize = 4;

/// What is to be looked at.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The IMAP server, for accounts, grants and annotations.
    pub imap: Option<Server>,
    /// The ManageSieve server, for scripts.
    pub managesieve: Option<Server>,
    /// The sweeper's login on both; no master user where its name is empty.
    pub credentials: Credentials,
    /// Passwords of mailboxes that are logged in to as themselves.
    pub own_passwords: Arc<BTreeMap<String, SecretString>>,
    /// The Dovecot of this host.
    pub dovecot: Option<DovecotPlan>,
    /// The Postfix instance on this host.
    pub postfix: Option<PostfixPlan>,
    /// Where jobs that copy mail are looked for.
    pub pulls: Option<PullsPlan>,
    /// Where programs that fetch mail are looked for.
    pub clients: Option<ClientsPlan>,
    /// Mailing lists.
    pub mailman: Option<MailmanPlan>,
    /// Logins that are tried for accounts that ought to be closed.
    pub probe: Option<ProbePlan>,
    /// The command that lists accounts; every account it lists is looked at as well.
    pub accounts: Option<AccountsPlan>,
    /// The mailboxes; a name given twice is looked at once.
    pub mailboxes: Vec<String>,
    /// Most mailboxes looked at side by side, each with at most one connection to each server.
    pub connections: usize,
    /// Most connections to one server at a time; fewer where it does not take them.
    pub server_connections: usize,
    /// Shortest time between two logins at one server.
    pub pace: Option<Duration>,
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
            own_passwords: Arc::default(),
            dovecot: None,
            postfix: None,
            pulls: None,
            clients: None,
            mailman: None,
            probe: None,
            accounts: None,
            mailboxes: Vec::new(),
            connections: 32,
            server_connections: MAX_CONNECTIONS,
            pace: None,
            mailbox_deadline: Duration::from_secs(60),
            retries: 3,
            backoff: Duration::from_millis(250),
        }
    }

    /// Every mailbox and surface that gets a coverage row, for the mailboxes named so far.
    pub fn requested(&self) -> BTreeSet<(String, String)> {
        let own = self.mailbox_surfaces();
        let rows = self.mailboxes.iter().flat_map(|mailbox| own.iter().map(move |id| (mailbox.clone(), *id)));
        let system = self.system_surfaces().into_iter().map(|id| (SYSTEM.to_owned(), id));
        rows.chain(system).map(|(mailbox, id)| (mailbox, id.to_owned())).collect()
    }

    /// The surfaces of each mailbox.
    pub fn mailbox_surfaces(&self) -> BTreeSet<&'static str> {
        let imap = self.imap.iter().flat_map(|_| imap::SURFACES);
        let managesieve = self.managesieve.iter().map(|_| managesieve::SURFACE);
        let dovecot = self.dovecot.iter().flat_map(|_| dovecot::MAILBOX_SURFACES);
        imap.chain(managesieve).chain(dovecot).collect()
    }

    /// The surfaces of the mail system as a whole.
    pub fn system_surfaces(&self) -> BTreeSet<&'static str> {
        let postfix = self.postfix.iter().flat_map(|_| postfix::SURFACES);
        let accounts = self.accounts.iter().map(|_| "account");
        let dovecot = self.dovecot.iter().flat_map(|_| dovecot::SYSTEM_SURFACES);
        let dovecot = dovecot.filter(|id| *id != "account" || self.accounts.is_some());
        let pulls = self.pulls.iter().flat_map(|_| pulls::SURFACES);
        let probe = self.probe.iter().map(|_| probe::SURFACE);
        let pulls = pulls.chain(self.clients.iter().map(|_| clients::SURFACE));
        let pulls = pulls.chain(self.mailman.iter().map(|_| mailman::SURFACE));
        postfix.chain(accounts).chain(dovecot).chain(pulls).chain(probe).collect()
    }

    /// How to log in for a mailbox: with its own password where there is one.
    ///
    /// # Errors
    /// When there is neither its password nor a master user.
    pub fn credentials_of(&self, mailbox: &str) -> Result<Credentials, CollectError> {
        if let Some(password) = self.own_passwords.get(mailbox) {
            return Ok(Credentials {
                master_user: mailbox.to_owned(),
                master_password: password.clone(),
                style: LoginStyle::Own,
            });
        }
        if self.credentials.master_user.is_empty() {
            let next = "add it to the file of mailbox passwords, or name a master user";
            let cause = "there is no master user and no password of this mailbox";
            return Err(CollectError::configuration(mailbox, "logging in", cause, next));
        }
        Ok(self.credentials.clone())
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

/// Makes the rounds and brings everything home at once. Nothing that goes wrong ends them early; it stands in
/// the coverage.
pub async fn run(plan: Plan, progress: impl Fn(Progress) + Send + Sync) -> Harvest {
    let mut all = Harvest::default();
    let keep = |_: &str, harvest: Harvest| {
        all.absorb(harvest);
        Ok(())
    };
    let kept: io::Result<()> = run_into(plan, &BTreeSet::new(), keep, progress).await;
    debug_assert!(kept.is_ok(), "keeping in memory does not fail");
    all.sort();
    all
}

/// Makes the rounds and hands over each mailbox as soon as it is done, [`SYSTEM`] being one of them; those in
/// `done` are left out. At most as many mailboxes as are looked at side by side are held in memory.
///
/// # Errors
/// When `take` fails; the rounds end there.
pub async fn run_into(
    plan: Plan,
    done: &BTreeSet<String>,
    mut take: impl FnMut(&str, Harvest) -> io::Result<()>,
    progress: impl Fn(Progress) + Send + Sync,
) -> io::Result<()> {
    let rounds = Rounds::prepare(plan, &progress).await;
    if !done.contains(SYSTEM) {
        take(SYSTEM, rounds.look_at(SYSTEM).await)?;
    }
    let named = rounds.mailboxes();
    let (total, finished) = (named.len(), AtomicUsize::new(named.intersection(done).count()));
    let visits = stream::iter(named.difference(done)).map(|mailbox| {
        let (rounds, finished, progress) = (&rounds, &finished, &progress);
        async move {
            progress(Progress::Started { mailbox: mailbox.clone() });
            let harvest = rounds.look_at(mailbox).await;
            let done = finished.fetch_add(1, Ordering::Relaxed) + 1;
            progress(Progress::Finished { mailbox: mailbox.clone(), done, total });
            (mailbox, harvest)
        }
    });
    let mut visits = std::pin::pin!(visits.buffer_unordered(rounds.side_by_side()));
    while let Some((mailbox, harvest)) = visits.next().await {
        take(mailbox, harvest)?;
    }
    Ok(())
}

/// Jobs of users of the system, and of those whom only the mail server knows.
fn look_for_jobs(plan: &PullsPlan, homes: Vec<PathBuf>) -> Harvest {
    let mut plan = plan.clone();
    plan.homes.extend(homes);
    pulls::collect(&plan)
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

async fn prepare_host(
    plan: &Plan,
    listed: &BTreeSet<String>,
) -> (Harvest, Option<Result<Host, CollectError>>) {
    let Some(dovecot) = &plan.dovecot else { return (Harvest::default(), None) };
    let (harvest, host) = Host::prepare(dovecot, listed, &plan.mailboxes).await;
    (harvest, Some(host))
}

async fn look_at_postfix(plan: &Plan) -> Harvest {
    match &plan.postfix {
        Some(postfix) => {
            let mut postfix = postfix.clone();
            postfix.known.clone_from(&plan.mailboxes);
            postfix::collect(&postfix).await
        }
        None => Harvest::default(),
    }
}

/// The rounds with everything at hand: who is there, and how each server is asked. Whoever has them says which
/// mailbox is looked at when.
pub struct Rounds<'a> {
    plan: Plan,
    named: BTreeSet<String>,
    listed: BTreeSet<String>,
    imap: Option<Round>,
    managesieve: Option<Round>,
    host: Option<Result<Host, CollectError>>,
    host_label: String,
    host_turns: Semaphore,
    surfaces: BTreeSet<&'static str>,
    /// What was learned of the mail system before the first mailbox, until somebody asks for it.
    learned: Mutex<Harvest>,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl<'a> Rounds<'a> {
    /// Lists the accounts and prepares the servers.
    pub async fn prepare(mut plan: Plan, progress: &'a (dyn Fn(Progress) + Send + Sync)) -> Self {
        let mut learned = list_accounts(&plan).await;
        let listed: BTreeSet<String> = learned.observations.iter().filter_map(login).collect();
        let named: BTreeSet<String> = plan.mailboxes.iter().cloned().chain(listed.iter().cloned()).collect();
        plan.mailboxes = named.iter().cloned().collect();
        let (of_host, host) = prepare_host(&plan, &listed).await;
        learned.absorb(of_host);
        Self {
            imap: plan.imap.clone().map(|server| Round::new("imap", server, &plan)),
            managesieve: plan.managesieve.clone().map(|server| Round::new("managesieve", server, &plan)),
            host,
            host_label: plan.dovecot.as_ref().map(DovecotPlan::source).unwrap_or_default(),
            host_turns: Semaphore::new(ON_HOST_AT_ONCE),
            surfaces: plan.mailbox_surfaces(),
            learned: Mutex::new(learned),
            named,
            listed,
            plan,
            progress,
        }
    }

    /// Every mailbox that the plan names or the server lists.
    pub fn mailboxes(&self) -> &BTreeSet<String> {
        &self.named
    }

    /// Mailboxes that are looked at side by side.
    pub fn side_by_side(&self) -> usize {
        self.plan.connections.clamp(1, MAX_CONNECTIONS)
    }

    /// Looks at one mailbox, or once at [`SYSTEM`]: one row of coverage for each surface, whatever happens.
    pub async fn look_at(&self, mailbox: &str) -> Harvest {
        if mailbox != SYSTEM {
            return self.visit(mailbox).await;
        }
        let mut system = look_at_postfix(&self.plan).await;
        system.absorb(std::mem::take(&mut *self.learned.lock().await));
        let homes =
            self.host.as_ref().and_then(|host| host.as_ref().ok()).map(Host::homes).unwrap_or_default();
        let jobs = self.plan.pulls.as_ref().map(|pulls| look_for_jobs(pulls, homes));
        system.absorb(jobs.unwrap_or_default());
        if let Some(clients) = &self.plan.clients {
            system.absorb(clients::collect(clients).await);
        }
        if let Some(mailman) = &self.plan.mailman {
            system.absorb(mailman::collect(mailman).await);
        }
        if let Some(probe) = &self.plan.probe {
            let host = self.host.as_ref().and_then(|host| host.as_ref().ok());
            let locked = host.map(Host::locked).unwrap_or_default();
            system.absorb(probe::collect(probe, &locked).await);
        }
        settle(&mut system, SYSTEM, &self.plan.system_surfaces());
        system
    }

    /// Why a server is not asked any more: it refused the sweeper itself several times, or has long been gone.
    pub fn given_up(&self) -> Option<CollectError> {
        let rounds = [&self.imap, &self.managesieve];
        rounds.into_iter().flatten().find_map(|round| round.standing.check(&round.label).err())
    }

    /// Servers and host side by side, so that one that hangs does not cost the others' answers.
    async fn visit(&self, mailbox: &str) -> Harvest {
        let imap = async {
            let round = self.imap.as_ref()?;
            let attempt = |dialer, credentials: Credentials| async move {
                imap::collect(dialer, &credentials, mailbox).await
            };
            Some(self.on_server(round, &imap::SURFACES, mailbox, attempt).await)
        };
        let managesieve = async {
            let round = self.managesieve.as_ref()?;
            let attempt = |dialer, credentials: Credentials| async move {
                managesieve::collect(dialer, &credentials, mailbox).await
            };
            Some(self.on_server(round, &[managesieve::SURFACE], mailbox, attempt).await)
        };
        let (imap, managesieve, host) = tokio::join!(imap, managesieve, self.on_host(mailbox));
        let mut harvest = imap.unwrap_or_default();
        harvest.absorb(managesieve.unwrap_or_default());
        harvest.absorb(host.unwrap_or_default());
        doubt_empty_script_list(&mut harvest, self.listed.contains(mailbox));
        settle(&mut harvest, mailbox, &self.surfaces);
        harvest
    }

    async fn on_host(&self, mailbox: &str) -> Option<Harvest> {
        let host = match self.host.as_ref()? {
            Ok(host) => host,
            Err(error) => {
                let surfaces = dovecot::MAILBOX_SURFACES;
                return Some(Harvest::failed(mailbox, &surfaces, &self.host_label, error));
            }
        };
        let _turn = self.host_turns.acquire().await;
        let visit = timeout(self.plan.mailbox_deadline, host.visit(mailbox)).await;
        Some(visit.unwrap_or_else(|_| {
            let cause = format!("not finished within {:?}", self.plan.mailbox_deadline);
            let error = CollectError::unreachable(&self.host_label, "looking at the mailbox", cause);
            Harvest::failed(mailbox, &dovecot::MAILBOX_SURFACES, &self.host_label, &error)
        }))
    }

    async fn on_server<'r, F>(
        &self,
        round: &'r Round,
        surfaces: &[&str],
        mailbox: &str,
        attempt: impl Fn(&'r Dialer, Credentials) -> F,
    ) -> Harvest
    where
        F: Future<Output = Result<Harvest, CollectError>>,
    {
        let failed = |error: &CollectError| Harvest::failed(mailbox, surfaces, &round.label, error);
        let (dialer, credentials) = match (&round.dialer, self.plan.credentials_of(mailbox)) {
            (Ok(dialer), Ok(credentials)) => (dialer, credentials),
            (Err(error), _) => return failed(error),
            (_, Err(error)) => return failed(&error),
        };
        // Waiting for a turn is not the mailbox's time.
        let _turn = round.turns.take().await;
        round.pace.wait().await;
        let attempts = self.attempts(round, mailbox, || attempt(dialer, credentials.clone()));
        let outcome = match timeout(self.plan.mailbox_deadline, attempts).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let cause = format!("not finished within {:?}", self.plan.mailbox_deadline);
                let late = Err(CollectError::unreachable(&round.label, "looking at the mailbox", cause));
                round.turns.learn(&late);
                late
            }
        };
        if outcome.as_ref().is_err_and(CollectError::is_transient) {
            round.standing.give_up();
        }
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
        let own = self.plan.own_passwords.contains_key(mailbox);
        loop {
            if !own {
                round.standing.check(&round.label)?;
            }
            let outcome = attempt().await;
            round.turns.learn(&outcome);
            // A mailbox's own password says nothing about the master's.
            if !own {
                round.standing.learn(&outcome);
            }
            match outcome {
                Err(error) if error.is_transient() && left > 0 => {
                    left -= 1;
                    (self.progress)(Progress::Retrying { mailbox: mailbox.to_owned(), error, pause });
                    sleep(pause).await;
                    round.pace.wait().await;
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
    standing: Standing,
    turns: Turns,
    pace: Pace,
}

impl Round {
    fn new(protocol: &str, server: Server, plan: &Plan) -> Self {
        let label = format!("{protocol} {}:{}", server.host, server.port);
        Self {
            dialer: Dialer::new(protocol, server),
            label,
            standing: Standing::default(),
            turns: Turns::new(plan.server_connections.min(MAX_CONNECTIONS)),
            pace: Pace { between: plan.pace, next: Mutex::new(Instant::now()) },
        }
    }
}

/// Keeps logins apart, so that a server with other work to do is not taken up by the rounds.
struct Pace {
    between: Option<Duration>,
    next: Mutex<Instant>,
}

impl Pace {
    async fn wait(&self) {
        let Some(between) = self.between else { return };
        let slot = {
            let mut next = self.next.lock().await;
            let slot = (*next).max(Instant::now());
            *next = slot + between;
            slot
        };
        sleep_until(slot).await;
    }
}

/// A server with a permissive user database answers for a mailbox that does not exist with an empty list of
/// scripts. Empty is only believed of a mailbox that something else has shown to exist.
fn doubt_empty_script_list(harvest: &mut Harvest, listed: bool) {
    let proves = |seen: &Observation| matches!(&seen.fact, Fact::SieveScript { .. } | Fact::Account { .. });
    if listed || harvest.observations.iter().any(proves) {
        return;
    }
    for row in harvest.coverage.iter_mut().filter(|row| row.surface == managesieve::SURFACE) {
        if row.state == CoverageState::Collected {
            row.state = CoverageState::Partial;
            row.reason =
                "no scripts are listed, and nothing proves that the mailbox exists: a static user database \
                 lets anybody in; look at it over IMAP too, or list the accounts"
                    .to_owned();
        }
    }
}

/// Exactly one row for each surface asked for; a missing one is an error.
///
/// Of several rows of one server the worst stands. Of several collectors that each see the whole surface, the
/// one that saw most stands: a mailbox whose owner may not log in is seen on the mail host all the same.
fn settle(harvest: &mut Harvest, mailbox: &str, requested: &BTreeSet<&'static str>) {
    harvest.drop_repetitions();
    let mut by_source: BTreeMap<(String, String), Coverage> = BTreeMap::new();
    for row in std::mem::take(&mut harvest.coverage) {
        let key = (row.surface.clone(), row.source.clone());
        let worse = |known: &Coverage| known.state.is_complete() && !row.state.is_complete();
        if by_source.get(&key).is_none_or(worse) {
            by_source.insert(key, row);
        }
    }
    let mut rows: BTreeMap<String, Coverage> = BTreeMap::new();
    for row in by_source.into_values() {
        if rows.get(&row.surface).is_none_or(|known| rank(known.state) < rank(row.state)) {
            rows.insert(row.surface.clone(), row);
        }
    }
    for surface in requested {
        if !rows.contains_key(*surface) {
            let place = Place { mailbox, surface, source: "mailwarden" };
            let reason = "no collector reported on this surface; this is a fault of mailwarden, report it";
            harvest.cover(&place, CoverageState::Error, reason);
        }
    }
    harvest.coverage.extend(rows.into_values());
    harvest.sort();
}

/// Whose word counts among several collectors. That one protocol does not know a surface says little where
/// another collector does: Dovecot enforces access control lists that its IMAP may not announce.
fn rank(state: CoverageState) -> u8 {
    match state {
        CoverageState::Skipped => 0,
        CoverageState::Unsupported => 1,
        CoverageState::Error => 2,
        CoverageState::Denied => 3,
        CoverageState::Partial => 4,
        CoverageState::Collected => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_row_of_a_server_stands_and_the_best_of_several_collectors() {
        let mut harvest = Harvest::default();
        let at = |surface, source| Place { mailbox: "a", surface, source };
        harvest.cover(&at("imap.acl", "imap"), CoverageState::Collected, "");
        harvest.cover(&at("imap.acl", "imap"), CoverageState::Denied, "no");
        harvest.cover(&at("managesieve.scripts", "managesieve"), CoverageState::Denied, "locked");
        harvest.cover(&at("managesieve.scripts", "dovecot"), CoverageState::Collected, "");
        harvest.cover(&at("imap.metadata", "imap"), CoverageState::Unsupported, "not announced");
        harvest.cover(&at("imap.metadata", "dovecot"), CoverageState::Error, "no disk");
        settle(&mut harvest, "a", &["imap.acl", "account", "managesieve.scripts"].into());
        assert_eq!(harvest.coverage.len(), 4);
        let state = |surface| harvest.coverage_of("a", surface).unwrap().state;
        assert_eq!(state("imap.acl"), CoverageState::Denied);
        assert_eq!(state("managesieve.scripts"), CoverageState::Collected);
        assert_eq!(state("account"), CoverageState::Error);
        assert_eq!(state("imap.metadata"), CoverageState::Error);
    }

    #[test]
    fn an_empty_script_list_is_believed_only_of_a_proved_account() {
        let state = |listed, seen| {
            let mut harvest = Harvest::default();
            let place = Place { mailbox: "a", surface: managesieve::SURFACE, source: "s" };
            harvest.cover(&place, CoverageState::Collected, "");
            if seen {
                let place = Place { mailbox: "a", surface: "account", source: "s" };
                harvest.observe(&place, Fact::Account { login: "a".into() }, b"", "");
            }
            doubt_empty_script_list(&mut harvest, listed);
            harvest.coverage_of("a", managesieve::SURFACE).unwrap().state
        };
        assert_eq!(state(true, false), CoverageState::Collected);
        assert_eq!(state(false, true), CoverageState::Collected);
        assert_eq!(state(false, false), CoverageState::Partial);
    }

    #[tokio::test]
    async fn logins_are_kept_apart() {
        let begin = Instant::now();
        let pace = Pace { between: Some(Duration::from_millis(20)), next: Mutex::new(begin) };
        for _ in 0..5 {
            pace.wait().await;
        }
        assert!(begin.elapsed() >= Duration::from_millis(80), "{:?}", begin.elapsed());
    }

    #[test]
    fn a_mailbox_without_any_password_is_told_so() {
        let nobody = Credentials {
            master_user: String::new(),
            master_password: String::new().into(),
            style: LoginStyle::Authzid,
        };
        let mut plan = Plan::new(nobody);
        let own = BTreeMap::from([("jane".to_owned(), SecretString::from("pw"))]);
        plan.own_passwords = own.into();
        assert_eq!(plan.credentials_of("jane").unwrap().style, LoginStyle::Own);
        let error = plan.credentials_of("bob").unwrap_err();
        assert!(error.to_string().contains("no password of this mailbox"), "{error}");
    }
}
