//! The accounts the mail server knows, listed by a command on the mail host or by doveadm's HTTP API.

use std::path::Path;
use std::time::Duration;

use mailwarden_evidence::{CoverageState, Fact, SYSTEM};

use crate::dovecot::Api;
use crate::harvest::Place;
use crate::{CollectError, Harvest, command};

/// Most accounts listed.
pub const MAX_ACCOUNTS: usize = 1_000_000;
/// Longest login name.
const MAX_LOGIN: usize = 512;
/// Most bytes of output.
const MAX_OUTPUT: usize = 64 * 1024 * 1024;
const SURFACE: &str = "account";

/// How accounts are listed.
#[derive(Debug, Clone)]
pub enum AccountsPlan {
    /// By a program.
    Command {
        /// Program and arguments; it prints one login name a line.
        argv: Vec<String>,
        /// How long it may take.
        timeout: Duration,
    },
    /// By doveadm's HTTP API.
    Api(Box<Api>),
}

impl AccountsPlan {
    /// `doveadm user *`, of the instance whose configuration file is given, or of the system's.
    pub fn doveadm(configuration: Option<&Path>) -> Self {
        let mut argv = vec!["doveadm".to_owned()];
        if let Some(path) = configuration {
            argv.extend(["-c".to_owned(), path.to_string_lossy().into_owned()]);
        }
        argv.extend(["user".to_owned(), "*".to_owned()]);
        Self::Command { argv, timeout: Duration::from_secs(60) }
    }

    fn source(&self) -> String {
        match self {
            Self::Command { argv, .. } => format!("command {}", argv.join(" ")),
            Self::Api(api) => api.label().to_owned(),
        }
    }
}

/// The login names, sorted, each once.
pub async fn list(plan: &AccountsPlan) -> Result<Vec<String>, CollectError> {
    const DOING: &str = "listing accounts";
    let source = plan.source();
    let stdout = match plan {
        AccountsPlan::Api(api) => api.logins().await?.join("\n").into_bytes(),
        AccountsPlan::Command { argv, timeout } => {
            let ran = command::run(argv, *timeout, MAX_OUTPUT).await?;
            if !ran.success {
                return Err(CollectError::unreachable(&source, DOING, ran.complaint()));
            }
            ran.stdout
        }
    };
    let mut logins = Vec::new();
    for line in stdout.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let login = login(line).ok_or_else(|| {
            CollectError::misbehaved(&source, DOING, format!("no login name: {}", crate::error::shown(line)))
        })?;
        logins.push(login);
        if logins.len() > MAX_ACCOUNTS {
            return Err(CollectError::misbehaved(
                &source,
                DOING,
                format!("more than {MAX_ACCOUNTS} accounts"),
            ));
        }
    }
    logins.sort_unstable();
    logins.dedup();
    Ok(logins)
}

/// A login name holds no control characters and no blanks: a line that does is a message, not a name.
fn login(line: &[u8]) -> Option<String> {
    let login = std::str::from_utf8(line).ok()?;
    let is_name = login.len() <= MAX_LOGIN && !login.chars().any(|c| c.is_control() || c.is_whitespace());
    is_name.then(|| login.to_owned())
}

/// The accounts as observations.
pub async fn collect(plan: &AccountsPlan) -> Harvest {
    let source = plan.source();
    let place = Place { mailbox: SYSTEM, surface: SURFACE, source: &source };
    let mut harvest = Harvest::default();
    match list(plan).await {
        Ok(logins) => {
            for login in logins {
                let fact = Fact::Account { login: login.clone() };
                harvest.observe(&place, fact, login.as_bytes(), &login);
            }
            harvest.cover(&place, CoverageState::Collected, "");
        }
        Err(error) => harvest.cover(&place, error.coverage_state(), error.to_string()),
    }
    harvest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(script: &str) -> AccountsPlan {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        AccountsPlan::Command { argv, timeout: Duration::from_secs(20) }
    }

    #[tokio::test]
    async fn names_are_sorted_and_counted_once() {
        let logins = list(&plan("printf 'bob@a.test\\nalice@a.test\\n\\nbob@a.test\\n'")).await.unwrap();
        assert_eq!(logins, ["alice@a.test", "bob@a.test"]);
    }

    #[tokio::test]
    async fn what_is_no_list_of_names_is_an_error_and_never_an_empty_list() {
        for script in ["echo 'Error: no users'", "echo partial; echo broken >&2; exit 75"] {
            let harvest = collect(&plan(script)).await;
            assert!(harvest.observations.is_empty());
            let row = harvest.coverage_of(SYSTEM, SURFACE).unwrap();
            assert_eq!(row.state, CoverageState::Error, "{script}");
            assert!(!row.reason.is_empty());
        }
    }

    #[test]
    fn the_default_command_takes_the_configuration_of_an_instance() {
        let source = |path: Option<&str>| AccountsPlan::doveadm(path.map(Path::new)).source();
        assert_eq!(source(Some("/srv/d.conf")), "command doveadm -c /srv/d.conf user *");
        assert_eq!(source(None), "command doveadm user *");
    }
}
