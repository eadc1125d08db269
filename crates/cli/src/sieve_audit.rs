//! `mailwarden sieve audit` and `mailwarden sieve explain`.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sieve_analysis::{Audit, Dialect, Mailbox, Script, audit, audit_at_event, audit_in};

use crate::arguments::TextOrJson;
use crate::failure::{Failure, Outcome};
use crate::sieve_arguments::{DialectChoice, SieveAudit, SieveExplain};
use crate::{output, sieve_text};

/// Larger files are no scripts: Pigeonhole stops at 1 MiB.
const MAX_SCRIPT_BYTES: u64 = 16 << 20;
/// How many scripts of a folder are read.
const MAX_SCRIPTS: usize = 1_000;

pub(crate) struct Audited {
    pub(crate) file: String,
    pub(crate) script: Vec<u8>,
    pub(crate) audit: Audit,
}

pub(crate) fn run(arguments: &SieveAudit) -> Result<Outcome, Failure> {
    let dialects = dialects(arguments.dialect);
    let folders = Folders::read(arguments.personal.as_deref(), arguments.global.as_deref())?;
    let event = arguments.imap_folder.as_deref();
    let audited = arguments
        .files
        .iter()
        .map(|file| audited(file, dialects, &folders, event))
        .collect::<Result<Vec<_>, Failure>>()?;
    match arguments.format {
        TextOrJson::Json => output::print(&visible_json(&json_of(&audited)))?,
        TextOrJson::Text => output::print(&audited.iter().map(sieve_text::summary).collect::<String>())?,
    }
    Ok(Outcome::Clean)
}

pub(crate) fn explain(arguments: &SieveExplain) -> Result<Outcome, Failure> {
    let one = audited(&arguments.file, dialects(arguments.dialect), &Folders::default(), None)?;
    let text = sieve_text::explanation(&one, arguments.effect.as_deref());
    let Some(text) = text else {
        let effect = arguments.effect.as_deref().unwrap_or_default();
        return Err(Failure::Usage(format!(
            "{} has no effect {}; `mailwarden sieve audit` names those it has",
            output::shown(&one.file),
            output::shown(effect)
        )));
    };
    output::print(&text)?;
    Ok(Outcome::Clean)
}

fn dialects(choice: DialectChoice) -> &'static [Dialect] {
    match choice {
        DialectChoice::Pigeonhole => &[Dialect::Pigeonhole],
        DialectChoice::Cyrus => &[Dialect::Cyrus],
        DialectChoice::Stalwart => &[Dialect::Stalwart],
        DialectChoice::All => &Dialect::ALL,
    }
}

/// A script as it is stored, whatever its bytes.
pub(crate) fn script_of(file: &Path) -> Result<Vec<u8>, Failure> {
    let name = output::shown(&file.display().to_string());
    let unreadable = |error| Failure::Usage(format!("cannot read the script {name}: {error}"));
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > MAX_SCRIPT_BYTES {
        return Err(Failure::Usage(format!("{name} has {size} bytes; that is no Sieve script")));
    }
    std::fs::read(file).map_err(unreadable)
}

pub(crate) fn sha256_of(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The scripts that an `include` may find.
#[derive(Default)]
struct Folders {
    known: bool,
    personal: Vec<(String, Vec<u8>)>,
    global: Vec<(String, Vec<u8>)>,
}

impl Folders {
    fn read(personal: Option<&Path>, global: Option<&Path>) -> Result<Self, Failure> {
        let known = personal.is_some() || global.is_some();
        let scripts = |folder: Option<&Path>| folder.map(stored).transpose().map(Option::unwrap_or_default);
        Ok(Self { known, personal: scripts(personal)?, global: scripts(global)? })
    }
}

/// Dot files are scripts too: servers list and include them.
fn stored(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let name = output::shown(&folder.display().to_string());
    let unreadable = |error| Failure::Usage(format!("cannot read the folder {name}: {error}"));
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        files.push(entry.map_err(unreadable)?.path());
    }
    files.retain(|file| file.is_file() && file.to_string_lossy().ends_with(".sieve"));
    files.sort();
    if files.len() > MAX_SCRIPTS {
        return Err(Failure::Usage(format!("{name} holds more than {MAX_SCRIPTS} scripts")));
    }
    let named = |file: &PathBuf| Ok((stem(file), script_of(file)?));
    files.iter().map(named).collect()
}

fn stem(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".sieve").unwrap_or(&name).to_owned()
}

fn audited(
    file: &Path,
    dialects: &[Dialect],
    folders: &Folders,
    event: Option<&str>,
) -> Result<Audited, Failure> {
    let script = script_of(file)?;
    let audit = match folders.known || event.is_some() {
        true => among(file, &script, dialects, folders, event),
        false => audit(&script, dialects, true),
    };
    Ok(Audited { file: file.display().to_string(), script, audit })
}

/// The script as the one that runs in a mailbox that holds the others too.
fn among(file: &Path, script: &[u8], dialects: &[Dialect], folders: &Folders, event: Option<&str>) -> Audit {
    let name = stem(file);
    let others = folders.personal.iter().filter(|(other, _)| *other != name);
    let mut scripts = vec![Script { name: &name, bytes: script, active: true }];
    scripts.extend(others.map(|(name, bytes)| Script { name, bytes, active: false }));
    let globals: Vec<Script<'_>> =
        folders.global.iter().map(|(name, bytes)| Script { name, bytes, active: false }).collect();
    let mailbox = Mailbox { scripts: &scripts, globals: &globals };
    match event {
        Some(folder) => audit_at_event(&mailbox, 0, folder, dialects),
        None => audit_in(&mailbox, 0, dialects),
    }
}

fn json_of(audited: &[Audited]) -> Value {
    let scripts: Vec<Value> = audited
        .iter()
        .map(|one| {
            let dialects: serde_json::Map<String, Value> = one
                .audit
                .dialects
                .iter()
                .map(|(dialect, analysis)| (dialect.name().to_owned(), json!(analysis)))
                .collect();
            json!({
                "file": one.file,
                "sha256": sha256_of(&one.script),
                "bytes": one.audit.bytes,
                "covered_bytes": one.audit.covered_bytes,
                "disagreement": one.audit.disagreement,
                "differences": one.audit.differences,
                "dialects": dialects,
            })
        })
        .collect();
    json!({ "schema": "mailwarden.sieve/1", "scripts": scripts })
}

/// JSON in which nothing hides: what a terminal would obey or a page would run stands as `\uXXXX`. Such
/// characters occur only inside strings, so the value stays the same.
fn visible_json(value: &Value) -> String {
    let plain = format!("{value:#}\n");
    let mut text = String::with_capacity(plain.len());
    for character in plain.chars() {
        let layout = character == '\n';
        let unsafe_here =
            matches!(character, '<' | '>' | '&') || mailwarden_report::sanitise::is_hidden(character);
        if layout || !unsafe_here {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides_in_json_and_nothing_changes() {
        let value = json!({ "a": "\u{1b}[2J<b>&\u{202e}\u{e0001}é\n" });
        let text = visible_json(&value);
        assert!(text.is_ascii() || text.contains('é'));
        assert!(!text.contains(['\u{1b}', '<', '>', '&', '\u{202e}', '\u{e0001}']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
