//! The one way in which a value is written before it is hashed: RFC 8785 (JSON Canonicalization Scheme).
//!
//! Object members are sorted by the UTF-16 code units of their names, nothing stands between tokens, and
//! strings escape only what JSON demands. RFC 8785 §3.2.2.3 writes numbers as ECMAScript does; only integers
//! that a double represents exactly (I-JSON, RFC 7493 §2.2) are admitted here, for which that is plain
//! decimal. Anyone can therefore reproduce the bytes with any RFC 8785 library.

use serde_json::{Map, Number, Value};

use crate::error::EventError;

/// How deeply arrays and objects may be nested; the encoder recurses.
pub const MAX_DEPTH: usize = 64;

/// The largest integer every JSON reader agrees about: 2^53 - 1.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Writes `value` canonically.
///
/// # Errors
/// A number that is not a safe integer, or nesting beyond [`MAX_DEPTH`].
pub fn canonical_json(value: &Value) -> Result<String, EventError> {
    let mut out = String::new();
    write_value(&mut out, value, MAX_DEPTH)?;
    Ok(out)
}

/// Writes the value of a member of an object.
pub(crate) fn write_member(out: &mut String, value: &Value) -> Result<(), EventError> {
    write_value(out, value, MAX_DEPTH - 1)
}

fn write_value(out: &mut String, value: &Value, depth: usize) -> Result<(), EventError> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number)?,
        Value::String(text) => write_string(out, text),
        Value::Array(items) => write_array(out, items, deeper(depth)?)?,
        Value::Object(members) => write_object(out, members, deeper(depth)?)?,
    }
    Ok(())
}

fn deeper(depth: usize) -> Result<usize, EventError> {
    depth.checked_sub(1).ok_or(EventError::TooDeep(MAX_DEPTH))
}

fn write_number(out: &mut String, number: &Number) -> Result<(), EventError> {
    let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    match magnitude {
        Some(magnitude) if magnitude <= MAX_SAFE_INTEGER => out.push_str(&number.to_string()),
        _ => return Err(EventError::Number(number.to_string())),
    }
    Ok(())
}

fn write_array(out: &mut String, items: &[Value], depth: usize) -> Result<(), EventError> {
    out.push('[');
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        write_value(out, item, depth)?;
    }
    out.push(']');
    Ok(())
}

fn write_object(out: &mut String, members: &Map<String, Value>, depth: usize) -> Result<(), EventError> {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push('{');
    for (position, (name, value)) in sorted.into_iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        write_string(out, name);
        out.push(':');
        write_value(out, value, depth)?;
    }
    out.push('}');
    Ok(())
}

/// RFC 8785 §3.2.2.2: two-character escapes where JSON has them, `\u00xx` in lower case for the other
/// controls.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|character| matches!(character, '"' | '\\' | '\0'..'\u{20}')) {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        // What is escaped is ASCII: one byte.
        write_escaped(out, from.as_bytes()[0]);
        rest = &from[1..];
    }
    out.push_str(rest);
    out.push('"');
}

fn write_escaped(out: &mut String, byte: u8) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        0x8 => out.push_str("\\b"),
        b'\t' => out.push_str("\\t"),
        b'\n' => out.push_str("\\n"),
        0xc => out.push_str("\\f"),
        b'\r' => out.push_str("\\r"),
        control => out.push_str(&format!("\\u{control:04x}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn rfc_8785_section_3_2_3_sorts_by_utf16_code_units() {
        let value = json!({
            "\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7
        });
        let text = canonical_json(&value).unwrap();
        assert_eq!(
            text,
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn rfc_8785_section_3_2_2_2_escapes() {
        let value = json!("\u{20ac}$\u{f}\nA'B\"\\\\\"/\u{7f}");
        assert_eq!(canonical_json(&value).unwrap(), "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\"");
    }

    #[test]
    fn numbers_that_readers_disagree_about_are_refused() {
        assert_eq!(canonical_json(&json!(9_007_199_254_740_991_u64)).unwrap(), "9007199254740991");
        assert_eq!(canonical_json(&json!(-9_007_199_254_740_991_i64)).unwrap(), "-9007199254740991");
        assert!(matches!(canonical_json(&json!(9_007_199_254_740_992_u64)), Err(EventError::Number(_))));
        assert!(matches!(canonical_json(&json!(1.5)), Err(EventError::Number(_))));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(canonical_json(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(canonical_json(&nested(MAX_DEPTH + 1)), Err(EventError::TooDeep(MAX_DEPTH)));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_back_as_the_same_value_and_is_a_fixed_point(value in any_json()) {
            let text = canonical_json(&value).unwrap();
            let back: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&back, &value);
            prop_assert_eq!(canonical_json(&back).unwrap(), text);
        }
    }
}
