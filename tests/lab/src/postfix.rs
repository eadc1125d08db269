//! An isolated Postfix with an SMTP port, a submission port, and nowhere to send mail but loopback.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde::Deserialize;

use crate::accounts::{group_id, user_id};
use crate::directory::postfix_pid_file;
use crate::elsewhere::Programs;
use crate::error::{LabError, Result, make_directory, write_file};
use crate::packages::{POSTFIX_DAEMONS, require_root};
use crate::ports::Port;
use crate::process::{
    COMMAND_LIMIT, PidFile, Ran, command_name, exists, group_members, last_lines, launch, read_lossy, run,
    run_ok, signal,
};
use crate::wait::wait_for;

const NAME: &str = "Postfix";
/// Names the root of another system whose Postfix all labs of a test run shall use, see
/// [`elsewhere`](crate::elsewhere).
pub const ROOT_VARIABLE: &str = "MAILWARDEN_LAB_POSTFIX_ROOT";
const MASTER_TEMPLATE: &str = include_str!("../templates/master.cf");
const RELOAD_LIMIT: Duration = Duration::from_secs(5);
/// How long a reload waits for old processes that may be busy with a session of the test itself.
const OLD_PROCESSES_LIMIT: Duration = Duration::from_millis(300);
const SETTLED_AGE: Duration = Duration::from_secs(10);

/// What happens to mail for domains that are not ours. None of it ever leaves loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutsideMail {
    /// Bounced with 5.1.2.
    Refused,
    /// Taken and thrown away.
    Discarded,
    /// Sent by SMTP to this loopback port, where a test collects it.
    ToPort(u16),
}

/// What a Postfix shall be like before it is written down.
#[derive(Debug)]
pub struct PostfixBuilder {
    root: PathBuf,
    lab: PathBuf,
    smtp: Port,
    submission: Port,
    hostname: String,
    domains: Vec<String>,
    local_domains: Vec<String>,
    virtual_aliases: Vec<(String, String)>,
    aliases: Vec<(String, String)>,
    lmtp_port: Option<u16>,
    auth_socket: Option<PathBuf>,
    milter: Option<String>,
    outside_mail: OutsideMail,
    main_cf: String,
    master_cf: String,
}

impl PostfixBuilder {
    /// `myhostname`.
    #[must_use]
    pub fn hostname(mut self, name: &str) -> PostfixBuilder {
        name.clone_into(&mut self.hostname);
        self
    }

    /// A domain whose mail goes to the mailbox server (`virtual_mailbox_domains`); the first is also
    /// `myorigin`.
    ///
    /// Recipients are not listed: Postfix takes every address there and LMTP has the last word.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> PostfixBuilder {
        self.domains.push(domain.to_owned());
        self
    }

    /// A domain of `local(8)` (`mydestination`), whose only recipients are the names in
    /// [`alias`](Self::alias).
    #[must_use]
    pub fn local_domain(mut self, domain: &str) -> PostfixBuilder {
        self.local_domains.push(domain.to_owned());
        self
    }

    /// An entry of `virtual_alias_maps`.
    #[must_use]
    pub fn virtual_alias(mut self, from: &str, to: &str) -> PostfixBuilder {
        self.virtual_aliases.push((from.to_owned(), to.to_owned()));
        self
    }

    /// An entry of `alias_maps`.
    #[must_use]
    pub fn alias(mut self, name: &str, value: &str) -> PostfixBuilder {
        self.aliases.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where mailboxes live (`virtual_transport`).
    #[must_use]
    pub fn lmtp_port(mut self, port: u16) -> PostfixBuilder {
        self.lmtp_port = Some(port);
        self
    }

    /// Dovecot's authentication socket, for the submission port.
    #[must_use]
    pub fn auth_socket(mut self, socket: &Path) -> PostfixBuilder {
        self.auth_socket = Some(socket.to_owned());
        self
    }

    /// The milter of all mail (`inet:127.0.0.1:PORT` or `unix:/path`), that of `sendmail(1)` included.
    #[must_use]
    pub fn milter(mut self, address: &str) -> PostfixBuilder {
        self.milter = Some(address.to_owned());
        self
    }

    /// What happens to mail for other domains.
    #[must_use]
    pub fn outside_mail(mut self, fate: OutsideMail) -> PostfixBuilder {
        self.outside_mail = fate;
        self
    }

    /// One parameter of main.cf; it replaces the lab's own of that name.
    #[must_use]
    pub fn main_cf(self, name: &str, value: &str) -> PostfixBuilder {
        self.append_main_cf(&format!("{name} = {value}"))
    }

    /// Lines of main.cf as they are; a parameter set here replaces the lab's own of that name.
    #[must_use]
    pub fn append_main_cf(mut self, text: &str) -> PostfixBuilder {
        push_lines(&mut self.main_cf, text);
        self
    }

    /// Services for the end of master.cf.
    #[must_use]
    pub fn append_master_cf(mut self, text: &str) -> PostfixBuilder {
        push_lines(&mut self.master_cf, text);
        self
    }

    /// The port for mail from outside.
    #[must_use]
    pub fn smtp_port(&self) -> u16 {
        self.smtp.number()
    }

    /// Writes everything down; [`Postfix::start`] brings it up.
    pub fn build(self) -> Result<Postfix> {
        require_root("making a Postfix queue")?;
        let programs = Programs::chosen(ROOT_VARIABLE);
        make_queue(&self.root, programs.root())?;
        let etc = make_directory(&self.root.join("etc"))?;
        make_directory(&etc.join("maps"))?;
        copy_dynamic_maps(&etc, programs.root())?;
        let ports = [("@smtp@", &self.smtp), ("@submission@", &self.submission)];
        let master = ports.iter().fold(MASTER_TEMPLATE.to_owned(), |text, (mark, port)| {
            text.replace(mark, &port.number().to_string())
        });
        write_file(&etc.join("master.cf"), format!("{master}{}", self.master_cf))?;
        let postfix = Postfix {
            base: base_parameters(&self),
            extra: Mutex::new(self.main_cf),
            pid_file: PidFile::new(postfix_pid_file(&self.lab), &self.lab),
            root: self.root,
            programs,
            smtp: self.smtp,
            submission: self.submission,
        };
        postfix.write_main_cf()?;
        postfix.set_virtual_aliases(&self.virtual_aliases)?;
        postfix.set_aliases(&self.aliases)?;
        Ok(postfix)
    }
}

fn push_lines(text: &mut String, more: &str) {
    text.push_str(more);
    text.push('\n');
}

/// The parameters of every lab, before the test's own.
fn base_parameters(builder: &PostfixBuilder) -> Vec<(&'static str, String)> {
    let root = builder.root.display();
    let origin = builder.domains.first().map_or("example.test", String::as_str);
    let mut parameters = fixed_parameters();
    parameters.extend([
        ("queue_directory", format!("{root}/spool")),
        ("data_directory", format!("{root}/data")),
        ("maillog_file", format!("{root}/mail.log")),
        ("maillog_file_prefixes", root.to_string()),
        ("mail_spool_directory", format!("{root}/local/")),
        ("myhostname", builder.hostname.clone()),
        ("mydomain", origin.to_owned()),
        ("myorigin", origin.to_owned()),
        ("mydestination", builder.local_domains.join(", ")),
        ("virtual_mailbox_domains", builder.domains.join(", ")),
        ("virtual_alias_maps", format!("hash:{root}/etc/maps/virtual")),
        ("alias_maps", format!("hash:{root}/etc/maps/aliases")),
        ("default_transport", outside_transport(builder.outside_mail)),
    ]);
    parameters
        .extend(builder.lmtp_port.map(|port| ("virtual_transport", format!("lmtp:inet:127.0.0.1:{port}"))));
    if let Some(socket) = &builder.auth_socket {
        parameters.push(("smtpd_sasl_type", "dovecot".to_owned()));
        parameters.push(("smtpd_sasl_path", socket.display().to_string()));
    }
    if let Some(milter) = &builder.milter {
        parameters.push(("smtpd_milters", milter.clone()));
        parameters.push(("non_smtpd_milters", "$smtpd_milters".to_owned()));
    }
    parameters
}

fn fixed_parameters() -> Vec<(&'static str, String)> {
    let fixed = [
        ("compatibility_level", "3.6"),
        ("inet_interfaces", "loopback-only"),
        ("inet_protocols", "ipv4"),
        ("mynetworks", "127.0.0.0/8"),
        // Tests play strangers with XCLIENT.
        ("smtpd_authorized_xclient_hosts", "127.0.0.1"),
        ("milter_default_action", "tempfail"),
        // No name is ever asked of a resolver, and nothing outside /etc/hosts resolves.
        ("smtp_dns_support_level", "disabled"),
        ("smtp_host_lookup", "native"),
        ("relay_domains", ""),
        // Names of real accounts are not recipients: a lab writes to no home and no /var/mail.
        ("local_recipient_maps", "$alias_maps"),
        ("alias_database", ""),
        ("forward_path", ""),
        ("biff", "no"),
        ("append_dot_mydomain", "no"),
        // Notices to postmaster would land among the mail that tests count.
        ("notify_classes", ""),
        // Every client is one address: limits and penalties meant for strangers would slow down or fail other
        // tests.
        ("smtpd_error_sleep_time", "0"),
        ("smtpd_client_connection_count_limit", "0"),
    ];
    fixed.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

fn outside_transport(fate: OutsideMail) -> String {
    match fate {
        OutsideMail::Refused => "error:5.1.2 lab: no outside mail".to_owned(),
        OutsideMail::Discarded => "discard:lab".to_owned(),
        OutsideMail::ToPort(port) => format!("smtp:[127.0.0.1]:{port}"),
    }
}

/// main.cf with one setting of each parameter, the last: Postfix takes the last too, but warns about the
/// others on every command.
fn main_cf_text(base: &[(&str, String)], extra: &str) -> String {
    let own: String = base.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    let settings = logical_lines(&own).chain(logical_lines(extra)).collect::<Vec<_>>();
    let last: HashMap<&str, usize> =
        settings.iter().enumerate().filter_map(|(at, setting)| Some((parameter(setting)?, at))).collect();
    let stands = |at: usize, setting: &str| parameter(setting).is_none_or(|name| last.get(name) == Some(&at));
    settings
        .iter()
        .enumerate()
        .filter(|(at, setting)| stands(*at, setting))
        .map(|(_, setting)| *setting)
        .collect()
}

/// A line that begins with a blank continues the one before (postconf(5)).
fn logical_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let continues = |at: usize| rest[at + 1..].starts_with([' ', '\t']);
        let ends = rest.match_indices('\n').map(|(at, _)| at).find(|&at| !continues(at));
        let (line, behind) = rest.split_at(ends.map_or(rest.len(), |at| at + 1));
        rest = behind;
        (!line.is_empty()).then_some(line)
    })
}

/// The parameter that a logical line sets; `None` for comments and blank lines.
fn parameter(line: &str) -> Option<&str> {
    if line.starts_with('#') { None } else { Some(line.split_once('=')?.0.trim()) }
}

/// The queue as `postfix start` would make it; doing it here lets `master` start at once.
fn make_queue(root: &Path, system: &Path) -> Result<()> {
    let (postfix, postdrop) = (user_id(system, "postfix")?, group_id(system, "postdrop")?);
    let spool = make_directory(&root.join("spool"))?;
    make_owned(&spool.join("pid"), None, None, 0o755)?;
    make_owned(&root.join("data"), Some(postfix), None, 0o700)?;
    make_owned(&root.join("local"), None, None, 0o1777)?;
    for name in [
        "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
        "trace",
    ] {
        make_owned(&spool.join(name), Some(postfix), None, 0o700)?;
    }
    make_owned(&spool.join("public"), Some(postfix), Some(postdrop), 0o710)?;
    make_owned(&spool.join("maildrop"), Some(postfix), Some(postdrop), 0o1730)
}

fn make_owned(path: &Path, user: Option<u32>, group: Option<u32>, mode: u32) -> Result<()> {
    make_directory(path)?;
    chown(path, user, group).map_err(LabError::io("giving away", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(LabError::io("setting the mode of", path))
}

/// Debian loads pcre and its like through this table, which Postfix looks for in its configuration directory.
fn copy_dynamic_maps(etc: &Path, system: &Path) -> Result<()> {
    let table = system.join("etc/postfix/dynamicmaps.cf");
    if !exists(&table) {
        return Ok(());
    }
    fs::copy(&table, etc.join("dynamicmaps.cf")).map(drop).map_err(LabError::io("copying", &table))
}

/// A Postfix that ends when this is dropped.
#[derive(Debug)]
pub struct Postfix {
    root: PathBuf,
    programs: Programs,
    smtp: Port,
    submission: Port,
    base: Vec<(&'static str, String)>,
    extra: Mutex<String>,
    pid_file: PidFile,
}

/// One message in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// The queue id.
    pub id: String,
    /// `incoming`, `active`, `deferred` or `hold`.
    pub queue: String,
    /// The envelope sender; Postfix shows the null sender as `MAILER-DAEMON`.
    pub envelope_sender: String,
    /// The recipients that are still to be delivered.
    pub recipients: Vec<String>,
    /// Why the first deferred recipient waits; empty when none was tried.
    pub reason: String,
}

#[derive(Deserialize)]
struct QueueRow {
    queue_id: String,
    queue_name: String,
    sender: String,
    recipients: Vec<QueueRecipient>,
}

#[derive(Deserialize)]
struct QueueRecipient {
    address: String,
    #[serde(default)]
    delay_reason: String,
}

impl From<QueueRow> for QueuedMessage {
    fn from(row: QueueRow) -> QueuedMessage {
        let reason =
            row.recipients.iter().map(|recipient| &recipient.delay_reason).find(|reason| !reason.is_empty());
        QueuedMessage {
            reason: reason.cloned().unwrap_or_default(),
            id: row.queue_id,
            queue: row.queue_name,
            envelope_sender: row.sender,
            recipients: row.recipients.into_iter().map(|recipient| recipient.address).collect(),
        }
    }
}

impl Postfix {
    /// Begins a Postfix inside a lab's directory; its ports are claimed here.
    pub fn builder(lab: &Path) -> Result<PostfixBuilder> {
        Ok(PostfixBuilder {
            root: make_directory(&lab.join("postfix"))?,
            lab: lab.to_owned(),
            smtp: Port::claim()?,
            submission: Port::claim()?,
            hostname: "mx.example.test".to_owned(),
            domains: Vec::new(),
            local_domains: Vec::new(),
            virtual_aliases: Vec::new(),
            aliases: Vec::new(),
            lmtp_port: None,
            auth_socket: None,
            milter: None,
            outside_mail: OutsideMail::Refused,
            main_cf: String::new(),
            master_cf: String::new(),
        })
    }

    /// Starts it; when this returns, the ports are open.
    pub fn start(&self) -> Result<()> {
        let log = self.root.join("start.log");
        let mut master = self.command(&format!("{POSTFIX_DAEMONS}/master"));
        // `-w` returns when the master has opened its sockets, or failed to.
        let status = launch(master.arg("-w"), &log)?;
        if status.success() {
            return Ok(());
        }
        Err(start_error(&format!("{}\n{}", last_lines(&read_lossy(&log)), last_lines(&self.log()))))
    }

    /// Ends it and every process of it.
    pub fn stop(&self) -> Result<()> {
        self.pid_file.stop()
    }

    /// Ends it and every process of it as a power cut would; queue and pid file stay as they are.
    pub fn crash(&self) -> Result<()> {
        self.pid_file.crash()
    }

    /// The master process, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid_file.pid()
    }

    /// Makes it read its configuration again; when this returns, new sessions see the new one.
    pub fn reload(&self) -> Result<()> {
        let Some(master) = self.pid() else {
            return Err(LabError::StartFailed {
                server: NAME,
                detail: "not running, nothing to reload".to_owned(),
            });
        };
        const SAID: &str = "reload -- version";
        let reloads = || self.log().matches(SAID).count();
        let before = reloads();
        let old = session_processes(master);
        signal(master, Signal::HUP);
        wait_for(RELOAD_LIMIT, "Postfix's reload", || reloads() > before)?;
        // Idle processes leave a moment after the log line; until then one may still take a session with the
        // old configuration. Busy ones stay until their session ends, and nobody waits for those.
        let _ = wait_for(OLD_PROCESSES_LIMIT, "the end of old processes", || {
            let now = group_members(master);
            !old.iter().any(|pid| now.contains(pid))
        });
        Ok(())
    }

    /// Tries everything in the queue again, now.
    pub fn flush_queue(&self) -> Result<()> {
        run_ok(self.command("/usr/sbin/postqueue").arg("-f"), b"", COMMAND_LIMIT).map(drop)
    }

    /// Everything that waits.
    pub fn queue(&self) -> Result<Vec<QueuedMessage>> {
        let output = run_ok(self.command("/usr/sbin/postqueue").arg("-j"), b"", COMMAND_LIMIT)?;
        let rows = String::from_utf8_lossy(&output.stdout).into_owned();
        rows.lines().map(parse_queue_row).collect()
    }

    /// Waits until nothing waits.
    pub fn wait_until_queue_empty(&self, timeout: Duration) -> Result<()> {
        wait_for(timeout, "an empty queue", || self.queue().is_ok_and(|queue| queue.is_empty()))
    }

    /// Runs postsuper, as in `["-H", "ALL"]` to release what is on hold.
    pub fn postsuper(&self, args: &[&str]) -> Result<Ran> {
        Ok(run(self.command("/usr/sbin/postsuper").args(args), b"", COMMAND_LIMIT)?.into())
    }

    /// Hands a message to `sendmail(1)`, as a program on the host would.
    pub fn sendmail(&self, args: &[&str], message: impl AsRef<[u8]>) -> Result<Ran> {
        let mut command = self.programs.command("/usr/sbin/sendmail");
        Ok(run(command.arg("-C").arg(self.config_dir()).args(args), message.as_ref(), COMMAND_LIMIT)?.into())
    }

    /// Runs postconf on this instance.
    pub fn postconf(&self, args: &[&str]) -> Result<Ran> {
        Ok(run(self.command("/usr/sbin/postconf").args(args), b"", COMMAND_LIMIT)?.into())
    }

    /// Adds lines to main.cf; a parameter set here replaces the lab's own of that name. In force after
    /// [`reload`](Self::reload).
    pub fn append_main_cf(&self, text: &str) -> Result<()> {
        push_lines(&mut self.extra.lock().unwrap_or_else(PoisonError::into_inner), text);
        self.write_main_cf()
    }

    /// Replaces the entries of `virtual_alias_maps`.
    pub fn set_virtual_aliases(&self, entries: &[(String, String)]) -> Result<()> {
        self.write_map("virtual", "/usr/sbin/postmap", "\t", entries)
    }

    /// Replaces the entries of `alias_maps`.
    pub fn set_aliases(&self, entries: &[(String, String)]) -> Result<()> {
        self.write_map("aliases", "/usr/sbin/postalias", ": ", entries)
    }

    /// Everything it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        read_lossy(&self.root.join("mail.log"))
    }

    /// Waits until the log holds `text`.
    pub fn wait_until_log(&self, text: &str, timeout: Duration) -> Result<()> {
        wait_for(timeout, &format!("{text:?} in Postfix's log"), || self.log().contains(text))
    }

    /// The directory of main.cf and master.cf, for `-c`.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.root.join("etc")
    }

    /// The port for mail from outside.
    #[must_use]
    pub fn smtp_port(&self) -> u16 {
        self.smtp.number()
    }

    /// The port for users, who must authenticate.
    #[must_use]
    pub fn submission_port(&self) -> u16 {
        self.submission.number()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.programs.command(program);
        command.arg("-c").arg(self.config_dir());
        command
    }

    fn write_main_cf(&self) -> Result<()> {
        let extra = self.extra.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.config_dir().join("main.cf");
        let next = self.config_dir().join("main.cf.next");
        write_file(&next, main_cf_text(&self.base, &extra))?;
        backdate(&next)?;
        fs::rename(&next, &path).map_err(LabError::io("replacing", &path))
    }

    fn write_map(
        &self,
        name: &str,
        builder: &str,
        separator: &str,
        entries: &[(String, String)],
    ) -> Result<()> {
        let path = self.config_dir().join("maps").join(name);
        write_file(&path, map_text(separator, entries)?)?;
        let table = format!("hash:{}", path.display());
        run_ok(self.command(builder).arg(table), b"", COMMAND_LIMIT).map(drop)
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the caller who cares calls `stop`.
        let _ = self.stop();
    }
}

/// Every program of Postfix reads main.cf again and again until it is two seconds old, lest it be half
/// written: a file that claims to be older saves everyone those seconds.
fn backdate(path: &Path) -> Result<()> {
    let opened = File::options().write(true).open(path);
    let dated = opened.and_then(|file| file.set_modified(SystemTime::now() - SETTLED_AGE));
    dated.map_err(LabError::io("dating", path))
}

/// A key of several entries gets all their values: postmap itself would keep one and warn.
fn map_text(separator: &str, entries: &[(String, String)]) -> Result<String> {
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, value) in entries {
        if [key, value].into_iter().any(|text| text.contains(['\n', '\r'])) {
            return Err(LabError::configuration(
                format!("{key:?} in a table"),
                "it holds a line end; leave it out",
            ));
        }
        values.entry(key).or_default().push(value);
    }
    Ok(values.iter().map(|(key, values)| format!("{key}{separator}{}\n", values.join(", "))).collect())
}

fn parse_queue_row(row: &str) -> Result<QueuedMessage> {
    serde_json::from_str::<QueueRow>(row).map(QueuedMessage::from).map_err(|error| LabError::Answer {
        server: NAME,
        doing: format!("reading a row of postqueue -j: {error}"),
        answer: row.to_owned(),
    })
}

/// Members of the instance that serve sessions with a configuration they read when they began.
fn session_processes(master: u32) -> Vec<i32> {
    let serves =
        |pid: &i32| command_name(*pid).is_some_and(|name| matches!(name.as_str(), "smtpd" | "cleanup"));
    group_members(master).into_iter().filter(serves).collect()
}

fn start_error(detail: &str) -> LabError {
    let detail = detail.trim().to_owned();
    if detail.contains("Address already in use") {
        return LabError::PortTaken { server: NAME, detail };
    }
    LabError::StartFailed { server: NAME, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_setting_of_a_parameter_stands_with_its_continuation() {
        let base = [("relay_domains", String::new()), ("biff", "no".to_owned())];
        let extra = "# relay = comment\nrelay_domains=one,\n  biff = two\n\n\
                     soft_bounce = no\nrelay_domains = three\n";
        let text = main_cf_text(&base, extra);
        assert_eq!(text, "biff = no\n# relay = comment\n\nsoft_bounce = no\nrelay_domains = three\n");
    }

    #[test]
    fn entries_of_one_key_are_joined_and_line_ends_refused() {
        let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let text = map_text("\t", &[entry("a@b", "x@y"), entry("a@b", "z@y")]).unwrap();
        assert_eq!(text, "a@b\tx@y, z@y\n");
        assert!(map_text(": ", &[entry("a", "x\nroot: evil")]).is_err());
    }

    #[test]
    fn a_row_of_the_queue_tells_why_it_waits() {
        let row = r#"{"queue_name":"deferred","queue_id":"4X","arrival_time":1,"message_size":9,
            "forced_expire":false,
            "sender":"a@b","recipients":[{"address":"c@d"},{"address":"e@f","delay_reason":"refused"}]}"#;
        let message = parse_queue_row(row).unwrap();
        assert_eq!((message.id.as_str(), message.reason.as_str()), ("4X", "refused"));
        assert_eq!(message.recipients, ["c@d", "e@f"]);
        assert!(parse_queue_row("Mail queue is empty").is_err());
    }

    #[test]
    fn a_taken_port_is_told_apart_from_other_failures() {
        let taken = start_error("fatal: bind 127.0.0.1 port 25: Address already in use");
        assert!(matches!(taken, LabError::PortTaken { .. }), "{taken}");
        assert!(matches!(start_error("fatal: bad line"), LabError::StartFailed { .. }));
    }
}
