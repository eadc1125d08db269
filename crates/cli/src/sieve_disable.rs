//! `mailwarden sieve disable` and `mailwarden sieve undo`: one effect off, provably nothing else, and back.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mailwarden_collect::replace::replace;
use serde::{Deserialize, Serialize};
use sieve_analysis::edit::{Disabled, Edit, Method, Refusal, apply, disable_by, inverse};
use sieve_analysis::{Dialect, Effect, Severity, analyse};

use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};
use crate::sieve_arguments::{DisableMethod, OneDialect, SieveDisable, SieveUndo};
use crate::sieve_audit::{script_of, sha256_of};
use crate::sieve_text::sentence;

/// Lines around a change that a diff shows.
const CONTEXT: usize = 2;

/// What takes a change back, kept beside the script.
#[derive(Debug, Serialize, Deserialize)]
struct UndoRecord {
    schema: String,
    /// Of the script before the change.
    original_sha256: String,
    /// Of the script after it.
    changed_sha256: String,
    effect: String,
    edits: Vec<UndoEdit>,
}

#[derive(Debug, Serialize, Deserialize)]
struct UndoEdit {
    offset: usize,
    delete_len: usize,
    insert: Vec<u8>,
}

const SCHEMA: &str = "mailwarden.sieve-undo/1";

pub(crate) fn run(arguments: &SieveDisable) -> Result<Outcome, Failure> {
    let script = script_of(&arguments.file)?;
    let dialect = dialect(arguments.dialect);
    let effect = effect_named(&script, dialect, &arguments.effect)?;
    let (method, disabled) = disabled(&script, dialect, &effect, arguments.method)?;
    output::print(&plan(&arguments.file, &script, &effect, method, &disabled))?;
    if !arguments.write {
        output::complain("nothing was written; add --write to change the file");
        return Ok(Outcome::Clean);
    }
    write_changed(&arguments.file, &script, &effect, &disabled)?;
    output::complain(&format!(
        "written; to take it back: mailwarden sieve undo {} --write",
        shown(&arguments.file.display().to_string())
    ));
    Ok(Outcome::Clean)
}

/// Where nobody chose a method, one that works anywhere stands in for one the rule does not allow.
fn disabled(
    script: &[u8],
    dialect: Dialect,
    effect: &Effect,
    choice: Option<DisableMethod>,
) -> Result<(Method, Disabled), Failure> {
    let refused = |refusal| Failure::Usage(format!("{}: {refusal}", effect.id));
    let first = method(choice, effect)?;
    match disable_by(script, dialect, effect, first) {
        Ok(disabled) => Ok((first, disabled)),
        Err(Refusal::NoSuchRule) if choice.is_none() => {
            let disabled = disable_by(script, dialect, effect, Method::Wrapped).map_err(refused)?;
            Ok((Method::Wrapped, disabled))
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

fn dialect(choice: OneDialect) -> Dialect {
    match choice {
        OneDialect::Pigeonhole => Dialect::Pigeonhole,
        OneDialect::Cyrus => Dialect::Cyrus,
        OneDialect::Stalwart => Dialect::Stalwart,
    }
}

fn effect_named(script: &[u8], dialect: Dialect, id: &str) -> Result<Effect, Failure> {
    let analysis = analyse(script, dialect, true);
    if let Some(error) = analysis.diagnostics.iter().find(|one| one.severity == Severity::Error) {
        return Err(Failure::Usage(format!(
            "{dialect} refuses this script (line {}: {}), so a change to it cannot be proved",
            error.span.line,
            shown(&error.message)
        )));
    }
    let named = analysis.effects.into_iter().find(|effect| effect.id == id);
    named.ok_or_else(|| {
        Failure::Usage(format!(
            "no effect {}; `mailwarden sieve audit` names those there are, and an effect of an included \
             script is switched off in that script",
            shown(id)
        ))
    })
}

fn method(choice: Option<DisableMethod>, effect: &Effect) -> Result<Method, Failure> {
    let suited = Method::suited_to(effect);
    match choice {
        Some(DisableMethod::Wrapped) => Ok(Method::Wrapped),
        Some(DisableMethod::Flat) => Ok(Method::Flat),
        Some(DisableMethod::Native) if suited == Method::Wrapped => Err(Failure::Usage(
            "no program that is known to switch rules off in the script wrote this one; use --method wrapped"
                .to_owned(),
        )),
        Some(DisableMethod::Native) | None => Ok(suited),
    }
}

fn plan(file: &Path, script: &[u8], effect: &Effect, method: Method, disabled: &Disabled) -> String {
    let mut out = format!("{}: {}\nmethod: {}\n", effect.id, sentence(effect), method.name());
    if disabled.local_copies_changed {
        out.push_str("side effect: the mailbox gets a copy again where this effect had taken it away\n");
    }
    if disabled.reach_changed {
        out.push_str(
            "side effect: the whole rule is off, so rules behind it see messages they did not see before\n",
        );
    }
    if let Some(view) = effect.ui.as_ref().filter(|view| view.rewritten) {
        let _ = writeln!(out, "side effect: {} will write the rule again; remove it there too", view.ui);
    }
    let _ = writeln!(out, "sha256: {} -> {}", sha256_of(script), sha256_of(&disabled.script));
    out.push_str(&diff(&file.display().to_string(), script, &disabled.script));
    out
}

/// One hunk from the first line that differs to the last.
fn diff(name: &str, before: &[u8], after: &[u8]) -> String {
    let (old, new) = (lines(before), lines(after));
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let room = old.len().min(new.len()) - same;
    let tail = old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    let first = same.saturating_sub(CONTEXT);
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let (old_last, new_last) = ((old_end + CONTEXT).min(old.len()), (new_end + CONTEXT).min(new.len()));
    let name = shown(name);
    let mut out = format!(
        "--- {name}\n+++ {name}\n@@ -{},{} +{},{} @@\n",
        first + 1,
        old_last - first,
        first + 1,
        new_last - first
    );
    let mut put = |mark: char, lines: &[&[u8]]| {
        for line in lines {
            let _ = writeln!(out, "{mark}{}", shown(&text_of(line)));
        }
    };
    put(' ', &old[first..same]);
    put('-', &old[same..old_end]);
    put('+', &new[same..new_end]);
    put(' ', &old[old_end..old_last]);
    out
}

fn lines(script: &[u8]) -> Vec<&[u8]> {
    script.split_inclusive(|byte| *byte == b'\n').collect()
}

fn text_of(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).replace('\t', "    ")
}

/// The record is safe on disk before the script changes, so that no crash leaves a change without its way back.
fn write_changed(file: &Path, script: &[u8], effect: &Effect, disabled: &Disabled) -> Result<(), Failure> {
    let target = real_path(file)?;
    let undo = inverse(script, &disabled.edits).into_iter().map(|edit| UndoEdit {
        offset: edit.offset,
        delete_len: edit.delete_len,
        insert: edit.insert,
    });
    let record = UndoRecord {
        schema: SCHEMA.to_owned(),
        original_sha256: sha256_of(script),
        changed_sha256: sha256_of(&disabled.script),
        effect: effect.id.clone(),
        edits: undo.collect(),
    };
    let text = serde_json::to_vec_pretty(&record)
        .map_err(|error| Failure::Ours(format!("cannot make the undo record: {error}")))?;
    let beside = record_path(&target, &record.changed_sha256);
    replace(&beside, &text, &target).map_err(|error| unwritable(&beside, &error))?;
    if script_of(&target)? != script {
        return Err(Failure::Usage("the script changed meanwhile; audit it again".to_owned()));
    }
    replace(&target, &disabled.script, &target).map_err(|error| unwritable(&target, &error))
}

pub(crate) fn undo(arguments: &SieveUndo) -> Result<Outcome, Failure> {
    let target = real_path(&arguments.file)?;
    let script = script_of(&target)?;
    let beside = record_path(&target, &sha256_of(&script));
    let record = read_record(&beside)?;
    let edits: Vec<Edit> = record
        .edits
        .into_iter()
        .map(|edit| Edit { offset: edit.offset, delete_len: edit.delete_len, insert: edit.insert })
        .collect();
    let restored = apply(&script, &edits);
    if sha256_of(&restored) != record.original_sha256 {
        return Err(Failure::Usage("the record does not lead back to the script it names".to_owned()));
    }
    let mut out = format!("{} comes back\n", shown(&record.effect));
    out.push_str(&diff(&target.display().to_string(), &script, &restored));
    output::print(&out)?;
    if !arguments.write {
        output::complain("nothing was written; add --write to change the file");
        return Ok(Outcome::Clean);
    }
    replace(&target, &restored, &target).map_err(|error| unwritable(&target, &error))?;
    // The way back has been walked; a record left behind would only be found again for the same bytes.
    fs::remove_file(&beside).map_err(|error| unwritable(&beside, &error))?;
    Ok(Outcome::Clean)
}

fn read_record(beside: &Path) -> Result<UndoRecord, Failure> {
    let name = shown(&beside.display().to_string());
    let text = fs::read(beside).map_err(|error| {
        Failure::Usage(format!("nothing to undo: no record for the script as it is now ({name}: {error})"))
    })?;
    let record: UndoRecord = serde_json::from_slice(&text)
        .map_err(|error| Failure::Usage(format!("{name} is no undo record: {error}")))?;
    match record.schema == SCHEMA {
        true => Ok(record),
        false => Err(Failure::Usage(format!("{name} is of another kind: {}", shown(&record.schema)))),
    }
}

/// The active script is often a link; what it names is changed, not the link.
fn real_path(file: &Path) -> Result<PathBuf, Failure> {
    let name = shown(&file.display().to_string());
    fs::canonicalize(file).map_err(|error| Failure::Usage(format!("cannot find {name}: {error}")))
}

/// Servers take only files that end in `.sieve` for scripts.
fn record_path(script: &Path, changed_sha256: &str) -> PathBuf {
    let name = script.file_name().unwrap_or_default().to_string_lossy();
    script.with_file_name(format!(".{name}.{}.mailwarden-undo", &changed_sha256[..16]))
}

fn unwritable(file: &Path, error: &io::Error) -> Failure {
    Failure::Ours(format!("cannot write {}: {error}", shown(&file.display().to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_the_lines_that_change_and_some_around() {
        let before = b"a\nb\nc\nd\ne\nf\n";
        let after = b"a\nb\nc\nD\ne\nf\n";
        assert_eq!(diff("f", before, after), "--- f\n+++ f\n@@ -2,5 +2,5 @@\n b\n c\n-d\n+D\n e\n f\n");
        assert_eq!(diff("f", b"x", b"y\nx"), "--- f\n+++ f\n@@ -1,1 +1,2 @@\n+y\n x\n");
    }
}
