//! What domains publish, and what their hosts say, against what their profile needs. The decisions are those of
//! [`mailwarden_dns`]; here they become findings.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mailwarden_dns::{Answers, Deviation, Evaluation, Family, Subject, Weight, checks, evaluate, subjects};
use mailwarden_evidence::dns::Question;
use mailwarden_evidence::{Fact, Observation};

use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::wording::{day, shown};
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, Severity, State};

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    let asked = families(brief);
    if asked.is_empty() {
        return Vec::new();
    }
    let seen = Seen::of(brief);
    let all = subjects(brief.policy);
    let of_run = all.iter().filter_map(|subject| Some((subject, asked.get(subject.label().as_str())?)));
    of_run.flat_map(|(subject, families)| seen.domain(brief, subject, families)).collect()
}

/// The families that were looked at, by domain. Coverage says which, whatever came of it.
fn families<'a>(brief: &Brief<'a>) -> BTreeMap<&'a str, Vec<Family>> {
    let mut asked: BTreeMap<&str, Vec<Family>> = BTreeMap::new();
    for row in brief.coverage {
        if let Some(family) = Family::of(&row.surface) {
            asked.entry(row.mailbox.as_str()).or_default().push(family);
        }
    }
    asked
}

/// The answers of the run, and what proves each.
struct Seen<'a> {
    answers: Answers,
    proofs: BTreeMap<&'a Question, &'a Observation>,
}

impl<'a> Seen<'a> {
    fn of(brief: &Brief<'a>) -> Self {
        let answered = |seen: &'a Observation| match &seen.fact {
            Fact::Dns { question, answer } => Some((question, answer, seen)),
            _ => None,
        };
        let all: Vec<_> = brief.observations.iter().filter_map(answered).collect();
        Self {
            answers: all
                .iter()
                .map(|(question, answer, _)| ((*question).clone(), (*answer).clone()))
                .collect(),
            proofs: all.iter().map(|(question, _, seen)| (*question, *seen)).collect(),
        }
    }

    fn domain(&self, brief: &Brief<'_>, subject: &Subject, families: &[Family]) -> Vec<Draft> {
        let evaluation = evaluate(subject, families, &self.answers, brief.run.now);
        let mut drafts: Vec<Draft> =
            evaluation.deviations.iter().map(|deviation| self.deviation(deviation)).collect();
        drafts.extend(changes(brief, subject, &evaluation));
        drafts
    }

    fn deviation(&self, deviation: &Deviation) -> Draft {
        let proof = deviation.question.as_ref().and_then(|question| self.proofs.get(question));
        let revert = match deviation.found.as_str() {
            "" => "remove what was added".to_owned(),
            found => format!("publish again what was there: {}", shown(found)),
        };
        let surface = deviation.family.surface();
        Draft {
            check_id: deviation.check.id,
            title: deviation.title.clone(),
            severity: severity(deviation.check.weight),
            content: vec![deviation.found.as_bytes().to_vec(), deviation.title.as_bytes().to_vec()],
            evidence: proof.map(|seen| seen.evidence.clone()).into_iter().collect(),
            remediation: on_surface(surface, deviation.fix.clone(), revert, None),
            ..draft(&deviation.domain, deviation.family, &deviation.subject)
        }
    }
}

fn draft(domain: &str, family: Family, subject: &str) -> Draft {
    Draft {
        check_id: checks::CHANGED.id,
        title: String::new(),
        severity: Severity::Info,
        confidence: Confidence::High,
        state: State::Active,
        mailbox: domain.to_owned(),
        surface: family.surface().to_owned(),
        locator: Locator { key: Some(shown(subject)), ..Locator::default() },
        identity: vec![subject.to_owned()],
        content: Vec::new(),
        effects: vec![effect(family).to_owned()],
        beneficiary: Beneficiary {
            kind: BeneficiaryKind::Unresolvable,
            value: "anyone".to_owned(),
            person: None,
        },
        path: vec![domain.to_owned()],
        conditions: "always".to_owned(),
        evidence: Vec::new(),
        remediation: crate::Remediation::nothing(),
    }
}

fn severity(weight: Weight) -> Severity {
    match weight {
        Weight::Info => Severity::Info,
        Weight::Low => Severity::Low,
        Weight::Medium => Severity::Medium,
        Weight::High => Severity::High,
        Weight::Critical => Severity::Critical,
    }
}

/// What whoever uses the gap can do.
fn effect(family: Family) -> &'static str {
    match family {
        Family::Spf | Family::Dkim | Family::Dmarc => "post",
        Family::Smtp | Family::Dane | Family::MtaSts | Family::TlsRpt | Family::Caa => "read",
        Family::Delegation | Family::Mx | Family::Services | Family::Recipients | Family::Registration => {
            "redirect"
        }
    }
}

// --- against the time before ----------------------------------------------------------------------------------------

fn changes(brief: &Brief<'_>, subject: &Subject, evaluation: &Evaluation) -> Vec<Draft> {
    let label = subject.label();
    let before =
        brief.observations.iter().filter(|seen| seen.mailbox == label).find_map(|seen| match &seen.fact {
            Fact::DnsBefore { since, published } => Some((*since, published, seen)),
            _ => None,
        });
    let Some((since, published, seen)) = before else { return Vec::new() };
    // What one of the two did not see cannot be told to have changed.
    let changed = published.iter().filter_map(|(what, was)| {
        let is = evaluation.published.get(what)?;
        (is != was && !what.starts_with("expires ")).then_some((what, was, is))
    });
    changed.map(|(what, was, is)| change(&label, what, (was, is), since, seen)).collect()
}

fn change(
    label: &str,
    what: &str,
    (was, is): (&str, &str),
    since: DateTime<Utc>,
    seen: &Observation,
) -> Draft {
    let family = family_of(what);
    let text = |text: &str| if text.is_empty() { "nothing".to_owned() } else { mailwarden_dns::quoted(text) };
    let grave = matches!(family, Family::Delegation | Family::Mx | Family::Registration);
    Draft {
        title: format!("{what} changed since {}: it was {}, it is {}.", day(since), text(was), text(is)),
        severity: if grave { Severity::High } else { severity(checks::CHANGED.weight) },
        content: vec![was.as_bytes().to_vec(), is.as_bytes().to_vec()],
        evidence: vec![seen.evidence.clone()],
        remediation: on_surface(
            family.surface(),
            format!("find out who changed {what}; if nobody may have, put back {}", text(was)),
            format!("publish again {}", text(is)),
            None,
        ),
        ..draft(label, family, what)
    }
}

/// The family whose evaluation publishes a key.
fn family_of(what: &str) -> Family {
    match what.split(' ').next().unwrap_or_default() {
        "NS" | "DNSSEC" => Family::Delegation,
        "MX" | "A" => Family::Mx,
        "SPF" => Family::Spf,
        "DKIM" => Family::Dkim,
        "DMARC" => Family::Dmarc,
        "TLSA" => Family::Dane,
        "MTA-STS" => Family::MtaSts,
        "TLS-RPT" => Family::TlsRpt,
        "CAA" => Family::Caa,
        "registrar" | "status" | "expires" => Family::Registration,
        _ => Family::Services,
    }
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::CoverageState::Collected;
    use mailwarden_evidence::dns::{Answer, Dnssec, Name, Rdata, RecordType};

    use super::*;
    use crate::testing::{ids, judged, observed};

    const DOMAIN: &str = "example.test";
    const SURFACE: &str = "dns.spf";

    fn texts(texts: &[&str]) -> Observation {
        let question = Question::Records { name: Name::parse(DOMAIN).unwrap(), kind: RecordType::Txt };
        let records = texts.iter().map(|text| Rdata::Txt(vec![(*text).to_owned()])).collect();
        let answer = Answer::Records { records, aliases: Vec::new(), dnssec: Dnssec::Unsigned };
        observed(DOMAIN, SURFACE, Fact::Dns { question, answer })
    }

    fn before(text: &str) -> Observation {
        let published = BTreeMap::from([(format!("SPF {DOMAIN}"), text.to_owned())]);
        let since = "2026-01-01T00:00:00Z".parse().unwrap();
        observed(DOMAIN, SURFACE, Fact::DnsBefore { since, published })
    }

    #[test]
    fn a_deviation_is_a_finding_of_the_domain_with_the_record_to_publish() {
        let report = judged(&[texts(&["v=spf1 +all"])], &[(DOMAIN, SURFACE, Collected)]);
        let finding =
            report.findings.iter().find(|finding| finding.check_id == "dns.spf-permissive").unwrap();
        assert_eq!((finding.mailbox.as_str(), finding.severity), (DOMAIN, Severity::High));
        assert!(finding.remediation.command.starts_with("example.test. TXT \"v=spf1 "));
        assert_eq!(finding.evidence.len(), 1);
    }

    #[test]
    fn a_domain_that_nobody_asked_about_has_no_finding() {
        assert_eq!(ids(&judged(&[texts(&["v=spf1 +all"])], &[])), Vec::<String>::new());
    }

    #[test]
    fn a_change_says_what_was_there_before() {
        let covered = [(DOMAIN, SURFACE, Collected)];
        let report = judged(&[texts(&["v=spf1 +all"]), before("v=spf1 mx -all")], &covered);
        let finding = report.findings.iter().find(|finding| finding.check_id == "dns.changed").unwrap();
        assert_eq!(
            finding.title,
            "SPF example.test changed since 2026-01-01: it was `v=spf1 mx -all`, it is `v=spf1 +all`."
        );
        let same = judged(&[texts(&["v=spf1 +all"]), before("v=spf1 +all")], &covered);
        assert!(same.findings.iter().all(|finding| finding.check_id != "dns.changed"));
    }
}
