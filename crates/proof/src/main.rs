//! `mailwarden-verify BUNDLE --key FILE`: checks an exported case without the ledger it came from.

use std::fs::File;
use std::io::{Read, Write};
use std::process::ExitCode;

use mailwarden_proof::bundle::{Bundle, MAX_BUNDLE_BYTES, Verified};
use mailwarden_proof::note::{MAX_NOTE_BYTES, Verifier};

const USAGE: &str = "\
Checks a case that `mailwarden ledger export` wrote, without the ledger it came from.

Usage: mailwarden-verify BUNDLE --key FILE [--json]

  BUNDLE      the exported file; - reads standard input
  --key FILE  the ledger's public keys, one a line, as `mailwarden ledger key` prints them;
              take it from somebody you trust, not from whoever gave you the bundle
  --json      print the checked entries as JSON

Example:
  mailwarden-verify OFF-2026-014.json --key ledger.pub

It proves that every entry was in the ledger when the checkpoint was signed, that nothing in them was altered,
and that between the first and the last none was left out. Whether further entries followed the last one, only
the ledger can say.

Exit codes: 0 everything was verified; 1 something was altered or left out; 2 wrong usage or no good key;
4 a file could not be read.
";

/// A run that could not check anything: exit code and what to say.
struct Refusal(u8, String);

struct Arguments {
    bundle: String,
    key: String,
    json: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return finish(0, USAGE, "");
    }
    if arguments.iter().any(|argument| argument == "--version" || argument == "-V") {
        return finish(0, concat!("mailwarden-verify ", env!("CARGO_PKG_VERSION"), "\n"), "");
    }
    match parse(arguments).and_then(|arguments| run(&arguments)) {
        Ok((code, out, complaint)) => finish(code, &out, &complaint),
        Err(Refusal(code, complaint)) => finish(code, "", &format!("error: {complaint}\n")),
    }
}

fn finish(code: u8, out: &str, complaint: &str) -> ExitCode {
    // Where even standard error is gone, the exit code has to do.
    let _ = std::io::stderr().write_all(complaint.as_bytes());
    match std::io::stdout().write_all(out.as_bytes()) {
        Ok(()) => ExitCode::from(code),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(code),
        Err(_) => ExitCode::from(4),
    }
}

fn parse(arguments: Vec<String>) -> Result<Arguments, Refusal> {
    let wrong = |what: &str| Refusal(2, format!("{what}\n\n{USAGE}"));
    let (mut bundle, mut key, mut json) = (None, None, false);
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--json" => json = true,
            "--key" => key = rest.next(),
            _ if argument.starts_with("--key=") => key = argument.strip_prefix("--key=").map(str::to_owned),
            _ if argument.starts_with('-') && argument != "-" => {
                return Err(wrong(&format!("there is no option {argument:?}")));
            }
            _ if bundle.is_some() => return Err(wrong("one bundle at a time")),
            _ => bundle = Some(argument),
        }
    }
    let bundle = bundle.ok_or_else(|| wrong("which bundle?"))?;
    let key = key.ok_or_else(|| wrong("which key? without one nothing can be verified"))?;
    Ok(Arguments { bundle, key, json })
}

fn run(arguments: &Arguments) -> Result<(u8, String, String), Refusal> {
    let verifiers = verifiers(&arguments.key)?;
    let text = match arguments.bundle.as_str() {
        "-" => read("standard input", std::io::stdin(), MAX_BUNDLE_BYTES)?,
        path => read(path, open(path)?, MAX_BUNDLE_BYTES)?,
    };
    let bundle = match Bundle::parse(&text) {
        Ok(bundle) => bundle,
        Err(error) => return Ok((1, String::new(), format!("NOT VERIFIED: {error}\n"))),
    };
    match bundle.verify(&verifiers) {
        Ok(verified) if arguments.json => {
            let json = serde_json::to_string_pretty(&verified).unwrap_or_default();
            Ok((0, json + "\n", String::new()))
        }
        Ok(verified) => Ok((0, report(&verified), String::new())),
        Err(problems) => {
            let lines: String =
                problems.iter().map(|problem| format!("  {}\n", plain(&problem.to_string()))).collect();
            Ok((1, String::new(), format!("NOT VERIFIED: the case {:?}\n{lines}", bundle.case)))
        }
    }
}

fn verifiers(path: &str) -> Result<Vec<Verifier>, Refusal> {
    let text = read(path, open(path)?, MAX_NOTE_BYTES as u64)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let verifiers: Vec<Verifier> = lines
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|error| Refusal(2, format!("{path}: {error}; `mailwarden ledger key` prints it")))?;
    if verifiers.is_empty() {
        return Err(Refusal(2, format!("{path} holds no key; `mailwarden ledger key` prints it")));
    }
    Ok(verifiers)
}

fn open(path: &str) -> Result<File, Refusal> {
    File::open(path).map_err(|error| Refusal(4, format!("cannot read {path}: {error}")))
}

fn read(name: &str, file: impl Read, limit: u64) -> Result<String, Refusal> {
    let mut text = String::new();
    let read = file.take(limit + 1).read_to_string(&mut text);
    read.map_err(|error| Refusal(4, format!("cannot read {name}: {error}")))?;
    if text.len() as u64 > limit {
        return Err(Refusal(2, format!("{name} is longer than {limit} bytes")));
    }
    Ok(text)
}

fn report(verified: &Verified) -> String {
    let checkpoint = &verified.checkpoint;
    let mut out = format!(
        "verified: {} entries of the case {}, in the ledger {} of {} entries\n",
        verified.entries.len(),
        verified.case,
        plain(&checkpoint.origin),
        checkpoint.size
    );
    for entry in &verified.entries {
        let subject = entry.detail.as_ref().map_or("(erased)", |detail| detail.subject.as_str());
        let reason =
            entry.reason.as_deref().map(|reason| format!("  ({})", plain(reason))).unwrap_or_default();
        let (at, kind) = (entry.at.format("%Y-%m-%d %H:%M:%S UTC"), entry.kind.as_str());
        let (subject, actor) = (plain(subject), plain(&entry.actor));
        out.push_str(&format!("{:>6}  {at}  {kind:<18} {subject}  by {actor}{reason}\n", entry.index));
    }
    out
}

/// Strangers' text for a terminal: what would be obeyed rather than shown, and what would turn the line
/// around, is shown as an escape.
fn plain(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown = |c: char| if obeyed(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}
