//! Any bytes: nothing is lost, nothing panics, nothing takes long.

use proptest::prelude::*;
use sieve_analysis::lexer::tokenize;
use sieve_analysis::{Dialect, EffectKind, LineIndex, audit};
use std::time::{Duration, Instant};

/// Debug builds on a busy machine included; a quadratic step would take minutes.
const LONG: Duration = Duration::from_secs(20);

fn joined(script: &[u8], dialect: Dialect) -> Vec<u8> {
    tokenize(script, dialect).iter().flat_map(|token| token.bytes(script).iter().copied()).collect()
}

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

fn holds(script: &[u8]) {
    let result = audit(script, &Dialect::ALL, true);
    for (dialect, analysis) in &result.dialects {
        assert_eq!(joined(script, *dialect), script, "{dialect}");
        assert!(analysis.covered_bytes <= script.len());
        let unknown = analysis.effects.iter().any(|effect| effect.kind == EffectKind::Unknown);
        assert_eq!(analysis.covered_bytes < script.len(), unknown, "{dialect}: uncovered bytes are reported");
        for effect in &analysis.effects {
            assert!(effect.span.start <= effect.span.end && effect.span.end <= script.len());
            let place = LineIndex::new(script).position(effect.span.start);
            assert_eq!(place, (effect.span.line, effect.span.column));
        }
    }
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
        let begun = Instant::now();
        let result = audit(script.as_bytes(), &[Dialect::Pigeonhole], true);
        assert!(begun.elapsed() < LONG, "{bomb:?} took {:?}", begun.elapsed());
        assert_eq!(result.bytes, script.len());
    }
}

#[test]
fn one_string_full_of_openings_is_read_once() {
    for inside in ["${", "${hex:", "${hex:40 ", "${a", "\\\\", "${${hex:24}{"] {
        let script = format!(
            "require [\"variables\",\"encoded-character\"]; keep; redirect \"{}\";",
            inside.repeat(100_000)
        );
        let begun = Instant::now();
        let _ = audit(script.as_bytes(), &Dialect::ALL, true);
        assert!(begun.elapsed() < LONG, "{inside:?} took {:?}", begun.elapsed());
    }
}
