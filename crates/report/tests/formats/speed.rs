use std::time::Duration;

use mailwarden_evidence::CoverageState;
use mailwarden_judge::{Finding, Report, Severity};
use mailwarden_lab::processor;
use mailwarden_report::Format;

use crate::fixture::{finding, sealed, seen};
use crate::{markup, written};

/// Findings in a thousand mailboxes, and half of the mailboxes unseen on one surface.
fn large(findings: usize) -> Report {
    let severities = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];
    let mailbox = |at: usize| format!("user{}@example.org", at % 1_000);
    let one = |at: usize| Finding {
        mailbox: mailbox(at),
        ..finding(&format!("{at:06x}"), severities[at % 5], "Mail is forwarded outside")
    };
    let gaps = (0..500).map(|at| seen(&mailbox(at), "imap.acl", CoverageState::Denied, "NOPERM"));
    sealed((0..findings).map(one).collect(), gaps.collect())
}

#[test]
fn a_large_page_is_whole() {
    let html = written(&large(500), Format::Html);
    let page = markup::read(&html).unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(page.elements.iter().filter(|name| *name == "article").count(), 501);
}

/// The slower tier runs this in a debug build, which has ten times as long.
#[test]
#[cfg_attr(debug_assertions, ignore = "slow: a second per format in a debug build")]
fn five_thousand_findings_are_written_within_a_second() {
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
    let report = large(5_000);
    for format in Format::ALL {
        let (bytes, taken) = processor::spent(|| written(&report, format).len());
        println!("{format:5} {bytes:9} bytes in {taken:?}");
        assert!(taken < limit, "{format} took {taken:?}");
    }
}
