//! Whether accounts that ought to be closed really are: one login for each of them and each service, with a credential
//! that the administrator gives. Lookups say what a server is configured to do; this says what it does.
//!
//! Nobody is locked out by it: an account that is in service is never tried, there is one attempt and no second, and a
//! service that does not answer, or refuses the sweeper itself, is not asked for the others. No message is read, sent or
//! deleted: whoever is let in leaves at once.

mod pop3;
mod submission;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mailwarden_evidence::{CoverageState, Fact, LoginTrial, SYSTEM, TrialCredential};
use secrecy::SecretString;
use tokio::time::{Instant, timeout_at};

use crate::harvest::{Place, named};
use crate::{CollectError, Credentials, Dialer, Harvest, LoginStyle, Server, imap, managesieve};

/// The surface this collector covers.
pub const SURFACE: &str = "account.probe";
/// Most accounts that are tried in one run.
const MAX_ACCOUNTS: usize = 500;
/// How long all attempts at one service may take: servers answer refused logins late, and each later than the one
/// before.
const BUDGET: Duration = Duration::from_secs(600);

/// A service that takes logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// IMAP.
    Imap,
    /// POP3 (RFC 1939).
    Pop3,
    /// Message submission (RFC 6409).
    Submission,
    /// ManageSieve.
    ManageSieve,
}

impl Service {
    /// As it is called in findings and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Submission => "submission",
            Self::ManageSieve => "managesieve",
        }
    }

    /// A master user that may send is a danger of its own, and a refusal would prove nothing but that it may not.
    fn takes_master(self) -> bool {
        self != Self::Submission
    }
}

/// What is tried.
#[derive(Debug, Clone)]
pub struct ProbePlan {
    /// The servers.
    pub servers: BTreeMap<Service, Server>,
    /// Accounts that ought to be closed, beside those that a lookup finds locked.
    pub accounts: BTreeSet<String>,
    /// A test password of each account, in lower case.
    pub passwords: BTreeMap<String, SecretString>,
    /// The master user, for accounts without a test password.
    pub master: Option<Credentials>,
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// Let in.
    Accepted,
    /// Not let in, in the server's words.
    Refused(String),
    /// Neither is proved; whether the service is worth asking for the next account.
    Unknown { why: String, goes_on: bool },
}

/// How an account is tried.
struct Key {
    credentials: Credentials,
    kind: TrialCredential,
}

/// Tries every account at every service, the services side by side.
pub async fn collect(plan: &ProbePlan, locked: &[String]) -> Harvest {
    // Servers may tell capitals apart in logins, the policy does not.
    let by_name = plan.accounts.iter().chain(locked).map(|login| (login.to_lowercase(), login.clone()));
    let accounts: BTreeMap<String, String> = by_name.collect();
    let mut gaps: Vec<String> = Vec::new();
    if accounts.len() > MAX_ACCOUNTS {
        gaps.push(format!("{} accounts beyond the first {MAX_ACCOUNTS}", accounts.len() - MAX_ACCOUNTS));
    }
    let accounts: Vec<String> = accounts.into_values().take(MAX_ACCOUNTS).collect();
    let services = plan.servers.iter().map(|(service, server)| at_service(plan, *service, server, &accounts));
    let mut harvest = Harvest::default();
    for (seen, more) in futures_util::future::join_all(services).await {
        harvest.absorb(seen);
        gaps.extend(more);
    }
    harvest.notes.extend(summary(&harvest));
    let place = Place { mailbox: SYSTEM, surface: SURFACE, source: "login attempts" };
    match gaps.is_empty() {
        true => harvest.cover(&place, CoverageState::Collected, ""),
        false => harvest.cover(
            &place,
            CoverageState::Partial,
            format!("not tried or not proved: {}", named(&gaps)),
        ),
    }
    harvest
}

/// How many attempts proved what.
fn summary(harvest: &Harvest) -> Option<String> {
    let count = |wanted: LoginTrial| {
        let is_it = |fact: &Fact| matches!(fact, Fact::LoginTried { trial, .. } if *trial == wanted);
        harvest.observations.iter().filter(|seen| is_it(&seen.fact)).count()
    };
    let (accepted, refused) = (count(LoginTrial::Accepted), count(LoginTrial::Refused));
    (accepted + refused > 0).then(|| {
        format!(
            "logins were tried for accounts that ought to be closed: {accepted} accepted, {refused} refused; a refusal \
             proves it for the credential that was tried alone"
        )
    })
}

async fn at_service(
    plan: &ProbePlan,
    service: Service,
    server: &Server,
    accounts: &[String],
) -> (Harvest, Vec<String>) {
    let (mut harvest, mut gaps) = (Harvest::default(), Vec::new());
    let dialer = match Dialer::new(service.name(), server.clone()) {
        Ok(dialer) => dialer,
        Err(error) => return (harvest, vec![error.to_string()]),
    };
    let place = Place { mailbox: SYSTEM, surface: SURFACE, source: dialer.label() };
    let until = Instant::now() + BUDGET;
    for (at, account) in accounts.iter().enumerate() {
        let Some(key) = key(plan, service, account) else {
            gaps.push(format!("{account} by {} (no credential for it)", service.name()));
            continue;
        };
        let outcome = match timeout_at(until, attempt(service, &dialer, &key, account)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Unknown { why: format!("all attempts took {BUDGET:?}"), goes_on: false },
        };
        match tried(account, service, &key, outcome) {
            Ok((fact, excerpt)) => harvest.observe(&place, fact, excerpt.as_bytes(), &excerpt),
            Err((why, goes_on)) => {
                gaps.push(format!("{account} by {} ({why})", service.name()));
                if !goes_on {
                    let left = accounts.len() - at - 1;
                    gaps.extend((left > 0).then(|| format!("{left} further accounts by {}", service.name())));
                    break;
                }
            }
        }
    }
    (harvest, gaps)
}

/// The account's own test password, or the master user where one may be used.
fn key(plan: &ProbePlan, service: Service, account: &str) -> Option<Key> {
    if let Some(password) = plan.passwords.get(&account.to_lowercase()) {
        let credentials = Credentials {
            master_user: account.to_owned(),
            master_password: password.clone(),
            style: LoginStyle::Own,
        };
        return Some(Key { credentials, kind: TrialCredential::TestPassword });
    }
    let master = plan.master.as_ref().filter(|_| service.takes_master())?;
    Some(Key { credentials: master.clone(), kind: TrialCredential::MasterUser })
}

fn tried(
    account: &str,
    service: Service,
    key: &Key,
    outcome: Outcome,
) -> Result<(Fact, String), (String, bool)> {
    let (trial, said) = match outcome {
        Outcome::Accepted => (LoginTrial::Accepted, String::new()),
        Outcome::Refused(said) => (LoginTrial::Refused, format!(": {said}")),
        Outcome::Unknown { why, goes_on } => return Err((why, goes_on)),
    };
    let excerpt = format!("{} {} {} for {account}{said}", service.name(), trial.word(), key.kind.words());
    let fact = Fact::LoginTried {
        login: account.to_owned(),
        service: service.name().to_owned(),
        credential: key.kind,
        trial,
    };
    Ok((fact, excerpt))
}

async fn attempt(service: Service, dialer: &Dialer, key: &Key, account: &str) -> Outcome {
    let by_master = key.kind == TrialCredential::MasterUser;
    match service {
        Service::Imap => of_login(imap::try_login(dialer, &key.credentials, account).await, by_master),
        Service::ManageSieve => {
            of_login(managesieve::try_login(dialer, &key.credentials, account).await, by_master)
        }
        Service::Pop3 => doubted(pop3::attempt(dialer, &key.credentials, account).await, by_master),
        Service::Submission => submission::attempt(dialer, &key.credentials, account).await,
    }
}

/// A master user that is itself refused says nothing of the account.
fn of_login(login: Result<(), CollectError>, by_master: bool) -> Outcome {
    match login {
        Ok(()) => Outcome::Accepted,
        Err(CollectError::Denied { cause, credentials: true, .. }) if by_master => {
            Outcome::Unknown { why: format!("the master user itself is refused: {cause}"), goes_on: false }
        }
        Err(CollectError::Denied { cause, doing, .. })
            if !doing.starts_with("logging in") || is_about_mechanism(&cause) =>
        {
            Outcome::Unknown { why: format!("the server takes no such login: {cause}"), goes_on: false }
        }
        Err(CollectError::Denied { cause, .. }) => Outcome::Refused(cause),
        Err(error) => Outcome::Unknown { why: error.to_string(), goes_on: false },
    }
}

/// POP3 has no code that tells a wrong password from an account that is closed. Dovecot says "Authentication failed" of
/// the first and the account's own reason of the second.
fn doubted(outcome: Outcome, by_master: bool) -> Outcome {
    match outcome {
        Outcome::Refused(said)
            if by_master && said.to_ascii_lowercase().contains("authentication failed") =>
        {
            Outcome::Unknown { why: format!("the master user itself is refused: {said}"), goes_on: false }
        }
        other => other,
    }
}

/// A server that does not take PLAIN has not looked at the password.
fn is_about_mechanism(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    said.starts_with("bad ") || said.contains("mechanism") || said.contains("privacyrequired")
}

/// A protocol fault or a lost connection: the next account would fare no better.
fn lost(why: String) -> Outcome {
    Outcome::Unknown { why, goes_on: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> ProbePlan {
        let master = Credentials {
            master_user: "sweeper".to_owned(),
            master_password: "pw".to_owned().into(),
            style: LoginStyle::Separator('*'),
        };
        ProbePlan {
            servers: BTreeMap::new(),
            accounts: ["bob@e.test".to_owned(), "eve@e.test".to_owned()].into(),
            passwords: [("bob@e.test".to_owned(), "test".to_owned().into())].into(),
            master: Some(master),
        }
    }

    #[test]
    fn the_master_user_never_tries_to_send() {
        let plan = plan();
        let kind = |service, account| key(&plan, service, account).map(|key| key.kind);
        assert_eq!(kind(Service::Submission, "bob@e.test"), Some(TrialCredential::TestPassword));
        assert_eq!(kind(Service::Submission, "eve@e.test"), None);
        assert_eq!(kind(Service::Pop3, "eve@e.test"), Some(TrialCredential::MasterUser));
    }

    #[test]
    fn only_a_word_about_the_account_proves_something() {
        let denied = |cause: &str, credentials| {
            Err(CollectError::Denied {
                server: String::new(),
                doing: "logging in".to_owned(),
                cause: cause.to_owned(),
                next: String::new(),
                credentials,
            })
        };
        let refused = |cause: &str| Outcome::Refused(cause.to_owned());
        assert_eq!(
            of_login(denied("NO [AUTHENTICATIONFAILED] no", true), false),
            refused("NO [AUTHENTICATIONFAILED] no")
        );
        assert_eq!(of_login(denied("NO gone", false), true), refused("NO gone"));
        for (outcome, by_master) in [
            (denied("NO [AUTHENTICATIONFAILED] no", true), true),
            (denied("NO Unsupported authentication mechanism.", true), false),
            (denied("BAD unknown command", true), false),
            (Err(CollectError::unreachable("imap", "connecting", "refused")), false),
        ] {
            assert!(matches!(of_login(outcome, by_master), Outcome::Unknown { goes_on: false, .. }));
        }
    }
}
