//! Lists that aliases include (aliases(5), `:include:`), each read once, wherever it leads.

use std::path::Path;

use mailwarden_evidence::Fact;

use super::look::{Look, Row};
use super::parameters::surface::ALIASES;
use super::source::LogicalLines;

/// Largest list.
const MAX_LIST: u64 = 64 * 1024 * 1024;
/// Most lists.
const MAX_LISTS: usize = 10_000;
/// How an entry names a list; the case does not matter.
const MARK: &str = ":include:";

/// Reads every list that the aliases seen so far include, and every list that those include.
pub(super) fn follow(look: &mut Look<'_>) {
    let mut waiting: Vec<String> = Vec::new();
    for seen in &look.harvest.observations {
        if let Fact::MapEntry { result, .. } = &seen.fact {
            waiting.extend(paths_in(result));
        }
    }
    while let Some(path) = waiting.pop() {
        if look.included.contains(&path) {
            continue;
        }
        if look.included.len() == MAX_LISTS {
            return look.gap(ALIASES, format!("lists beyond the first {MAX_LISTS}"));
        }
        look.included.insert(path.clone());
        match read(look, &path) {
            Ok(more) => waiting.extend(more),
            Err(gap) => look.gap(ALIASES, format!("{MARK}{path} ({gap})")),
        }
    }
}

/// One list; what it includes itself comes back.
fn read(look: &mut Look<'_>, path: &str) -> Result<Vec<String>, String> {
    if !path.starts_with('/') {
        return Err("the path is not absolute".to_owned());
    }
    let (bytes, is_long) =
        look.plan.files.read(Path::new(path), MAX_LIST).map_err(|error| error.to_string())?;
    let (table, mut more, mut entries) = (format!("{MARK}{path}"), Vec::new(), 0_usize);
    for line in LogicalLines::of(&bytes) {
        if look.left == 0 {
            return Err("rows beyond those that are taken in one run".to_owned());
        }
        entries += 1;
        more.extend(paths_in(&line.text));
        look.row(&Row {
            surface: ALIASES,
            parameter: "alias_maps",
            table: &table,
            key: &table,
            result: line.text.trim(),
            line: Some(line.number),
            pending: false,
            raw: line.text.as_bytes(),
            note: "",
        });
    }
    // That a list was read, and how much stood in it, is known of an empty one as well.
    let fact = Fact::Setting { name: table.clone(), value: format!("{entries} entries") };
    look.observe(ALIASES, fact, &bytes, &format!("{table}: {entries} entries"));
    if is_long { Err(format!("text beyond the first {MAX_LIST} bytes")) } else { Ok(more) }
}

/// The lists that a result names.
fn paths_in(result: &str) -> Vec<String> {
    let lower = result.to_ascii_lowercase();
    let starts = lower.match_indices(MARK).map(|(at, _)| at + MARK.len());
    let path = |at: usize| {
        let rest = &result[at..];
        let end = rest.find([',', '"', ' ', '\t']).unwrap_or(rest.len());
        rest[..end].to_owned()
    };
    starts.map(path).filter(|path| !path.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_named_in_any_case_and_in_quotes() {
        assert_eq!(paths_in("bob, :include:/a, \":Include:/b\" x"), ["/a", "/b"]);
        assert_eq!(paths_in("plain@a.test"), Vec::<String>::new());
        assert_eq!(paths_in(":include:\u{e9}, x"), ["\u{e9}"]);
    }
}
