//! From a finding to what would be done about it.

use std::collections::BTreeMap;

use mailwarden_evidence::{Fact, Observation};
use mailwarden_judge::Finding;
use serde::Serialize;
use sieve_analysis::Dialect;

use crate::diff::unified;
use crate::object::{AclRow, Object, State};
use crate::row::without as without_target;
use crate::script::{Outcome, switch_off};
use crate::table::{Dialect as Text, without};

/// How a Sieve finding is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// Only the effect of the finding.
    #[default]
    Effect,
    /// The whole script, by activating none.
    Deactivate,
}

/// The finding a change is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingRef {
    /// Its identity.
    pub fingerprint: String,
    /// What it was about, exactly.
    pub content_hash: String,
    /// The check.
    pub check_id: String,
    /// Its sentence.
    pub title: String,
}

/// One change, with everything a reader needs to agree to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What for.
    pub finding: FindingRef,
    /// What it touches.
    pub object: Object,
    /// As it is.
    pub before: State,
    /// As it will be.
    pub after: State,
    /// The exact effect in one sentence.
    pub effect: String,
    /// What differs, as a unified diff.
    pub diff: String,
    /// What else changes.
    pub side_effects: Vec<String>,
    /// What would write the old state again from a store of its own.
    pub regenerated_by: Vec<String>,
}

/// What an administrator has to do, because no edit is safe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ByHand {
    /// What for.
    pub finding: FindingRef,
    /// Why this program does not do it.
    pub because: String,
    /// What to run or do.
    pub command: String,
    /// How to undo it.
    pub revert: String,
    /// What else changes.
    pub side_effects: String,
    /// What would write the old state again.
    pub regenerated_by: Vec<String>,
}

/// What there is to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "planned", rename_all = "kebab-case")]
pub enum Planned {
    /// This.
    Change(Box<Change>),
    /// Something to run by hand.
    ByHand(Box<ByHand>),
    /// Nothing: it does not act.
    Nothing {
        /// What for.
        finding: FindingRef,
        /// Why.
        because: String,
    },
}

/// Plans the removal of a finding from what the same run saw.
pub fn plan(finding: &Finding, observations: &[Observation], way: Way) -> Planned {
    let mine: Vec<&Observation> =
        observations.iter().filter(|seen| seen.mailbox.eq_ignore_ascii_case(&finding.mailbox)).collect();
    match finding.surface.id.as_str() {
        "managesieve.scripts" if way == Way::Deactivate => deactivate(finding, &mine),
        "managesieve.scripts" => script(finding, &mine),
        "imap.acl" => grant(finding, &mine),
        "imap.metadata" => annotation(finding, &mine),
        "imap.urlauth" => url_key(finding, &mine),
        "dovecot.sessions" => sessions(finding, observations),
        id if id.starts_with("postfix.") => table(finding, observations),
        id if id.starts_with("panel.") => panel_row(finding, observations),
        _ => by_hand(finding, "no edit of this surface is safe from here"),
    }
}

fn reference(finding: &Finding) -> FindingRef {
    FindingRef {
        fingerprint: finding.fingerprint.clone(),
        content_hash: finding.content_hash.clone(),
        check_id: finding.check_id.clone(),
        title: finding.title.clone(),
    }
}

fn by_hand(finding: &Finding, because: impl Into<String>) -> Planned {
    let remedy = &finding.remediation;
    Planned::ByHand(Box::new(ByHand {
        finding: reference(finding),
        because: because.into(),
        command: remedy.command.clone(),
        revert: remedy.revert.clone(),
        side_effects: remedy.side_effects.clone(),
        regenerated_by: remedy.regenerated_by.clone(),
    }))
}

fn nothing(finding: &Finding, because: &str) -> Planned {
    Planned::Nothing { finding: reference(finding), because: because.to_owned() }
}

fn change(finding: &Finding, object: Object, states: (State, State), effect: String, diff: String) -> Change {
    let side_effects = Some(finding.remediation.side_effects.clone()).filter(|text| !text.is_empty());
    Change {
        finding: reference(finding),
        object,
        before: states.0,
        after: states.1,
        effect,
        diff,
        side_effects: side_effects.into_iter().collect(),
        regenerated_by: finding.remediation.regenerated_by.clone(),
    }
}

// --- Sieve ----------------------------------------------------------------------------------------------------------

fn script(finding: &Finding, seen: &[&Observation]) -> Planned {
    let locator = &finding.locator;
    let (Some(name), Some(span), Some(kind)) = (&locator.script, locator.span, finding.effects.first())
    else {
        return by_hand(finding, "the finding is about the script as a whole; read it, or use --deactivate");
    };
    let Some((source, dialect)) = seen.iter().find_map(|seen| source_of(seen, name)) else {
        return by_hand(finding, "the script was not read in this run");
    };
    let Some(dialect) = dialect else {
        return by_hand(
            finding,
            "the server does not say which Sieve engine it runs, so no edit can be proved",
        );
    };
    let kind = if kind == "hide" { hiding_kind(source, span) } else { kind.as_str() };
    match switch_off(source, dialect, span, kind) {
        Outcome::Dead => nothing(finding, "the rule is switched off already"),
        Outcome::Refused(why) => by_hand(finding, why.to_string()),
        Outcome::Edited(edited) => {
            let object = Object::Script { mailbox: finding.mailbox.clone(), name: name.clone() };
            let diff = unified(source, &edited.source);
            let effect = format!(
                "the {kind} at line {} of script \"{name}\" stops ({}); every other effect stays as it is, \
                 proved by analysing the new script",
                locator.line.unwrap_or_default(),
                edited.method.name()
            );
            let states = (State::Script { source: source.to_vec() }, State::Script { source: edited.source });
            let plan = change(finding, object, states, effect, diff);
            Planned::Change(Box::new(Change { side_effects: edited.side_effects, ..plan }))
        }
    }
}

/// A hiding finding names its effect in plain words; the command at the place tells which it is.
fn hiding_kind(source: &[u8], span: (usize, usize)) -> &'static str {
    let command = String::from_utf8_lossy(source.get(span.0..span.1).unwrap_or_default()).to_lowercase();
    if command.trim_start().starts_with("discard") { "discard" } else { "fileinto" }
}

fn source_of<'a>(seen: &'a Observation, wanted: &str) -> Option<(&'a [u8], Option<Dialect>)> {
    let Fact::SieveScript { name, source, implementation, .. } = &seen.fact else { return None };
    (name == wanted).then(|| (source.as_slice(), dialect(implementation)))
}

fn dialect(implementation: &str) -> Option<Dialect> {
    let name = implementation.to_lowercase();
    [("pigeonhole", Dialect::Pigeonhole), ("cyrus", Dialect::Cyrus), ("stalwart", Dialect::Stalwart)]
        .into_iter()
        .find_map(|(server, dialect)| name.contains(server).then_some(dialect))
}

fn deactivate(finding: &Finding, seen: &[&Observation]) -> Planned {
    let active = seen.iter().find_map(|seen| match &seen.fact {
        Fact::SieveScript { name, active: true, .. } => Some(name.clone()),
        _ => None,
    });
    let Some(active) = active else { return nothing(finding, "no script of the mailbox is active") };
    let effect = format!("no Sieve script of {} runs any more; \"{active}\" stays stored", finding.mailbox);
    let object = Object::ActiveScript { mailbox: finding.mailbox.clone() };
    let diff = format!("-active script: {active}\n+active script: none\n");
    let states = (State::Active { name: Some(active) }, State::Active { name: None });
    let plan = change(finding, object, states, effect, diff);
    let stops = "every rule of the script stops, filing and automatic answers included".to_owned();
    Planned::Change(Box::new(Change { side_effects: vec![stops], ..plan }))
}

// --- grants and annotations -----------------------------------------------------------------------------------------

fn grant(finding: &Finding, seen: &[&Observation]) -> Planned {
    let (Some(folder), Some(key)) = (&finding.locator.folder, &finding.locator.key) else {
        return by_hand(finding, "the finding names no entry");
    };
    if key.starts_with('#') {
        return by_hand(finding, "the entry is set for the whole server, not in the mailbox");
    }
    if key.starts_with('-') {
        return by_hand(finding, "removing an entry that takes rights away would give them back");
    }
    let rows: Vec<AclRow> = seen.iter().filter_map(|seen| row_of(seen, folder)).collect();
    let Some(row) = rows.iter().find(|row| row.identifier == *key) else {
        return nothing(finding, "the entry is not in the list any more");
    };
    let object = Object::Acl { mailbox: finding.mailbox.clone(), folder: folder.clone() };
    let kept = rows.iter().filter(|row| row.identifier != *key).cloned().collect();
    let diff = format!("-{} {}\n", row.identifier, row.rights);
    let effect = format!("{key} loses the rights {} on folder \"{folder}\"", row.rights);
    let states = (State::acl(rows.clone()), State::acl(kept));
    Planned::Change(Box::new(change(finding, object, states, effect, diff)))
}

fn row_of(seen: &Observation, wanted: &str) -> Option<AclRow> {
    let Fact::AclEntry { folder, identifier, rights } = &seen.fact else { return None };
    let sign = if identifier.negative { "-" } else { "" };
    let row = AclRow { identifier: format!("{sign}{}", identifier.name), rights: rights.clone() };
    (folder == wanted).then_some(row)
}

fn annotation(finding: &Finding, seen: &[&Observation]) -> Planned {
    let (Some(folder), Some(entry)) = (&finding.locator.folder, &finding.locator.key) else {
        return by_hand(finding, "the finding names no annotation");
    };
    let value = seen.iter().find_map(|seen| match &seen.fact {
        Fact::Metadata { folder: at, entry: name, value } if at == folder && name == entry => {
            Some(value.clone())
        }
        _ => None,
    });
    let Some(value) = value else { return nothing(finding, "the annotation is not set any more") };
    let object =
        Object::Annotation { mailbox: finding.mailbox.clone(), folder: folder.clone(), entry: entry.clone() };
    let effect = if entry.to_lowercase().ends_with("/script") {
        format!("{entry} is unset, so script \"{value}\" no longer runs when mail is stored")
    } else {
        format!("{entry} is unset")
    };
    let diff = format!("-{entry} {value}\n");
    let states = (State::Annotation { value: Some(value) }, State::Annotation { value: None });
    Planned::Change(Box::new(change(finding, object, states, effect, diff)))
}

// --- tables ---------------------------------------------------------------------------------------------------------

/// The text and the table of a finding about an entry of an indexed table, as it would be built again.
pub fn table_text(finding: &Finding) -> Option<(String, String)> {
    let file = finding.locator.file.as_deref()?;
    let spec = file.strip_prefix("proxy:").unwrap_or(file);
    let (kind, path) = spec.split_once(':')?;
    let is_plain =
        ["hash", "btree", "lmdb", "cdb", "texthash", "dbm", "sdbm"].contains(&kind) && path.starts_with('/');
    let prefix = if finding.surface.id == "postfix.alias_maps" { "aliases " } else { "" };
    (is_plain && finding.locator.line.is_some()).then(|| (path.to_owned(), format!("{prefix}{spec}")))
}

pub(crate) fn dialect_of(table: &str) -> Text {
    if table.starts_with("aliases ") { Text::Aliases } else { Text::Table }
}

/// Whether a row's table is the one that a text is built into.
pub(crate) fn is_table(row: &str, table: &str, path: &str) -> bool {
    let spec = row.strip_prefix("proxy:").unwrap_or(row);
    spec == table.strip_prefix("aliases ").unwrap_or(table) && spec.ends_with(path)
}

fn table(finding: &Finding, seen: &[Observation]) -> Planned {
    let Some((path, table)) = table_text(finding) else {
        return by_hand(finding, "only entries of indexed tables with a text are changed from here");
    };
    let text = seen.iter().find_map(|seen| match &seen.fact {
        Fact::TableText { path: at, source } if *at == path => Some(source),
        _ => None,
    });
    let (Some(text), Some(key)) = (text, &finding.locator.key) else {
        return by_hand(finding, "the text of the table was not read in this run");
    };
    let waits = |seen: &Observation| match &seen.fact {
        Fact::MapEntry { table: row, pending: true, .. } => is_table(row, &table, &path),
        _ => false,
    };
    if seen.iter().any(waits) {
        return by_hand(
            finding,
            "the text holds other changes that are not built yet and would come into force",
        );
    }
    let target = &finding.beneficiary.value;
    let edited = match without(text, dialect_of(&table), key, target) {
        Ok(edited) => edited,
        Err(refusal) => return by_hand(finding, refusal.why()),
    };
    let diff = unified(text, &edited);
    let effect = format!("{target} is taken out of the entry {key} of {path}, and the table is built again");
    let object = Object::TableText { mailbox: finding.mailbox.clone(), path, table };
    let states = (State::TableText { source: text.clone() }, State::TableText { source: edited });
    Planned::Change(Box::new(change(finding, object, states, effect, diff)))
}

// --- rows of panels -------------------------------------------------------------------------------------------------

/// The panel, the query and the key of a finding about a row.
pub fn panel_row_of(finding: &Finding) -> Option<(&str, &str, &str)> {
    let (panel, query) = finding.locator.file.as_deref()?.rsplit_once(": ")?;
    Some((panel, query, finding.locator.key.as_deref()?))
}

fn panel_row(finding: &Finding, seen: &[Observation]) -> Planned {
    let Some((panel, query, key)) = panel_row_of(finding) else {
        return by_hand(finding, "the finding names no row");
    };
    let cells = seen.iter().find_map(|seen| match &seen.fact {
        Fact::PanelCells { panel: of, key: at, place, cells }
            if of == panel && at == key && place.query == query =>
        {
            Some((place, cells))
        }
        _ => None,
    });
    let Some((place, cells)) = cells else {
        return by_hand(
            finding,
            "rows of this kind are not changed from here, or the panel has no `writer` in the configuration",
        );
    };
    let target = &finding.beneficiary.value;
    let after = match without_target(place, cells, target) {
        Ok(after) => after,
        Err(why) => return by_hand(finding, why),
    };
    let line = |sign: char, cells: &BTreeMap<String, String>| -> String {
        cells.iter().map(|(column, value)| format!("{sign}{column} = {value}\n")).collect()
    };
    let diff = line('-', cells) + &line('+', &after);
    let effect = if place.list.as_ref().is_some_and(|list| after.get(list) != cells.get(list)) {
        format!("{target} is taken out of the row {key} of {} in {panel}", place.table)
    } else {
        format!("the row {key} of {} in {panel} is switched off; it stays stored", place.table)
    };
    let (mailbox, panel, place) = (finding.mailbox.clone(), panel.to_owned(), place.clone());
    let object = Object::PanelRow { mailbox, panel, place };
    let states = (State::Row { cells: cells.clone() }, State::Row { cells: after });
    Planned::Change(Box::new(change(finding, object, states, effect, diff)))
}

// --- what cannot be brought back ------------------------------------------------------------------------------------

fn url_key(finding: &Finding, seen: &[&Observation]) -> Planned {
    let (Some(folder), Some(entry)) = (&finding.locator.folder, &finding.locator.key) else {
        return by_hand(finding, "the finding names no folder");
    };
    let has_key = seen.iter().any(|seen| match &seen.fact {
        Fact::Metadata { folder: at, entry: name, .. } => at == folder && name == entry,
        _ => false,
    });
    if !has_key {
        return nothing(finding, "the folder has no key any more");
    }
    let (mailbox, folder, entry) = (finding.mailbox.clone(), folder.clone(), entry.clone());
    let effect = format!("the key of folder \"{folder}\" is destroyed: every URL signed with it is void");
    let diff = format!("-{entry} (a key)\n");
    let object = Object::UrlKey { mailbox, folder, entry };
    Planned::Change(Box::new(change(finding, object, ended(), effect, diff)))
}

fn sessions(finding: &Finding, seen: &[Observation]) -> Planned {
    let mine = seen.iter().filter_map(|seen| match &seen.fact {
        Fact::Session { login, service, connections, .. } if login.eq_ignore_ascii_case(&finding.mailbox) => {
            Some(format!("-{connections} {service}\n"))
        }
        _ => None,
    });
    let diff: String = mine.collect();
    if diff.is_empty() {
        return nothing(finding, "no session of theirs is open any more");
    }
    let object = Object::Sessions { mailbox: finding.mailbox.clone() };
    let effect = format!("every open session of {} ends", finding.mailbox);
    let plan = change(finding, object, ended(), effect, diff);
    let again = "whoever still has a password that works logs in again: change it first".to_owned();
    Planned::Change(Box::new(Change { side_effects: vec![again], ..plan }))
}

fn ended() -> (State, State) {
    (State::Alive { alive: true }, State::Alive { alive: false })
}
