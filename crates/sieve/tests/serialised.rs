//! The shape of the audit as JSON.
#![cfg(feature = "serde")]

use sieve_analysis::{Dialect, audit};

#[test]
fn the_audit_has_its_documented_shape() {
    let script = b"redirect \"a@x.example\";";
    let json = serde_json::to_value(audit(script, &[Dialect::Pigeonhole], true)).unwrap();
    assert_eq!(json["bytes"], 23);
    assert_eq!(json["covered_bytes"], 23);
    let analysis = &json["dialects"]["pigeonhole"];
    assert_eq!(analysis["accepted"], true);
    let effect = &analysis["effects"][0];
    assert_eq!(effect["kind"], "redirect");
    assert_eq!(effect["targets"], serde_json::json!(["a@x.example"]));
    assert_eq!(effect["form"], "exact");
    assert_eq!(effect["reach"], "always");
    assert_eq!(effect["local_copy"], "lost");
    assert_eq!(effect["span"], serde_json::json!({"start": 0, "end": 23, "line": 1, "column": 1}));
}
