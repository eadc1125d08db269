//! The JSON Schema of a report.

use schemars::schema_for;
use serde_json::Value;

use crate::Report;

/// The JSON Schema (draft 2020-12) of a report and the findings in it.
pub fn schema() -> Value {
    schema_for!(Report).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{judged, script};

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/report-1.json");

    /// A change here changes what scripts rely on. `MAILWARDEN_REWRITE=1 cargo test -p mailwarden-judge schema`
    /// writes the file anew.
    #[test]
    fn the_schema_is_the_published_one() {
        let now = format!("{:#}\n", schema());
        if std::env::var_os("MAILWARDEN_REWRITE").is_some() {
            std::fs::write(GOLDEN, &now).unwrap();
        }
        assert_eq!(std::fs::read_to_string(GOLDEN).unwrap(), now, "see {GOLDEN}");
    }

    #[test]
    fn a_report_has_what_the_schema_requires_and_reads_back() {
        let report = judged(&[script("bob@example.test", "main", true, "redirect \"x@evil.example\";")], &[]);
        let value = serde_json::to_value(&report).unwrap();
        let schema = schema();
        for (object, required) in
            [(&value, &schema["required"]), (&value["findings"][0], &schema["$defs"]["Finding"]["required"])]
        {
            for name in required.as_array().unwrap() {
                assert!(object.get(name.as_str().unwrap()).is_some(), "{name}");
            }
        }
        let back: Report = serde_json::from_value(value).unwrap();
        assert_eq!(back.findings, report.findings);
    }
}
