//! Running a program of the mail host: argument vector, no shell, bounded in time and output.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::CollectError;
use crate::error::shown;

/// Most bytes of standard error kept.
const MAX_STDERR: usize = 64 * 1024;

/// What a program printed.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) success: bool,
    /// The exit status, unless a signal ended it.
    pub(crate) code: Option<i32>,
}

impl Ran {
    /// The program's own words about a failure: its last line on standard error.
    pub(crate) fn complaint(&self) -> String {
        let lines = self.stderr.split(|byte| *byte == b'\n');
        shown(lines.rev().find(|line| !line.trim_ascii().is_empty()).unwrap_or_default())
    }
}

/// Runs a program to its end. The child is killed when it is too slow, prints too much, or the caller goes
/// away.
pub(crate) async fn run<S: AsRef<OsStr>>(
    argv: &[S],
    patience: Duration,
    most_output: usize,
) -> Result<Ran, CollectError> {
    run_with(argv, Vec::new(), patience, most_output).await
}

/// The same, with something to read.
pub(crate) async fn run_with<S: AsRef<OsStr>>(
    argv: &[S],
    input: Vec<u8>,
    patience: Duration,
    most_output: usize,
) -> Result<Ran, CollectError> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(CollectError::configuration("the command", "starting", "it is empty", "name a program"));
    };
    let label = format!("command {}", program.as_ref().to_string_lossy());
    let mut command = Command::new(program);
    // MAIL_CONFIG would point Postfix's programs at another instance than the one that was asked for.
    command.args(arguments).env_remove("MAIL_CONFIG").env("LC_ALL", "C");
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().map_err(|error| {
        let next = "install it or correct its path";
        CollectError::configuration(&label, "starting", error, next)
    })?;
    match timeout(patience, finish(child, &label, input, most_output)).await {
        Ok(ran) => ran,
        Err(_) => Err(CollectError::unreachable(&label, "waiting", format!("no end within {patience:?}"))),
    }
}

async fn finish(
    mut child: Child,
    label: &str,
    input: Vec<u8>,
    most_output: usize,
) -> Result<Ran, CollectError> {
    let stdin = child.stdin.take();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, ()) =
        tokio::join!(read_some(stdout, most_output), read_and_drop(stderr), write_all(stdin, input));
    let failed = |error: std::io::Error| CollectError::unreachable(label, "reading output", error);
    let (stdout, stderr) = (stdout.map_err(failed)?, stderr.map_err(failed)?);
    if stdout.len() > most_output {
        let cause = format!("more than {most_output} bytes of output");
        return Err(CollectError::misbehaved(label, "reading output", cause));
    }
    let status = child.wait().await.map_err(failed)?;
    Ok(Ran { stdout, stderr, success: status.success(), code: status.code() })
}

/// A program that stops reading has its reasons, and says them on its other ends.
async fn write_all(pipe: Option<ChildStdin>, input: Vec<u8>) {
    if let Some(mut pipe) = pipe {
        let _ = pipe.write_all(&input).await;
    }
}

/// Reads to the end, or to one byte more than is allowed. Then the pipe is closed and the child, if it goes
/// on writing, ends by it.
async fn read_some(pipe: Option<impl AsyncRead + Unpin>, most: usize) -> std::io::Result<Vec<u8>> {
    let mut output = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(most as u64 + 1).read_to_end(&mut output).await?;
    }
    Ok(output)
}

/// Reads to the end and keeps the beginning: warnings must not block a program.
async fn read_and_drop(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let (mut kept, mut chunk) = (Vec::new(), [0; 4096]);
    let Some(mut pipe) = pipe else { return Ok(kept) };
    loop {
        let length = pipe.read(&mut chunk).await?;
        if length == 0 {
            return Ok(kept);
        }
        let room = MAX_STDERR.saturating_sub(kept.len()).min(length);
        kept.extend_from_slice(&chunk[..room]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn output_and_complaint_are_kept_apart() {
        let ran = run(&["sh", "-c", "echo out; echo first >&2; echo last >&2; exit 3"], PATIENCE, 100).await;
        let ran = ran.unwrap();
        assert_eq!(ran.stdout, b"out\n");
        assert_eq!(ran.complaint(), "last");
        assert!(!ran.success);
    }

    #[tokio::test]
    async fn an_endless_program_is_ended() {
        let error = run(&["cat", "/dev/zero"], PATIENCE, 1000).await.unwrap_err();
        assert!(matches!(error, CollectError::PeerMisbehaved { .. }), "{error}");
        let error = run(&["sleep", "1000"], Duration::from_millis(50), 1000).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    }

    #[tokio::test]
    async fn a_missing_program_is_a_configuration_error() {
        let error = run(&["/nonexistent/doveadm"], PATIENCE, 1000).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/doveadm"), "{error}");
        assert!(matches!(error, CollectError::Configuration { .. }));
        assert!(run::<&str>(&[], PATIENCE, 1).await.is_err());
    }
}
