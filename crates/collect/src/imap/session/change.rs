//! Single operations on the folders of one mailbox, for whoever puts a planned change in place or undoes it.
//!
//! An argument that cannot be written as a quoted string (RFC 9051 §4.3) is refused before anything is sent.

use super::super::wire;
use super::{Answer, Folder, ImapSession};
use crate::error::shown;
use crate::{CollectError, Credentials, Dialer};

/// The folders of one mailbox.
pub struct FolderStore {
    session: ImapSession,
    folders: Vec<Folder>,
}

impl std::fmt::Debug for FolderStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FolderStore").field("server", &self.session.label).finish_non_exhaustive()
    }
}

impl FolderStore {
    /// Connects, logs in on behalf of a mailbox and lists its folders.
    pub async fn open(
        dialer: &Dialer,
        credentials: &Credentials,
        mailbox: &str,
    ) -> Result<Self, CollectError> {
        let mut session = ImapSession::open(dialer, credentials, mailbox).await?;
        let folders = session.list_folders().await?.into_iter().filter(|folder| folder.is_own).collect();
        Ok(Self { session, folders })
    }

    /// The access control list of a folder as identifier and rights; `None` if there is no such folder.
    pub async fn acl(&mut self, folder: &str) -> Result<Option<Vec<(String, String)>>, CollectError> {
        let Some(found) = self.folder(folder)? else { return Ok(None) };
        let answer = self.session.get_acls(&[found]).await?.pop();
        let rows = self.given("reading an access control list", answer)?.entries;
        Ok(Some(rows.iter().map(|(identifier, rights)| (lossy(identifier), lossy(rights))).collect()))
    }

    /// Takes an identifier, with its minus where it has one, out of a list (RFC 4314 §3.2).
    pub async fn delete_acl(&mut self, folder: &str, identifier: &str) -> Result<(), CollectError> {
        const DOING: &str = "taking an entry out of an access control list";
        let command = format!("DELETEACL {} {}", self.wire(DOING, folder)?, self.quoted(DOING, identifier)?);
        self.done(DOING, &command).await
    }

    /// Gives an identifier exactly these rights (RFC 4314 §3.1).
    pub async fn set_acl(
        &mut self,
        folder: &str,
        identifier: &str,
        rights: &str,
    ) -> Result<(), CollectError> {
        const DOING: &str = "putting an entry into an access control list";
        let (folder, identifier) = (self.wire(DOING, folder)?, self.quoted(DOING, identifier)?);
        let command = format!("SETACL {folder} {identifier} {}", self.quoted(DOING, rights)?);
        self.done(DOING, &command).await
    }

    /// The value of an annotation of a folder, or of the server where the folder is empty.
    pub async fn annotation(&mut self, folder: &str, entry: &str) -> Result<Option<String>, CollectError> {
        const DOING: &str = "reading an annotation";
        let entry = self.entry(DOING, entry)?.to_owned();
        let Some(found) = self.folder(folder)? else { return Ok(None) };
        let answer = self.session.get_metadata(&[found], &[&entry]).await?.pop();
        let values = self.given(DOING, answer)?.values;
        let mine = values.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(&entry));
        Ok(mine.map(|(_, value)| lossy(&value)))
    }

    /// Sets an annotation; `None` removes it (RFC 5464 §4.3).
    pub async fn set_annotation(
        &mut self,
        folder: &str,
        entry: &str,
        value: Option<&str>,
    ) -> Result<(), CollectError> {
        const DOING: &str = "setting an annotation";
        let value = match value {
            None => "NIL".to_owned(),
            Some(value) => self.quoted(DOING, value)?,
        };
        let command =
            format!("SETMETADATA {} ({} {value})", self.wire(DOING, folder)?, self.entry(DOING, entry)?);
        self.done(DOING, &command).await
    }

    /// Makes every URL void that was signed for a folder (RFC 4467 §6): its key is destroyed.
    pub async fn reset_key(&mut self, folder: &str) -> Result<(), CollectError> {
        const DOING: &str = "resetting the key of signed URLs";
        // Without a mechanism the server only says which mechanisms were reset for all folders of the user.
        let command = format!("RESETKEY {} INTERNAL", self.wire(DOING, folder)?);
        self.done(DOING, &command).await
    }

    /// Whether every one of these texts could be sent back to the server, asked before anything is changed.
    pub fn can_send(&self, texts: &[&str]) -> bool {
        texts.iter().all(|text| wire::quote(text.as_bytes()).is_some() && !text.contains('\u{fffd}'))
    }

    /// Says goodbye.
    pub async fn close(self) {
        self.session.close().await;
    }

    fn folder(&self, name: &str) -> Result<Option<Folder>, CollectError> {
        if name.is_empty() {
            let server =
                Folder { wire: Vec::new(), name: String::new(), is_placeholder: false, is_own: true };
            return Ok(Some(server));
        }
        let mut same = self.folders.iter().filter(|folder| folder.name == name);
        match (same.next(), same.next()) {
            (found, None) => Ok(found.cloned()),
            (_, Some(_)) => {
                Err(self.refused("looking for a folder", &format!("two folders look like {name:?}")))
            }
        }
    }

    fn wire(&self, doing: &str, folder: &str) -> Result<String, CollectError> {
        let found = self.folder(folder)?.ok_or_else(|| self.refused(doing, "there is no such folder"))?;
        wire::quote(&found.wire).ok_or_else(|| self.refused(doing, "the folder's name cannot be sent"))
    }

    fn quoted(&self, doing: &str, text: &str) -> Result<String, CollectError> {
        let cause = || format!("{} cannot be sent to the server", shown(text.as_bytes()));
        wire::quote(text.as_bytes()).ok_or_else(|| self.refused(doing, &cause()))
    }

    /// RFC 5464 §3.1: an entry name holds no blank, quote, parenthesis or control character.
    fn entry<'e>(&self, doing: &str, entry: &'e str) -> Result<&'e str, CollectError> {
        let plain = |c: char| c.is_ascii_graphic() && !"\"\\(){}%*".contains(c);
        let is_entry = entry.starts_with('/') && entry.chars().all(plain);
        is_entry.then_some(entry).ok_or_else(|| self.refused(doing, "the annotation has no valid name"))
    }

    async fn done(&mut self, doing: &str, command: &str) -> Result<(), CollectError> {
        let reply = self.session.ask(doing, command).await?;
        match reply.refusal() {
            None => Ok(()),
            Some(refusal) => Err(CollectError::Denied {
                server: self.session.label.clone(),
                doing: doing.to_owned(),
                cause: refusal.to_string(),
                next: "see the server's log for the reason".to_owned(),
                credentials: false,
            }),
        }
    }

    fn given<T>(&self, doing: &str, answer: Option<Answer<T>>) -> Result<T, CollectError> {
        match answer {
            Some(Answer::Given(given)) => Ok(given),
            Some(Answer::Refused(refusal)) => Err(self.refused(doing, &refusal.to_string())),
            Some(Answer::Unreadable(cause)) => {
                Err(CollectError::misbehaved(&self.session.label, doing, cause))
            }
            None => Err(CollectError::misbehaved(&self.session.label, doing, "no answer")),
        }
    }

    fn refused(&self, doing: &str, cause: &str) -> CollectError {
        CollectError::configuration(&self.session.label, doing, cause, "change it on the mail host")
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
