//! The JSON Schema of a policy file, for editors.

use schemars::schema_for;

use crate::raw::RawFile;

/// The schema as JSON text, with a line end; `config/policy/schema.json` holds it.
pub fn json_schema() -> String {
    let mut schema = schema_for!(RawFile);
    schema.insert("title".to_owned(), "Mailwarden policy of one client".into());
    format!("{:#}\n", schema.as_value())
}
