//! What an admin reads at three in the morning: is it clean, what is worst, what to do, how to undo it.

use std::io;

use anstyle::{AnsiColor, Style};
use mailwarden_evidence::SYSTEM;
use mailwarden_judge::{Finding, Report, Severity, Status, Verdict};

use crate::gaps::{Gap, by_cause};
use crate::page::{Page, TextStyle};
use crate::phrases::{self, utc};
use crate::sanitise::clipped;
use crate::summary_line;
use crate::tally::{Tally, coverage_line};

/// Mailboxes that a gap names before it says how many more there are.
const MAX_NAMED: usize = 12;

pub(crate) fn write(report: &Report, out: &mut dyn io::Write, style: &TextStyle) -> io::Result<()> {
    let page = &mut Page::new(out, style);
    verdict(page, report)?;
    findings(page, report)?;
    accepted(page, report)?;
    resolved(page, report)?;
    could_not_look(page, report)
}

fn verdict(page: &mut Page<'_>, report: &Report) -> io::Result<()> {
    let tally = Tally::of(report);
    page.paragraph(verdict_style(tally.verdict(report.verdict)), &summary_line(report))?;
    page.blank()?;
    page.paragraph(Style::new(), &run_line(report))?;
    page.paragraph(Style::new(), &coverage_line(&tally))?;
    match since_line(&tally) {
        Some(line) => page.paragraph(Style::new(), &line),
        None => Ok(()),
    }
}

fn verdict_style(verdict: Verdict) -> Style {
    let colour = match verdict {
        Verdict::Clean => AnsiColor::Green,
        Verdict::Findings => AnsiColor::Red,
        Verdict::Incomplete => AnsiColor::Yellow,
    };
    colour.on_default().bold()
}

fn run_line(report: &Report) -> String {
    let surfaces = if report.surfaces.is_empty() { "none".to_owned() } else { list(&report.surfaces) };
    format!(
        "Run {} by {}, {} to {}. Surfaces: {surfaces}.",
        clipped(&report.run_id),
        clipped(&report.tool),
        utc(report.started),
        utc(report.finished),
    )
}

fn since_line(tally: &Tally) -> Option<String> {
    let moved = tally.unchanged + tally.changed + tally.resolved > 0;
    moved.then(|| {
        format!(
            "Since the previous run: {} new, {} changed, {} unchanged, {} resolved.",
            tally.new, tally.changed, tally.unchanged, tally.resolved
        )
    })
}

fn findings(page: &mut Page<'_>, report: &Report) -> io::Result<()> {
    let open = phrases::worst_first(report.open_findings());
    if open.is_empty() {
        return Ok(());
    }
    page.heading("Findings, worst first")?;
    open.iter().enumerate().try_for_each(|(at, finding)| one_finding(page, report, at + 1, finding))
}

fn one_finding(page: &mut Page<'_>, report: &Report, number: usize, finding: &Finding) -> io::Result<()> {
    let word = format!("{number}. {}", phrases::severity_word(finding.severity).to_uppercase());
    page.title(&word, severity_style(finding.severity), &clipped(&finding.title))?;
    page.field("who", &who(report, finding))?;
    page.field("where", &whereabouts(finding))?;
    page.field("path", &phrases::path_line(&finding.path))?;
    page.field("gains", &gains(finding))?;
    page.field("when", &clipped(&finding.conditions))?;
    page.field("state", &state(finding))?;
    finding.evidence.iter().try_for_each(|evidence| page.lines("proof", &phrases::excerpt(evidence)))?;
    remedy(page, finding)?;
    page.field("id", &identity(finding))
}

fn severity_style(severity: Severity) -> Style {
    let colour = match severity {
        Severity::Critical | Severity::High => AnsiColor::Red,
        Severity::Medium => AnsiColor::Yellow,
        Severity::Low => AnsiColor::Cyan,
        Severity::Info => AnsiColor::Blue,
    };
    if severity == Severity::Critical {
        colour.on_default().bold().invert()
    } else {
        colour.on_default().bold()
    }
}

fn who(report: &Report, finding: &Finding) -> String {
    let mailbox = phrases::mailbox(&finding.mailbox);
    match &finding.owner {
        Some(owner) => format!("{mailbox}, owner {}", phrases::owner(owner, report.finished)),
        None if finding.mailbox == SYSTEM => mailbox,
        None => format!("{mailbox}, owner not known to the policy"),
    }
}

fn whereabouts(finding: &Finding) -> String {
    let surface =
        format!("{}, {}", clipped(&finding.surface.id), phrases::tier_meaning(finding.surface.tier));
    match phrases::place_line(&finding.locator) {
        place if place.is_empty() => surface,
        place => format!("{place} ({surface})"),
    }
}

fn gains(finding: &Finding) -> String {
    let gainer = &finding.beneficiary;
    let person = gainer.person.as_deref().map(|person| format!(", {}", clipped(person))).unwrap_or_default();
    let effects = list(&finding.effects);
    let can = if effects.is_empty() { String::new() } else { format!(": {effects}") };
    format!("{}{person} ({}){can}", clipped(&gainer.value), phrases::kind_meaning(gainer.kind))
}

fn state(finding: &Finding) -> String {
    format!(
        "{} ({}), {}, confidence {}; {}",
        phrases::state_word(finding.state),
        phrases::state_meaning(finding.state),
        phrases::status_word(finding.status),
        phrases::confidence_word(finding.confidence),
        phrases::seen_line(finding),
    )
}

fn remedy(page: &mut Page<'_>, finding: &Finding) -> io::Result<()> {
    let remediation = &finding.remediation;
    page.command("plan", &phrases::planning_command(finding).unwrap_or_default())?;
    page.command("do", &remediation.command)?;
    page.command("undo", &remediation.revert)?;
    page.field("beware", &clipped(&remediation.side_effects))?;
    match remediation.regenerated_by.as_slice() {
        [] => Ok(()),
        writers => {
            page.field("beware", &format!("{} would write it again; clear it there too.", list(writers)))
        }
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| clipped(name)).collect::<Vec<_>>().join(", ")
}

fn identity(finding: &Finding) -> String {
    let attack: String =
        finding.attack.iter().map(|attack| format!(", {}", phrases::attack(attack))).collect();
    format!("{} {}{attack}", clipped(&finding.fingerprint), clipped(&finding.check_id))
}

fn accepted(page: &mut Page<'_>, report: &Report) -> io::Result<()> {
    let accepted = phrases::of_status(&report.findings, Status::Accepted);
    if accepted.is_empty() {
        return Ok(());
    }
    page.heading("Accepted, and until when")?;
    accepted.into_iter().try_for_each(|finding| one_accepted(page, report, finding))
}

fn one_accepted(page: &mut Page<'_>, report: &Report, finding: &Finding) -> io::Result<()> {
    page.title(phrases::severity_word(finding.severity), Style::new(), &clipped(&finding.title))?;
    page.field("who", &who(report, finding))?;
    page.field("where", &whereabouts(finding))?;
    page.field("path", &phrases::path_line(&finding.path))?;
    if let Some(exception) = &finding.suppression {
        page.field("until", &phrases::day(exception.expires))?;
        page.field("by", &clipped(&exception.approver))?;
        page.field("because", &clipped(&exception.reason))?;
    }
    page.field("id", &identity(finding))
}

fn resolved(page: &mut Page<'_>, report: &Report) -> io::Result<()> {
    let resolved = phrases::of_status(&report.findings, Status::Resolved);
    if resolved.is_empty() {
        return Ok(());
    }
    page.heading("Gone since the previous run")?;
    resolved.into_iter().try_for_each(|finding| {
        page.title(phrases::severity_word(finding.severity), Style::new(), &clipped(&finding.title))?;
        page.field("who", &who(report, finding))?;
        page.field("id", &identity(finding))
    })
}

fn could_not_look(page: &mut Page<'_>, report: &Report) -> io::Result<()> {
    let gaps = by_cause(report);
    if gaps.is_empty() {
        return Ok(());
    }
    page.heading("Could not look")?;
    gaps.iter().try_for_each(|gap| one_gap(page, gap))
}

fn one_gap(page: &mut Page<'_>, gap: &Gap<'_>) -> io::Result<()> {
    let style = AnsiColor::Yellow.on_default().bold();
    page.title(&phrases::coverage_word(gap.state).to_uppercase(), style, &clipped(gap.surface))?;
    page.field("who", &named(&gap.mailboxes))?;
    page.field("source", &clipped(gap.source))?;
    page.field("why", &clipped(gap.why()))?;
    page.field("do", gap.next_step())?;
    page.field("by hand", gap.by_hand())
}

fn named(mailboxes: &[&str]) -> String {
    let names: Vec<_> = mailboxes.iter().take(MAX_NAMED).map(|mailbox| phrases::mailbox(mailbox)).collect();
    let names = names.join(", ");
    if mailboxes.len() > MAX_NAMED {
        format!("{}: {names} and others, all named in the JSON report", phrases::mailboxes(mailboxes.len()))
    } else {
        names
    }
}
