//! `mailwarden.toml`. Every table has a default, so that the commands that need no server need no file.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailwarden_gate::Modes;
use mailwarden_policy::{Source, toml_error};
use serde::Deserialize;

use crate::{Clients, Mailman, Network, Notify, Probe, SecretSource, SettingsError, is_within};

/// Read when no other file is named.
pub const DEFAULT_CONFIG: &str = "/etc/mailwarden/mailwarden.toml";

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the file stands; paths in it are relative to this directory.
    #[serde(skip)]
    pub directory: PathBuf,
    /// Policy.
    pub policy: PolicyDirectory,
    /// The gate.
    pub gate: Gate,
    /// The ledger.
    pub ledger: Ledger,
    /// The gate journal.
    pub journal: Journal,
    /// Metrics.
    pub metrics: Metrics,
    /// The IMAP server of the rounds.
    pub imap: Option<MailServer>,
    /// The ManageSieve server of the rounds.
    pub managesieve: Option<MailServer>,
    /// The master login of the rounds.
    pub login: Option<Login>,
    /// Passwords of mailboxes that are logged in to as themselves.
    pub mailbox_passwords: Option<SecretSource>,
    /// The local Dovecot.
    pub dovecot: Option<Dovecot>,
    /// The local Postfix.
    pub postfix: Option<Postfix>,
    /// How to list the accounts of the mail system.
    pub accounts: Option<Accounts>,
    /// The databases of panels and webmails.
    pub panel: Vec<Panel>,
    /// Where jobs that copy mail are looked for.
    pub pulls: Option<Pulls>,
    /// Programs that fetch mail, and logins of people who have left, as the servers' logs say.
    pub clients: Option<Clients>,
    /// The interface of Mailman 3.
    pub mailman: Option<Mailman>,
    /// Logins that are tried for accounts that ought to be closed.
    pub probe: Option<Probe>,
    /// Pacing of the rounds.
    pub sweep: Sweep,
    /// How domains are looked at.
    pub dns: Dns,
    /// Who hears of what a sweep found.
    pub notify: Notify,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/etc/mailwarden"),
            policy: PolicyDirectory::default(),
            gate: Gate::default(),
            ledger: Ledger::default(),
            journal: Journal::default(),
            metrics: Metrics::default(),
            imap: None,
            managesieve: None,
            login: None,
            mailbox_passwords: None,
            dovecot: None,
            postfix: None,
            accounts: None,
            panel: Vec::new(),
            pulls: None,
            clients: None,
            mailman: None,
            probe: None,
            sweep: Sweep::default(),
            dns: Dns::default(),
            notify: Notify::default(),
        }
    }
}

/// `[policy]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyDirectory {
    /// Directory of `*.toml` files, or one file.
    pub directory: PathBuf,
}

impl Default for PolicyDirectory {
    fn default() -> Self {
        Self { directory: PathBuf::from("policy") }
    }
}

/// `[gate]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// `unix:PATH` or `inet:HOST:PORT`.
    pub listen: String,
    /// Mode of the unix socket, octal. Postfix connects as user `postfix`.
    pub socket_mode: String,
    /// Owner of the unix socket; unchanged when empty. Giving a socket away takes root.
    pub socket_owner: String,
    /// Group of the unix socket; unchanged when empty.
    pub socket_group: String,
    /// Started as root, the gate becomes this user once its sockets are open; it stays what it is when empty.
    pub user: String,
    /// Whether the kernel (Landlock) shall keep the gate from writing anywhere but beside its ledger and from
    /// running programs.
    pub confine: bool,
    /// More connections than this wait in the backlog.
    pub max_connections: usize,
    /// An idle connection is closed after this time. It has to be longer than Postfix's `smtpd_timeout` (300 s).
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    /// How long a stop waits for messages in flight.
    #[serde(deserialize_with = "duration")]
    pub drain_timeout: Duration,
    /// Networks of our own hosts, whose word about earlier steps of a message is believed.
    pub own_networks: Vec<Network>,
    /// The tables of Postfix's `smtpd_sender_login_maps`, or the texts they are made from: which login may use which
    /// sender address, beside what the policy says.
    pub sender_login_maps: Vec<PathBuf>,
    /// Mode of each rule.
    pub rules: Modes,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            listen: "unix:/run/mailwarden/gate.sock".to_owned(),
            socket_mode: "0660".to_owned(),
            socket_owner: String::new(),
            socket_group: String::new(),
            user: String::new(),
            confine: true,
            max_connections: 4000,
            idle_timeout: Duration::from_secs(7210),
            drain_timeout: Duration::from_secs(30),
            own_networks: Network::loopback(),
            sender_login_maps: Vec::new(),
            rules: Modes::default(),
        }
    }
}

/// `[ledger]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ledger {
    /// `sqlite:/path/to/file` or `postgres://USER@HOST/DATABASE`.
    pub url: String,
    /// The password of a PostgreSQL ledger; `PGPASSFILE` or none when absent.
    pub password: Option<SecretSource>,
    /// The name in its checkpoints: one word, different for every ledger.
    pub name: String,
    /// The key that signs checkpoints, PKCS#8 PEM; made when first needed.
    pub key: PathBuf,
    /// Where `mailwarden ledger anchor` takes checkpoints.
    pub anchors: Vec<LedgerAnchor>,
    /// How long details are kept, by the beginning of the event's kind; all others for good.
    pub keep_details: BTreeMap<String, Keep>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            url: "sqlite:/var/lib/mailwarden/ledger.db".to_owned(),
            password: None,
            name: "mailwarden".to_owned(),
            key: PathBuf::from("/var/lib/mailwarden/ledger-key.pem"),
            anchors: Vec::new(),
            keep_details: BTreeMap::new(),
        }
    }
}

/// Where checkpoints are taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerAnchor {
    /// A file to which they are appended.
    File(PathBuf),
    /// The system log.
    Syslog(bool),
    /// A program with its arguments, which gets the note on standard input. No shell is involved.
    Command(Vec<String>),
}

/// A time such as `400d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Keep(#[serde(deserialize_with = "duration")] pub Duration);

/// `[journal]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    /// `sqlite:/path/to/file` or `postgres://...`; beside the ledger, or in its database, when empty.
    pub url: String,
    /// Decisions older than this are dropped.
    #[serde(deserialize_with = "duration")]
    pub keep: Duration,
    /// No more decisions than this are kept.
    pub max_rows: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self { url: String::new(), keep: Duration::from_secs(30 * 86_400), max_rows: 1_000_000 }
    }
}

/// `[metrics]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// `HOST:PORT` for `/metrics` and `/healthz`; none when empty.
    pub listen: String,
}

/// `[imap]` and `[managesieve]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailServer {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// The name the certificate must carry; the host when absent.
    pub tls_name: Option<String>,
    /// A private certification authority, PEM; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// The domain whose logins the server shows without it in access lists: Cyrus's `defaultdomain`.
    pub default_domain: Option<String>,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Plain text first, then STARTTLS; nothing secret is said before.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// None; refused for any address but loopback.
    None,
}

/// `[login]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The master user.
    pub user: String,
    /// Its password: `{ file = "..." }` or `{ credential = "..." }`.
    pub password: SecretSource,
    /// Dovecot's `auth_master_user_separator`; SASL authorisation identity when absent.
    pub separator: Option<char>,
}

/// `[dovecot]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dovecot {
    /// Configuration file of the instance; the system's when absent.
    pub config: Option<PathBuf>,
    /// Directory of `doveadm`, `doveconf`, `sievec` and `sieve-dump`; the PATH when absent.
    pub program_directory: Option<PathBuf>,
    /// doveadm's HTTP API, asked instead of the programs where this is not the mail host.
    pub api: Option<DoveadmApi>,
}

/// `[dovecot.api]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoveadmApi {
    /// `https://HOST:PORT/doveadm/v1`; `http` for a loopback address only.
    pub url: String,
    /// Dovecot's `doveadm_api_key`.
    pub key: Option<SecretSource>,
    /// Dovecot's `doveadm_password`, where there is no key.
    pub password: Option<SecretSource>,
    /// The name the certificate must carry; the URL's host when absent.
    pub tls_name: Option<String>,
    /// A private certification authority, PEM; the system's when absent.
    pub ca_file: Option<PathBuf>,
}

/// `[postfix]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postfix {
    /// `config_directory` of the instance; of a copied one the directory of the copy.
    pub config_directory: PathBuf,
    /// Whether the directory is a copy from another machine: what `postconf -n`, `-M` and `-P` printed, as
    /// `postconf-n.txt` and so on, and the files that are named there, each at its own path below. Nothing is run.
    #[serde(default)]
    pub exported: bool,
}

/// `[accounts]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Program and arguments that print one login a line, e.g. `["doveadm", "user", "*"]`. No shell is involved.
    pub command: Vec<String>,
}

/// `[[panel]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// The set of queries: `postfixadmin`, `mailcow`, `modoboa`, `iredmail`, `roundcube` or `sogo`.
    pub kind: String,
    /// The name it goes by in reports, where there are several of a kind.
    pub name: Option<String>,
    /// `mysql://USER@HOST/DATABASE`, `postgres://USER@HOST/DATABASE` or `sqlite:/path`. The user needs SELECT and
    /// nothing else.
    pub url: String,
    /// The user's password.
    pub password: Option<SecretSource>,
    /// Who changes rows for `mailwarden revoke` and `restore`; nobody does when absent.
    pub writer: Option<PanelWriter>,
    /// A file with a set of queries of one's own, instead of the one that the kind names.
    pub queries: Option<PathBuf>,
    /// The prefix of table names, where the panel was installed with one.
    #[serde(default)]
    pub prefix: String,
    /// How long one query may take.
    #[serde(default = "half_a_minute", deserialize_with = "duration")]
    pub timeout: Duration,
}

/// `writer` of a `[[panel]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PanelWriter {
    /// As that of the panel; the user needs SELECT and UPDATE on the tables whose rows are changed.
    pub url: String,
    /// The user's password.
    pub password: Option<SecretSource>,
}

pub(crate) fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

/// `[pulls]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pulls {
    /// A directory that holds a copy of another machine's files; this machine when absent.
    pub root: Option<PathBuf>,
    /// Files and directories beside the usual places.
    pub files: Vec<PathBuf>,
}

/// `[sweep]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sweep {
    /// Most mailboxes looked at side by side.
    pub connections: usize,
    /// Most connections to one server at a time; fewer where it does not take them.
    pub server_connections: usize,
    /// Most logins a second at one server; 0 sets no limit.
    pub limit_rate: f64,
    /// How often an attempt is repeated when a server cannot be reached.
    pub retries: u32,
    /// Longest time for one mailbox.
    #[serde(deserialize_with = "duration")]
    pub mailbox_deadline: Duration,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            connections: 32,
            server_connections: 32,
            limit_rate: 0.0,
            retries: 3,
            mailbox_deadline: Duration::from_secs(60),
        }
    }
}

/// `[dns]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Resolvers as `ADDRESS` or `ADDRESS:PORT`; the system's when empty. What they say of DNSSEC is believed, so
    /// they should validate and be near.
    #[serde(deserialize_with = "resolvers")]
    pub resolvers: Vec<SocketAddr>,
    /// How long one question to a resolver may take.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// How long a mail host, a policy over HTTPS or a registry may take.
    #[serde(deserialize_with = "duration")]
    pub host_timeout: Duration,
    /// Whether our mail hosts are asked over SMTP.
    pub smtp: bool,
    /// The port of mail hosts.
    pub smtp_port: u16,
    /// The name said in EHLO; that of this machine when empty.
    pub helo: String,
    /// The port of MTA-STS policies.
    pub https_port: u16,
    /// Where registrations are asked by RDAP, an https URL; nobody is asked when empty.
    pub rdap: String,
    /// A private certification authority, PEM; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// The address under which all our hosts are reached, for a network that reaches them otherwise than the
    /// world does.
    pub connect_to: Option<IpAddr>,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            resolvers: Vec::new(),
            timeout: Duration::from_secs(5),
            host_timeout: Duration::from_secs(30),
            smtp: true,
            smtp_port: 25,
            helo: String::new(),
            https_port: 443,
            rdap: "https://rdap.org".to_owned(),
            ca_file: None,
            connect_to: None,
        }
    }
}

/// The port of the name service.
const DNS_PORT: u16 = 53;

fn resolvers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let read = |text: &String| {
        let address = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
        text.parse::<SocketAddr>().or_else(|_| address()).map_err(|_| {
            let example = "such as \"127.0.0.1\" or \"[::1]:5353\"";
            serde::de::Error::custom(format!("`{text}` is no address of a resolver {example}"))
        })
    };
    texts.iter().map(read).collect()
}

pub(crate) fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| {
        serde::de::Error::custom(format!("`{text}` is not a duration such as \"30s\" or \"2h\": {error}"))
    })
}

/// `sqlite:file.db` names a file in a directory; everything else stands as it is, and whoever opens it says what is
/// wrong with it.
fn absolute_url(url: &str, base: &Path) -> String {
    let Some(rest) = url.strip_prefix("sqlite:") else { return url.to_owned() };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.starts_with('/') || path.starts_with(':') {
        return url.to_owned();
    }
    format!("sqlite:{}", base.join(path).display())
}

/// The ledger reads the file when it connects; a URL with a password would be seen by others.
fn with_password_file(url: &str, file: &Path) -> String {
    if !url.starts_with("postgres") {
        return url.to_owned();
    }
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}password_file={}", file.display())
}

impl Settings {
    /// Reads the named file; without a name the default file, or the defaults where that does not exist.
    ///
    /// # Errors
    /// When the named file cannot be read, or a text is wrong.
    pub fn load(named: Option<&Path>) -> Result<Self, SettingsError> {
        let path = named.unwrap_or(Path::new(DEFAULT_CONFIG));
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(path, bytes),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(source) => Err(SettingsError::Unreadable {
                what: "the configuration",
                path: path.to_owned(),
                source,
                next: "name it with --config FILE",
            }),
        }
    }

    fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, SettingsError> {
        let source = Source::new(path.display().to_string(), bytes);
        let text = source.utf8().map_err(|diagnostic| SettingsError::Invalid(vec![*diagnostic]))?;
        let mut settings: Self = toml::from_str(text)
            .map_err(|error| SettingsError::Invalid(vec![toml_error(&source, &error)]))?;
        // Of a bare file name the parent is the empty path, which leads nowhere.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        settings.directory = parent.unwrap_or(Path::new(".")).to_owned();
        let base = std::path::absolute(&settings.directory).unwrap_or_else(|_| settings.directory.clone());
        settings.ledger.url = absolute_url(&settings.ledger.url, &base);
        settings.journal.url = absolute_url(&settings.journal.url, &base);
        // Without $CREDENTIALS_DIRECTORY a person runs us by hand, whose own PGPASSFILE counts then.
        if let Some(file) = settings.ledger.password.as_ref().and_then(|secret| secret.path(&base).ok()) {
            settings.ledger.url = with_password_file(&settings.ledger.url, &file);
        }
        Ok(settings)
    }

    /// Puts the ledger that the command line names before the configured one; the journal is kept beside it. A
    /// relative path is relative to where the program was started.
    pub fn use_ledger(&mut self, url: &str) {
        self.ledger.url = absolute_url(url, &std::env::current_dir().unwrap_or_default());
        self.journal.url.clear();
    }

    /// A path of the file, relative to the file's directory.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }

    /// The policy directory.
    pub fn policy_directory(&self) -> PathBuf {
        self.resolve(&self.policy.directory)
    }

    /// The journal's URL: its own, or a file beside the ledger, or the ledger's database.
    pub fn journal_url(&self) -> String {
        if !self.journal.url.is_empty() {
            self.journal.url.clone()
        } else if self.ledger.url.starts_with("postgres") {
            self.ledger.url.clone()
        } else {
            self.beside_ledger("journal")
        }
    }

    /// The vendor register's URL: a file beside the ledger, or the ledger's database, which all gates share.
    pub fn vendors_url(&self) -> String {
        if self.ledger.url.starts_with("postgres") {
            return self.ledger.url.clone();
        }
        self.beside_ledger("vendors")
    }

    fn beside_ledger(&self, what: &str) -> String {
        let base = self.ledger.url.strip_suffix(".db").unwrap_or(&self.ledger.url);
        // A ledger in memory has its neighbours there as well.
        if base == "sqlite::memory:" { base.to_owned() } else { format!("{base}-{what}.db") }
    }

    /// Whether an address is that of one of our own hosts.
    pub fn is_own_host(&self, client: IpAddr) -> bool {
        is_within(&self.gate.own_networks, client)
    }
}
