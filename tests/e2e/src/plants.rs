//! A population against the report of a sweep.

use mailwarden_lab::population::{Expected, Population};
use serde_json::Value;

/// Records of the policy for all mailboxes of a population.
#[must_use]
pub fn records(population: &Population) -> String {
    let record = |(login, _): &(String, String)| {
        format!(
            "[[mailbox]]\naddress = \"{login}\"\nkind = \"human\"\nbusiness_owner = \"jane@example.test\"\n\n"
        )
    };
    population.users.iter().map(record).collect()
}

/// Whether every plant was found where it is, and nothing besides.
///
/// # Errors
/// Says which plant was not found, or what nobody planted.
pub fn found_and_nothing_else(report: &Value, plants: &[Expected]) -> Result<(), String> {
    let mut unexplained: Vec<&Value> =
        report["findings"].as_array().map_or(Vec::new(), |all| all.iter().collect());
    for plant in plants {
        let Some(at) = unexplained.iter().position(|finding| fits(finding, plant)) else {
            return Err(format!("not found: {plant:#?}\n{unexplained:#?}"));
        };
        unexplained.remove(at);
    }
    if unexplained.is_empty() { Ok(()) } else { Err(format!("nobody planted: {unexplained:#?}")) }
}

/// Whether a finding points exactly at a plant.
fn fits(finding: &Value, plant: &Expected) -> bool {
    let text = |wanted: &Option<String>, found: &Value| match wanted {
        Some(wanted) => found == wanted.as_str(),
        None => true,
    };
    let of_table = plant.surface.starts_with("postfix.");
    let locator = &finding["locator"];
    (of_table || finding["mailbox"] == plant.mailbox.as_str())
        && finding["surface"]["id"] == plant.surface
        && text(&plant.script, &locator["script"])
        && text(&plant.folder, &locator["folder"])
        && text(&plant.file, &locator["file"])
        && text(&plant.key, &locator["key"])
        && plant.line.is_none_or(|line| locator["line"] == line)
}
