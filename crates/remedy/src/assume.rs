//! What a run would have seen had a change been made before it.

use mailwarden_evidence::{Fact, Observation, RowPlace};

use crate::Change;
use crate::object::{Object, State};
use crate::plan::{dialect_of, is_table};
use crate::table::value_of;

/// Puts a change's outcome into the observations it was planned from, so that a second change of the same object is
/// planned on top of it and that the judgement can be asked again before anything is touched.
pub fn assume(observations: &mut Vec<Observation>, change: &Change) {
    let mine = change.object.mailbox().to_lowercase();
    observations.retain_mut(|seen| match (&seen.fact, &change.object) {
        // Sessions are a fact of the mail system, whoever they belong to.
        (Fact::Session { login, .. }, Object::Sessions { .. }) => login.to_lowercase() != mine,
        // So are tables.
        (Fact::MapEntry { .. } | Fact::TableText { .. }, Object::TableText { .. }) => {
            keeps(&mut seen.fact, &change.object, &change.after)
        }
        (Fact::PanelRow { .. } | Fact::PanelCells { .. }, Object::PanelRow { .. }) => {
            keeps(&mut seen.fact, &change.object, &change.after)
        }
        _ => seen.mailbox.to_lowercase() != mine || keeps(&mut seen.fact, &change.object, &change.after),
    });
}

/// Changes one fact; false where it is no longer one.
fn keeps(fact: &mut Fact, object: &Object, after: &State) -> bool {
    match (fact, object, after) {
        (
            Fact::MapEntry { table, key, result, .. },
            Object::TableText { table: changed, path, .. },
            State::TableText { source },
        ) if is_table(table, changed, path) => {
            let now = value_of(source, dialect_of(changed), key);
            now.is_some_and(|now| {
                *result = now;
                true
            })
        }
        (
            Fact::TableText { path, source },
            Object::TableText { path: changed, .. },
            State::TableText { source: new },
        ) if path == changed => {
            source.clone_from(new);
            true
        }
        (
            Fact::PanelRow { panel, query, owner, target, active, key, .. },
            Object::PanelRow { panel: changed, place, .. },
            State::Row { cells },
        ) if panel == changed && *query == place.query && is_row(place, [owner, target, key]) => {
            *active &= !cells.get(&place.switch).is_some_and(|switch| switch == "0" || switch == "false");
            let listed = place.list.as_ref().and_then(|list| cells.get(list));
            listed.is_none_or(|list| list.split(',').any(|one| one.trim().eq_ignore_ascii_case(target)))
        }
        (
            Fact::PanelCells { panel, place, cells, .. },
            Object::PanelRow { panel: changed, place: at, .. },
            State::Row { cells: new },
        ) if panel == changed && place == at => {
            cells.clone_from(new);
            true
        }
        (
            Fact::SieveScript { name, source, .. },
            Object::Script { name: changed, .. },
            State::Script { source: new },
        ) if name == changed => {
            source.clone_from(new);
            true
        }
        (
            Fact::SieveScript { name, active, .. },
            Object::ActiveScript { .. },
            State::Active { name: now },
        ) => {
            *active = now.as_ref() == Some(name);
            true
        }
        (
            Fact::AclEntry { folder, identifier, .. },
            Object::Acl { folder: changed, .. },
            State::Acl { rows },
        ) if folder == changed => {
            let sign = if identifier.negative { "-" } else { "" };
            rows.iter().any(|row| row.identifier == format!("{sign}{}", identifier.name))
        }
        (
            Fact::Metadata { folder, entry, .. },
            Object::Annotation { folder: changed, entry: named, .. },
            State::Annotation { value: None },
        )
        | (
            Fact::Metadata { folder, entry, .. },
            Object::UrlKey { folder: changed, entry: named, .. },
            State::Alive { alive: false },
        ) => folder != changed || entry != named,
        _ => true,
    }
}

/// Whether a row's owner, target or key is what names the place.
fn is_row(place: &RowPlace, names: [&str; 3]) -> bool {
    place.by.values().all(|value| names.contains(&value.as_str()))
}
