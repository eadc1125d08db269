//! A stranger chooses the header; the time it takes must not depend on how it is nested.

use std::time::{Duration, Instant};

use mailwarden_address::{MAX_HEADER_VALUE, MAX_READINGS, display_name_addresses, read_address_header};

/// An optimised build needs some 10 ms for the worst of them, an unoptimised one some 300 ms; quadratic work
/// on 60,000 bytes would need minutes.
const GENEROUS: Duration = Duration::from_secs(3);

fn filled(piece: &str) -> Vec<u8> {
    piece.bytes().cycle().take(MAX_HEADER_VALUE).collect()
}

fn nested(open: &str, close: &str) -> Vec<u8> {
    let depth = MAX_HEADER_VALUE / (open.len() + close.len());
    format!("{}{}", open.repeat(depth), close.repeat(depth)).into_bytes()
}

fn hostile_values() -> Vec<Vec<u8>> {
    let pieces = [
        "<",
        ">",
        "(",
        ")",
        "\"",
        "\\",
        "=?",
        "?=",
        "@",
        ".",
        ",",
        ":",
        ";",
        "%",
        "!",
        "[",
        " ",
        "\n ",
        "\0",
        "a@",
        "@a.",
        "a@b.c ",
        "a%b.c",
        "b.c!a",
        "\"@",
        "\\\"",
        "(\"",
        "=?a?q?",
        "=?a?q?x ",
        "=?utf-8?b?=?",
        "=?q?q?=?=",
        "=?utf-8?q?=3D?= ",
        "<a@b.c>",
        "ü",
        "@ü.",
        "\u{200b}",
        "\u{ff20}a.b",
        "x",
        "x.",
        "=?utf-8?q?=40(\"a\")\n \u{200b}\u{ff20}ü . ?=",
        "@-.",
        "a.b%",
        "!a.b",
        "a.b!",
        "@a.b!",
        "@[",
        "\"a@",
        "\r",
        "\n",
        "\u{202e}@",
    ];
    let mut values: Vec<Vec<u8>> = pieces.iter().map(|piece| filled(piece)).collect();
    values.extend([nested("(", ")"), nested("<", ">"), nested("\"(", ")\""), nested("(@", ")a.b")]);
    values.extend([b"\xff".repeat(MAX_HEADER_VALUE), b"\xff@\xfc.".repeat(MAX_HEADER_VALUE / 4)]);
    values.push(b"@\xff(\"=?utf-8?q?=40\\\0\n )".repeat(MAX_HEADER_VALUE / 24));
    values
}

#[test]
fn no_value_takes_long() {
    let mut slowest = (Duration::ZERO, String::new());
    for value in hostile_values() {
        let start = Instant::now();
        let reading = read_address_header("From", &value);
        let took = start.elapsed();
        let shown = display_name_addresses(&value);
        assert!(reading.readings.len().max(shown.len()) <= MAX_READINGS);
        assert!(start.elapsed() < GENEROUS, "{:?} {took:?}", String::from_utf8_lossy(&value[..40]));
        if took > slowest.0 {
            slowest = (took, String::from_utf8_lossy(&value[..40]).into_owned());
        }
    }
    println!("slowest: {slowest:?}");
}
