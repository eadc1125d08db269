//! What only the live system knows, asked for beforehand.

use std::collections::BTreeMap;

use crate::socket::{Account, PathStep};

/// Something to look up on the mail host. Nothing is changed by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// A key in a table, as `postmap -q KEY TABLE` gives it.
    Lookup {
        /// The table with its type.
        table: String,
        /// The key.
        key: String,
    },
    /// Whether a file of patterns holds this line.
    Line {
        /// The file.
        path: String,
        /// The line.
        line: String,
    },
    /// The steps to a path: every directory from the root, then the file itself.
    Path(String),
    /// Whether somebody answers at a milter address, `unix:/PATH` or `inet:HOST:PORT`.
    Reach(String),
    /// A user with its groups.
    User(String),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is there: the value of a key, nothing for a line.
    Found(String),
    /// It is not there; for an address, why nobody answers.
    Missing(String),
    /// The steps to a path as far as they exist.
    Steps(Vec<PathStep>),
    /// A user.
    User(Account),
    /// It could not be looked up, and why.
    Unknown(String),
}

/// Every answer. What was not asked is unknown.
#[derive(Debug, Clone, Default)]
pub struct Answers(BTreeMap<Question, Answer>);

impl Answers {
    /// Notes an answer.
    pub fn put(&mut self, question: Question, answer: Answer) {
        self.0.insert(question, answer);
    }

    pub(crate) fn get(&self, question: &Question) -> Answer {
        self.0.get(question).cloned().unwrap_or_else(|| Answer::Unknown("it was not asked".to_owned()))
    }
}

impl FromIterator<(Question, Answer)> for Answers {
    fn from_iter<I: IntoIterator<Item = (Question, Answer)>>(answers: I) -> Self {
        Self(answers.into_iter().collect())
    }
}
