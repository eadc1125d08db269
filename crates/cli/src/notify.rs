//! `mailwarden notify`, and the end of every sweep: who is told what is new. A sweep never fails because nobody
//! could be told; it says so.

mod mail;
mod webhook;

use std::path::PathBuf;

use clap::Args;
use mailwarden_judge::{Report, Severity};
use mailwarden_report::Notice;
use mailwarden_settings::{Notify, Settings};

use crate::arguments::Common;
use crate::failure::{Failure, Outcome};
use crate::output::{complain, print};
use crate::rerender;

#[derive(Debug, Args)]
pub(crate) struct NotifyArguments {
    /// A report saved as JSON
    file: PathBuf,
    /// Print what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(common: &Common, arguments: &NotifyArguments) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let report = rerender::load(&arguments.file)?;
    let Some(notice) = notice(&settings.notify, &report)? else {
        complain("nothing is new or changed: nobody is told");
        return Ok(Outcome::Clean);
    };
    if arguments.dry_run {
        print(&rehearsed(&settings.notify, &notice)?)?;
        return Ok(Outcome::Clean);
    }
    if !is_wanted(&settings.notify) {
        return Err(Failure::Usage("[notify] names neither webhook nor mail_to: nobody is told".to_owned()));
    }
    let failures = tell(&settings, &notice).await;
    match failures.is_empty() {
        true => Ok(Outcome::Clean),
        false => Err(Failure::Ours(failures.join("\n  "))),
    }
}

/// After a sweep: whoever cannot be told is a warning.
pub(crate) async fn after_sweep(settings: &Settings, report: &Report) {
    if !is_wanted(&settings.notify) {
        return;
    }
    match notice(&settings.notify, report) {
        Ok(None) => {}
        Ok(Some(notice)) => {
            for failure in tell(settings, &notice).await {
                complain(&format!("warning: nobody heard of this sweep there: {failure}"));
            }
        }
        Err(failure) => complain(&format!("warning: nobody is told: {}", failure.render(false))),
    }
}

fn is_wanted(notify: &Notify) -> bool {
    !notify.webhook.is_empty() || !notify.mail_to.is_empty()
}

fn notice(notify: &Notify, report: &Report) -> Result<Option<Notice>, Failure> {
    Ok(Notice::of(report, severity(&notify.severity)?, notify.max_findings))
}

fn severity(word: &str) -> Result<Severity, Failure> {
    serde_json::from_value(serde_json::Value::from(word)).map_err(|_| {
        let severities = "info, low, medium, high or critical";
        Failure::Usage(format!("[notify] severity is {word:?}; write {severities}"))
    })
}

fn rehearsed(notify: &Notify, notice: &Notice) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(notice).map_err(|error| Failure::Ours(error.to_string()))?;
    let mut text = String::new();
    if !notify.webhook.is_empty() {
        text.push_str(&format!("POST {}\n{json}\n\n", webhook::shown_url(&notify.webhook)));
    }
    if !notify.mail_to.is_empty() {
        text.push_str(&mail::letter(notify, notice)?);
    }
    if text.is_empty() { Ok(format!("[notify] names nobody; it would be\n{json}\n")) } else { Ok(text) }
}

/// Both ways; what went wrong with either.
async fn tell(settings: &Settings, notice: &Notice) -> Vec<String> {
    let notify = &settings.notify;
    let mut failures = Vec::new();
    if !notify.webhook.is_empty() {
        failures.extend(webhook::post(settings, notice).await.err());
    }
    if !notify.mail_to.is_empty() {
        failures.extend(mail::send(notify, notice).await.err());
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_words_and_a_wrong_one_is_named() {
        assert_eq!(severity("high").ok(), Some(Severity::High));
        let message = severity("urgent").err().map(|failure| failure.render(false)).unwrap_or_default();
        assert!(message.contains("\"urgent\"") && message.contains("critical"), "{message}");
    }
}
