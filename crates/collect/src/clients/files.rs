//! A log and what was rotated away from it: which parts are read, newest first, within a bound. What gzip packed is
//! unpacked as it is read.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::bufread::MultiGzDecoder;

use crate::disk;

/// Most octets that are read in all: the newest ones.
pub(super) const MAX_OCTETS: u64 = 512 * 1024 * 1024;
/// Longest line that is looked at; a longer one is passed over.
const MAX_LINE: usize = 16 * 1024;
/// Most files of one directory.
const MAX_FILES: usize = 20_000;
/// What logrotate packs with, unless it is told otherwise.
const GZIP: &str = ".gz";
/// What rotated logs are packed with besides, which is not read.
const PACKED: [&str; 4] = [".xz", ".bz2", ".zst", ".lz4"];
/// The most that an octet of gzip's can stand for (RFC 1951 §3.2.5: 258 octets in two bits), and some.
const MOST_PACKED: u64 = 1_100;
/// Octets of a buffer.
const BUFFER: usize = 1 << 20;

/// A file that is read from an octet on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// Of its text, where it is packed.
    pub(super) from: u64,
    /// How long it is; what is packed ends there, even if there is more in it.
    pub(super) length: u64,
}

/// How a part was read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    /// A line was longer than is looked at.
    pub(super) was_long: bool,
    /// There is more in it than its packer says; the rest was not read.
    pub(super) goes_on: bool,
}

/// The parts to read, oldest first, and what is not read.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) parts: Vec<Part>,
    pub(super) gaps: Vec<String>,
}

/// The log and its predecessors that were written to since then, as far as the octets last.
pub(super) fn parts(log: &Path, since: SystemTime, octets: &mut u64) -> Parts {
    let mut found = Parts::default();
    let mut files = match family(log) {
        Ok(files) => files,
        Err(error) => {
            found.gaps.push(format!("{} ({error})", log.display()));
            return found;
        }
    };
    files.retain(|(_, modified, _)| *modified >= since);
    files.sort_by_key(|(path, modified, _)| (std::cmp::Reverse(*modified), path.clone()));
    let all: HashSet<PathBuf> = files.iter().map(|(path, ..)| path.clone()).collect();
    // An unpacked copy beside it says the same; logrotate too has both for a moment.
    files.retain(|(path, ..)| !unpacked_name(path).is_some_and(|plain| all.contains(&plain)));
    for (path, _, on_disk) in files {
        if ends_with_any(&path, &PACKED) {
            found.gaps.push(format!("{} (packed; unpack a copy beside it)", path.display()));
            continue;
        }
        if *octets == 0 {
            found.gaps.push(format!("{} (beyond {MAX_OCTETS} octets)", path.display()));
            continue;
        }
        let length = if ends_with_any(&path, &[GZIP]) { unpacked(&path, on_disk) } else { Ok(on_disk) };
        match length {
            Ok(length) => {
                let taken = length.min(*octets);
                *octets -= taken;
                found.parts.push(Part { path, from: length - taken, length });
            }
            Err(error) => found.gaps.push(format!("{} ({error})", path.display())),
        }
    }
    found.parts.reverse();
    found
}

/// The log itself, `log.1`, `log-20261122`, `log.2.gz` and so on, each with its time and length.
fn family(log: &Path) -> io::Result<Vec<(PathBuf, SystemTime, u64)>> {
    let own = std::fs::metadata(log)?;
    let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let directory = log.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = disk::list(directory, MAX_FILES)?.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("more than {MAX_FILES} files beside it"))
    })?;
    let mut files = vec![(log.to_owned(), own.modified()?, own.len())];
    for path in beside.into_iter().filter(|path| is_rotated(path, &name)) {
        let found = std::fs::symlink_metadata(&path)?;
        if found.is_file() {
            files.push((path, found.modified()?, found.len()));
        }
    }
    Ok(files)
}

fn is_rotated(path: &Path, log: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(tail) = name.strip_prefix(log).and_then(|rest| rest.strip_prefix(['.', '-'])) else {
        return false;
    };
    let tail = without_packing(tail).unwrap_or(tail);
    !tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// A name without what its packer added; None where nothing was.
fn without_packing(name: &str) -> Option<&str> {
    PACKED.iter().chain([&GZIP]).find_map(|end| name.strip_suffix(end))
}

fn unpacked_name(path: &Path) -> Option<PathBuf> {
    path.to_str().and_then(without_packing).map(PathBuf::from)
}

fn ends_with_any(path: &Path, ends: &[&str]) -> bool {
    let name = path.to_string_lossy();
    ends.iter().any(|end| name.ends_with(end))
}

/// What a gzip file says of its text: the last four octets (RFC 1952 §2.3.1, ISIZE).
fn unpacked(path: &Path, on_disk: u64) -> io::Result<u64> {
    let mut file: File = disk::Tree::default().open(path)?;
    let mut length = [0; 4];
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut length)?;
    let length = u64::from(u32::from_le_bytes(length));
    match length <= on_disk.saturating_mul(MOST_PACKED) {
        true => Ok(length),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "not what gzip writes")),
    }
}

/// Hands over each whole line of a part; of one that does not begin at the file's first octet the first line may be a
/// piece and is left out.
pub(super) fn lines(part: &Part, take: impl FnMut(&str)) -> io::Result<Read> {
    let mut file: File = disk::Tree::default().open(&part.path)?;
    if !ends_with_any(&part.path, &[GZIP]) {
        file.seek(SeekFrom::Start(part.from))?;
        let was_long = each(BufReader::with_capacity(BUFFER, file), part.from > 0, take)?;
        return Ok(Read { was_long, goes_on: false });
    }
    let unpacked = MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file));
    // One octet more than there should be shows that there is more.
    let mut text = unpacked.take(part.length + 1);
    io::copy(&mut (&mut text).take(part.from), &mut io::sink())?;
    let was_long = each(BufReader::with_capacity(BUFFER, &mut text), part.from > 0, take)?;
    Ok(Read { was_long, goes_on: text.limit() == 0 })
}

/// True where a line was longer than is looked at.
fn each(mut reader: impl BufRead, mut is_piece: bool, mut take: impl FnMut(&str)) -> io::Result<bool> {
    let mut line = Vec::new();
    let mut was_long = false;
    while next(&mut reader, &mut line, &mut was_long)? {
        if !std::mem::take(&mut is_piece) {
            take(&String::from_utf8_lossy(&line));
        }
    }
    Ok(was_long)
}

/// The next line that is not too long, without its end. A last line without an end is still being written.
fn next(reader: &mut impl BufRead, line: &mut Vec<u8>, was_long: &mut bool) -> io::Result<bool> {
    line.clear();
    let mut is_long = false;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let piece = &buffer[..end.unwrap_or(buffer.len())];
        is_long |= line.len() + piece.len() > MAX_LINE;
        if !is_long {
            line.extend_from_slice(piece);
        }
        let used = piece.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_none() {
            continue;
        }
        if !std::mem::take(&mut is_long) {
            return Ok(true);
        }
        *was_long = true;
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn write(path: &Path, text: impl AsRef<[u8]>, age: u64) {
        std::fs::write(path, text).unwrap();
        let when = SystemTime::now() - Duration::from_secs(age);
        File::options().write(true).open(path).unwrap().set_modified(when).unwrap();
    }

    #[test]
    fn the_newest_octets_are_read_and_what_is_left_out_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        write(&at("mail.log"), "one\ntwo\n", 0);
        write(&at("mail.log.1"), "older\nold\n", 100);
        write(&at("mail.log.2.xz"), "packed", 200);
        write(&at("mail.log-20261101"), "oldest\n", 300);
        write(&at("mail.log.9"), "too old", 9_000);
        write(&at("mail.log.old"), "not of it", 0);
        write(&at("mail.login"), "not of it", 0);
        std::os::unix::fs::symlink("/dev/zero", at("mail.log.3")).unwrap();
        let since = SystemTime::now() - Duration::from_secs(1_000);
        let read = |octets: u64| {
            let mut left = octets;
            let found = parts(&at("mail.log"), since, &mut left);
            let mut all = Vec::new();
            for part in &found.parts {
                lines(part, |line| all.push(line.to_owned())).unwrap();
            }
            (all.join(" "), found.gaps)
        };
        let (all, gaps) = read(1_000);
        assert_eq!(all, "oldest older old one two");
        assert_eq!(gaps.len(), 1);
        assert!(gaps[0].contains("mail.log.2.xz (packed"), "{gaps:?}");
        let (some, gaps) = read(12);
        assert_eq!(some, "one two", "four octets of the older one hold a piece");
        assert!(gaps.iter().any(|gap| gap.contains("20261101 (beyond")), "{gaps:?}");
        let mut left = 9;
        let gone = parts(&at("absent"), since, &mut left);
        assert!(gone.parts.is_empty() && gone.gaps[0].contains("absent"));
    }

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_gzip_packed_is_read_within_the_same_bound_and_what_it_hides_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let read = |octets: u64| {
            let mut left = octets;
            let found = parts(&at("log"), SystemTime::UNIX_EPOCH, &mut left);
            let mut all = Vec::new();
            let mut outcomes = Vec::new();
            for part in &found.parts {
                outcomes.push(lines(part, |line| all.push(line.to_owned())).map(|read| read.goes_on).ok());
            }
            (all.join(" "), found.gaps.len(), outcomes)
        };
        write(&at("log"), "new\n", 0);
        write(&at("log.1.gz"), packed("one\ntwo\nthree\n"), 100);
        assert_eq!(read(1_000), ("one two three new".to_owned(), 0, vec![Some(false); 2]));
        assert_eq!(read(4 + 8).0, "three new", "the end of its text, without a piece of a line");
        // A second text behind the first, as `cat a.gz b.gz` makes: its length alone is told.
        write(&at("log.1.gz"), [packed("one\ntwo\nthree\n"), packed("four\n")].concat(), 100);
        assert_eq!(read(1_000), ("one new".to_owned(), 0, vec![Some(true), Some(false)]));
        write(&at("log.1"), "one\ntwo\n", 100);
        write(&at("log.2.xz"), "packed", 200);
        write(&at("log.2"), "zero\n", 200);
        assert_eq!(read(1_000).0, "zero one two new", "a copy that was unpacked beside it is read instead");
        ["log.1", "log.2", "log.2.xz"].iter().for_each(|name| std::fs::remove_file(at(name)).unwrap());
        let whole = packed("one\ntwo\nthree\n");
        for broken in [&whole[..whole.len() - 9], b"\x1f\x8b", b"no gzip at all", b""] {
            write(&at("log.1.gz"), broken, 100);
            let (_, gaps, outcomes) = read(1_000);
            assert!(gaps == 1 || outcomes[0].is_none(), "{broken:?} {gaps} {outcomes:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_and_one_that_does_not_end_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let long = "x".repeat(3 * MAX_LINE);
        std::fs::write(&path, format!("a\n{long}\nb\r\nhalf")).unwrap();
        let mut seen = Vec::new();
        let part = |path: PathBuf| Part { path, from: 0, length: 0 };
        let read = lines(&part(path), |line| seen.push(line.trim_end().to_owned())).unwrap();
        assert!(read.was_long);
        assert_eq!(seen, ["a", "b"]);
        assert!(lines(&part("/dev/zero".into()), |_| {}).is_err(), "no regular file");
    }
}
