//! What a change touches, as it is before and after, and the steps between.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use mailwarden_evidence::{RowPlace, text_or_base64};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One thing on a server that is changed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "object", rename_all = "kebab-case")]
pub enum Object {
    /// A Sieve script.
    Script {
        /// Whose.
        mailbox: String,
        /// Its name.
        name: String,
    },
    /// Which script of a mailbox is the active one.
    ActiveScript {
        /// Whose.
        mailbox: String,
    },
    /// The access control list of a folder.
    Acl {
        /// Whose.
        mailbox: String,
        /// The folder.
        folder: String,
    },
    /// A METADATA annotation.
    Annotation {
        /// Whose.
        mailbox: String,
        /// The folder; empty for the server's own.
        folder: String,
        /// The entry.
        entry: String,
    },
    /// The key of a folder's signed URLs (RFC 4467).
    UrlKey {
        /// Whose.
        mailbox: String,
        /// The folder.
        folder: String,
        /// The annotation that shows the key.
        entry: String,
    },
    /// The text of a Postfix table, and with it the table.
    TableText {
        /// Whose mail the entry is about.
        mailbox: String,
        /// Where the text is.
        path: String,
        /// The table as Postfix names it; `aliases ` before it where it is one of aliases(5).
        table: String,
    },
    /// Cells of one row of a panel's database.
    PanelRow {
        /// Whose mail or login the row is about.
        mailbox: String,
        /// The panel as it is configured.
        panel: String,
        /// Where the row is.
        place: Box<RowPlace>,
    },
    /// The open sessions of a login.
    Sessions {
        /// The login.
        mailbox: String,
    },
}

impl Object {
    /// Whose mailbox it is in.
    pub fn mailbox(&self) -> &str {
        match self {
            Self::Script { mailbox, .. }
            | Self::ActiveScript { mailbox }
            | Self::Acl { mailbox, .. }
            | Self::Annotation { mailbox, .. }
            | Self::UrlKey { mailbox, .. }
            | Self::TableText { mailbox, .. }
            | Self::PanelRow { mailbox, .. }
            | Self::Sessions { mailbox } => mailbox,
        }
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Script { mailbox, name } => write!(f, "Sieve script \"{name}\" of {mailbox}"),
            Self::ActiveScript { mailbox } => write!(f, "the active Sieve script of {mailbox}"),
            Self::Acl { mailbox, folder } => write!(f, "the access list of folder \"{folder}\" of {mailbox}"),
            Self::Annotation { mailbox, folder, entry } if folder.is_empty() => {
                write!(f, "the server's annotation {entry} for {mailbox}")
            }
            Self::Annotation { mailbox, folder, entry } => {
                write!(f, "annotation {entry} of folder \"{folder}\" of {mailbox}")
            }
            Self::UrlKey { mailbox, folder, .. } => {
                write!(f, "the key of signed URLs of folder \"{folder}\" of {mailbox}")
            }
            Self::TableText { path, .. } => write!(f, "the table text {path}"),
            Self::PanelRow { mailbox, panel, place } => {
                write!(f, "the row of {mailbox} in {} of {panel}", place.table)
            }
            Self::Sessions { mailbox } => write!(f, "the open sessions of {mailbox}"),
        }
    }
}

/// One row of an access control list, with its sign.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AclRow {
    /// The identifier as the server spells it, with a leading minus where rights are taken away.
    pub identifier: String,
    /// The rights as the server spells them.
    pub rights: String,
}

/// An object at one moment: all that is needed to put it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// A script, byte for byte. Whether it is active is not changed by changing it.
    Script {
        /// The bytes.
        #[serde(with = "text_or_base64")]
        source: Vec<u8>,
    },
    /// A table's text, byte for byte.
    TableText {
        /// The bytes.
        #[serde(with = "text_or_base64")]
        source: Vec<u8>,
    },
    /// Cells of a row, by column.
    Row {
        /// What they hold.
        cells: BTreeMap<String, String>,
    },
    /// The active script.
    Active {
        /// Its name, if there is one.
        name: Option<String>,
    },
    /// A whole list. The order of rows means nothing (RFC 4314 §3.6).
    Acl {
        /// Its rows.
        rows: Vec<AclRow>,
    },
    /// An annotation.
    Annotation {
        /// Its value, if it has one.
        value: Option<String>,
    },
    /// Something that is there or not, and that nobody but the server can make: a key, a session.
    Alive {
        /// Whether it is there.
        alive: bool,
    },
    /// The object is not there.
    Absent,
}

impl State {
    /// A list in an order of its own, so that equal lists are equal states.
    pub fn acl(mut rows: Vec<AclRow>) -> Self {
        rows.sort();
        Self::Acl { rows }
    }

    /// SHA-256 of the state, hexadecimal; of a script that of its bytes.
    pub fn sha256(&self) -> String {
        if let Self::Script { source } | Self::TableText { source } = self {
            return HEXLOWER.encode(&Sha256::digest(source));
        }
        let mut hasher = Sha256::new();
        for part in self.parts() {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        HEXLOWER.encode(&hasher.finalize())
    }

    fn parts(&self) -> Vec<&str> {
        match self {
            Self::Script { .. } | Self::TableText { .. } | Self::Absent => Vec::new(),
            Self::Row { cells } => {
                let pairs = cells.iter().flat_map(|(column, value)| [column.as_str(), value.as_str()]);
                std::iter::once("row").chain(pairs).collect()
            }
            Self::Alive { alive } => vec![if *alive { "alive" } else { "ended" }],
            Self::Active { name } => std::iter::once("active").chain(name.as_deref()).collect(),
            Self::Annotation { value } => std::iter::once("value").chain(value.as_deref()).collect(),
            Self::Acl { rows } => {
                rows.iter().flat_map(|row| [row.identifier.as_str(), row.rights.as_str()]).collect()
            }
        }
    }
}

/// One operation of a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Store a script under its name; an active one stays active.
    PutScript(Vec<u8>),
    /// Put a table's text in place and build the table.
    PutTable(Vec<u8>),
    /// Put cells of a row in the place of others.
    PutRow {
        /// What they hold.
        from: BTreeMap<String, String>,
        /// What they shall hold.
        to: BTreeMap<String, String>,
    },
    /// Make a script the active one; `None` activates nothing.
    Activate(Option<String>),
    /// Take an identifier out of a list.
    DeleteAcl(String),
    /// Give an identifier exactly these rights.
    SetAcl(AclRow),
    /// Set an annotation; `None` removes it.
    SetAnnotation(Option<String>),
    /// End what nobody can bring back: destroy the key, close the sessions.
    End,
}

/// The steps from one state of an object to another; none where they are equal, `None` where no step leads
/// there.
pub fn steps(from: &State, to: &State) -> Option<Vec<Step>> {
    if from == to {
        return Some(Vec::new());
    }
    Some(match (from, to) {
        (_, State::Script { source }) => vec![Step::PutScript(source.clone())],
        (State::TableText { .. }, State::TableText { source }) => vec![Step::PutTable(source.clone())],
        (State::Row { cells: from }, State::Row { cells: to }) => {
            vec![Step::PutRow { from: from.clone(), to: to.clone() }]
        }
        (_, State::Active { name }) => vec![Step::Activate(name.clone())],
        (_, State::Annotation { value }) => vec![Step::SetAnnotation(value.clone())],
        (State::Alive { alive: true }, State::Alive { alive: false }) => vec![Step::End],
        (State::Acl { rows: from }, State::Acl { rows: to }) => between(from, to),
        _ => return None,
    })
}

fn between(from: &[AclRow], to: &[AclRow]) -> Vec<Step> {
    let kept = |row: &&AclRow| to.iter().any(|wanted| wanted.identifier == row.identifier);
    let gone = from.iter().filter(|row| !kept(row)).map(|row| Step::DeleteAcl(row.identifier.clone()));
    let new = to.iter().filter(|row| !from.contains(row));
    gone.chain(new.map(|row| Step::SetAcl(AclRow { rights: settable(&row.rights), ..row.clone() }))).collect()
}

/// What SETACL must be given so that GETACL shows these rights again. RFC 4314 §2.1.1: a server shows `c` and
/// `d` beside the rights they stand for, and takes `d` for `t`, `e` and `x` together, so they must not be sent
/// along with what they repeat. A server of RFC 2086 knows no other letters.
fn settable(rights: &str) -> String {
    let modern = rights.contains(['k', 'x', 't', 'e']);
    rights.chars().filter(|letter| !modern || !matches!(letter, 'c' | 'd')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(identifier: &str, rights: &str) -> AclRow {
        AclRow { identifier: identifier.to_owned(), rights: rights.to_owned() }
    }

    #[test]
    fn undoing_is_the_same_with_the_states_exchanged() {
        let before = State::acl(vec![row("bob", "lrtd"), row("alice", "lra"), row("-bob", "w")]);
        let after = State::acl(vec![row("alice", "lra"), row("-bob", "w")]);
        assert_eq!(steps(&before, &after), Some(vec![Step::DeleteAcl("bob".to_owned())]));
        assert_eq!(steps(&after, &before), Some(vec![Step::SetAcl(row("bob", "lrt"))]));
        assert_eq!(steps(&before, &before), Some(vec![]));
        let (on, off) = (State::Active { name: Some("main".to_owned()) }, State::Active { name: None });
        assert_eq!(steps(&on, &off), Some(vec![Step::Activate(None)]));
        assert_eq!(steps(&off, &on), Some(vec![Step::Activate(Some("main".to_owned()))]));
        assert_eq!(steps(&State::Script { source: vec![] }, &State::Absent), None);
        let (alive, ended) = (State::Alive { alive: true }, State::Alive { alive: false });
        assert_eq!(steps(&alive, &ended), Some(vec![Step::End]));
        assert_eq!(steps(&ended, &alive), None, "nobody brings back a key or a session");
    }

    #[test]
    fn obsolete_letters_are_sent_only_where_they_are_all_there_is() {
        for (shown, sent) in [("lrwstipekxacd", "lrwstipekxa"), ("lr", "lr"), ("lrcda", "lrcda"), ("td", "t")]
        {
            assert_eq!(settable(shown), sent);
        }
    }

    #[test]
    fn a_state_reads_back_as_it_was_written_and_no_two_share_a_digest() {
        let states = [
            State::Script { source: b"\xff\r\nkeep;".to_vec() },
            State::Active { name: None },
            State::Active { name: Some(String::new()) },
            State::acl(vec![row("a", "bc")]),
            State::acl(vec![row("ab", "c")]),
            State::Annotation { value: None },
            State::Annotation { value: Some(String::new()) },
            State::Absent,
            State::Alive { alive: true },
            State::Alive { alive: false },
            State::Row { cells: [("active".to_owned(), "1".to_owned())].into() },
            State::Row { cells: BTreeMap::new() },
        ];
        for state in &states {
            let text = serde_json::to_string(state).unwrap();
            assert_eq!(serde_json::from_str::<State>(&text).unwrap(), *state, "{text}");
        }
        let digests: std::collections::BTreeSet<String> = states.iter().map(State::sha256).collect();
        assert_eq!(digests.len(), states.len());
    }
}
