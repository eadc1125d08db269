//! A private Dovecot configuration around the tools of Pigeonhole; nobody's mail is touched.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SIEVEC: &str = "/usr/bin/sievec";
const SIEVE_TEST: &str = "/usr/bin/sieve-test";
const EXTENSIONS: &str = "+editheader +vacation-seconds +spamtest +spamtestplus +virustest +notify \
    +imapflags +vnd.dovecot.report +vnd.dovecot.debug +vnd.dovecot.environment +mboxmetadata \
    +servermetadata +special-use +vnd.dovecot.pipe +vnd.dovecot.filter +vnd.dovecot.execute";

/// A message to run scripts on.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) headers: Cow<'static, [(&'static str, &'static str)]>,
    pub(crate) body: &'static str,
    pub(crate) sender: &'static str,
    pub(crate) recipient: &'static str,
    /// Tests on it are not answered by looking at the text of its fields.
    pub(crate) odd: bool,
}

impl Message {
    pub(crate) fn text(&self) -> String {
        let lines = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("{}\r\n{}", lines.collect::<String>(), self.body)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&'static str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }
}

pub(crate) struct Laboratory {
    folder: tempfile::TempDir,
}

impl Laboratory {
    /// None, with the reason printed, where Pigeonhole is not installed.
    pub(crate) fn open() -> Option<Self> {
        if !Path::new(SIEVEC).exists() || !Path::new(SIEVE_TEST).exists() {
            println!("skipped: {SIEVEC} or {SIEVE_TEST} is not installed");
            return None;
        }
        let laboratory = Self { folder: tempfile::tempdir().unwrap() };
        laboratory.share(laboratory.folder.path());
        for name in ["home", "scripts"] {
            fs::create_dir(laboratory.path(name)).unwrap();
            laboratory.share(&laboratory.path(name));
        }
        Some(laboratory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The tools change to an unprivileged user when started by root.
    fn share(&self, path: &Path) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }

    /// What `doveconf` would hand to a tool; without it in between a tool starts in a third of the time.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let (home, scripts) = (self.path("home"), self.path("scripts"));
        let (home, scripts) = (home.display(), scripts.display());
        let mut settings = vec![
            ("DOVECONF_ENV", "1".to_owned()),
            ("MAIL_HOME", home.to_string()),
            ("MAIL_LOCATION", format!("maildir:{home}/Maildir")),
            ("PLUGIN", String::new()),
            ("PLUGIN/SIEVE", format!("file:{scripts};active={home}/none.sieve")),
            ("PLUGIN/SIEVE_PLUGINS", "sieve_extprograms".to_owned()),
            ("PLUGIN/SIEVE_EXTENSIONS", EXTENSIONS.to_owned()),
        ];
        if fs::metadata(self.folder.path()).unwrap().uid() == 0 {
            settings.extend([("MAIL_UID", "65534".to_owned()), ("MAIL_GID", "65534".to_owned())]);
        }
        settings
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program).envs(self.settings()).args(arguments).output().unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Puts a script where `include :personal` finds it. Names must be new ones: the engine trusts the
    /// time of a file when it looks for changes.
    pub(crate) fn store(&self, name: &str, script: &[u8]) {
        self.write(&format!("scripts/{name}.sieve"), script);
    }

    /// Takes back what `store` and the engine put there.
    pub(crate) fn forget_stored(&self) {
        for entry in fs::read_dir(self.path("scripts")).unwrap() {
            let _ = fs::remove_file(entry.unwrap().path());
        }
    }

    /// Whether every one of the scripts compiles, asked at once.
    pub(crate) fn compiles_all(&self, scripts: &[&[u8]]) -> bool {
        let folder = self.path("all");
        fs::create_dir_all(&folder).unwrap();
        self.share(&folder);
        for (number, script) in scripts.iter().enumerate() {
            fs::write(folder.join(format!("{number}.sieve")), script).unwrap();
        }
        let succeeded = self.run(SIEVEC, &[folder.to_str().unwrap()]).status.success();
        let made = |number: usize| folder.join(format!("{number}.svbin")).exists();
        succeeded && (0..scripts.len()).all(made)
    }

    pub(crate) fn compiles(&self, script: &[u8]) -> bool {
        self.verdict(script) == Verdict::Taken
    }

    pub(crate) fn verdict(&self, script: &[u8]) -> Verdict {
        let source = self.write("compiled.sieve", script);
        let binary = self.path("compiled.svbin");
        let output = self.run(SIEVEC, &[&source, binary.to_str().unwrap()]);
        match output.status.code() {
            None => Verdict::None,
            Some(0) => Verdict::Taken,
            Some(_) => Verdict::Refused(first_error(&String::from_utf8_lossy(&output.stderr))),
        }
    }

    pub(crate) fn run_script(&self, script: &[u8], message: &Message) -> Actions {
        let script = self.write("one.sieve", script);
        let mail = self.write("message", message.text().as_bytes());
        let arguments = ["-f", message.sender, "-a", message.recipient, &script, &mail];
        Actions::read(&self.run(SIEVE_TEST, &arguments))
    }
}

/// What the compiler says of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Taken,
    Refused(String),
    /// It broke, as 0.5.19 does on a variable in `:options` of `notify`.
    None,
}

/// What `sieve-test` says would be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Actions {
    /// The script compiled, and ran to its end without an error.
    pub(crate) finished: bool,
    /// The engine broke: version 0.5.19 compiles some loops inside loops to code that it does not understand
    /// itself, and some patterns of `:matches` make it panic.
    pub(crate) corrupt: bool,
    /// What the tool said when it ended with an error of the script's, so that nothing was done.
    pub(crate) reason: String,
    pub(crate) redirects: BTreeSet<String>,
    /// Folders that an action, not the implicit keep, stores into.
    pub(crate) folders: BTreeSet<String>,
    pub(crate) implicitly_kept: bool,
    pub(crate) discarded: bool,
    pub(crate) rejected: bool,
    pub(crate) answered: bool,
    pub(crate) notified: BTreeSet<String>,
    pub(crate) programs: BTreeSet<String>,
    pub(crate) reported: BTreeSet<String>,
}

impl Actions {
    fn read(output: &Output) -> Self {
        let report = String::from_utf8_lossy(&output.stdout);
        let talk = String::from_utf8_lossy(&output.stderr);
        let (performed, implicit) = report.split_once("Implicit keep:").unwrap_or((&report, ""));
        let all = |mark: &str, close: &str| -> BTreeSet<String> {
            let found = performed.lines().filter_map(|line| line.split_once(mark));
            found.map(|(_, rest)| rest.trim_end().trim_end_matches(close).to_owned()).collect()
        };
        let addresses = |mark: &str| all(mark, ">").iter().map(|one| lowered_domain(one)).collect();
        Self {
            finished: output.status.success(),
            corrupt: output.status.code().is_none() || talk.contains("corrupt binary"),
            reason: first_error(&talk),
            redirects: addresses(" * redirect message to: <"),
            folders: all(" * store message in folder: ", "").into_iter().map(inbox_named_once).collect(),
            implicitly_kept: implicit.contains("store message in folder"),
            discarded: performed.contains(" * discard"),
            rejected: performed.contains(" * reject message"),
            answered: performed.contains(" * send vacation message"),
            notified: ["   + To: ", "   + Cc: "].iter().flat_map(|mark| all(mark, "")).collect(),
            programs: all(" * pipe message to external program '", "':"),
            reported: addresses("' to: <"),
        }
    }

    pub(crate) fn stored(&self) -> bool {
        self.implicitly_kept || !self.folders.is_empty()
    }
}

/// RFC 3501 §5.1: INBOX in any case is one folder.
fn inbox_named_once(folder: String) -> String {
    if folder.eq_ignore_ascii_case("INBOX") { "INBOX".to_owned() } else { folder }
}

fn lowered_domain(address: &str) -> String {
    match address.rsplit_once('@') {
        // The library writes the full stops of other scripts as RFC 5890 compares them.
        Some((local, domain)) => {
            let domain = domain.to_lowercase().replace(['\u{3002}', '\u{ff0e}'], ".");
            format!("{local}@{domain}")
        }
        None => address.to_owned(),
    }
}

fn first_error(talk: &str) -> String {
    talk.lines().find(|line| line.contains("error:")).unwrap_or_default().to_owned()
}
