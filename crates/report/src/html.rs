//! One file for a browser: readable offline, printable, and deaf to whatever strangers wrote into it.
//!
//! The template never sees a bare string of the report. Every such value is a [`Shown`], which isolates,
//! escapes and writes out hidden characters, so a new line in the template cannot forget to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io;

use askama::Template;
use askama::filters::{Escaper, Html, HtmlSafe};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use mailwarden_evidence::{CoverageState, Evidence, SYSTEM};
use mailwarden_judge::{Finding, Report, Status, Verdict};
use sha2::{Digest, Sha256};

use crate::gaps::{Gap, by_cause};
use crate::graph::Graph;
use crate::phrases::{self, count, utc};
use crate::sanitise::{Piece, clipped, pieces, visible};
use crate::tally::{Tally, coverage_line, since_last_time, verdict_reason, verdict_word};

const STYLE: &str = include_str!("../templates/report.css");
const SCRIPT: &str = include_str!("../templates/report.js");

/// Findings listed on the first screen.
const MAX_FIRST: usize = 5;
/// Findings that are unfolded from the start; a reader sees at once what an entry holds.
const MAX_UNFOLDED: usize = 3;
/// Mailboxes whose paths are drawn; the worst come first.
const MAX_DRAWN: usize = 200;
/// Mailboxes that are named for one cause of a gap.
const MAX_NAMED: usize = 1_000;

pub(crate) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    // The template writes in small pieces.
    let mut buffered = io::BufWriter::new(out);
    Page::of(report).write_into(&mut buffered)?;
    io::Write::flush(&mut buffered)
}

/// A stranger's text in the page.
struct Shown<'a> {
    text: Cow<'a, str>,
    /// Whether line feeds break lines, as in excerpts and commands.
    lines: bool,
}

fn shown(text: &str) -> Shown<'_> {
    Shown { text: clipped(text), lines: false }
}

fn phrase<'a>(text: String) -> Shown<'a> {
    Shown { text: Cow::Owned(text), lines: false }
}

fn block(text: &str) -> Shown<'_> {
    Shown { text: clipped(text.trim_end()), lines: true }
}

fn shown_all(texts: &[String]) -> Vec<Shown<'_>> {
    texts.iter().map(|text| shown(text)).collect()
}

impl Shown<'_> {
    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether something had to be written out, so that what is shown is not what is there.
    fn is_altered(&self) -> bool {
        self.text.lines().any(|line| matches!(visible(line), Cow::Owned(_)))
    }

    fn write_piece(&self, f: &mut fmt::Formatter<'_>, piece: Piece<'_>) -> fmt::Result {
        match piece {
            Piece::Plain(plain) => Html.write_escaped_str(f, plain),
            Piece::Hidden('\n') if self.lines => f.write_str("\n"),
            Piece::Hidden(c) => write!(f, "<span class=\"hidden\">U+{:04X}</span>", u32::from(c)),
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<bdi>")?;
        pieces(&self.text).try_for_each(|piece| self.write_piece(f, piece))?;
        f.write_str("</bdi>")
    }
}

impl HtmlSafe for Shown<'_> {}

#[derive(Template)]
#[template(path = "report.html", whitespace = "minimize")]
struct Page<'a> {
    policy: String,
    style: &'static str,
    script: &'static str,
    verdict_class: &'static str,
    verdict_word: &'static str,
    verdict_reason: String,
    coverage_line: String,
    since: String,
    tally: Tally,
    meanings: Vec<(&'static str, &'static str)>,
    first: Vec<Entry<'a>>,
    groups: Vec<Group<'a>>,
    accepted: Vec<Entry<'a>>,
    resolved: Vec<Entry<'a>>,
    gaps: Vec<Unseen<'a>>,
    surfaces: Vec<SurfaceRow<'a>>,
    run: Run<'a>,
}

/// Findings of one mailbox.
struct Group<'a> {
    number: usize,
    mailbox: Shown<'a>,
    owner: Option<OwnerLine<'a>>,
    is_system: bool,
    total: String,
    /// Where its mail goes, where that is more than one step.
    graph: Option<Graph>,
    entries: Vec<Entry<'a>>,
}

struct OwnerLine<'a> {
    person: Shown<'a>,
    role: Shown<'a>,
    left: Option<String>,
}

struct Entry<'a> {
    number: usize,
    unfolded: bool,
    severity: &'static str,
    status: &'static str,
    state: &'static str,
    state_meaning: &'static str,
    confidence: &'static str,
    title: Shown<'a>,
    mailbox: Shown<'a>,
    owner: Option<OwnerLine<'a>>,
    is_system: bool,
    surface: Shown<'a>,
    tier: &'static str,
    place: Vec<(&'static str, Shown<'a>)>,
    path: Vec<Shown<'a>>,
    effects: Vec<Shown<'a>>,
    gainer: Shown<'a>,
    gainer_person: Option<Shown<'a>>,
    gainer_kind: &'static str,
    conditions: Shown<'a>,
    evidence: Vec<Proof<'a>>,
    /// What plans the removal.
    plan: Option<Shown<'a>>,
    command: Shown<'a>,
    revert: Shown<'a>,
    side_effects: Shown<'a>,
    regenerated_by: Vec<Shown<'a>>,
    attack: Vec<Shown<'a>>,
    check: Shown<'a>,
    fingerprint: Shown<'a>,
    first_seen: String,
    first_seen_at: i64,
    observed_use: Option<String>,
    exception: Option<Exception<'a>>,
}

struct Proof<'a> {
    excerpt: Shown<'a>,
    collector: Shown<'a>,
    sha256: Shown<'a>,
    observed: String,
}

struct Exception<'a> {
    reason: Shown<'a>,
    approver: Shown<'a>,
    expires: String,
}

/// One cause of gaps.
struct Unseen<'a> {
    surface: Shown<'a>,
    state: &'static str,
    why: Shown<'a>,
    source: Shown<'a>,
    next_step: &'static str,
    by_hand: &'static str,
    total: String,
    mailboxes: Vec<Shown<'a>>,
    unnamed: usize,
}

/// How far one surface was seen, over all mailboxes.
struct SurfaceRow<'a> {
    surface: Shown<'a>,
    numbers: [usize; COVERAGE_STATES.len()],
}

const COVERAGE_STATES: [CoverageState; 6] = [
    CoverageState::Collected,
    CoverageState::Unsupported,
    CoverageState::Partial,
    CoverageState::Denied,
    CoverageState::Error,
    CoverageState::Skipped,
];

struct Run<'a> {
    run_id: Shown<'a>,
    tool: Shown<'a>,
    schema: Shown<'a>,
    policy_digest: Shown<'a>,
    surfaces: Vec<Shown<'a>>,
    started: String,
    finished: String,
    seconds: i64,
}

impl<'a> Page<'a> {
    fn of(report: &'a Report) -> Self {
        let tally = Tally::of(report);
        let verdict = tally.verdict(report.verdict);
        let open = numbered(report.open_findings(), 0);
        let accepted =
            numbered(phrases::of_status(&report.findings, Status::Accepted).into_iter(), open.len());
        let before_resolved = open.len() + accepted.len();
        let resolved =
            numbered(phrases::of_status(&report.findings, Status::Resolved).into_iter(), before_resolved);
        Self {
            policy: content_security_policy(),
            style: STYLE,
            script: SCRIPT,
            verdict_class: verdict_class(verdict),
            verdict_word: verdict_word(verdict),
            verdict_reason: verdict_reason(report),
            coverage_line: coverage_line(&tally),
            since: since_last_time(&tally),
            meanings: phrases::SEVERITIES
                .map(|s| (phrases::severity_word(s), phrases::severity_meaning(s)))
                .into(),
            first: entries(report, &open[..open.len().min(MAX_FIRST)]),
            groups: groups(report, &open),
            accepted: entries(report, &accepted),
            resolved: entries(report, &resolved),
            gaps: by_cause(report).into_iter().map(unseen).collect(),
            surfaces: surface_rows(report),
            run: run(report),
            tally,
        }
    }

    fn coverage_words(&self) -> [&'static str; COVERAGE_STATES.len()] {
        COVERAGE_STATES.map(phrases::coverage_word)
    }
}

/// The policy allows exactly the style and the script that stand in the file, and no request at all.
fn content_security_policy() -> String {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; \
         base-uri 'none'; form-action 'none'",
        source_hash(STYLE),
        source_hash(SCRIPT)
    )
}

fn source_hash(source: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(source)))
}

fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Findings => "findings",
        Verdict::Incomplete => "unknown",
    }
}

/// Findings worst first with their numbers on the page, which begin after `before`.
fn numbered<'a>(findings: impl Iterator<Item = &'a Finding>, before: usize) -> Vec<(usize, &'a Finding)> {
    phrases::worst_first(findings).into_iter().zip(before + 1..).map(|(finding, at)| (at, finding)).collect()
}

fn entries<'a>(report: &Report, findings: &[(usize, &'a Finding)]) -> Vec<Entry<'a>> {
    findings.iter().map(|(at, finding)| entry(report, *at, finding)).collect()
}

/// Findings by mailbox, the mailbox with the worst finding first. `open` is sorted worst first, so the
/// order in which mailboxes occur in it is the order of their worst findings.
fn groups<'a>(report: &'a Report, open: &[(usize, &'a Finding)]) -> Vec<Group<'a>> {
    let mut order: BTreeMap<&str, usize> = BTreeMap::new();
    let mut members: Vec<Vec<(usize, &Finding)>> = Vec::new();
    for (at, finding) in open {
        let place = *order.entry(&finding.mailbox).or_insert(members.len());
        if place == members.len() {
            members.push(Vec::new());
        }
        members[place].push((*at, finding));
    }
    members.into_iter().enumerate().filter_map(|(at, members)| group(report, at + 1, &members)).collect()
}

fn group<'a>(report: &'a Report, number: usize, members: &[(usize, &'a Finding)]) -> Option<Group<'a>> {
    let (_, worst) = members.first()?;
    let owner = members.iter().find_map(|(_, finding)| owner_line(report, finding));
    Some(Group {
        number,
        mailbox: mailbox(&worst.mailbox),
        owner,
        is_system: worst.mailbox == SYSTEM,
        total: count(members.len(), "finding"),
        graph: drawn(number, members),
        entries: entries(report, members),
    })
}

fn drawn(number: usize, members: &[(usize, &Finding)]) -> Option<Graph> {
    let (_, worst) = members.first().filter(|_| number <= MAX_DRAWN)?;
    let paths = members.iter().map(|(_, finding)| finding.path.as_slice());
    Graph::of(&phrases::mailbox(&worst.mailbox), paths)
}

fn mailbox(mailbox: &str) -> Shown<'_> {
    if mailbox == SYSTEM { phrase(phrases::mailbox(mailbox)) } else { shown(mailbox) }
}

fn owner_line<'a>(report: &Report, finding: &'a Finding) -> Option<OwnerLine<'a>> {
    finding.owner.as_ref().map(|owner| OwnerLine {
        person: shown(&owner.person),
        role: shown(&owner.role),
        left: phrases::left(owner, report.finished),
    })
}

fn entry<'a>(report: &Report, number: usize, finding: &'a Finding) -> Entry<'a> {
    let place = phrases::place(&finding.locator).into_iter().map(|(label, value)| (label, phrase(value)));
    Entry {
        number,
        unfolded: number <= MAX_UNFOLDED,
        severity: phrases::severity_word(finding.severity),
        status: phrases::status_word(finding.status),
        state: phrases::state_word(finding.state),
        state_meaning: phrases::state_meaning(finding.state),
        confidence: phrases::confidence_word(finding.confidence),
        title: shown(&finding.title),
        mailbox: mailbox(&finding.mailbox),
        owner: owner_line(report, finding),
        is_system: finding.mailbox == SYSTEM,
        surface: shown(&finding.surface.id),
        tier: phrases::tier_meaning(finding.surface.tier),
        place: place.collect(),
        path: shown_all(&finding.path),
        effects: shown_all(&finding.effects),
        gainer: shown(&finding.beneficiary.value),
        gainer_person: finding.beneficiary.person.as_deref().map(shown),
        gainer_kind: phrases::kind_meaning(finding.beneficiary.kind),
        conditions: shown(&finding.conditions),
        evidence: finding.evidence.iter().map(proof).collect(),
        plan: phrases::planning_command(finding).map(phrase),
        command: block(&finding.remediation.command),
        revert: block(&finding.remediation.revert),
        side_effects: shown(&finding.remediation.side_effects),
        regenerated_by: shown_all(&finding.remediation.regenerated_by),
        attack: finding.attack.iter().map(|attack| phrase(phrases::attack(attack))).collect(),
        check: shown(&finding.check_id),
        fingerprint: shown(&finding.fingerprint),
        first_seen: utc(finding.first_seen),
        first_seen_at: finding.first_seen.timestamp(),
        observed_use: finding.observed_use.map(utc),
        exception: finding.suppression.as_ref().map(|exception| Exception {
            reason: shown(&exception.reason),
            approver: shown(&exception.approver),
            expires: phrases::day(exception.expires),
        }),
    }
}

fn proof(evidence: &Evidence) -> Proof<'_> {
    Proof {
        excerpt: Shown { text: Cow::Owned(phrases::excerpt(evidence)), lines: true },
        collector: shown(&evidence.collector),
        sha256: shown(&evidence.sha256),
        observed: utc(evidence.observed_at),
    }
}

fn unseen(gap: Gap<'_>) -> Unseen<'_> {
    let named = gap.mailboxes.iter().take(MAX_NAMED);
    Unseen {
        surface: shown(gap.surface),
        state: phrases::coverage_word(gap.state),
        why: if gap.reason.is_empty() { phrase(gap.why().to_owned()) } else { shown(gap.reason) },
        source: shown(gap.source),
        next_step: gap.next_step(),
        by_hand: gap.by_hand(),
        total: phrases::mailboxes(gap.mailboxes.len()),
        mailboxes: named.map(|name| mailbox(name)).collect(),
        unnamed: gap.mailboxes.len().saturating_sub(MAX_NAMED),
    }
}

fn surface_rows(report: &Report) -> Vec<SurfaceRow<'_>> {
    let mut rows: BTreeMap<&str, [usize; COVERAGE_STATES.len()]> = BTreeMap::new();
    for coverage in &report.coverage {
        let numbers = rows.entry(&coverage.surface).or_default();
        let at = COVERAGE_STATES.iter().position(|state| *state == coverage.state);
        at.into_iter().for_each(|at| numbers[at] += 1);
    }
    rows.into_iter().map(|(surface, numbers)| SurfaceRow { surface: shown(surface), numbers }).collect()
}

fn run(report: &Report) -> Run<'_> {
    Run {
        run_id: shown(&report.run_id),
        tool: shown(&report.tool),
        schema: shown(&report.schema),
        policy_digest: shown(&report.policy_digest),
        surfaces: shown_all(&report.surfaces),
        started: utc(report.started),
        finished: utc(report.finished),
        seconds: seconds_between(report.started, report.finished),
    }
}

fn seconds_between(from: DateTime<Utc>, to: DateTime<Utc>) -> i64 {
    (to - from).num_seconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_text_is_isolated_escaped_and_written_out() {
        let name = shown("<b>\u{202e}&\"'\n");
        let expected = "<bdi>&#60;b&#62;<span class=\"hidden\">U+202E</span>&#38;&#34;&#39;\
                        <span class=\"hidden\">U+000A</span></bdi>";
        assert_eq!(name.to_string(), expected);
        assert!(name.is_altered());
    }

    #[test]
    fn excerpts_keep_their_lines() {
        let excerpt = block("a\nb\r\n");
        assert_eq!(excerpt.to_string(), "<bdi>a\nb</bdi>");
        assert!(!excerpt.is_altered());
    }

    #[test]
    fn style_and_script_cannot_end_their_own_element() {
        assert!(!STYLE.contains('<') && !SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
    }
}
