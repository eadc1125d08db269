//! The sessions of one login, for whoever ends them.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::doveadm::{self, DovecotPlan};
use super::remote;
use crate::CollectError;

/// How long a server may take to end sessions it was told to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks whether they have ended.
const PAUSE: Duration = Duration::from_millis(50);

/// The sessions of one login on this host's Dovecot.
#[derive(Debug, Clone)]
pub struct SessionStore {
    plan: DovecotPlan,
    login: String,
}

impl SessionStore {
    /// The sessions of a login.
    ///
    /// # Errors
    /// When doveadm would take the login for a pattern of several.
    pub fn new(plan: &DovecotPlan, login: &str) -> Result<Self, CollectError> {
        if login.is_empty() || login.starts_with('-') || login.contains(['*', '?']) {
            let (cause, next) = ("its name is a pattern to doveadm", "end its sessions on the mail host");
            return Err(CollectError::configuration(login, "looking at its sessions", cause, next));
        }
        Ok(Self { plan: plan.clone(), login: login.to_owned() })
    }

    /// Whether any is open.
    ///
    /// # Errors
    /// When doveadm does not answer.
    pub async fn is_open(&self) -> Result<bool, CollectError> {
        if let Some(api) = &self.plan.api {
            let sessions = remote::sessions(api, Some(&self.login)).await?;
            return Ok(sessions.iter().any(|session| session.username.eq_ignore_ascii_case(&self.login)));
        }
        let output = self.plan.ask("doveadm", ["-f", "tab", "who", &self.login]).await?;
        let sessions = doveadm::sessions(&output).ok_or_else(|| {
            CollectError::misbehaved(&self.plan.source(), "asking who is connected", "no table")
        })?;
        Ok(sessions.iter().any(|session| session.username.eq_ignore_ascii_case(&self.login)))
    }

    /// Ends all of them, and forgets cached passwords first so that an old one does not open new ones.
    ///
    /// # Errors
    /// When doveadm refuses, or sessions stay open.
    pub async fn kick(&self) -> Result<(), CollectError> {
        match &self.plan.api {
            Some(api) => remote::kick(api, &self.login).await?,
            None => self.kick_here().await?,
        }
        let deadline = Instant::now() + PATIENCE;
        while self.is_open().await? {
            if Instant::now() > deadline {
                let cause = format!("some are open {PATIENCE:?} later, or were opened again");
                return Err(CollectError::misbehaved(&self.plan.source(), "ending sessions", cause));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn kick_here(&self) -> Result<(), CollectError> {
        // A server without the cache refuses this, and has nothing to forget.
        let _without_cache = self.plan.run("doveadm", ["auth", "cache", "flush", &self.login]).await?;
        self.plan.ask("doveadm", ["kick", &self.login]).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_no_login() {
        let plan = DovecotPlan::new(None, "");
        for pattern in ["*", "b?b@example.test", "", "-f"] {
            assert!(SessionStore::new(&plan, pattern).is_err(), "{pattern}");
        }
        assert!(SessionStore::new(&plan, "bob@example.test").is_ok());
    }
}
