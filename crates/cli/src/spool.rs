//! Where the rounds put what they bring home: memory, or a file that another run can continue and another
//! machine can judge.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chrono::Utc;
use mailwarden_collect::Harvest;
use mailwarden_evidence::{Collection, CollectionReader, End, Head, Record};

use crate::failure::Failure;

/// The collection of a sweep, beside its report.
pub(crate) const FILE: &str = "collection.jsonl";
/// Longest line of a collection. The longest script of 4 MiB in base64 fits with all that stands around it.
const MAX_LINE: usize = 32 * 1024 * 1024;

/// A collection under way.
pub(crate) struct Spool {
    whole: Collection,
    file: Option<(PathBuf, File)>,
    counts: (usize, usize),
}

impl Spool {
    pub(crate) fn memory(head: Head) -> Self {
        Self { whole: Collection { head: Some(head), ..Collection::default() }, file: None, counts: (0, 0) }
    }

    /// A file. It is continued where that is wanted and it is not finished yet; what was interrupted in the
    /// middle of a mailbox is taken back first.
    pub(crate) fn file(path: &Path, head: Head, resume: bool) -> Result<Self, Failure> {
        if resume
            && path.exists()
            && let Some(spool) = Self::continued(path, &head)?
        {
            return Ok(spool);
        }
        let begun = begin(path, &head).map_err(|error| unwritable(path, &error))?;
        Ok(Self { file: Some((path.to_owned(), begun)), ..Self::memory(head) })
    }

    fn continued(path: &Path, wanted: &Head) -> Result<Option<Self>, Failure> {
        let (whole, bytes) = read(path, true)?;
        let Some(head) = &whole.head else { return Ok(None) };
        if whole.end.is_some() {
            return Ok(None);
        }
        if !head.is_of_same_rounds(wanted) {
            return Err(Failure::Usage(format!(
                "{} was begun for other surfaces or another profile\n  \
                 continue it with the options it was begun with, or leave --resume out to begin again",
                path.display()
            )));
        }
        let cut = || -> io::Result<File> {
            let mut file = OpenOptions::new().write(true).open(path)?;
            file.set_len(bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = cut().map_err(|error| unwritable(path, &error))?;
        let counts = (whole.observations.len(), whole.coverage.len());
        // The rows stand in the file; only which mailboxes are done has to be known.
        let whole = Collection { observations: Vec::new(), coverage: Vec::new(), ..whole };
        Ok(Some(Self { whole, file: Some((path.to_owned(), file)), counts }))
    }

    /// The mailboxes that are done already.
    pub(crate) fn done(&self) -> &std::collections::BTreeSet<String> {
        &self.whole.done
    }

    /// Takes all rows of one mailbox, and is durable against the end of this process when it returns.
    pub(crate) fn take(&mut self, mailbox: &str, harvest: Harvest) -> io::Result<()> {
        self.whole.done.insert(mailbox.to_owned());
        self.counts.0 += harvest.observations.len();
        self.counts.1 += harvest.coverage.len();
        if self.file.is_none() {
            self.whole.observations.extend(harvest.observations);
            self.whole.coverage.extend(harvest.coverage);
            self.whole.notes.extend(harvest.notes);
            return Ok(());
        }
        let group = group(mailbox, harvest)?;
        self.append(&group)
    }

    /// One write for all rows, so that a file ends inside a group only where the machine itself stopped.
    fn append(&mut self, lines: &str) -> io::Result<()> {
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        file.write_all(lines.as_bytes())
    }

    /// Closes the collection and brings it back whole.
    pub(crate) fn finish(mut self) -> Result<Collection, Failure> {
        let end = End {
            finished: Utc::now(),
            groups: self.whole.done.len(),
            observations: self.counts.0,
            coverage: self.counts.1,
        };
        if self.file.is_none() {
            return Ok(Collection { end: Some(end), ..self.whole });
        }
        let appended = lines([&Record::End(end)]).and_then(|line| self.append(&line));
        let Some((path, file)) = self.file else { return Ok(self.whole) };
        appended.and_then(|()| file.sync_all()).map_err(|error| unwritable(&path, &error))?;
        drop(file);
        load_finished(&path)
    }
}

/// All rows of one mailbox, as lines with their ends.
pub(crate) fn group(mailbox: &str, harvest: Harvest) -> io::Result<String> {
    let rows = harvest.observations.into_iter().map(Record::Observation);
    let rows = rows.chain(harvest.coverage.into_iter().map(Record::Coverage));
    let rows = rows.chain(harvest.notes.into_iter().map(Record::Note));
    let rows: Vec<Record> = rows.chain([Record::Done(mailbox.to_owned())]).collect();
    lines(&rows)
}

fn lines<'r>(rows: impl IntoIterator<Item = &'r Record>) -> io::Result<String> {
    let mut lines = String::new();
    for row in rows {
        lines.push_str(&serde_json::to_string(row)?);
        lines.push('\n');
    }
    Ok(lines)
}

/// A file with its first line, for its owner only.
fn begin(path: &Path, head: &Head) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(lines([&Record::Head(head.clone())])?.as_bytes())?;
    Ok(file)
}

/// What stands in a collection.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Mailboxes, the mail system as a whole included.
    pub(crate) groups: usize,
    pub(crate) observations: usize,
    pub(crate) coverage: usize,
    /// Coverage rows that are not complete.
    pub(crate) gaps: usize,
}

/// A collection that is written from groups that are whole, and never held in memory. It gets its name when
/// it is finished.
pub(crate) struct Finished {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
    tally: Tally,
}

impl Finished {
    pub(crate) fn create(path: &Path, head: &Head) -> Result<Self, Failure> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        let begun = begin(&temporary, head).map_err(|error| unwritable(&temporary, &error))?;
        let tally = Tally::default();
        Ok(Self { path: path.to_owned(), temporary, file: BufWriter::new(begun), tally })
    }

    /// Adds the lines of one mailbox, after a look at each: they come from a place that others can write to.
    pub(crate) fn add(&mut self, group: &str) -> Result<(), Failure> {
        for line in group.lines() {
            let record = serde_json::from_str(line).map_err(|error| {
                Failure::Ours(format!("what another sweeper wrote is no part of a collection: {error}"))
            })?;
            match record {
                Record::Observation(_) => self.tally.observations += 1,
                Record::Coverage(row) => {
                    self.tally.coverage += 1;
                    self.tally.gaps += usize::from(!row.state.is_complete());
                }
                Record::Done(_) => self.tally.groups += 1,
                Record::Note(_) | Record::Head(_) | Record::End(_) => {}
            }
        }
        self.file.write_all(group.as_bytes()).map_err(|error| unwritable(&self.temporary, &error))
    }

    /// Writes the last line and puts the file in its place.
    pub(crate) fn close(self) -> Result<Tally, Failure> {
        let Self { path, temporary, mut file, tally } = self;
        let end = End {
            finished: Utc::now(),
            groups: tally.groups,
            observations: tally.observations,
            coverage: tally.coverage,
        };
        let put = lines([&Record::End(end)])
            .and_then(|line| file.write_all(line.as_bytes()))
            .and_then(|()| file.into_inner().map_err(io::IntoInnerError::into_error))
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&temporary, &path));
        put.map_err(|error| unwritable(&path, &error))?;
        Ok(tally)
    }
}

/// Reads a collection that is whole; of a directory, the one that a sweep left there.
pub(crate) fn load_finished(path: &Path) -> Result<Collection, Failure> {
    let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let (whole, _) = read(&path, false)?;
    if whole.end.is_none() {
        return Err(Failure::Usage(format!(
            "{} is not finished: what it lacks cannot be judged\n  \
             run the same command that wrote it again with --resume",
            path.display()
        )));
    }
    Ok(whole)
}

/// The collection and how many of its bytes are whole. A last line without its end was interrupted.
fn read(path: &Path, to_continue: bool) -> Result<(Collection, u64), Failure> {
    let shown = path.display();
    let unreadable = |cause: String| Failure::Usage(format!("cannot read the collection {shown}: {cause}"));
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut file = BufReader::new(file);
    let mut reader = CollectionReader::default();
    loop {
        let mut line = Vec::new();
        let read = file.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line);
        if read.map_err(|error| unreadable(error.to_string()))? == 0 {
            break;
        }
        match line.strip_suffix(b"\n") {
            Some(line) => reader.take(line).map_err(|fault| unreadable(fault.to_string()))?,
            None if line.len() < MAX_LINE => break,
            None => return Err(unreadable(format!("a line longer than {MAX_LINE} bytes"))),
        }
    }
    let bytes = reader.whole_bytes();
    let whole = reader.into_collection();
    if whole.head.is_none() && !to_continue {
        return Err(unreadable("it is empty".to_owned()));
    }
    Ok((whole, bytes))
}

pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::Ours(format!("cannot write {}: {error}", path.display()))
}
