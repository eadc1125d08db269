//! `mailwarden sweep`: collectors, judge, report, ledger, in this order and one after the other.

use std::path::Path;

use mailwarden_evidence::Collection;
use mailwarden_judge::{Finding, Report, Severity, Status, judge};
use mailwarden_policy::Policy;
use mailwarden_report::{Format, TextStyle, summary_line};
use mailwarden_settings::{Settings, load_policy};

use crate::arguments::{Common, FailOn, Judging, Looking, Sweep};
use crate::failure::{Failure, Outcome};
use crate::output::complain;
use crate::remembered::remember;
use crate::rounds::{self, Wanted};
use crate::seen::Seen;
use crate::spool::Spool;
use crate::{rerender, spool, surfaces};

/// A run in full, beside which the next one finds it.
const REPORT: &str = "report.json";

pub(crate) async fn run(common: &Common, sweep: &Sweep) -> Result<Outcome, Failure> {
    if sweep.looking.surfaces {
        return surfaces::list(&common.settings()?, sweep.judging.format);
    }
    let settings = common.settings()?;
    let wanted = Wanted::of(&settings, &sweep.looking)?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let previous = previous(&sweep.judging)?;
    let plan = rounds::plan(&settings, &policy, &sweep.looking, &wanted)?;
    let head = rounds::head(&wanted, &plan);
    let spool = match &sweep.judging.output {
        Some(directory) => Spool::file(&in_directory(directory)?, head, sweep.resume)?,
        None => Spool::memory(head),
    };
    let collection = rounds::make(plan, &wanted, spool).await?.finish()?;
    conclude(&settings, &policy, collection, previous.as_ref(), &sweep.judging).await
}

/// The report that is named, else the one that the run before left in the same directory: what is new is news
/// only against that. One that cannot be read is said, and nothing is compared.
fn previous(judging: &Judging) -> Result<Option<Report>, Failure> {
    if let Some(baseline) = &judging.baseline {
        return rerender::load(baseline).map(Some);
    }
    let Some(before) = judging.output.as_ref().map(|directory| directory.join(REPORT)) else {
        return Ok(None);
    };
    if !before.exists() {
        return Ok(None);
    }
    let read = rerender::load(&before);
    if let Err(failure) = &read {
        complain(&format!("warning: nothing is compared: {}", failure.render(false)));
    }
    Ok(read.ok())
}

/// A sweep for a case, on record as any other, its report not printed.
pub(crate) async fn now(common: &Common, looking: &Looking) -> Result<Report, Failure> {
    let settings = common.settings()?;
    let wanted = Wanted::of(&settings, looking)?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let plan = rounds::plan(&settings, &policy, looking, &wanted)?;
    let spool = Spool::memory(rounds::head(&wanted, &plan));
    let collection = rounds::make(plan, &wanted, spool).await?.finish()?;
    let report = remember(&settings, &policy, judged(&policy, collection), None).await;
    complain(&summary_line(&report));
    Ok(report)
}

fn in_directory(directory: &Path) -> Result<std::path::PathBuf, Failure> {
    std::fs::create_dir_all(directory).map_err(|error| spool::unwritable(directory, &error))?;
    Ok(directory.join(spool::FILE))
}

/// From what was collected, here or elsewhere, to the exit code.
pub(crate) async fn conclude(
    settings: &Settings,
    policy: &Policy,
    collection: Collection,
    previous: Option<&Report>,
    judging: &Judging,
) -> Result<Outcome, Failure> {
    let report = remember(settings, policy, judged(policy, collection), previous).await;
    write(&report, judging)?;
    crate::notify::after_sweep(settings, &report).await;
    Ok(outcome(&report, judging))
}

fn judged(policy: &Policy, collection: Collection) -> Report {
    let seen = Seen::from(collection);
    judge(&seen.run, policy, &seen.observations, seen.coverage)
}

// --- what comes of it -----------------------------------------------------------------------------------------------

pub(crate) fn write(report: &Report, judging: &Judging) -> Result<(), Failure> {
    if let Some(directory) = &judging.output {
        save(report, directory)?;
    }
    mailwarden_report::write(report, judging.format, &mut std::io::stdout().lock(), &rerender::style())?;
    if judging.format != Format::Text {
        complain(&summary_line(report));
    }
    Ok(())
}

/// Written beside their names and then renamed: a reader never sees half a report.
fn save(report: &Report, directory: &Path) -> Result<(), Failure> {
    let failed =
        |error| Failure::Ours(format!("cannot write the report into {}: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(failed)?;
    for (name, format) in [(REPORT, Format::Json), ("report.html", Format::Html)] {
        let mut bytes = Vec::new();
        mailwarden_report::write(report, format, &mut bytes, &TextStyle::default()).map_err(failed)?;
        let (temporary, path) = (directory.join(format!(".{name}.new")), directory.join(name));
        std::fs::write(&temporary, bytes).map_err(failed)?;
        std::fs::rename(&temporary, &path).map_err(failed)?;
        complain(&format!("report: {}", path.display()));
    }
    Ok(())
}

pub(crate) fn outcome(report: &Report, judging: &Judging) -> Outcome {
    let threshold = Severity::from(judging.severity);
    let counts = |finding: &&Finding| {
        finding.severity >= threshold
            && (judging.fail_on == FailOn::Any || matches!(finding.status, Status::New | Status::Changed))
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
