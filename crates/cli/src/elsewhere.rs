//! What is looked at beside the mail server itself: the databases of panels and webmails.

use std::collections::{BTreeMap, BTreeSet};

use mailwarden_collect::Harvest;
use mailwarden_evidence::Coverage;
use mailwarden_panels::{PanelPlan, QuerySet, RowStore, Source, built_in, collect};
use mailwarden_settings::{Panel, Settings};

use crate::failure::Failure;

/// Every panel of the configuration.
#[derive(Default)]
pub(crate) struct Elsewhere {
    panels: Vec<PanelPlan>,
}

impl Elsewhere {
    /// What the configuration names.
    pub(crate) fn of(settings: &Settings) -> Result<Self, Failure> {
        let panels = settings.panel.iter().map(|panel| plan(settings, panel)).collect::<Result<_, _>>()?;
        Ok(Self { panels })
    }

    /// The surfaces that their query sets cover.
    pub(crate) fn surfaces(&self) -> BTreeSet<&'static str> {
        self.panels.iter().flat_map(|panel| panel.set.surfaces()).collect()
    }

    /// Only what is wanted of it.
    pub(crate) fn only(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        self.panels.retain(|panel| panel.set.surfaces().into_iter().any(&wanted));
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.panels.is_empty()
    }

    /// Asks them one after the other: a panel's database is somebody else's work place.
    pub(crate) async fn collect(&self) -> Harvest {
        let mut harvest = Harvest::default();
        for panel in &self.panels {
            let seen = collect(panel).await;
            harvest.observations.extend(seen.observations);
            harvest.coverage.extend(seen.coverage);
            harvest.notes.extend(seen.notes);
        }
        harvest.coverage = worst_of_each(std::mem::take(&mut harvest.coverage));
        harvest
    }
}

/// One row for each surface: several panels cover it only together.
fn worst_of_each(rows: Vec<Coverage>) -> Vec<Coverage> {
    let mut by_surface: BTreeMap<String, Coverage> = BTreeMap::new();
    for row in rows {
        match by_surface.get_mut(&row.surface) {
            None => drop(by_surface.insert(row.surface.clone(), row)),
            Some(known) if known.state.is_complete() => *known = row,
            Some(known) if !row.state.is_complete() => {
                known.reason = format!("{}; {}", known.reason, row.reason);
            }
            Some(_) => {}
        }
    }
    by_surface.into_values().collect()
}

fn plan(settings: &Settings, panel: &Panel) -> Result<PanelPlan, Failure> {
    let name = panel.name.clone().unwrap_or_else(|| panel.kind.clone());
    let wrong = |why: String| Failure::Usage(format!("[[panel]] {name}: {why}"));
    let set = match &panel.queries {
        Some(path) => own_set(settings, path).map_err(&wrong)?,
        None => built_in(&panel.kind).ok_or_else(|| {
            wrong(format!(
                "no set of queries is called `{}`; known: postfixadmin, mailcow, modoboa, iredmail, roundcube, sogo, \
                 or name a file with `queries`",
                panel.kind
            ))
        })?,
    };
    let password = panel.password.as_ref().map(|secret| secret.read(&settings.directory)).transpose()?;
    let source = Source::parse(&panel.url, password).map_err(|error| wrong(error.to_string()))?;
    let mut plan = PanelPlan::new(name, set, source);
    plan.prefix.clone_from(&panel.prefix);
    plan.timeout = panel.timeout;
    Ok(plan)
}

/// How rows of a panel are changed.
pub(crate) struct Writer {
    /// What is known of its rows.
    pub(crate) plan: PanelPlan,
    source: Source,
}

impl Writer {
    /// The writer of a panel by its name; `None` where the configuration has none.
    pub(crate) fn of(settings: &Settings, name: &str) -> Result<Option<Self>, Failure> {
        let named = |panel: &&Panel| panel.name.as_ref().unwrap_or(&panel.kind) == name;
        let Some(panel) = settings.panel.iter().find(named) else { return Ok(None) };
        let Some(writer) = &panel.writer else { return Ok(None) };
        let password = writer.password.as_ref().map(|secret| secret.read(&settings.directory)).transpose()?;
        let source = Source::parse(&writer.url, password)
            .map_err(|error| Failure::Usage(format!("[[panel]] {name}: writer: {error}")))?;
        Ok(Some(Self { plan: plan(settings, panel)?, source }))
    }

    pub(crate) async fn open(&self) -> Result<RowStore, Failure> {
        let opened = RowStore::open(&self.plan.name, &self.source, self.plan.timeout).await;
        opened.map_err(|error| Failure::Ours(error.to_string()))
    }
}

fn own_set(settings: &Settings, path: &std::path::Path) -> Result<QuerySet, String> {
    let path = settings.resolve(path);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    QuerySet::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailwarden_evidence::CoverageState;

    #[test]
    fn a_surface_of_two_panels_is_whole_only_where_both_are() {
        let row = |state, reason: &str| Coverage {
            mailbox: "(system)".to_owned(),
            surface: "panel.rights".to_owned(),
            state,
            reason: reason.to_owned(),
            source: reason.to_owned(),
        };
        use CoverageState::{Collected, Error, Partial};
        let worst = |rows: Vec<Coverage>| worst_of_each(rows).remove(0);
        assert_eq!(worst(vec![row(Collected, ""), row(Error, "gone")]).state, Error);
        assert_eq!(worst(vec![row(Error, "gone"), row(Collected, "")]).state, Error);
        assert_eq!(worst(vec![row(Error, "a"), row(Partial, "b")]).reason, "a; b");
        assert_eq!(worst_of_each(vec![row(Collected, ""), row(Collected, "")]).len(), 1);
    }
}
