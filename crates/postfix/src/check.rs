//! A live instance against what the gate needs, item by item.

use mailwarden_policy::Policy;
use serde::Serialize;

use crate::answers::{Answers, Question};
use crate::instance::Instance;
use crate::items;

/// How an item fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Not as it should be.
    Wrong,
    /// It could not be looked at; never taken for good.
    Unknown,
}

/// One thing that was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// A stable name.
    pub id: &'static str,
    /// What it is about: a parameter, a service, a scope.
    pub subject: String,
    /// How it fares.
    pub verdict: Verdict,
    /// What is.
    pub is: String,
    /// What should be.
    pub should: String,
    /// Why.
    pub why: &'static str,
    /// The command that makes it so, for a person to run.
    pub command: Option<String>,
}

impl Item {
    pub(crate) fn new(id: &'static str, subject: impl Into<String>, why: &'static str) -> Self {
        let (is, should) = (String::new(), String::new());
        Self { id, subject: subject.into(), verdict: Verdict::Unknown, is, should, why, command: None }
    }

    pub(crate) fn is(mut self, is: impl Into<String>) -> Self {
        self.is = is.into();
        self
    }

    pub(crate) fn should(mut self, should: impl Into<String>) -> Self {
        self.should = should.into();
        self
    }

    /// Settles the verdict; the command matters only where something is wrong.
    pub(crate) fn good_if(mut self, good: bool, command: impl Into<String>) -> Self {
        self.verdict = if good { Verdict::Ok } else { Verdict::Wrong };
        self.command = (!good).then(|| command.into());
        self
    }

    pub(crate) fn unknown(mut self, why_unknown: &str) -> Self {
        self.verdict = Verdict::Unknown;
        self.is = why_unknown.to_owned();
        self
    }
}

/// Everything that was compared. The contract of `mailwarden postfix check --format json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `mailwarden.postfix-check/1`.
    pub schema: &'static str,
    /// The configuration directory of the instance.
    pub instance: String,
    /// Where the gate listens.
    pub gate: String,
    /// The items.
    pub items: Vec<Item>,
}

impl Report {
    /// The worst verdict: wrong before unknown before good.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let has = |verdict| self.items.iter().any(|item| item.verdict == verdict);
        match () {
            () if has(Verdict::Wrong) => Verdict::Wrong,
            () if has(Verdict::Unknown) => Verdict::Unknown,
            () => Verdict::Ok,
        }
    }
}

/// What has to be looked up before [`check`] can tell.
#[must_use]
pub fn questions(policy: &Policy, instance: &Instance, gate: &str) -> Vec<Question> {
    let mut asked = items::scopes::questions(policy, instance);
    asked.extend(items::socket::questions(instance, gate));
    asked.sort();
    asked.dedup();
    asked
}

/// Compares an instance with what the policy's scopes and the gate need.
#[must_use]
pub fn check(policy: &Policy, instance: &Instance, gate: &str, directory: &str, answers: &Answers) -> Report {
    let mut found = items::scopes::items(policy, instance, answers);
    found.extend(items::services::items(instance, gate));
    found.extend(items::safety::items(instance));
    found.extend(items::socket::items(instance, gate, answers));
    Report {
        schema: "mailwarden.postfix-check/1",
        instance: directory.to_owned(),
        gate: gate.to_owned(),
        items: found,
    }
}
