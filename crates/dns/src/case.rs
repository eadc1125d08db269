//! One domain being looked at: what is known of it, what is wanted to know more, what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use mailwarden_evidence::dns::{Answer, Dnssec, Name, Question, Rdata, RecordType};

use crate::answers::Answers;
use crate::checks::Check;
use crate::family::Family;
use crate::subject::Subject;

/// Most questions about one domain. A record that leads further than this is not followed, and the reader is
/// told.
pub const MAX_QUESTIONS: usize = 600;
/// Most records of one answer that are looked at; of more nothing can be told.
pub const MAX_RECORDS: usize = 200;
/// Most characters of one text that are read.
pub const MAX_TEXT: usize = 4096;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// The check.
    pub check: &'static Check,
    /// Its family.
    pub family: Family,
    /// The domain.
    pub domain: String,
    /// The name, host or address it is about: what stays the same when the record is edited.
    pub subject: String,
    /// One plain sentence.
    pub title: String,
    /// What is published or was answered.
    pub found: String,
    /// The record to publish, or what else to do.
    pub fix: String,
    /// The question whose answer shows it.
    pub question: Option<Question>,
}

/// Something that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Its family.
    pub family: Family,
    /// What, and why not.
    pub reason: String,
}

/// What is known of a record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Not yet, or it could not be found out.
    Unknown,
    /// The name does not exist.
    NoSuchName,
    /// The name has no such records.
    NoRecords,
    /// These.
    Records(Vec<Rdata>),
}

impl Found {
    /// The records where it is known whether there are any; nothing and no name are none.
    pub(crate) fn known(self) -> Option<Vec<Rdata>> {
        match self {
            Self::Unknown => None,
            Self::NoSuchName | Self::NoRecords => Some(Vec::new()),
            Self::Records(records) => Some(records),
        }
    }
}

/// One domain being looked at.
pub(crate) struct Case<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) now: DateTime<Utc>,
    answers: &'a Answers,
    family: Family,
    asked: BTreeMap<Question, Family>,
    wanted: BTreeSet<Question>,
    deviations: Vec<Deviation>,
    gaps: BTreeSet<Gap>,
    published: BTreeMap<String, String>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(subject: &'a Subject, answers: &'a Answers, now: DateTime<Utc>) -> Self {
        Self {
            subject,
            now,
            answers,
            family: Family::Mx,
            asked: BTreeMap::new(),
            wanted: BTreeSet::new(),
            deviations: Vec::new(),
            gaps: BTreeSet::new(),
            published: BTreeMap::new(),
        }
    }

    /// Looks at one family.
    pub(crate) fn family(&mut self, family: Family, look: impl FnOnce(&mut Self)) {
        self.family = family;
        look(self);
    }

    /// The answer to a question; one that is not there yet is wanted.
    pub(crate) fn ask(&mut self, question: Question) -> Option<&'a Answer> {
        if !self.asked.contains_key(&question) && self.asked.len() >= MAX_QUESTIONS {
            self.gap(format!("more than {MAX_QUESTIONS} questions; {question} was not asked"));
            return None;
        }
        self.asked.insert(question.clone(), self.family);
        match self.answers.get(&question) {
            None => {
                self.gap(format!("{question}: not answered in time"));
                self.wanted.insert(question);
                None
            }
            Some(Answer::Failed { reason }) => {
                self.gap(format!("{question}: {reason}"));
                None
            }
            answer => answer,
        }
    }

    /// The records of a name.
    pub(crate) fn records(&mut self, name: &Name, kind: RecordType) -> Found {
        let question = Question::Records { name: name.clone(), kind };
        match self.ask(question.clone()) {
            Some(Answer::Records { records, .. }) => {
                if records.len() > MAX_RECORDS {
                    self.gap(format!("{question}: {} records are more than {MAX_RECORDS}", records.len()));
                    return Found::Unknown;
                }
                Found::Records(records.clone())
            }
            Some(Answer::NoRecords { .. }) => Found::NoRecords,
            Some(Answer::NoSuchName { .. }) => Found::NoSuchName,
            _ => Found::Unknown,
        }
    }

    /// The texts of a name, each joined from its strings; `None` where they are not known.
    pub(crate) fn texts(&mut self, name: &Name) -> Option<Vec<String>> {
        let records = self.records(name, RecordType::Txt).known()?;
        let mut texts = Vec::new();
        for record in records {
            let Rdata::Txt(strings) = record else { continue };
            let text = strings.concat();
            if text.len() > MAX_TEXT {
                self.gap(format!("TXT of {name}: a text of {} octets was not read", text.len()));
                // What claims to be one of ours decides; what does not, does not.
                if text.starts_with("v=") {
                    return None;
                }
                continue;
            }
            texts.push(text);
        }
        Some(texts)
    }

    /// The addresses of a host, both families; `None` where neither is known.
    pub(crate) fn addresses(&mut self, host: &Name) -> Option<Vec<std::net::IpAddr>> {
        let (four, six) = (self.records(host, RecordType::A), self.records(host, RecordType::Aaaa));
        let known: Vec<_> = [four, six].into_iter().map(Found::known).collect();
        let all: Vec<_> = known.iter().flatten().flatten().filter_map(address).collect();
        (!all.is_empty() || known.iter().all(Option::is_some)).then_some(all)
    }

    /// The aliases that led from a name to its answer.
    pub(crate) fn aliases(&self, name: &Name, kind: RecordType) -> &'a [String] {
        match self.answers.get(&Question::Records { name: name.clone(), kind }) {
            Some(
                Answer::Records { aliases, .. }
                | Answer::NoRecords { aliases, .. }
                | Answer::NoSuchName { aliases, .. },
            ) => aliases,
            _ => &[],
        }
    }

    /// Whether the resolver verified the records of a name.
    pub(crate) fn is_authenticated(&self, name: &Name, kind: RecordType) -> bool {
        let question = Question::Records { name: name.clone(), kind };
        matches!(self.answers.get(&question), Some(Answer::Records { dnssec: Dnssec::Authenticated, .. }))
    }

    /// Notes that something could not be looked at.
    pub(crate) fn gap(&mut self, reason: String) {
        self.gaps.insert(Gap { family: self.family, reason });
    }

    /// Notes what is published, for comparison with the next time.
    pub(crate) fn publish(&mut self, what: String, value: String) {
        self.published.insert(what, value);
    }

    /// Notes a deviation; see [`Draft`].
    pub(crate) fn found(&mut self, check: &'static Check, subject: impl ToString, draft: Draft) {
        let Draft { title, found, fix, question } = draft;
        let (family, domain) = (self.family, self.subject.label());
        let subject = subject.to_string();
        // The same include may be reached by two ways.
        debug_assert_eq!(check.family(), family, "{} is found by another family", check.id);
        let same = |other: &Deviation| other.check == check && other.subject == subject;
        if self.deviations.iter().any(same) {
            return;
        }
        self.deviations.push(Deviation { check, family, domain, subject, title, found, fix, question });
    }

    pub(crate) fn finish(self) -> Evaluation {
        Evaluation {
            wanted: self.wanted.into_iter().collect(),
            asked: self.asked,
            deviations: self.deviations,
            gaps: self.gaps.into_iter().collect(),
            published: self.published,
        }
    }
}

/// The words of a deviation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    title: String,
    found: String,
    fix: String,
    question: Option<Question>,
}

impl Draft {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = found.into();
        self
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    pub(crate) fn seen_at(mut self, name: &Name, kind: RecordType) -> Self {
        self.question = Some(Question::Records { name: name.clone(), kind });
        self
    }

    pub(crate) fn answered(mut self, question: Question) -> Self {
        self.question = Some(question);
        self
    }
}

/// What came of looking at one domain.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// What has to be answered before it is whole.
    pub wanted: Vec<Question>,
    /// What was asked, by the family that asked last.
    pub asked: BTreeMap<Question, Family>,
    /// What is wrong.
    pub deviations: Vec<Deviation>,
    /// What could not be looked at.
    pub gaps: Vec<Gap>,
    /// What is published: a record set's name and type, and its text.
    pub published: BTreeMap<String, String>,
}

pub(crate) fn address(record: &Rdata) -> Option<std::net::IpAddr> {
    match record {
        Rdata::Address(address) => Some(*address),
        _ => None,
    }
}
