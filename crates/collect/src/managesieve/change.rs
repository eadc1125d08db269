//! Single operations on the scripts of one mailbox, for whoever puts a planned change in place or undoes it.
//!
//! Names and scripts travel as literals, so that nothing in them can begin another command.

use io_managesieve::rfc5804::response::{ManagesieveResponse, ManagesieveStatus};

use super::{Client, Listed, MAX_RESPONSE, MAX_SCRIPT, get_script, literal, said};
use crate::{CollectError, Credentials, Dialer};

/// The script store of one mailbox.
pub struct ScriptStore {
    client: Client,
}

impl std::fmt::Debug for ScriptStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptStore").field("server", &self.client.label).finish_non_exhaustive()
    }
}

impl ScriptStore {
    /// Connects and logs in on behalf of a mailbox.
    pub async fn open(
        dialer: &Dialer,
        credentials: &Credentials,
        mailbox: &str,
    ) -> Result<Self, CollectError> {
        let mut client = Client::open(dialer, credentials, mailbox).await?;
        // The first listing also skips what the server said unasked after the login.
        client.list_scripts().await?;
        client.has_version = false;
        Ok(Self { client })
    }

    /// The name of the active script, if there is one.
    pub async fn active(&mut self) -> Result<Option<String>, CollectError> {
        let listed = self.client.list_scripts().await?;
        Ok(listed.iter().find(|script| script.active).map(name_of))
    }

    /// The bytes of a script; `None` if there is none of that name.
    pub async fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, CollectError> {
        const DOING: &str = "reading a script";
        let Some(wire) = self.wire_name(name).await? else { return Ok(None) };
        self.client.send(DOING, &get_script(&wire)).await?;
        match self.client.script(DOING).await? {
            Ok(source) => Ok(Some(source)),
            Err(cause) => Err(CollectError::misbehaved(&self.client.label, DOING, cause)),
        }
    }

    /// Whether the server would take a script; its words if not.
    pub async fn check(&mut self, source: &[u8]) -> Result<Result<(), String>, CollectError> {
        const DOING: &str = "having a script checked";
        let command = [&b"CHECKSCRIPT "[..], &literal(source), b"\r\n"].concat();
        let response = self.ask(DOING, &command).await?;
        self.verdict(DOING, &response)
    }

    /// Whether there is room for a script; the server's words if not.
    pub async fn have_space(&mut self, name: &str, bytes: usize) -> Result<Result<(), String>, CollectError> {
        const DOING: &str = "asking for space";
        let name = self.wire_name(name).await?.unwrap_or_else(|| name.as_bytes().to_vec());
        let command = [&b"HAVESPACE "[..], &literal(&name), format!(" {bytes}\r\n").as_bytes()].concat();
        let response = self.ask(DOING, &command).await?;
        self.verdict(DOING, &response)
    }

    /// Stores a script under a name it already has; an active one stays active (RFC 5804 §2.6).
    pub async fn put(&mut self, name: &str, source: &[u8]) -> Result<(), CollectError> {
        const DOING: &str = "storing a script";
        let name = self.wire_name(name).await?.unwrap_or_else(|| name.as_bytes().to_vec());
        let command = [&b"PUTSCRIPT "[..], &literal(&name), b" ", &literal(source), b"\r\n"].concat();
        let response = self.ask(DOING, &command).await?;
        self.client.expect_ok(DOING, response).map(drop)
    }

    /// Makes a script the active one; `None` activates nothing (RFC 5804 §2.8).
    pub async fn activate(&mut self, name: Option<&str>) -> Result<(), CollectError> {
        const DOING: &str = "choosing the active script";
        let wire = match name {
            None => Vec::new(),
            Some(name) => self.wire_name(name).await?.unwrap_or_else(|| name.as_bytes().to_vec()),
        };
        let response = self.ask(DOING, &[&b"SETACTIVE "[..], &literal(&wire), b"\r\n"].concat()).await?;
        self.client.expect_ok(DOING, response).map(drop)
    }

    /// Says goodbye.
    pub async fn close(self) {
        self.client.close().await;
    }

    /// The name as the server spells it. A name that is no UTF-8 was shown in a lossy form, so it is looked up
    /// by that form and only used where one script has it.
    async fn wire_name(&mut self, name: &str) -> Result<Option<Vec<u8>>, CollectError> {
        let listed = self.client.list_scripts().await?;
        let mut same = listed.into_iter().filter(|script| name_of(script) == name);
        match (same.next(), same.next()) {
            (Some(script), None) => Ok(Some(script.name)),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(CollectError::configuration(
                &self.client.label,
                "looking for a script",
                format!("two scripts look like {name:?}"),
                "change it on the mail host",
            )),
        }
    }

    async fn ask(&mut self, doing: &str, command: &[u8]) -> Result<ManagesieveResponse, CollectError> {
        self.client.send(doing, command).await?;
        self.client.response(doing, MAX_SCRIPT + MAX_RESPONSE).await
    }

    fn verdict(
        &self,
        doing: &str,
        response: &ManagesieveResponse,
    ) -> Result<Result<(), String>, CollectError> {
        match response.completion.status {
            ManagesieveStatus::Ok => Ok(Ok(())),
            ManagesieveStatus::No => Ok(Err(said(&response.completion))),
            ManagesieveStatus::Bye => Err(self.client.said_bye(doing, &response.completion)),
        }
    }
}

fn name_of(script: &Listed) -> String {
    String::from_utf8_lossy(&script.name).into_owned()
}
