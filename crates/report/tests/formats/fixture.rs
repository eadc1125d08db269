//! One report with everything in it, and reports whose every string is a stranger's.

use chrono::{DateTime, Utc};
use mailwarden_evidence::{Coverage, CoverageState, Evidence, SYSTEM, Tier};
use mailwarden_judge::{
    Attack, Beneficiary, BeneficiaryKind, Confidence, FINGERPRINT_VERSION, Finding, Locator, Owner,
    REPORT_SCHEMA, Remediation, Report, SCHEMA, Severity, State, Status, Suppression, SurfaceRef, Verdict,
};

pub(crate) fn at(instant: &str) -> DateTime<Utc> {
    instant.parse().unwrap()
}

/// A sweep of three mailboxes and the host, with two surfaces unseen.
pub(crate) fn report() -> Report {
    sealed(
        vec![leavers_redirect(), grant_to_anyone(), external_alias(), accepted_redirect(), gone()],
        coverage(),
    )
}

pub(crate) fn sealed(findings: Vec<Finding>, coverage: Vec<Coverage>) -> Report {
    let report = Report {
        schema: REPORT_SCHEMA.into(),
        run_id: "01987a3e-5c00-7000-8000-000000000001".into(),
        tool: "mailwarden 0.1.0".into(),
        started: at("2026-08-03T02:00:00Z"),
        finished: at("2026-08-03T02:00:07Z"),
        policy_digest: "5a1f0c77".into(),
        surfaces: ["managesieve.scripts", "imap.acl", "postfix.virtual_alias_maps"].map(Into::into).into(),
        verdict: Verdict::Incomplete,
        coverage,
        findings,
    };
    report.seal()
}

pub(crate) fn seen(mailbox: &str, surface: &str, state: CoverageState, reason: &str) -> Coverage {
    let source = "imap 127.0.0.1:143".to_owned();
    Coverage { mailbox: mailbox.into(), surface: surface.into(), state, reason: reason.into(), source }
}

fn coverage() -> Vec<Coverage> {
    let denied = "GETACL answered NOPERM: the login has no `a` right on INBOX";
    vec![
        seen("bob@example.org", "managesieve.scripts", CoverageState::Collected, ""),
        seen("bob@example.org", "imap.acl", CoverageState::Collected, ""),
        seen("sales@example.org", "managesieve.scripts", CoverageState::Unsupported, ""),
        seen("sales@example.org", "imap.acl", CoverageState::Denied, denied),
        seen("support@example.org", "imap.acl", CoverageState::Denied, denied),
        seen(SYSTEM, "postfix.virtual_alias_maps", CoverageState::Error, "postmap ended with status 1"),
    ]
}

fn leavers_redirect() -> Finding {
    Finding {
        owner: Some(Owner {
            person: "Bob Example".into(),
            role: "human".into(),
            left: Some(at("2026-07-01T00:00:00Z")),
        }),
        locator: Locator {
            script: Some("roundcube".into()),
            line: Some(12),
            column: Some(3),
            span: Some((240, 274)),
            ..Locator::default()
        },
        observed_use: Some(at("2026-08-02T21:14:09Z")),
        ..finding(
            "3f9a1c40d2b76e8815aa93c70f1e2d4b",
            Severity::Critical,
            "A leaver's mail is forwarded outside, and no copy stays behind",
        )
    }
}

fn grant_to_anyone() -> Finding {
    Finding {
        mailbox: "sales@example.org".into(),
        owner: None,
        check_id: "acl.anyone".into(),
        confidence: Confidence::Medium,
        surface: SurfaceRef { id: "imap.acl".into(), tier: Tier::R },
        locator: Locator {
            folder: Some("INBOX/Offers".into()),
            key: Some("anyone".into()),
            ..Locator::default()
        },
        effects: vec!["read".into(), "administer".into()],
        beneficiary: beneficiary(BeneficiaryKind::Unresolvable, "anyone", None),
        path: ["sales@example.org", "grant `lra` on INBOX/Offers", "anyone with a login"]
            .map(Into::into)
            .into(),
        conditions: "when imap_acl is loaded, which CAPABILITY says".into(),
        evidence: vec![evidence("* ACL \"INBOX/Offers\" anyone lra", "imap")],
        attack: vec![Attack { technique: "T1098.002".into(), version: "19".into() }],
        remediation: Remediation {
            command: "doveadm acl delete -u sales@example.org INBOX/Offers anyone".into(),
            revert: "doveadm acl set -u sales@example.org INBOX/Offers anyone lookup read admin".into(),
            side_effects: "Whoever reads the folder by this grant loses it at once.".into(),
            regenerated_by: vec![],
        },
        ..finding("77d0e2", Severity::High, "Anyone with a login can read the folder and pass it on")
    }
}

fn external_alias() -> Finding {
    Finding {
        mailbox: SYSTEM.into(),
        owner: None,
        check_id: "alias.external".into(),
        status: Status::Changed,
        surface: SurfaceRef { id: "postfix.virtual_alias_maps".into(), tier: Tier::S },
        locator: Locator {
            file: Some("hash:/etc/postfix/virtual".into()),
            line: Some(41),
            key: Some("billing@example.org".into()),
            ..Locator::default()
        },
        beneficiary: beneficiary(BeneficiaryKind::External, "accounts@books.example", None),
        path: ["billing@example.org", "virtual alias", "accounts@books.example"].map(Into::into).into(),
        evidence: vec![evidence("billing@example.org\taccounts@books.example", "postfix")],
        attack: vec![],
        remediation: Remediation {
            command: "Remove line 41 of /etc/postfix/virtual.\npostmap hash:/etc/postfix/virtual".into(),
            revert: "Put line 41 back and run postmap again.".into(),
            side_effects: "Mail to billing@example.org bounces until it has another destination.".into(),
            regenerated_by: vec!["PostfixAdmin".into(), "mailcow".into()],
        },
        ..finding("b0c4d8", Severity::Medium, "A virtual alias sends mail outside")
    }
}

fn accepted_redirect() -> Finding {
    Finding {
        mailbox: "support@example.org".into(),
        status: Status::Accepted,
        state: State::Dormant,
        suppression: Some(Suppression {
            reason: "Ticket mail goes to the help desk until the contract ends".into(),
            approver: "Ada Admin".into(),
            expires: at("2026-10-01T00:00:00Z"),
        }),
        ..finding("c9e811", Severity::High, "Mail is forwarded outside")
    }
}

fn gone() -> Finding {
    Finding { status: Status::Resolved, ..finding("e01177", Severity::Low, "A grant points at nobody") }
}

/// A redirect to an external address, to vary.
pub(crate) fn finding(fingerprint: &str, severity: Severity, title: &str) -> Finding {
    Finding {
        schema: SCHEMA.into(),
        run_id: "01987a3e-5c00-7000-8000-000000000001".into(),
        fingerprint: fingerprint.into(),
        fingerprint_version: FINGERPRINT_VERSION,
        content_hash: "00ff".into(),
        check_id: "sieve.redirect-external".into(),
        title: title.into(),
        severity,
        confidence: Confidence::High,
        state: State::Active,
        status: Status::New,
        mailbox: "bob@example.org".into(),
        owner: None,
        surface: SurfaceRef { id: "managesieve.scripts".into(), tier: Tier::R },
        locator: Locator::default(),
        effects: vec!["redirect".into()],
        beneficiary: beneficiary(BeneficiaryKind::External, "bob@mail.example", Some("Bob Example")),
        path: ["bob@example.org", "Sieve redirect (line 12)", "bob@mail.example"].map(Into::into).into(),
        conditions: "always".into(),
        evidence: vec![evidence("redirect \"bob@mail.example\";\nstop;", "managesieve")],
        first_seen: at("2026-08-03T02:00:03Z"),
        last_seen: at("2026-08-03T02:00:03Z"),
        observed_use: None,
        attack: vec![Attack { technique: "T1114.003".into(), version: "19".into() }],
        remediation: Remediation {
            command: format!("mailwarden revoke {fingerprint} --apply"),
            revert: "mailwarden restore the change that it prints.".into(),
            side_effects: "Other rules of the script keep working.".into(),
            regenerated_by: vec!["Roundcube".into()],
        },
        suppression: None,
    }
}

fn beneficiary(kind: BeneficiaryKind, value: &str, person: Option<&str>) -> Beneficiary {
    Beneficiary { kind, value: value.into(), person: person.map(Into::into) }
}

fn evidence(excerpt: &str, collector: &str) -> Evidence {
    Evidence::of(excerpt.as_bytes(), excerpt, collector, at("2026-08-03T02:00:03Z"))
}

/// A report in which every string is the stranger's: an open, an accepted and a resolved finding, and a gap.
pub(crate) fn hostile(text: &str) -> Report {
    let findings =
        [Status::New, Status::Accepted, Status::Resolved].map(|status| hostile_finding(text, status));
    let gap = Coverage {
        mailbox: text.into(),
        surface: text.into(),
        state: CoverageState::Error,
        reason: text.into(),
        source: text.into(),
    };
    Report {
        schema: text.into(),
        run_id: text.into(),
        tool: text.into(),
        policy_digest: text.into(),
        surfaces: vec![text.into(), text.into()],
        ..sealed(findings.into(), vec![gap])
    }
}

fn hostile_finding(text: &str, status: Status) -> Finding {
    let named = || Some(text.to_owned());
    Finding {
        schema: text.into(),
        run_id: text.into(),
        fingerprint: text.into(),
        content_hash: text.into(),
        check_id: text.into(),
        status,
        mailbox: text.into(),
        owner: Some(Owner { person: text.into(), role: text.into(), left: Some(at("2026-07-01T00:00:00Z")) }),
        surface: SurfaceRef { id: text.into(), tier: Tier::M },
        locator: Locator {
            script: named(),
            folder: named(),
            file: named(),
            key: named(),
            line: Some(u32::MAX),
            column: Some(1),
            span: None,
        },
        effects: vec![text.into(), text.into()],
        beneficiary: Beneficiary { kind: BeneficiaryKind::Command, value: text.into(), person: named() },
        path: vec![text.into(), format!("{text}2"), format!("3{text}"), text.into()],
        conditions: text.into(),
        evidence: vec![Evidence {
            sha256: text.into(),
            excerpt: text.into(),
            collector: text.into(),
            observed_at: at("2026-08-03T02:00:03Z"),
        }],
        attack: vec![Attack { technique: text.into(), version: text.into() }],
        remediation: Remediation {
            command: text.into(),
            revert: text.into(),
            side_effects: text.into(),
            regenerated_by: vec![text.into()],
        },
        suppression: Some(Suppression {
            reason: text.into(),
            approver: text.into(),
            expires: at("2026-10-01T00:00:00Z"),
        }),
        ..finding("", Severity::Info, text)
    }
}
