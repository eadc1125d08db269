//! One logged-in IMAP connection on behalf of one mailbox.

mod change;

pub use change::FolderStore;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::guard::Guard;
use super::lexer::Status;
use super::login::{fault, greeted, hung_up, impatient, logged_in, secured};
use super::mutf7;
use super::wire::{self, Namespaces, Refusal, Reply};
use crate::server::Connection;
use crate::{CollectError, Credentials, Dialer, TlsMode};

/// Most folders of one mailbox.
pub(super) const MAX_FOLDERS: usize = 20_000;
/// Commands sent before their answers are awaited: the round trip is paid once for all of them.
const PIPELINE: usize = 50;
/// Most particulars kept of one session.
const MAX_PARTICULARS: usize = 64;
/// How long a farewell may take; nothing depends on it.
const FAREWELL: Duration = Duration::from_secs(2);

/// A folder as LIST shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// The name as the server spells it, for asking about it.
    pub(super) wire: Vec<u8>,
    /// The name in UTF-8.
    pub(super) name: String,
    /// A node of the hierarchy without a folder behind it: questions about it may fail without harm.
    pub(super) is_placeholder: bool,
    /// Whether it belongs to this mailbox and not to another one that shares it.
    pub(super) is_own: bool,
}

/// What the server made of a question about one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer<T> {
    /// It answered.
    Given(T),
    /// It said no.
    Refused(Refusal),
    /// It said yes without an answer that could be read, or the question cannot be put.
    Unreadable(String),
}

/// A session after login.
pub(super) struct ImapSession {
    session: async_imap::Session<Guard<Connection>>,
    capabilities: BTreeSet<String>,
    label: String,
    patience: Duration,
}

impl ImapSession {
    /// Connects, secures the connection and logs in on behalf of `mailbox`.
    pub(super) async fn open(
        dialer: &Dialer,
        credentials: &Credentials,
        mailbox: &str,
    ) -> Result<Self, CollectError> {
        let (client, offered) = greeted(dialer).await?;
        let (client, offered) = match dialer.server().tls {
            TlsMode::StartTls => secured(dialer, client).await?,
            TlsMode::Implicit | TlsMode::Plain => (client, offered),
        };
        let mut session = Self {
            session: logged_in(dialer, client, offered.as_ref(), credentials, mailbox).await?,
            capabilities: BTreeSet::new(),
            label: dialer.label().to_owned(),
            patience: dialer.server().command_timeout,
        };
        session.learn_capabilities().await?;
        Ok(session)
    }

    /// The capability names after login, in capitals.
    pub(super) fn capabilities(&self) -> &BTreeSet<String> {
        &self.capabilities
    }

    async fn learn_capabilities(&mut self) -> Result<(), CollectError> {
        let login = self.session.get_mut().take_first_completion();
        if let Some(known) = login.as_ref().and_then(|completion| {
            let lines = completion.untagged.iter().chain([&completion.line]);
            lines.filter_map(|line| wire::capabilities(line)).next()
        }) {
            self.capabilities = known;
            return Ok(());
        }
        let reply = self.ask("asking for capabilities", "CAPABILITY").await?;
        let known = reply.untagged.iter().find_map(|frame| wire::capabilities(frame));
        let Some(known) = known else {
            return Err(CollectError::misbehaved(
                &self.label,
                "asking for capabilities",
                "no CAPABILITY answer",
            ));
        };
        self.capabilities = known;
        Ok(())
    }

    /// Every folder the server lists, INBOX first, each once.
    pub(super) async fn list_folders(&mut self) -> Result<Vec<Folder>, CollectError> {
        const DOING: &str = "listing folders";
        let spaces = self.namespaces().await?;
        let mut commands = vec!["LIST \"\" \"*\"".to_owned()];
        for prefix in spaces.personal.iter().filter(|prefix| !prefix.is_empty()) {
            let pattern = [prefix.as_slice(), b"*"].concat();
            commands.extend(wire::quote(&pattern).map(|pattern| format!("LIST \"\" {pattern}")));
        }
        let replies = self.pipeline(DOING, &commands).await?;
        if let Some(refusal) = replies.first().and_then(Reply::refusal) {
            return Err(CollectError::misbehaved(&self.label, DOING, refusal));
        }
        let mut wires = BTreeSet::new();
        let mut folders = vec![inbox()];
        for frame in replies.iter().flat_map(|reply| &reply.untagged) {
            if !wire::is_named(frame, "LIST") {
                continue;
            }
            let Some(listed) = wire::list(frame) else {
                let cause = format!("an unreadable LIST line: {}", crate::error::shown(frame));
                return Err(CollectError::misbehaved(&self.label, DOING, cause));
            };
            if !listed.name.eq_ignore_ascii_case(b"INBOX") && wires.insert(listed.name.clone()) {
                folders.push(folder(listed, &spaces));
            }
        }
        if folders.len() > MAX_FOLDERS {
            let cause = format!("more than {MAX_FOLDERS} folders");
            return Err(CollectError::misbehaved(&self.label, DOING, cause));
        }
        Ok(folders)
    }

    async fn namespaces(&mut self) -> Result<Namespaces, CollectError> {
        if !self.capabilities.contains("NAMESPACE") {
            return Ok(Namespaces::default());
        }
        let reply = self.ask("asking for namespaces", "NAMESPACE").await?;
        Ok(reply.untagged.iter().find_map(|frame| wire::namespace(frame)).unwrap_or_default())
    }

    /// The rights the session has on each folder, in order.
    pub(super) async fn my_rights(
        &mut self,
        folders: &[Folder],
    ) -> Result<Vec<Answer<String>>, CollectError> {
        let questions =
            folders.iter().map(|folder| wire::quote(&folder.wire).map(|name| format!("MYRIGHTS {name}")));
        let replies = self.ask_each("asking for rights", questions.collect()).await?;
        let frames = replies.iter().flatten().flat_map(|reply| &reply.untagged);
        let found = frames
            .filter_map(|frame| wire::my_rights(frame))
            .map(|(folder, rights)| (key(&folder), String::from_utf8_lossy(&rights).into_owned()));
        Ok(matched(folders, &replies, found.collect()))
    }

    /// What the server says of itself and of the mailbox's room, as names and values. Nothing depends on it,
    /// so a server that does not answer says nothing.
    pub(super) async fn particulars(&mut self) -> Result<Vec<(String, String)>, CollectError> {
        let known = |name: &str, command: &str| self.capabilities.contains(name).then(|| command.to_owned());
        let questions = vec![known("ID", "ID NIL"), known("QUOTA", "GETQUOTAROOT \"INBOX\"")];
        let replies = self.ask_each("asking for particulars", questions).await?;
        let frames = replies.iter().flatten().flat_map(|reply| &reply.untagged);
        let mut particulars: Vec<(String, String)> =
            frames.flat_map(|frame| wire::id(frame).into_iter().chain(wire::quota(frame))).collect();
        particulars.truncate(MAX_PARTICULARS);
        Ok(particulars)
    }

    /// Whether INBOX can be opened at all.
    pub(super) async fn inbox_status(&mut self) -> Result<Answer<()>, CollectError> {
        let reply = self.ask("looking at INBOX", "STATUS INBOX (UIDVALIDITY)").await?;
        Ok(reply.refusal().map_or(Answer::Given(()), Answer::Refused))
    }

    /// The access control list of each folder, in order.
    pub(super) async fn get_acls(
        &mut self,
        folders: &[Folder],
    ) -> Result<Vec<Answer<AclFound>>, CollectError> {
        let questions =
            folders.iter().map(|folder| wire::quote(&folder.wire).map(|name| format!("GETACL {name}")));
        let replies = self.ask_each("reading access control lists", questions.collect()).await?;
        let found = replies.iter().flatten().flat_map(|reply| &reply.untagged).filter_map(|frame| {
            wire::acl(frame)
                .map(|acl| (key(&acl.folder), AclFound { entries: acl.entries, raw: frame.clone() }))
        });
        Ok(matched(folders, &replies, found.collect()))
    }

    /// The values of some annotations of each folder, in order; the folder `""` is the server itself.
    ///
    /// All entries are asked for at once. A server that refuses is asked again entry by entry, because one it
    /// does not know must not hide the others.
    pub(super) async fn get_metadata(
        &mut self,
        folders: &[Folder],
        entries: &[&str],
    ) -> Result<Vec<Answer<MetadataFound>>, CollectError> {
        let mut answers = self.ask_metadata(folders, &entries.join(" ")).await?;
        let refused: Vec<usize> = (0..answers.len())
            .filter(|at| matches!(answers[*at], Answer::Refused(_)) && !folders[*at].is_placeholder)
            .collect();
        if refused.is_empty() || entries.len() < 2 {
            return Ok(answers);
        }
        let again: Vec<Folder> = refused.iter().map(|at| folders[*at].clone()).collect();
        for (nth, entry) in entries.iter().enumerate() {
            let single = self.ask_metadata(&again, entry).await?;
            for (at, answer) in refused.iter().zip(single) {
                // The first entry is the one every server with annotations must be able to answer for.
                match (answer, nth) {
                    (answer, 0) => answers[*at] = answer,
                    (Answer::Given(found), _) => add_values(&mut answers[*at], found),
                    (Answer::Refused(refusal), _) if refusal.has_code("NOPERM") => {
                        answers[*at] = Answer::Refused(refusal);
                    }
                    _ => {}
                }
            }
        }
        Ok(answers)
    }

    async fn ask_metadata(
        &mut self,
        folders: &[Folder],
        entries: &str,
    ) -> Result<Vec<Answer<MetadataFound>>, CollectError> {
        const DOING: &str = "reading annotations";
        let questions = folders
            .iter()
            .map(|folder| wire::quote(&folder.wire).map(|name| format!("GETMETADATA {name} ({entries})")));
        let replies = self.ask_each(DOING, questions.collect()).await?;
        let frames = replies.iter().flatten().flat_map(|reply| &reply.untagged);
        let frames: Vec<&Vec<u8>> = frames.filter(|frame| wire::is_named(frame, "METADATA")).collect();
        let mut found: BTreeMap<Vec<u8>, MetadataFound> = BTreeMap::new();
        for frame in frames {
            let Some(metadata) = wire::metadata(frame) else {
                let cause = format!("an unreadable METADATA answer: {}", crate::error::shown(frame));
                return Err(CollectError::misbehaved(&self.label, DOING, cause));
            };
            let of_folder = found.entry(key(&metadata.folder)).or_default();
            of_folder.raw.extend_from_slice(frame);
            of_folder.values.extend(metadata.entries.into_iter().filter_map(|(name, value)| {
                Some((String::from_utf8_lossy(&name).to_ascii_lowercase(), value?))
            }));
        }
        // RFC 5464 lets a server leave out what has no value, so silence after OK is an answer here.
        for (folder, reply) in folders.iter().zip(&replies) {
            if reply.as_ref().is_some_and(|reply| reply.status == Status::Ok) {
                found.entry(key(&folder.wire)).or_default();
            }
        }
        Ok(matched(folders, &replies, found))
    }

    /// Says goodbye without waiting for an answer.
    pub(super) async fn close(mut self) {
        let farewell = async {
            self.session.run_command("LOGOUT").await.ok()?;
            self.session.get_mut().shutdown().await.ok()
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!(server = %self.label, "the server did not take the farewell");
        }
    }

    async fn ask(&mut self, doing: &str, command: &str) -> Result<Reply, CollectError> {
        let mut replies = self.pipeline(doing, &[command.to_owned()]).await?;
        let reply = replies.pop();
        reply.ok_or_else(|| CollectError::misbehaved(&self.label, doing, "no answer"))
    }

    /// Like [`Self::pipeline`] for questions of which some cannot be put.
    async fn ask_each(
        &mut self,
        doing: &str,
        questions: Vec<Option<String>>,
    ) -> Result<Vec<Option<Reply>>, CollectError> {
        let commands: Vec<String> = questions.iter().flatten().cloned().collect();
        let mut replies = self.pipeline(doing, &commands).await?.into_iter();
        Ok(questions.into_iter().map(|question| question.and_then(|_| replies.next())).collect())
    }

    /// Sends commands many at a time; the answers come back in the order of the commands.
    async fn pipeline(&mut self, doing: &str, commands: &[String]) -> Result<Vec<Reply>, CollectError> {
        let mut replies = Vec::with_capacity(commands.len());
        for window in commands.chunks(PIPELINE) {
            let mut tags = Vec::with_capacity(window.len());
            for command in window {
                let sent = self.session.run_command(command).await;
                tags.push(sent.map_err(|error| fault(&self.label, doing, error, self.session.get_ref()))?.0);
            }
            self.await_completions(doing, tags.len()).await?;
            for tag in tags {
                let completion = self.session.get_mut().take_completion(&tag);
                let missing =
                    || CollectError::misbehaved(&self.label, doing, "a completion for another command");
                replies.push(Reply::of(completion.ok_or_else(missing)?));
            }
        }
        Ok(replies)
    }

    async fn await_completions(&mut self, doing: &str, outstanding: usize) -> Result<(), CollectError> {
        for so_many in 1..=outstanding {
            match timeout(self.patience, self.session.get_mut().completed(so_many)).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return Err(hung_up(&self.label, doing, self.session.get_ref())),
                Ok(Err(error)) => return Err(CollectError::from_io(&self.label, doing, &error)),
                Err(_) => return Err(impatient(&self.label, doing, self.patience)),
            }
        }
        Ok(())
    }
}

/// Entries of one list, with the response that proves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AclFound {
    pub(super) entries: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) raw: Vec<u8>,
}

/// The annotations that have a value, names in lower case, with the responses that prove them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MetadataFound {
    pub(super) values: Vec<(String, Vec<u8>)>,
    pub(super) raw: Vec<u8>,
}

fn add_values(answer: &mut Answer<MetadataFound>, more: MetadataFound) {
    if let Answer::Given(found) = answer {
        found.values.extend(more.values);
        found.raw.extend(more.raw);
    }
}

/// Answers by the folder they name, not by their order: a server may work on pipelined commands side by side
/// (RFC 9051 section 5.5), and one that answers for another folder must not be believed.
fn matched<T: Clone>(
    folders: &[Folder],
    replies: &[Option<Reply>],
    found: BTreeMap<Vec<u8>, T>,
) -> Vec<Answer<T>> {
    let answer = |(folder, reply): (&Folder, &Option<Reply>)| match reply {
        None => Answer::Unreadable("its name cannot be sent back to the server".to_owned()),
        Some(reply) => match (reply.refusal(), found.get(&key(&folder.wire))) {
            (Some(refusal), _) => Answer::Refused(refusal),
            (None, Some(found)) => Answer::Given(found.clone()),
            (None, None) => Answer::Unreadable("the server said OK and gave no readable answer".to_owned()),
        },
    };
    folders.iter().zip(replies).map(answer).collect()
}

/// Folder names compare as bytes, but INBOX in any case (RFC 9051 section 5.1).
fn key(wire: &[u8]) -> Vec<u8> {
    if wire.eq_ignore_ascii_case(b"INBOX") { b"INBOX".to_vec() } else { wire.to_vec() }
}

fn inbox() -> Folder {
    Folder { wire: b"INBOX".to_vec(), name: "INBOX".to_owned(), is_placeholder: false, is_own: true }
}

fn folder(listed: wire::Listed, spaces: &Namespaces) -> Folder {
    let is = |wanted: &str| listed.attributes.iter().any(|attribute| attribute.eq_ignore_ascii_case(wanted));
    // A spelling that another name would also decode to is shown as it came, so that no two folders look
    // alike.
    let name = mutf7::decode(&listed.name).filter(|name| mutf7::encode(name).as_bytes() == listed.name);
    Folder {
        name: name.unwrap_or_else(|| String::from_utf8_lossy(&listed.name).into_owned()),
        is_placeholder: is("\\Noselect") || is("\\NonExistent"),
        is_own: spaces.is_own(&listed.name),
        wire: listed.name,
    }
}
