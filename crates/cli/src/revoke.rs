//! `mailwarden revoke`: what would be done about findings, and, when told so, doing it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use mailwarden_collect::postfix::TextStore;
use mailwarden_evidence::{Coverage, Evidence, Fact, Observation, SYSTEM};
use mailwarden_judge::{Finding, Report, Run, State as Life, judge};
use mailwarden_ledger::{ChangeOutcome, EventFilter, Ledger, RecordedChange};
use mailwarden_policy::Policy;
use mailwarden_remedy::{ByHand, Change, Planned, Way, assume, panel_row_of, plan, table_text};
use mailwarden_settings::{Settings, load_policy};
use serde::Serialize;
use serde_json::json;

use crate::approve::{self, Warrant, authorised, refuse_replayed};
use crate::arguments::{Common, Looking, ProfileChoice, Revoke, TextOrJson};
use crate::changing::{Done, Obstacles, Servers, Transition, leave, make};
use crate::elsewhere::Writer;
use crate::failure::{Failure, Outcome};
use crate::output::{self, complain, shown};
use crate::seen::{self, Seen};
use crate::{rerender, rounds};

/// Shortest beginning of a fingerprint that names a finding.
const MIN_PREFIX: usize = 8;

/// A finding as it was reported.
#[derive(Debug, Clone)]
struct Wanted {
    fingerprint: String,
    content_hash: String,
    mailbox: String,
    /// The surface it lies on.
    surface: String,
    /// The finding itself, where a report was given.
    reported: Option<Finding>,
}

/// What is to be done about one finding.
#[derive(Debug, Serialize)]
#[serde(tag = "item", rename_all = "kebab-case")]
enum Item {
    /// A change.
    Change {
        #[serde(flatten)]
        change: Box<Change>,
        /// Why it could not be undone, in the server's words.
        final_because: Option<String>,
    },
    /// By hand.
    ByHand {
        #[serde(flatten)]
        by_hand: Box<ByHand>,
    },
    /// Nothing.
    Nothing { fingerprint: String, because: String },
    /// Not done, and not because all is well.
    Refused { fingerprint: String, because: String },
}

#[derive(Debug, Serialize)]
struct Answer {
    schema: &'static str,
    plan: Vec<Item>,
    applied: Vec<Applied>,
}

#[derive(Debug, Serialize)]
struct Applied {
    fingerprint: String,
    change: Option<String>,
    outcome: &'static str,
    detail: String,
}

pub(crate) async fn run(common: &Common, revoke: &Revoke) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let wanted = wanted(&settings, revoke).await?;
    let servers = Servers::of(&settings)?;
    let mut plan = planned(&settings, &policy, &wanted, revoke).await?;
    look_for_obstacles(&servers, &mut plan, revoke).await?;
    if revoke.approved.print_text {
        approve::print_text(&policy, &changes_of(&plan), &revoke.approved)?;
        return Ok(Outcome::Clean);
    }
    let mut answer = Answer { schema: "mailwarden.revoke/1", plan, applied: Vec::new() };
    if revoke.approved.apply {
        answer.applied = apply(&settings, &policy, &servers, &answer.plan, revoke).await?;
    }
    output::answer(revoke.approved.format == TextOrJson::Json, &answer, |answer| text(answer, revoke))?;
    Ok(outcome(&answer))
}

fn outcome(answer: &Answer) -> Outcome {
    let refused = answer.plan.iter().any(|item| matches!(item, Item::Refused { .. }));
    let failed =
        answer.applied.iter().any(|applied| applied.change.is_none() || applied.outcome != "applied");
    if refused || failed { Outcome::Findings } else { Outcome::Clean }
}

// --- which findings -------------------------------------------------------------------------------------------------

async fn wanted(settings: &Settings, revoke: &Revoke) -> Result<Vec<Wanted>, Failure> {
    let known = match &revoke.input {
        Some(path) => of_report(path)?,
        None => of_ledger(settings).await?,
    };
    revoke.findings.iter().map(|asked| named(&known, asked)).collect()
}

fn named(known: &[Wanted], asked: &str) -> Result<Wanted, Failure> {
    let asked = asked.to_lowercase();
    if asked.len() < MIN_PREFIX {
        return Err(Failure::Usage(format!(
            "`{}` is too short; give at least {MIN_PREFIX} characters",
            shown(&asked)
        )));
    }
    let mut found = known.iter().filter(|wanted| wanted.fingerprint.starts_with(&asked));
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only.clone()),
        (Some(_), Some(_)) => Err(Failure::Usage(format!("several findings begin with `{}`", shown(&asked)))),
        (None, _) => Err(Failure::Usage(format!(
            "no finding begins with `{}`\n  give the report that has it with --input, or sweep again",
            shown(&asked)
        ))),
    }
}

fn of_report(path: &Path) -> Result<Vec<Wanted>, Failure> {
    let path = if path.is_dir() { path.join("report.json") } else { path.to_owned() };
    let of = |finding: Finding| Wanted {
        fingerprint: finding.fingerprint.clone(),
        content_hash: finding.content_hash.clone(),
        mailbox: finding.mailbox.clone(),
        surface: finding.surface.id.clone(),
        reported: Some(finding),
    };
    Ok(rerender::load(&path)?.findings.into_iter().map(of).collect())
}

/// The latest word of the ledger on every finding.
async fn of_ledger(settings: &Settings) -> Result<Vec<Wanted>, Failure> {
    let url = &settings.ledger.url;
    let failed =
        |error| Failure::Ledger(format!("cannot read the ledger {url}; give a report with --input"), error);
    let ledger = Ledger::open_existing(url).await.map_err(failed)?;
    let mut filter = EventFilter { kind_prefix: Some("finding.".to_owned()), ..EventFilter::default() };
    let mut known: BTreeMap<String, Wanted> = BTreeMap::new();
    loop {
        let events = ledger.events(&filter).await.map_err(failed)?;
        let Some(last) = events.last() else { break };
        filter.after = Some(last.index);
        for detail in events.into_iter().filter_map(|event| event.detail) {
            let text = |key: &str| detail.payload[key].as_str().unwrap_or_default().to_owned();
            let (fingerprint, content_hash) = (text("fingerprint"), text("content_hash"));
            let (mailbox, surface) = (detail.subject.clone(), text("surface"));
            let wanted = Wanted { fingerprint, content_hash, mailbox, surface, reported: None };
            known.insert(wanted.fingerprint.clone(), wanted);
        }
    }
    ledger.close().await.map_err(failed)?;
    Ok(known.into_values().collect())
}

// --- the plan -------------------------------------------------------------------------------------------------------

/// From where a surface is looked at before it is changed; `None` where it is changed by hand.
fn looked_at(surface: &str) -> Option<ProfileChoice> {
    match surface {
        "managesieve.scripts" | "imap.acl" | "imap.metadata" | "imap.urlauth" => Some(ProfileChoice::Remote),
        "dovecot.sessions" => Some(ProfileChoice::Host),
        _ => None,
    }
}

async fn planned(
    settings: &Settings,
    policy: &Policy,
    wanted: &[Wanted],
    revoke: &Revoke,
) -> Result<Vec<Item>, Failure> {
    let way = if revoke.deactivate { Way::Deactivate } else { Way::Effect };
    let is_by_hand = |wanted: &&Wanted| {
        looked_at(&wanted.surface).is_none() && !is_of_table(wanted) && !is_of_panel(settings, wanted)
    };
    let mut items: Vec<Item> = wanted.iter().filter(is_by_hand).map(|wanted| by_hand(wanted, way)).collect();
    for profile in [ProfileChoice::Remote, ProfileChoice::Host] {
        let mine: Vec<&Wanted> =
            wanted.iter().filter(|wanted| looked_at(&wanted.surface) == Some(profile)).collect();
        let mailboxes: BTreeSet<String> = mine.iter().map(|wanted| wanted.mailbox.clone()).collect();
        if mailboxes.is_empty() {
            continue;
        }
        let mailboxes = mailboxes.into_iter().collect();
        // Sessions are told of the mail system as a whole.
        let system = profile == ProfileChoice::Host;
        let looking = Looking { mailboxes, system, profile: Some(profile), ..Looking::default() };
        let mut seen = seen::now(settings, policy, &looking).await?;
        items.extend(mine.into_iter().map(|wanted| of_finding(policy, &mut seen, wanted, way)));
    }
    items.extend(tables(settings, policy, wanted).await?);
    items.extend(panels(settings, policy, wanted).await?);
    Ok(items)
}

fn is_of_table(wanted: &Wanted) -> bool {
    wanted.surface.starts_with("postfix.")
}

/// Findings on Postfix's tables: the instance is looked at again, and the texts of the tables as well.
async fn tables(settings: &Settings, policy: &Policy, wanted: &[Wanted]) -> Result<Vec<Item>, Failure> {
    let mine: Vec<&Wanted> = wanted.iter().filter(|wanted| is_of_table(wanted)).collect();
    if mine.is_empty() {
        return Ok(Vec::new());
    }
    let surface = mailwarden_collect::postfix::SURFACES.map(str::to_owned).to_vec();
    let looking = Looking { system: true, surface, ..Looking::default() };
    let mut seen = seen::now(settings, policy, &looking).await?;
    let report = judged(policy, &seen.run, &seen, &seen.observations);
    let paths: BTreeSet<String> =
        report.findings.iter().filter_map(table_text).map(|(path, _)| path).collect();
    if let Some(plan) = rounds::everybody(settings)?.postfix {
        let store = TextStore::new(&plan).map_err(|error| Failure::Usage(error.to_string()))?;
        for path in paths {
            let Ok(Some(source)) = store.read(&path) else { continue };
            let evidence = Evidence::of(&source, &path, "mailwarden revoke", seen.run.now);
            let fact = Fact::TableText { path, source };
            let (mailbox, surface) = (SYSTEM.to_owned(), "postfix.alias_maps".to_owned());
            seen.observations.push(Observation { mailbox, surface, fact, evidence });
        }
    }
    Ok(mine.into_iter().map(|wanted| of_finding(policy, &mut seen, wanted, Way::Effect)).collect())
}

/// Rows of a panel can be changed where anybody is configured to write them.
fn is_of_panel(settings: &Settings, wanted: &Wanted) -> bool {
    wanted.surface.starts_with("panel.") && settings.panel.iter().any(|panel| panel.writer.is_some())
}

/// Findings on rows of panels: the panels are asked again, and for the cells that would change as well.
async fn panels(settings: &Settings, policy: &Policy, wanted: &[Wanted]) -> Result<Vec<Item>, Failure> {
    let mine: Vec<&Wanted> = wanted.iter().filter(|wanted| is_of_panel(settings, wanted)).collect();
    if mine.is_empty() {
        return Ok(Vec::new());
    }
    let surface = mine.iter().map(|wanted| wanted.surface.clone()).collect();
    let looking = Looking { system: true, surface, ..Looking::default() };
    let mut seen = seen::now(settings, policy, &looking).await?;
    let report = judged(policy, &seen.run, &seen, &seen.observations);
    for wanted in &mine {
        let found = report.findings.iter().find(|found| found.fingerprint == wanted.fingerprint);
        if let Some(cells) = cells_of(settings, found, &seen).await? {
            seen.observations.push(cells);
        }
    }
    Ok(mine.into_iter().map(|wanted| of_finding(policy, &mut seen, wanted, Way::Effect)).collect())
}

/// The cells of a finding's row as they are now, where the panel's set says which they are.
async fn cells_of(
    settings: &Settings,
    finding: Option<&Finding>,
    seen: &Seen,
) -> Result<Option<Observation>, Failure> {
    let Some((panel, query, key)) = finding.and_then(panel_row_of) else { return Ok(None) };
    let Some(writer) = Writer::of(settings, panel)? else { return Ok(None) };
    let set = &writer.plan.set;
    let way = set.queries.iter().find(|known| known.id == query).and_then(|query| query.revoke.as_ref());
    let row = seen.observations.iter().find_map(|seen| match &seen.fact {
        Fact::PanelRow { panel: of, query: by, key: at, owner, target, .. }
            if of == panel && by == query && at == key =>
        {
            Some((owner, target))
        }
        _ => None,
    });
    let (Some(way), Some((owner, target))) = (way, row) else { return Ok(None) };
    let place = way.place(query, &writer.plan.prefix, owner, target, key);
    let mut store = writer.open().await?;
    let cells = store.read(&place).await.map_err(|error| Failure::Ours(error.to_string()))?;
    store.close().await;
    let Some(cells) = cells else { return Ok(None) };
    let (panel, key) = (panel.to_owned(), key.to_owned());
    let fact = Fact::PanelCells { panel, key, place: Box::new(place), cells };
    let evidence = Evidence::of(
        &serde_json::to_vec(&fact).unwrap_or_default(),
        "a row",
        "mailwarden revoke",
        seen.run.now,
    );
    let (mailbox, surface) = (SYSTEM.to_owned(), "panel.forwarding".to_owned());
    Ok(Some(Observation { mailbox, surface, fact, evidence }))
}

fn by_hand(wanted: &Wanted, way: Way) -> Item {
    match &wanted.reported {
        Some(finding) => item(plan(finding, &[], way)),
        None => Item::Refused {
            fingerprint: wanted.fingerprint.clone(),
            because: "it is changed by hand; give the report that has it with --input to see how".to_owned(),
        },
    }
}

fn judged(policy: &Policy, run: &Run, seen: &Seen, observations: &[Observation]) -> Report {
    judge(run, policy, observations, seen.coverage.clone())
}

/// Plans from what is there now, and only where that is what was reported.
fn of_finding(policy: &Policy, seen: &mut Seen, wanted: &Wanted, way: Way) -> Item {
    let fingerprint = wanted.fingerprint.clone();
    let report = judged(policy, &seen.run, seen, &seen.observations);
    let Some(finding) = report.findings.iter().find(|found| found.fingerprint == fingerprint) else {
        return unseen(wanted, &seen.coverage);
    };
    if finding.content_hash != wanted.content_hash {
        let because = "it was changed since it was reported; sweep again and look at it".to_owned();
        return Item::Refused { fingerprint, because };
    }
    let planned = plan(finding, &seen.observations, way);
    let Planned::Change(change) = planned else { return item(planned) };
    match proved(policy, seen, &report, &change) {
        Ok(observations) => {
            seen.observations = observations;
            Item::Change { change, final_because: None }
        }
        Err(because) => Item::Refused { fingerprint, because },
    }
}

/// A finding that is not there any more, or that could not be looked for.
fn unseen(wanted: &Wanted, coverage: &[Coverage]) -> Item {
    let fingerprint = wanted.fingerprint.clone();
    let mut mine = coverage.iter().filter(|row| {
        row.surface == wanted.surface
            && (row.mailbox.eq_ignore_ascii_case(&wanted.mailbox) || row.mailbox == SYSTEM)
    });
    let gap = mine.clone().find(|row| !row.state.is_complete());
    match (gap, mine.next()) {
        (Some(gap), _) => {
            let because = format!("it was not seen, and not everything could be looked at: {}", gap.reason);
            Item::Refused { fingerprint, because }
        }
        (None, None) => {
            let because = format!("nobody is configured to look at {}", wanted.surface);
            Item::Refused { fingerprint, because }
        }
        (None, Some(_)) => Item::Nothing { fingerprint, because: "it is gone already".to_owned() },
    }
}

/// Judges again as if the change had been made: the finding is gone, or asleep, and none is new.
fn proved(
    policy: &Policy,
    seen: &Seen,
    before: &Report,
    change: &Change,
) -> Result<Vec<Observation>, String> {
    let mut observations = seen.observations.clone();
    assume(&mut observations, change);
    let after = judged(policy, &seen.run, seen, &observations);
    let same = |found: &&Finding| found.fingerprint == change.finding.fingerprint;
    if after.findings.iter().find(same).is_some_and(|found| found.state == Life::Active) {
        return Err("judged again with the change made, the finding would still act".to_owned());
    }
    let known = |found: &Finding| {
        before
            .findings
            .iter()
            .any(|old| old.fingerprint == found.fingerprint || old.check_id == found.check_id)
    };
    match after.findings.iter().find(|found| !known(found)) {
        Some(new) => Err(format!("the change would open another finding: {}", new.title)),
        None => Ok(observations),
    }
}

fn item(planned: Planned) -> Item {
    match planned {
        Planned::Change(change) => Item::Change { change, final_because: None },
        Planned::ByHand(by_hand) => Item::ByHand { by_hand },
        Planned::Nothing { finding, because } => Item::Nothing { fingerprint: finding.fingerprint, because },
    }
}

/// Asks the servers before anything is promised.
async fn look_for_obstacles(servers: &Servers, items: &mut [Item], revoke: &Revoke) -> Result<(), Failure> {
    for item in items {
        let Item::Change { change, final_because } = item else { continue };
        let mut store = servers.open(&change.object).await?;
        let found = store.obstacles(&change.object, &change.before, &change.after).await;
        store.close().await;
        let Obstacles { going, returning } = found.map_err(|error| Failure::Ours(error.to_string()))?;
        let fingerprint = change.finding.fingerprint.clone();
        if let Some(said) = going {
            *item = Item::Refused {
                fingerprint,
                because: format!("the server would not take the change: {said}"),
            };
        } else if let Some(said) = returning {
            if revoke.accept_final {
                *final_because = Some(said);
            } else {
                let because =
                    format!("this could not be undone: {said}; --accept-final changes it all the same");
                *item = Item::Refused { fingerprint, because };
            }
        }
    }
    Ok(())
}

// --- doing it -------------------------------------------------------------------------------------------------------

fn changes_of(items: &[Item]) -> Vec<Change> {
    let change = |item: &Item| match item {
        Item::Change { change, .. } => Some((**change).clone()),
        _ => None,
    };
    items.iter().filter_map(change).collect()
}

async fn apply(
    settings: &Settings,
    policy: &Policy,
    servers: &Servers,
    items: &[Item],
    revoke: &Revoke,
) -> Result<Vec<Applied>, Failure> {
    let changes = changes_of(items);
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    if changes.len() > revoke.max_changes {
        return Err(Failure::Usage(format!(
            "nothing was changed: {} changes are more than {}\n  look at the plan, then allow them with --max-changes {}",
            changes.len(),
            revoke.max_changes,
            changes.len()
        )));
    }
    let warrant = authorised(policy, &changes, &revoke.approved)?;
    let url = &settings.ledger.url;
    let failed =
        |error| Failure::Ledger(format!("cannot use the ledger {url}, so nothing was changed"), error);
    let ledger = Ledger::open(url).await.map_err(failed)?;
    let recorded = ledger.changes().await;
    let recorded = recorded.map_err(|error| Failure::Ledger("cannot read the ledger".to_owned(), error))?;
    refuse_unfinished(&recorded, &changes)?;
    refuse_replayed(&recorded, &warrant)?;
    let mut done = Vec::new();
    for change in &changes {
        let applied = told(change, make(servers, &ledger, &transition(change, &warrant)).await?);
        let went_on = applied.outcome == "applied";
        done.push(applied);
        if !went_on {
            break;
        }
    }
    let left = changes[done.len()..].iter();
    let left: Vec<Applied> = try_none_of(&ledger, left, &warrant).await?;
    done.extend(left);
    ledger.close().await.map_err(|error| Failure::Ledger("cannot close the ledger".to_owned(), error))?;
    Ok(done)
}

fn transition<'a>(change: &'a Change, warrant: &'a Warrant) -> Transition<'a> {
    let because = json!({
        "finding": change.finding.fingerprint,
        "check_id": change.finding.check_id,
        "effect": change.effect.chars().take(500).collect::<String>(),
    });
    Transition { object: &change.object, before: &change.before, after: &change.after, warrant, because }
}

/// Says of the changes after one that did not succeed that nobody tried them, here and in the ledger.
async fn try_none_of(
    ledger: &Ledger,
    changes: impl Iterator<Item = &Change>,
    warrant: &Warrant,
) -> Result<Vec<Applied>, Failure> {
    let why = "not tried, because the change before it did not succeed";
    let mut left = Vec::new();
    for change in changes {
        leave(ledger, &transition(change, warrant), why).await?;
        left.push(Applied {
            fingerprint: change.finding.fingerprint.clone(),
            change: None,
            outcome: "not-tried",
            detail: format!("{why}; the same command again makes it"),
        });
    }
    Ok(left)
}

/// A change that was cut off is settled first: its object may be half changed.
fn refuse_unfinished(recorded: &[RecordedChange], changes: &[Change]) -> Result<(), Failure> {
    let unfinished = recorded.iter().filter(|change| change.outcome == ChangeOutcome::Unfinished);
    for old in unfinished {
        if changes.iter().any(|change| json!(change.object) == old.payload["object"]) {
            return Err(Failure::Usage(format!(
                "nothing was changed: the change {} of the same object was cut off at {}\n  settle it first: \
                 `mailwarden restore {} --apply ...` puts its prior state back",
                old.id,
                old.planned_at.format("%Y-%m-%d %H:%M:%S UTC"),
                old.id
            )));
        }
    }
    Ok(())
}

fn told(change: &Change, done: Done) -> Applied {
    let fingerprint = change.finding.fingerprint.clone();
    match done {
        Done::Applied(id) => {
            let detail = format!("undo it with `mailwarden restore {id}`");
            Applied { fingerprint, change: Some(id), outcome: "applied", detail }
        }
        Done::ChangedMeanwhile => {
            complain("warning: an object was changed between the plan and the change");
            let detail = "it is not as it was planned from; nothing was changed, plan again".to_owned();
            Applied { fingerprint, change: None, outcome: "changed-meanwhile", detail }
        }
        Done::Failed(id, why) => {
            let detail = format!("{why}; it is as it was before");
            Applied { fingerprint, change: Some(id), outcome: "failed", detail }
        }
        Done::Uncertain(id, why) => {
            let detail = format!("{why}; nobody knows how it is now: `mailwarden restore {id}` settles it");
            Applied { fingerprint, change: Some(id), outcome: "uncertain", detail }
        }
    }
}

// --- for people -----------------------------------------------------------------------------------------------------

fn text(answer: &Answer, revoke: &Revoke) -> String {
    let mut out = String::new();
    for item in &answer.plan {
        match item {
            Item::Change { change, final_because } => change_text(&mut out, change, final_because.as_deref()),
            Item::ByHand { by_hand } => by_hand_text(&mut out, by_hand),
            Item::Nothing { fingerprint, because } => {
                let _ = writeln!(out, "{fingerprint}  nothing to do: {}", shown(because));
            }
            Item::Refused { fingerprint, because } => {
                let _ = writeln!(out, "{fingerprint}  NOT DONE: {}", shown(because));
            }
        }
    }
    for applied in &answer.applied {
        let id = applied.change.as_deref().unwrap_or("-");
        let _ =
            writeln!(out, "{}  {}  {id}  {}", applied.fingerprint, applied.outcome, shown(&applied.detail));
    }
    let has_changes = answer.plan.iter().any(|item| matches!(item, Item::Change { .. }));
    if has_changes && !revoke.approved.apply {
        out.push_str("\nNothing was changed. To do it: --apply --ticket TICKET\n");
    }
    out
}

fn change_text(out: &mut String, change: &Change, final_because: Option<&str>) {
    let _ = writeln!(out, "{}  {}", change.finding.fingerprint, shown(&change.finding.title));
    let _ = writeln!(out, "  changes       {}", shown(&change.object.to_string()));
    let _ = writeln!(out, "  exact effect  {}", shown(&change.effect));
    for effect in &change.side_effects {
        let _ = writeln!(out, "  also          {}", shown(effect));
    }
    if !change.regenerated_by.is_empty() {
        let by = change.regenerated_by.join(", ");
        let _ = writeln!(
            out,
            "  comes back    if one of these writes it again from its own store: {}",
            shown(&by)
        );
    }
    match final_because {
        Some(why) => {
            let _ = writeln!(out, "  CANNOT BE UNDONE  {}", shown(why));
        }
        None => out.push_str("  undone by     mailwarden restore CHANGE\n"),
    }
    for line in change.diff.lines() {
        let _ = writeln!(out, "    {}", shown(line));
    }
}

fn by_hand_text(out: &mut String, by_hand: &ByHand) {
    let _ = writeln!(out, "{}  {}", by_hand.finding.fingerprint, shown(&by_hand.finding.title));
    let _ = writeln!(out, "  by hand       {}", shown(&by_hand.command));
    let _ = writeln!(out, "  because       {}", shown(&by_hand.because));
    let _ = writeln!(out, "  undone by     {}", shown(&by_hand.revert));
    let _ = writeln!(out, "  also          {}", shown(&by_hand.side_effects));
    if !by_hand.regenerated_by.is_empty() {
        let by = by_hand.regenerated_by.join(", ");
        let _ = writeln!(
            out,
            "  comes back    if one of these writes it again from its own store: {}",
            shown(&by)
        );
    }
}
