//! One JSON document a line, each with its `type`: the run first, then findings, then coverage. A consumer
//! can stop after the first line and know the verdict.

use std::io;

use chrono::{DateTime, Utc};
use mailwarden_evidence::Coverage;
use mailwarden_judge::{Finding, Report, Verdict};
use serde::Serialize;

use crate::json::escape_hidden;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'a> {
    Run(Run<'a>),
    Finding(&'a Finding),
    Coverage(&'a Coverage),
}

/// The report without its lists.
#[derive(Serialize)]
struct Run<'a> {
    schema: &'a str,
    run_id: &'a str,
    tool: &'a str,
    started: DateTime<Utc>,
    finished: DateTime<Utc>,
    policy_digest: &'a str,
    surfaces: &'a [String],
    verdict: Verdict,
}

pub(crate) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let run = std::iter::once(Line::Run(run_of(report)));
    let findings = report.findings.iter().map(Line::Finding);
    let coverage = report.coverage.iter().map(Line::Coverage);
    run.chain(findings).chain(coverage).try_for_each(|line| write_line(&line, out))
}

fn run_of(report: &Report) -> Run<'_> {
    Run {
        schema: &report.schema,
        run_id: &report.run_id,
        tool: &report.tool,
        started: report.started,
        finished: report.finished,
        policy_digest: &report.policy_digest,
        surfaces: &report.surfaces,
        verdict: report.verdict,
    }
}

fn write_line(line: &Line<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let document = serde_json::to_string(line)?;
    writeln!(out, "{}", escape_hidden(&document))
}
