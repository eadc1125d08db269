//! `mailwarden sieve audit`.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sieve_analysis::{Audit, Dialect, Effect, audit};

use crate::arguments::{DialectChoice, SieveAudit, TextOrJson};
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

/// Larger files are no scripts: Pigeonhole stops at 1 MiB.
const MAX_SCRIPT_BYTES: u64 = 16 << 20;

struct Audited {
    file: String,
    sha256: String,
    audit: Audit,
}

pub(crate) fn run(arguments: &SieveAudit) -> Result<Outcome, Failure> {
    let dialects = dialects(arguments.dialect);
    let audited =
        arguments.files.iter().map(|file| audited(file, dialects)).collect::<Result<Vec<_>, Failure>>()?;
    match arguments.format {
        TextOrJson::Json => output::print_json(&json_of(&audited))?,
        TextOrJson::Text => output::print(&audited.iter().map(text).collect::<String>())?,
    }
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

fn audited(file: &Path, dialects: &[Dialect]) -> Result<Audited, Failure> {
    let shown = file.display();
    let unreadable = |error| Failure::Usage(format!("cannot read the script {shown}: {error}"));
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > MAX_SCRIPT_BYTES {
        return Err(Failure::Usage(format!("{shown} has {size} bytes; that is no Sieve script")));
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    Ok(Audited {
        file: shown.to_string(),
        sha256: Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
        audit: audit(&bytes, dialects, true),
    })
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
                "sha256": one.sha256,
                "bytes": one.audit.bytes,
                "covered_bytes": one.audit.covered_bytes,
                "disagreement": one.audit.disagreement,
                "dialects": dialects,
            })
        })
        .collect();
    json!({ "schema": "mailwarden.sieve/1", "scripts": scripts })
}

fn text(one: &Audited) -> String {
    let mut out = format!(
        "{}: {} bytes, {} understood{}\n",
        shown(&one.file),
        one.audit.bytes,
        one.audit.covered_bytes,
        if one.audit.disagreement { "; mail servers read it differently" } else { "" }
    );
    for (dialect, analysis) in &one.audit.dialects {
        let accepted = if analysis.accepted { "would run" } else { "would be refused" };
        let _ = writeln!(out, "  {}: {accepted}", dialect.name());
        for effect in &analysis.effects {
            let _ = writeln!(out, "    {}", shown(&describe(effect)));
        }
        for diagnostic in &analysis.diagnostics {
            let at = diagnostic.span;
            let _ = writeln!(out, "    line {}:{}: {}", at.line, at.column, shown(&diagnostic.message));
        }
    }
    out
}

fn describe(effect: &Effect) -> String {
    let targets: Vec<&str> = effect.targets.iter().map(sieve_analysis::Target::text).collect();
    let when =
        if effect.conditions.is_empty() { String::new() } else { format!(", when {}", effect.conditions) };
    format!(
        "line {}:{}: {} {} ({}, {}, local copy {}{when})",
        effect.span.line,
        effect.span.column,
        effect.kind.name(),
        targets.join(", "),
        effect.reach.name(),
        effect.form.name(),
        effect.local_copy.name()
    )
}
