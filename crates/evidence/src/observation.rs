//! Raw facts with the evidence that proves them.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::SurfaceId;

/// One raw fact a collector saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The mailbox looked at, or [`crate::SYSTEM`] for facts of the whole mail system.
    pub mailbox: String,
    /// The surface it was seen on.
    pub surface: SurfaceId,
    /// What was seen.
    pub fact: Fact,
    /// What proves it.
    pub evidence: Evidence,
}

/// What a collector can see. Values are as the server gave them; nothing is judged here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fact {
    /// A Sieve script in the mailbox's script store.
    SieveScript {
        /// Its name as the server lists it (lossy UTF-8); the path of a script that is found as a file.
        name: String,
        /// Whether the server runs it at delivery.
        active: bool,
        /// The exact bytes.
        #[serde(with = "crate::text_or_base64")]
        source: Vec<u8>,
        /// The server's IMPLEMENTATION capability, which tells the dialect.
        implementation: String,
    },
    /// One entry of a folder's access control list (RFC 4314).
    AclEntry {
        /// Folder name in UTF-8.
        folder: String,
        /// Who is granted or denied.
        identifier: AclIdentifier,
        /// The right letters, e.g. `lrs`.
        rights: String,
    },
    /// A METADATA annotation that has a value (RFC 5464).
    Metadata {
        /// Folder name, empty for the server's own annotations.
        folder: String,
        /// Entry name.
        entry: String,
        /// Its value (lossy UTF-8).
        value: String,
    },
    /// One row of a Postfix lookup table in force.
    MapEntry {
        /// The parameter that names the table, e.g. `virtual_alias_maps`.
        parameter: String,
        /// The table as `type:name`.
        table: String,
        /// Lookup key.
        key: String,
        /// Result, unparsed.
        result: String,
        /// Line of the key in the table's source text, where that text exists and holds it.
        line: Option<u32>,
        /// It stands in the source text only: mail follows it once the table is built again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pending: bool,
    },
    /// A parameter that names an address itself, such as `always_bcc`.
    Parameter {
        /// Parameter name.
        name: String,
        /// Expanded value.
        value: String,
    },
    /// The text that a table is made from, looked at because it shall be changed.
    TableText {
        /// Where it is.
        path: String,
        /// The exact bytes.
        #[serde(with = "crate::text_or_base64")]
        source: Vec<u8>,
    },
    /// Messages in a queue, by recipient. Nothing of a message is looked at.
    Queued {
        /// The queue, e.g. `deferred`.
        queue: String,
        /// Where they shall go.
        recipient: String,
        /// How many.
        messages: u32,
    },
    /// A row of a panel's or a webmail's database.
    PanelRow {
        /// The set of queries that found it, e.g. `postfixadmin`.
        panel: String,
        /// The query, which is also the table it is about.
        query: String,
        /// What the row gives.
        means: PanelMeaning,
        /// Whose it is: an address, a domain, a login; empty for the whole system.
        owner: String,
        /// Who gains: addresses, a login, a host, as the row holds them.
        target: String,
        /// How the panel calls it: the name of an app password, a comment.
        label: String,
        /// Whether it is in force.
        active: bool,
        /// What tells the row from others of its query.
        key: String,
        /// The statement that takes away what it gives, for an administrator to type; empty where none is known.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by_hand: String,
    },
    /// The cells of a panel's row that would change, looked at because they shall be changed.
    PanelCells {
        /// The panel as it is configured.
        panel: String,
        /// What tells the row from others of its query, as in [`Fact::PanelRow`].
        key: String,
        /// Where the row is.
        place: Box<RowPlace>,
        /// What the cells hold, by column.
        cells: std::collections::BTreeMap<String, String>,
    },
    /// A program that keeps copying a mailbox elsewhere, or into it, as its configuration file says.
    PullJob {
        /// The program, e.g. `fetchmail`.
        program: String,
        /// The file that says so.
        file: String,
        /// The line.
        line: u32,
        /// The mailbox that is read, as a login or address; empty where it is not named.
        mailbox: String,
        /// The server it is read from; empty for this one.
        server: String,
        /// Where copies go: an address, a host, a path; empty where it is not named.
        destination: String,
    },
    /// An account the mail server lists.
    Account {
        /// Login name as the server gives it.
        login: String,
    },
    /// A folder of another mailbox that this one is shown, with what it may do there.
    SharedFolder {
        /// The folder's name in this mailbox's list, in UTF-8.
        folder: String,
        /// The right letters of this mailbox (RFC 4314 MYRIGHTS).
        rights: String,
    },
    /// A file or link that decides which Sieve code runs, and is not what it seems.
    SieveFile {
        /// Where it is.
        path: String,
        /// In what way.
        oddity: SieveOddity,
        /// What it leads to: the target of a link, or what the compiled code does beyond its source.
        detail: String,
    },
    /// Something the server tells of itself or of one mailbox: a setting, its name, a quota.
    Setting {
        /// Its name, e.g. `sieve_extensions`.
        name: String,
        /// Its value.
        value: String,
    },
    /// A login that may act for every mailbox.
    MasterUser {
        /// The login.
        login: String,
        /// The password database that holds it.
        database: String,
        /// Whether it is the one these rounds log in with.
        ours: bool,
        /// The services it is let in by, as Dovecot calls them; none where it is every one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<String>,
    },
    /// Somebody in a password database that only sending asks.
    SaslUser {
        /// The login, with its realm.
        login: String,
        /// The database's file.
        database: String,
    },
    /// How often a mailbox was logged in to from one address that is not known to be one of our own, as the server's
    /// log says.
    ClientLogins(Box<ClientLogins>),
    /// An account that may not log in, while the user database still knows it: mail for it is delivered and its
    /// scripts run.
    LockedAccount {
        /// The login.
        login: String,
        /// How it is locked, e.g. `nologin`.
        how: String,
    },
    /// By which services a login may come in, of an account that at least one of them takes.
    LoginServices {
        /// The login.
        login: String,
        /// The services that take its password, e.g. `imap`; Postfix's SASL is `smtp`.
        open: Vec<String>,
        /// Those that do not, each with how, e.g. `pop3 (nologin)`.
        refused: Vec<String>,
    },
    /// One attempt to log in to an account that ought to be closed.
    LoginTried {
        /// The account.
        login: String,
        /// The service, e.g. `pop3`.
        service: String,
        /// With what it was tried.
        credential: TrialCredential,
        /// What became of it.
        trial: LoginTrial,
    },
    /// The groups a login is in, as the user database says; access control lists name them.
    Membership {
        /// The login.
        login: String,
        /// The groups, in the order given; none for a login in no group.
        groups: Vec<String>,
    },
    /// Several logins that open the same mail.
    SharedHome {
        /// The directory.
        home: String,
        /// The logins, sorted.
        logins: Vec<String>,
    },
    /// Connections that are open now.
    Session {
        /// Who is logged in.
        login: String,
        /// The service, e.g. `imap`.
        service: String,
        /// From where, each address once.
        addresses: Vec<String>,
        /// How many.
        connections: u32,
    },
    /// Somebody on a mailing list.
    ListMember(Box<ListMember>),
    /// What the name service, or a host it names, said.
    Dns {
        /// What was asked.
        question: crate::dns::Question,
        /// What came back.
        answer: crate::dns::Answer,
    },
    /// What an earlier look at a domain had found, as the ledger holds it.
    DnsBefore {
        /// When it was seen first.
        since: DateTime<Utc>,
        /// What was published: a record set's name and type, and its text.
        published: std::collections::BTreeMap<String, String>,
    },
}

/// How often a mailbox was logged in to from one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientLogins {
    /// The login, in lower case.
    pub login: String,
    /// The service, e.g. `pop3`; `smtp` for messages that Postfix took after a login.
    pub service: String,
    /// From where.
    pub address: String,
    /// Whether the address is known to lie outside our own networks; nobody can tell where they are not named.
    pub outside: bool,
    /// The service that fetches mail from there, where the administrator named its networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetcher: Option<String>,
    /// What the programs call themselves (RFC 2971); anybody may use any name.
    pub programs: Vec<String>,
    /// The SASL mechanisms.
    pub methods: Vec<String>,
    /// How often.
    pub logins: u64,
    /// The first time.
    pub first: DateTime<Utc>,
    /// The last time.
    pub last: DateTime<Utc>,
}

/// Somebody on a mailing list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMember {
    /// The list's address.
    pub list: String,
    /// Theirs.
    pub address: String,
    /// What they are there.
    pub role: ListRole,
    /// How they get its mail, e.g. `regular` or `mime_digests`.
    pub delivery: String,
    /// The URL of the list manager's interface.
    pub interface: String,
}

/// What somebody is on a mailing list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListRole {
    /// Gets its mail.
    Member,
    /// Administers it, and gets what is written to its owners.
    Owner,
    /// Lets messages through.
    Moderator,
}

impl ListRole {
    /// In the words of the list manager.
    pub fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Owner => "owner",
            Self::Moderator => "moderator",
        }
    }
}

/// Where one row of a panel's database is, and which cells of it are changed to take something away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowPlace {
    /// The query that finds it.
    pub query: String,
    /// The table, with its prefix.
    pub table: String,
    /// The columns that name the row, and their values.
    pub by: std::collections::BTreeMap<String, String>,
    /// The column that lists several targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// The column that says whether the row is in force.
    pub switch: String,
    /// Columns that the database would write anew, and that keep what they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
}

/// With what a login was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialCredential {
    /// A password of the account that the administrator knows. That it is refused says nothing of others.
    TestPassword,
    /// The master user of the rounds. That it is let in says that the account is not closed, and nothing of its
    /// owner's password.
    MasterUser,
}

impl TrialCredential {
    /// In the words of a report.
    pub fn words(self) -> &'static str {
        match self {
            Self::TestPassword => "the test password",
            Self::MasterUser => "the master user",
        }
    }
}

/// What became of an attempt to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginTrial {
    /// The account was opened.
    Accepted,
    /// It was not.
    Refused,
}

impl LoginTrial {
    /// As a verb.
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

/// What a row of a panel's database gives to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PanelMeaning {
    /// The panel knows the account; other rows may belong to it.
    Account,
    /// The owner may log in by the service that is the target.
    Service,
    /// Mail for the owner goes to the targets.
    Forward,
    /// The targets get a copy of mail for the owner.
    CopyTo,
    /// The targets get a copy of mail from the owner.
    CopyFrom,
    /// Answers to the owner go to the target.
    ReplyTo,
    /// Automatic answers are sent in the owner's name.
    Answer,
    /// A password beside the main one.
    AppPassword,
    /// A second factor, or a way around it.
    SecondFactor,
    /// A key to the panel itself.
    ApiKey,
    /// Where a forgotten password is reset from.
    Recovery,
    /// Another server is read with stored credentials.
    Pull,
    /// Mail is stored elsewhere as well.
    External,
    /// The target administers the owner.
    Admin,
    /// The target may send as the owner.
    SendAs,
    /// The target may use what is the owner's.
    Share,
    /// A stored Sieve script or filter of the owner.
    Filter,
    /// Somebody is logged in.
    Session,
    /// Notices about mail are pushed to a service.
    Push,
}

/// How a file of the Sieve interpreter differs from what its owner and ManageSieve are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SieveOddity {
    /// The active script is a file of its own, where ManageSieve expects a link: it runs and is not listed.
    PlainFile,
    /// The link of the active script leads out of the script directory; Pigeonhole refuses to run it.
    LinkOutside,
    /// The compiled form that runs does something else than its source.
    BinaryDiffers,
}

/// The identifier of an access control entry, as RFC 4314 and Dovecot's shared-mailbox conventions spell it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AclIdentifier {
    /// The identifier without its leading minus: a login, `anyone`, `authenticated`, `owner`, `$group`.
    pub name: String,
    /// A leading minus: the rights are taken away.
    pub negative: bool,
    /// The login that the server means, where it is not the name: Cyrus leaves its default domain out. Empty
    /// where it means nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
}

impl AclIdentifier {
    /// An identifier that means what it says.
    pub fn new(name: impl Into<String>, negative: bool) -> Self {
        Self { name: name.into(), negative, login: None }
    }
}

/// What proves an observation, without holding more of it than a reviewer needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// SHA-256 of the raw answer or file, hexadecimal.
    pub sha256: String,
    /// A short redacted excerpt.
    pub excerpt: String,
    /// Which collector saw it.
    pub collector: String,
    /// When, UTC.
    pub observed_at: DateTime<Utc>,
}

impl Evidence {
    /// Evidence over raw bytes; the excerpt is cut to [`Evidence::MAX_EXCERPT`] characters.
    pub fn of(raw: &[u8], excerpt: &str, collector: &str, observed_at: DateTime<Utc>) -> Self {
        let end = excerpt.char_indices().nth(Self::MAX_EXCERPT).map_or(excerpt.len(), |(end, _)| end);
        Self {
            sha256: HEXLOWER.encode(&Sha256::digest(raw)),
            excerpt: excerpt[..end].to_owned(),
            collector: collector.to_owned(),
            observed_at,
        }
    }

    /// Longest excerpt, in characters.
    pub const MAX_EXCERPT: usize = 400;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_survives_being_written_down_byte_for_byte() {
        let source = (0..=255).collect::<Vec<u8>>();
        let fact = Fact::SieveScript {
            name: "main".to_owned(),
            active: true,
            source,
            implementation: "Dovecot Pigeonhole".to_owned(),
        };
        let evidence = Evidence::of(b"raw", "excerpt", "test", "2026-11-01T12:00:00Z".parse().unwrap());
        let mailbox = "a@example.test".to_owned();
        let seen = Observation { mailbox, surface: "managesieve.scripts".to_owned(), fact, evidence };
        let written = serde_json::to_string(&seen).unwrap();
        assert!(written.contains(r#""kind":"sieve-script""#), "{written}");
        assert_eq!(serde_json::from_str::<Observation>(&written).unwrap(), seen);
    }
}
