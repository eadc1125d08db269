//! One lab: a directory, a Dovecot, a Postfix, and the outside world.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::ca::Ca;
use crate::directory::{Footprint, LabDirectory};
use crate::dovecot::Dovecot;
use crate::error::{LabError, Result, make_directory};
use crate::imap::{Imap, Message, wait_for_message};
use crate::managesieve::ManageSieve;
use crate::outside::Outside;
use crate::packages::require_root;
use crate::postfix::{OutsideMail, Postfix, PostfixBuilder};
use crate::process::{Child, read_lossy};
use crate::smtp::Smtp;

/// A foreign program may bind a port that was free a moment ago; three times in a row it does not.
const ATTEMPTS: usize = 3;
/// The address that strangers come from unless a test says otherwise (TEST-NET-3, RFC 5737).
pub const OUTSIDE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
/// The name that goes with it.
pub const OUTSIDE_NAME: &str = "mail.vendor.test";

/// Which milter Postfix asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MilterAt {
    /// None.
    Nowhere,
    /// The unix socket [`Lab::milter_socket`], which the test's milter shall open.
    LabSocket,
    /// Any address in Postfix's own words, such as `inet:127.0.0.1:2700`.
    Address(String),
}

/// What happens to mail that is not for the lab's own domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutsideWorld {
    /// It bounces.
    Refused,
    /// It is thrown away.
    Discarded,
    /// [`Lab::outside`] collects it.
    Collected,
}

/// What a lab shall be like. Start from [`LabOptions::default`] and change what the test is about.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Domains with mailboxes; the first is the origin of unqualified addresses.
    pub domains: Vec<String>,
    /// Users with their passwords.
    pub users: Vec<(String, String)>,
    /// The master user and its password.
    pub master: (String, String),
    /// Whether the master user has the rights of the users, see [`DovecotBuilder::acl_user`].
    ///
    /// [`DovecotBuilder::acl_user`]: crate::dovecot::DovecotBuilder::acl_user
    pub acl_user: bool,
    /// Lines for main.cf.
    pub main_cf: String,
    /// Lines for master.cf.
    pub master_cf: String,
    /// Lines for dovecot.conf.
    pub dovecot_conf: String,
    /// Entries of `virtual_alias_maps`.
    pub virtual_aliases: Vec<(String, String)>,
    /// Entries of `alias_maps`.
    pub aliases: Vec<(String, String)>,
    /// Domains of `local(8)`, where the aliases live.
    pub local_domains: Vec<String>,
    /// The milter.
    pub milter: MilterAt,
    /// The fate of mail for others.
    pub outside: OutsideWorld,
    /// The tree of another Dovecot, see [`DovecotBuilder::tree`].
    ///
    /// [`DovecotBuilder::tree`]: crate::dovecot::DovecotBuilder::tree
    pub dovecot_tree: Option<PathBuf>,
    /// Where to make the lab's directory; the system's temporary directory when `None`.
    pub base: Option<PathBuf>,
}

impl Default for LabOptions {
    /// `example.test` with alice, bob and ops (`alicepw` and so on), `sweeper` / `sweeppw`, no milter.
    fn default() -> LabOptions {
        let user = |name: &str| (format!("{name}@example.test"), format!("{name}pw"));
        LabOptions {
            domains: vec!["example.test".to_owned()],
            users: ["alice", "bob", "ops"].map(user).to_vec(),
            master: ("sweeper".to_owned(), "sweeppw".to_owned()),
            acl_user: true,
            main_cf: String::new(),
            master_cf: String::new(),
            dovecot_conf: String::new(),
            virtual_aliases: Vec::new(),
            aliases: Vec::new(),
            local_domains: Vec::new(),
            milter: MilterAt::Nowhere,
            outside: OutsideWorld::Refused,
            dovecot_tree: None,
            base: None,
        }
    }
}

/// Running servers. Dropping it ends them and removes their files; so does the end of this process, whatever
/// ends it.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order: who sends before who receives, the directory last.
    /// The mail server.
    pub postfix: Postfix,
    /// The mailbox server.
    pub dovecot: Dovecot,
    outside: Option<Outside>,
    ca: Ca,
    directory: LabDirectory,
}

impl Lab {
    /// Makes and starts a lab. Packages must be there, see [`packages::ensure_installed`].
    ///
    /// [`packages::ensure_installed`]: crate::packages::ensure_installed
    pub fn new(options: LabOptions) -> Result<Lab> {
        let mut outcome = Lab::attempt(&options);
        for _ in 1..ATTEMPTS {
            match outcome {
                Err(LabError::PortTaken { .. }) => outcome = Lab::attempt(&options),
                settled => return settled,
            }
        }
        outcome
    }

    fn attempt(options: &LabOptions) -> Result<Lab> {
        let lab = Lab::prepare(options)?;
        lab.dovecot.start()?;
        lab.postfix.start()?;
        Ok(lab)
    }

    /// Makes a lab and starts nothing, for a test that wants to change files first.
    pub fn prepare(options: &LabOptions) -> Result<Lab> {
        require_root("a lab of Postfix and Dovecot")?;
        let directory = LabDirectory::new(options.base.as_deref())?;
        let path = directory.path().to_owned();
        make_directory(&path.join("milter"))?;
        let ca = Ca::create(&path.join("ca"))?;
        let outside = match options.outside {
            OutsideWorld::Collected => Some(Outside::listen()?),
            OutsideWorld::Refused | OutsideWorld::Discarded => None,
        };
        let postfix = Postfix::builder(&path)?;
        let dovecot = build_dovecot(&path, &ca, options, postfix.smtp_port())?;
        let postfix = postfix.lmtp_port(dovecot.lmtp_port()).auth_socket(&dovecot.auth_socket());
        let postfix = furnish(postfix, &path, options, outside.as_ref()).build()?;
        Ok(Lab { postfix, dovecot, outside, ca, directory })
    }

    /// Everything of this lab is below here.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The certificate that clients have to trust.
    #[must_use]
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// Where a milter shall listen when the options say [`MilterAt::LabSocket`].
    ///
    /// Postfix asks as user `postfix`: the socket must be writable for others.
    #[must_use]
    pub fn milter_socket(&self) -> PathBuf {
        milter_socket(self.path())
    }

    /// The collector of departed mail, when the options say [`OutsideWorld::Collected`].
    #[must_use]
    pub fn outside(&self) -> Option<&Outside> {
        self.outside.as_ref()
    }

    /// An SMTP session that comes from [`OUTSIDE_ADDRESS`].
    pub fn smtp_from_outside(&self) -> Result<Smtp> {
        Smtp::from_outside(self.postfix.smtp_port(), OUTSIDE_ADDRESS, OUTSIDE_NAME)
    }

    /// A session on the submission port, logged in as one of the users.
    pub fn submission(&self, user: &str) -> Result<Smtp> {
        let mut session = Smtp::connect(self.postfix.submission_port())?;
        session.ehlo("laptop.lab.test")?;
        let reply = session.auth_plain(user, &self.password(user)?)?;
        if reply.is_ok() {
            return Ok(session);
        }
        let doing = format!("AUTH as {user}");
        Err(LabError::Answer { server: "Postfix (submission)", doing, answer: reply.text() })
    }

    /// An IMAP session of one of the users.
    pub fn imap(&self, user: &str) -> Result<Imap> {
        Imap::open(self.dovecot.imap_port(), user, &self.password(user)?)
    }

    /// A ManageSieve session of one of the users.
    pub fn managesieve(&self, user: &str) -> Result<ManageSieve> {
        ManageSieve::open(self.dovecot.sieve_port(), user, &self.password(user)?)
    }

    /// Waits until the INBOX of one of the users holds a message that satisfies `wanted`.
    pub fn wait_for_message(
        &self,
        user: &str,
        timeout: Duration,
        wanted: impl Fn(&Message) -> bool,
    ) -> Result<Message> {
        wait_for_message(self.dovecot.imap_port(), user, &self.password(user)?, timeout, wanted)
    }

    /// Starts a program of the lab, such as a milter, which also ends when the lab does; its output goes to
    /// [`child_log`](Self::child_log).
    pub fn spawn(&self, name: &str, command: &mut Command) -> Result<Child> {
        let pid_file = self.path().join("pids").join(format!("{name}.pid"));
        Child::spawn_in_lab(command, &self.child_log_path(name), self.path(), pid_file)
    }

    /// What a program started by [`spawn`](Self::spawn) has printed.
    #[must_use]
    pub fn child_log(&self, name: &str) -> String {
        read_lossy(&self.child_log_path(name))
    }

    /// Ends every server and child; the files stay until the lab is dropped. Calling it twice is harmless.
    pub fn leave_nothing(&self) -> Result<()> {
        self.footprint().stop_all()
    }

    /// What a signal handler needs to end everything without the lab at hand.
    ///
    /// None is needed just to clean up: a guard process does so when this process disappears.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        self.directory.footprint()
    }

    /// Leaves the files behind, for a person to look at.
    pub fn keep(&mut self) -> Result<()> {
        self.directory.keep()
    }

    fn password(&self, user: &str) -> Result<String> {
        let unknown = || LabError::configuration(user, "not a user of this lab; name it in the options");
        self.dovecot.password(user).ok_or_else(unknown)
    }

    fn child_log_path(&self, name: &str) -> PathBuf {
        self.path().join(format!("{name}.log"))
    }
}

fn milter_socket(lab: &Path) -> PathBuf {
    lab.join("milter/gate.sock")
}

fn build_dovecot(lab: &Path, ca: &Ca, options: &LabOptions, smtp_port: u16) -> Result<Dovecot> {
    let (master, password) = &options.master;
    let mut builder = Dovecot::builder(lab, ca)?
        .master_user(master, password)
        .acl_user(options.acl_user)
        .submission_port(smtp_port)
        .append_conf(&options.dovecot_conf);
    if let Some(root) = &options.dovecot_tree {
        builder = builder.tree(root);
    }
    if let Some(domain) = options.domains.first() {
        builder = builder.domain(domain);
    }
    options.users.iter().fold(builder, |builder, (address, password)| builder.user(address, password)).build()
}

fn furnish(
    mut builder: PostfixBuilder,
    lab: &Path,
    options: &LabOptions,
    outside: Option<&Outside>,
) -> PostfixBuilder {
    builder = options.domains.iter().fold(builder, |builder, domain| builder.domain(domain));
    builder = options.local_domains.iter().fold(builder, |builder, domain| builder.local_domain(domain));
    builder =
        options.virtual_aliases.iter().fold(builder, |builder, (from, to)| builder.virtual_alias(from, to));
    builder = options.aliases.iter().fold(builder, |builder, (name, value)| builder.alias(name, value));
    builder = match &options.milter {
        MilterAt::Nowhere => builder,
        MilterAt::LabSocket => builder.milter(&format!("unix:{}", milter_socket(lab).display())),
        MilterAt::Address(address) => builder.milter(address),
    };
    let fate = match (outside, options.outside) {
        (Some(outside), _) => OutsideMail::ToPort(outside.port()),
        (None, OutsideWorld::Discarded) => OutsideMail::Discarded,
        (None, _) => OutsideMail::Refused,
    };
    builder.outside_mail(fate).append_main_cf(&options.main_cf).append_master_cf(&options.master_cf)
}
