//! `mailwarden ledger`: show, verify, checkpoint, anchor, export, erase, key.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use mailwarden_ledger::{
    Anchor, CheckpointKey, EventFilter, Ledger, LedgerError, NoteError, Problem, RefusalSum, Retention,
    SYSLOG_SOCKET, SignedNote, StoredEvent, Verifier, notes_in, shown_url,
};
use mailwarden_settings::{LedgerAnchor, Settings};
use serde::Serialize;
use serde_json::json;

use crate::arguments::{
    Common, LedgerAnchoring, LedgerErase, LedgerExport, LedgerShow, LedgerSign, LedgerVerify,
};
use crate::control::by_uid;
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

/// The largest file of anchored notes that is read.
const MAX_ANCHOR_BYTES: u64 = 64 << 20;

/// A ledger and what the configuration says of it.
struct Opened {
    settings: Settings,
    ledger: Ledger,
    name: String,
}

impl Opened {
    async fn open(common: &Common) -> Result<Self, Failure> {
        let settings = common.settings()?;
        let name = shown_url(&settings.ledger.url);
        let ledger = Ledger::open_existing(&settings.ledger.url)
            .await
            .map_err(|error| Failure::Ledger(format!("cannot open the ledger {name}"), error))?;
        Ok(Self { settings, ledger, name })
    }

    /// Says what could not be done to which ledger.
    fn failed(&self, doing: &str) -> impl Fn(LedgerError) -> Failure {
        let what = format!("cannot {doing} the ledger {}", self.name);
        move |error| Failure::Ledger(what.clone(), error)
    }

    fn key_path(&self) -> PathBuf {
        self.settings.resolve(&self.settings.ledger.key)
    }

    /// The key that signs; made when there is none yet.
    fn signing_key(&self) -> Result<CheckpointKey, Failure> {
        let path = self.key_path();
        CheckpointKey::load_or_create(&self.settings.ledger.name, &path).map_err(|error| {
            Failure::Ledger(format!("cannot use the checkpoint key {}", path.display()), error)
        })
    }

    /// The public keys to check with: those of a file, or that of our own key where it can be read.
    fn verifiers(&self, file: Option<&Path>) -> Result<Vec<Verifier>, Failure> {
        match file {
            Some(path) => public_keys(path),
            None => {
                let own = CheckpointKey::load(&self.settings.ledger.name, &self.key_path());
                Ok(own.map(|key| key.verifier()).into_iter().collect())
            }
        }
    }

    async fn close(&self) -> Result<(), Failure> {
        self.ledger.close().await.map_err(self.failed("close"))
    }
}

fn public_keys(path: &Path) -> Result<Vec<Verifier>, Failure> {
    let text = read(path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Result<Vec<Verifier>, NoteError> = lines.map(str::parse).collect();
    match keys {
        Ok(keys) if !keys.is_empty() => Ok(keys),
        Ok(_) => {
            Err(Failure::Usage(format!("{} holds no key; `mailwarden ledger key` prints it", path.display())))
        }
        Err(error) => Err(Failure::Usage(format!("{}: {error}", path.display()))),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::Ours(format!("cannot read {}: {error}", path.display()));
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > MAX_ANCHOR_BYTES {
        return Err(Failure::Usage(format!("{} is longer than {MAX_ANCHOR_BYTES} bytes", path.display())));
    }
    // A log may hold what is not UTF-8; notes are ASCII but for their dash.
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(failed)
}

#[derive(Serialize)]
struct Shown {
    schema: &'static str,
    events: Vec<StoredEvent>,
    refusals: Vec<RefusalSum>,
}

pub(crate) async fn show(common: &Common, show: &LedgerShow) -> Result<Outcome, Failure> {
    let opened = Opened::open(common).await?;
    let filter = EventFilter {
        kind_prefix: show.kind.clone(),
        subject: show.subject.clone(),
        case: show.case.clone(),
        limit: Some(show.limit),
        newest_first: true,
        ..EventFilter::default()
    };
    let mut events = opened.ledger.events(&filter).await.map_err(opened.failed("read"))?;
    events.reverse();
    let of_one = show.case.is_some() || show.subject.is_some();
    let wants_sums = !of_one && show.kind.as_deref().is_none_or(|kind| "gate.refusals".starts_with(kind));
    let refusals = if wants_sums {
        opened.ledger.refusal_sums(DateTime::<Utc>::UNIX_EPOCH).await.map_err(opened.failed("read"))?
    } else {
        Vec::new()
    };
    let shown = Shown { schema: "mailwarden.ledger/1", events, refusals };
    output::answer(show.output.is_json(), &shown, text)?;
    opened.close().await?;
    Ok(Outcome::Clean)
}

fn text(shown_ledger: &Shown) -> String {
    let mut out = String::new();
    shown_ledger.events.iter().for_each(|event| write_event(&mut out, event));
    if !shown_ledger.refusals.is_empty() {
        out.push_str("\nRefusals by hour, rule and policy object\n");
    }
    for sum in &shown_ledger.refusals {
        let hour = sum.hour.format("%Y-%m-%d %H:00 UTC");
        let _ = writeln!(out, "{:>6}  {hour}  {:<18} {}", sum.count, sum.rule, shown(&sum.object));
    }
    if out.is_empty() { "the ledger holds nothing of that kind\n".to_owned() } else { out }
}

fn write_event(out: &mut String, event: &StoredEvent) {
    let subject = event.detail.as_ref().map_or("(erased)", |detail| detail.subject.as_str());
    let _ = writeln!(
        out,
        "{:>6}  {}  {:<18} {}  by {}{}{}",
        event.index,
        event.at.format("%Y-%m-%d %H:%M:%S UTC"),
        event.kind.as_str(),
        shown(subject),
        shown(&event.actor),
        event.reason.as_deref().map(|reason| format!("  ({})", shown(reason))).unwrap_or_default(),
        event.case.as_deref().map(|case| format!("  [{case}]")).unwrap_or_default()
    );
    if let Some(detail) = event.detail.as_ref().filter(|detail| !detail.payload.is_null()) {
        let _ = writeln!(out, "        {}", shown(&detail.payload.to_string()));
    }
}

pub(crate) async fn verify(common: &Common, verify: &LedgerVerify) -> Result<Outcome, Failure> {
    let opened = Opened::open(common).await?;
    let verifiers = opened.verifiers(verify.key.as_deref())?;
    let anchors = anchored_notes(&opened.settings, &verify.anchor)?;
    if verifiers.is_empty() && !verify.anchor.is_empty() {
        return Err(Failure::Usage(format!(
            "anchors cannot be checked without the ledger's public key: {} cannot be read here; name a file \
             with what `mailwarden ledger key` printed: --key FILE",
            opened.key_path().display()
        )));
    }
    let failed = opened.failed("read");
    let problems = mailwarden_ledger::verify(&opened.ledger, &verifiers, &anchors).await.map_err(&failed)?;
    let head = opened.ledger.head().await.map_err(&failed)?;
    let damaged = problems.iter().any(Problem::is_damage);
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if verify.output.is_json() {
        output::print_json(&json!({
            "schema": "mailwarden.ledger-verification/1", "entries": head.size, "root": head.root,
            "damaged": damaged, "anchors": anchors.len(), "problems": lines, "found": problems,
        }))?;
    } else {
        let verdict = if damaged { "DAMAGED" } else { "intact" };
        let mut out = format!("{verdict}: {} entries in {}\n", head.size, opened.name);
        for problem in &problems {
            let _ = writeln!(out, "  {}\n    {}", shown(&problem.to_string()), problem.what_to_do());
        }
        output::print(&out)?;
    }
    opened.close().await?;
    Ok(if damaged { Outcome::Findings } else { Outcome::Clean })
}

/// The notes of the files named on the command line, and of the configured anchors that are files.
fn anchored_notes(settings: &Settings, named: &[PathBuf]) -> Result<Vec<SignedNote>, Failure> {
    let configured = settings.ledger.anchors.iter().filter_map(|anchor| match anchor {
        LedgerAnchor::File(path) => Some(settings.resolve(path)),
        _ => None,
    });
    let there = configured.filter(|path| path.exists());
    let mut notes = Vec::new();
    for path in named.iter().cloned().chain(there) {
        let found = notes_in(&read(&path)?)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        notes.extend(found);
    }
    Ok(notes)
}

pub(crate) async fn checkpoint(common: &Common, sign: &LedgerSign) -> Result<Outcome, Failure> {
    let opened = Opened::open(common).await?;
    let key = opened.signing_key()?;
    let note = opened.ledger.checkpoint(&key).await.map_err(opened.failed("sign"))?;
    let standing = opened.ledger.standing().await.map_err(opened.failed("read"))?;
    if sign.output.is_json() {
        output::print_json(&json!({
            "schema": "mailwarden.checkpoint/1", "note": note.to_string(), "key": key.verifier().to_string(),
            "standing": standing,
        }))?;
    } else {
        output::print(&note.to_string())?;
    }
    opened.close().await?;
    Ok(Outcome::Clean)
}

pub(crate) async fn anchor(common: &Common, anchoring: &LedgerAnchoring) -> Result<Outcome, Failure> {
    let opened = Opened::open(common).await?;
    let named = anchoring.file.iter().cloned().map(Anchor::File);
    let anchors: Vec<Anchor> = named
        .chain(opened.settings.ledger.anchors.iter().map(|anchor| place(&opened.settings, anchor)))
        .collect();
    if anchors.is_empty() {
        return Err(Failure::Usage(
            "there is no anchor: name one in the configuration ([ledger] anchors = [{ syslog = true }]) or with \
             --file FILE"
                .to_owned(),
        ));
    }
    let key = opened.signing_key()?;
    let anchored = opened.ledger.anchor(&key, &anchors, &by_uid(), Utc::now()).await;
    let anchored = anchored.map_err(opened.failed("anchor"))?;
    let failed: Vec<String> = anchored.failed.iter().map(ToString::to_string).collect();
    if anchoring.output.is_json() {
        output::print_json(&json!({
            "schema": "mailwarden.anchoring/1", "note": anchored.note.to_string(),
            "reached": anchored.reached, "failed": failed,
        }))?;
    } else {
        let reached: String =
            anchored.reached.iter().map(|place| format!("anchored: {}\n", shown(place))).collect();
        output::print(&reached)?;
    }
    failed.iter().for_each(|problem| output::complain(&format!("error: {}", shown(problem))));
    opened.close().await?;
    if failed.is_empty() { Ok(Outcome::Clean) } else { Ok(Outcome::NothingReached) }
}

fn place(settings: &Settings, anchor: &LedgerAnchor) -> Anchor {
    match anchor {
        LedgerAnchor::File(path) => Anchor::File(settings.resolve(path)),
        LedgerAnchor::Syslog(_) => Anchor::Syslog(SYSLOG_SOCKET.into()),
        LedgerAnchor::Command(words) => Anchor::Command(words.clone()),
    }
}

pub(crate) async fn export(common: &Common, export: &LedgerExport) -> Result<Outcome, Failure> {
    let opened = Opened::open(common).await?;
    let key = opened.signing_key()?;
    let bundle = opened.ledger.export_case(&export.case, &key).await.map_err(opened.failed("export from"))?;
    match &export.output {
        None => output::print_json(&bundle)?,
        Some(path) => {
            let text = serde_json::to_vec_pretty(&bundle)
                .map_err(|error| Failure::Ours(format!("cannot write the bundle: {error}")))?;
            std::fs::write(path, text)
                .map_err(|error| Failure::Ours(format!("cannot write {}: {error}", path.display())))?;
            output::complain(&format!(
                "{} entries of {} written to {}; check them with: mailwarden-verify {} --key FILE",
                bundle.entries.len(),
                bundle.case,
                path.display(),
                path.display()
            ));
        }
    }
    opened.close().await?;
    Ok(Outcome::Clean)
}

pub(crate) async fn erase(common: &Common, erase: &LedgerErase) -> Result<Outcome, Failure> {
    let opened = Opened::open(common).await?;
    let failed = opened.failed("erase from");
    let now = Utc::now();
    let erased = if erase.expired {
        let keep = opened.settings.ledger.keep_details.iter();
        let retention = Retention(keep.map(|(kind, time)| (kind.clone(), time.0)).collect());
        opened.ledger.erase_expired(&retention, &by_uid(), now).await.map_err(failed)?
    } else {
        let reason = erase.reason.as_deref().unwrap_or_default();
        for index in &erase.entries {
            opened.ledger.erase(*index, &by_uid(), reason, now).await.map_err(&failed)?;
        }
        erase.entries.len() as u64
    };
    if erase.output.is_json() {
        output::print_json(&json!({"schema": "mailwarden.erasure/1", "erased": erased}))?;
    } else {
        output::print(&format!("erased: the details of {erased} entries; their proofs stay\n"))?;
    }
    opened.close().await?;
    Ok(Outcome::Clean)
}

pub(crate) fn key(common: &Common) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let path = settings.resolve(&settings.ledger.key);
    let key = CheckpointKey::load_or_create(&settings.ledger.name, &path).map_err(|error| {
        Failure::Ledger(format!("cannot use the checkpoint key {}", path.display()), error)
    })?;
    output::print(&format!("{}\n", key.verifier()))?;
    Ok(Outcome::Clean)
}
