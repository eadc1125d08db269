//! `mailwarden sweep`: collectors, judge, report, ledger, in this order and one after the other.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use indicatif::{ProgressBar, ProgressStyle};
use mailwarden_collect::accounts::AccountsPlan;
use mailwarden_collect::postfix::PostfixPlan;
use mailwarden_collect::{Credentials, Harvest, LoginStyle, Plan, Progress, Server, TlsMode};
use mailwarden_evidence::{catalogue, surface};
use mailwarden_judge::{Finding, Report, Run, Severity, Status, judge};
use mailwarden_policy::Policy;
use mailwarden_report::{Format, TextStyle, summary_line};
use mailwarden_settings::{MailServer, Settings, Tls, load_policy};
use secrecy::SecretString;
use uuid::Uuid;

use crate::arguments::{Common, FailOn, Sweep};
use crate::failure::{Failure, Outcome};
use crate::output::{complain, shown};
use crate::remembered::remember;
use crate::rerender;

/// How long the command that lists the accounts may take.
const ACCOUNTS_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) async fn run(common: &Common, sweep: &Sweep) -> Result<Outcome, Failure> {
    check_surfaces(&sweep.surface)?;
    let settings = common.settings()?;
    let previous = sweep.baseline.as_deref().map(rerender::load).transpose()?;
    let report = made(common, &settings, sweep).await?;
    let report = remember(&settings, report, previous.as_ref()).await;
    write(&report, sweep)?;
    Ok(outcome(&report, sweep))
}

/// A sweep for a case, on record as any other, its report not printed.
pub(crate) async fn now(common: &Common, sweep: &Sweep) -> Result<Report, Failure> {
    let settings = common.settings()?;
    let report = made(common, &settings, sweep).await?;
    let report = remember(&settings, report, None).await;
    complain(&summary_line(&report));
    Ok(report)
}

async fn made(common: &Common, settings: &Settings, sweep: &Sweep) -> Result<Report, Failure> {
    let (policy, _) = load_policy(&common.policy_directory(settings))?;
    let started = Utc::now();
    let harvest = collect(settings, &policy, sweep).await?;
    let run = Run {
        run_id: Uuid::now_v7().to_string(),
        tool: concat!("mailwarden ", env!("CARGO_PKG_VERSION")).to_owned(),
        started,
        now: Utc::now(),
        surfaces: surfaces_of(&harvest),
    };
    Ok(judge(&run, &policy, &harvest.observations, harvest.coverage))
}

fn check_surfaces(asked: &[String]) -> Result<(), Failure> {
    let Some(unknown) = asked.iter().find(|id| surface(id).is_none()) else { return Ok(()) };
    let known: Vec<&str> = catalogue().1.iter().map(|surface| surface.id.as_str()).collect();
    Err(Failure::Usage(format!("no surface is called `{}`; known: {}", shown(unknown), known.join(", "))))
}

fn surfaces_of(harvest: &Harvest) -> Vec<String> {
    let names: BTreeSet<&String> = harvest.coverage.iter().map(|coverage| &coverage.surface).collect();
    names.into_iter().cloned().collect()
}

// --- what to look at ------------------------------------------------------------------------------------------------

async fn collect(settings: &Settings, policy: &Policy, sweep: &Sweep) -> Result<Harvest, Failure> {
    let asked = |id: &str| sweep.surface.is_empty() || sweep.surface.iter().any(|surface| surface == id);
    let mut plan = Plan::new(credentials(settings)?);
    plan.imap = ["account", "imap.acl", "imap.metadata"]
        .iter()
        .any(|id| asked(id))
        .then(|| settings.imap.as_ref().map(|imap| server(settings, imap)))
        .flatten();
    plan.managesieve = asked("managesieve.scripts")
        .then(|| settings.managesieve.as_ref().map(|managesieve| server(settings, managesieve)))
        .flatten();
    let wants_postfix = (sweep.all || sweep.system)
        && catalogue().1.iter().any(|s| s.id.starts_with("postfix.") && asked(&s.id));
    plan.postfix = settings
        .postfix
        .as_ref()
        .filter(|_| wants_postfix)
        .map(|postfix| PostfixPlan::new(settings.resolve(&postfix.config_directory)));
    plan.connections = settings.sweep.connections;
    plan.mailbox_deadline = settings.sweep.mailbox_deadline;
    plan.accounts = settings
        .accounts
        .as_ref()
        .filter(|_| sweep.all && asked("account"))
        .map(|accounts| AccountsPlan { argv: accounts.command.clone(), timeout: ACCOUNTS_TIMEOUT });
    plan.mailboxes = mailboxes(policy, sweep);
    if plan.imap.is_none() && plan.managesieve.is_none() && plan.postfix.is_none() && plan.accounts.is_none()
    {
        return Err(Failure::Usage(
            "there is nothing to look at\n  \
             the configuration needs [imap], [managesieve] or [postfix] for the surfaces asked for"
                .to_owned(),
        ));
    }
    let progress = progress_bar(plan.mailboxes.len());
    let mut harvest = mailwarden_collect::run(plan, |event| show_progress(&progress, &event)).await;
    progress.finish_and_clear();
    for note in &harvest.notes {
        complain(&format!("note: {}", shown(&note.to_string())));
    }
    harvest.observations.retain(|observation| asked(&observation.surface));
    harvest.coverage.retain(|coverage| asked(&coverage.surface));
    Ok(harvest)
}

/// Those named on the command line, or all of the policy; the accounts that the server lists come on top.
fn mailboxes(policy: &Policy, sweep: &Sweep) -> Vec<String> {
    if !sweep.all {
        return sweep.mailboxes.clone();
    }
    policy.mailboxes().iter().map(|mailbox| mailbox.address.to_string()).collect()
}

fn credentials(settings: &Settings) -> Result<Credentials, Failure> {
    let Some(login) = &settings.login else {
        if settings.imap.is_some() || settings.managesieve.is_some() {
            return Err(Failure::Usage(
                "[imap] and [managesieve] need a master user\n  \
                 add [login] with `user` and `password = { file = \"...\" }`"
                    .to_owned(),
            ));
        }
        let nobody = SecretString::from("");
        return Ok(Credentials {
            master_user: String::new(),
            master_password: nobody,
            style: LoginStyle::Authzid,
        });
    };
    Ok(Credentials {
        master_user: login.user.clone(),
        master_password: login.password.read(&settings.directory)?,
        style: login.separator.map_or(LoginStyle::Authzid, LoginStyle::Separator),
    })
}

fn server(settings: &Settings, configured: &MailServer) -> Server {
    let tls = match configured.tls {
        Tls::Starttls => TlsMode::StartTls,
        Tls::Implicit => TlsMode::Implicit,
        Tls::None => TlsMode::Plain,
    };
    let mut server = Server::new(configured.host.clone(), configured.port, tls);
    server.tls_name.clone_from(&configured.tls_name);
    server.ca_file = configured.ca_file.as_ref().map(|file| settings.resolve(file));
    server
}

// --- what is said on the way ----------------------------------------------------------------------------------------

/// Drawn on a terminal only; `indicatif` hides it elsewhere.
fn progress_bar(mailboxes: usize) -> ProgressBar {
    let bar = ProgressBar::new(mailboxes as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} mailboxes  {msg}") {
        bar.set_style(style);
    }
    bar
}

fn show_progress(bar: &ProgressBar, event: &Progress) {
    match event {
        Progress::Started { mailbox } => bar.set_message(shown(mailbox)),
        Progress::Retrying { mailbox, error, pause } => {
            bar.println(shown(&format!("{mailbox}: {error}; trying again in {pause:?}")));
        }
        Progress::Finished { done, total, .. } => {
            bar.set_length(*total as u64);
            bar.set_position(*done as u64);
        }
    }
}

// --- what comes of it -----------------------------------------------------------------------------------------------

fn write(report: &Report, sweep: &Sweep) -> Result<(), Failure> {
    if let Some(directory) = &sweep.output {
        save(report, directory)?;
    }
    mailwarden_report::write(report, sweep.format, &mut std::io::stdout().lock(), &rerender::style())?;
    if sweep.format != Format::Text {
        complain(&summary_line(report));
    }
    Ok(())
}

/// Written beside their names and then renamed: a reader never sees half a report.
fn save(report: &Report, directory: &Path) -> Result<(), Failure> {
    let failed =
        |error| Failure::Ours(format!("cannot write the report into {}: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(failed)?;
    for (name, format) in [("report.json", Format::Json), ("report.html", Format::Html)] {
        let mut bytes = Vec::new();
        mailwarden_report::write(report, format, &mut bytes, &TextStyle::default()).map_err(failed)?;
        let (temporary, path) = (directory.join(format!(".{name}.new")), directory.join(name));
        std::fs::write(&temporary, bytes).map_err(failed)?;
        std::fs::rename(&temporary, &path).map_err(failed)?;
        complain(&format!("report: {}", path.display()));
    }
    Ok(())
}

fn outcome(report: &Report, sweep: &Sweep) -> Outcome {
    let threshold = Severity::from(sweep.severity);
    let counts = |finding: &&Finding| {
        finding.severity >= threshold
            && (sweep.fail_on == FailOn::Any || matches!(finding.status, Status::New | Status::Changed))
    };
    if report.open_findings().any(|finding| counts(&finding)) {
        Outcome::Findings
    } else if report.nothing_seen() {
        Outcome::NothingReached
    } else if report.gaps().next().is_some() {
        Outcome::Incomplete
    } else {
        Outcome::Clean
    }
}
