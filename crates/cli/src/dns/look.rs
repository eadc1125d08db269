//! Asking, and asking again for what follows from the answers, until nothing is wanted.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use mailwarden_collect::dns::{Outside, OutsidePlan};
use mailwarden_dns::{Answers, Evaluation, Family, MAX_ROUNDS, Subject, concerns, evaluate};
use mailwarden_evidence::dns::{Answer, Question};
use mailwarden_evidence::{Coverage, CoverageState, Evidence, Fact, Observation};
use mailwarden_settings::Settings;

use crate::failure::Failure;

/// Most gaps that the reason of one coverage row names.
const MAX_NAMED: usize = 5;

/// Everything that was answered, and when.
#[derive(Default)]
pub(super) struct Looked {
    pub(super) answers: Answers,
    at: BTreeMap<Question, DateTime<Utc>>,
}

pub(super) fn outside(settings: &Settings) -> Result<Outside, Failure> {
    let dns = &settings.dns;
    let plan = OutsidePlan {
        resolvers: dns.resolvers.clone(),
        timeout: dns.timeout,
        host_timeout: dns.host_timeout,
        smtp: dns.smtp,
        smtp_port: dns.smtp_port,
        helo: if dns.helo.is_empty() { this_machine() } else { dns.helo.clone() },
        https_port: dns.https_port,
        rdap: dns.rdap.clone(),
        ca_file: dns.ca_file.as_ref().map(|file| settings.resolve(file)),
        connect_to: dns.connect_to,
    };
    Outside::new(plan).map_err(|error| Failure::Usage(error.to_string()))
}

fn this_machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

impl Looked {
    pub(super) async fn ask(&mut self, outside: &Outside, questions: Vec<Question>) {
        for (question, answer) in outside.answers(questions).await {
            self.at.insert(question.clone(), Utc::now());
            self.answers.put(question, answer);
        }
    }

    /// Looks at every domain until nothing more is wanted.
    pub(super) async fn at_all(
        &mut self,
        outside: &Outside,
        subjects: &[Subject],
        families: &[Family],
        now: DateTime<Utc>,
    ) -> Vec<Evaluation> {
        for _ in 0..MAX_ROUNDS {
            let wanted: BTreeSet<Question> = subjects
                .iter()
                .flat_map(|subject| evaluate(subject, families, &self.answers, now).wanted)
                .collect();
            if wanted.is_empty() {
                break;
            }
            self.ask(outside, wanted.into_iter().collect()).await;
        }
        subjects.iter().map(|subject| evaluate(subject, families, &self.answers, now)).collect()
    }

    /// Each answer once, as an observation of the domain that asked for it first.
    pub(super) fn observations(&self, source: &str, looked: &[(Subject, Evaluation)]) -> Vec<Observation> {
        let mut noted: BTreeSet<&Question> = BTreeSet::new();
        let mut observations = Vec::new();
        for (subject, evaluation) in looked {
            for (question, family) in &evaluation.asked {
                if let Some(answer) = self.answers.get(question).filter(|_| noted.insert(question)) {
                    let at = self.at.get(question).copied().unwrap_or_default();
                    observations.push(observation(subject, *family, (question, answer), (source, at)));
                }
            }
        }
        observations
    }

    /// One row for each family that concerns a domain.
    pub(super) fn coverage(
        &self,
        source: &str,
        (subject, evaluation): (&Subject, &Evaluation),
        families: &[Family],
    ) -> Vec<Coverage> {
        let concerned = families.iter().filter(|family| concerns(**family, subject));
        concerned.map(|family| self.row(source, subject, evaluation, *family)).collect()
    }

    fn row(&self, source: &str, subject: &Subject, evaluation: &Evaluation, family: Family) -> Coverage {
        let gaps: Vec<&str> = (evaluation.gaps.iter())
            .filter(|gap| gap.family == family)
            .map(|gap| gap.reason.as_str())
            .collect();
        let answered = |question: &Question| {
            self.answers.get(question).is_some_and(|answer| !matches!(answer, Answer::Failed { .. }))
        };
        let some = evaluation.asked.iter().any(|(question, asked)| *asked == family && answered(question));
        let state = match (gaps.is_empty(), some) {
            (true, _) => CoverageState::Collected,
            (false, true) => CoverageState::Partial,
            (false, false) => CoverageState::Error,
        };
        let (mailbox, surface) = (subject.label(), family.surface().to_owned());
        Coverage { mailbox, surface, state, reason: reason(&gaps), source: source.to_owned() }
    }
}

fn reason(gaps: &[&str]) -> String {
    let named = gaps.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join("; ");
    match gaps.len().checked_sub(MAX_NAMED) {
        Some(more) if more > 0 => format!("could not check {named}; and {more} more"),
        _ if named.is_empty() => String::new(),
        _ => format!("could not check {named}"),
    }
}

fn observation(
    subject: &Subject,
    family: Family,
    (question, answer): (&Question, &Answer),
    (source, at): (&str, DateTime<Utc>),
) -> Observation {
    let raw = serde_json::to_vec(answer).unwrap_or_default();
    let excerpt = format!("{question}: {}", mailwarden_dns::quoted(&String::from_utf8_lossy(&raw)));
    Observation {
        mailbox: subject.label(),
        surface: family.surface().to_owned(),
        fact: Fact::Dns { question: question.clone(), answer: answer.clone() },
        evidence: Evidence::of(&raw, &excerpt, source, at),
    }
}
