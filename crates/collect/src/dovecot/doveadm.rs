//! Dovecot's own programs, of one instance.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::api::Api;
use super::conf::Conf;
use crate::command::{self, Ran};
use crate::{CollectError, Harvest};

/// Most bytes that one program may print.
const MAX_OUTPUT: usize = 64 * 1024 * 1024;
/// Logins asked about by one call: the arguments stay far below what a system takes.
pub(super) const BATCH: usize = 200;
/// A lookup that failed for the moment (EX_TEMPFAIL of sysexits).
const TRY_AGAIN: i32 = 75;

/// Which Dovecot instance is looked at.
#[derive(Debug, Clone)]
pub struct DovecotPlan {
    /// Its configuration file; the system's when absent.
    pub config: Option<PathBuf>,
    /// Directory of `doveadm`, `doveconf`, `sievec` and `sieve-dump`, where they are not on the PATH.
    pub program_dir: Option<PathBuf>,
    /// How long one program may run.
    pub timeout: Duration,
    /// The master user of these rounds, which is no finding.
    pub sweeper: String,
    /// The API that is asked instead of the programs.
    pub(super) api: Option<Box<Api>>,
}

impl DovecotPlan {
    /// The instance of a configuration file, or the system's, its programs from the PATH.
    pub fn new(config: Option<PathBuf>, sweeper: &str) -> Self {
        let timeout = Duration::from_secs(60);
        Self { config, program_dir: None, timeout, sweeper: sweeper.to_owned(), api: None }
    }

    /// How messages and coverage call it.
    pub(crate) fn source(&self) -> String {
        if let Some(api) = &self.api {
            return api.label().to_owned();
        }
        match &self.config {
            Some(path) => format!("dovecot {}", path.display()),
            None => "dovecot".to_owned(),
        }
    }

    fn argv<S: Into<OsString>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Vec<OsString> {
        let program = match &self.program_dir {
            Some(directory) => directory.join(program).into_os_string(),
            None => program.into(),
        };
        let mut argv = vec![program];
        if let Some(config) = &self.config {
            argv.extend(["-c".into(), config.clone().into_os_string()]);
        }
        argv.extend(arguments.into_iter().map(Into::into));
        argv
    }

    /// Runs a program to its end, whatever it says.
    pub(super) async fn run<S: Into<OsString>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Ran, CollectError> {
        command::run(&self.argv(program, arguments), self.timeout, MAX_OUTPUT).await
    }

    /// The first of these settings, outside all blocks, that is not left at its default.
    pub(crate) async fn setting(&self, names: &[&str]) -> Result<Option<String>, CollectError> {
        if self.api.is_some() {
            return Ok(None);
        }
        let conf = Conf::parse(&self.ask("doveconf", ["-n"]).await?);
        let told = names.iter().filter_map(|name| conf.top(name)).find(|value| !value.is_empty());
        Ok(told.map(str::to_owned))
    }

    /// What a program prints, if it succeeds.
    pub(super) async fn ask<S: Into<OsString>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String, CollectError> {
        let ran = self.run(program, arguments).await?;
        if ran.success {
            return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
        }
        let doing = format!("running {program}");
        let next = "run the same command by hand and correct what it complains about";
        Err(CollectError::configuration(&self.source(), &doing, ran.complaint(), next))
    }
}

/// The fields of one user in the user database.
pub(super) type Fields = BTreeMap<String, String>;

/// Every login's fields; a login that the database does not know has none.
///
/// doveadm prints the fields of several users one after the other and names none of them, so a batch is
/// believed only where every user was found and gave a home; otherwise they are asked for one by one.
pub(super) async fn users(
    plan: &DovecotPlan,
    logins: &[String],
) -> Result<BTreeMap<String, Fields>, CollectError> {
    let mut found = BTreeMap::new();
    for batch in logins.chunks(BATCH) {
        let ran = plan.run("doveadm", user_arguments(batch)).await?;
        match split_users(&ran.stdout, batch.len()).filter(|_| ran.success) {
            Some(fields) => found.extend(batch.iter().cloned().zip(fields)),
            None => one_by_one(plan, batch, &mut found).await?,
        }
    }
    Ok(found)
}

async fn one_by_one(
    plan: &DovecotPlan,
    batch: &[String],
    found: &mut BTreeMap<String, Fields>,
) -> Result<(), CollectError> {
    /// No such user (EX_NOUSER of sysexits).
    const NO_USER: i32 = 67;
    for login in batch {
        let ran = plan.run("doveadm", user_arguments(std::slice::from_ref(login))).await?;
        if ran.success {
            found.extend(
                split_users(&ran.stdout, 1).and_then(|mut one| one.pop()).map(|one| (login.clone(), one)),
            );
        } else if ran.code != Some(NO_USER) {
            let next = "run `doveadm user` by hand and correct what it complains about";
            return Err(CollectError::configuration(
                &plan.source(),
                "looking up users",
                ran.complaint(),
                next,
            ));
        }
    }
    Ok(())
}

fn user_arguments(logins: &[String]) -> Vec<String> {
    let fixed = ["-f", "json", "user", "--"].map(str::to_owned);
    fixed.into_iter().chain(logins.iter().cloned()).collect()
}

#[derive(serde::Deserialize)]
struct Row {
    field: String,
    value: String,
}

/// `[{"field":"uid","value":"5000"},...]`, the fields of each user beginning with the same name.
fn split_users(output: &[u8], users: usize) -> Option<Vec<Fields>> {
    let rows: Vec<Row> = serde_json::from_slice(output.trim_ascii()).ok()?;
    let mut all: Vec<Fields> = Vec::new();
    for row in rows {
        if all.last().is_none_or(|fields| fields.contains_key(&row.field)) {
            all.push(Fields::new());
        }
        all.last_mut()?.insert(row.field, row.value);
    }
    let whole = all.len() == users && all.iter().all(|fields| fields.contains_key("home"));
    whole.then_some(all)
}

/// What the password databases say of each login to a service, or to doveadm itself; a login they do not know is not in the answer.
pub(super) async fn passwords(
    plan: &DovecotPlan,
    logins: &[String],
    service: Option<&str>,
) -> Result<BTreeMap<String, Fields>, CollectError> {
    let mut found = BTreeMap::new();
    let by_service = service.map(|service| ["-x".to_owned(), format!("service={service}")]);
    let mut fixed = vec!["auth".to_owned(), "lookup".to_owned()];
    fixed.extend(by_service.into_iter().flatten());
    fixed.push("--".to_owned());
    for batch in logins.chunks(BATCH) {
        let ran = plan.run("doveadm", fixed.iter().cloned().chain(batch.iter().cloned())).await?;
        if ran.code == Some(TRY_AGAIN) {
            // A login that is missing from this answer may be one whose lookup failed, and not a locked one.
            let next = "run `doveadm auth lookup` by hand and correct what it complains about";
            let doing = "looking up password databases";
            return Err(CollectError::configuration(&plan.source(), doing, ran.complaint(), next));
        }
        found.extend(split_lookups(&String::from_utf8_lossy(&ran.stdout)));
    }
    Ok(found)
}

/// Blocks of `passdb: NAME` and indented `key : value`.
fn split_lookups(output: &str) -> Vec<(String, Fields)> {
    let mut found: Vec<(String, Fields)> = Vec::new();
    for line in output.lines() {
        if let Some(login) = line.strip_prefix("passdb: ") {
            found.push((login.trim().to_owned(), Fields::new()));
        } else if let (Some((name, value)), Some((_, fields))) = (line.split_once(':'), found.last_mut()) {
            fields.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    found
}

/// One login on one service.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(super) struct Session {
    pub(super) username: String,
    #[serde(alias = "#")]
    pub(super) connections: String,
    #[serde(alias = "proto")]
    pub(super) service: String,
    #[serde(default, alias = "(ips)")]
    pub(super) ips: String,
}

/// The sessions that are open, as `doveadm -f tab who` lists them. With several sessions its JSON is none:
/// version 2.3 closes the list after the first.
pub(super) fn sessions(output: &str) -> Option<Vec<Session>> {
    let mut lines = output.lines();
    let columns: Vec<&str> = lines.next()?.split('\t').collect();
    let at = |name: &str| columns.iter().position(|column| *column == name);
    let (username, connections) = (at("username")?, at("connections").or(at("#"))?);
    let (service, ips) = (at("service").or(at("proto"))?, at("ips").or(at("(ips)"))?);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |at: usize| cells.get(at).map(|cell| (*cell).to_owned());
        Some(Session {
            username: cell(username)?,
            connections: cell(connections)?,
            service: cell(service)?,
            ips: cell(ips).unwrap_or_default(),
        })
    };
    lines.filter(|line| !line.is_empty()).map(row).collect()
}

/// A harvest with the same failure on several surfaces.
pub(super) fn failed(plan: &DovecotPlan, mailbox: &str, surfaces: &[&str], error: &CollectError) -> Harvest {
    Harvest::failed(mailbox, surfaces, &plan.source(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_told_apart_only_where_all_were_found() {
        let one = r#"{"field":"uid","value":"5"},{"field":"home","value":"/h/HOME"}"#;
        let two = format!("[{},{}]\n", one.replace("HOME", "a"), one.replace("HOME", "b"));
        let fields = split_users(two.as_bytes(), 2).unwrap();
        assert_eq!((fields[0]["home"].as_str(), fields[1]["home"].as_str()), ("/h/a", "/h/b"));
        assert_eq!(split_users(two.as_bytes(), 3), None, "one of three is missing");
        let homeless = two.replacen(r#"{"field":"home","value":"/h/a"},"#, "", 1);
        assert_eq!(split_users(homeless.as_bytes(), 2), None);
        assert_eq!(split_users(b"[]\nalice\n", 1), None, "-f json of a list is no JSON");
    }

    #[test]
    fn lookups_are_read_by_name() {
        let output = "passdb: carol@e.test\n  user      : carol@e.test\n  nologin   : y\n  reason    : a: b\n\n\
                      passdb: dave@e.test\n  user      : dave@e.test\n";
        let found = split_lookups(output);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].1["nologin"].as_str(), found[0].1["reason"].as_str()), ("y", "a: b"));
        assert!(!found[1].1.contains_key("nologin"));
    }

    #[test]
    fn sessions_are_read() {
        let output = "username\tconnections\tservice\tpids\tips\n\
                      a@e.test\t2\timap\t(1 2)\t(127.0.0.1)\nb@e.test\t1\tsieve\t(3)\t(::1 192.0.2.1)\n";
        let found = sessions(output).unwrap();
        assert_eq!((found[0].connections.as_str(), found[1].ips.as_str()), ("2", "(::1 192.0.2.1)"));
        assert_eq!(sessions("username\tconnections\tservice\tpids\tips\n"), Some(vec![]));
        assert_eq!(sessions("username\tconnections\tservice\tpids\tips\na@e.test"), None, "a row cut off");
        assert_eq!(sessions("doveadm: Error"), None);
        assert_eq!(sessions(""), None);
    }
}
