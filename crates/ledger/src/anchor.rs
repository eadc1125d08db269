//! Anchors: places off the machine, or out of reach of whoever keeps it, where checkpoints are taken. They make
//! a rewritten history provable; the checkpoints beside the tree can be rewritten with it.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::checkpoint::SignedNote;

/// How long one anchor may take.
pub const ANCHOR_LIMIT: Duration = Duration::from_secs(30);
/// Where the system log listens.
pub const SYSLOG_SOCKET: &str = "/dev/log";
/// RFC 5424 §6.2.1: facility 13 (log audit), severity 5 (notice).
const SYSLOG_PRIORITY: u8 = 13 * 8 + 5;
/// How much of a command's complaint is repeated.
const COMPLAINT_BYTES: u64 = 2_000;

/// Where a checkpoint is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// A file to which notes are appended: on another machine's disk, or one that can only grow.
    File(PathBuf),
    /// The system log at this socket, one line a note.
    Syslog(PathBuf),
    /// A program with its arguments, no shell between; it gets the note on standard input.
    Command(Vec<String>),
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Syslog(socket) => write!(f, "syslog {}", socket.display()),
            // Arguments may hold what is nobody's business.
            Self::Command(words) => write!(f, "command {}", words.first().map_or("", String::as_str)),
        }
    }
}

/// Why a checkpoint did not reach an anchor.
#[derive(Debug, thiserror::Error)]
#[error("the checkpoint did not reach the anchor ({anchor}): {problem}; {fix}")]
pub struct AnchorError {
    anchor: String,
    problem: String,
    fix: &'static str,
}

impl Anchor {
    /// Takes a note there, within [`ANCHOR_LIMIT`].
    ///
    /// # Errors
    /// It could not be taken there, or not in time.
    pub async fn take(&self, note: &SignedNote) -> Result<(), AnchorError> {
        self.take_within(note, ANCHOR_LIMIT).await
    }

    /// As [`Self::take`], with a limit of the caller's.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn take_within(&self, note: &SignedNote, limit: Duration) -> Result<(), AnchorError> {
        let refused = |problem: String, fix| AnchorError { anchor: self.to_string(), problem, fix };
        let taking = async {
            match self.clone() {
                // A disk of another machine may hang; then only a thread hangs, not the program.
                Self::File(path) => blocking(note, move |note| append_to(&path, &note.to_string())).await,
                Self::Syslog(socket) => blocking(note, move |note| log_to(&socket, &note)).await,
                Self::Command(words) => hand_to(&words, &note.to_string()).await,
            }
        };
        match tokio::time::timeout(limit, taking).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(refused(error.to_string(), self.fix())),
            Err(_) => Err(refused(format!("no end within {limit:?}"), self.fix())),
        }
    }

    fn fix(&self) -> &'static str {
        match self {
            Self::File(_) => "check that the directory is mounted and can be written",
            Self::Syslog(_) => "check that the system log listens there",
            Self::Command(_) => {
                "run it by hand with the output of `mailwarden ledger checkpoint` as its input"
            }
        }
    }
}

async fn blocking(
    note: &SignedNote,
    act: impl FnOnce(SignedNote) -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let note = note.clone();
    tokio::task::spawn_blocking(move || act(note)).await.map_err(io::Error::other)?
}

/// One write, so that two machines that append do not mix their lines.
fn append_to(path: &Path, note: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o644).open(path)?;
    file.write_all(format!("{note}\n").as_bytes())?;
    file.sync_all()
}

fn log_to(socket: &Path, note: &SignedNote) -> io::Result<()> {
    let datagram = UnixDatagram::unbound()?;
    let line = format!("<{SYSLOG_PRIORITY}>mailwarden: {}", note.to_line());
    datagram.send_to(line.as_bytes(), socket).map(drop)
}

async fn hand_to(words: &[String], note: &str) -> io::Result<()> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(io::Error::other("it names no program"));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Whoever gives up waiting ends it.
        .kill_on_drop(true)
        .spawn()?;
    feed(&mut child, note).await?;
    let mut complaint = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        (&mut stderr).take(COMPLAINT_BYTES).read_to_end(&mut complaint).await?;
        // A program that has more to say must not break on a closed pipe.
        tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
    }
    let status = child.wait().await?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("it ended with {status}: {}", String::from_utf8_lossy(&complaint).trim())))
}

async fn feed(child: &mut Child, note: &str) -> io::Result<()> {
    let Some(mut stdin) = child.stdin.take() else { return Ok(()) };
    match stdin.write_all(note.as_bytes()).await {
        // A program that ends without reading says why by its exit status.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{CheckpointKey, notes_in};
    use crate::merkle::leaf_hash;

    fn note(size: u64) -> SignedNote {
        CheckpointKey::generate("ledger.example").unwrap().sign(size, leaf_hash(b"x"))
    }

    fn program(directory: &Path, script: &str) -> Anchor {
        let path = directory.join("program");
        std::fs::write(&path, script).unwrap();
        let words = ["/bin/sh", &path.display().to_string(), "$(touch shell) ; x"];
        Anchor::Command(words.map(str::to_owned).to_vec())
    }

    #[tokio::test]
    async fn a_file_keeps_every_note() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("anchors");
        let notes = [note(1), note(2)];
        for note in &notes {
            Anchor::File(path.clone()).take(note).await.unwrap();
        }
        assert_eq!(notes_in(&std::fs::read_to_string(&path).unwrap()).unwrap(), notes);
        let missing = Anchor::File(directory.path().join("no/anchors")).take(&notes[0]).await.unwrap_err();
        assert!(missing.to_string().contains("mounted"), "{missing}");
    }

    #[tokio::test]
    async fn the_system_log_gets_one_line_that_holds_the_note() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("log");
        let log = UnixDatagram::bind(&socket).unwrap();
        let sent = note(7);
        Anchor::Syslog(socket).take(&sent).await.unwrap();
        let mut line = [0; 4096];
        let length = log.recv(&mut line).unwrap();
        let line = std::str::from_utf8(&line[..length]).unwrap();
        assert!(line.starts_with("<109>mailwarden: ") && !line.contains('\n'), "{line}");
        assert_eq!(notes_in(line).unwrap(), [sent]);
        let nobody = Anchor::Syslog(directory.path().join("nobody")).take(&note(8)).await.unwrap_err();
        assert!(nobody.to_string().contains("system log"), "{nobody}");
    }

    #[tokio::test]
    async fn a_command_gets_the_note_and_its_arguments_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().display();
        let sent = note(9);
        let script = format!("cat >{at}/note; printf %s \"$1\" >{at}/argument");
        program(directory.path(), &script).take(&sent).await.unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!((read("note"), read("argument")), (sent.to_string(), "$(touch shell) ; x".to_owned()));
    }

    #[tokio::test]
    async fn a_command_that_fails_or_hangs_is_an_error_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let failing =
            program(directory.path(), "echo no route >&2; exit 3").take(&note(1)).await.unwrap_err();
        assert!(failing.to_string().contains("no route") && failing.to_string().contains('3'), "{failing}");
        let hanging = program(directory.path(), "exec sleep 600");
        let error = hanging.take_within(&note(1), Duration::from_millis(200)).await.unwrap_err();
        assert!(error.to_string().contains("within 200ms"), "{error}");
    }
}
