//! The account that the demonstration gives at its end: what was refused, rerouted and found, in plain words, and
//! what did not come out as it should.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use mailwarden_lab::wait::wait_until;

use super::letters::{Became, Delivered, Moment};
use super::outage::Outage;
use super::rounds::{Finding, Rounds};
use super::stage::{SOON, Stage};
use crate::talk::{count, note, seconds};

/// Everything that happened.
pub(super) struct Account {
    pub(super) letters: Vec<Delivered>,
    pub(super) outage: Outage,
    pub(super) questions: Questions,
    /// Copies that left the house while the persistence stood.
    pub(super) leak: usize,
    pub(super) found: Rounds,
    /// The second rounds, and whether nothing leaves the house any more.
    pub(super) after: (Rounds, bool),
}

/// What the journal and the ledger answered.
pub(super) struct Questions {
    pub(super) reference: String,
    pub(super) decision: String,
    pub(super) ledger: String,
}

/// Looks one refusal up by its reference, and reads the ledger.
pub(super) fn ask(stage: &Stage, reference: Option<&str>) -> anyhow::Result<Questions> {
    let reference = reference.context("no refusal named a reference")?.to_owned();
    // The journal is written in batches: a decision stands there a moment after the reply.
    let shown = || stage.mailwarden(&["gate", "show", &reference]).ok().filter(|said| said.code == Some(0));
    let decision = wait_until(SOON, "the refusal in the gate's journal", shown)?.stdout;
    note(&format!("mailwarden gate show {reference}"));
    let ledger = stage.expect_success(&["ledger", "show"])?;
    note("mailwarden ledger show");
    stage.expect_success(&["ledger", "verify"])?;
    note("mailwarden ledger verify: intact");
    Ok(Questions { reference, decision, ledger })
}

impl Account {
    /// The whole account.
    pub(super) fn text(&self, reports: &Path) -> String {
        let mut out = String::new();
        self.tell_letters(&mut out);
        self.tell_outage(&mut out);
        self.tell_questions(&mut out);
        self.tell_findings(&mut out);
        self.tell_afterwards(&mut out);
        heading(&mut out, "The report of the first rounds");
        for name in ["report.html", "report.json"] {
            line(&mut out, &reports.join(name).display().to_string());
        }
        out.trim_end().to_owned()
    }

    fn tell_letters(&self, out: &mut String) {
        heading(out, "Rerouted and delivered by the gate");
        for letter in &self.letters {
            if let Became::Arrived { user, route } = &letter.became {
                item(out, letter.expected, letter.what);
                under(out, &format!("arrived once in the INBOX of {user}@example.test, read back over IMAP"));
                let route = route.as_ref().map(|route| format!("Mailwarden-Route: {route}"));
                under(out, route.as_deref().unwrap_or("unchanged"));
            }
        }
        heading(out, "Refused by the gate");
        for letter in &self.letters {
            if let Became::Refused { moment, reply } = &letter.became {
                item(out, letter.expected, letter.what);
                under(out, spoken_at(*moment));
                under(out, reply);
            }
        }
    }

    fn tell_outage(&self, out: &mut String) {
        heading(out, "While the gate was stopped");
        item(
            out,
            self.outage.put_off,
            "a vendor writes to a scope address: told to try again, not turned away",
        );
        under(out, &self.outage.reply);
        item(out, true, "a program on the host writes to a scope address: its letter waits in Postfix");
        under(out, &self.outage.waits);
        item(out, self.outage.arrived, "the gate came back: both letters arrived in ops@, once each");
    }

    fn tell_questions(&self, out: &mut String) {
        heading(out, &format!("Why it was refused: mailwarden gate show {}", self.questions.reference));
        quote(out, &self.questions.decision);
        heading(out, "What the ledger holds: mailwarden ledger show");
        quote(out, &self.questions.ledger);
    }

    fn tell_findings(&self, out: &mut String) {
        let rounds = &self.found;
        let (findings, took) = (count(rounds.report.findings.len(), "finding"), seconds(rounds.took));
        heading(out, &format!("Found by the rounds: {findings} in {took}, exit code {}", rounds.code));
        rounds.report.findings.iter().for_each(|finding| tell_finding(out, finding));
        for planted in rounds.missed() {
            item(out, false, &format!("planted and NOT found: {}", planted.what));
        }
        let places = count(rounds.report.coverage.len(), "place");
        let gaps = gaps(rounds);
        line(out, &format!("{places} looked at, {} completely.", rounds.report.coverage.len() - gaps.len()));
        gaps.iter().for_each(|gap| under(out, gap));
        line(
            out,
            &format!("Before, one order to sales@ and offers-copy@ had sent {} copies out.", self.leak),
        );
    }

    fn tell_afterwards(&self, out: &mut String) {
        let (rounds, silent) = &self.after;
        heading(out, "After everything planted was removed");
        let verdict = rounds.report.verdict.to_uppercase();
        item(out, rounds.is_clean(), &format!("the rounds say {verdict}, exit code {}", rounds.code));
        rounds.report.findings.iter().for_each(|finding| tell_finding(out, finding));
        gaps(rounds).iter().for_each(|gap| under(out, gap));
        item(out, *silent, "an order to sales@ stays in the house");
    }

    /// What is not as it should be, each in one line.
    pub(super) fn disappointments(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .letters
            .iter()
            .filter(|letter| !letter.expected)
            .map(|letter| letter.what.to_owned())
            .collect();
        lines.extend(self.found.missed().map(|planted| format!("planted and not found: {}", planted.what)));
        lines.extend(
            self.found.surplus().map(|finding| format!("found, though not planted: {}", finding.title)),
        );
        let (after, silent) = &self.after;
        let demands = [
            (self.outage.put_off, "while the gate was stopped, mail from outside was not put off"),
            (self.outage.arrived, "mail sent while the gate was stopped was refused afterwards"),
            (self.found.found_something(), "the first rounds did not end with findings and exit code 1"),
            (self.leak == 2, "the planted persistence did not send two copies out"),
            (after.is_clean(), "the rounds after the removal are not clean"),
            (*silent, "mail still leaves the house after the removal"),
        ];
        lines.extend(demands.iter().filter(|(met, _)| !met).map(|(_, line)| (*line).to_owned()));
        lines
    }
}

fn gaps(rounds: &Rounds) -> Vec<String> {
    let incomplete = rounds.report.coverage.iter().filter(|row| row.is_gap());
    incomplete.map(|row| format!("{} {}: {}, {}", row.mailbox, row.surface, row.state, row.reason)).collect()
}

fn tell_finding(out: &mut String, finding: &Finding) {
    let _ = writeln!(out, "  {:<9} {}", finding.severity, finding.title);
    let _ = writeln!(out, "            {}", finding.place());
}

fn spoken_at(moment: Moment) -> &'static str {
    match moment {
        Moment::Recipient => "at RCPT, before any content:",
        Moment::Message => "at the end of the message:",
        Moment::AfterSendmail => "sendmail(1) hands over and ends; Postfix returned it to the sender with:",
    }
}

fn heading(out: &mut String, text: &str) {
    let _ = writeln!(out, "\n{text}\n{}", "-".repeat(text.chars().count()));
}

fn item(out: &mut String, good: bool, text: &str) {
    let mark = if good { "ok" } else { "!!" };
    let _ = writeln!(out, "  {mark}  {text}");
}

fn under(out: &mut String, text: &str) {
    let _ = writeln!(out, "        {text}");
}

fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "  {text}");
}

fn quote(out: &mut String, text: &str) {
    text.trim_end().lines().for_each(|text| line(out, text));
}
