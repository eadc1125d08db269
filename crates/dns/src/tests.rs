//! Whole domains, looked at without a network: a world of answers, and what is said of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mailwarden_evidence::dns::{Answer, Dnssec, Name, Question, Rdata, RecordType, Registration, SmtpSeen};
use mailwarden_policy::{Policy, Source};

use crate::{Answers, Evaluation, Family, MAX_ROUNDS, Subject, evaluate, render, subjects};

const POLICY: &str = r#"
[client]
name = "Example"
owner = "jane@example.com"
emergency_approver = "jane@example.com"

[[person]]
name = "Jane"
addresses = ["jane@example.com"]

[[domain]]
name = "example.com"
profile = "sending"
admin_queue = "ops@example.com"
mx = ["mx.example.com"]
spf = "v=spf1 mx include:_spf.relay.test -all"
dmarc = "v=DMARC1; p=reject; sp=reject; np=reject; rua=mailto:dmarc@example.com"
dkim_selectors = ["s1"]
dmarc_reports = ["dmarc@example.com"]
tls_reports = ["tls@example.com"]
mta_sts = "enforce"
caa_issuers = ["ca.test"]
catch_all = false
registrar = "Registrar"
registrar_admins = ["admin@keys.test"]

[[domain]]
name = "parked.com"
profile = "parked"

[[scope]]
domain = "saas.example.com"
deliver_to = "ops@example.com"

[[scope]]
domain = "*.clients.example.com"
deliver_to = "ops@example.com"

[[mailbox]]
address = "ops@example.com"
kind = "shared"
"#;

fn policy() -> Policy {
    let (policy, _) = Policy::compile(&[Source::new("test.toml", POLICY.as_bytes().to_vec())])
        .unwrap_or_else(|faults| panic!("{faults:?}"));
    policy
}

fn subject(name: &str) -> Subject {
    subjects(&policy()).into_iter().find(|subject| subject.label() == name).unwrap()
}

fn now() -> DateTime<Utc> {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// A world in which every name that is not written does not exist.
#[derive(Clone)]
struct World {
    records: BTreeMap<(String, RecordType), Vec<Rdata>>,
    fixed: BTreeMap<Question, Answer>,
    aliases: BTreeMap<String, String>,
    refuses: Vec<String>,
}

impl World {
    /// Everything that a rendering asks for, and what surrounds it.
    fn good(name: &str) -> Self {
        let mut world = Self {
            records: BTreeMap::new(),
            fixed: BTreeMap::new(),
            aliases: BTreeMap::new(),
            refuses: Vec::new(),
        };
        for at in ["example.com", name] {
            let subject = subject(at);
            let rendering = render(&subject);
            for wanted in &rendering.records {
                world.add(wanted.owner.as_str(), wanted.rdata.clone());
            }
            if let Some(body) = rendering.mta_sts_policy {
                let question = Question::MtaStsPolicy { domain: subject.name.clone() };
                let content_type = "text/plain".to_owned();
                world.fixed.insert(question, Answer::Https { status: 200, content_type, body });
            }
            if at == name {
                break;
            }
        }
        let key = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        world.txt("s1._domainkey.example.com", key);
        world.txt("_spf.relay.test", "v=spf1 ip4:198.51.100.0/24 -all");
        world.add("mx.example.com", Rdata::Address("203.0.113.25".parse().unwrap()));
        world.add("25.113.0.203.in-addr.arpa", Rdata::Target("mx.example.com".to_owned()));
        for org in ["example.com", "parked.com"] {
            world.add(org, Rdata::Target("ns.example.com".to_owned()));
            let status = vec!["client transfer prohibited".to_owned()];
            let expires = Some("2027-06-01T00:00:00Z".parse().unwrap());
            let registration =
                Registration { registered: true, registrar: "Registrar Inc.".to_owned(), expires, status };
            world.fixed.insert(registered(org), Answer::Registration(registration));
        }
        world.add("ns.example.com", Rdata::Address("203.0.113.53".parse().unwrap()));
        world.smtp(true, "");
        world
    }

    fn smtp(&mut self, starttls: bool, fault: &str) {
        let host = Name::parse("mx.example.com").unwrap();
        let (greeting, certificate_fault) = ("mx.example.com".to_owned(), fault.to_owned());
        let seen = SmtpSeen { greeting, starttls, certificate_fault, certificates: Vec::new() };
        self.fixed.insert(Question::Smtp { host }, Answer::Smtp(seen));
    }

    fn add(&mut self, owner: &str, rdata: Rdata) {
        let kind = match &rdata {
            Rdata::Target(_) if owner.ends_with("arpa") => RecordType::Ptr,
            Rdata::Target(_) => RecordType::Ns,
            other => crate::zone::kind(other),
        };
        self.records.entry((owner.to_owned(), kind)).or_default().push(rdata);
    }

    fn txt(&mut self, owner: &str, text: &str) {
        self.add(owner, Rdata::Txt(vec![text.to_owned()]));
    }

    /// The TXT records of a name become these.
    fn set(&mut self, owner: &str, texts: &[&str]) {
        self.records.remove(&(owner.to_owned(), RecordType::Txt));
        texts.iter().for_each(|text| self.txt(owner, text));
    }

    fn mx(&mut self, owner: &str, hosts: &[&str]) {
        self.records.remove(&(owner.to_owned(), RecordType::Mx));
        for host in hosts {
            self.add(owner, Rdata::Mx { preference: 10, host: (*host).to_owned() });
        }
    }

    fn remove(&mut self, owner: &str) {
        self.records.retain(|(name, _), _| name != owner);
    }

    fn answer(&self, question: &Question) -> Answer {
        if let Some(answer) = self.fixed.get(question) {
            return answer.clone();
        }
        match question {
            Question::Records { name, kind } => self.lookup(name.as_str(), *kind),
            Question::Recipient { address, .. } => {
                let unknown = address.contains("mailwarden-probe@example.com");
                let refused = unknown || self.refuses.contains(address);
                let (code, text) = if refused { (550, "5.1.1 unknown") } else { (250, "2.1.5 ok") };
                Answer::Recipient { code, text: text.to_owned() }
            }
            _ => Answer::Failed { reason: "nobody answers".to_owned() },
        }
    }

    fn lookup(&self, name: &str, kind: RecordType) -> Answer {
        let dnssec = Dnssec::Unsigned;
        let (aliases, name) = match self.aliases.get(name) {
            Some(target) => (vec![target.clone()], target.as_str()),
            None => (Vec::new(), name),
        };
        let wildcard = || {
            let names = std::iter::successors(name.split_once('.'), |(_, rest)| rest.split_once('.'));
            names.map(|(_, rest)| format!("*.{rest}")).find(|star| self.exists(star))
        };
        let own = if self.exists(name) { Some(name.to_owned()) } else { wildcard() };
        let Some(own) = own else { return Answer::NoSuchName { aliases, dnssec } };
        match self.records.get(&(own, kind)) {
            Some(records) => Answer::Records { records: records.clone(), aliases, dnssec },
            None => Answer::NoRecords { aliases, dnssec },
        }
    }

    fn exists(&self, name: &str) -> bool {
        let below = format!(".{name}");
        self.records.keys().any(|(owner, _)| owner == name || owner.ends_with(&below))
    }

    fn look(&self, name: &str) -> Evaluation {
        let subject = subject(name);
        let mut answers = Answers::default();
        for _ in 0..MAX_ROUNDS {
            let evaluation = evaluate(&subject, &Family::ALL, &answers, now());
            if evaluation.wanted.is_empty() {
                return evaluation;
            }
            for question in evaluation.wanted {
                let answer = self.answer(&question);
                answers.put(question, answer);
            }
        }
        evaluate(&subject, &Family::ALL, &answers, now())
    }

    /// The checks that speak, and what could not be looked at.
    fn said(&self, name: &str) -> Vec<String> {
        let evaluation = self.look(name);
        let mut said: Vec<String> =
            evaluation.deviations.iter().map(|deviation| deviation.check.id.to_owned()).collect();
        said.extend(evaluation.gaps.iter().map(|gap| format!("gap: {}", gap.reason)));
        said.dedup();
        said
    }
}

fn registered(domain: &str) -> Question {
    Question::Registration { domain: Name::parse(domain).unwrap() }
}

const NOTHING: [&str; 0] = [];

#[test]
fn what_is_rendered_is_clean_for_every_profile() {
    for name in ["example.com", "parked.com", "saas.example.com", "*.clients.example.com"] {
        assert_eq!(World::good(name).said(name), NOTHING, "{name}");
    }
}

#[test]
fn null_mx_is_rendered_for_parked_domains_only() {
    for (name, expected) in [
        ("example.com", vec!["MX 10 mx.example.com."]),
        ("saas.example.com", vec!["MX 10 mx.example.com."]),
        ("*.clients.example.com", vec!["MX 10 mx.example.com."]),
        ("parked.com", vec!["MX 0 ."]),
    ] {
        let zone = render(&subject(name)).zone();
        let lines: Vec<&str> =
            zone.lines().filter_map(|line| line.find("MX ").map(|at| &line[at..])).collect();
        let records: Vec<&str> = lines.into_iter().filter(|line| line.ends_with('.')).collect();
        assert_eq!(records, expected, "{zone}");
    }
}

#[test]
fn the_script_deletes_the_older_spf_record_only_where_it_is_known_and_says_so_where_not() {
    let rendering = render(&subject("example.com"));
    let name = Name::parse("example.com").unwrap();
    let asked = Question::Records { name, kind: RecordType::Txt };
    let old = |text: &str| Rdata::Txt(vec![text.to_owned()]);
    let records = vec![old("v=spf1 +all"), old("site-verification=1")];
    let seen = Answer::Records { records, dnssec: Dnssec::Unsigned, aliases: Vec::new() };
    let script = |answer: Answer| rendering.nsupdate(Some(&[(asked.clone(), answer)].into_iter().collect()));
    let known = script(seen);
    assert!(known.contains("update delete example.com. TXT \"v=spf1 +all\"\n"), "{known}");
    assert!(!known.contains("site-verification"), "the other texts of the name stay: {known}");
    for line in ["update delete example.com. MX\n", "update add example.com. 3600 MX 10 mx.example.com.\n"] {
        assert!(known.contains(line), "{known}");
    }
    assert!(known.find("update delete").unwrap() < known.find("update add").unwrap(), "{known}");
    assert!(known.contains("\nsend\n"), "{known}");
    let failed = script(Answer::Failed { reason: "SERVFAIL".to_owned() });
    let blind = rendering.nsupdate(None);
    for script in [&failed, &blind] {
        assert!(!script.contains("update delete example.com. TXT"), "{script}");
    }
    assert!(failed.contains("; example.com. could not be looked at"), "{failed}");
    assert!(blind.contains("--diff finds it"), "{blind}");
}

/// One mistake, and what is said of it; nothing else may be said.
fn mistake(name: &str, expected: &[&str], mistaken: impl FnOnce(&mut World)) {
    let mut world = World::good(name);
    mistaken(&mut world);
    assert_eq!(world.said(name), expected);
}

#[test]
fn mistakes_in_spf_are_reported_by_name() {
    let spf = |texts: &[&str], expected: &[&str]| {
        mistake("example.com", expected, |world| world.set("example.com", texts));
    };
    spf(&[], &["dns.spf-missing"]);
    spf(&["v=spf1 mx -all", "v=spf1 -all"], &["dns.spf-multiple"]);
    spf(&["v=spf1 mx ipv4:192.0.2.1 -all"], &["dns.spf-syntax"]);
    spf(&["v=spf1 mx +all"], &["dns.spf-permissive", "dns.spf-differs"]);
    spf(&["v=spf1 mx"], &["dns.spf-permissive", "dns.spf-differs"]);
    spf(&["v=spf1 mx ~all"], &["dns.spf-soft", "dns.spf-differs"]);
    spf(&["v=spf1 -all mx"], &["dns.spf-after-all", "dns.spf-differs"]);
    spf(&["v=spf1 mx ptr -all"], &["dns.spf-ptr", "dns.spf-differs"]);
    spf(&["v=spf1 include:nowhere.test -all"], &["dns.spf-differs", "dns.spf-broken-include"]);
    spf(&["v=spf1 a:x1.test a:x2.test a:x3.test -all"], &["dns.spf-differs", "dns.spf-too-many-voids"]);
    spf(&["\"v=spf1 -all\""], &["dns.spf-syntax"]);
    let good = "v=spf1 mx include:_spf.relay.test -all";
    spf(&[good, "spf2.0/pra mx -all"], &["dns.spf-legacy"]);
    spf(&[good, &"x".repeat(500)], &["dns.spf-too-long"]);
    mistake("example.com", &["dns.spf-loop"], |world| {
        world.set("_spf.relay.test", &["v=spf1 include:b.relay.test -all"]);
        world.txt("b.relay.test", "v=spf1 redirect=_spf.relay.test");
    });
    mistake("example.com", &["dns.spf-loop"], |world| {
        world.set("_spf.relay.test", &["v=spf1 include:example.com -all"]);
    });
    mistake("example.com", &["dns.spf-too-many-lookups"], |world| {
        let terms = "a:mx.example.com ".repeat(10);
        world.set("_spf.relay.test", &[&format!("v=spf1 {terms}-all")]);
    });
    mistake("example.com", &["dns.spf-helo"], |world| world.set("mx.example.com", &[]));
    mistake("saas.example.com", &["dns.spf-sender"], |world| {
        world.set("saas.example.com", &["v=spf1 mx -all"]);
    });
}

#[test]
fn mistakes_in_dmarc_are_reported_by_name() {
    let dmarc = |texts: &[&str], expected: &[&str]| {
        mistake("example.com", expected, |world| world.set("_dmarc.example.com", texts));
    };
    dmarc(&[], &["dns.dmarc-missing"]);
    let good = "v=DMARC1; p=reject; sp=reject; np=reject; rua=mailto:dmarc@example.com";
    dmarc(&[good, good], &["dns.dmarc-multiple", "dns.dmarc-missing"]);
    dmarc(&["v=DMARC1 p=reject"], &["dns.dmarc-syntax", "dns.dmarc-missing"]);
    let rua = "rua=mailto:dmarc@example.com";
    dmarc(
        &[&format!("v=DMARC1; p=none; {rua}")],
        &["dns.dmarc-differs", "dns.dmarc-none", "dns.dmarc-subdomains"],
    );
    dmarc(
        &[&format!("v=DMARC1; p=reject; sp=none; {rua}")],
        &["dns.dmarc-differs", "dns.dmarc-subdomains", "dns.dmarc-nonexistent"],
    );
    dmarc(&[&format!("v=DMARC1; p=reject; t=y; {rua}")], &["dns.dmarc-test", "dns.dmarc-differs"]);
    dmarc(&[&format!("v=DMARC1; p=reject; pct=10; {rua}")], &["dns.dmarc-obsolete", "dns.dmarc-differs"]);
    dmarc(&["v=DMARC1; p=reject"], &["dns.dmarc-differs", "dns.dmarc-no-reports"]);
    let outside = &[
        "dns.dmarc-differs",
        "dns.dmarc-report-unauthorised",
        "dns.dmarc-report-unreceivable",
        "dns.dmarc-report-outside",
    ];
    dmarc(&["v=DMARC1; p=reject; rua=mailto:x@lapsed.test"], outside);
    mistake("example.com", &["dns.dmarc-differs", "dns.dmarc-report-outside"], |world| {
        world.set("_dmarc.example.com", &["v=DMARC1; p=reject; rua=mailto:x@reports.test"]);
        world.txt("example.com._report._dmarc.reports.test", "v=DMARC1");
        world.mx("reports.test", &["mx.reports.test"]);
    });
    mistake("example.com", &["dns.dmarc-location"], |world| world.txt("example.com", good));
    // sp counts at the organisation, and there only.
    mistake("saas.example.com", &["dns.dmarc-sp-ignored"], |world| {
        world
            .set("_dmarc.saas.example.com", &["v=DMARC1; p=reject; sp=reject; rua=mailto:dmarc@example.com"]);
    });
    mistake("saas.example.com", &["dns.dmarc-receive-only"], |world| {
        world.set("_dmarc.saas.example.com", &["v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com"]);
    });
    mistake("saas.example.com", &["dns.dmarc-receive-only"], |world| {
        world.set("_dmarc.saas.example.com", &[]);
        world.set("_dmarc.example.com", &["v=DMARC1; p=reject; sp=none"]);
    });
    mistake("*.clients.example.com", &["dns.dmarc-receive-only"], |world| {
        world.set("_dmarc.example.com", &["v=DMARC1; p=reject; sp=quarantine"]);
    });
}

#[test]
fn mistakes_in_mail_hosts_are_reported_by_name() {
    let mx = |hosts: &[&str], expected: &[&str]| {
        mistake("example.com", expected, |world| world.mx("example.com", hosts));
    };
    mx(&[""], &["dns.mx-null", "dns.dmarc-report-unreceivable"]);
    mx(&[], &["dns.mx-missing", "dns.dmarc-report-unreceivable"]);
    mx(&["0"], &["dns.mx-absent", "dns.mx-not-a-host"]);
    mx(&["192.0.2.1"], &["dns.mx-absent", "dns.mx-not-a-host"]);
    mx(&["mx.example.com", ""], &["dns.mx-null-with-others"]);
    mx(&["mx.example.com", "lapsed.test"], &["dns.mx-unexpected", "dns.mx-dangling", "dns.mta-sts-host"]);
    mistake("example.com", &["dns.mx-wildcard"], |world| world.mx("*.example.com", &["mx.example.com"]));
    mistake("example.com", &["dns.mx-reverse"], |world| world.remove("25.113.0.203.in-addr.arpa"));
    mistake("example.com", &["dns.mx-alias"], |world| {
        world.aliases.insert("mx.example.com".to_owned(), "host.example.com".to_owned());
        world.add("host.example.com", Rdata::Address("203.0.113.25".parse().unwrap()));
        world.txt("host.example.com", "v=spf1 a -all");
    });
    mistake("example.com", &["dns.mx-private-address"], |world| {
        world.remove("mx.example.com");
        world.txt("mx.example.com", "v=spf1 a -all");
        world.add("mx.example.com", Rdata::Address("10.0.0.1".parse().unwrap()));
        world.add("1.0.0.10.in-addr.arpa", Rdata::Target("mx.example.com".to_owned()));
    });
    // "MX 0." in a parked zone, and a real MX there.
    mistake("parked.com", &["dns.mx-not-a-host"], |world| world.mx("parked.com", &["0"]));
    mistake("parked.com", &["dns.mx-parked"], |world| world.mx("parked.com", &["mx.example.com"]));
    mistake("parked.com", &["dns.mx-parked"], |world| world.mx("parked.com", &[]));
    mistake("saas.example.com", &["dns.mx-null"], |world| world.mx("saas.example.com", &[""]));
}

#[test]
fn mistakes_in_keys_transport_and_services_are_reported_by_name() {
    let key = |texts: &[&str], expected: &[&str]| {
        mistake("example.com", expected, |world| world.set("s1._domainkey.example.com", texts));
    };
    key(&[], &["dns.dkim-missing"]);
    key(&["v=DKIM1; p="], &["dns.dkim-revoked"]);
    key(&["v=DKIM1; p=%"], &["dns.dkim-syntax"]);
    mistake("saas.example.com", &["dns.dkim-null"], |world| world.remove("*._domainkey.saas.example.com"));
    mistake("example.com", &["dns.smtp-no-starttls"], |world| world.smtp(false, ""));
    mistake("example.com", &["dns.smtp-certificate"], |world| world.smtp(true, "expired"));
    let tlsa = |usage| Rdata::Tlsa { usage, selector: 1, matching: 1, association: "00".to_owned() };
    mistake("example.com", &["dns.dane-unsigned", "dns.dane-mismatch"], |world| {
        world.add("_25._tcp.mx.example.com", tlsa(3));
    });
    mistake("example.com", &["dns.dane-unsigned", "dns.dane-unusable", "dns.dane-mismatch"], |world| {
        world.add("_25._tcp.mx.example.com", tlsa(1));
    });
    mistake("example.com", &["dns.mta-sts-missing"], |world| world.set("_mta-sts.example.com", &[]));
    mistake("example.com", &["dns.tls-rpt-missing"], |world| world.set("_smtp._tls.example.com", &[]));
    mistake("example.com", &["dns.tls-rpt-outside"], |world| {
        world.set("_smtp._tls.example.com", &["v=TLSRPTv1; rua=https://reports.test/x"]);
    });
    mistake("example.com", &["dns.mta-sts-unserved"], |world| {
        let domain = Name::parse("example.com").unwrap();
        let (content_type, body) = ("text/html".to_owned(), String::new());
        let answer = Answer::Https { status: 404, content_type, body };
        world.fixed.insert(Question::MtaStsPolicy { domain }, answer);
    });
    mistake("example.com", &["dns.caa-missing"], |world| {
        world.records.remove(&("example.com".to_owned(), RecordType::Caa));
    });
    mistake("example.com", &["dns.caa-outside"], |world| {
        let (tag, value) = ("issue".to_owned(), "other.test".to_owned());
        world.add("example.com", Rdata::Caa { critical: false, tag, value });
    });
    mistake("example.com", &["dns.dangling-alias"], |world| {
        world.aliases.insert("autodiscover.example.com".to_owned(), "lapsed.test".to_owned());
    });
    mistake("example.com", &["dns.dangling-service"], |world| {
        let target = "lapsed.test".to_owned();
        world.add("_imaps._tcp.example.com", Rdata::Srv { priority: 0, weight: 1, port: 993, target });
    });
    mistake("example.com", &["dns.required-address-refused"], |world| {
        world.refuses.push("abuse@example.com".to_owned());
    });
    mistake("saas.example.com", &["dns.catch-all-missing"], |world| {
        world.refuses.push("mailwarden-probe@saas.example.com".to_owned());
    });
}

#[test]
fn registrations_are_judged_by_date_status_and_policy() {
    let registration = |domain: &str, expected: &[&str], change: fn(&mut Registration)| {
        let mut registration = Registration {
            registered: true,
            registrar: "Registrar Inc.".to_owned(),
            expires: Some("2027-01-01T00:00:00Z".parse().unwrap()),
            status: vec!["client transfer prohibited".to_owned()],
        };
        change(&mut registration);
        mistake(domain, expected, |world| {
            world.fixed.insert(registered(domain), Answer::Registration(registration));
        });
    };
    registration("example.com", &NOTHING, |_| {});
    registration("example.com", &["dns.registration-expires"], |r| {
        r.expires = Some("2026-06-20T00:00:00Z".parse().unwrap());
    });
    registration("example.com", &["dns.registration-expired"], |r| {
        r.expires = Some("2026-05-20T00:00:00Z".parse().unwrap());
    });
    registration("example.com", &["dns.registration-status"], |r| {
        r.status.push("redemption period".to_owned());
    });
    registration("example.com", &["dns.registration-unlocked"], |r| r.status.clear());
    registration("example.com", &["dns.registrar-differs"], |r| r.registrar = "Other".to_owned());
    // The outside domain that holds the registrar account.
    registration("keys.test", &["dns.registration-missing"], |r| r.registered = false);
}

#[test]
fn what_is_not_answered_is_a_gap_and_never_fine() {
    let mut world = World::good("example.com");
    let question =
        Question::Records { name: Name::parse("_dmarc.example.com").unwrap(), kind: RecordType::Txt };
    world.fixed.insert(question, Answer::Failed { reason: "SERVFAIL".to_owned() });
    assert_eq!(world.said("example.com"), ["gap: TXT of _dmarc.example.com: SERVFAIL"]);
    world.fixed.clear();
    let said = world.said("example.com");
    assert!(said.iter().all(|what| what.starts_with("gap: ")) && said.len() == 3, "{said:?}");
}

#[test]
fn an_endless_world_ends() {
    // Each record includes two more, for ever.
    let subject = subject("example.com");
    let mut answers = Answers::default();
    let mut rounds = 0;
    loop {
        let evaluation = evaluate(&subject, &[Family::Spf], &answers, now());
        if evaluation.wanted.is_empty() || rounds == MAX_ROUNDS {
            assert!(evaluation.asked.len() <= crate::MAX_QUESTIONS);
            break;
        }
        for question in evaluation.wanted {
            let Question::Records { name, .. } = &question else { continue };
            let text = format!("v=spf1 include:a.{name} include:b.{name} -all");
            let records = vec![Rdata::Txt(vec![text])];
            let answer = Answer::Records { records, aliases: Vec::new(), dnssec: Dnssec::Unsigned };
            answers.put(question, answer);
        }
        rounds += 1;
    }
    let evaluation = evaluate(&subject, &[Family::Spf], &answers, now());
    assert!(evaluation.deviations.iter().any(|deviation| deviation.check.id == "dns.spf-too-many-lookups"));
}

#[test]
fn bulky_answers_are_cut_and_said_to_be() {
    let mut world = World::good("example.com");
    world.txt("example.com", &"y".repeat(5000));
    assert_eq!(world.said("example.com"), ["gap: TXT of example.com: a text of 5000 octets was not read"]);
    let mut world = World::good("example.com");
    (0..100).for_each(|n| world.txt("example.com", &format!("n{n}")));
    assert_eq!(world.said("example.com"), NOTHING);
    (0..100).for_each(|n| world.txt("example.com", &format!("m{n}")));
    assert_eq!(world.said("example.com"), ["gap: TXT of example.com: 201 records are more than 200"]);
}
