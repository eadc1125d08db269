//! Taking one target out of a row of a panel's database, or switching the row off.

use std::collections::BTreeMap;

use mailwarden_evidence::RowPlace;

/// What the cells shall hold.
pub(crate) fn without(
    place: &RowPlace,
    cells: &BTreeMap<String, String>,
    target: &str,
) -> Result<BTreeMap<String, String>, &'static str> {
    let mut cells = cells.clone();
    if let Some(list) = &place.list {
        let text = cells.get(list).ok_or("the row has no list of targets")?;
        let left = taken_out(text, target).ok_or("the row does not hold the target any more")?;
        if !left.is_empty() {
            cells.insert(list.clone(), left);
            return Ok(cells);
        }
    }
    // A row that leads nowhere else is switched off with its target in it: an alias without targets bounces.
    let switch = cells.get(&place.switch).ok_or("the row has no switch")?;
    let off = match switch.as_str() {
        "1" => "0",
        "true" | "t" => "false",
        _ => return Err("the row is not in force, or its switch is not understood"),
    };
    cells.insert(place.switch.clone(), off.to_owned());
    Ok(cells)
}

/// A list without a target; everything else stays as it is written. `None` where it is not in the list.
fn taken_out(text: &str, target: &str) -> Option<String> {
    let is_it = |part: &&str| part.trim().eq_ignore_ascii_case(target);
    let parts: Vec<&str> = text.split(',').collect();
    let kept: Vec<&str> = parts.iter().filter(|part| !is_it(part)).copied().collect();
    let is_empty = kept.iter().all(|part| part.trim().is_empty());
    (kept.len() < parts.len()).then(|| if is_empty { String::new() } else { kept.join(",") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(goto: &str, active: &str) -> BTreeMap<String, String> {
        [("goto".to_owned(), goto.to_owned()), ("active".to_owned(), active.to_owned())].into()
    }

    fn place(list: bool) -> RowPlace {
        RowPlace {
            query: "alias".to_owned(),
            table: "alias".to_owned(),
            by: BTreeMap::new(),
            list: list.then(|| "goto".to_owned()),
            switch: "active".to_owned(),
            keep: Vec::new(),
        }
    }

    #[test]
    fn a_target_is_taken_out_and_the_last_one_switches_the_row_off() {
        let alias = |goto: &str, active: &str| without(&place(true), &cells(goto, active), "eve@evil.test");
        assert_eq!(alias("a@a.test,Eve@evil.test, b@a.test", "1"), Ok(cells("a@a.test, b@a.test", "1")));
        assert_eq!(alias("eve@evil.test", "1"), Ok(cells("eve@evil.test", "0")));
        assert_eq!(alias("eve@evil.test", "true"), Ok(cells("eve@evil.test", "false")));
        assert!(alias("a@a.test", "1").is_err() && alias("eve@evil.test", "0").is_err());
        assert!(alias("eve@evil.test", "yes").is_err(), "a switch that nobody knows is left alone");
        let whole = without(&place(false), &cells("x", "1"), "eve@evil.test");
        assert_eq!(whole, Ok(cells("x", "0")));
    }
}
