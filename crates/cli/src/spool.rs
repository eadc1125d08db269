//! Where the rounds put what they bring home: memory, or a file that another run can continue and another
//! machine can judge.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chrono::Utc;
use mailwarden_collect::Harvest;
use mailwarden_evidence::{Collection, CollectionReader, Head, Outline, Record, Tally};

use crate::failure::Failure;

/// The collection of a sweep, beside its report.
pub(crate) const FILE: &str = "collection.jsonl";
/// Longest line of a collection. The longest script of 4 MiB in base64 fits with all that stands around it.
const MAX_LINE: usize = 32 * 1024 * 1024;

/// A collection under way.
pub(crate) struct Spool {
    head: Head,
    done: BTreeSet<String>,
    tally: Tally,
    rows: Rows,
}

/// Where the rows are.
enum Rows {
    Memory(Collection),
    File(PathBuf, File),
}

impl Spool {
    pub(crate) fn memory(head: Head) -> Self {
        Self::begun(head, Rows::Memory(Collection::default()))
    }

    fn begun(head: Head, rows: Rows) -> Self {
        Self { head, done: BTreeSet::new(), tally: Tally::default(), rows }
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
        let file = begin(path, &head).map_err(|error| unwritable(path, &error))?;
        Ok(Self::begun(head, Rows::File(path.to_owned(), file)))
    }

    fn continued(path: &Path, wanted: &Head) -> Result<Option<Self>, Failure> {
        // The rows stand in the file; only which mailboxes are done has to be known.
        let Outline { head, done, tally, end, whole_bytes } = read(path, drop)?;
        let Some(head) = head.filter(|_| end.is_none()) else { return Ok(None) };
        if !head.is_of_same_rounds(wanted) {
            return Err(Failure::Usage(format!(
                "{} was begun for other surfaces or another profile\n  \
                 continue it with the options it was begun with, or leave --resume out to begin again",
                path.display()
            )));
        }
        let cut = || -> io::Result<File> {
            let mut file = OpenOptions::new().write(true).open(path)?;
            file.set_len(whole_bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = cut().map_err(|error| unwritable(path, &error))?;
        Ok(Some(Self { head, done, tally, rows: Rows::File(path.to_owned(), file) }))
    }

    /// The mailboxes that are done already.
    pub(crate) fn done(&self) -> &BTreeSet<String> {
        &self.done
    }

    /// Takes all rows of one mailbox, and is durable against the end of this process when it returns.
    pub(crate) fn take(&mut self, mailbox: &str, harvest: Harvest) -> io::Result<()> {
        let rows = rows(mailbox, harvest);
        rows.iter().for_each(|row| self.tally.count(row));
        self.done.insert(mailbox.to_owned());
        match &mut self.rows {
            Rows::Memory(whole) => rows.into_iter().for_each(|row| whole.add(row)),
            // One write, so that a file ends inside a group only where the machine itself stopped.
            Rows::File(_, file) => file.write_all(lines(&rows)?.as_bytes())?,
        }
        Ok(())
    }

    /// Closes the collection, and says how much there is of it.
    pub(crate) fn close(self) -> Result<Tally, Failure> {
        if let Rows::File(path, file) = self.rows {
            seal(file, self.tally).map_err(|error| unwritable(&path, &error))?;
        }
        Ok(self.tally)
    }

    /// Closes the collection and brings it back whole.
    pub(crate) fn finish(self) -> Result<Collection, Failure> {
        match self.rows {
            Rows::Memory(rows) => Ok(Collection {
                head: Some(self.head),
                done: self.done,
                end: Some(self.tally.end(Utc::now())),
                ..rows
            }),
            Rows::File(ref path, _) => {
                let path = path.clone();
                self.close()?;
                load_finished(&path)
            }
        }
    }
}

/// Writes the last line, and waits for the disk.
fn seal(mut file: File, tally: Tally) -> io::Result<()> {
    file.write_all(lines([&Record::End(tally.end(Utc::now()))])?.as_bytes())?;
    file.sync_all()
}

/// All rows of one mailbox, closed.
fn rows(mailbox: &str, harvest: Harvest) -> Vec<Record> {
    let rows = harvest.observations.into_iter().map(|seen| Record::Observation(Box::new(seen)));
    let rows = rows.chain(harvest.coverage.into_iter().map(Record::Coverage));
    let rows = rows.chain(harvest.notes.into_iter().map(Record::Note));
    rows.chain([Record::Done(mailbox.to_owned())]).collect()
}

/// All rows of one mailbox, as lines with their ends.
pub(crate) fn group(mailbox: &str, harvest: Harvest) -> io::Result<String> {
    lines(&rows(mailbox, harvest))
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
            let record: Record = serde_json::from_str(line).map_err(|error| {
                Failure::Ours(format!("what another sweeper wrote is no part of a collection: {error}"))
            })?;
            self.tally.count(&record);
        }
        self.file.write_all(group.as_bytes()).map_err(|error| unwritable(&self.temporary, &error))
    }

    /// Writes the last line and puts the file in its place.
    pub(crate) fn close(self) -> Result<Tally, Failure> {
        let Self { path, temporary, file, tally } = self;
        let put = (file.into_inner().map_err(io::IntoInnerError::into_error))
            .and_then(|file| seal(file, tally))
            .and_then(|()| std::fs::rename(&temporary, &path));
        put.map_err(|error| unwritable(&path, &error))?;
        Ok(tally)
    }
}

/// Reads a collection that is whole; of a directory, the one that a sweep left there.
pub(crate) fn load_finished(path: &Path) -> Result<Collection, Failure> {
    let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let mut rows = Collection::default();
    let outline = read(&path, |row| rows.add(row))?;
    if outline.head.is_none() {
        return Err(unreadable(&path, &"it is empty"));
    }
    if outline.end.is_none() {
        return Err(Failure::Usage(format!(
            "{} is not finished: what it lacks cannot be judged\n  \
             run the same command that wrote it again with --resume",
            path.display()
        )));
    }
    Ok(Collection { head: outline.head, done: outline.done, end: outline.end, ..rows })
}

/// Hands out the rows of every mailbox that is whole. A last line without its end was interrupted.
fn read(path: &Path, mut keep: impl FnMut(Record)) -> Result<Outline, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut file = BufReader::new(file);
    let mut reader = CollectionReader::default();
    loop {
        let mut line = Vec::new();
        let read = file.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line);
        if read.map_err(|error| unreadable(path, &error))? == 0 {
            break;
        }
        match line.strip_suffix(b"\n") {
            Some(line) => {
                reader.take(line).map_err(|fault| unreadable(path, &fault))?.into_iter().for_each(&mut keep);
            }
            None if line.len() < MAX_LINE => break,
            None => return Err(unreadable(path, &format_args!("a line longer than {MAX_LINE} bytes"))),
        }
    }
    Ok(reader.into_outline())
}

fn unreadable(path: &Path, cause: &dyn std::fmt::Display) -> Failure {
    Failure::Usage(format!("cannot read the collection {}: {cause}", path.display()))
}

pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::Ours(format!("cannot write {}: {error}", path.display()))
}
