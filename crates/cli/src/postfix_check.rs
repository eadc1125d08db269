//! `mailwarden postfix check`: a live instance against what the gate needs. Only reads.

use std::fmt::Write as _;
use std::net::ToSocketAddrs as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailwarden_collect::CollectError;
use mailwarden_collect::postfix::{PostfixPlan, instance};
use mailwarden_postfix::{
    Account, Answer, Answers, Instance, Item, PathStep, Question, Report, Texts, Verdict, check, questions,
};
use mailwarden_settings::{Settings, load_policy};

use crate::arguments::{Common, PostfixCheck, TextOrJson};
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

/// Where Postfix keeps its configuration unless told otherwise.
const DEFAULT_DIRECTORY: &str = "/etc/postfix";
/// A gate on this host answers at once or not at all.
const REACH_LIMIT: Duration = Duration::from_secs(3);

pub(crate) async fn run(common: &Common, arguments: &PostfixCheck) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let gate = arguments.milter.as_deref().unwrap_or(&settings.gate.listen);
    let directory = directory(&settings, arguments);
    let plan = PostfixPlan::new(&directory);
    let instance = Instance::parse(&texts(&plan).await?);
    let mut answers = Answers::default();
    for question in questions(&policy, &instance, gate) {
        let answer = answer(&plan, &question).await;
        answers.put(question, answer);
    }
    let report = check(&policy, &instance, gate, &directory.display().to_string(), &answers);
    output::answer(arguments.format == TextOrJson::Json, &report, text)?;
    Ok(match report.verdict() {
        Verdict::Ok => Outcome::Clean,
        Verdict::Wrong => Outcome::Findings,
        Verdict::Unknown => Outcome::Incomplete,
    })
}

fn directory(settings: &Settings, arguments: &PostfixCheck) -> PathBuf {
    let configured = || settings.postfix.as_ref().map(|postfix| settings.resolve(&postfix.config_directory));
    arguments.instance.clone().or_else(configured).unwrap_or_else(|| DEFAULT_DIRECTORY.into())
}

/// A directory that is no instance is the admin's to correct; postconf that does not answer is not.
async fn texts(plan: &PostfixPlan) -> Result<Texts, Failure> {
    let read = instance::settings(plan).await.map_err(|error| match error {
        CollectError::Configuration { .. } => Failure::Usage(error.to_string()),
        other => Failure::Ours(other.to_string()),
    })?;
    Ok(Texts { effective: read.effective, set: read.set, services: read.services, overrides: read.overrides })
}

async fn answer(plan: &PostfixPlan, question: &Question) -> Answer {
    let found = |value: Option<String>| value.map_or(Answer::Missing(String::new()), Answer::Found);
    let known = |outcome: Result<Option<String>, CollectError>| {
        outcome.map_or_else(|error| Answer::Unknown(error.to_string()), found)
    };
    match question {
        Question::Lookup { table, key } => known(instance::lookup(plan, table, key).await),
        Question::Line { path, line } => {
            let has = instance::has_line(plan, Path::new(path), line).await;
            known(has.map(|has| has.then(String::new)))
        }
        Question::Path(path) => Answer::Steps(steps(Path::new(path))),
        Question::Reach(address) => reach(address),
        Question::User(name) => account(name),
    }
}

/// Every directory on the way, as far as it exists; symbolic links are followed, as connecting does.
fn steps(path: &Path) -> Vec<PathStep> {
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    ancestors.into_iter().map_while(step).collect()
}

fn step(path: &Path) -> Option<PathStep> {
    let known = std::fs::metadata(path).ok()?;
    Some(PathStep {
        path: path.display().to_string(),
        mode: known.mode() & 0o7777,
        uid: known.uid(),
        gid: known.gid(),
        is_socket: known.file_type().is_socket(),
    })
}

/// Connects and leaves without a word, which the gate counts as a probe.
fn reach(address: &str) -> Answer {
    let outcome = match address.split_once(':') {
        Some(("unix" | "local", path)) => std::os::unix::net::UnixStream::connect(path).map(drop),
        Some((_, inet)) => reach_inet(inet),
        None => std::os::unix::net::UnixStream::connect(address).map(drop),
    };
    match outcome {
        Ok(()) => Answer::Found(String::new()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Answer::Unknown(format!("{error}; run as root, or as a member of the socket's group"))
        }
        Err(error) => Answer::Missing(error.to_string()),
    }
}

fn reach_inet(address: &str) -> std::io::Result<()> {
    let address = match address.split_once('@') {
        Some((port, host)) => format!("{host}:{port}"),
        None => address.to_owned(),
    };
    let mut failure = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for candidate in address.to_socket_addrs()? {
        match std::net::TcpStream::connect_timeout(&candidate, REACH_LIMIT) {
            Ok(_) => return Ok(()),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Postfix's user is a local one.
fn account(name: &str) -> Answer {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let passwd = read("/etc/passwd");
    let Some(fields) =
        passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|line| line[0] == name)
    else {
        return Answer::Unknown(format!("/etc/passwd has no user {name}"));
    };
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
    let (Some(uid), Some(gid)) = (number(2), number(3)) else {
        return Answer::Unknown(format!("/etc/passwd has no numbers for {name}"));
    };
    let groups = read("/etc/group");
    let listed = groups.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let member = fields.get(3)?.split(',').any(|member| member == name);
        member.then(|| fields.get(2)?.parse().ok()).flatten()
    });
    Answer::User(Account { uid, gids: std::iter::once(gid).chain(listed).collect() })
}

fn text(report: &Report) -> String {
    let mut out = format!("Postfix in {}, the gate at {}\n\n", shown(&report.instance), shown(&report.gate));
    for item in &report.items {
        push(&mut out, item);
    }
    let count = |verdict| report.items.iter().filter(|item| item.verdict == verdict).count();
    let (good, wrong) = (count(Verdict::Ok), count(Verdict::Wrong));
    let _ = writeln!(out, "\n{good} good, {wrong} wrong, {} unknown", count(Verdict::Unknown));
    out
}

/// What is good takes one line; the rest says what is, what should be, why, and what to type.
fn push(out: &mut String, item: &Item) {
    let mark = match item.verdict {
        Verdict::Ok => "ok     ",
        Verdict::Wrong => "WRONG  ",
        Verdict::Unknown => "unknown",
    };
    let _ = writeln!(out, "{mark}  {} = {}", shown(&item.subject), shown(&item.is));
    if item.verdict == Verdict::Ok {
        return;
    }
    let _ = writeln!(out, "         should be: {}\n         why: {}", shown(&item.should), item.why);
    if let Some(command) = &item.command {
        let _ = writeln!(out, "         {}", shown(command));
    }
}
