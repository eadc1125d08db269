//! Where the rounds put what they bring home: memory, or a file that another run can continue and another
//! machine can judge.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
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
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(path).map_err(|error| unwritable(path, &error))?;
        let mut spool = Self::memory(head.clone());
        spool.file = Some((path.to_owned(), file));
        spool.append(&[Record::Head(head)]).map_err(|error| unwritable(path, &error))?;
        Ok(spool)
    }

    fn continued(path: &Path, wanted: &Head) -> Result<Option<Self>, Failure> {
        let (whole, bytes) = read(path, true)?;
        let Some(head) = &whole.head else { return Ok(None) };
        if whole.end.is_some() {
            return Ok(None);
        }
        if (head.profile, &head.surfaces) != (wanted.profile, &wanted.surfaces) {
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
        let rows = harvest.observations.into_iter().map(Record::Observation);
        let rows = rows.chain(harvest.coverage.into_iter().map(Record::Coverage));
        let rows = rows.chain(harvest.notes.into_iter().map(Record::Note));
        let rows: Vec<Record> = rows.chain([Record::Done(mailbox.to_owned())]).collect();
        self.append(&rows)
    }

    /// One write for all rows, so that a file ends inside a group only where the machine itself stopped.
    fn append(&mut self, rows: &[Record]) -> io::Result<()> {
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        let mut lines = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut lines, row)?;
            lines.push(b'\n');
        }
        file.write_all(&lines)
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
        let appended = self.append(&[Record::End(end)]);
        let Some((path, file)) = self.file else { return Ok(self.whole) };
        appended.and_then(|()| file.sync_all()).map_err(|error| unwritable(&path, &error))?;
        drop(file);
        load_finished(&path)
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
