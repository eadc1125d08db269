//! Observations and coverage as lines of JSON, so that one machine collects and another judges.
//!
//! The first line is the [`Head`]; then come the rows of one mailbox after the other, each group closed by
//! [`Record::Done`]; the last line is the [`End`] with the counts. A group without its closing line was
//! interrupted and counts for nothing; a file without its end is not finished and is judged by nobody.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Coverage, Observation, Profile};

/// The schema name of a collection; another number is another format.
pub const COLLECTION_SCHEMA: &str = "mailwarden.collection/1";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The first line.
    Head(Head),
    /// Something was seen.
    Observation(Box<Observation>),
    /// How far something was seen.
    Coverage(Coverage),
    /// What a reader should know although it changes no coverage.
    Note(String),
    /// All rows of this mailbox stand above; [`crate::SYSTEM`] for the mail system as a whole.
    Done(String),
    /// The last line.
    End(End),
}

/// What the collection is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Always [`COLLECTION_SCHEMA`].
    pub schema: String,
    /// Program name and version.
    pub tool: String,
    /// When collecting began, UTC.
    pub started: DateTime<Utc>,
    /// The profile that was chosen, if one was.
    pub profile: Option<Profile>,
    /// The surfaces asked for.
    pub surfaces: Vec<String>,
}

impl Head {
    /// Whether the rows of another collection may stand beside those of this one.
    #[must_use]
    pub fn is_of_same_rounds(&self, other: &Self) -> bool {
        (self.profile, &self.surfaces) == (other.profile, &other.surfaces)
    }
}

/// What stands above the last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When collecting ended, UTC.
    pub finished: DateTime<Utc>,
    /// Groups, the mail system as a whole included.
    pub groups: usize,
    /// Observations.
    pub observations: usize,
    /// Coverage rows.
    pub coverage: usize,
}

/// What is wrong with a collection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct Unreadable {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub cause: String,
}

/// A collection as far as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collection {
    /// The first line.
    pub head: Option<Head>,
    /// What was seen.
    pub observations: Vec<Observation>,
    /// How far.
    pub coverage: Vec<Coverage>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// The mailboxes whose rows are whole.
    pub done: BTreeSet<String>,
    /// The last line; without it the collection is not finished.
    pub end: Option<End>,
}

impl Collection {
    /// Adds an observation, a coverage row or a note; the lines around them are no rows.
    pub fn add(&mut self, row: Record) {
        match row {
            Record::Observation(seen) => self.observations.push(*seen),
            Record::Coverage(row) => self.coverage.push(row),
            Record::Note(note) => self.notes.push(note),
            Record::Head(_) | Record::Done(_) | Record::End(_) => {}
        }
    }
}

/// How much there is of a collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Mailboxes, the mail system as a whole included.
    pub groups: usize,
    /// Observations.
    pub observations: usize,
    /// Coverage rows.
    pub coverage: usize,
    /// Coverage rows that are not complete.
    pub gaps: usize,
}

impl Tally {
    /// Counts one line.
    pub fn count(&mut self, record: &Record) {
        match record {
            Record::Observation(_) => self.observations += 1,
            Record::Coverage(row) => {
                self.coverage += 1;
                self.gaps += usize::from(!row.state.is_complete());
            }
            Record::Done(_) => self.groups += 1,
            Record::Note(_) | Record::Head(_) | Record::End(_) => {}
        }
    }

    /// The last line below so many.
    #[must_use]
    pub fn end(self, finished: DateTime<Utc>) -> End {
        let Self { groups, observations, coverage, gaps: _ } = self;
        End { finished, groups, observations, coverage }
    }
}

/// A collection without its rows, as far as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// The first line.
    pub head: Option<Head>,
    /// The mailboxes whose rows are whole.
    pub done: BTreeSet<String>,
    /// How much there is of it.
    pub tally: Tally,
    /// The last line; without it the collection is not finished.
    pub end: Option<End>,
    /// The length of all lines that count, with their line ends: what comes after it was interrupted.
    pub whole_bytes: u64,
}

/// Takes a collection in line by line, and holds the rows of one mailbox at a time.
#[derive(Debug, Default)]
pub struct CollectionReader {
    outline: Outline,
    open: Vec<Record>,
    lines: usize,
    bytes: u64,
}

impl CollectionReader {
    /// Takes one line without its line end; brings back the rows of the mailbox that it closes, if it closes one.
    ///
    /// # Errors
    /// When it is no record, or not one that may stand here.
    pub fn take(&mut self, line: &[u8]) -> Result<Vec<Record>, Unreadable> {
        self.lines += 1;
        self.bytes += line.len() as u64 + 1;
        let record = serde_json::from_slice(line).map_err(|error| self.faulty(&error.to_string()))?;
        if self.outline.end.is_some() {
            return Err(self.faulty("a line after the end"));
        }
        match record {
            Record::Head(head) => self.begin(head)?,
            _ if self.outline.head.is_none() => return Err(self.faulty("it does not begin with a head")),
            Record::Done(mailbox) => return self.close_group(mailbox),
            Record::End(end) => self.finish(end)?,
            row => self.open.push(row),
        }
        Ok(Vec::new())
    }

    fn begin(&mut self, head: Head) -> Result<(), Unreadable> {
        if self.outline.head.is_some() {
            return Err(self.faulty("a second head"));
        }
        if head.schema != COLLECTION_SCHEMA {
            return Err(self.faulty(&format!("the format is `{}`, not {COLLECTION_SCHEMA}", head.schema)));
        }
        self.outline.head = Some(head);
        self.outline.whole_bytes = self.bytes;
        Ok(())
    }

    fn close_group(&mut self, mailbox: String) -> Result<Vec<Record>, Unreadable> {
        if !self.outline.done.insert(mailbox) {
            return Err(self.faulty("the same mailbox a second time"));
        }
        let rows = std::mem::take(&mut self.open);
        rows.iter().for_each(|row| self.outline.tally.count(row));
        self.outline.tally.groups += 1;
        self.outline.whole_bytes = self.bytes;
        Ok(rows)
    }

    fn finish(&mut self, end: End) -> Result<(), Unreadable> {
        if !self.open.is_empty() || self.outline.tally.end(end.finished) != end {
            return Err(self.faulty("lines are missing: the counts of the last line do not fit"));
        }
        self.outline.end = Some(end);
        self.outline.whole_bytes = self.bytes;
        Ok(())
    }

    fn faulty(&self, cause: &str) -> Unreadable {
        Unreadable { line: self.lines, cause: cause.to_owned() }
    }

    /// What was read; an open group at the end is left out.
    pub fn into_outline(self) -> Outline {
        self.outline
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CoverageState, SYSTEM};

    fn head() -> Record {
        Record::Head(Head {
            schema: COLLECTION_SCHEMA.to_owned(),
            tool: "mailwarden test".to_owned(),
            started: "2026-11-01T12:00:00Z".parse().unwrap(),
            profile: Some(Profile::Full),
            surfaces: vec!["imap.acl".to_owned()],
        })
    }

    fn row(mailbox: &str) -> Record {
        Record::Coverage(Coverage {
            mailbox: mailbox.to_owned(),
            surface: "imap.acl".to_owned(),
            state: CoverageState::Collected,
            reason: String::new(),
            source: "test".to_owned(),
        })
    }

    fn end(groups: usize, coverage: usize) -> Record {
        let finished = "2026-11-01T12:00:01Z".parse().unwrap();
        Record::End(End { finished, groups, observations: 0, coverage })
    }

    fn read(records: &[Record]) -> Result<(Outline, Vec<Record>), Unreadable> {
        let (mut reader, mut rows) = (CollectionReader::default(), Vec::new());
        for record in records {
            rows.extend(reader.take(&serde_json::to_vec(record).unwrap())?);
        }
        Ok((reader.into_outline(), rows))
    }

    fn done(mailbox: &str) -> Record {
        Record::Done(mailbox.to_owned())
    }

    #[test]
    fn a_whole_collection_is_read_and_an_open_group_is_left_out() {
        let all = [head(), row(SYSTEM), done(SYSTEM), row("a"), done("a"), end(2, 2)];
        let (whole, rows) = read(&all).unwrap();
        assert_eq!((rows, whole.done.len()), (vec![row(SYSTEM), row("a")], 2));
        assert_eq!(whole.tally, Tally { groups: 2, coverage: 2, ..Tally::default() });
        assert!(whole.end.is_some());
        let (cut, rows) = read(&all[..4]).unwrap();
        assert_eq!((rows, cut.tally.coverage), (vec![row(SYSTEM)], 1));
        assert!(cut.end.is_none());
        let expected: usize = all[..3].iter().map(|line| serde_json::to_vec(line).unwrap().len() + 1).sum();
        assert_eq!(cut.whole_bytes, expected as u64);
    }

    #[test]
    fn what_was_altered_is_refused() {
        let other = r#"{"head":{"schema":"mailwarden.collection/2","tool":"","started":"2026-11-01T12:00:00Z",
            "profile":null,"surfaces":[]}}"#;
        let mut reader = CollectionReader::default();
        assert!(reader.take(other.as_bytes()).unwrap_err().cause.contains("collection/2"));
        for (records, word) in [
            (vec![row("a")], "begin with a head"),
            (vec![head(), head()], "second head"),
            (vec![head(), row("a"), done("a"), done("a")], "second time"),
            (vec![head(), row("a"), done("a"), end(1, 2)], "missing"),
            (vec![head(), row("a"), end(0, 0)], "missing"),
            (vec![head(), end(0, 0), row("a")], "after the end"),
        ] {
            assert!(read(&records).unwrap_err().cause.contains(word), "{word}");
        }
    }
}
