use insta::assert_snapshot;
use mailwarden_report::{Format, TextStyle};

use crate::fixture::{report, sealed};
use crate::{styled, written};

#[test]
fn text_at_eighty_columns() {
    assert_snapshot!(written(&report(), Format::Text));
}

#[test]
fn text_at_thirty_two_columns() {
    assert_snapshot!(styled(&report(), Format::Text, TextStyle { width: 32, colour: false }));
}

#[test]
fn text_in_colour_says_the_same() {
    let coloured = styled(&report(), Format::Text, TextStyle { width: 80, colour: true });
    assert!(coloured.contains("\u{1b}["));
    assert_eq!(without_colour(&coloured), written(&report(), Format::Text));
}

fn without_colour(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[test]
fn json() {
    assert_snapshot!(written(&report(), Format::Json));
}

#[test]
fn jsonl() {
    assert_snapshot!(written(&report(), Format::Jsonl));
}

#[test]
fn csv() {
    assert_snapshot!(written(&report(), Format::Csv).replace("\r\n", "\n"));
}

#[test]
fn html() {
    assert_snapshot!(without_style_and_script(&written(&report(), Format::Html)));
}

#[test]
fn html_of_a_run_that_saw_nothing() {
    assert_snapshot!(without_style_and_script(&written(&sealed(vec![], vec![]), Format::Html)));
}

/// The golden shows the page; style and script are files of their own.
fn without_style_and_script(page: &str) -> String {
    let page = emptied(page, "<style>", "</style>");
    emptied(&emptied(&page, "<script>", "</script>"), "content=\"default-src", "\"")
}

fn emptied(page: &str, open: &str, close: &str) -> String {
    match page.split_once(open) {
        None => page.to_owned(),
        Some((before, rest)) => {
            let (_, after) = rest.split_once(close).unwrap();
            format!("{before}{open}...{close}{after}")
        }
    }
}
