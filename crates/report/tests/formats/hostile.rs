use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailwarden_judge::{Report, Severity};
use mailwarden_report::sanitise::is_hidden;
use mailwarden_report::{Format, TextStyle, write};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::fixture::{finding, hostile, report, sealed};
use crate::{markup, styled, written};

/// What strangers are known to write.
fn known_hostile() -> Vec<String> {
    let words = [
        "",
        ".",
        " ",
        "\n\n\r\n",
        "<script>alert(1)</script>",
        "</script><script>alert(1)</script>",
        "</style><img src=x onerror=alert(1)>",
        "\"onx=alert(1) x=\"",
        "'onx='alert(1)",
        "<!-- ",
        "]]>",
        "&lt;script&gt;",
        "javascript:alert(1)",
        "{{ 7*7 }}{% raw %}",
        "\u{1b}[2J\u{1b}]0;owned\u{7}\u{1b}[8m",
        "\u{9b}31m\u{90}\u{9c}\u{7f}\u{0}\u{8}\u{8}",
        "\u{202e}gnp.exe\u{2066}\u{2069}\u{200f}",
        "in\u{200b}box\u{feff}\u{2060}\u{e0041}",
        "a\u{2028}b\u{2029}c\u{85}d",
        "=HYPERLINK(\"http://x.example\")",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "\u{ff1d}1",
        "a,\"b\r\nc",
        "(system)",
    ];
    let long = [
        "W".repeat(10_240),
        "\u{202e}".repeat(10_240),
        "\u{53d7}".repeat(3_000),
        "e".to_owned() + &"\u{301}".repeat(5_000),
        "line\n".repeat(5_000),
    ];
    words.iter().map(ToString::to_string).chain(long).collect()
}

fn strangers_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::sample::select(known_hostile()),
        "[ -~]{0,300}",
        "[<>&\"'=a-z\u{1b}\u{202e}\u{9b}\r\n\t +@-]{0,80}",
    ]
}

fn is_plain(c: char) -> bool {
    c == '\n' || !is_hidden(c)
}

fn assert_text_is_harmless(report: &Report, width: usize) {
    let text = styled(report, Format::Text, TextStyle { width, colour: false });
    assert!(text.chars().all(is_plain), "{text:?}");
}

fn without_commands(mut report: Report) -> Report {
    for finding in &mut report.findings {
        finding.remediation.command.clear();
        finding.remediation.revert.clear();
    }
    report
}

fn assert_lines_fit(report: Report, width: usize) {
    let text = styled(&without_commands(report), Format::Text, TextStyle { width, colour: false });
    for line in text.lines() {
        assert!(line.chars().count() <= width.max(20), "{line:?} at {width}");
    }
}

/// The elements, attributes and scripts of a page must not depend on what strangers wrote.
fn assert_page_is_harmless(html: &str) {
    let page = markup::read(html).unwrap_or_else(|fault| panic!("{fault}"));
    assert!(html.chars().all(is_plain));
    assert_eq!(page.elements.iter().filter(|name| *name == "script").count(), 1);
    assert!(
        !page
            .elements
            .iter()
            .any(|name| matches!(name.as_str(), "img" | "iframe" | "link" | "object" | "image" | "use"))
    );
    // The paths of the one mailbox with an open finding: a picture of ours.
    assert!(page.elements.iter().filter(|name| *name == "svg").count() <= 1);
    for (name, value) in &page.attributes {
        assert!(!name.starts_with("on") && name != "style" && name != "src", "{name}={value}");
        assert!(name != "href" || value.starts_with('#'), "{value}");
    }
}

fn assert_cells_are_text(sheet: &str) {
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(sheet.as_bytes());
    let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), sheet.lines().count(), "a cell broke its line");
    for cell in rows.iter().flatten() {
        let first = cell.trim_start().chars().next();
        assert!(!first.is_some_and(|c| "=+-@\t\r\u{ff1d}".contains(c)), "{cell:?}");
        assert!(!cell.chars().any(is_hidden), "{cell:?}");
    }
}

fn assert_reads_back(report: &Report) {
    let document = written(report, Format::Json);
    assert!(document.ends_with("}\n") && document.chars().all(is_plain));
    let back: Report = serde_json::from_str(&document).unwrap();
    assert_eq!(serde_json::to_value(&back).unwrap(), serde_json::to_value(report).unwrap());
}

fn assert_lines_read_back(report: &Report) {
    let lines = written(report, Format::Jsonl);
    assert!(lines.chars().all(is_plain));
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).cloned().collect::<Vec<_>>();
    assert_eq!(of("run").len(), 1);
    assert_eq!(of("finding"), tagged("finding", &report.findings));
    assert_eq!(of("coverage"), tagged("coverage", &report.coverage));
}

fn tagged<T: serde::Serialize>(kind: &str, values: &[T]) -> Vec<serde_json::Value> {
    let tag = |value: &T| {
        let mut value = serde_json::to_value(value).unwrap();
        value["type"] = kind.into();
        value
    };
    values.iter().map(tag).collect()
}

#[test]
fn known_hostile_words_do_nothing_in_any_format() {
    for word in known_hostile() {
        let report = hostile(&word);
        [20, 47, 48, 80, 200].iter().for_each(|width| assert_text_is_harmless(&report, *width));
        assert_page_is_harmless(&written(&report, Format::Html));
        assert_cells_are_text(&written(&report, Format::Csv));
        assert_reads_back(&report);
        assert_lines_read_back(&report);
    }
}

#[test]
fn a_script_in_a_name_is_shown_as_text() {
    let html = written(&hostile("<script>alert(1)</script>\"onx=\""), Format::Html);
    assert!(!html.contains("<script>alert") && !html.contains("\"onx="));
    assert!(html.contains("<bdi>&#60;script&#62;alert(1)&#60;/script&#62;&#34;onx=&#34;</bdi>"));
}

#[test]
fn a_finding_names_the_command_that_plans_it_unless_its_fingerprint_is_made_up() {
    let plans = |fingerprint: &str| {
        let report = sealed(vec![finding(fingerprint, Severity::High, "A rule")], vec![]);
        [(Format::Text, "\n"), (Format::Html, "</bdi>")]
            .map(|(format, end)| written(&report, format).contains(&format!("revoke 3f9a1c40d2b76e88{end}")))
    };
    let fingerprint = "3f9a1c40d2b76e8815aa93c70f1e2d4b";
    assert_eq!(plans(fingerprint), [true, true]);
    assert_eq!(plans(&format!("{fingerprint};reboot")), [false, false]);
}

#[test]
fn a_long_word_is_cut_and_the_cut_is_told() {
    let word = "W".repeat(10_240);
    for format in [Format::Text, Format::Html] {
        let shown = written(&hostile(&word), format).replace(['\n', ' '], "");
        assert!(!shown.contains(&word[..2_001]), "{format}");
        assert!(shown.contains("...(8240morecharactersintheJSONreport)"), "{format}");
    }
}

#[test]
fn the_page_asks_for_nothing_and_allows_only_its_own_script() {
    let html = written(&report(), Format::Html);
    let page = markup::read(&html).unwrap();
    assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("url("));
    let policy = &page.attributes.iter().find(|(_, value)| value.starts_with("default-src")).unwrap().1;
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"));
    assert_eq!(page.raw.len(), 2);
    for (element, source) in &page.raw {
        let hash = STANDARD.encode(Sha256::digest(source));
        assert!(policy.contains(&format!("{element}-src 'sha256-{hash}'")), "{element}");
    }
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let mut full: &mut [u8] = &mut [0; 10];
    for format in Format::ALL {
        assert!(write(&report(), format, &mut full, &TextStyle::default()).is_err(), "{format}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn text_holds_no_control_characters_at_any_width(text in strangers_text(), width in 0_usize..=200) {
        let report = hostile(&text);
        assert_text_is_harmless(&report, width);
        assert_lines_fit(report, width);
    }

    #[test]
    fn pages_keep_their_shape(text in strangers_text()) {
        assert_page_is_harmless(&written(&hostile(&text), Format::Html));
    }

    #[test]
    fn cells_are_never_formulas(text in strangers_text()) {
        assert_cells_are_text(&written(&hostile(&text), Format::Csv));
    }

    #[test]
    fn json_reads_back_as_it_was(text in strangers_text()) {
        let report = hostile(&text);
        assert_reads_back(&report);
        assert_lines_read_back(&report);
    }
}
