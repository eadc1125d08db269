//! Any bytes: nothing is lost, nothing panics, nothing takes long.

#![allow(clippy::unwrap_used, reason = "test code outside `#[test]` functions")]

mod corpus;
mod growth;
mod heavy;
mod promises;

use std::time::Duration;

use mailwarden_lab::processor;
use promises::holds;
use proptest::prelude::*;
use sieve_analysis::{Dialect, audit};

/// Of a processor, in a debug build; a quadratic step would take minutes.
const LONG: Duration = Duration::from_secs(20);

/// Words and marks of the language in any order, with some noise.
fn scriptlike() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "if ",
        "elsif ",
        "else ",
        "not ",
        "anyof",
        "allof",
        "true ",
        "false ",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        ",",
        ";",
        "redirect ",
        "keep",
        "stop",
        "set ",
        "require ",
        ":copy ",
        "\"variables\"",
        "\"a@x.example\"",
        "\"${a}\"",
        "\"a\"",
        "\"\\\\",
        "\"",
        "text:\n",
        ".\n",
        "/*",
        "*/",
        "**/",
        "# ",
        "\n",
        "\r",
        "string ",
        ":matches ",
        "\"*\"",
        "foreverypart ",
        "break",
        "ihave ",
        "include ",
        "return",
        "\u{e9}",
        "\0",
        "10K",
        "extracttext ",
        "global ",
        "\"${hex:24}{a}\"",
        "\"${:40}\"",
        "header ",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_bytes_hold(script in prop::collection::vec(any::<u8>(), 0..300)) {
        holds(&script);
    }

    #[test]
    fn any_sequence_of_words_holds(script in scriptlike()) {
        holds(&script);
    }
}

#[test]
fn bombs_end_soon() {
    let bombs = [
        "(",
        "[",
        "{",
        "}",
        "\"",
        "/*",
        "/***/",
        "not ",
        "if not ",
        "if true { ",
        "if anyof(true, ",
        "if (",
        ";",
        "keep;",
        "foreverypart { ",
        "a",
        ":a ",
        "text:\n",
        "elsif true {}",
        "if true {} else {}",
        "${",
        "\"${\"",
        "\\",
        "if header :contains \"a\" \"b\" { stop; }",
        "if header :matches \"a\" \"*\" { set \"a\" \"${1}\"; }",
        "set \"a\" \"${a}${a}x\";",
        "redirect \"a@x\";",
    ];
    for bomb in bombs {
        let prefix = "require [\"variables\", \"foreverypart\", \"encoded-character\"];";
        let script = format!("{prefix}{}", bomb.repeat(100_000.min(1_000_000 / bomb.len())));
        let ((), cost) = processor::spent(|| {
            let result = audit(script.as_bytes(), &[Dialect::Pigeonhole], true);
            assert_eq!(result.bytes, script.len());
        });
        assert!(cost < LONG, "{bomb:?} took {cost:?}");
    }
}

#[test]
fn more_effects_than_are_listed_are_unknown() {
    let script = "keep;".repeat(20_000);
    let result = audit(script.as_bytes(), &[Dialect::Pigeonhole], true);
    let analysis = &result.dialects[&Dialect::Pigeonhole];
    assert!(analysis.effects.len() < 17_000);
    assert_eq!(analysis.effects.last().map(|effect| effect.kind.name()), Some("unknown"));
    assert!(analysis.covered_bytes < script.len());
}

#[test]
fn one_string_full_of_openings_is_read_once() {
    for inside in ["${", "${hex:", "${hex:40 ", "${a", "\\\\", "${${hex:24}{"] {
        let script = format!(
            "require [\"variables\",\"encoded-character\"]; keep; redirect \"{}\";",
            inside.repeat(100_000)
        );
        let ((), cost) = processor::spent(|| drop(audit(script.as_bytes(), &Dialect::ALL, true)));
        assert!(cost < LONG, "{inside:?} took {cost:?}");
    }
}
